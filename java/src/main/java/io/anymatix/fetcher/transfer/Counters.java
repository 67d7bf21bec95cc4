package io.anymatix.fetcher.transfer;

import java.time.Instant;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * What a running transfer counts, for whoever shows it. Written by the workers, sampled by a timer;
 * nothing here makes a writer wait.
 */
public final class Counters {
  final LongAdder transferredBytes = new LongAdder();
  final AtomicLong reusedBytes = new AtomicLong();
  final AtomicInteger connections = new AtomicInteger();
  final AtomicInteger retries = new AtomicInteger();
  private volatile LongSupplier presentBytes = () -> 0;
  private final AtomicLong hashedBytes = new AtomicLong();
  private volatile @Nullable Wait wait;

  /** Why a transfer waits, and until when; null if nobody knows. */
  public record Wait(String reason, @Nullable Instant until) {}

  /** Bytes of the file that are on the disk now, received or found there. */
  public long presentBytes() {
    return presentBytes.getAsLong();
  }

  /** Bytes received, also those that had to be received twice. */
  public long transferredBytes() {
    return transferredBytes.sum();
  }

  /** Bytes of an earlier attempt that were kept. */
  public long reusedBytes() {
    return reusedBytes.get();
  }

  /** Bytes whose hash is known so far. */
  public long hashedBytes() {
    return hashedBytes.get();
  }

  /** Connections that are receiving. */
  public int connections() {
    return connections.get();
  }

  /** Requests that had to be repeated. */
  public int retries() {
    return retries.get();
  }

  /** Why nothing comes in at the moment, or null. */
  public @Nullable Wait waiting() {
    return wait;
  }

  /** Says why nothing comes in, or, with null, that it does again. */
  public void waiting(@Nullable String reason, @Nullable Instant until) {
    wait = reason == null ? null : new Wait(reason, until);
  }

  /** Says how far a file has been hashed. */
  public void hashed(long bytes) {
    hashedBytes.set(bytes);
  }

  /** Begins to count an attempt that found {@code keptBytes} on the disk. */
  void begin(long keptBytes, LongSupplier presentBytes) {
    this.presentBytes = presentBytes;
    reusedBytes.set(keptBytes);
    hashedBytes.set(0);
  }
}
