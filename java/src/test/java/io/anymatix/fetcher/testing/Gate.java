package io.anymatix.fetcher.testing;

import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * Where answers wait until the test lets them go on. Safe from any thread; opens once, for good.
 */
public final class Gate {
  private static final Duration PATIENCE = Duration.ofSeconds(30);

  private final CountDownLatch opened = new CountDownLatch(1);
  private int arrivals;

  /** Lets everyone pass who waits or will come. */
  public void open() {
    opened.countDown();
  }

  /** How many answers have come to this gate so far. */
  public synchronized int arrivals() {
    return arrivals;
  }

  /**
   * Waits until {@code count} answers have come to this gate in all.
   *
   * @throws AssertionError if that takes more than 30 seconds
   */
  public synchronized void awaitArrivals(int count) throws InterruptedException {
    long end = System.nanoTime() + PATIENCE.toNanos();
    while (arrivals < count) {
      long leftMillis = TimeUnit.NANOSECONDS.toMillis(end - System.nanoTime());
      if (leftMillis <= 0) {
        throw new AssertionError(arrivals + " answers came to the gate instead of " + count);
      }
      wait(leftMillis);
    }
  }

  synchronized void arrive() {
    arrivals++;
    notifyAll();
  }

  /** Waits a while; true as soon as the gate is open. */
  boolean awaitOpen(long nanos) throws InterruptedException {
    return opened.await(nanos, TimeUnit.NANOSECONDS);
  }
}
