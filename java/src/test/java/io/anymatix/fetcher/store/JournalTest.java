package io.anymatix.fetcher.store;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.content.Validator;
import io.anymatix.fetcher.store.Journal.CoveredRange;
import io.anymatix.fetcher.store.Journal.Identity;
import io.anymatix.fetcher.testing.SmallVolume;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class JournalTest {
  private static final int MIB = 1 << 20;
  private static final Identity IDENTITY =
      new Identity(
          new Validator("\"a, \\\"written\\\": [\"", "Sat, 21 Nov 2026 09:00:00 GMT"),
          Sha256.ofUtf8("some content"));

  @SuppressWarnings("NullAway.Init") // set before each test
  @TempDir
  Path folder;

  @SuppressWarnings("NullAway.Init") // set before each test
  private Path path;

  @BeforeEach
  void choosePath() {
    path = folder.resolve("m.safetensors.part.segments");
  }

  @Test
  void whatWasWrittenAndWhoseItIsComesBack() throws IOException {
    try (Journal journal = Journal.start(path, 5 * MIB + 7, IDENTITY, List.of(), false)) {
      journal.written(0, 1000);
      journal.written(1000, 3 * MIB + 5);
      journal.written(5 * MIB, 5 * MIB + 7);
    }
    Journal.Found found = Journal.read(path).orElseThrow();
    assertEquals(5 * MIB + 7, found.lengthBytes());
    assertEquals(
        List.of(new CoveredRange(0, 3 * MIB + 5), new CoveredRange(5 * MIB, 5 * MIB + 7)),
        found.trusted());
    assertEquals(IDENTITY, found.identity());
  }

  @Test
  void writesThatCrossFromAHalfKnownPieceStillCountInTheNextOne() throws IOException {
    try (Journal journal = Journal.start(path, 5 * MIB, IDENTITY, List.of(), false)) {
      // The start of piece 1 is somebody else's, and is not there yet.
      journal.written(MIB + 500_000, 2 * MIB + 100_000);
      journal.written(2 * MIB + 100_000, 4 * MIB);
    }
    assertEquals(List.of(new CoveredRange(2 * MIB, 4 * MIB)), trusted());
  }

  @Test
  void aCheckpointAfterTheEndChangesNothing() throws IOException {
    Journal journal = Journal.start(path, 2 * MIB, IDENTITY, List.of(), false);
    journal.close();
    Files.delete(path);
    journal.checkpoint(List.of(new CoveredRange(0, 2 * MIB)));
    assertTrue(Files.notExists(path), "the journal came back after its end");
  }

  @Test
  void onlyForcedBytesSurviveTheMachine() throws IOException {
    try (Journal journal = Journal.start(path, 4 * MIB, IDENTITY, List.of(), true)) {
      journal.written(0, MIB);
      journal.checkpoint(List.of(new CoveredRange(0, MIB)));
      journal.written(MIB, 4 * MIB);
    }
    assertEquals(List.of(new CoveredRange(0, 4 * MIB)), trusted());
    anotherBoot();
    assertEquals(List.of(new CoveredRange(0, MIB)), trusted());
  }

  @Test
  void aCheckpointThatTheVolumeRefusesLosesNoNote() throws IOException {
    try (SmallVolume volume = SmallVolume.mount(folder, "size=1m,nr_inodes=2");
        Journal journal =
            Journal.start(volume.root().resolve("j"), 4 * MIB, IDENTITY, List.of(), false)) {
      path = volume.root().resolve("j");
      journal.written(0, MIB);
      assertThrows(
          IOException.class, () -> journal.checkpoint(List.of(new CoveredRange(0, 2 * MIB))));
      journal.written(2 * MIB, 3 * MIB);
      assertEquals(List.of(new CoveredRange(0, 3 * MIB)), trusted());
    }
  }

  @Test
  void aJournalOfAnotherProgramIsUnderstood() throws IOException {
    Files.writeString(
        path, "{\"size\": 2500, \"segment_size\": 1000, \"done\": {\"0\": 1000, \"2\": 20}}\n");
    Journal.Found found = Journal.read(path).orElseThrow();
    assertEquals(List.of(new CoveredRange(0, 1000), new CoveredRange(2000, 2020)), found.trusted());
    assertEquals(2500, found.lengthBytes());
    assertEquals(null, found.identity());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "null",
        "[]",
        "{\"size\": 10, \"segment_size\": 0, \"done\": {}}",
        "{\"size\": 10, \"segment_size\": 5, \"done\": {\"0\": -1}}",
        "{\"size\": 10, \"segment_size\": 5, \"done\": {\"0\": 6}}",
        "{\"size\": 10, \"segment_size\": 5, \"done\": {\"0\": \"5\"}}",
        "{\"size\": 10, \"segment_size\": 5, \"done\": {\"0\": null}}",
        "{\"size\": 10, \"segment_size\": 5, \"done\": [5, 5]}",
        "{\"size\": -10, \"segment_size\": 5, \"done\": {}}",
        "{\"size\": 9223372036854775807, \"segment_size\": 1, \"done\": {\"0\": 1}}",
        "{\"size\": 99999999999999999999, \"segment_size\": 5, \"done\": {\"0\": 5}}"
      })
  void nonsenseIsNotTrusted(String text) throws IOException {
    Files.writeString(path, text);
    assertEquals(Optional.empty(), Journal.read(path));
  }

  @Test
  void noPrefixOfAJournalClaimsMoreThanWasWritten() throws IOException {
    BitSet written = new BitSet();
    writeSome(new Random(7), written);
    byte[] whole = Files.readAllBytes(path);
    for (int length = 0; length <= whole.length; length++) {
      Files.write(path, Arrays.copyOf(whole, length));
      assertClaimsOnly(written, "the first " + length + " bytes");
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
  void noTornJournalClaimsMoreThanWasWritten(long seed) throws IOException {
    Random random = new Random(seed);
    BitSet written = new BitSet();
    writeSome(random, written);
    anotherBoot();
    byte[] whole = Files.readAllBytes(path);
    for (int i = 0; i < 200; i++) {
      byte[] torn = whole.clone();
      int from = random.nextInt(torn.length);
      int to = Math.min(torn.length, from + 1 + random.nextInt(512));
      byte filler = new byte[] {0, ' ', (byte) 0xff, '}'}[random.nextInt(4)];
      Arrays.fill(torn, from, to, filler);
      Files.write(path, torn);
      assertClaimsOnly(written, "seed " + seed + ", " + filler + " from " + from + " to " + to);
    }
  }

  @Test
  void aTornListOfWrittenBytesLeavesWhatWasForced() throws IOException {
    try (Journal journal = Journal.start(path, 4 * MIB, IDENTITY, List.of(), true)) {
      journal.checkpoint(List.of(new CoveredRange(0, 2 * MIB)));
    }
    byte[] torn = Files.readAllBytes(path);
    Arrays.fill(torn, torn.length - 12, torn.length, (byte) 0);
    Files.write(path, torn);
    assertEquals(List.of(new CoveredRange(0, 2 * MIB)), trusted());
  }

  /** Writes and checkpoints at random; {@code written} gets what was written. */
  private void writeSome(Random random, BitSet written) throws IOException {
    int length = 6 * MIB + random.nextInt(MIB);
    try (Journal journal = Journal.start(path, length, IDENTITY, List.of(), false)) {
      for (int i = 0; i < 40; i++) {
        int first = random.nextInt(7) * MIB + (random.nextBoolean() ? 0 : random.nextInt(MIB));
        first = Math.min(first, length - 1);
        int end = Math.min(length, first + 1 + random.nextInt(400_000));
        written.set(first, end);
        journal.written(first, end);
        if (random.nextInt(10) == 0) {
          journal.checkpoint(List.of(new CoveredRange(first, end)));
        }
        assertClaimsOnly(written, "write " + i);
      }
    }
  }

  private void assertClaimsOnly(BitSet written, String at) {
    Optional<Journal.Found> found = Journal.read(path);
    for (CoveredRange range : found.map(Journal.Found::trusted).orElse(List.of())) {
      int hole = written.nextClearBit((int) range.first());
      assertTrue(hole >= range.end(), () -> at + ": " + range + " is claimed, but not " + hole);
    }
  }

  private List<CoveredRange> trusted() {
    return Journal.read(path).orElseThrow().trusted();
  }

  /** Lets the journal look as if the machine had been started anew since. */
  private void anotherBoot() throws IOException {
    String text = Files.readString(path, StandardCharsets.US_ASCII);
    String changed =
        text.replaceFirst(
            "\"boot_id\": (\"[^\"]*\"|null)",
            "\"boot_id\": \"00000000-0000-0000-0000-000000000000\"");
    assertTrue(changed.contains("\"00000000-"), text);
    Files.writeString(path, changed, StandardCharsets.US_ASCII);
  }
}
