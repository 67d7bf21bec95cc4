package io.anymatix.fetcher.testing;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Objects;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;

/**
 * The bytes of a resource, computed at any offset, so that a resource of gigabytes needs neither
 * memory nor disk. Immutable and safe from any thread.
 */
public final class Content {
  public static final long KIB = 1024;
  public static final long MIB = 1024 * KIB;
  public static final long GIB = 1024 * MIB;

  private static final int BLOCK_BYTES = (int) MIB;
  private static final int PAGE_BYTES = 4096;
  private static final int BUFFER_BYTES = 256 * 1024;

  private interface Reader {
    /** Puts the {@code count} bytes from {@code position} on into {@code into} at {@code at}. */
    void read(long position, byte[] into, int at, int count);
  }

  private final long lengthBytes;
  private final Reader reader;
  private volatile @Nullable String sha256;

  private Content(long lengthBytes, Reader reader) {
    this.lengthBytes = lengthBytes;
    this.reader = reader;
  }

  /**
   * Incompressible bytes that depend on the seed and the offset alone: a block of 1 MiB repeats,
   * and each page of 4 KiB carries its own stamp, so that no two pages are alike and a misplaced
   * range is always seen.
   */
  public static Content random(long seed, long lengthBytes) {
    byte[] block = new byte[BLOCK_BYTES];
    new SplittableRandom(seed).nextBytes(block);
    return new Content(
        lengthBytes,
        (position, into, at, count) -> {
          for (int done = 0; done < count; ) {
            int inBlock = (int) ((position + done) % BLOCK_BYTES);
            int run = Math.min(count - done, BLOCK_BYTES - inBlock);
            System.arraycopy(block, inBlock, into, at + done, run);
            done += run;
          }
          for (long page = position / PAGE_BYTES; page * PAGE_BYTES < position + count; page++) {
            stampPage(page, position, into, at, count);
          }
        });
  }

  /** Writes the page's own number, scrambled, over what of its first 8 bytes was asked for. */
  private static void stampPage(long page, long position, byte[] into, int at, int count) {
    long stamp = (page + 1) * 0x9E3779B97F4A7C15L;
    for (int i = 0; i < Long.BYTES; i++) {
      long index = page * PAGE_BYTES + i - position;
      if (index >= 0 && index < count) {
        into[at + (int) index] = (byte) (stamp >>> (8 * i));
      }
    }
  }

  /** The golden vectors' body: byte i is {@code (i*131 + (i>>8)*17 + seed) mod 256}. */
  public static Content pattern(long seed, long lengthBytes) {
    return new Content(
        lengthBytes,
        (position, into, at, count) -> {
          for (int i = 0; i < count; i++) {
            long offset = position + i;
            into[at + i] = (byte) (offset * 131 + (offset >> 8) * 17 + seed);
          }
        });
  }

  /** A well-formed safetensors file of exactly {@code lengthBytes} with one tensor of bytes. */
  public static Content safetensors(long seed, long lengthBytes) {
    int headBytes = 128;
    long tensorBytes = lengthBytes - Long.BYTES - headBytes;
    if (tensorBytes < 0) {
      throw new IllegalArgumentException("a safetensors file has at least 136 bytes here");
    }
    String json =
        "{\"t\":{\"dtype\":\"U8\",\"shape\":[%d],\"data_offsets\":[0,%d]}}"
            .formatted(tensorBytes, tensorBytes);
    byte[] head = new byte[Long.BYTES + headBytes];
    Arrays.fill(head, (byte) ' ');
    Arrays.fill(head, 0, Long.BYTES, (byte) 0);
    head[0] = (byte) headBytes;
    byte[] text = json.getBytes(StandardCharsets.US_ASCII);
    System.arraycopy(text, 0, head, Long.BYTES, text.length);
    return random(seed, lengthBytes).overwritten(0, head);
  }

  /** Exactly these bytes, which the caller leaves alone from now on. */
  public static Content of(byte... bytes) {
    return new Content(
        bytes.length,
        (position, into, at, count) -> System.arraycopy(bytes, (int) position, into, at, count));
  }

  /** The text in UTF-8. */
  public static Content text(String text) {
    return of(text.getBytes(StandardCharsets.UTF_8));
  }

  /** This content with other bytes from {@code offset} on; the length stays. */
  public Content overwritten(long offset, byte... bytes) {
    Objects.checkFromIndexSize(offset, bytes.length, lengthBytes);
    return new Content(
        lengthBytes,
        (position, into, at, count) -> {
          reader.read(position, into, at, count);
          long from = Math.max(position, offset);
          long to = Math.min(position + count, offset + bytes.length);
          if (from < to) {
            System.arraycopy(
                bytes,
                (int) (from - offset),
                into,
                at + (int) (from - position),
                (int) (to - from));
          }
        });
  }

  /** The {@code count} bytes from {@code from} on as a content; zeros where this one has ended. */
  Content slice(long from, long count) {
    return new Content(
        count,
        (position, into, at, wanted) -> {
          long left = Math.max(0, lengthBytes - from - position);
          int here = (int) Math.min(wanted, left);
          if (here > 0) {
            reader.read(from + position, into, at, here);
          }
          Arrays.fill(into, at + here, at + wanted, (byte) 0);
        });
  }

  /** This content with every bit of one byte inverted: what only a hash can see. */
  public Content withFlippedByte(long offset) {
    return overwritten(offset, (byte) ~bytes(offset, 1)[0]);
  }

  public long lengthBytes() {
    return lengthBytes;
  }

  /**
   * Puts the {@code count} bytes from {@code position} on into {@code into} at {@code at}.
   *
   * @throws IndexOutOfBoundsException if this content or the array is too short for that
   */
  public void read(long position, byte[] into, int at, int count) {
    Objects.checkFromIndexSize(position, count, lengthBytes);
    Objects.checkFromIndexSize(at, count, into.length);
    reader.read(position, into, at, count);
  }

  /** A copy of the {@code count} bytes from {@code position} on. */
  public byte[] bytes(long position, int count) {
    byte[] copy = new byte[count];
    read(position, copy, 0, count);
    return copy;
  }

  /** A copy of everything. */
  public byte[] bytes() {
    return bytes(0, Math.toIntExact(lengthBytes));
  }

  /** SHA-256 of everything in lower-case hexadecimal; computed on first use. */
  public String sha256() {
    String known = sha256;
    if (known == null) {
      MessageDigest digest = newSha256();
      byte[] buffer = new byte[BUFFER_BYTES];
      for (long at = 0; at < lengthBytes; ) {
        int count = (int) Math.min(buffer.length, lengthBytes - at);
        reader.read(at, buffer, 0, count);
        digest.update(buffer, 0, count);
        at += count;
      }
      known = HexFormat.of().formatHex(digest.digest());
      sha256 = known;
    }
    return known;
  }

  /** Writes the first {@code count} bytes to a file, replacing what it held. */
  public void writeTo(Path file, long count) throws IOException {
    byte[] buffer = new byte[BUFFER_BYTES];
    try (OutputStream out = Files.newOutputStream(file)) {
      for (long at = 0; at < count; ) {
        int run = (int) Math.min(buffer.length, count - at);
        read(at, buffer, 0, run);
        out.write(buffer, 0, run);
        at += run;
      }
    }
  }

  /**
   * Offset of the first byte in which a file differs from this content, or -1 if it is the same; a
   * length that differs counts at the shorter end.
   */
  public long mismatch(Path file) throws IOException {
    byte[] theirs = new byte[BUFFER_BYTES];
    byte[] ours = new byte[BUFFER_BYTES];
    try (InputStream in = Files.newInputStream(file)) {
      for (long at = 0; ; ) {
        int got = in.readNBytes(theirs, 0, theirs.length);
        int expected = (int) Math.min(ours.length, lengthBytes - at);
        reader.read(at, ours, 0, expected);
        int difference = Arrays.mismatch(theirs, 0, got, ours, 0, expected);
        if (difference >= 0) {
          return at + difference;
        }
        if (got < theirs.length) {
          return -1;
        }
        at += got;
      }
    }
  }

  private static MessageDigest newSha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java platform has SHA-256", e);
    }
  }
}
