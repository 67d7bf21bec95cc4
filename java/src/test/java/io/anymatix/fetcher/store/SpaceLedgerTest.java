package io.anymatix.fetcher.store;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.store.SpaceLedger.Reservation;
import io.anymatix.fetcher.testing.SmallVolume;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SpaceLedgerTest {
  private static final long MIB = 1 << 20;

  private final SpaceLedger ledger = new SpaceLedger();

  @SuppressWarnings("NullAway.Init") // set by JUnit
  @TempDir
  Path folder;

  @SuppressWarnings("NullAway.Init") // set by JUnit
  @TempDir
  Path elsewhere;

  @Test
  void whatIsReservedIsNotGivenTwice() {
    try (SmallVolume volume = SmallVolume.mount(folder, "size=8m")) {
      Path file = volume.root().resolve("sub/folder/m");
      try (Reservation first = ledger.reserve(file, 5 * MIB)) {
        FetchException failure =
            assertThrows(FetchException.class, () -> ledger.reserve(file, 4 * MIB));
        assertEquals(FailureKind.DISK_FULL, failure.kind());
        assertEquals(5 * MIB, failure.facts().get("reservedBytes"));
        ledger.reserve(file, 3 * MIB).close();
        assertEquals(5 * MIB, first.bytesToCome());
      }
      ledger.reserve(file, 8 * MIB).close();
    }
  }

  @Test
  void whatWasWrittenIsTheVolumesToCount() throws Exception {
    try (SmallVolume volume = SmallVolume.mount(folder, "size=8m");
        Reservation first = ledger.reserve(volume.root(), 5 * MIB)) {
      volume.fillUpTo(4 * MIB);
      first.written(4 * MIB);
      ledger.reserve(volume.root(), 3 * MIB).close();
      assertThrows(FetchException.class, () -> ledger.reserve(volume.root(), 3 * MIB + 1));
      first.written(4 * MIB);
      ledger.reserve(volume.root(), 4 * MIB).close();
      assertEquals(0, first.bytesToCome());
    }
  }

  @Test
  void aNewNeedReplacesTheFormerOneUnlessItIsRefused() {
    try (SmallVolume volume = SmallVolume.mount(folder, "size=8m");
        Reservation own = ledger.reserve(volume.root(), 6 * MIB)) {
      own.require(8 * MIB);
      assertThrows(FetchException.class, () -> own.require(9 * MIB));
      assertEquals(8 * MIB, own.bytesToCome());
      own.require(MIB);
      ledger.reserve(volume.root(), 7 * MIB).close();
    }
  }

  @Test
  void anotherVolumeIsAnotherMatter() {
    try (SmallVolume volume = SmallVolume.mount(folder, "size=8m");
        SmallVolume other = SmallVolume.mount(elsewhere, "size=8m");
        Reservation first = ledger.reserve(volume.root(), 6 * MIB)) {
      ledger.reserve(other.root(), 6 * MIB).close();
      assertEquals(6 * MIB, first.bytesToCome());
    }
  }
}
