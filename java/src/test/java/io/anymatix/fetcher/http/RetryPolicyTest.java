package io.anymatix.fetcher.http;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import java.net.UnknownHostException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class RetryPolicyTest {
  private final RetryPolicy policy = new RetryPolicy();

  @Test
  void fiveAttemptsInARowAreMadeWithGrowingPauses() {
    List<Duration> pauses = new ArrayList<>();
    for (Duration pause = policy.pauseAfter(cut());
        pause != null;
        pause = policy.pauseAfter(cut())) {
      pauses.add(pause);
    }
    assertEquals(4, pauses.size(), "pauses between five attempts");
    assertTrue(pauses.get(3).compareTo(pauses.get(0).multipliedBy(3)) > 0, "they grow: " + pauses);
  }

  @Test
  void anyReceivedByteResetsTheCount() {
    for (int i = 0; i < 50; i++) {
      assertNotNull(policy.pauseAfter(cut()));
      policy.succeeded();
    }
  }

  @Test
  void waitsThatTheServerAskedForAreNoAttempts() {
    for (int i = 0; i < 60; i++) {
      assertEquals(Duration.ofSeconds(5), policy.pauseAfter(refused(Duration.ofSeconds(5))));
    }
    assertNotNull(policy.pauseAfter(cut()), "none of the five attempts is used up");
  }

  @Test
  void waitsThatTheServerAskedForEndAfterTenMinutesInAll() {
    Duration waited = Duration.ZERO;
    for (Duration wait = policy.pauseAfter(refused(Duration.ofSeconds(90)));
        wait != null;
        wait = policy.pauseAfter(refused(Duration.ofSeconds(90)))) {
      waited = waited.plus(wait);
    }
    assertEquals(Duration.ofMinutes(9), waited);
  }

  @Test
  void aServerThatSaysAtOnceIsStillGivenAPause() {
    assertTrue(millis(policy.pauseAfter(refused(Duration.ZERO))) > 100);
  }

  @Test
  void whatCannotGetBetterIsNotRepeated() {
    assertNull(policy.pauseAfter(FetchException.of(FailureKind.NOT_FOUND, "No such file.")));
    assertNull(
        policy.pauseAfter(
            FetchException.because(FailureKind.NETWORK, "No such host.")
                .cause(new UnknownHostException("nowhere.example"))
                .build()));
  }

  private static FetchException cut() {
    return FetchException.of(FailureKind.NETWORK, "The connection broke.");
  }

  private static FetchException refused(Duration retryAfter) {
    return FetchException.because(FailureKind.RATE_LIMITED, "Too many requests.")
        .status(429)
        .retryAfter(retryAfter)
        .build();
  }

  private static long millis(@Nullable Duration pause) {
    assertNotNull(pause);
    return pause.toMillis();
  }
}
