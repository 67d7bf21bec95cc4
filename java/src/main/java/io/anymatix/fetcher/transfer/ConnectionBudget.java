package io.anymatix.fetcher.transfer;

import io.anymatix.fetcher.transfer.ConnectionController.Finding;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.ToIntFunction;
import org.jspecify.annotations.Nullable;

/**
 * How many connections all transfers of the process may have open together, and how many of them to
 * one site, shared fairly between files (max-min: what one file does not wish for goes to those
 * that wish for more).
 *
 * <p>A site's ceiling holds at every moment: a file that finds it reached waits for a connection of
 * another file to end. Below it every file may always have one, so that it moves: with more files
 * than connections the most for all is exceeded by that. A share that shrinks because another file
 * joined is reached as connections end; none is cut. Methods may be called from any thread.
 */
public final class ConnectionBudget {
  /** Sites that are remembered; there is no end of hosts, and the process lives long. */
  private static final int MOST_SITES = 1000;

  private final int mostConnections;
  private final Map<String, Finding> findings = new ConcurrentHashMap<>();

  /** Guarded by this, as is what the shares hold. */
  private final List<Share> shares = new ArrayList<>();

  /**
   * @param mostConnections for all files together
   */
  public ConnectionBudget(int mostConnections) {
    this.mostConnections = mostConnections;
  }

  /**
   * A file begins to be transferred.
   *
   * @param site whose connections are counted together
   * @param mostOfSite connections that the site bears, over all files
   * @param counters are told when the file has to wait for its first connection
   */
  public synchronized Share join(String site, int mostOfSite, Counters counters) {
    Share share = new Share(site, mostOfSite, counters);
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
            && ofSite(share, each -> each.most) < share.mostOfSite) {
          share.most++;
          left--;
          anyDealt = true;
        }
      }
    }
  }

  /** With the lock: what the files of one site have together. */
  private int ofSite(Share share, ToIntFunction<Share> what) {
    return shares.stream().filter(each -> each.site.equals(share.site)).mapToInt(what).sum();
  }

  /** One file's part of the budget. */
  public final class Share implements AutoCloseable {
    private final String site;
    private final int mostOfSite;
    private final Counters counters;
    private int wished = 1;
    private int most = 1;
    private int held;

    private Share(String site, int mostOfSite, Counters counters) {
      this.site = site;
      this.mostOfSite = mostOfSite;
      this.counters = counters;
    }

    /** How many connections the file could use. */
    void wish(int connections) {
      synchronized (ConnectionBudget.this) {
        wished = Math.max(1, connections);
        divide();
      }
    }

    /** Takes one connection, if there is one for this file at this moment. */
    boolean tryTake() {
      synchronized (ConnectionBudget.this) {
        boolean isSiteBusy = ofSite(this, each -> each.held) >= mostOfSite;
        if (isSiteBusy && held == 0) {
          counters.waiting(
              "Other downloads have the " + mostOfSite + " connections that this site bears.",
              null);
        }
        if (isSiteBusy || (held > 0 && (held >= most || taken() >= mostConnections))) {
          return false;
        }
        held++;
        return true;
      }
    }

    /** What the last file of this site has found out, if any did. */
    @Nullable Finding found() {
      return findings.get(site);
    }

    /** Remembers it for the next file. */
    void remember(@Nullable Finding finding) {
      if (finding != null && (findings.size() < MOST_SITES || findings.containsKey(site))) {
        findings.put(site, finding);
      }
    }

    /** A connection has ended. */
    void giveBack() {
      synchronized (ConnectionBudget.this) {
        held--;
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
