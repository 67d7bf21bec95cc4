package io.anymatix.fetcher.store;

import io.anymatix.fetcher.failure.FetchException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/**
 * What the downloads of this process will still write, so that no two of them count on the same
 * free bytes of a volume. Other processes are not seen; for them, as for everything else that takes
 * space meanwhile, a write that fails is the last word.
 *
 * <p>Methods may be called from any thread.
 */
public final class SpaceLedger {
  private final Set<Reservation> open = ConcurrentHashMap.newKeySet();

  /** One object for each volume: to compare what the system calls a volume takes long. */
  private final Map<Object, Object> volumes = new ConcurrentHashMap<>();

  /** What each folder lies on: the system reads the list of all its volumes to tell. */
  private final Map<Path, ModelStore.Volume> volumeOf = new ConcurrentHashMap<>();

  /**
   * Reserves room for a file, or, with zero bytes, takes note of one whose length is not known yet.
   *
   * @param file the file that will be written; it need not be there
   * @throws FetchException {@code diskFull} with the numbers; nothing is reserved then
   */
  public Reservation reserve(Path file, long bytes) {
    Reservation reservation = new Reservation(file);
    if (bytes > 0) {
      reservation.require(bytes);
    }
    return reservation;
  }

  /** Room for one file, from before its first byte to its end. */
  public final class Reservation implements AutoCloseable {
    private final Path file;

    /** May fall below zero: bytes that two connections fetched count twice. */
    private final AtomicLong bytesToCome = new AtomicLong();

    private volatile @Nullable Object volume;

    private Reservation(Path file) {
      this.file = file;
    }

    /**
     * Reserves exactly this much, in place of what was reserved before.
     *
     * @param bytes what is still to be written to the file
     * @throws FetchException {@code diskFull} if the volume can't take that beside what others have
     *     reserved; the reservation is then as before
     */
    public void require(long bytes) {
      ModelStore.Volume where =
          volumeOf.computeIfAbsent(StorageFailures.existingFolder(file), ModelStore.Volume::of);
      Object identity = volumes.computeIfAbsent(where.identity(), itself -> itself);
      Long freeBytes = where.freeBytes();
      long reservedBytes;
      synchronized (SpaceLedger.this) {
        reservedBytes = reservedByOthers(identity);
        if (freeBytes == null || freeBytes - reservedBytes >= bytes) {
          volume = identity;
          bytesToCome.set(bytes);
          open.add(this);
          return;
        }
      }
      throw StorageFailures.diskFull(file, bytes, freeBytes, reservedBytes);
    }

    private long reservedByOthers(Object sameVolume) {
      return open.stream()
          .filter(other -> other != this && other.volume == sameVolume)
          .mapToLong(Reservation::bytesToCome)
          .sum();
    }

    /** Bytes that are still to be written. */
    public long bytesToCome() {
      return Math.max(0, bytesToCome.get());
    }

    /** Notes bytes that the volume has taken; call it after the write. */
    void written(long bytes) {
      bytesToCome.addAndGet(-bytes);
    }

    /** Gives up what is left of it. */
    @Override
    public void close() {
      open.remove(this);
    }
  }
}
