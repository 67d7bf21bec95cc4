package io.anymatix.fetcher.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class IdleHeapTest {
  private static final long LIVING_BYTES = 10L << 20;

  private boolean idle = true;
  private long usedBytes = 5 * LIVING_BYTES;
  private int collections;

  private final IdleHeap heap =
      new IdleHeap(
          () -> idle,
          () -> usedBytes,
          () -> {
            collections++;
            usedBytes = LIVING_BYTES;
          });

  @Test
  void itIsCollectedOnceWhenNothingIsDoneForAWhile() {
    heap.look();
    assertEquals(0, collections, "the work may have ended a moment ago");
    heap.look();
    assertEquals(1, collections);
    heap.look();
    heap.look();
    assertEquals(1, collections, "nothing has happened since");
  }

  @Test
  void itIsLeftAloneWhileThereIsWork() {
    idle = false;
    heap.look();
    heap.look();
    idle = true;
    heap.look();
    idle = false;
    heap.look();
    assertEquals(0, collections);
  }

  @Test
  void itIsCollectedAgainAfterMoreWork() {
    heap.look();
    heap.look();
    usedBytes += IdleHeap.WORTHWHILE_BYTES;
    heap.look();
    assertEquals(2, collections);
  }

  @Test
  void aFewPingsAreNotWorthACollection() {
    heap.look();
    heap.look();
    usedBytes += IdleHeap.WORTHWHILE_BYTES - 1;
    heap.look();
    heap.look();
    assertEquals(1, collections);
  }
}
