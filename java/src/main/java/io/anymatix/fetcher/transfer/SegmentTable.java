package io.anymatix.fetcher.transfer;

import io.anymatix.fetcher.store.Journal.CoveredRange;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.NavigableMap;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * Which bytes are missing, and who fetches them.
 *
 * <p>Missing bytes are handed out from the front, so that a hash can follow closely behind; when
 * nothing is left to hand out, the slowest segment is split, and the rest of one that cannot be
 * split is raced. Pure bookkeeping, no I/O. Methods may be called from any thread; the coordinator
 * alone changes the table, and a segment's worker alone its position.
 */
final class SegmentTable {
  /** A rest below this length, in bytes, is raced instead of split. */
  static final long SMALLEST_SPLIT_BYTES = 512 * 1024;

  private static final int RACE_PATIENCES = 6;

  private final long lengthBytes;

  /** Missing ranges that nobody has: first byte to end (exclusive). */
  private final NavigableMap<Long, Long> gaps = new TreeMap<>();

  private final List<Segment> active = new ArrayList<>();

  /** A run of missing bytes that one worker fetches, in order. */
  static final class Segment {
    private final long first;
    private final long startedNanos;
    private volatile long position;
    private volatile long end;
    private @Nullable Segment rival;

    private Segment(long first, long end, long startedNanos) {
      this.first = first;
      this.position = first;
      this.end = end;
      this.startedNanos = startedNanos;
    }

    /** The next byte to fetch. Worker's own. */
    long position() {
      return position;
    }

    /** One past the last byte; shrinks when the rest is given to somebody else. */
    long end() {
      return end;
    }

    long remainingBytes() {
      return Math.max(0, end - position);
    }

    /** Notes bytes that were written; the worker's, after the write. */
    @SuppressWarnings("NonAtomicVolatileUpdate") // one writer only
    void advance(long bytes) {
      position += bytes;
    }

    long receivedBytes() {
      return position - first;
    }

    /** Whoever fetches the same rest; the first one to finish wins. */
    @Nullable Segment rival() {
      return rival;
    }

    private double secondsLeft(long nowNanos) {
      double age = Math.max(0.05, (nowNanos - startedNanos) / 1e9);
      return remainingBytes() / Math.max(1, receivedBytes() / age);
    }
  }

  /** A table for a file of which {@code present} is there already. */
  SegmentTable(long lengthBytes, List<CoveredRange> present) {
    this.lengthBytes = lengthBytes;
    long position = 0;
    for (CoveredRange range :
        present.stream().sorted(Comparator.comparingLong(CoveredRange::first)).toList()) {
      if (range.first() > position) {
        gaps.put(position, range.first());
      }
      position = Math.max(position, range.end());
    }
    if (position < lengthBytes) {
      gaps.put(position, lengthBytes);
    }
  }

  /**
   * Hands out the first missing bytes, up to the next multiple of {@code gridBytes}, so that most
   * segments begin where a piece of the journal does; null if none are left over.
   */
  synchronized @Nullable Segment take(long gridBytes, long nowNanos) {
    var gap = gaps.pollFirstEntry();
    if (gap == null) {
      return null;
    }
    long end = Math.min(gap.getValue(), (gap.getKey() / gridBytes + 1) * gridBytes);
    if (end < gap.getValue()) {
      gaps.put(end, gap.getValue());
    }
    return activate(new Segment(gap.getKey(), end, nowNanos));
  }

  /**
   * Relieves the segment that would end last: takes the second half of its rest, or, where that is
   * too little to split, races all of it.
   *
   * @param patienceSeconds a segment that will end sooner than this is left alone
   * @return the relief, or null if nobody needs any
   */
  synchronized @Nullable Segment relieve(double patienceSeconds, long nowNanos) {
    Segment slowest =
        active.stream()
            .filter(s -> s.rival == null && s.remainingBytes() > 0)
            .max(Comparator.comparingDouble(s -> s.secondsLeft(nowNanos)))
            .orElse(null);
    if (slowest == null || slowest.secondsLeft(nowNanos) < patienceSeconds) {
      return null;
    }
    long position = slowest.position;
    long end = slowest.end;
    if (end - position >= 2 * SMALLEST_SPLIT_BYTES) {
      long middle = position + (end - position) / 2;
      slowest.end = middle;
      return activate(new Segment(middle, end, nowNanos));
    }
    // A race brings bytes twice, so it is only for who is slow indeed.
    if (end <= position || slowest.secondsLeft(nowNanos) < RACE_PATIENCES * patienceSeconds) {
      return null;
    }
    Segment racer = activate(new Segment(position, end, nowNanos));
    racer.rival = slowest;
    slowest.rival = racer;
    return racer;
  }

  private Segment activate(Segment segment) {
    active.add(segment);
    return segment;
  }

  /**
   * Takes a segment back, finished or not; what it left becomes missing again, unless its rival has
   * it.
   */
  synchronized void giveBack(Segment segment) {
    active.remove(segment);
    Segment rival = segment.rival;
    if (rival != null) {
      rival.rival = null;
    }
    boolean finished = segment.position >= segment.end;
    if (rival != null) {
      // Both began at the same byte: the one that goes on has, or will have, all of it.
      if (finished) {
        rival.end = Math.min(rival.end, rival.position);
      }
    } else if (!finished) {
      addGap(segment.position, segment.end);
    }
  }

  /** The missing bytes from {@code first} up to {@code end}, in order; while nobody is at work. */
  synchronized List<CoveredRange> missingWithin(long first, long end) {
    List<CoveredRange> missing = new ArrayList<>();
    Long start = gaps.floorKey(first);
    for (var gap : gaps.tailMap(start == null ? first : start).entrySet()) {
      long from = Math.max(first, gap.getKey());
      long to = Math.min(end, gap.getValue());
      if (from < to) {
        missing.add(new CoveredRange(from, to));
      } else if (gap.getKey() >= end) {
        break;
      }
    }
    return missing;
  }

  /** Notes that all bytes from {@code first} up to {@code end} are there; while nobody works. */
  synchronized void cover(long first, long end) {
    for (CoveredRange missing : missingWithin(first, end)) {
      var gap = gaps.floorEntry(missing.first());
      gaps.remove(gap.getKey());
      if (gap.getKey() < missing.first()) {
        gaps.put(gap.getKey(), missing.first());
      }
      if (missing.end() < gap.getValue()) {
        gaps.put(missing.end(), gap.getValue());
      }
    }
  }

  private void addGap(long first, long end) {
    long newFirst = first;
    long newEnd = end;
    var before = gaps.floorEntry(first);
    if (before != null && before.getValue() >= first) {
      newFirst = before.getKey();
      newEnd = Math.max(newEnd, before.getValue());
    }
    var after = gaps.ceilingEntry(first);
    while (after != null && after.getKey() <= newEnd) {
      newEnd = Math.max(newEnd, after.getValue());
      gaps.remove(after.getKey());
      after = gaps.ceilingEntry(first);
    }
    gaps.put(newFirst, newEnd);
  }

  /** Length of the file. */
  long lengthBytes() {
    return lengthBytes;
  }

  /** Whether every byte is there. */
  synchronized boolean isComplete() {
    return missingBytes() == 0;
  }

  /** Bytes that nobody has been given yet. */
  synchronized long unassignedBytes() {
    return gaps.entrySet().stream().mapToLong(gap -> gap.getValue() - gap.getKey()).sum();
  }

  /** Bytes that are still to come. */
  synchronized long missingBytes() {
    return lengthBytes - covered().stream().mapToLong(r -> r.end() - r.first()).sum();
  }

  /** Length of the run of bytes from the start that are all there. */
  synchronized long contiguousPrefixBytes() {
    List<CoveredRange> covered = covered();
    return covered.isEmpty() || covered.get(0).first() > 0 ? 0 : covered.get(0).end();
  }

  /** All bytes that are there, in order. */
  synchronized List<CoveredRange> covered() {
    NavigableMap<Long, Long> missing = new TreeMap<>(gaps);
    for (Segment segment : active) {
      long position = segment.position;
      long end = segment.end;
      Segment rival = segment.rival;
      // Of two that fetch the same rest, what the leader has is there.
      if (rival != null && rival.position > position) {
        position = Math.min(end, rival.position);
      }
      if (position < end) {
        missing.merge(position, end, Math::max);
      }
    }
    List<CoveredRange> covered = new ArrayList<>();
    long position = 0;
    for (var gap : missing.entrySet()) {
      if (gap.getKey() > position) {
        covered.add(new CoveredRange(position, gap.getKey()));
      }
      position = Math.max(position, gap.getValue());
    }
    if (position < lengthBytes) {
      covered.add(new CoveredRange(position, lengthBytes));
    }
    return covered;
  }
}
