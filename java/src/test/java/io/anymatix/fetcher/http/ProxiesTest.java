package io.anymatix.fetcher.http;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.config.ProxyVariables;
import io.anymatix.fetcher.content.HttpUrl;
import io.anymatix.fetcher.content.Redactor;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.http.Proxies.Kind;
import io.anymatix.fetcher.http.Proxies.Proxy;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Which proxy the environment names for which url. */
class ProxiesTest {
  private static final String HTTPS = "https://models.example.org/m.bin";
  private static final String HTTP = "http://models.example.org/m.bin";

  @Test
  void eachSchemeHasItsOwnVariableAndAllProxyStandsIn() {
    Map<String, String> environment =
        Map.of("HTTPS_PROXY", "http://secure:1", "ALL_PROXY", "http://all:2");
    assertEquals("secure", host(environment, HTTPS));
    assertEquals("all", host(environment, HTTP));
    assertEquals("none", host(Map.of("HTTP_PROXY", "http://plain:3"), HTTPS));
  }

  @Test
  void lowerCaseWinsAndAnEmptyVariableIsNone() {
    assertEquals(
        "lower",
        host(Map.of("https_proxy", "http://lower:1", "HTTPS_PROXY", "http://up:1"), HTTPS));
    assertEquals("up", host(Map.of("https_proxy", "  ", "HTTPS_PROXY", "http://up:1"), HTTPS));
  }

  /** A request's {@code Proxy} field becomes HTTP_PROXY in a CGI program. */
  @Test
  void upperCaseHttpProxyIsNotBelievedInACgiProgram() {
    Map<String, String> environment = new HashMap<>();
    environment.put("HTTP_PROXY", "http://attacker:1");
    assertEquals("attacker", host(environment, HTTP));
    environment.put("REQUEST_METHOD", "GET");
    assertEquals("none", host(environment, HTTP));
    environment.put("http_proxy", "http://owners:1");
    assertEquals("owners", host(environment, HTTP));
  }

  @ParameterizedTest
  @CsvSource({
    "proxy.example.org:3128,          HTTP,    proxy.example.org, 3128",
    "http://proxy.example.org,        HTTP,    proxy.example.org, 80",
    "HTTP://proxy.example.org:8080/,  HTTP,    proxy.example.org, 8080",
    "https://proxy.example.org,       HTTPS,   proxy.example.org, 443",
    "socks5://127.0.0.1,              SOCKS5,  127.0.0.1,         1080",
    "socks5h://[::1]:9050,            SOCKS5H, ::1,               9050",
  })
  void aProxyIsReadFromItsVariable(String value, Kind kind, String host, int port) {
    Proxy proxy = proxy(Map.of("ALL_PROXY", value), HTTPS).orElseThrow();
    assertEquals(kind, proxy.kind());
    assertEquals(host, proxy.host());
    assertEquals(port, proxy.port());
  }

  @Test
  void aPasswordIsUnescapedAndMaskedInEveryForm() {
    Proxy proxy =
        proxy(Map.of("HTTPS_PROXY", "http://me:p%40ss%2Fw0rd%21@proxy:3128"), HTTPS).orElseThrow();
    assertEquals("me", proxy.user());
    assertEquals("p@ss/w0rd!", proxy.password());
    String base64 =
        Base64.getEncoder().encodeToString("me:p@ss/w0rd!".getBytes(StandardCharsets.UTF_8));
    String shown = Redactor.text("p%40ss%2Fw0rd%21 p@ss/w0rd! " + base64);
    assertEquals("<redacted> <redacted> <redacted>", shown);
    assertFalse(proxy.toString().contains("ss"), proxy.toString());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "socks4://proxy:1080",
        "ftp://proxy",
        "http://proxy:99999",
        "http://",
        "a b",
        "http://[::1"
      })
  void aVariableThatNamesNoUsableProxyFailsWhatItAppliesTo(String value) {
    Map<String, String> environment =
        Map.of("HTTPS_PROXY", value, "NO_PROXY", "direct.example.org");
    FetchException failure = assertThrows(FetchException.class, () -> proxy(environment, HTTPS));
    assertEquals(FailureKind.UNSUPPORTED, failure.kind());
    assertTrue(String.valueOf(failure.getMessage()).contains("HTTPS_PROXY"), failure.getMessage());
    assertEquals("none", host(environment, HTTP));
    assertEquals("none", host(environment, "https://direct.example.org/m.bin"));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "*                              | models.example.org",
        "example.org                    | models.example.org",
        "example.org                    | EXAMPLE.ORG",
        ".example.org                   | models.example.org",
        ".example.org                   | example.org",
        "example.org.                   | models.example.org",
        "a.test, EXAMPLE.org , b.test   | models.example.org",
        "a.test example.org             | models.example.org",
        "models.example.org:443         | models.example.org",
        "192.168.1.1                    | 192.168.1.1",
        "192.168.0.0/16                 | 192.168.200.7",
        "10.0.0.0/8,192.168.1.128/25    | 192.168.1.200",
        "::1                            | [::1]",
        "[::1]                          | [::1]",
        "fd00::/8                       | [fd12::7]",
        "0.0.0.0/0                      | 8.8.8.8",
      })
  void noProxyNamesHostsThatAreReachedDirectly(String noProxy, String host) {
    assertEquals("none", host(through(noProxy), "https://" + host + "/m.bin"), noProxy);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "example.org                    | notexample.org",
        "example.org                    | example.org.evil.test",
        "models.example.org             | example.org",
        "models.example.org:80          | models.example.org",
        "192.168.1.1                    | 192.168.1.10",
        "192.168.1                      | 192.168.1.1",
        "192.168.0.0/33                 | 192.168.0.1",
        "192.168.1.128/25               | 192.168.1.1",
        "::/0                           | 8.8.8.8",
        "fd00::/8                       | [2600::1]",
        ".                              | example.org",
        ",                              | example.org",
      })
  void noProxyCoversNothingElse(String noProxy, String host) {
    assertEquals("proxy", host(through(noProxy), "https://" + host + "/m.bin"), noProxy);
  }

  private static Map<String, String> through(String noProxy) {
    return Map.of("https_proxy", "http://proxy:3128", "no_proxy", noProxy);
  }

  private static Optional<Proxy> proxy(Map<String, String> environment, String url) {
    return new Proxies(ProxyVariables.of(environment)).forUrl(HttpUrl.parse(url));
  }

  private static String host(Map<String, String> environment, String url) {
    return proxy(environment, url).map(Proxy::host).orElse("none");
  }
}
