package io.anymatix.fetcher.transfer;

import java.nio.ByteBuffer;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Buffers outside the heap in which bytes are gathered before they are written: few large writes
 * cost less than many small ones, and from here they need not be copied once more. A few are kept
 * for the next segment; the collector frees the others. Any thread.
 */
public final class BufferPool {
  static final int BUFFER_BYTES = 512 * 1024;

  private static final int MOST_KEPT = 16;

  private static final ConcurrentLinkedDeque<ByteBuffer> KEPT = new ConcurrentLinkedDeque<>();
  private static final AtomicInteger KEPT_COUNT = new AtomicInteger();

  private BufferPool() {}

  /** An empty buffer, the caller's own until it is given back. */
  static ByteBuffer take() {
    ByteBuffer kept = KEPT.pollLast();
    if (kept == null) {
      return ByteBuffer.allocateDirect(BUFFER_BYTES);
    }
    KEPT_COUNT.decrementAndGet();
    return kept.clear();
  }

  /** Leaves those that are kept to the collector. */
  public static void drop() {
    while (KEPT.pollLast() != null) {
      KEPT_COUNT.decrementAndGet();
    }
  }

  static void giveBack(ByteBuffer buffer) {
    if (KEPT_COUNT.incrementAndGet() <= MOST_KEPT) {
      KEPT.addLast(buffer);
    } else {
      KEPT_COUNT.decrementAndGet();
    }
  }
}
