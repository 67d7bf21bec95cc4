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

  /** What may lie in the page cache alone: the less, the sooner a complete file is on the disk. */
  private static final long FLUSH_BYTES = 32L << 20;

  private final Job job;
  private final SegmentTable table;
  private long flushedBytes;
  private long dueNanos = System.nanoTime() + INTERVAL.toNanos();
  private CompletableFuture<Void> running = CompletableFuture.completedFuture(null);

  Checkpoints(Job job, SegmentTable table) {
    this.job = job;
    this.table = table;
  }

  /** Begins one, if it is time, or at least pushes data to the disk if there is much of it. */
  void takeIfDue() {
    if (!running.isDone()) {
      return;
    }
    long now = System.nanoTime();
    long received = job.counters.transferredBytes();
    if (now - dueNanos >= 0) {
      await();
      dueNanos = now + INTERVAL.toNanos();
      flushedBytes = received;
      running =
          CompletableFuture.runAsync(() -> job.part.checkpoint(table.covered()), job.executor);
    } else if (received - flushedBytes >= FLUSH_BYTES) {
      await();
      flushedBytes = received;
      running = CompletableFuture.runAsync(job.part::flush, job.executor);
    }
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
