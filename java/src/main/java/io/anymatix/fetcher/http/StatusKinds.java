package io.anymatix.fetcher.http;

import io.anymatix.fetcher.content.HttpUrl;
import io.anymatix.fetcher.content.Redactor;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.http.Proxies.Proxy;
import java.io.EOFException;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.ConnectException;
import java.net.NoRouteToHostException;
import java.net.SocketTimeoutException;
import java.net.UnknownHostException;
import java.security.GeneralSecurityException;
import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.Locale;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.net.ssl.SSLException;
import org.apache.hc.client5.http.ConnectTimeoutException;
import org.jspecify.annotations.Nullable;

/** What a status code or a socket's error means for a download. */
final class StatusKinds {
  /** {@code RateLimit: "name";r=0;t=55}: nothing left, renewed in 55 s. */
  private static final Pattern RATE_LIMIT_RESET = Pattern.compile(";\\s*t=(\\d{1,6})");

  private StatusKinds() {}

  /**
   * The failure that an answer's status stands for; call it only for a status that is no success.
   */
  static FetchException ofStatus(Answer answer) {
    int status = answer.status();
    String at = answer.url().host() + " answered " + status;
    FetchException.Builder failure =
        switch (status) {
          case 401 ->
              FetchException.because(FailureKind.AUTH, at + ": it wants to know who you are.");
          case 403 -> FetchException.because(FailureKind.FORBIDDEN, at + ": access denied.");
          case 404 ->
              FetchException.because(FailureKind.NOT_FOUND, at + ": no such file at this link.");
          case 410 -> FetchException.because(FailureKind.GONE, at + ": the file is gone for good.");
          case 429 -> FetchException.because(FailureKind.RATE_LIMITED, at + ": too many requests.");
          case 408, 504 -> FetchException.because(FailureKind.TIMEOUT, at + ": it took too long.");
          case 509 ->
              FetchException.because(
                      FailureKind.QUOTA, at + ": the transfer quota of this address is used up.")
                  .hint("Wait some hours, then run again; what was received is kept.");
          default ->
              FetchException.because(
                  FailureKind.SERVER,
                  at + (status >= 500 ? ": the server has a problem." : ", which makes no sense."));
        };
    return failure
        .status(status)
        .url(answer.url().redacted())
        .retryAfter(retryAfter(answer, Instant.now()))
        .build();
  }

  /**
   * How long an answer asks to wait: {@code Retry-After} in seconds or as a date (RFC 9110 section
   * 10.2.3), else the reset time of a {@code RateLimit} field.
   */
  static @Nullable Duration retryAfter(Answer answer, Instant now) {
    String text = answer.field("Retry-After");
    if (text != null) {
      String value = text.strip();
      if (value.matches("\\d{1,9}")) {
        return Duration.ofSeconds(Long.parseLong(value));
      }
      try {
        Instant until =
            ZonedDateTime.parse(value, DateTimeFormatter.RFC_1123_DATE_TIME).toInstant();
        return until.isAfter(now) ? Duration.between(now, until) : Duration.ZERO;
      } catch (DateTimeException e) {
        // Neither form of the field: as if it were absent.
      }
    }
    String rateLimit = answer.field("RateLimit");
    if (rateLimit != null && (answer.status() == 429 || answer.status() == 503)) {
      Matcher reset = RATE_LIMIT_RESET.matcher(rateLimit);
      if (reset.find()) {
        return Duration.ofSeconds(Long.parseLong(reset.group(1)));
      }
    }
    return null;
  }

  /**
   * What a proxy means that does not let a request through: it wants a password (RFC 9110 section
   * 15.5.8), forbids the host, or can not reach it.
   */
  static FetchException ofProxy(Proxy proxy, int status, HttpUrl url) {
    String at = "The proxy " + proxy + " answered " + status;
    FetchException.Builder failure;
    if (status == 407) {
      failure =
          FetchException.because(
                  FailureKind.AUTH,
                  at
                      + (proxy.user() == null
                          ? ": it wants a user name and a password."
                          : ": it does not accept the user name and the password."))
              .hint(
                  "Put them into the variable "
                      + proxy.variable()
                      + ", as http://USER:PASSWORD@HOST:PORT.");
    } else if (status < 500) {
      failure =
          FetchException.because(
                  FailureKind.FORBIDDEN, at + ": it does not let us reach " + url.host() + ".")
              .hint("Ask whoever runs the proxy, or name " + url.host() + " in NO_PROXY.");
    } else {
      failure =
          FetchException.because(
              FailureKind.NETWORK, at + ": it could not reach " + url.host() + ".");
    }
    return failure.status(status).url(url.redacted()).build();
  }

  /**
   * The failure of an exchange that brought no answer.
   *
   * @param proxy through which it was tried
   */
  static FetchException ofNoAnswer(Throwable error, HttpUrl url, Optional<Proxy> proxy) {
    for (Throwable cause = error; cause != null; cause = cause.getCause()) {
      if (cause instanceof NetworkPolicy.Refusal refusal) {
        return refusal.failure().at(url.redacted());
      }
      if (cause instanceof FetchException known) {
        return known.at(url.redacted());
      }
    }
    String via = proxy.map(p -> " through the proxy " + p).orElse("");
    // Behind a proxy, names are looked up and connections made to the proxy alone, if not by SOCKS.
    boolean atProxy = proxy.isPresent() && !isAbout(error, url.host());
    String peer = atProxy ? "The proxy " + proxy.get() : url.host();
    FetchException.Builder failure;
    if (error instanceof UnknownHostException) {
      failure =
          FetchException.because(
              FailureKind.NETWORK, (atProxy ? peer : "The host " + peer) + " could not be found.");
    } else if (isTls(error)) {
      failure =
          TlsLibrary.isPlainText(error)
              ? FetchException.because(
                      FailureKind.TLS, peer + " does not speak TLS on port " + url.port() + ".")
                  .hint("Check the port of the link; https belongs to another one.")
              : FetchException.because(
                  FailureKind.TLS,
                  "No trusted connection to " + url.host() + via + ": " + reason(error) + ".");
    } else if (error instanceof ConnectTimeoutException
        || error instanceof SocketTimeoutException
        || error instanceof InterruptedIOException) {
      failure = FetchException.because(FailureKind.TIMEOUT, peer + " did not answer in time.");
    } else if (error instanceof ConnectException || error instanceof NoRouteToHostException) {
      failure =
          FetchException.because(
              FailureKind.NETWORK, peer + " refused the connection: " + reason(error) + ".");
    } else {
      failure =
          FetchException.because(
              FailureKind.NETWORK,
              "The connection to " + url.host() + via + " failed: " + reason(error) + ".");
    }
    return failure.url(url.redacted()).cause(error).build();
  }

  /** The failure of an exchange that broke in the middle of its content. */
  static FetchException ofBrokenContent(IOException error, HttpUrl url) {
    boolean silent =
        error instanceof SocketTimeoutException || error instanceof InterruptedIOException;
    return FetchException.because(
            silent ? FailureKind.STALLED : FailureKind.NETWORK,
            silent
                ? url.host() + " stopped sending in the middle of the file."
                : "The connection to " + url.host() + " broke: " + reason(error) + ".")
        .url(url.redacted())
        .cause(error)
        .build();
  }

  private static boolean isAbout(Throwable error, String host) {
    return String.valueOf(error.getMessage()).contains(host);
  }

  private static boolean isTls(Throwable error) {
    for (Throwable cause = error; cause != null; cause = cause.getCause()) {
      if (cause instanceof EOFException) {
        return false; // closed in the middle of the handshake: a matter of the moment
      }
      if (cause instanceof GeneralSecurityException) {
        return true;
      }
    }
    return error instanceof SSLException && !isReset(error);
  }

  /** The JDK wraps a reset in the middle of a TLS stream into an SSLException as well. */
  private static boolean isReset(Throwable error) {
    String message = String.valueOf(error.getMessage()).toLowerCase(Locale.ROOT);
    return message.contains("reset")
        || message.contains("broken pipe")
        || message.contains("closed");
  }

  private static String reason(Throwable error) {
    Throwable root = error;
    while (root.getCause() != null) {
      root = root.getCause();
    }
    String message = root.getMessage();
    String told =
        message == null ? root.getClass().getSimpleName() : TlsLibrary.reason(message.strip());
    return Redactor.text(told).replaceAll("\\.$", "");
  }
}
