package io.anymatix.fetcher.http;

import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.github.resilience4j.core.IntervalFunction;
import io.github.resilience4j.retry.Retry;
import io.github.resilience4j.retry.RetryConfig;
import java.net.UnknownHostException;
import java.time.Duration;
import java.time.Instant;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Which failures are worth another request, and after which pause.
 *
 * <p>Pauses grow exponentially with jitter, unless the server named one. Waits that a server asked
 * for are not counted as attempts, but are bounded in all by {@link #MAX_TOLD_WAIT}. The counting
 * is Resilience4j's; the waiting is ours, since it must end at a cancellation.
 */
public final class RetryPolicy {
  /** Requests in a row that may bring nothing. */
  private static final int MAX_ATTEMPTS = 5;

  private static final Duration FIRST_PAUSE = Duration.ofMillis(500);
  private static final Duration LONGEST_PAUSE = Duration.ofSeconds(10);

  /** What servers may make one download wait in all. */
  public static final Duration MAX_TOLD_WAIT = Duration.ofMinutes(10);

  private static final Retry RETRY =
      Retry.of(
          "request",
          RetryConfig.custom()
              .maxAttempts(MAX_ATTEMPTS)
              .intervalFunction(
                  IntervalFunction.ofExponentialRandomBackoff(
                      FIRST_PAUSE.toMillis(), 2.0, 0.3, LONGEST_PAUSE.toMillis()))
              .retryOnException(RetryPolicy::isWorthRetrying)
              .build());

  private Retry.AsyncContext<Object> attempts = RETRY.asyncContext();
  private Duration toldWait = Duration.ZERO;

  /** Hears that a request waits; may be called from any thread and must not block. */
  @FunctionalInterface
  public interface WaitListener {
    /** Where nobody is told. */
    WaitListener NOBODY = (reason, until) -> {};

    /** Says why, and until when; null once the wait is over. */
    void waiting(@Nullable String reason, @Nullable Instant until);
  }

  /** Something arrived: earlier failures no longer count. */
  public void succeeded() {
    attempts = RETRY.asyncContext();
  }

  /**
   * The pause before the next request.
   *
   * @return null if there should be none: the failure is final, or there were too many in a row
   */
  public @Nullable Duration pauseAfter(FetchException failure) {
    Duration told = failure.retryAfter();
    // A server that says "at once" again and again must not be asked again and again.
    if (told != null && told.compareTo(FIRST_PAUSE) >= 0 && isWorthRetrying(failure)) {
      toldWait = toldWait.plus(told);
      return toldWait.compareTo(MAX_TOLD_WAIT) <= 0 ? told : null;
    }
    long pauseMillis = attempts.onError(failure);
    return pauseMillis < 0 ? null : Duration.ofMillis(pauseMillis);
  }

  /** Runs {@code request} until it succeeds or its failure is final. */
  public static <T> T run(Supplier<T> request, Cancellation cancellation, WaitListener listener) {
    RetryPolicy policy = new RetryPolicy();
    while (true) {
      try {
        return request.get();
      } catch (FetchException failure) {
        Duration pause = policy.pauseAfter(failure);
        if (pause == null) {
          throw failure;
        }
        listener.waiting(failure.getMessage(), Instant.now().plus(pause));
        cancellation.sleep(pause);
        listener.waiting(null, null);
      }
    }
  }

  private static boolean isWorthRetrying(Throwable error) {
    if (!(error instanceof FetchException failure)) {
      return false;
    }
    Integer status = failure.status();
    return switch (failure.kind()) {
      case TIMEOUT, STALLED, RATE_LIMITED -> true;
      case NETWORK -> !(failure.getCause() instanceof UnknownHostException);
      case SERVER -> status == null || status >= 500;
      default -> false;
    };
  }

  /** Whether a failure says that the server wants fewer requests at a time. */
  public static boolean isOverload(FetchException failure) {
    Integer status = failure.status();
    return failure.kind() == FailureKind.RATE_LIMITED || (status != null && status == 503);
  }
}
