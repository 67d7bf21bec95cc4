package io.anymatix.fetcher.transfer;

import io.anymatix.fetcher.failure.Cancellation;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

/**
 * One bandwidth limit for all transfers of the process. Without a limit it costs one volatile read.
 * Methods may be called from any thread.
 */
public final class Throttle {
  /** What may be sent at once after an idle time, as a part of a second. */
  private static final double BURST_SECONDS = 0.1;

  private volatile @Nullable Long maxBytesPerSecond;
  private double nextFreeNanos = System.nanoTime();

  /** Changes the limit at once, also for running transfers; null lifts it. */
  public void limit(@Nullable Long maxBytesPerSecond) {
    this.maxBytesPerSecond = maxBytesPerSecond;
  }

  /** The limit in force, or null. */
  public @Nullable Long limit() {
    return maxBytesPerSecond;
  }

  /** Bytes to ask for at a time: small enough that a limit is kept smoothly. */
  int chunkBytes(int wantedBytes) {
    Long limit = maxBytesPerSecond;
    return limit == null ? wantedBytes : (int) Math.max(1024, Math.min(wantedBytes, limit / 50));
  }

  /** Waits until bytes that were received fit into the limit. */
  void received(int bytes, Cancellation cancellation) {
    Long limit = maxBytesPerSecond;
    if (limit == null) {
      return;
    }
    long waitNanos;
    synchronized (this) {
      double now = System.nanoTime();
      nextFreeNanos = Math.max(nextFreeNanos, now - BURST_SECONDS * 1e9) + bytes * 1e9 / limit;
      waitNanos = (long) (nextFreeNanos - now);
    }
    if (waitNanos > 0) {
      cancellation.sleep(Duration.ofNanos(waitNanos));
    }
  }
}
