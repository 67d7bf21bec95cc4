package io.anymatix.fetcher.cli;

import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.LongSupplier;

/**
 * Gives the memory of a busy hour back once nothing is done any more: the JVM collects only when it
 * needs room, so without this a process that waits for days would hold what its last download took.
 * How much of the heap is kept is the business of the JVM's flags.
 *
 * <p>For one thread.
 */
final class IdleHeap {
  /** Quiet for one interval at least, and for two at most, when it collects. */
  private static final Duration INTERVAL = Duration.ofSeconds(15);

  /** Less is not worth a collection; pings alone leave so little. */
  static final long WORTHWHILE_BYTES = 2L << 20;

  private final BooleanSupplier isIdle;
  private final LongSupplier usedBytes;
  private final Runnable collection;
  private boolean wasIdle;
  private long keptBytes;

  /**
   * @param isIdle whether there is nothing to do at the moment
   * @param usedBytes how much of the heap is in use
   * @param collection collects garbage
   */
  IdleHeap(BooleanSupplier isIdle, LongSupplier usedBytes, Runnable collection) {
    this.isIdle = isIdle;
    this.usedBytes = usedBytes;
    this.collection = collection;
  }

  /**
   * Looks after the heap of this process in a thread of its own, to its end.
   *
   * @param letGo drops what is only kept for more work
   */
  static void watch(BooleanSupplier isIdle, Runnable letGo) {
    Runtime runtime = Runtime.getRuntime();
    Runnable collection =
        () -> {
          letGo.run();
          System.gc();
        };
    IdleHeap heap =
        new IdleHeap(isIdle, () -> runtime.totalMemory() - runtime.freeMemory(), collection);
    Thread thread = new Thread(heap::lookForEver, "idle-heap");
    thread.setDaemon(true);
    thread.start();
  }

  private void lookForEver() {
    try {
      while (true) {
        TimeUnit.MILLISECONDS.sleep(INTERVAL.toMillis());
        look();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** Collects if nothing was to be done at the last look and at this one, and if it is worth it. */
  void look() {
    boolean idle = isIdle.getAsBoolean();
    boolean isQuiet = wasIdle && idle;
    wasIdle = idle;
    if (isQuiet && usedBytes.getAsLong() - keptBytes >= WORTHWHILE_BYTES) {
      collection.run();
      keptBytes = usedBytes.getAsLong();
    }
  }
}
