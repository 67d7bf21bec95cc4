package io.anymatix.fetcher.transfer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.store.Journal.CoveredRange;
import io.anymatix.fetcher.transfer.SegmentTable.Segment;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SegmentTableTest {
  private static final int MIB = 1 << 20;
  private static final long SECOND = 1_000_000_000;

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20})
  void noScheduleOfWorkersClaimsAByteThatWasNotWrittenOrForgetsOne(long seed) {
    Random random = new Random(seed);
    int length = 2 * MIB + random.nextInt(2 * MIB);
    BitSet written = new BitSet(length);
    List<CoveredRange> present = new ArrayList<>();
    for (int i = random.nextInt(4); i > 0; i--) {
      int first = random.nextInt(length);
      int end = first + 1 + random.nextInt(length - first);
      end = Math.min(end, first + 300_000);
      present.add(new CoveredRange(first, end));
      written.set(first, end);
    }
    SegmentTable table = new SegmentTable(length, present);
    List<Segment> working = new ArrayList<>();
    long now = 0;
    for (int step = 0; !table.isComplete(); step++) {
      String at = "seed " + seed + ", step " + step;
      assertTrue(step < 100_000, at + ": no end is in sight");
      now += random.nextInt(1_000_000_000);
      int action = random.nextInt(10);
      if (working.size() < 6 && action < 3) {
        Segment segment = table.take(1 + random.nextInt(MIB), now);
        if (segment == null) {
          segment = table.relieve(0.1, now);
        }
        if (segment != null) {
          working.add(segment);
        } else {
          assertTrue(!working.isEmpty(), at + ": bytes are missing, but there is nothing to do");
        }
      } else if (!working.isEmpty()) {
        Segment segment = working.get(random.nextInt(working.size()));
        int rest = (int) segment.remainingBytes();
        if (action < 9 && rest > 0) {
          int count = 1 + random.nextInt(Math.min(rest, 200_000));
          written.set((int) segment.position(), (int) segment.position() + count);
          segment.advance(count);
        } else {
          table.giveBack(segment);
          working.remove(segment);
        }
      }
      if (step % 5 == 0) {
        assertClaimsOnly(written, table, at);
      }
    }
    assertEquals(length, written.cardinality(), "seed " + seed);
    assertEquals(length, table.contiguousPrefixBytes(), "seed " + seed);
  }

  private static void assertClaimsOnly(BitSet written, SegmentTable table, String at) {
    for (CoveredRange range : table.covered()) {
      int hole = written.nextClearBit((int) range.first());
      assertTrue(hole >= range.end(), () -> at + ": byte " + hole + " is claimed, not written");
    }
    assertTrue(table.contiguousPrefixBytes() <= written.nextClearBit(0), at);
  }

  @Test
  void segmentsEndOnTheGridSoThatTheNextOnesBeginThere() {
    SegmentTable table = new SegmentTable(10 * MIB, List.of(new CoveredRange(0, 100)));
    Segment first = taken(table, 4 * MIB);
    Segment second = taken(table, 4 * MIB);
    assertEquals(100, first.position());
    assertEquals(4 * MIB, first.end());
    assertEquals(4 * MIB, second.position());
  }

  @Test
  void theSegmentThatWouldEndLastIsSplit() {
    SegmentTable table = new SegmentTable(8 * MIB, List.of());
    Segment quick = taken(table, 4 * MIB);
    Segment slow = taken(table, 4 * MIB);
    quick.advance(3 * MIB);
    slow.advance(1000);
    Segment relief = table.relieve(0.3, SECOND);
    assertNotNull(relief);
    assertEquals(8 * MIB, relief.end());
    assertEquals(slow.end(), relief.position());
    assertEquals((8 * MIB - (4 * MIB + 1000)) / 2, relief.remainingBytes());
  }

  @Test
  void aShortRestIsRacedAndTheFirstToFinishEndsTheOther() {
    SegmentTable table = new SegmentTable(MIB, List.of());
    Segment slow = taken(table, MIB);
    slow.advance(MIB - 1000);
    Segment racer = table.relieve(0.0, 100 * SECOND);
    assertNotNull(racer);
    assertEquals(slow.position(), racer.position());
    assertNull(table.relieve(0.0, 100 * SECOND), "two are enough");
    racer.advance(1000);
    assertTrue(table.isComplete());
    table.giveBack(racer);
    assertEquals(0, slow.remainingBytes());
    table.giveBack(slow);
    assertTrue(table.isComplete());
  }

  @Test
  void whatASegmentLeftIsHandedOutAgain() {
    SegmentTable table = new SegmentTable(3 * MIB, List.of());
    Segment segment = taken(table, MIB);
    segment.advance(10);
    table.giveBack(segment);
    assertEquals(10, taken(table, MIB).position());
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4, 5})
  void aStreamFindsExactlyTheBytesThatNobodyBrought(long seed) {
    Random random = new Random(seed);
    int length = 1 + random.nextInt(5000);
    SegmentTable table = new SegmentTable(length, List.of());
    BitSet there = new BitSet(length);
    for (int step = 0; step < 200; step++) {
      int first = random.nextInt(length);
      int end = Math.min(length, first + 1 + random.nextInt(300));
      BitSet missing = new BitSet(length);
      table
          .missingWithin(first, end)
          .forEach(range -> missing.set((int) range.first(), (int) range.end()));
      BitSet expected = new BitSet(length);
      expected.set(first, end);
      expected.andNot(there);
      assertEquals(expected, missing, "seed " + seed + ", step " + step);
      table.cover(first, end);
      there.set(first, end);
      assertEquals(length - there.cardinality(), table.missingBytes(), "seed " + seed);
    }
  }

  private static Segment taken(SegmentTable table, long gridBytes) {
    Segment segment = table.take(gridBytes, 0);
    assertNotNull(segment);
    return segment;
  }
}
