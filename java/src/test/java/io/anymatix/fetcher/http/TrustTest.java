package io.anymatix.fetcher.http;

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
import io.anymatix.fetcher.testing.TestCertificates;
import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import javax.net.ssl.SSLException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Which certificates are accepted, and what is said of those that are not. */
@Timeout(60)
class TrustTest {
  private static final String HOST = "models.example.org";
  private static final TestCertificates CERTIFICATES = TestCertificates.forHosts(HOST);
  private static final Content CONTENT = Content.random(81, 1000);

  @SuppressWarnings("NullAway.Init") // set before each test
  @TempDir
  Path folder;

  /** The failure of both clients, which must say the same. */
  private static FetchException failure(TestCertificates presented, String host, Path... trusted) {
    try (ByteRangeServer server = ByteRangeServer.startTls(presented.serverContext());
        RemoteReader reader =
            new RemoteReader(
                Config.builder()
                    .certificates(List.of(trusted))
                    .connectTo(List.of(":443:127.0.0.1:" + server.port()))
                    .build())) {
      RemoteRequest request = RemoteRequest.get(HttpUrl.parse("https://" + host + "/m.bin"));
      FetchException blocking = failure(reader, request);
      reader.preferHttp2();
      FetchException negotiated = failure(reader, request);
      assertEquals(negotiated.getMessage(), blocking.getMessage());
      assertEquals(FailureKind.TLS, negotiated.kind());
      assertEquals(FailureKind.TLS, blocking.kind());
      assertEquals(List.of(), server.requests());
      return negotiated;
    }
  }

  private static FetchException failure(RemoteReader reader, RemoteRequest request) {
    return assertThrows(FetchException.class, () -> reader.probe(request, new Cancellation()));
  }

  @Test
  void anUnknownIssuerIsNamedWithTheHost() {
    FetchException failure = failure(CERTIFICATES, HOST);
    assertEquals(
        HOST + " presented a certificate issued by CN=Test authority, which is not trusted here.",
        failure.getMessage());
    assertTrue(failure.hint().contains("--ca-file"), failure.hint());
    assertEquals("CN=Test authority", failure.facts().get("issuer"));
  }

  @Test
  void aCertificateThatSignsItselfIsToldApart() {
    FetchException failure = failure(TestCertificates.selfSigned(HOST), HOST);
    assertEquals(
        HOST
            + " presented a certificate that it signed itself (CN=Test server), which is not"
            + " trusted here.",
        failure.getMessage());
  }

  @Test
  void anExpiredCertificateIsToldWithItsDay() {
    TestCertificates expired = TestCertificates.expired(HOST);
    FetchException failure = failure(expired, HOST, expired.caFile());
    assertTrue(
        String.valueOf(failure.getMessage())
            .matches(
                "The certificate of models\\.example\\.org expired on \\d{4}-\\d\\d-\\d\\d; it was"
                    + " issued by CN=Test authority\\."),
        failure.getMessage());
    assertTrue(failure.hint().contains("clock"), failure.hint());
  }

  @Test
  void aCertificateOfTheFutureIsToldWithItsDay() {
    TestCertificates future = TestCertificates.notYetValid(HOST);
    FetchException failure = failure(future, HOST, future.caFile());
    assertTrue(
        String.valueOf(failure.getMessage()).contains(" is not valid before 2"),
        failure.getMessage());
  }

  @Test
  void aCertificateOfAnotherHostIsToldWithItsNames() {
    FetchException failure = failure(CERTIFICATES, "other.example.org", CERTIFICATES.caFile());
    assertEquals(
        "other.example.org presented a certificate for localhost, models.example.org instead,"
            + " issued by CN=Test authority.",
        failure.getMessage());
  }

  @Test
  void aFolderOfCertificatesIsReadPastWhatIsNone() throws IOException {
    Files.copy(CERTIFICATES.caFile(), folder.resolve("5ad8a5d6.0"));
    Files.writeString(folder.resolve("README"), "not a certificate");
    Files.createDirectory(folder.resolve("sub"));
    assertTrusted(List.of(folder), List.of());
  }

  @Test
  void theSystemsBundleIsTrustedBesideTheOwnersFile() throws IOException {
    Path bundle = folder.resolve("bundle.pem");
    Files.writeString(
        bundle,
        "# Some authority\n"
            + Files.readString(TestCertificates.forHosts("unused.example.org").caFile())
            + "\n# Another one\n"
            + Files.readString(CERTIFICATES.caFile()));
    Path owners = TestCertificates.selfSigned("unused.example.org").caFile();
    assertTrusted(List.of(owners), List.of(folder.resolve("missing.pem"), bundle));
    for (TlsLibrary library : TlsLibrary.values()) {
      Trust without =
          new Trust(List.of(owners), List.of(folder.resolve("missing.pem")), () -> library);
      assertThrows(SSLException.class, () -> connect(without));
    }
  }

  @Test
  void aSystemsBundleThatCannotBeReadIsPassedOver() throws IOException {
    Path broken = folder.resolve("broken.pem");
    Files.writeString(broken, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assertTrusted(List.of(), List.of(broken, CERTIFICATES.caFile()));
  }

  @Test
  void anOwnersFileWithoutCertificatesFailsWhatNeedsTls() throws IOException {
    Path file = folder.resolve("empty.pem");
    Files.writeString(file, "nothing\n");
    FetchException failure = failure(CERTIFICATES, HOST, file);
    assertTrue(
        String.valueOf(failure.getMessage()).contains(file.toString()), failure.getMessage());
  }

  /** By whatever speaks TLS. */
  private static void assertTrusted(List<Path> owners, List<Path> bundles) throws IOException {
    for (TlsLibrary library : TlsLibrary.values()) {
      connect(new Trust(owners, bundles, () -> library));
    }
  }

  private static void connect(Trust trust) throws IOException {
    try (ByteRangeServer server = ByteRangeServer.startTls(CERTIFICATES.serverContext());
        Socket socket = new Socket(InetAddress.getLoopbackAddress(), server.port())) {
      server.serve("/m.bin", CONTENT);
      trust.strategy().upgrade(socket, HOST, 443, null, null).close();
    }
  }
}
