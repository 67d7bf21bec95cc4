package io.anymatix.fetcher.testing;

/**
 * A link of limited rate, shared by whoever sends through it. Bytes are taken in the order of the
 * calls; what was missed by waking late is caught up, but time in which nobody sent is lost. Safe
 * from any thread.
 */
final class Pipe {
  private static final long CATCH_UP_NANOS = 50_000_000;

  private final long bytesPerSecond;
  private long freeAtNanos = System.nanoTime();

  Pipe(long bytesPerSecond) {
    if (bytesPerSecond <= 0) {
      throw new IllegalArgumentException("not a rate: " + bytesPerSecond + " bytes/s");
    }
    this.bytesPerSecond = bytesPerSecond;
  }

  /** Takes room for some bytes; the {@link System#nanoTime} at which they are through. */
  synchronized long take(int bytes) {
    long start = Math.max(freeAtNanos, System.nanoTime() - CATCH_UP_NANOS);
    freeAtNanos = start + (long) (bytes * 1e9 / bytesPerSecond);
    return freeAtNanos;
  }

  /** Bytes worth taking at once: about 10 ms of the rate. */
  int stepBytes() {
    return (int) Math.max(1, Math.min(64 * 1024, bytesPerSecond / 100));
  }
}
