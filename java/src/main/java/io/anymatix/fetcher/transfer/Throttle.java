package io.anymatix.fetcher.transfer;

import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.CancelledException;
import java.util.Comparator;
import java.util.PriorityQueue;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * One bandwidth limit for all transfers of the process, shared fairly between files.
 *
 * <p>A token bucket says how many bytes may be read, before they are read; whose request is granted
 * next is decided by start-time fair queueing, so a file with sixteen connections gets no more than
 * one with a single connection, and what a file does not ask for goes to the others. Without a
 * limit a read costs one volatile look. Methods may be called from any thread.
 */
public final class Throttle {
  /** What may be read at once after an idle time, as a part of a second. */
  private static final double BURST_SECONDS = 0.1;

  /** One read takes at most this part of a second's bytes, so that a limit is kept smoothly. */
  private static final int READS_PER_SECOND = 100;

  private static final int SMALLEST_READ_BYTES = 1024;

  private final LongSupplier nanoClock;
  private final ReentrantLock lock = new ReentrantLock();

  /** The first is granted next. Guarded by the lock, as is all that follows. */
  private final PriorityQueue<Request> waiting =
      new PriorityQueue<>(
          Comparator.comparingDouble((Request r) -> r.start).thenComparingLong(r -> r.number));

  private volatile @Nullable Long maxBytesPerSecond;
  private double tokens;
  private long filledNanos;
  private double virtualTime;
  private long requests;

  public Throttle() {
    this(System::nanoTime);
  }

  /** With another clock, for tests that drive it by hand. */
  Throttle(LongSupplier nanoClock) {
    this.nanoClock = nanoClock;
    this.filledNanos = nanoClock.getAsLong();
  }

  /** Changes the limit at once, also for running transfers; null lifts it. */
  public void limit(@Nullable Long maxBytesPerSecond) {
    lock.lock();
    try {
      fill(); // at the rate that was in force until now
      this.maxBytesPerSecond = maxBytesPerSecond;
      grantDue();
      wakeFirst();
    } finally {
      lock.unlock();
    }
  }

  /** The limit in force, or null. */
  public @Nullable Long limit() {
    return maxBytesPerSecond;
  }

  /** The part of the bandwidth that one file gets, over however many connections. */
  public Share share() {
    return new Share();
  }

  /** Reads from a connection, at most so many bytes. */
  @FunctionalInterface
  interface Read {
    /** Returns the number of bytes read, or -1 at the end. */
    int read(int mostBytes);
  }

  /** One file's part of the bandwidth. */
  public final class Share {
    /** Where the last request of this file ends in virtual time, in bytes; guarded by the lock. */
    private double finish;

    private Share() {}

    /**
     * Reads once, when the limit allows it, and not more than it allows.
     *
     * @return what {@code read} returned
     */
    int read(int mostBytes, Cancellation cancellation, Read read) {
      Long limit = maxBytesPerSecond;
      if (limit == null) {
        return read.read(mostBytes);
      }
      int granted =
          (int) Math.min(mostBytes, Math.max(SMALLEST_READ_BYTES, limit / READS_PER_SECOND));
      Request request = request(granted);
      request.await(cancellation);
      int used = 0;
      try {
        int n = read.read(granted);
        used = Math.max(0, n);
        return n;
      } finally {
        request.giveBack(granted - used);
      }
    }

    /** Asks for a number of bytes, which are granted now or later. */
    Request request(int bytes) {
      lock.lock();
      try {
        Request request = new Request(this, bytes, Math.max(virtualTime, finish), requests++);
        finish = request.start + bytes;
        waiting.add(request);
        grantDue();
        return request;
      } finally {
        lock.unlock();
      }
    }
  }

  /** A wish to read some bytes. */
  final class Request {
    private final Share share;
    private final int bytes;
    private final double start;
    private final long number;
    private final Condition turn = lock.newCondition();
    private boolean granted;

    private Request(Share share, int bytes, double start, long number) {
      this.share = share;
      this.bytes = bytes;
      this.start = start;
      this.number = number;
    }

    /** Whether it is granted by now. */
    boolean isGranted() {
      lock.lock();
      try {
        grantDue();
        return granted;
      } finally {
        lock.unlock();
      }
    }

    /** Waits until it is granted; a cancelled one takes nothing. */
    void await(Cancellation cancellation) {
      var registration = cancellation.onCancel(this::wake);
      lock.lock();
      try {
        while (!granted && !cancellation.isCancelled()) {
          grantDue();
          if (granted) {
            break;
          }
          // The first in line watches the clock; the others are woken when they become it.
          if (waiting.peek() == this) {
            long unused = turn.awaitNanos(nanosUntilGranted());
          } else {
            turn.await();
          }
        }
        if (!granted) {
          waiting.remove(this);
        }
        wakeFirst();
      } catch (InterruptedException e) {
        waiting.remove(this);
        wakeFirst();
        Thread.currentThread().interrupt();
        throw new CancelledException();
      } finally {
        lock.unlock();
        registration.close();
      }
      cancellation.throwIfCancelled();
    }

    private void wake() {
      lock.lock();
      try {
        turn.signal();
      } finally {
        lock.unlock();
      }
    }

    /** Bytes that were granted and not read. */
    void giveBack(int unusedBytes) {
      if (unusedBytes > 0) {
        lock.lock();
        try {
          tokens += unusedBytes;
          share.finish -= unusedBytes;
          grantDue();
        } finally {
          lock.unlock();
        }
      }
    }

    /** With the lock. */
    private long nanosUntilGranted() {
      Long limit = maxBytesPerSecond;
      return limit == null ? 0 : Math.max(1, (long) Math.ceil((due(limit) - tokens) * 1e9 / limit));
    }

    /** What the bucket must hold: a request of before the limit was lowered may be larger. */
    private double due(long limit) {
      return Math.min(bytes, burstBytes(limit));
    }
  }

  /** With the lock. */
  private void fill() {
    long now = nanoClock.getAsLong();
    Long limit = maxBytesPerSecond;
    if (limit != null) {
      double earned = (now - filledNanos) / 1e9 * limit;
      // What was given back may lie above the burst; only what time brings is capped.
      tokens = Math.max(tokens, Math.min(tokens + earned, burstBytes(limit)));
    }
    filledNanos = now;
  }

  /** Room for at least two reads: a bucket smaller than one would never grant it. */
  private static double burstBytes(long limit) {
    return Math.max(limit * BURST_SECONDS, 2.0 * SMALLEST_READ_BYTES);
  }

  /** With the lock: grants, in order, what the bucket holds. */
  private void grantDue() {
    fill();
    Long limit = maxBytesPerSecond;
    for (Request first = waiting.peek();
        first != null && (limit == null || tokens >= first.due(limit));
        first = waiting.peek()) {
      waiting.remove();
      tokens -= limit == null ? 0 : first.bytes;
      virtualTime = Math.max(virtualTime, first.start);
      first.granted = true;
      first.turn.signal();
    }
  }

  /** With the lock. */
  private void wakeFirst() {
    Request first = waiting.peek();
    if (first != null) {
      first.turn.signal();
    }
  }
}
