package io.anymatix.fetcher.testing;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * Where answers wait until the test lets them go on. Safe from any thread; opens once, for good.
 */
public final class Gate {
  private static final Duration PATIENCE = Duration.ofSeconds(30);

  private final CountDownLatch opened = new CountDownLatch(1);
  private final List<Runnable> atOpening = new ArrayList<>();
  private int arrivals;

  /** Lets everyone pass who waits or will come. */
  public void open() {
    List<Runnable> due;
    synchronized (this) {
      opened.countDown();
      due = List.copyOf(atOpening);
      atOpening.clear();
    }
    due.forEach(Runnable::run);
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

  /** Whether who comes may pass. */
  boolean isOpen() {
    return opened.getCount() == 0;
  }

  /** Arrives without waiting; the action runs once the gate is open. */
  void arrive(Runnable atOpen) {
    synchronized (this) {
      arrive();
      if (!isOpen()) {
        atOpening.add(atOpen);
        return;
      }
    }
    atOpen.run();
  }

  /** Waits a while; true as soon as the gate is open. */
  boolean awaitOpen(long nanos) throws InterruptedException {
    return opened.await(nanos, TimeUnit.NANOSECONDS);
  }
}
