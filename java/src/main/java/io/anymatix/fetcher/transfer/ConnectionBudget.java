package io.anymatix.fetcher.transfer;

import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.http.RequestGate.Site;
import io.anymatix.fetcher.http.RetryPolicy;
import io.anymatix.fetcher.transfer.ConnectionController.Finding;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * How many connections all transfers of the process may have open together, and how many of them to
 * one site, shared fairly between files (max-min: what one file does not wish for goes to those
 * that wish for more).
 *
 * <p>A site's ceiling holds at every moment: a file that finds it reached waits for a connection of
 * another file to end. Below it every file may always have one, so that it moves: with more files
 * than connections the most for all is exceeded by that. A share that shrinks because another file
 * joined is reached as connections end; none is cut. What is asked beside the content comes on top,
 * and has to wait for its turn where that is too much for a site ({@link
 * io.anymatix.fetcher.http.RequestGate}). Methods may be called from any thread.
 */
public final class ConnectionBudget {
  /** Sites that are remembered; there is no end of hosts, and the process lives long. */
  private static final int MOST_SITES = 1000;

  /** How often somebody who waits looks whether there is a connection for him. */
  private static final Duration LOOK_INTERVAL = Duration.ofMillis(100);

  private final int mostConnections;
  private final Map<String, Finding> findings = new ConcurrentHashMap<>();

  /** Guarded by this, as is what the shares hold. */
  private final List<Share> shares = new ArrayList<>();

  /** Connections that are open at a site, by its name; guarded by this. */
  private final Map<String, Integer> heldOfSites = new HashMap<>();

  /**
   * @param mostConnections for all files together
   */
  public ConnectionBudget(int mostConnections) {
    this.mostConnections = mostConnections;
  }

  /**
   * A file begins to be transferred.
   *
   * @param site where most of its connections will be
   * @param listener hears that the file has to wait for its first connection, and why
   */
  public synchronized Share join(Site site, RetryPolicy.WaitListener listener) {
    Share share = new Share(site, listener);
    shares.add(share);
    divide();
    return share;
  }

  /** Connections that are open now. */
  public synchronized int taken() {
    return shares.stream().mapToInt(share -> share.held).sum();
  }

  /** With the lock: one connection after the other to each file that may have one more. */
  private void divide() {
    shares.forEach(share -> share.most = 1);
    int left = mostConnections - shares.size();
    for (boolean anyDealt = true; anyDealt; ) {
      anyDealt = false;
      for (Share share : shares) {
        if (left > 0
            && share.most < share.wished
            && dealtTo(share.site) < share.site.mostRequests()) {
          share.most++;
          left--;
          anyDealt = true;
        }
      }
    }
  }

  /** With the lock: what the files of one site may have together. */
  private int dealtTo(Site site) {
    return shares.stream()
        .filter(each -> each.site.name().equals(site.name()))
        .mapToInt(each -> each.most)
        .sum();
  }

  /** One file's part of the budget. */
  public final class Share implements AutoCloseable {
    private final Site site;
    private final RetryPolicy.WaitListener listener;
    private int wished = 1;
    private int most = 1;
    private int held;

    private Share(Site site, RetryPolicy.WaitListener listener) {
      this.site = site;
      this.listener = listener;
    }

    /** The site that the file belongs to. */
    public Site site() {
      return site;
    }

    /** How many connections the file could use. */
    void wish(int connections) {
      synchronized (ConnectionBudget.this) {
        wished = Math.max(1, connections);
        divide();
      }
    }

    /**
     * Takes one connection, if there is one for this file at this moment.
     *
     * @param at where it leads; given back with {@link #giveBack}
     */
    boolean tryTake(Site at) {
      synchronized (ConnectionBudget.this) {
        boolean isSiteBusy = heldOfSites.getOrDefault(at.name(), 0) >= at.mostRequests();
        if (isSiteBusy && held == 0) {
          listener.waiting(at.reasonToWait(), null);
        }
        if (isSiteBusy || (held > 0 && (held >= most || taken() >= mostConnections))) {
          return false;
        }
        held++;
        heldOfSites.merge(at.name(), 1, Integer::sum);
        return true;
      }
    }

    /**
     * Waits for a connection, the only one of this file, and takes it for one exchange.
     *
     * @throws CancelledException as soon as {@code cancellation} is cancelled
     */
    public <T extends @Nullable Object> T withOnly(
        Site at, Cancellation cancellation, Supplier<T> exchange) {
      wish(1);
      if (!tryTake(at)) {
        do {
          cancellation.sleep(LOOK_INTERVAL);
        } while (!tryTake(at));
        listener.waiting(null, null);
      }
      try {
        return exchange.get();
      } finally {
        giveBack(at);
      }
    }

    /** What the last file of this site has found out, if any did. */
    @Nullable Finding found() {
      return findings.get(site.name());
    }

    /** Remembers it for the next file. */
    void remember(@Nullable Finding finding) {
      if (finding != null && (findings.size() < MOST_SITES || findings.containsKey(site.name()))) {
        findings.put(site.name(), finding);
      }
    }

    /** A connection has ended. */
    void giveBack(Site at) {
      synchronized (ConnectionBudget.this) {
        held--;
        heldOfSites.computeIfPresent(at.name(), (name, all) -> all > 1 ? all - 1 : null);
      }
    }

    /** The file is done, or given up; every connection has been given back. */
    @Override
    public void close() {
      synchronized (ConnectionBudget.this) {
        if (shares.remove(this)) {
          divide();
        }
      }
    }
  }
}
