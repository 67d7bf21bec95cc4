package io.anymatix.fetcher.transfer;

import io.anymatix.fetcher.content.ContentDigest;
import io.anymatix.fetcher.content.RemoteFile;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.http.Answer;
import io.anymatix.fetcher.http.Opening;
import io.anymatix.fetcher.store.Journal.Identity;
import io.anymatix.fetcher.store.PartFile;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ConcurrentMap;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Files that come whole with the answer that describes them. They are held in memory until it is
 * known where they go and that they are wanted, and then written at once: no second request, no
 * journal, no thread of their own. One object bounds the memory of all of them; methods may be
 * called from any thread.
 */
public final class SmallFiles {
  private static final Logger log = LoggerFactory.getLogger(SmallFiles.class);

  /** A longer file is worth a request of its own: beside its bytes a round trip is nothing. */
  public static final int LONGEST_BYTES = 1 << 20;

  /** Files held at the same time, in bytes: a small part of any heap. */
  private static final int MOST_HELD_BYTES =
      (int) Math.min(32 << 20, Runtime.getRuntime().maxMemory() / 8);

  /** Arrays have a multiple of this length, so that one fits files of about the same length. */
  private static final int ARRAY_STEP_BYTES = 16 * 1024;

  /** Below this what is left of the memory is not worth asking for. */
  private static final int SHORTEST_PIECE_BYTES = 16 * 1024;

  private final Throttle throttle;
  private final Executor executor;
  private final AtomicInteger heldBytes = new AtomicInteger();

  /** Of files that were written; to collect them costs as much as to write them. By length. */
  private final ConcurrentMap<Integer, Queue<byte[]>> spare = new ConcurrentHashMap<>();

  private final AtomicInteger spareBytes = new AtomicInteger();

  /**
   * @param throttle limits the reading
   * @param executor ends what takes too long; must never queue
   */
  public SmallFiles(Throttle throttle, Executor executor) {
    this.throttle = throttle;
    this.executor = executor;
  }

  /** A first request for a file, that asks for as much as may be held at this moment. */
  public Opening opening() {
    int free = MOST_HELD_BYTES - heldBytes.get();
    return free < SHORTEST_PIECE_BYTES
        ? Opening.ofFirstByte()
        : Opening.ofFirstPiece(Math.min(LONGEST_BYTES, free));
  }

  /** Whether bytes that come early would be held back by a limit, and lost if all ends. */
  public boolean isLimited() {
    return throttle.limit() != null;
  }

  /**
   * Reads the file that a first request has brought.
   *
   * @param patience how long that may take; what takes longer is left to a transfer
   * @param budget the file's part of all connections
   * @return null if there is none, or it did not come whole; then nothing is lost but time
   */
  public @Nullable SmallFile receive(
      Opening opening,
      Duration patience,
      ConnectionBudget.Share budget,
      Counters counters,
      Cancellation cancellation) {
    CompletableFuture<Void> end =
        CompletableFuture.runAsync(
            opening::abort,
            CompletableFuture.delayedExecutor(patience.toNanos(), TimeUnit.NANOSECONDS, executor));
    try {
      return receive(opening, budget, counters, cancellation, (bytes, length) -> {});
    } finally {
      end.cancel(false);
    }
  }

  /**
   * The same for a file whose part is open: what came of an answer that ended early, or was
   * cancelled, is kept there.
   */
  public @Nullable SmallFile receive(
      Opening opening,
      RemoteFile remote,
      PartFile part,
      ConnectionBudget.Share budget,
      Counters counters,
      Cancellation cancellation) {
    long length = opening.endBytes();
    return receive(
        opening,
        budget,
        counters,
        cancellation,
        (bytes, received) -> {
          if (received > 0 && part.lengthBytes() == 0) {
            part.requireSpace(length);
            part.begin(length, new Identity(remote.validator(), remote.sha256()), List.of());
            part.write(ByteBuffer.wrap(bytes, 0, received), 0);
          }
        });
  }

  /** Takes what came of a file that did not come whole. */
  @FunctionalInterface
  private interface Fragment {
    void accept(byte[] bytes, int length);
  }

  private @Nullable SmallFile receive(
      Opening opening,
      ConnectionBudget.Share budget,
      Counters counters,
      Cancellation cancellation,
      Fragment fragment) {
    if (!opening.holdsFile()) {
      return null;
    }
    int length = Math.toIntExact(opening.endBytes());
    byte[] array = takeArray(length);
    if (array == null) {
      opening.close();
      return null;
    }
    boolean taken = budget.tryTake(budget.site());
    boolean whole = false;
    try (Answer answer = opening.take()) {
      whole =
          taken && answer != null && read(answer, array, length, counters, cancellation, fragment);
      return whole && answer != null ? new SmallFile(array, length, answer.isHttp2()) : null;
    } catch (FetchException e) {
      cancellation.throwIfCancelled();
      log.debug("a small file did not come whole with the first answer: {}", e.getMessage());
      counters.retries.incrementAndGet();
      return null;
    } finally {
      if (taken) {
        budget.giveBack(budget.site());
      }
      if (!whole) {
        giveBackArray(array);
      }
    }
  }

  /** An array of that length or somewhat more; null if what is held would be too much with it. */
  private byte @Nullable [] takeArray(int length) {
    int steps = Math.max(1, (length + ARRAY_STEP_BYTES - 1) / ARRAY_STEP_BYTES);
    int arrayBytes = steps * ARRAY_STEP_BYTES;
    if (heldBytes.addAndGet(arrayBytes) > MOST_HELD_BYTES) {
      heldBytes.addAndGet(-arrayBytes);
      return null;
    }
    Queue<byte[]> fitting = spare.get(arrayBytes);
    byte[] array = fitting == null ? null : fitting.poll();
    if (array == null) {
      return new byte[arrayBytes];
    }
    spareBytes.addAndGet(-arrayBytes);
    return array;
  }

  private void giveBackArray(byte[] array) {
    if (spareBytes.addAndGet(array.length) <= MOST_HELD_BYTES) {
      spare.computeIfAbsent(array.length, length -> new ConcurrentLinkedQueue<>()).add(array);
    } else {
      spareBytes.addAndGet(-array.length);
    }
    heldBytes.addAndGet(-array.length);
  }

  /** Leaves the memory of files that were written to the collector. */
  public void dropSpare() {
    for (Queue<byte[]> arrays : spare.values()) {
      for (byte[] array = arrays.poll(); array != null; array = arrays.poll()) {
        spareBytes.addAndGet(-array.length);
      }
    }
  }

  /** Whether all came. */
  private boolean read(
      Answer answer,
      byte[] content,
      int length,
      Counters counters,
      Cancellation cancellation,
      Fragment fragment) {
    Throttle.Share bandwidth = throttle.share();
    AtomicInteger received = new AtomicInteger();
    counters.begin(0, received::get);
    counters.connections.incrementAndGet();
    boolean whole = false;
    try {
      while (received.get() < length) {
        int at = received.get();
        int n = bandwidth.read(length - at, cancellation, most -> answer.read(content, at, most));
        if (n < 0) {
          return false;
        }
        counters.transferredBytes.add(n);
        received.addAndGet(n);
      }
      // The end is read, too: it proves the length, and leaves the connection for the next file.
      whole = answer.read(new byte[1], 0, 1) < 0;
      return whole;
    } finally {
      counters.connections.decrementAndGet();
      if (!whole) {
        fragment.accept(content, received.get());
      }
    }
  }

  /**
   * A whole file in memory; closing it gives the memory up, to another file, and so waits until it
   * is written.
   */
  public final class SmallFile implements AutoCloseable {
    private final int lengthBytes;
    private final boolean http2;
    private volatile byte @Nullable [] content;

    private SmallFile(byte[] content, int lengthBytes, boolean http2) {
      this.content = content;
      this.lengthBytes = lengthBytes;
      this.http2 = http2;
    }

    /**
     * Writes it in place of whatever the part file holds.
     *
     * @return null if the memory was given up
     * @throws FetchException {@code diskFull}, {@code storage}
     */
    public synchronized Transfer.@Nullable Result writeTo(PartFile part, Counters counters) {
      byte[] bytes = content;
      if (bytes == null) {
        return null;
      }
      if (part.lengthBytes() > 0) {
        part.discard();
      }
      part.requireSpace(lengthBytes);
      counters.begin(0, () -> lengthBytes);
      // It may have been received on behalf of this download before that began.
      counters.transferredBytes.add(lengthBytes - counters.transferredBytes());
      part.write(ByteBuffer.wrap(bytes, 0, lengthBytes), 0);
      ContentDigest digest = new ContentDigest(null);
      digest.update(bytes, 0, lengthBytes);
      counters.hashed(lengthBytes);
      ContentDigest.Result hash = digest.finish();
      return new Transfer.Result(
          lengthBytes, hash.sha256(), hash.authentic(), 1, http2, false, List.of());
    }

    @Override
    public synchronized void close() {
      byte[] bytes = content;
      if (bytes != null) {
        content = null;
        giveBackArray(bytes);
      }
    }
  }
}
