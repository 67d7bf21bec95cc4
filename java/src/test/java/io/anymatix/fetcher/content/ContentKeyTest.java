package io.anymatix.fetcher.content;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.MegaFile;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Files that other code has encrypted, decrypted in pieces and proven. */
class ContentKeyTest {
  static List<MegaFile> files() {
    return MegaFile.fixtures();
  }

  private static ContentKey key(MegaFile file) {
    ContentKey key = ContentKey.parse(file.linkKey());
    assertNotNull(key);
    return key;
  }

  @Test
  void theBytesThatOtherCodeHasWrittenAreThoseOfTheFixture() {
    assertEquals(
        MegaFile.fixtures().get(0).encrypted().sha256(), MegaFile.first().encrypted().sha256());
  }

  @ParameterizedTest
  @MethodSource("files")
  void anyRangeIsDecryptedByItself(MegaFile file) {
    long seed = 51;
    Random random = new Random(seed);
    int length = Math.toIntExact(file.plain().lengthBytes());
    for (int i = 0; i < 200 && length > 0; i++) {
      int from = random.nextInt(length);
      int count = Math.min(length - from, 1 + random.nextInt(100_000));
      byte[] bytes = file.encrypted().bytes(from, count);
      ContentKey.Decryptor decryptor = key(file).decryptorAt(from);
      int first = random.nextInt(count + 1);
      decryptor.decrypt(bytes, 0, first);
      decryptor.decrypt(bytes, first, count - first);
      assertArrayEquals(
          file.plain().bytes(from, count), bytes, "seed " + seed + ", " + count + " at " + from);
    }
  }

  @ParameterizedTest
  @MethodSource("files")
  void theMacOfTheRightBytesMatchesHoweverTheyAreCut(MegaFile file) {
    long seed = 52;
    Random random = new Random(seed);
    for (int most : List.of(100_000, 1 << 18, 5 << 20)) {
      ContentDigest digest = new ContentDigest(key(file));
      feed(digest, file.plain(), random, most);
      ContentDigest.Result result = digest.finish();
      assertTrue(result.authentic(), "seed " + seed + ", pieces up to " + most);
      assertEquals(file.plain().sha256(), result.sha256().hex());
    }
  }

  @ParameterizedTest
  @MethodSource("files")
  void oneOtherByteIsSeen(MegaFile file) {
    long length = file.plain().lengthBytes();
    for (long at : List.of(0L, length / 2, length - 1)) {
      if (length > 0) {
        ContentDigest digest = new ContentDigest(key(file));
        feed(digest, file.plain().withFlippedByte(at), new Random(53), 1 << 18);
        assertFalse(digest.finish().authentic(), "byte " + at);
      }
    }
  }

  private static void feed(ContentDigest digest, Content content, Random random, int most) {
    for (long at = 0; at < content.lengthBytes(); ) {
      int count = (int) Math.min(content.lengthBytes() - at, 1 + random.nextInt(most));
      digest.update(content.bytes(at, count), 0, count);
      at += count;
    }
  }

  @Test
  void theAttributesAreDecrypted() {
    MegaFile file = MegaFile.first();
    byte[] text = key(file).decryptAttributes(Base64.getUrlDecoder().decode(file.attributes()));
    assertTrue(
        new String(text, StandardCharsets.UTF_8)
            .startsWith("MEGA{\"n\": \"first model ü.safetensors\"}"));
  }

  @Test
  void whatIsNoKeyIsNotRead() {
    String key = MegaFile.first().linkKey();
    assertNull(ContentKey.parse(""));
    assertNull(ContentKey.parse(key.substring(1)));
    assertNull(ContentKey.parse(key + "AAAA"));
    assertNull(ContentKey.parse("!" + key.substring(1)));
  }

  @Test
  void aKeyShowsNothingOfItself() {
    assertEquals("ContentKey", key(MegaFile.first()).toString());
  }
}
