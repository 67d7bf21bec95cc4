package io.anymatix.fetcher.http;

import java.security.NoSuchAlgorithmException;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLException;
import org.conscrypt.Conscrypt;

/**
 * Who speaks TLS for us, and what its errors mean.
 *
 * <p>Which certificates are trusted is decided in {@link Trust}, whoever speaks.
 */
enum TlsLibrary {
  /**
   * Fast from the first byte. Conscrypt brings it, compiled for the usual systems, and unpacks it
   * into the folder for temporary files while it is loaded.
   */
  BORINGSSL,

  /**
   * Java's own: compiled while it runs, and until then a hundred times slower at decrypting, which
   * costs a young process seconds.
   */
  JAVA;

  /** As in {@code error:10000460:SSL routines:OPENSSL_internal:TLSV1_ALERT_ACCESS_DENIED (...)}. */
  private static final Pattern BORINGSSL_REASON = Pattern.compile("OPENSSL_internal:(\\w+)");

  /** The better one that can be loaded here. */
  static TlsLibrary best() {
    return Conscrypt.isAvailable() ? BORINGSSL : JAVA;
  }

  SSLContext newContext() throws NoSuchAlgorithmException {
    return this == BORINGSSL
        ? SSLContext.getInstance("TLS", Conscrypt.newProvider())
        : SSLContext.getInstance("TLS");
  }

  /** How Java calls the way in which a certificate's key was used. */
  static String javaAuthType(String authType) {
    // BoringSSL's word for TLS 1.3, where the cipher suite says nothing of it.
    return authType.equals("GENERIC") ? "UNKNOWN" : authType;
  }

  /** What an error says, without the library's inner matters. */
  static String reason(String message) {
    Matcher boringSsl = BORINGSSL_REASON.matcher(message);
    return boringSsl.find()
        ? boringSsl.group(1).toLowerCase(Locale.ROOT).replace('_', ' ')
        : message;
  }

  /** Whether a server objected to every protocol that it was offered (RFC 7301 section 3.2). */
  static boolean isNoApplicationProtocol(SSLException error) {
    return says(error, "no application protocol");
  }

  /** Whether what came was not TLS at all. */
  static boolean isPlainText(Throwable error) {
    return says(error, "unrecognized ssl message")
        || says(error, "unable to parse tls packet header");
  }

  private static boolean says(Throwable error, String words) {
    return String.valueOf(error.getMessage())
        .toLowerCase(Locale.ROOT)
        .replace('_', ' ')
        .contains(words);
  }
}
