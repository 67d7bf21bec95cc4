package io.anymatix.fetcher.testing;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/**
 * A certificate authority of one's own and a server certificate for some names, made when first
 * asked for and kept for the run of this JVM. The keys never leave a private temporary folder that
 * is deleted at the end. Safe from any thread.
 */
public final class TestCertificates {
  private static final char[] PASSWORD = "not-a-secret".toCharArray();
  private static final Map<Recipe, TestCertificates> MADE = new ConcurrentHashMap<>();

  /** What to make: names, the days from which and for which they are valid, and who signs. */
  private record Recipe(List<String> names, int startDay, int validDays, boolean selfSigned) {}

  private final Path caFile;
  private final Path serverKeys;
  private final SSLContext serverContext;
  private final SSLContext clientContext;

  private TestCertificates(
      Path caFile, Path serverKeys, SSLContext serverContext, SSLContext clientContext) {
    this.caFile = caFile;
    this.serverKeys = serverKeys;
    this.serverContext = serverContext;
    this.clientContext = clientContext;
  }

  /** Certificates valid for these DNS names besides {@code localhost} and 127.0.0.1. */
  public static TestCertificates forHosts(String... names) {
    return made(-1, 30, false, names);
  }

  /** As {@link #forHosts}, but the server's certificate ended some days ago. */
  public static TestCertificates expired(String... names) {
    return made(-10, 5, false, names);
  }

  /** As {@link #forHosts}, but the server's certificate is for a time to come. */
  public static TestCertificates notYetValid(String... names) {
    return made(10, 5, false, names);
  }

  /** As {@link #forHosts}, but the server's certificate is its own authority. */
  public static TestCertificates selfSigned(String... names) {
    return made(-1, 30, true, names);
  }

  private static TestCertificates made(
      int startDay, int validDays, boolean selfSigned, String... names) {
    List<String> sorted = List.copyOf(new TreeSet<>(List.of(names)));
    return MADE.computeIfAbsent(
        new Recipe(sorted, startDay, validDays, selfSigned), TestCertificates::make);
  }

  /** The authority's certificate as a PEM file, for {@code --ca-file}. */
  public Path caFile() {
    return caFile;
  }

  /** A PKCS#12 store with the server certificate alone, for servers that read one. */
  public Path serverKeys() {
    return serverKeys;
  }

  /** What opens {@link #serverKeys} and the key in it. */
  public static String password() {
    return new String(PASSWORD);
  }

  /** For servers: presents the server certificate. */
  public SSLContext serverContext() {
    return serverContext;
  }

  /** For clients in tests: trusts this authority and no other. */
  public SSLContext clientContext() {
    return clientContext;
  }

  private static TestCertificates make(Recipe recipe) {
    try {
      Path folder = Files.createTempDirectory("test-certificates");
      Path store = folder.resolve("keys.p12");
      Path caFile = folder.resolve("ca.pem");
      Path serverKeys = folder.resolve("server.p12");
      for (Path each : List.of(folder, store, caFile, serverKeys)) {
        each.toFile().deleteOnExit();
      }
      StringBuilder subject = new StringBuilder("san=ip:127.0.0.1,dns:localhost");
      recipe.names().forEach(name -> subject.append(",dns:").append(name));
      generate(store, "ca", "CN=Test authority", -1, 30, "-ext", "bc:critical=ca:true");
      List<String> more = new ArrayList<>(List.of("-ext", subject.toString()));
      if (!recipe.selfSigned()) {
        more.addAll(List.of("-signer", "ca"));
      }
      generate(
          store,
          "server",
          "CN=Test server",
          recipe.startDay(),
          recipe.validDays(),
          more.toArray(new String[0]));

      KeyStore keys = KeyStore.getInstance("PKCS12");
      try (InputStream in = Files.newInputStream(store)) {
        keys.load(in, PASSWORD);
      }
      Certificate authority = keys.getCertificate("ca");
      Files.write(caFile, pem(authority));
      keys.deleteEntry("ca");
      try (OutputStream out = Files.newOutputStream(serverKeys)) {
        keys.store(out, PASSWORD);
      }
      return new TestCertificates(
          caFile, serverKeys, serverContext(keys), clientContext(authority));
    } catch (IOException | GeneralSecurityException e) {
      throw new IllegalStateException("no certificates for " + recipe, e);
    }
  }

  private static void generate(
      Path store, String alias, String name, int startDay, int validDays, String... more)
      throws IOException {
    List<String> command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "keytool").toString(),
                "-genkeypair",
                "-alias",
                alias,
                "-dname",
                name,
                "-keyalg",
                "EC",
                "-groupname",
                "secp256r1",
                "-startdate",
                (startDay < 0 ? "" : "+") + startDay + "d",
                "-validity",
                Integer.toString(validDays),
                "-storetype",
                "PKCS12",
                "-keystore",
                store.toString(),
                "-storepass",
                new String(PASSWORD)));
    command.addAll(List.of(more));
    Process keytool = new ProcessBuilder(command).redirectErrorStream(true).start();
    keytool.getOutputStream().close();
    String output = new String(keytool.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    try {
      if (keytool.waitFor() != 0) {
        throw new IOException("keytool failed: " + output);
      }
    } catch (InterruptedException e) {
      keytool.destroy();
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while keytool ran", e);
    }
  }

  private static byte[] pem(Certificate certificate) throws GeneralSecurityException {
    String base64 =
        Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(certificate.getEncoded());
    return ("-----BEGIN CERTIFICATE-----\n" + base64 + "\n-----END CERTIFICATE-----\n")
        .getBytes(StandardCharsets.US_ASCII);
  }

  private static SSLContext serverContext(KeyStore keys) throws GeneralSecurityException {
    KeyManagerFactory managers =
        KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
    managers.init(keys, PASSWORD);
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(managers.getKeyManagers(), null, null);
    return context;
  }

  private static SSLContext clientContext(Certificate authority)
      throws GeneralSecurityException, IOException {
    KeyStore trusted = KeyStore.getInstance("PKCS12");
    trusted.load(null, null);
    trusted.setCertificateEntry("authority", authority);
    TrustManagerFactory managers =
        TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    managers.init(trusted);
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(null, managers.getTrustManagers(), null);
    return context;
  }
}
