package io.anymatix.fetcher.store;

import com.fasterxml.jackson.databind.JsonNode;
import io.anymatix.fetcher.content.Redactor;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.Set;

/**
 * Whether bytes can be what their name says. Sites answer with a login or error page, status 200,
 * where a model should be; such a page must never get a model's name.
 */
public final class ContentCheck {
  private static final int HEAD_BYTES = 512;
  private static final int LONGEST_SHOWN_LINE = 120;

  /** The safetensors format's own limit for its header. */
  private static final long LONGEST_SAFETENSORS_HEADER_BYTES = 100_000_000;

  /** Names under which text is what one expects. */
  private static final Set<String> TEXT_EXTENSIONS =
      Set.of("json", "txt", "yaml", "yml", "md", "xml", "csv", "model", "vocab");

  private ContentCheck() {}

  /**
   * Looks at a complete part.
   *
   * @param strictly whether any look beyond "a .json name holds JSON" is wanted
   * @throws FetchException {@code notAModel}, with the first line of what came
   */
  public static void check(PartFile part, ModelFileName name, long lengthBytes, boolean strictly) {
    String extension = name.extension();
    if (extension.equals("json")) {
      if (!isJson(part)) {
        throw notAModel(part, name, "is not JSON");
      }
      return;
    }
    if (!strictly || lengthBytes == 0) {
      return;
    }
    byte[] head = read(part, 0, (int) Math.min(HEAD_BYTES, lengthBytes));
    if (!TEXT_EXTENSIONS.contains(extension) && isPage(head)) {
      throw notAModel(part, name, "is a web page or an error message");
    }
    switch (extension) {
      case "safetensors", "sft" -> {
        String fault = safetensorsFault(part, head, lengthBytes);
        if (fault != null) {
          throw notAModel(part, name, fault);
        }
      }
      case "gguf" -> {
        if (!startsWith(head, "GGUF")) {
          throw notAModel(part, name, "does not begin like a GGUF file");
        }
      }
      case "pt", "pth", "ckpt" -> {
        boolean pickle =
            head.length > 1 && (head[0] & 0xff) == 0x80 && head[1] >= 2 && head[1] <= 5;
        if (!startsWith(head, "PK\u0003\u0004") && !pickle) {
          throw notAModel(part, name, "is neither a zip archive nor a pickle");
        }
      }
      default -> {
        // Any other suffix may hold any bytes.
      }
    }
  }

  /** A page in HTML or XML, or a JSON message: what a site says instead of sending the file. */
  private static boolean isPage(byte[] head) {
    String text = new String(head, StandardCharsets.UTF_8).replace("\ufeff", "").stripLeading();
    String lower = text.toLowerCase(Locale.ROOT);
    return lower.startsWith("<!doctype")
        || lower.startsWith("<html")
        || lower.startsWith("<head")
        || lower.startsWith("<?xml")
        || lower.startsWith("<error")
        || lower.startsWith("<script")
        || lower.startsWith("<!--")
        || (lower.startsWith("{") && lower.substring(1).stripLeading().startsWith("\""));
  }

  private static @org.jspecify.annotations.Nullable String safetensorsFault(
      PartFile part, byte[] head, long lengthBytes) {
    if (head.length < 10) {
      return "is too short for a safetensors file";
    }
    long headerBytes = ByteBuffer.wrap(head).order(ByteOrder.LITTLE_ENDIAN).getLong();
    if (headerBytes < 2
        || headerBytes > LONGEST_SAFETENSORS_HEADER_BYTES
        || headerBytes > lengthBytes - 8
        || head[8] != '{') {
      return "has no safetensors header";
    }
    JsonNode header = PythonJson.read(read(part, 8, (int) headerBytes)).orElse(null);
    if (header == null || !header.isObject()) {
      return "has no readable safetensors header";
    }
    long dataEnd = 0;
    for (JsonNode tensor : header) {
      dataEnd = Math.max(dataEnd, tensor.path("data_offsets").path(1).asLong(0));
    }
    long expected = 8 + headerBytes + dataEnd;
    return expected == lengthBytes
        ? null
        : "has " + lengthBytes + " bytes, but its safetensors header describes " + expected;
  }

  private static boolean startsWith(byte[] head, String ascii) {
    byte[] magic = ascii.getBytes(StandardCharsets.US_ASCII);
    if (head.length < magic.length) {
      return false;
    }
    for (int i = 0; i < magic.length; i++) {
      if (head[i] != magic[i]) {
        return false;
      }
    }
    return true;
  }

  private static boolean isJson(PartFile part) {
    try {
      return PythonJson.isJson(stream(part));
    } catch (IOException e) {
      throw StorageFailures.of(e, part.path());
    }
  }

  private static InputStream stream(PartFile part) {
    return new InputStream() {
      private long position;

      @Override
      public int read() {
        byte[] one = new byte[1];
        return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
      }

      @Override
      public int read(byte[] target, int offset, int length) {
        int n = part.read(ByteBuffer.wrap(target, offset, length), position);
        position += Math.max(0, n);
        return n;
      }
    };
  }

  private static byte[] read(PartFile part, long offset, int length) {
    ByteBuffer buffer = ByteBuffer.allocate(length);
    while (buffer.hasRemaining() && part.read(buffer, offset + buffer.position()) >= 0) {}
    return buffer.array();
  }

  private static FetchException notAModel(PartFile part, ModelFileName name, String fault) {
    byte[] head = read(part, 0, (int) Math.min(HEAD_BYTES, part.lengthBytes()));
    String line =
        new String(head, StandardCharsets.UTF_8)
            .strip()
            .lines()
            .findFirst()
            .orElse("")
            .replaceAll("\\p{Cntrl}|\\ufffd", "");
    String safe = Redactor.text(line);
    String shown = safe.substring(0, Math.min(LONGEST_SHOWN_LINE, safe.length()));
    return FetchException.because(
            FailureKind.NOT_A_MODEL,
            "What came for "
                + (name.original().isEmpty() ? "this link" : name.original())
                + " "
                + fault
                + (shown.isBlank() ? "." : "; it begins with: " + shown))
        .build();
  }
}
