package io.anymatix.fetcher.cli;

import io.anymatix.fetcher.content.Sha256;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.security.DigestOutputStream;
import java.security.MessageDigest;

/**
 * A safetensors file that exists nowhere: an 8-byte little-endian header length, a JSON header that
 * describes one tensor, and that tensor's data, which is computed from its position. So a file of
 * any length takes no memory, and any range of it is at hand.
 *
 * @param name file name
 * @param lengthBytes length of the whole file; at least 1 KiB
 * @param seed decides the data
 */
record DemoModel(String name, long lengthBytes, long seed) {
  private static final int HEADER_BYTES = 512;
  private static final int PREFIX_BYTES = 8 + HEADER_BYTES;

  /** Writes the inclusive range of bytes from {@code first} to {@code last}. */
  void write(long first, long last, OutputStream out) throws IOException {
    byte[] chunk = new byte[64 * 1024];
    for (long at = first; at <= last; at += chunk.length) {
      int length = (int) Math.min(chunk.length, last - at + 1);
      fill(at, chunk, length);
      out.write(chunk, 0, length);
    }
  }

  /** Puts the {@code length} bytes from position {@code at} on into a buffer. */
  void fill(long at, byte[] target, int length) {
    byte[] prefix = at < PREFIX_BYTES ? prefix() : new byte[0];
    for (int i = 0; i < length; ) {
      long position = at + i;
      if (position < prefix.length) {
        target[i++] = prefix[(int) position];
        continue;
      }
      long word = mix(seed + (position >>> 3));
      int inWord = (int) (position & 7);
      for (; inWord < 8 && i < length; inWord++, i++) {
        target[i] = (byte) (word >>> (8 * inWord));
      }
    }
  }

  /** The hash of the whole file. */
  Sha256 sha256() {
    MessageDigest digest = Sha256.newDigest();
    try (OutputStream out = new DigestOutputStream(OutputStream.nullOutputStream(), digest)) {
      write(0, lengthBytes - 1, out);
    } catch (IOException e) {
      throw new AssertionError("nothing is written anywhere", e);
    }
    return Sha256.finish(digest);
  }

  private byte[] prefix() {
    long dataBytes = lengthBytes - PREFIX_BYTES;
    String header =
        "{\"__metadata__\":{\"title\":\"A generated model without any use\"},"
            + "\"demo.weight\":{\"dtype\":\"U8\",\"shape\":["
            + dataBytes
            + "],\"data_offsets\":[0,"
            + dataBytes
            + "]}}";
    // The format allows a header to be padded with spaces.
    return ByteBuffer.allocate(PREFIX_BYTES)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putLong(HEADER_BYTES)
        .put((header + " ".repeat(HEADER_BYTES - header.length())).getBytes(StandardCharsets.UTF_8))
        .array();
  }

  /** Spreads a counter over 64 bits, as the last step of the SplitMix64 generator does. */
  private static long mix(long counter) {
    long z = counter * 0x9E3779B97F4A7C15L;
    z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
    z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
    return z ^ (z >>> 31);
  }
}
