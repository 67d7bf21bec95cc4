package io.anymatix.fetcher.testing;

import static io.anymatix.fetcher.testing.Content.GIB;
import static io.anymatix.fetcher.testing.Content.MIB;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ContentTest {
  private static final long SEED = 20261121;

  @Test
  void everyPieceOfRandomContentEqualsThatPartOfTheWhole() {
    Content content = Content.random(SEED, 3 * MIB + 17);
    byte[] whole = content.bytes();
    Random random = new Random(SEED);
    for (int i = 0; i < 500; i++) {
      int from = random.nextInt(whole.length);
      int count = random.nextInt(Math.min(20_000, whole.length - from) + 1);
      assertArrayEquals(
          Arrays.copyOfRange(whole, from, from + count),
          content.bytes(from, count),
          "seed " + SEED + ", piece " + from + "+" + count);
    }
  }

  @Test
  void noTwoPagesOfRandomContentAreAlike() {
    Content content = Content.random(SEED, 16 * MIB);
    Set<ByteBuffer> pages = new HashSet<>();
    for (long at = 0; at < content.lengthBytes(); at += 4096) {
      assertTrue(pages.add(ByteBuffer.wrap(content.bytes(at, 4096))), "page at " + at);
    }
  }

  @Test
  void theSameSeedGivesTheSameBytesAndAnotherSeedOthers() {
    assertEquals(Content.random(1, MIB).sha256(), Content.random(1, MIB).sha256());
    assertTrue(!Content.random(1, MIB).sha256().equals(Content.random(2, MIB).sha256()));
  }

  @Test
  void aFewBytesNearTheEndOfFourGibibytesCostNothing() {
    Content content = Content.random(SEED, 4 * GIB);
    byte[] end = content.bytes(4 * GIB - 10_000, 10_000);
    assertArrayEquals(Arrays.copyOfRange(end, 9_000, 10_000), content.bytes(4 * GIB - 1000, 1000));
    assertThrows(IndexOutOfBoundsException.class, () -> content.bytes(4 * GIB - 1, 2));
  }

  @Test
  void thePatternIsTheOneOfTheGoldenVectors() {
    // The hash is that of the vectors' body {"size": 20000, "seed": 7}.
    assertEquals(
        "0cebf8e705f0607fb4d27b4a8660228e6985bffb68c206e0f2b7a6ce6e8f406a",
        Content.pattern(7, 20_000).sha256());
    assertArrayEquals(
        Arrays.copyOfRange(Content.pattern(7, 20_000).bytes(), 511, 777),
        Content.pattern(7, 20_000).bytes(511, 266));
  }

  @Test
  void overwrittenBytesShowInEveryPieceThatTouchesThem() {
    Content plain = Content.pattern(1, 100);
    Content changed = plain.overwritten(40, new byte[] {9, 8, 7});
    byte[] expected = plain.bytes();
    expected[40] = 9;
    expected[41] = 8;
    expected[42] = 7;
    for (int from = 0; from <= 100; from++) {
      for (int to = from; to <= 100; to++) {
        assertArrayEquals(Arrays.copyOfRange(expected, from, to), changed.bytes(from, to - from));
      }
    }
    assertEquals((byte) ~plain.bytes()[5], plain.withFlippedByte(5).bytes()[5]);
  }

  @Test
  void aSafetensorsFileDescribesItsOwnLength() {
    Content content = Content.safetensors(SEED, MIB);
    ByteBuffer head = ByteBuffer.wrap(content.bytes(0, 136)).order(ByteOrder.LITTLE_ENDIAN);
    int jsonBytes = Math.toIntExact(head.getLong());
    String json = new String(content.bytes(8, jsonBytes), StandardCharsets.US_ASCII);
    assertEquals(
        "{\"t\":{\"dtype\":\"U8\",\"shape\":[1048440],\"data_offsets\":[0,1048440]}}",
        json.strip());
    assertEquals(MIB, 8 + jsonBytes + 1_048_440);
  }

  @Test
  void aFileIsComparedByteByByte(@TempDir Path folder) throws IOException {
    Content content = Content.random(SEED, MIB + 1);
    Path file = folder.resolve("file");
    content.writeTo(file, content.lengthBytes());
    assertEquals(-1, content.mismatch(file));
    assertEquals(700_000, content.withFlippedByte(700_000).mismatch(file));
    content.writeTo(file, 262_144);
    assertEquals(262_144, content.mismatch(file));
    Files.write(file, new byte[0]);
    assertEquals(0, content.mismatch(file));
  }
}
