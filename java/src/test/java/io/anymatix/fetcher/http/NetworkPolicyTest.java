package io.anymatix.fetcher.http;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.content.HttpUrl;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.Reply;
import io.anymatix.fetcher.testing.TestCertificates;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Which hosts are reached, and at which addresses, when the owner said nothing. */
@Timeout(60)
class NetworkPolicyTest {
  private static final String HOST = "models.example.org";
  private static final TestCertificates CERTIFICATES = TestCertificates.forHosts(HOST);
  private static final Content CONTENT = Content.random(61, 10_000);

  private static final String PUBLIC_IPV4 = "8.8.8.8";

  @ParameterizedTest
  @ValueSource(
      strings = {
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.100.100.200",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.168.0.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::808:808",
        "100::1",
        "2001::1",
        "2002:7f00:1::1",
        "2002:a9fe:a9fe::",
        "2600::5efe:10.0.0.1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1"
      })
  void anAddressOfAnInnerNetworkIsNotReached(String address) throws UnknownHostException {
    assertTrue(!IpAddress.isPublic(InetAddress.getByName(address)), address);
    String host = address.indexOf(':') < 0 ? address : "[" + address + "]";
    assertRefused(Config.builder(), "https://" + host + "/m.bin");
    assertRefused(Config.builder().allowHttp(true), "http://" + host + ":8080/m.bin");
    Names names = new Names().add(HOST, address);
    NetworkPolicy policy = new NetworkPolicy(Config.builder().build(), Set.of(), names);
    assertThrows(NetworkPolicy.Refusal.class, () -> policy.resolve(HOST, 443));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "1.1.1.1",
        PUBLIC_IPV4,
        "11.0.0.1",
        "100.63.255.255",
        "100.128.0.1",
        "126.0.0.1",
        "168.63.129.17",
        "169.253.0.1",
        "172.15.0.1",
        "172.32.0.1",
        "192.0.1.1",
        "192.167.0.1",
        "198.18.0.1",
        "198.19.255.255",
        "223.255.255.255",
        "2606:4700::6810:85e5",
        "64:ff9b::8.8.8.8",
        "2002:808:808::1",
        "::ffff:8.8.8.8"
      })
  void anAddressThatEverybodyMayReachIsReached(String address) throws UnknownHostException {
    assertTrue(IpAddress.isPublic(InetAddress.getByName(address)), address);
    String host = address.indexOf(':') < 0 ? address : "[" + address + "]";
    assertDoesNotThrow(() -> check(Config.builder(), "https://" + host + "/m.bin"));
    NetworkPolicy policy =
        new NetworkPolicy(Config.builder().build(), Set.of(), new Names().add(HOST, address));
    assertEquals(
        List.of(InetAddress.getByName(address)),
        policy.resolve(HOST, 443).stream().map(a -> a.getAddress()).toList());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "2130706433", "017700000001", "0x7f000001", "0x7f.1", "127.1", "127.0.1", "0177.0.0.1",
        "127.0.0.01", "08.8.8.8", "1.2.3.4.5", "256.1.1.1", "0x", "example.0x7f", "１２７.1"
      })
  void anAddressInAnUnusualSpellingIsRefusedWhateverItStandsFor(String host) {
    FetchException failure = assertRefused(Config.builder(), "https://" + host + "/m.bin");
    assertTrue(
        String.valueOf(failure.getMessage()).contains("unusual spelling"), failure.getMessage());
    assertRefused(
        Config.builder().allowHttp(true).allowPrivateHosts(true), "http://" + host + "/m.bin");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "nas",
        "printer.local",
        "metadata.google.internal",
        "metadata.google.internal.",
        "router.home.arpa",
        "pc.lan",
        "127.0.0.1.",
        "models.example.org."
      })
  void aNameThatNoPublicHostHasIsRefusedWithoutALookUp(String host) {
    Names names = new Names();
    NetworkPolicy policy = new NetworkPolicy(Config.builder().build(), Set.of(), names);
    HttpUrl url = HttpUrl.parse("https://" + host + "/m.bin");
    FetchException failure = assertThrows(FetchException.class, () -> policy.check(url));
    assertEquals(FailureKind.POLICY, failure.kind());
    assertEquals(List.of(), names.asked());
  }

  @Test
  void aNameWithOneInnerAddressAmongPublicOnesIsRefused() {
    Names names = new Names().add(HOST, PUBLIC_IPV4, "127.0.0.1");
    NetworkPolicy policy = new NetworkPolicy(Config.builder().build(), Set.of(), names);
    assertThrows(NetworkPolicy.Refusal.class, () -> policy.resolve(HOST, 443));
  }

  /** The name would lead elsewhere if it were asked twice. */
  @Test
  void theAddressThatWasJudgedIsTheOneConnectedTo() {
    Names names = new Names().add(HOST, "127.0.0.1").add(HOST, "192.0.2.1");
    try (ByteRangeServer server = ByteRangeServer.startTls(CERTIFICATES.serverContext());
        RemoteReader reader =
            new RemoteReader(
                Config.builder()
                    .allowPrivateHosts(true)
                    .certificates(List.of(CERTIFICATES.caFile()))
                    .build(),
                Set.of(),
                new RequestGate(),
                names)) {
      server.serve(HOST, "/m.bin", CONTENT);
      reader.probe(get("https://" + HOST + ":" + server.port() + "/m.bin"), new Cancellation());
      assertEquals(List.of(HOST), names.asked());
      assertEquals(1, server.connectionsAccepted());
    }
  }

  @Test
  void aNameThatTurnsToAnInnerAddressIsNotConnectedTo() {
    // The second connection needs a look-up of its own, which is judged as the first one was.
    Names names = new Names().add(HOST, PUBLIC_IPV4).add(HOST, "127.0.0.1");
    NetworkPolicy policy = new NetworkPolicy(Config.builder().build(), Set.of(), names);
    assertDoesNotThrow(() -> policy.resolve(HOST, 443));
    try (ByteRangeServer server = ByteRangeServer.startTls(CERTIFICATES.serverContext());
        RemoteReader reader =
            new RemoteReader(
                Config.builder().certificates(List.of(CERTIFICATES.caFile())).build(),
                Set.of(),
                new RequestGate(),
                names)) {
      String url = "https://" + HOST + ":" + server.port() + "/m.bin";
      for (int client = 0; client < 2; client++) {
        FetchException failure =
            assertThrows(FetchException.class, () -> reader.probe(get(url), new Cancellation()));
        assertEquals(FailureKind.POLICY, failure.kind(), failure.getMessage());
        assertTrue(
            String.valueOf(failure.getMessage()).contains("127.0.0.1"), failure.getMessage());
        reader.preferHttp2();
      }
      assertEquals(0, server.connectionsAccepted());
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "https://169.254.169.254/latest/meta-data",
        "https://localhost/m.bin",
        "https://2130706433/m.bin",
        "https://[::ffff:127.0.0.1]/m.bin",
        "https://rebound.example.org/m.bin",
        "http://other.example.org/m.bin",
        "//127.0.0.1/m.bin"
      })
  void aRedirectIsJudgedLikeALink(String location) {
    Names names = new Names().add("rebound.example.org", "10.1.2.3");
    try (ByteRangeServer server = ByteRangeServer.startTls(CERTIFICATES.serverContext());
        RemoteReader reader =
            new RemoteReader(
                Config.builder()
                    .certificates(List.of(CERTIFICATES.caFile()))
                    .connectTo(List.of(HOST + ":443:127.0.0.1:" + server.port()))
                    .build(),
                Set.of(),
                new RequestGate(),
                names)) {
      server.serve(HOST, "/m.bin", CONTENT).with(Fault.replies(Reply.redirect(302, location)));
      names.add("127.0.0.1", "127.0.0.1");
      FetchException failure =
          assertThrows(
              FetchException.class,
              () -> reader.probe(get("https://" + HOST + "/m.bin"), new Cancellation()));
      assertEquals(FailureKind.POLICY, failure.kind(), failure.getMessage());
      assertEquals(1, server.requests().size());
    }
  }

  @Test
  void onlyHttpsIsReachedUnlessTheOwnerSaysOtherwise() {
    assertRefused(Config.builder(), "http://models.example.org/m.bin");
    assertDoesNotThrow(
        () -> check(Config.builder().allowHttp(true), "http://models.example.org/m.bin"));
  }

  @Test
  void aListOfHostsCoversThemselvesAndWhatIsBelow() {
    Config.Builder configs =
        Config.builder().allowedHosts(List.of("huggingface.co", ".hf.co", "*.example.org"));
    for (String host : List.of("huggingface.co", "cdn.huggingface.co", "hf.co", "a.b.hf.co")) {
      assertDoesNotThrow(() -> check(configs, "https://" + host + "/m.bin"));
    }
    for (String host : List.of("nothuggingface.co", "huggingface.co.example.net", "hf.c")) {
      assertRefused(configs, "https://" + host + "/m.bin");
    }
    Config.Builder none = Config.builder().allowedHosts(List.of(""));
    assertRefused(none, "https://huggingface.co/m.bin");
  }

  @Test
  void whatTheOwnerConnectsElsewhereIsExemptAndTheListStillHolds() {
    Config.Builder configs = Config.builder().connectTo(List.of("localhost:80:192.168.0.7:8080"));
    assertDoesNotThrow(() -> check(configs, "http://localhost/m.bin"));
    assertRefused(configs, "http://localhost:81/m.bin");
    assertRefused(configs.allowedHosts(List.of("huggingface.co")), "http://localhost/m.bin");
  }

  @Test
  void aRuleOnPortsAloneExemptsNoHost() throws UnknownHostException {
    Config.Builder configs = Config.builder().connectTo(List.of(":443::8443"));
    assertRefused(configs, "https://127.0.0.1/m.bin");
    Names names = new Names().add(HOST, PUBLIC_IPV4).add(HOST, "127.0.0.1");
    NetworkPolicy policy = new NetworkPolicy(configs.build(), Set.of(), names);
    assertEquals(8443, policy.resolve(HOST, 443).get(0).getPort());
    assertThrows(NetworkPolicy.Refusal.class, () -> policy.resolve(HOST, 443));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "https://user@models.example.org/m.bin",
        "https://user:pass@models.example.org/m.bin",
        "https://models.example.org@127.0.0.1/m.bin",
        "https://models.example.org\\@127.0.0.1/m.bin"
      })
  void userInformationInAUrlIsRefused(String url) {
    FetchException failure = assertThrows(FetchException.class, () -> HttpUrl.parse(url));
    assertEquals(FailureKind.POLICY, failure.kind());
    assertTrue(!String.valueOf(failure.redactedUrl()).contains("user"), failure.redactedUrl());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "https://[models.example.org]/",
        "https://[::1%25eth0]/",
        "https://[]/",
        "https:///m.bin",
        "https://models.example.org\\.evil/",
        "https://a b/",
        "https://models.example.org:0x50/"
      })
  void whatIsNoHostIsNoUrl(String url) {
    FetchException failure = assertThrows(FetchException.class, () -> HttpUrl.parse(url));
    assertEquals(FailureKind.UNSUPPORTED, failure.kind());
  }

  private static RemoteRequest get(String url) {
    return RemoteRequest.get(HttpUrl.parse(url));
  }

  private static void check(Config.Builder configs, String url) {
    new NetworkPolicy(configs.build(), Set.of(), new Names()).check(HttpUrl.parse(url));
  }

  private static FetchException assertRefused(Config.Builder configs, String url) {
    FetchException failure = assertThrows(FetchException.class, () -> check(configs, url), url);
    assertEquals(FailureKind.POLICY, failure.kind(), url);
    return failure;
  }
}
