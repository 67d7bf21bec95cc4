package io.anymatix.fetcher.http;

import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.CancelledException;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Lets no site have more requests at a time than it bears, whatever they are for: ranges, whole
 * files, probes, pages and metadata. Who comes too late waits in line until an exchange is over;
 * nobody may wait there before its own last exchange is. One object for all that a process sends.
 * Methods may be called from any thread.
 */
public final class RequestGate {
  private final Map<String, Line> lines = new HashMap<>();

  /**
   * Those whose requests count together.
   *
   * @param name tells one from another
   * @param mostRequests that may be under way there at a time; one at least
   */
  public record Site(String name, int mostRequests) {
    /** Why somebody waits there. */
    public String reasonToWait() {
      return "Other downloads have the " + mostRequests + " connections that this site bears.";
    }
  }

  /** What is at one site; guarded by the gate. */
  private static final class Line {
    private final Queue<CompletableFuture<Void>> waiting = new ArrayDeque<>();
    private int inside;
  }

  /** A request's stay; closing it, also more than once, lets the next one in. */
  interface Pass extends AutoCloseable {
    @Override
    void close();
  }

  /**
   * Waits until a request may be sent.
   *
   * @param listener hears of it if that takes any time
   * @return to be closed when the exchange is over
   * @throws CancelledException as soon as {@code cancellation} is cancelled
   */
  Pass enter(Site site, Cancellation cancellation, RetryPolicy.WaitListener listener) {
    CompletableFuture<Void> turn = new CompletableFuture<>();
    synchronized (this) {
      Line line = lines.computeIfAbsent(site.name(), name -> new Line());
      if (line.inside < site.mostRequests()) {
        line.inside++;
        turn.complete(null);
      } else {
        line.waiting.add(turn);
      }
    }
    if (!turn.isDone()) {
      listener.waiting(site.reasonToWait(), null);
      cancellation.await(turn);
      listener.waiting(null, null);
    }
    AtomicBoolean over = new AtomicBoolean();
    return () -> {
      if (over.compareAndSet(false, true)) {
        leave(site);
      }
    };
  }

  private synchronized void leave(Site site) {
    Line line = lines.get(site.name());
    if (line == null) {
      return;
    }
    for (CompletableFuture<Void> next = line.waiting.poll();
        next != null;
        next = line.waiting.poll()) {
      if (next.complete(null)) {
        return; // in place of the one that left; who was cancelled is passed over
      }
    }
    line.inside--;
    if (line.inside == 0) {
      lines.remove(site.name());
    }
  }
}
