package io.anymatix.fetcher.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.IntNode;
import com.fasterxml.jackson.databind.node.TextNode;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ShorthandTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "v=1               | 1",
        "v=-1.5            | -1.5",
        "v=true            | true",
        "v=null            | null",
        "v=1a              | \"1a\"",
        "v=plain           | \"plain\"",
        "v=                | \"\"",
        "v=\"1\"           | \"1\"",
        "v=\"two words\"   | \"two words\"",
        "v='two words'     | \"two words\"",
        "v=\"a \\\"b\\\"\" | \"a \\\"b\\\"\"",
        "v=C:\\models      | \"C:\\\\models\"",
        "v=a=b             | \"a=b\"",
        "v={\"a\": [1, 2]} | {\"a\":[1,2]}",
        "v=[\"x y\", {}]   | [\"x y\",{}]",
      })
  void valueIsJsonWhereItCanBeAndTextElsewhere(String text, String value) throws Exception {
    Shorthand read = Shorthand.parse("method " + text.strip() + " w=2");
    assertEquals(JSON.readTree(value.strip()), read.named().get("v"));
    assertEquals(IntNode.valueOf(2), read.named().get("w"), "what follows is read too");
  }

  @Test
  void urlWithAQueryIsAPositionalValue() {
    Shorthand read = Shorthand.parse("  fetch https://host/a?b=c&d=e type=checkpoint ");
    assertEquals("fetch", read.method());
    assertEquals(
        List.of("https://host/a?b=c&d=e"),
        read.positional().stream().map(n -> n.asText()).toList());
    assertEquals(TextNode.valueOf("checkpoint"), read.named().get("type"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"m a=\"open", "m a='open", "m a={\"b\":", "m a=\"b\"c", "m a=1 a=2"})
  void unfinishedOrDoubledValueIsToldAbout(String line) {
    String message =
        assertThrows(IllegalArgumentException.class, () -> Shorthand.parse(line)).getMessage();
    assertTrue(message != null && message.length() > 10, message);
  }
}
