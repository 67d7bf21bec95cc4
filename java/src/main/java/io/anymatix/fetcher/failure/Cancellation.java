package io.anymatix.fetcher.failure;

import java.time.Duration;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

/**
 * One request's wish to end early, handed to everything that works for it.
 *
 * <p>Work that blocks registers how to unblock it; work that waits, waits here. Interrupts are not
 * used: an interrupt in the middle of a write closes the file for every other writer. All methods
 * may be called from any thread.
 */
public final class Cancellation {
  private final Object lock = new Object();
  private final Set<Runnable> actions = new LinkedHashSet<>();
  private volatile boolean cancelled;

  /** Cancels, once: runs every registered action on the calling thread and wakes every waiter. */
  public void cancel() {
    List<Runnable> toRun;
    synchronized (lock) {
      if (cancelled) {
        return;
      }
      cancelled = true;
      toRun = List.copyOf(actions);
      actions.clear();
      lock.notifyAll();
    }
    toRun.forEach(Runnable::run);
  }

  public boolean isCancelled() {
    return cancelled;
  }

  /**
   * Ends the work of a cancelled request.
   *
   * @throws CancelledException if this was cancelled
   */
  public void throwIfCancelled() {
    if (cancelled) {
      throw new CancelledException();
    }
  }

  /**
   * Runs {@code action} at the cancellation, at once if that was before. The action must be short,
   * must not throw, and may run while the registration is being closed.
   */
  public Registration onCancel(Runnable action) {
    synchronized (lock) {
      if (!cancelled) {
        actions.add(action);
        return () -> forget(action);
      }
    }
    action.run();
    return () -> {};
  }

  private void forget(Runnable action) {
    synchronized (lock) {
      actions.remove(action);
    }
  }

  /**
   * Waits for {@code duration}.
   *
   * @throws CancelledException as soon as this is cancelled
   */
  public void sleep(Duration duration) {
    long deadline = System.nanoTime() + duration.toNanos();
    synchronized (lock) {
      for (long left = duration.toNanos();
          left > 0 && !cancelled;
          left = deadline - System.nanoTime()) {
        try {
          lock.wait(Math.max(1, left / 1_000_000));
        } catch (InterruptedException e) {
          Thread.currentThread().interrupt();
          throw new CancelledException();
        }
      }
    }
    throwIfCancelled();
  }

  /**
   * Waits until an event has come, or completes it with a {@link CancelledException}.
   *
   * @throws CancelledException as soon as this is cancelled
   */
  public void await(CompletableFuture<Void> event) {
    Registration registration =
        onCancel(() -> event.completeExceptionally(new CancelledException()));
    try {
      event.join();
    } catch (CompletionException e) {
      throw new CancelledException();
    } finally {
      registration.close();
    }
  }

  /** Ends a registration. */
  @FunctionalInterface
  public interface Registration extends AutoCloseable {
    @Override
    void close();
  }
}
