package io.anymatix.fetcher.fetch;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.Arrays;
import java.util.HexFormat;

/**
 * Bytes that a golden case describes in a few words: {@code {text}}, {@code {size, seed}}, or the
 * start of another body with bytes after it. Never held as a whole, so that a body may be of any
 * length.
 */
abstract class GoldenBody {
  abstract long lengthBytes();

  abstract byte byteAt(long index);

  final byte[] bytes(long first, int count) {
    byte[] bytes = new byte[count];
    for (int i = 0; i < count; i++) {
      bytes[i] = byteAt(first + i);
    }
    return bytes;
  }

  final byte[] bytes() {
    return bytes(0, Math.toIntExact(lengthBytes()));
  }

  static GoldenBody of(JsonNode description) {
    if (description.has("text")) {
      return of(description.get("text").asText().getBytes(UTF_8));
    }
    if (description.has("pattern")) {
      byte[] whole = of(description.get("pattern")).bytes();
      byte[] tail = HexFormat.of().parseHex(description.path("then_hex").asText());
      int kept = description.path("first").asInt(whole.length);
      byte[] bytes = Arrays.copyOf(whole, kept + tail.length);
      System.arraycopy(tail, 0, bytes, kept, tail.length);
      return of(bytes);
    }
    long lengthBytes = description.required("size").asLong();
    int seed = description.required("seed").asInt();
    return new GoldenBody() {
      @Override
      long lengthBytes() {
        return lengthBytes;
      }

      @Override
      byte byteAt(long index) {
        return (byte) (index * 131 + (index >> 8) * 17 + seed);
      }
    };
  }

  private static GoldenBody of(byte[] bytes) {
    return new GoldenBody() {
      @Override
      long lengthBytes() {
        return bytes.length;
      }

      @Override
      byte byteAt(long index) {
        return bytes[Math.toIntExact(index)];
      }
    };
  }
}
