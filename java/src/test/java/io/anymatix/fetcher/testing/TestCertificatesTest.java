package io.anymatix.fetcher.testing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.file.Files;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.util.List;
import javax.net.ssl.SNIHostName;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLHandshakeException;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import org.junit.jupiter.api.Test;

class TestCertificatesTest {
  private final TestCertificates certificates =
      TestCertificates.forHosts("huggingface.co", "cdn.example.org");

  @Test
  void aClientThatTrustsTheAuthorityReachesEveryNamedHost() throws Exception {
    try (ByteRangeServer server = ByteRangeServer.startTls(certificates.serverContext())) {
      for (String host : List.of("huggingface.co", "cdn.example.org", "localhost", "127.0.0.1")) {
        handshake(certificates.clientContext(), server.port(), host);
      }
    }
  }

  @Test
  void aHostThatIsNotNamedIsRefusedByTheClient() {
    try (ByteRangeServer server = ByteRangeServer.startTls(certificates.serverContext())) {
      assertThrows(
          SSLHandshakeException.class,
          () -> handshake(certificates.clientContext(), server.port(), "evil.example.org"));
    }
  }

  @Test
  void aClientWithTheSystemsOwnTrustRefusesTheAuthority() throws Exception {
    SSLContext system = SSLContext.getDefault();
    try (ByteRangeServer server = ByteRangeServer.startTls(certificates.serverContext())) {
      assertThrows(
          SSLHandshakeException.class, () -> handshake(system, server.port(), "huggingface.co"));
    }
  }

  @Test
  void thePemFileHoldsTheIssuerOfWhatTheServerPresents() throws Exception {
    Certificate authority;
    try (InputStream in = Files.newInputStream(certificates.caFile())) {
      authority = CertificateFactory.getInstance("X.509").generateCertificate(in);
    }
    try (ByteRangeServer server = ByteRangeServer.startTls(certificates.serverContext())) {
      Certificate[] chain =
          handshake(certificates.clientContext(), server.port(), "huggingface.co");
      chain[0].verify(authority.getPublicKey());
      assertEquals(authority, chain[chain.length - 1]);
    }
  }

  @Test
  void theSameNamesGiveTheSameCertificatesInAnyOrder() {
    assertSame(certificates, TestCertificates.forHosts("cdn.example.org", "huggingface.co"));
  }

  private static Certificate[] handshake(SSLContext context, int port, String host)
      throws IOException {
    try (Socket raw = new Socket(InetAddress.getLoopbackAddress(), port);
        SSLSocket socket =
            (SSLSocket) context.getSocketFactory().createSocket(raw, host, port, true)) {
      SSLParameters parameters = socket.getSSLParameters();
      parameters.setEndpointIdentificationAlgorithm("HTTPS");
      if (!host.equals("127.0.0.1")) {
        parameters.setServerNames(List.of(new SNIHostName(host)));
      }
      socket.setSSLParameters(parameters);
      socket.startHandshake();
      return socket.getSession().getPeerCertificates();
    }
  }
}
