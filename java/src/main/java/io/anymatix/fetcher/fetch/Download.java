package io.anymatix.fetcher.fetch;

import io.anymatix.fetcher.content.ModelMetadata;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.fetch.Progress.Phase;
import io.anymatix.fetcher.fetch.Progress.Status;
import io.anymatix.fetcher.transfer.Counters;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * One caller's view of a fetch: how far it is, and the way to end it early. Several callers that
 * want the same file look at the same work. All methods may be called from any thread.
 */
public final class Download {
  /** A rate is a mean over about this long, in seconds. */
  private static final double RATE_MEMORY_SECONDS = 2.0;

  private final Cancellation cancellation = new Cancellation();
  private volatile @Nullable Work work;
  private volatile Consumer<Progress> metadataListener = progress -> {};

  private long sampledNanos;
  private long sampledBytes;
  private double bytesPerSecond;

  /** What a running fetch shows of itself; written by the thread that does it. */
  static final class Work {
    final Counters counters = new Counters();
    final Cancellation cancellation = new Cancellation();
    volatile Phase phase = Phase.RESOLVING;
    volatile String fileName = "";
    volatile @Nullable Long totalBytes;
    private final CompletableFuture<ModelMetadata> metadata = new CompletableFuture<>();

    /** Whether somebody else decides how many run at a time. */
    final boolean inLine;

    private int callers;
    private boolean claimed;

    Work(boolean inLine) {
      this.inLine = inLine;
    }

    /** Tells all callers, once, what is known of the model, if that is anything. */
    void tell(ModelMetadata told) {
      if (told.baseModel() != null || !told.trainedWords().isEmpty()) {
        metadata.complete(told);
      }
    }

    /** Whether this call is the one that has to do the work. */
    synchronized boolean claim() {
      boolean first = !claimed;
      claimed = true;
      return first;
    }

    /** Another caller joins; false if the last one has already given up. */
    synchronized boolean join() {
      if (cancellation.isCancelled()) {
        return false;
      }
      callers++;
      return true;
    }

    /** A caller gives up; the last one ends the work. */
    synchronized void leave() {
      if (--callers == 0) {
        cancellation.cancel();
      }
    }
  }

  /** Asks for an end; the fetch then throws a cancellation within a second. */
  public void cancel() {
    cancellation.cancel();
  }

  Cancellation cancellation() {
    return cancellation;
  }

  /**
   * Has this called once, with a value of the status {@code metadata}, when it is known what the
   * model is; to be set before the fetch begins. The listener must not wait.
   */
  public void onMetadata(Consumer<Progress> listener) {
    metadataListener = listener;
  }

  void shows(Work shown) {
    work = shown;
    var unused = shown.metadata.thenAccept(told -> metadataListener.accept(snapshot().with(told)));
  }

  /** The state at this moment, without waiting. */
  public synchronized Progress snapshot() {
    Work shown = work;
    if (shown == null) {
      return new Progress(
          Phase.RESOLVING,
          Status.PROGRESS,
          null,
          0,
          null,
          0,
          null,
          0,
          "",
          null,
          null,
          null,
          null,
          null);
    }
    Counters counters = shown.counters;
    Counters.Wait wait = counters.waiting();
    Phase phase = wait != null ? Phase.WAITING : shown.phase;
    boolean hashing = shown.phase == Phase.VERIFYING || shown.phase == Phase.ADOPTING;
    long done = hashing ? counters.hashedBytes() : counters.presentBytes();
    Long total = shown.totalBytes;
    double rate = rate(hashing ? counters.hashedBytes() : counters.transferredBytes());
    Double share = total == null ? null : total == 0 ? 1.0 : Math.min(1.0, (double) done / total);
    Double eta = total == null || rate <= 0 ? null : Math.max(0, total - done) / rate;
    return new Progress(
        phase,
        Status.PROGRESS,
        share,
        rounded(rate / 1e6),
        eta == null ? null : rounded(eta),
        done,
        total,
        counters.connections(),
        shown.fileName,
        wait == null ? null : wait.reason(),
        wait == null || wait.until() == null ? null : wait.until().toEpochMilli(),
        null,
        null,
        null);
  }

  private double rate(long countedBytes) {
    long now = System.nanoTime();
    double elapsed = (now - sampledNanos) / 1e9;
    if (sampledNanos == 0 || countedBytes < sampledBytes) {
      bytesPerSecond = 0;
    } else if (elapsed > 0) {
      double weight = 1 - Math.exp(-elapsed / RATE_MEMORY_SECONDS);
      double current = (countedBytes - sampledBytes) / elapsed;
      // The first sample is all there is to go by.
      bytesPerSecond =
          bytesPerSecond == 0 ? current : bytesPerSecond + weight * (current - bytesPerSecond);
    }
    sampledNanos = now;
    sampledBytes = countedBytes;
    return bytesPerSecond;
  }

  private static double rounded(double value) {
    return Math.round(value * 1000) / 1000.0;
  }
}
