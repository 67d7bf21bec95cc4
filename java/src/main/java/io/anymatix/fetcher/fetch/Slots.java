package io.anymatix.fetcher.fetch;

import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.CancelledException;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

/** Lets a number of threads through at a time, in the order in which they came. */
final class Slots {
  /** Guarded by this. */
  private int free;

  private final int most;
  private final Deque<CompletableFuture<Void>> line = new ArrayDeque<>();

  Slots(int most) {
    this.most = most;
    this.free = most;
  }

  /** How many there are. */
  int most() {
    return most;
  }

  /**
   * Waits for a place, which is to be given back.
   *
   * @param onWait told once, if there is none at the moment
   * @throws CancelledException at the cancellation
   */
  void take(Cancellation cancellation, Runnable onWait) {
    CompletableFuture<Void> turn = new CompletableFuture<>();
    synchronized (this) {
      if (free > 0) {
        free--;
        return;
      }
      line.add(turn);
    }
    onWait.run();
    var registration =
        cancellation.onCancel(() -> turn.completeExceptionally(new CancelledException()));
    try {
      turn.join();
    } catch (CompletionException e) {
      synchronized (this) {
        line.removeIf(waiting -> waiting == turn);
      }
      throw new CancelledException();
    } finally {
      registration.close();
    }
  }

  /** Lets the next one through. */
  synchronized void giveBack() {
    // Whoever was cancelled meanwhile does not take it.
    for (CompletableFuture<Void> next = line.poll(); next != null; next = line.poll()) {
      if (next.complete(null)) {
        return;
      }
    }
    free++;
  }
}
