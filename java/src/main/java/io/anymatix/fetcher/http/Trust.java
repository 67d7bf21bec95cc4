package io.anymatix.fetcher.http;

import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import java.io.IOException;
import java.io.InputStream;
import java.net.Socket;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.function.Supplier;
import java.util.stream.Stream;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLException;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLPeerUnverifiedException;
import javax.net.ssl.SSLSession;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509ExtendedTrustManager;
import org.apache.hc.client5.http.psl.PublicSuffixMatcherLoader;
import org.apache.hc.client5.http.ssl.DefaultClientTlsStrategy;
import org.apache.hc.client5.http.ssl.DefaultHostnameVerifier;
import org.apache.hc.client5.http.ssl.HostnameVerificationPolicy;
import org.apache.hc.client5.http.ssl.HttpClientHostnameVerifier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Which certificates are trusted: those whose authority the owner named, Java trusts, or the
 * operating system trusts; and why one is not.
 *
 * <p>Reading authorities takes longer than starting the process, so each of the three is read when
 * those before it do not suffice. Methods may be called from any thread.
 */
final class Trust {
  private static final Logger log = LoggerFactory.getLogger(Trust.class);

  /** Where systems keep all their authorities in one file; the first that is there counts. */
  private static final List<Path> SYSTEM_BUNDLES =
      Stream.of(
              "/etc/ssl/certs/ca-certificates.crt", // Debian, Arch
              "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, Red Hat
              "/etc/pki/tls/certs/ca-bundle.crt",
              "/etc/ssl/ca-bundle.pem", // SUSE
              "/etc/ssl/cert.pem") // Alpine, macOS
          .map(Path::of)
          .toList();

  private static final String[] HTTP_1_1 = {"http/1.1"};

  /** A folder of certificates with more files than this is none. */
  private static final int MOST_FILES = 2000;

  private final List<Path> ownersCertificates;
  private final List<Path> systemBundles;
  private final Supplier<TlsLibrary> library;
  private @Nullable DefaultClientTlsStrategy strategy;

  /**
   * @param ownersCertificates PEM files and folders of such files
   */
  Trust(List<Path> ownersCertificates) {
    this(ownersCertificates, SYSTEM_BUNDLES, TlsLibrary::best);
  }

  /** With other places for the system's bundle; the library is asked for with the first TLS. */
  Trust(List<Path> ownersCertificates, List<Path> systemBundles, Supplier<TlsLibrary> library) {
    this.ownersCertificates = ownersCertificates;
    this.systemBundles = systemBundles;
    this.library = library;
  }

  /**
   * How the clients make TLS of a connection.
   *
   * @throws FetchException {@code tls} if the owner's certificates can not be read
   */
  synchronized DefaultClientTlsStrategy strategy() {
    if (strategy == null) {
      try {
        TlsLibrary speaker = library.get();
        log.debug("TLS is spoken by {}", speaker);
        SSLContext context = speaker.newContext();
        X509ExtendedTrustManager owners = owners();
        Authorities authorities =
            new Authorities(
                new Group(() -> owners),
                new Group(() -> trustManager(null)),
                new Group(() -> trustManager(systemStore())));
        context.init(null, new TrustManager[] {authorities}, null);
        strategy =
            new DefaultClientTlsStrategy(context, HostnameVerificationPolicy.CLIENT, new Names()) {
              @Override
              protected void initializeSocket(SSLSocket socket) {
                // The blocking client's: said, so that who speaks HTTP/2 alone can object.
                SSLParameters parameters = socket.getSSLParameters();
                parameters.setApplicationProtocols(HTTP_1_1);
                socket.setSSLParameters(parameters);
              }
            };
      } catch (GeneralSecurityException e) {
        throw FetchException.because(FailureKind.TLS, "This Java has no TLS: " + e.getMessage())
            .cause(e)
            .build();
      }
    }
    return strategy;
  }

  private @Nullable X509ExtendedTrustManager owners() throws GeneralSecurityException {
    KeyStore store = emptyStore();
    for (Path path : ownersCertificates) {
      try {
        int before = store.size();
        if (Files.isDirectory(path)) {
          addFolder(store, path);
        } else {
          addFile(store, path);
        }
        if (store.size() == before) {
          throw new IOException("there is no certificate in it");
        }
      } catch (IOException | CertificateException e) {
        throw FetchException.because(
                FailureKind.TLS,
                "The trusted certificates in " + path + " cannot be read: " + e.getMessage() + ".")
            .hint(
                "Name a file of certificates in PEM, or unset the flag or variable that names it.")
            .cause(e)
            .build();
      }
    }
    return trustManager(store);
  }

  /** The operating system's authorities, which its administrator may have added to. */
  private KeyStore systemStore() throws GeneralSecurityException {
    String system = System.getProperty("os.name", "").toLowerCase(Locale.ROOT);
    KeyStore all = emptyStore();
    if (system.startsWith("windows")) {
      addPlatformStore(all, "Windows-ROOT");
    } else if (system.startsWith("mac")) {
      addPlatformStore(all, "KeychainStore-ROOT"); // newer Java alone has it
      addPlatformStore(all, "KeychainStore");
    }
    for (Path file : systemBundles) {
      if (Files.isReadable(file)) {
        try {
          addFile(all, file);
          break;
        } catch (IOException | CertificateException e) {
          log.debug("the certificates in {} are left out: {}", file, e.getMessage());
        }
      }
    }
    return all;
  }

  private static KeyStore emptyStore() throws GeneralSecurityException {
    try {
      KeyStore store = KeyStore.getInstance("PKCS12");
      store.load(null, null);
      return store;
    } catch (IOException e) {
      throw new GeneralSecurityException("an empty store cannot fail to load", e);
    }
  }

  private static void addPlatformStore(KeyStore all, String type) {
    try {
      KeyStore store = KeyStore.getInstance(type);
      store.load(null, null);
      for (String alias : Collections.list(store.aliases())) {
        if (store.isCertificateEntry(alias)) {
          all.setCertificateEntry(type + " " + all.size(), store.getCertificate(alias));
        }
      }
    } catch (IOException | GeneralSecurityException e) {
      log.debug("no certificates from {}: {}", type, e.getMessage());
    }
  }

  private static void addFile(KeyStore store, Path file)
      throws IOException, GeneralSecurityException {
    try (InputStream pem = Files.newInputStream(file)) {
      for (Certificate certificate :
          CertificateFactory.getInstance("X.509").generateCertificates(pem)) {
        store.setCertificateEntry(file + " " + store.size(), certificate);
      }
    }
  }

  /** A folder may hold other things; what is no certificate is passed over. */
  private static void addFolder(KeyStore store, Path folder)
      throws IOException, GeneralSecurityException {
    int count = 0;
    try (DirectoryStream<Path> files = Files.newDirectoryStream(folder, Files::isRegularFile)) {
      for (Path file : files) {
        if (++count > MOST_FILES) {
          throw new IOException("it holds more than " + MOST_FILES + " files");
        }
        try {
          addFile(store, file);
        } catch (IOException | CertificateException e) {
          log.debug("{} holds no certificates: {}", file, e.getMessage());
        }
      }
    }
  }

  /**
   * @param store null for Java's own; empty for none
   */
  private static @Nullable X509ExtendedTrustManager trustManager(@Nullable KeyStore store)
      throws GeneralSecurityException {
    if (store != null && store.size() == 0) {
      return null;
    }
    TrustManagerFactory factory =
        TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    factory.init(store);
    return Arrays.stream(factory.getTrustManagers())
        .filter(X509ExtendedTrustManager.class::isInstance)
        .map(X509ExtendedTrustManager.class::cast)
        .filter(manager -> manager.getAcceptedIssuers().length > 0) // a Java may come without
        .findFirst()
        .orElse(null);
  }

  /** Authorities that are read when they are first asked. */
  private static final class Group {
    private final Reading reading;
    private boolean isRead;
    private @Nullable X509ExtendedTrustManager authorities;

    @FunctionalInterface
    private interface Reading {
      @Nullable X509ExtendedTrustManager read() throws GeneralSecurityException;
    }

    Group(Reading reading) {
      this.reading = reading;
    }

    /** The authorities, or null if there are none. */
    synchronized @Nullable X509ExtendedTrustManager authorities() throws CertificateException {
      if (!isRead) {
        try {
          authorities = reading.read();
        } catch (GeneralSecurityException e) {
          throw new CertificateException("authorities cannot be read", e);
        }
        isRead = true;
      }
      return authorities;
    }
  }

  /** Trusts what any of several groups of authorities vouches for, asked in this order. */
  private static final class Authorities extends X509ExtendedTrustManager {
    private final List<Group> groups;

    Authorities(Group... groups) {
      this.groups = List.of(groups);
    }

    @FunctionalInterface
    private interface Check {
      void by(X509ExtendedTrustManager authorities) throws CertificateException;
    }

    @Override
    public void checkServerTrusted(X509Certificate[] chain, String authType, SSLEngine engine)
        throws CertificateException {
      String type = TlsLibrary.javaAuthType(authType);
      String host = engine.getHandshakeSession().getPeerHost();
      check(host, chain, authorities -> authorities.checkServerTrusted(chain, type, engine));
    }

    @Override
    public void checkServerTrusted(X509Certificate[] chain, String authType, Socket socket)
        throws CertificateException {
      String type = TlsLibrary.javaAuthType(authType);
      String host =
          socket instanceof SSLSocket tls ? tls.getHandshakeSession().getPeerHost() : null;
      check(host, chain, authorities -> authorities.checkServerTrusted(chain, type, socket));
    }

    @Override
    public void checkServerTrusted(X509Certificate[] chain, String authType)
        throws CertificateException {
      String type = TlsLibrary.javaAuthType(authType);
      check(null, chain, authorities -> authorities.checkServerTrusted(chain, type));
    }

    private void check(@Nullable String host, X509Certificate[] chain, Check check)
        throws CertificateException {
      CertificateException failure = null;
      for (Group group : groups) {
        X509ExtendedTrustManager authorities = group.authorities();
        if (authorities != null) {
          try {
            check.by(authorities);
            return;
          } catch (CertificateException e) {
            failure = failure == null || CertificateRejection.isTelling(e) ? e : failure;
          }
        }
      }
      if (failure == null) {
        failure = new CertificateException("no authority is known");
      }
      String shownHost = host == null ? "The server" : host;
      throw new CertificateException(
          failure.getMessage(), CertificateRejection.untrusted(shownHost, chain, failure));
    }

    @Override
    public void checkClientTrusted(X509Certificate[] chain, String authType, SSLEngine engine)
        throws CertificateException {
      throw notAServer();
    }

    @Override
    public void checkClientTrusted(X509Certificate[] chain, String authType, Socket socket)
        throws CertificateException {
      throw notAServer();
    }

    @Override
    public void checkClientTrusted(X509Certificate[] chain, String authType)
        throws CertificateException {
      throw notAServer();
    }

    private static CertificateException notAServer() {
      return new CertificateException("nobody connects to this process");
    }

    @Override
    public X509Certificate[] getAcceptedIssuers() {
      return new X509Certificate[0]; // servers alone ask for it
    }
  }

  /** Compares a certificate with the host's name (RFC 9110 section 4.3.4). */
  private static final class Names implements HttpClientHostnameVerifier {
    private final DefaultHostnameVerifier rules =
        new DefaultHostnameVerifier(PublicSuffixMatcherLoader.getDefault());

    @Override
    public void verify(String host, X509Certificate certificate) throws SSLException {
      try {
        rules.verify(host, certificate);
      } catch (SSLException e) {
        throw (SSLException)
            new SSLPeerUnverifiedException(e.getMessage())
                .initCause(CertificateRejection.ofAnotherHost(host, certificate, e));
      }
    }

    @Override
    public boolean verify(String host, SSLSession session) {
      return rules.verify(host, session);
    }
  }
}
