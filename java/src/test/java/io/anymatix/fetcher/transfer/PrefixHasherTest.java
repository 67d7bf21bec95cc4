package io.anymatix.fetcher.transfer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.store.ModelFileName;
import io.anymatix.fetcher.store.ModelFolders;
import io.anymatix.fetcher.store.ModelStore;
import io.anymatix.fetcher.store.PartFile;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The hash that follows the writers of a part file. */
@Timeout(60)
class PrefixHasherTest {
  private static final int PIECE_BYTES = 256 * 1024;

  private final ExecutorService executor = Executors.newCachedThreadPool();
  private final Cancellation cancellation = new Cancellation();

  private final Counters counters = new Counters();

  /** How many bytes from the start count as written. */
  private final AtomicLong prefixBytes = new AtomicLong();

  @SuppressWarnings("NullAway.Init") // set by JUnit
  @TempDir
  Path folder;

  @SuppressWarnings("NullAway.Init") // set before each test
  private PartFile part;

  @BeforeEach
  void openPart() {
    ModelStore.Key key = ModelStore.Key.of("https://models.example.org/m.bin", null);
    part =
        new ModelStore()
            .openPart(
                ModelFileName.of(null, key.effective()),
                new ModelFolders(folder, Map.of(), List.of()).place("vae", null),
                Duration.ofSeconds(1),
                new Cancellation(),
                until -> {});
  }

  @AfterEach
  void close() {
    cancellation.cancel();
    executor.shutdown();
    part.close();
  }

  private PrefixHasher hasher(long lengthBytes) {
    return new PrefixHasher(
        part, lengthBytes, null, prefixBytes::get, counters, cancellation, executor);
  }

  private static byte[] random(long seed, int lengthBytes) {
    byte[] content = new byte[lengthBytes];
    new Random(seed).nextBytes(content);
    return content;
  }

  private static Sha256 sha256(byte[] content) {
    MessageDigest digest = Sha256.newDigest();
    digest.update(content);
    return Sha256.finish(digest);
  }

  /** As a worker gathers them. */
  private static ByteBuffer piece(byte[] content, int position, int lengthBytes) {
    return BufferPool.take().put(content, position, lengthBytes).flip();
  }

  private void write(byte[] content, int position, int lengthBytes) {
    part.write(ByteBuffer.wrap(content, position, lengthBytes), position);
  }

  @Test
  void whatComesInOrderIsHashedWithoutBeingReadBack() throws Exception {
    byte[] content = random(1, 8 * PIECE_BYTES);
    PrefixHasher hasher = hasher(content.length);
    // Nothing is in the file: what is not taken from memory never ends.
    for (int position = 0; position < content.length; position += PIECE_BYTES) {
      while (counters.hashedBytes() < position + PIECE_BYTES) {
        if (Thread.interrupted()) {
          throw new InterruptedException("at " + position);
        }
        ByteBuffer next = hasher.exchange(piece(content, position, PIECE_BYTES), position);
        assertEquals(next.capacity(), next.remaining(), "empty, to be filled again");
        BufferPool.giveBack(next);
        Thread.onSpinWait();
      }
    }
    assertEquals(sha256(content), hasher.await().sha256());
  }

  @Test
  void whatIsNotNextIsLeftToItsWriter() {
    PrefixHasher hasher = hasher(10 * PIECE_BYTES);
    ByteBuffer later = piece(random(3, PIECE_BYTES), 0, PIECE_BYTES);
    assertSame(later, hasher.exchange(later, PIECE_BYTES));
    assertEquals(later.capacity(), later.remaining(), "empty, to be filled again");
    hasher.abandon();
  }

  @Test
  void aLengthThatIsKnownLateEndsTheHash() {
    byte[] content = random(6, PIECE_BYTES + 7);
    PrefixHasher hasher = hasher(PrefixHasher.UNKNOWN_LENGTH);
    write(content, 0, content.length);
    prefixBytes.set(content.length);
    assertEquals(sha256(content), hasher.await(content.length).sha256());
  }

  @Test
  void afterTheEndNothingIsTaken() {
    byte[] content = random(4, PIECE_BYTES);
    write(content, 0, PIECE_BYTES);
    prefixBytes.set(PIECE_BYTES);
    PrefixHasher hasher = hasher(PIECE_BYTES);
    assertEquals(sha256(content), hasher.await().sha256());
    ByteBuffer again = piece(content, 0, PIECE_BYTES);
    assertSame(again, hasher.exchange(again, 0));
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
  void whateverIsHandedOverTheHashIsThatOfTheFile(long seed) {
    Random random = new Random(seed);
    byte[] content = random(seed, 40 * PIECE_BYTES + random.nextInt(PIECE_BYTES));
    PrefixHasher hasher = hasher(content.length);
    int position = 0;
    while (position < content.length) {
      int most = random.nextInt(4) == 0 ? 2 * PIECE_BYTES : PIECE_BYTES;
      int bytes = Math.min(1 + random.nextInt(most), content.length - position);
      write(content, position, bytes);
      prefixBytes.set(position + bytes);
      if (random.nextBoolean()) {
        BufferPool.giveBack(hasher.exchange(piece(content, position, bytes), position));
      }
      position += bytes;
    }
    assertEquals(sha256(content), hasher.await().sha256(), "seed " + seed);
  }

  @Test
  void anAbandonedHashEnds() {
    PrefixHasher hasher = hasher(PIECE_BYTES);
    hasher.abandon();
    assertThrows(CancelledException.class, hasher::await);
  }
}
