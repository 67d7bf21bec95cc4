package io.anymatix.fetcher.http;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.config.ProxyVariables;
import io.anymatix.fetcher.content.HttpUrl;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.ForwardProxy;
import io.anymatix.fetcher.testing.Http2RangeServer;
import io.anymatix.fetcher.testing.Reply;
import io.anymatix.fetcher.testing.Request;
import io.anymatix.fetcher.testing.TestCertificates;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Requests through proxies: no name of a link is looked up here, and each hears what is its. */
@Timeout(60)
class ThroughProxyTest {
  private static final String HOST = "models.example.org";
  private static final TestCertificates CERTIFICATES = TestCertificates.forHosts(HOST);
  private static final Content CONTENT = Content.random(71, 200_000);
  private static final String BASIC =
      "Basic "
          + Base64.getEncoder().encodeToString("me:s3cret/pass".getBytes(StandardCharsets.UTF_8));
  private static final String WITH_PASSWORD = "http://me:s3cret%2Fpass@127.0.0.1:";

  private static RemoteReader reader(String variable, String value, Names names) {
    return new RemoteReader(
        Config.builder()
            .allowHttp(true)
            .certificates(List.of(CERTIFICATES.caFile()))
            .proxies(ProxyVariables.of(Map.of(variable, value)))
            .build(),
        Set.of(),
        new RequestGate(),
        names);
  }

  private static Names noNames() {
    return new Names().add("127.0.0.1", "127.0.0.1");
  }

  private static Probe probe(RemoteReader reader, String url) {
    return reader.probe(request(url), new Cancellation());
  }

  private static RemoteRequest request(String url) {
    return new RemoteRequest(HttpUrl.parse(url), Map.of("Authorization", "Bearer t0p"), null, null);
  }

  private static FetchException failure(RemoteReader reader, String url) {
    return assertThrows(FetchException.class, () -> probe(reader, url));
  }

  @Test
  void httpsIsTunnelledAndThePasswordGoesToTheProxyAlone() throws Exception {
    try (ByteRangeServer server = ByteRangeServer.startTls(CERTIFICATES.serverContext());
        ForwardProxy proxy = ForwardProxy.start().knows(HOST, server.port()).wants(BASIC);
        RemoteReader reader = reader("HTTPS_PROXY", WITH_PASSWORD + proxy.port(), noNames())) {
      server.serve(HOST, "/m.bin", CONTENT);
      Probe first = probe(reader, "https://" + HOST + "/m.bin");
      assertEquals(CONTENT.lengthBytes(), first.lengthBytes());
      assertEquals("HTTP/1.1", first.httpVersion());
      reader.preferHttp2();
      probe(reader, "https://" + HOST + "/m.bin"); // over the other client
      assertEquals(List.of("CONNECT " + HOST + ":443", "CONNECT " + HOST + ":443"), proxy.asked());
      assertFalse(proxy.heads().toString().contains("t0p"), proxy.heads().toString());
      for (Request request : server.requests()) {
        assertNull(request.header("Proxy-Authorization"));
        assertEquals("Bearer t0p", request.header("Authorization"));
        assertEquals(HOST, request.serverName());
      }
    }
  }

  @Test
  void http2IsSpokenThroughATunnel() throws Exception {
    try (Http2RangeServer server = Http2RangeServer.start(CERTIFICATES.serverContext(), CONTENT);
        ForwardProxy proxy = ForwardProxy.start().knows(HOST, server.port()).wants(BASIC);
        RemoteReader reader = reader("HTTPS_PROXY", WITH_PASSWORD + proxy.port(), noNames())) {
      Probe probe = probe(reader, "https://" + HOST + "/m.bin");
      assertEquals("HTTP/2", probe.httpVersion());
      assertEquals(CONTENT.lengthBytes(), probe.lengthBytes());
      assertNull(server.requests().get(0).header("Proxy-Authorization"));
    }
  }

  @Test
  void plainHttpIsAskedForInAbsoluteForm() throws Exception {
    try (ByteRangeServer server = ByteRangeServer.start();
        ForwardProxy proxy = ForwardProxy.start().knows(HOST, server.port()).wants(BASIC);
        RemoteReader reader = reader("http_proxy", WITH_PASSWORD + proxy.port(), noNames())) {
      server.serve(HOST, "/m.bin", CONTENT);
      assertEquals(
          CONTENT.lengthBytes(), probe(reader, "http://" + HOST + "/m.bin?a=b").lengthBytes());
      assertEquals(List.of("GET http://" + HOST + "/m.bin?a=b"), proxy.asked());
      assertEquals(HOST, server.requests().get(0).header("Host"));
    }
  }

  @Test
  void aProxyOverTlsIsTrustedUnderItsOwnName() throws Exception {
    TestCertificates proxys = TestCertificates.forHosts("proxy.example.org");
    Names names =
        new Names().add("proxy.example.org", "127.0.0.1").add("other.example.org", "127.0.0.1");
    try (ByteRangeServer server = ByteRangeServer.startTls(CERTIFICATES.serverContext());
        ForwardProxy proxy =
            ForwardProxy.startTls(proxys.serverContext()).knows(HOST, server.port()).wants(BASIC)) {
      server.serve(HOST, "/m.bin", CONTENT);
      Config.Builder configs =
          Config.builder()
              .certificates(List.of(CERTIFICATES.caFile(), proxys.caFile()))
              .allowHttp(true);
      String right = "https://me:s3cret%2Fpass@proxy.example.org:" + proxy.port();
      try (RemoteReader reader =
          new RemoteReader(
              configs.proxies(ProxyVariables.of(Map.of("HTTPS_PROXY", right))).build(),
              Set.of(),
              new RequestGate(),
              names)) {
        assertEquals(
            CONTENT.lengthBytes(), probe(reader, "https://" + HOST + "/m.bin").lengthBytes());
        assertEquals(List.of("proxy.example.org"), names.asked());
      }
      String wrong = right.replace("proxy.example.org", "other.example.org");
      try (RemoteReader reader =
          new RemoteReader(
              configs.proxies(ProxyVariables.of(Map.of("ALL_PROXY", wrong))).build(),
              Set.of(),
              new RequestGate(),
              names)) {
        for (String scheme : List.of("https://", "http://")) {
          FetchException failure = failure(reader, scheme + HOST + "/m.bin");
          assertEquals(FailureKind.TLS, failure.kind());
          assertTrue(
              String.valueOf(failure.getMessage())
                  .startsWith("other.example.org presented a certificate for"),
              failure.getMessage());
        }
      }
      assertEquals(1, proxy.heads().size());
    }
  }

  @Test
  void aSocksProxyLooksTheNameUp() throws Exception {
    try (ByteRangeServer server = ByteRangeServer.startTls(CERTIFICATES.serverContext());
        ForwardProxy proxy =
            ForwardProxy.start().knows(HOST, server.port()).wantsSocks("me:s3cret/pass");
        RemoteReader reader =
            reader(
                "ALL_PROXY",
                WITH_PASSWORD.replace("http:", "socks5h:") + proxy.port(),
                new Names())) {
      server.serve(HOST, "/m.bin", CONTENT);
      probe(reader, "https://" + HOST + "/m.bin");
      assertEquals(List.of("SOCKS " + HOST + ":443"), proxy.asked());
    }
  }

  @Test
  void aSocksProxyWithoutRemoteNamesGetsAnAddressThatWasJudged() throws Exception {
    Names names = new Names().add(HOST, "192.0.2.7").add("inner.example.org", "10.0.0.7");
    try (ByteRangeServer server = ByteRangeServer.startTls(CERTIFICATES.serverContext());
        ForwardProxy proxy = ForwardProxy.start().knows("192.0.2.7", server.port());
        RemoteReader reader = reader("ALL_PROXY", "socks5://127.0.0.1:" + proxy.port(), names)) {
      server.serve(HOST, "/m.bin", CONTENT);
      probe(reader, "https://" + HOST + "/m.bin");
      assertEquals(List.of("SOCKS 192.0.2.7:443"), proxy.asked());
      assertEquals(FailureKind.POLICY, failure(reader, "https://inner.example.org/m.bin").kind());
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "https://169.254.169.254/m.bin",
        "https://[::1]/m.bin",
        "https://2130706433/m.bin",
        "https://localhost/m.bin",
        "https://intranet/m.bin"
      })
  void whatIsInnerByItsTextIsNotAskedOfAProxy(String url) throws Exception {
    try (ForwardProxy proxy = ForwardProxy.start();
        RemoteReader reader =
            reader("HTTPS_PROXY", "http://127.0.0.1:" + proxy.port(), noNames())) {
      assertEquals(FailureKind.POLICY, failure(reader, url).kind());
      assertEquals(List.of(), proxy.asked());
    }
  }

  @Test
  void aRedirectFromHereIntoTheInnerNetworkIsRefusedBehindAProxyToo() throws Exception {
    try (ByteRangeServer server = ByteRangeServer.startTls(CERTIFICATES.serverContext());
        ForwardProxy proxy = ForwardProxy.start().knows(HOST, server.port());
        RemoteReader reader =
            reader("HTTPS_PROXY", "http://127.0.0.1:" + proxy.port(), noNames())) {
      server
          .serve(HOST, "/m.bin", CONTENT)
          .with(Fault.replies(Reply.redirect(302, "https://127.0.0.1/m.bin")));
      assertEquals(FailureKind.POLICY, failure(reader, "https://" + HOST + "/m.bin").kind());
      assertEquals(List.of("CONNECT " + HOST + ":443"), proxy.asked());
    }
  }

  /** A proxy's page must never be taken for the file, nor its status for the origin's. */
  @ParameterizedTest
  @CsvSource({
    "407 Proxy Authentication Required, AUTH",
    "403 Forbidden, FORBIDDEN",
    "404 Not Found, FORBIDDEN",
    "302 Found, FORBIDDEN",
    "502 Bad Gateway, NETWORK",
    "503 Service Unavailable, NETWORK"
  })
  void aRefusedTunnelIsTheProxysDoing(String answer, FailureKind kind) throws Exception {
    try (ForwardProxy proxy = ForwardProxy.start().refuses(answer);
        RemoteReader reader =
            reader("HTTPS_PROXY", "http://127.0.0.1:" + proxy.port(), noNames())) {
      for (int client = 0; client < 2; client++) {
        FetchException failure = failure(reader, "https://" + HOST + "/m.bin");
        assertEquals(kind, failure.kind(), failure.getMessage());
        assertTrue(
            String.valueOf(failure.getMessage()).startsWith("The proxy 127.0.0.1:" + proxy.port()),
            failure.getMessage());
        assertEquals(Integer.valueOf(answer.substring(0, 3)), failure.status());
        reader.preferHttp2();
      }
    }
  }

  @Test
  void aPasswordThatIsWantedOrWrongIsToldWithTheVariableToChange() throws Exception {
    try (ForwardProxy proxy = ForwardProxy.start().wants(BASIC)) {
      String plain = "http://127.0.0.1:" + proxy.port();
      for (String url : List.of("https://" + HOST + "/m.bin", "http://" + HOST + "/m.bin")) {
        try (RemoteReader none = reader("ALL_PROXY", plain, noNames());
            RemoteReader wrong =
                reader("ALL_PROXY", plain.replace("//", "//me:wr0ngpass@"), noNames())) {
          FetchException missing = failure(none, url);
          assertEquals(FailureKind.AUTH, missing.kind());
          assertEquals(407, missing.status());
          assertTrue(missing.hint().contains("ALL_PROXY"), missing.hint());
          FetchException refused = failure(wrong, url);
          assertEquals(FailureKind.AUTH, refused.kind());
          assertTrue(
              String.valueOf(refused.getMessage()).contains("does not accept"),
              refused.getMessage());
          assertFalse(
              String.valueOf(refused.getMessage()).contains("wr0ngpass"), refused.getMessage());
        }
      }
    }
  }

  @Test
  void aProxyThatIsNotThereIsNamed() throws Exception {
    // Bound and not listening: nobody else gets the port meanwhile.
    try (Socket held = new Socket()) {
      held.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
      assertTheProxyIsNamed(held.getLocalPort());
    }
  }

  private void assertTheProxyIsNamed(int port) throws Exception {
    Names names = noNames();
    for (String scheme : List.of("http", "https", "socks5h")) {
      try (RemoteReader reader = reader("HTTPS_PROXY", scheme + "://127.0.0.1:" + port, names)) {
        FetchException failure = failure(reader, "https://" + HOST + "/m.bin");
        assertEquals(FailureKind.NETWORK, failure.kind());
        assertTrue(
            String.valueOf(failure.getMessage())
                .contains("proxy 127.0.0.1:" + port + " (HTTPS_PROXY)"),
            failure.getMessage());
      }
      try (RemoteReader reader =
          reader("HTTPS_PROXY", scheme + "://proxy.invalid:" + port, names)) {
        FetchException failure = failure(reader, "https://" + HOST + "/m.bin");
        assertEquals(FailureKind.NETWORK, failure.kind());
        assertTrue(
            String.valueOf(failure.getMessage()).contains("proxy.invalid"), failure.getMessage());
      }
    }
  }

  @Test
  void whatTheOwnerConnectsElsewhereGoesRoundTheProxy() throws Exception {
    try (ByteRangeServer server = ByteRangeServer.startTls(CERTIFICATES.serverContext());
        ForwardProxy proxy = ForwardProxy.start();
        RemoteReader reader =
            new RemoteReader(
                Config.builder()
                    .certificates(List.of(CERTIFICATES.caFile()))
                    .connectTo(List.of(HOST + ":443:127.0.0.1:" + server.port()))
                    .proxies(
                        ProxyVariables.of(
                            Map.of("HTTPS_PROXY", "http://127.0.0.1:" + proxy.port())))
                    .build(),
                Set.of(),
                new RequestGate(),
                noNames())) {
      server.serve(HOST, "/m.bin", CONTENT);
      probe(reader, "https://" + HOST + "/m.bin");
      assertEquals(List.of(), proxy.asked());
    }
  }
}
