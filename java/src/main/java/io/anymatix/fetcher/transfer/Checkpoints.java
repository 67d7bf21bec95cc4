package io.anymatix.fetcher.transfer;

import io.anymatix.fetcher.failure.FetchException;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Forces what has arrived in the background, so that a power cut costs little, and claims it. The
 * coordinating thread's own.
 */
final class Checkpoints {
  private static final Logger log = LoggerFactory.getLogger(Checkpoints.class);

  private static final Duration INTERVAL = Duration.ofSeconds(5);

  private final Job job;
  private final SegmentTable table;
  private long dueNanos = System.nanoTime() + INTERVAL.toNanos();
  private CompletableFuture<Void> running = CompletableFuture.completedFuture(null);

  Checkpoints(Job job, SegmentTable table) {
    this.job = job;
    this.table = table;
  }

  /** Begins one, if it is time. */
  void takeIfDue() {
    long now = System.nanoTime();
    if (!running.isDone() || now < dueNanos) {
      return;
    }
    await();
    dueNanos = now + INTERVAL.toNanos();
    running = CompletableFuture.runAsync(() -> job.part.checkpoint(table.covered()), job.executor);
  }

  private void await() {
    try {
      running.join();
    } catch (CompletionException e) {
      throw e.getCause() instanceof RuntimeException cause ? cause : e;
    }
  }

  /** What is there is claimed for the next attempt; a part without a byte is nothing to keep. */
  void leaveInOrder() {
    try {
      await();
      if (table.covered().isEmpty()) {
        job.part.discard();
      } else if (!table.isComplete()) {
        job.part.checkpoint(table.covered());
      }
    } catch (FetchException e) {
      // The failure that led here counts; on this boot the journal's other counts are as good.
      log.warn("{}: {}", job.fileName(), e.getMessage());
    }
  }
}
