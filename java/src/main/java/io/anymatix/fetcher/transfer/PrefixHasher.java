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
import java.util.concurrent.locks.LockSupport;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * Hashes a part file behind its writers: whatever is contiguous from the start is read back, from
 * the page cache, while the rest still arrives. When the last byte is there, little is left to do.
 */
final class PrefixHasher {
  /** Read at a time, and copied from there in parts that stay in the processor's cache. */
  private static final int BUFFER_BYTES = BufferPool.BUFFER_BYTES;

  private static final int CHUNK_BYTES = 32 * 1024;
  private static final long SHORTEST_PAUSE_NANOS = 1_000_000;
  private static final long LONGEST_PAUSE_NANOS = 8_000_000;

  private final PartFile part;
  private final long lengthBytes;
  private final LongSupplier contiguousBytes;
  private final Counters counters;
  private final Cancellation cancellation;
  private final CompletableFuture<ContentDigest.Result> result;
  private volatile boolean abandoned;

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

  /** Ends the hashing; waits until the part file is no longer read. */
  void abandon() {
    abandoned = true;
    result.handle((hash, error) -> true).join();
  }

  private ContentDigest.Result hash(ContentDigest digest) {
    ByteBuffer buffer = BufferPool.take();
    try {
      return hash(digest, buffer);
    } finally {
      BufferPool.giveBack(buffer);
    }
  }

  private ContentDigest.Result hash(ContentDigest digest, ByteBuffer buffer) {
    byte[] chunk = new byte[CHUNK_BYTES];
    long position = 0;
    long pauseNanos = SHORTEST_PAUSE_NANOS;
    while (position < lengthBytes) {
      if (abandoned || cancellation.isCancelled()) {
        throw new CancelledException();
      }
      long available = contiguousBytes.getAsLong();
      if (available < Math.min(lengthBytes, position + BUFFER_BYTES)) {
        LockSupport.parkNanos(pauseNanos);
        pauseNanos = Math.min(LONGEST_PAUSE_NANOS, 2 * pauseNanos);
        continue;
      }
      pauseNanos = SHORTEST_PAUSE_NANOS;
      while (position < available && !abandoned && !cancellation.isCancelled()) {
        buffer.clear().limit((int) Math.min(BUFFER_BYTES, available - position));
        if (part.read(buffer, position) < 0) {
          throw part.takenOver();
        }
        for (buffer.flip(); buffer.hasRemaining(); ) {
          int n = Math.min(chunk.length, buffer.remaining());
          buffer.get(chunk, 0, n);
          digest.update(chunk, 0, n);
          position += n;
        }
        counters.hashed(position);
      }
    }
    return digest.finish();
  }
}
