package io.anymatix.fetcher.content;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.NullSource;
import org.junit.jupiter.params.provider.ValueSource;

class ContentRangeTest {
  @ParameterizedTest
  @ValueSource(strings = {"bytes 5-9/10", " BYTES  5-9/10 ", "bytes\t005-9/10"})
  void aRangeThatFitsIsRead(String value) {
    assertEquals(new ContentRange(new ByteRange(5, 9), 10L), ContentRange.parse(value));
  }

  @Test
  void anUnknownLengthAndAnUnsatisfiedRangeAreRead() {
    assertEquals(new ContentRange(new ByteRange(0, 0), null), ContentRange.parse("bytes 0-0/*"));
    assertEquals(new ContentRange(null, 0L), ContentRange.parse("bytes */0"));
    assertEquals(
        new ContentRange(new ByteRange(0, 9_223_372_036_854_775_806L), Long.MAX_VALUE),
        ContentRange.parse("bytes 0-9223372036854775806/9223372036854775807"));
  }

  @ParameterizedTest
  @NullSource
  @ValueSource(
      strings = {
        "",
        "bytes",
        "bytes 0-9",
        "bytes=0-9/10",
        "bytes 0-9/",
        "bytes -9/10",
        "bytes 0-/10",
        "bytes 9-5/10",
        "bytes 0-10/10",
        "bytes 0-9/5",
        "bytes */*",
        "bytes 0-9/10, bytes 20-29/30",
        "items 0-9/10",
        "bytes 0x0-9/10",
        "bytes 0-9/99999999999999999999",
        "bytes 0-9/9999999999999999999",
        "bytes \u0661-9/10"
      })
  void whatMakesNoSenseIsAsIfItWereAbsent(String value) {
    assertNull(ContentRange.parse(value));
  }
}
