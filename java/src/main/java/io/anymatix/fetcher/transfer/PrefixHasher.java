package io.anymatix.fetcher.transfer;

import io.anymatix.fetcher.content.ContentDigest;
import io.anymatix.fetcher.content.ContentKey;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.store.PartFile;
import java.nio.ByteBuffer;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * Hashes a part file behind its writers: what comes in order is handed over in memory, everything
 * else that is contiguous from the start is read back, from the page cache, while the rest still
 * arrives. When the last byte is there, little is left to do.
 */
final class PrefixHasher {
  /** For content whose end is known once it is there. */
  static final long UNKNOWN_LENGTH = Long.MAX_VALUE;

  /** What is read back at a time, at least, so that the hash does not run after each packet. */
  private static final int WORTHWHILE_BYTES = BufferPool.BUFFER_BYTES;

  /**
   * What is handed over, at least, so that a slow connection does not wake the hash all the time.
   */
  private static final int HANDED_BYTES = 64 * 1024;

  /** What one call reads back; it is to stay in the processor's cache until it is hashed. */
  private static final int READ_BYTES = 128 * 1024;

  private static final int CHUNK_BYTES = 32 * 1024;
  private static final long SHORTEST_PAUSE_NANOS = 1_000_000;
  private static final long LONGEST_PAUSE_NANOS = 8_000_000;

  private final PartFile part;
  private final LongSupplier contiguousBytes;
  private final Counters counters;
  private final Cancellation cancellation;
  private final CompletableFuture<ContentDigest.Result> result;
  private final AtomicReference<@Nullable Handed> handed = new AtomicReference<>();

  private volatile long lengthBytes;

  /** Where the hash will have come to once it is through with what it is at. */
  private volatile long nextPosition;

  private volatile @Nullable Thread thread;
  private volatile boolean abandoned;

  /** Bytes of the file that are in memory still. */
  private record Handed(ByteBuffer content, long position) {}

  PrefixHasher(
      PartFile part,
      long lengthBytes,
      @Nullable ContentKey key,
      LongSupplier contiguousBytes,
      Counters counters,
      Cancellation cancellation,
      Executor executor) {
    this.part = part;
    this.lengthBytes = lengthBytes;
    this.contiguousBytes = contiguousBytes;
    this.counters = counters;
    this.cancellation = cancellation;
    this.result = CompletableFuture.supplyAsync(() -> hash(new ContentDigest(key)), executor);
  }

  /**
   * Offers bytes that were just written, so that they need not be read back: they are taken if they
   * are what is hashed next. Never waits. Any thread.
   *
   * @param written all of the buffer's remaining bytes
   * @param position where in the file they begin
   * @return an empty buffer to go on with; {@code written} is no longer the caller's
   */
  ByteBuffer exchange(ByteBuffer written, long position) {
    if (position != nextPosition
        || written.remaining() < HANDED_BYTES
        || !handed.compareAndSet(null, new Handed(written, position))) {
      return written.clear();
    }
    LockSupport.unpark(thread);
    return BufferPool.take();
  }

  /**
   * Waits for the hash of the whole file; call it once every byte is written.
   *
   * @throws io.anymatix.fetcher.failure.FetchException if the part could not be read
   */
  ContentDigest.Result await() {
    try {
      return result.join();
    } catch (CompletionException e) {
      if (e.getCause() instanceof RuntimeException cause) {
        throw cause;
      }
      throw e;
    }
  }

  /** The same for content that has ended at this length. */
  ContentDigest.Result await(long endBytes) {
    lengthBytes = endBytes;
    LockSupport.unpark(thread);
    return await();
  }

  /** Ends the hashing; waits until the part file is no longer read. */
  void abandon() {
    abandoned = true;
    result.handle((hash, error) -> true).join();
  }

  private ContentDigest.Result hash(ContentDigest digest) {
    thread = Thread.currentThread();
    ByteBuffer buffer = BufferPool.take();
    try {
      return hash(digest, buffer);
    } finally {
      thread = null;
      nextPosition = -1;
      BufferPool.giveBack(buffer);
      Handed late = handed.getAndSet(null);
      if (late != null) {
        BufferPool.giveBack(late.content());
      }
    }
  }

  private ContentDigest.Result hash(ContentDigest digest, ByteBuffer buffer) {
    byte[] chunk = new byte[CHUNK_BYTES];
    long position = 0;
    long pauseNanos = SHORTEST_PAUSE_NANOS;
    while (position < lengthBytes) {
      requireWanted();
      Handed next = handed.getAndSet(null);
      if (next != null) {
        // What was handed over too late has been read back already.
        if (next.position() == position) {
          position += next.content().remaining();
          nextPosition = position;
          update(digest, next.content(), chunk);
          counters.hashed(position);
        }
        BufferPool.giveBack(next.content());
        pauseNanos = SHORTEST_PAUSE_NANOS;
        continue;
      }
      long available = contiguousBytes.getAsLong();
      if (available < Math.min(lengthBytes, position + WORTHWHILE_BYTES)) {
        LockSupport.parkNanos(pauseNanos);
        pauseNanos = Math.min(LONGEST_PAUSE_NANOS, 2 * pauseNanos);
        continue;
      }
      pauseNanos = SHORTEST_PAUSE_NANOS;
      nextPosition = available;
      while (position < available) {
        requireWanted();
        buffer.clear().limit((int) Math.min(READ_BYTES, available - position));
        int n = part.read(buffer, position);
        if (n < 0) {
          throw part.takenOver();
        }
        update(digest, buffer.flip(), chunk);
        position += n;
        counters.hashed(position);
      }
    }
    return digest.finish();
  }

  private void requireWanted() {
    if (abandoned || cancellation.isCancelled()) {
      throw new CancelledException();
    }
  }

  private static void update(ContentDigest digest, ByteBuffer content, byte[] chunk) {
    while (content.hasRemaining()) {
      int n = Math.min(chunk.length, content.remaining());
      content.get(chunk, 0, n);
      digest.update(chunk, 0, n);
    }
  }
}
