package io.anymatix.fetcher.transfer;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * How many connections all transfers of the process may have open together, shared fairly between
 * files (max-min: what one file does not wish for goes to those that wish for more).
 *
 * <p>Every file may always have one, so that it moves: with more files than connections the most is
 * exceeded by that. A share that shrinks because another file joined is reached as connections end;
 * none is cut. Methods may be called from any thread.
 */
public final class ConnectionBudget {
  private final int mostConnections;

  /** Guarded by this, as is what the shares hold. */
  private final List<Share> shares = new ArrayList<>();

  private int taken;

  /**
   * @param mostConnections for all files together
   */
  public ConnectionBudget(int mostConnections) {
    this.mostConnections = mostConnections;
  }

  /** A file begins to be transferred. */
  public synchronized Share join() {
    Share share = new Share();
    shares.add(share);
    divide();
    return share;
  }

  /** Connections that are open now. */
  public synchronized int taken() {
    return taken;
  }

  /** With the lock: the smallest wishes are met first, the rest is for the others. */
  private void divide() {
    List<Share> byWish =
        shares.stream().sorted(Comparator.comparingInt((Share share) -> share.wished)).toList();
    int left = mostConnections;
    int files = byWish.size();
    for (Share share : byWish) {
      share.most = Math.max(1, Math.min(share.wished, left / files));
      left = Math.max(0, left - share.most);
      files--;
    }
  }

  /** One file's part of the budget. */
  public final class Share implements AutoCloseable {
    private int wished = 1;
    private int most = 1;
    private int held;
    private boolean closed;

    private Share() {}

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
        if (held > 0 && (held >= most || taken >= mostConnections)) {
          return false;
        }
        held++;
        taken++;
        return true;
      }
    }

    /** A connection has ended. */
    void giveBack() {
      synchronized (ConnectionBudget.this) {
        held--;
        taken--;
      }
    }

    /** The file is done, or given up; every connection has been given back. */
    @Override
    public void close() {
      synchronized (ConnectionBudget.this) {
        if (!closed) {
          closed = true;
          shares.remove(this);
          divide();
        }
      }
    }
  }
}
