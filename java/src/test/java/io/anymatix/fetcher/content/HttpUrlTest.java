package io.anymatix.fetcher.content;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class HttpUrlTest {
  @ParameterizedTest
  @CsvSource(
      delimiterString = " -> ",
      value = {
        "HTTPS://Example.ORG -> https://example.org/",
        "https://example.org?a=1 -> https://example.org/?a=1",
        "https://example.org:443/a -> https://example.org/a",
        "http://example.org:443/a -> http://example.org:443/a",
        "https://example.org:/a -> https://example.org/a",
        "https://example.org/a b/ü.bin?x=ä b -> https://example.org/a%20b/%C3%BC.bin?x=%C3%A4%20b",
        "https://example.org/100%/%41%zz -> https://example.org/100%25/%41%25zz",
        "https://example.org/a[1].bin -> https://example.org/a[1].bin",
        "https://example.org/a#b?c -> https://example.org/a",
        "https://bücher.example/ -> https://xn--bcher-kva.example/",
        "http://[::1]:8080/a -> http://[::1]:8080/a",
        "http://[2001:DB8::1]/ -> http://[2001:db8::1]/",
      })
  void aUrlIsSentAsABrowserWouldSendIt(String text, String sent) {
    assertEquals(sent, HttpUrl.parse(text).text());
  }

  @Test
  void lineBreaksOfAPastedUrlAreLeftOut() {
    assertEquals(
        "https://example.org/model.bin",
        HttpUrl.parse(" \u0001https://example\n.org/mo\r\n\tdel.bin").text());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "example.org/a",
        "https:/a",
        "https:///a",
        "https://:80/a",
        "https://a b/",
        "https://example.org:65536/",
        "https://example.org:x/",
        "https://example.org:-1/",
        "https://::1/",
        "file:///etc/passwd",
        "ftp://example.org/a",
        "javascript:alert(1)",
        "C:\\models\\a.bin"
      })
  void whatIsNoHttpUrlIsUnsupported(String text) {
    FetchException failure = assertThrows(FetchException.class, () -> HttpUrl.parse(text));
    assertEquals(FailureKind.UNSUPPORTED, failure.kind());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"https://me@example.org/", "https://me:pass@example.org/", "https://@example.org"})
  void userinfoIsRefusedAndNotRepeated(String text) {
    FetchException failure = assertThrows(FetchException.class, () -> HttpUrl.parse(text));
    assertEquals(FailureKind.POLICY, failure.kind());
    assertFalse(String.valueOf(failure.getMessage()).contains("me:"), failure.getMessage());
  }

  /** RFC 3986 section 5.4. */
  @ParameterizedTest
  @CsvSource(
      delimiterString = " -> ",
      value = {
        "g -> http://a/b/c/g",
        "./g -> http://a/b/c/g",
        "g/ -> http://a/b/c/g/",
        "/g -> http://a/g",
        "//g -> http://g/",
        "?y -> http://a/b/c/d;p?y",
        "g?y -> http://a/b/c/g?y",
        "#s -> http://a/b/c/d;p?q",
        "g#s -> http://a/b/c/g",
        ".. -> http://a/b/",
        "g/. -> http://a/b/c/g/",
        "g;x=1/../y -> http://a/b/c/y",
        "../g -> http://a/b/g",
        "../../../g -> http://a/g",
        "/./g -> http://a/g",
        "/../g -> http://a/g",
        "g?y/../x -> http://a/b/c/g?y/../x",
        "https://b:1/x?y -> https://b:1/x?y",
        "g a[1]?ü -> http://a/b/c/g%20a[1]?%C3%BC",
      })
  void aRedirectIsResolvedAsTheRfcSays(String location, String expected) {
    assertEquals(expected, HttpUrl.parse("http://a/b/c/d;p?q").resolve(location).text());
  }

  @Test
  void anOriginIsSchemeHostAndPort() {
    HttpUrl url = HttpUrl.parse("https://example.org/a");
    assertTrue(url.sameOrigin(HttpUrl.parse("https://EXAMPLE.org:443/b?c")));
    assertFalse(url.sameOrigin(HttpUrl.parse("http://example.org:443/a")));
    assertFalse(url.sameOrigin(HttpUrl.parse("https://example.org:444/a")));
    assertFalse(url.sameOrigin(HttpUrl.parse("https://www.example.org/a")));
  }
}
