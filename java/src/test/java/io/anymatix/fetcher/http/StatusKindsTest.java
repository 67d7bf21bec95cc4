package io.anymatix.fetcher.http;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.content.HttpUrl;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import java.io.IOException;
import java.io.InputStream;
import java.net.ConnectException;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import java.net.UnknownHostException;
import java.security.cert.CertificateException;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import javax.net.ssl.SSLException;
import javax.net.ssl.SSLHandshakeException;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class StatusKindsTest {
  private static final HttpUrl URL = HttpUrl.parse("https://example.org/m.bin?token=secret");
  private static final Instant NOW = Instant.parse("2026-11-21T12:00:00Z");

  @ParameterizedTest
  @CsvSource({
    "400, SERVER",
    "401, AUTH",
    "403, FORBIDDEN",
    "404, NOT_FOUND",
    "408, TIMEOUT",
    "410, GONE",
    "418, SERVER",
    "429, RATE_LIMITED",
    "500, SERVER",
    "503, SERVER",
    "504, TIMEOUT",
    "999, SERVER"
  })
  void aStatusHasOneKindAndTheUrlIsToldWithoutSecrets(int status, FailureKind kind) {
    FetchException failure = StatusKinds.ofStatus(answer(status, Map.of()));
    assertEquals(kind, failure.kind());
    assertEquals(status, failure.status());
    assertTrue(
        !(failure.getMessage() + failure.redactedUrl()).contains("secret"), failure::toString);
  }

  @ParameterizedTest
  @CsvSource(
      nullValues = "-",
      value = {
        "0, 0",
        "120, 120",
        "' 7 ', 7",
        "'Sat, 21 Nov 2026 12:00:30 GMT', 30",
        "'Sat, 21 Nov 2026 11:00:00 GMT', 0",
        "-5, -",
        "1.5, -",
        "9999999999, -",
        "soon, -",
        "'Sat, 21 Foo 2026 12:00:30 GMT', -"
      })
  void retryAfterIsSecondsOrADate(String value, @Nullable Long seconds) {
    Duration told = StatusKinds.retryAfter(answer(503, Map.of("retry-after", value)), NOW);
    assertEquals(seconds == null ? null : Duration.ofSeconds(seconds), told);
  }

  @Test
  void theResetOfARateLimitCountsOnlyWhereTheAnswerIsARefusal() {
    Map<String, String> limit = Map.of("ratelimit", "\"api\";r=0;t=55");
    assertEquals(Duration.ofSeconds(55), StatusKinds.retryAfter(answer(429, limit), NOW));
    assertEquals(null, StatusKinds.retryAfter(answer(404, limit), NOW));
    assertEquals(
        Duration.ofSeconds(3),
        StatusKinds.retryAfter(
            answer(429, Map.of("ratelimit", "\"api\";r=0;t=55", "retry-after", "3")), NOW));
    assertEquals(
        Duration.ofSeconds(55),
        StatusKinds.retryAfter(
            answer(429, Map.of("ratelimit", "\"api\";r=0; t=55", "retry-after", "soon")), NOW));
  }

  @Test
  void anExchangeWithoutAnAnswerIsToldByItsCause() {
    Map<Throwable, FailureKind> kinds =
        Map.of(
            new UnknownHostException("example.org"), FailureKind.NETWORK,
            new ConnectException("Connection refused"), FailureKind.NETWORK,
            new SocketException("Connection reset"), FailureKind.NETWORK,
            new SocketTimeoutException("Read timed out"), FailureKind.TIMEOUT,
            new SSLHandshakeException("handshake_failure"), FailureKind.TLS,
            new SSLException("Connection reset"), FailureKind.NETWORK,
            new IOException(new CertificateException("expired")), FailureKind.TLS);
    kinds.forEach(
        (error, kind) ->
            assertEquals(
                kind,
                StatusKinds.ofNoAnswer(error, URL, Optional.empty()).kind(),
                error.toString()));
  }

  @Test
  void aSilentContentIsStalledAndABrokenOneIsTheNetworks() {
    assertEquals(
        FailureKind.STALLED,
        StatusKinds.ofBrokenContent(new SocketTimeoutException("Read timed out"), URL).kind());
    assertEquals(
        FailureKind.NETWORK,
        StatusKinds.ofBrokenContent(new SSLException("Connection reset"), URL).kind());
  }

  private static Answer answer(int status, Map<String, String> lowerCaseFields) {
    return new Answer(
        URL,
        List.of(),
        "HTTP/1.1",
        status,
        lowerCaseFields,
        InputStream.nullInputStream(),
        () -> {},
        new Cancellation().onCancel(() -> {}),
        () -> {});
  }
}
