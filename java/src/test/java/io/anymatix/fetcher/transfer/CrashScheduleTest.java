package io.anymatix.fetcher.transfer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.content.Validator;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.store.Journal.CoveredRange;
import io.anymatix.fetcher.store.Journal.Identity;
import io.anymatix.fetcher.store.ModelFileName;
import io.anymatix.fetcher.store.ModelFolders;
import io.anymatix.fetcher.store.ModelStore;
import io.anymatix.fetcher.store.PartFile;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.transfer.SegmentTable.Segment;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Segment table, part file and journal together, under random schedules of several lives, against a
 * model that only knows which bytes were written and which were forced. A life ends by a kill,
 * which leaves all that was written, or by a power cut, which leaves garbage wherever nothing was
 * forced.
 */
class CrashScheduleTest {
  private static final int MIB = 1 << 20;
  private static final Identity IDENTITY = new Identity(new Validator("\"v1\"", null), null);
  private static final ModelStore.Key KEY =
      ModelStore.Key.of("https://models.example.org/m.bin", null);

  private final ModelStore store = new ModelStore();

  /** Whether a kill at the end of this life must leave every byte that it has written. */
  private boolean losesNothing = true;

  @SuppressWarnings("NullAway.Init") // set by JUnit
  @TempDir
  Path folder;

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})
  void noKillOrPowerCutLetsAByteBeTrustedThatIsNotThere(long seed) throws Exception {
    Random random = new Random(seed);
    // Below 5 MiB nothing is forced to the disk before the end.
    int length = (random.nextInt(3) == 0 ? 2 : 6) * MIB + random.nextInt(2 * MIB);
    Content content = Content.random(seed, length);
    BitSet written = new BitSet(length);
    BitSet forced = new BitSet(length);
    for (int life = 1; ; life++) {
      String at = "seed " + seed + ", life " + life;
      assertTrue(life < 200, at + ": no end is in sight");
      boolean isComplete = live(random, content, written, forced, at);
      if (isComplete) {
        break;
      }
      if (random.nextInt(3) == 0) {
        cutPower(random, length, forced);
        losesNothing = false;
      }
    }
    assertEquals(-1, content.mismatch(part()), "seed " + seed);
  }

  /** One life of the process; true if it has brought the last byte. */
  private boolean live(Random random, Content content, BitSet written, BitSet forced, String at) {
    int length = (int) content.lengthBytes();
    try (PartFile part =
        store.openPart(
            ModelFileName.of(null, KEY.effective()),
            new ModelFolders(folder, Map.of(), List.of()).place("vae", null),
            Duration.ofSeconds(1),
            new Cancellation(),
            until -> {})) {
      List<CoveredRange> trusted = part.trusted((long) length, IDENTITY);
      assertHolds(part, content, trusted, at);
      BitSet kept = new BitSet(length);
      trusted.forEach(range -> kept.set((int) range.first(), (int) range.end()));
      if (losesNothing) {
        assertEquals(written.cardinality(), kept.cardinality(), at + ": bytes kept after a kill");
      }
      losesNothing = true;
      written.clear();
      written.or(kept);
      part.begin(length, IDENTITY, trusted);
      if (length >= 5 * MIB) {
        forced.or(written);
      }
      boolean inParallel = random.nextBoolean();
      if (inParallel) {
        part.spread(length);
      }
      SegmentTable table = new SegmentTable(length, trusted);
      work(random, content, part, table, inParallel ? 5 : 1, written, forced, at);
      return table.isComplete();
    }
  }

  private void work(
      Random random,
      Content content,
      PartFile part,
      SegmentTable table,
      int connections,
      BitSet written,
      BitSet forced,
      String at) {
    List<Segment> working = new ArrayList<>();
    long now = 0;
    int steps = 1 + random.nextInt(60);
    for (int step = 0; step < steps && !table.isComplete(); step++) {
      now += random.nextInt(1_000_000_000);
      int action = random.nextInt(20);
      if (working.size() < connections && (action < 5 || working.isEmpty())) {
        Segment segment = table.take(MIB, now);
        if (segment == null && connections > 1) {
          segment = table.relieve(0.1, now);
          // It begins in the middle of a piece of the journal, which notes prefixes of pieces.
          losesNothing &= segment == null;
        }
        if (segment != null) {
          working.add(segment);
        }
      } else if (action == 19) {
        List<CoveredRange> covered = table.covered();
        part.checkpoint(covered);
        covered.forEach(range -> forced.set((int) range.first(), (int) range.end()));
      } else if (!working.isEmpty()) {
        Segment segment = working.get(random.nextInt(working.size()));
        int count = (int) Math.min(segment.remainingBytes(), 1 + random.nextInt(300_000));
        if (action < 17 && count > 0) {
          long position = segment.position();
          part.write(ByteBuffer.wrap(content.bytes(position, count)), position);
          written.set((int) position, (int) position + count);
          segment.advance(count);
        } else {
          table.giveBack(segment);
          working.remove(segment);
        }
      }
      for (CoveredRange range : table.covered()) {
        assertTrue(
            written.nextClearBit((int) range.first()) >= range.end(), at + ": " + range + " early");
      }
    }
    working.forEach(table::giveBack);
  }

  private static void assertHolds(
      PartFile part, Content content, List<CoveredRange> trusted, String at) {
    for (CoveredRange range : trusted) {
      int length = (int) (range.end() - range.first());
      ByteBuffer bytes = ByteBuffer.allocate(length);
      int count = 0;
      while (count >= 0 && bytes.hasRemaining()) {
        count = part.read(bytes, range.first() + bytes.position());
      }
      int wrong = bytes.flip().mismatch(ByteBuffer.wrap(content.bytes(range.first(), length)));
      assertEquals(-1, wrong, at + ": first wrong byte of " + range + " that is trusted");
    }
  }

  /** Leaves what a machine might that was switched off: garbage wherever nothing was forced. */
  private void cutPower(Random random, int length, BitSet forced) throws IOException {
    if (Files.notExists(part())) {
      return;
    }
    try (RandomAccessFile file = new RandomAccessFile(part().toFile(), "rw")) {
      long present = Math.min(length, file.length());
      for (int first = forced.nextClearBit(0); first < present; ) {
        int next = forced.nextSetBit(first);
        int end = (int) (next < 0 ? present : Math.min(next, present));
        byte[] garbage = new byte[end - first];
        random.nextBytes(garbage);
        file.seek(first);
        file.write(garbage);
        first = forced.nextClearBit(end);
      }
    }
    Path journal = part().resolveSibling(part().getFileName() + ".segments");
    if (Files.exists(journal)) {
      String text = Files.readString(journal, StandardCharsets.ISO_8859_1);
      Files.writeString(
          journal,
          text.replaceFirst("\"boot_id\": \"[^\"]*\"", "\"boot_id\": \"another\""),
          StandardCharsets.ISO_8859_1);
    }
  }

  private Path part() {
    String name = ModelFileName.of(null, KEY.effective()).stored() + ".part";
    return folder.resolve("vae").resolve(name);
  }
}
