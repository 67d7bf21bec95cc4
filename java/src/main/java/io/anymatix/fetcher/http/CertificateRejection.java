package io.anymatix.fetcher.http;

import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import java.security.GeneralSecurityException;
import java.security.cert.CertPathValidatorException;
import java.security.cert.CertPathValidatorException.BasicReason;
import java.security.cert.CertificateException;
import java.security.cert.CertificateExpiredException;
import java.security.cert.CertificateNotYetValidException;
import java.security.cert.CertificateParsingException;
import java.security.cert.X509Certificate;
import java.time.Instant;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.Collection;
import java.util.List;
import java.util.stream.Collectors;
import javax.security.auth.x500.X500Principal;
import org.jspecify.annotations.Nullable;

/** Why a server's certificate is not accepted, in words for the person who can change it. */
final class CertificateRejection {
  private static final int LONGEST_NAME_SHOWN = 200;
  private static final int MOST_NAMES_SHOWN = 5;

  /** Subject alternative names of this type are DNS names (RFC 5280 section 4.2.1.6). */
  private static final Integer DNS_NAME = 2;

  private CertificateRejection() {}

  /**
   * The failure of a chain that no authority vouches for.
   *
   * @param host who presented it
   * @param chain the server's own certificate first
   * @param cause what the most telling of the checks said
   */
  static FetchException untrusted(
      String host, X509Certificate[] chain, CertificateException cause) {
    X509Certificate own = chain[0];
    X509Certificate last = chain[chain.length - 1];
    X509Certificate outdated = outdated(chain);
    FetchException.Builder failure;
    if (outdated != null) {
      failure = outdated(host, outdated);
    } else if (isWeak(cause)) {
      failure =
          tls(host + " presented a certificate that uses an algorithm which is no longer safe.")
              .hint("Ask whoever runs " + host + " for a new certificate.");
    } else if (own.getSubjectX500Principal().equals(own.getIssuerX500Principal())) {
      failure =
          tls(host
                  + " presented a certificate that it signed itself ("
                  + shown(own.getSubjectX500Principal())
                  + "), which is not trusted here.")
              .hint("If that is meant, name the certificate with --ca-file or SSL_CERT_FILE.");
    } else {
      failure =
          tls(host
                  + " presented a certificate issued by "
                  + shown(last.getIssuerX500Principal())
                  + ", which is not trusted here.")
              .hint(
                  "If your network replaces certificates, name its own with --ca-file or"
                      + " SSL_CERT_FILE.");
    }
    return failure
        .fact("issuer", shown(last.getIssuerX500Principal()))
        .fact("subject", shown(own.getSubjectX500Principal()))
        .cause(cause)
        .build();
  }

  /** The failure of a certificate that is another host's. */
  static FetchException ofAnotherHost(String host, X509Certificate certificate, Exception cause) {
    return tls(host
            + " presented a certificate for "
            + names(certificate)
            + " instead, issued by "
            + shown(certificate.getIssuerX500Principal())
            + ".")
        .hint("Check the host name; a captive portal or a proxy may be answering in its place.")
        .fact("issuer", shown(certificate.getIssuerX500Principal()))
        .fact("subject", shown(certificate.getSubjectX500Principal()))
        .cause(cause)
        .build();
  }

  /**
   * Whether a check found the certificate itself at fault, and did not just not know its issuer.
   */
  static boolean isTelling(CertificateException failure) {
    for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
      if (cause instanceof CertPathValidatorException
          || cause instanceof CertificateExpiredException
          || cause instanceof CertificateNotYetValidException) {
        return true;
      }
    }
    return false;
  }

  private static FetchException.Builder outdated(String host, X509Certificate certificate) {
    boolean expired = certificate.getNotAfter().toInstant().isBefore(Instant.now());
    return tls("The certificate of "
            + host
            + (expired
                ? " expired on " + day(certificate.getNotAfter().toInstant())
                : " is not valid before " + day(certificate.getNotBefore().toInstant()))
            + "; it was issued by "
            + shown(certificate.getIssuerX500Principal())
            + ".")
        .hint("Check this machine's clock; if it is right, " + host + " has to renew it.");
  }

  private static FetchException.Builder tls(String message) {
    return FetchException.because(FailureKind.TLS, message);
  }

  private static @Nullable X509Certificate outdated(X509Certificate[] chain) {
    for (X509Certificate certificate : chain) {
      try {
        certificate.checkValidity();
      } catch (CertificateExpiredException | CertificateNotYetValidException e) {
        return certificate;
      }
    }
    return null;
  }

  private static boolean isWeak(GeneralSecurityException failure) {
    for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
      if (cause instanceof CertPathValidatorException path
          && path.getReason() == BasicReason.ALGORITHM_CONSTRAINED) {
        return true;
      }
    }
    return false;
  }

  private static String names(X509Certificate certificate) {
    try {
      Collection<List<?>> all = certificate.getSubjectAlternativeNames();
      if (all != null) {
        List<String> names =
            all.stream()
                .filter(name -> DNS_NAME.equals(name.get(0)))
                .map(name -> printable(String.valueOf(name.get(1))))
                .toList();
        if (!names.isEmpty()) {
          return names.stream().limit(MOST_NAMES_SHOWN).collect(Collectors.joining(", "))
              + (names.size() > MOST_NAMES_SHOWN ? ", …" : "");
        }
      }
    } catch (CertificateParsingException e) {
      // Its names are unreadable; the subject has to do.
    }
    return shown(certificate.getSubjectX500Principal());
  }

  private static LocalDate day(Instant instant) {
    return LocalDate.ofInstant(instant, ZoneOffset.UTC);
  }

  private static String shown(X500Principal name) {
    return printable(name.getName());
  }

  /** Names in certificates are as untrusted as their senders. */
  private static String printable(String name) {
    String clean = name.replaceAll("\\p{Cntrl}", "?");
    return clean.length() <= LONGEST_NAME_SHOWN
        ? clean
        : clean.substring(0, LONGEST_NAME_SHOWN) + "…";
  }
}
