package io.anymatix.fetcher.store;

import com.fasterxml.jackson.databind.JsonNode;
import io.anymatix.fetcher.content.Redactor;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.CharBuffer;
import java.nio.charset.CoderResult;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Whether bytes can be what their name says. Sites answer with a login or error page, status 200,
 * where a model should be; such a page must never get a model's name.
 */
public final class ContentCheck {
  /** As many first bytes tell a page from a model, and most formats from others. */
  public static final int HEAD_BYTES = 512;

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
   * @throws FetchException {@code notAModel}, with the first line of what came if that is text
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
    checkHead(part, name, lengthBytes);
    if (isSafetensors(extension)) {
      String fault = safetensorsFault(part, lengthBytes);
      if (fault != null) {
        throw notAModel(part, name, fault);
      }
    }
  }

  /**
   * Looks at the first bytes alone, which are there long before the others: so that nobody waits
   * for the rest of what is no model.
   *
   * @param lengthBytes of the whole; its first {@link #HEAD_BYTES} are in the part, or all of fewer
   * @throws FetchException {@code notAModel}, as {@link #check} does
   */
  public static void checkHead(PartFile part, ModelFileName name, long lengthBytes) {
    byte[] head = read(part, 0, (int) Math.min(HEAD_BYTES, lengthBytes));
    String fault = headFault(head, name.extension(), lengthBytes);
    if (fault != null) {
      throw notAModel(part, name, fault);
    }
  }

  private static @Nullable String headFault(byte[] head, String extension, long lengthBytes) {
    if (!TEXT_EXTENSIONS.contains(extension) && isPage(head)) {
      return "is a web page or an error message";
    }
    return switch (extension) {
      case "safetensors", "sft" -> {
        if (head.length < 10) {
          yield "is too short for a safetensors file";
        }
        long headerBytes = headerBytes(head);
        boolean isHeader =
            headerBytes >= 2
                && headerBytes <= LONGEST_SAFETENSORS_HEADER_BYTES
                && headerBytes <= lengthBytes - 8
                && head[8] == '{';
        yield isHeader ? null : "has no safetensors header";
      }
      case "gguf" -> startsWith(head, "GGUF") ? null : "does not begin like a GGUF file";
      case "pt", "pth", "ckpt" -> {
        boolean isPickle =
            head.length > 1 && (head[0] & 0xff) == 0x80 && head[1] >= 2 && head[1] <= 5;
        yield isPickle || startsWith(head, "PK\u0003\u0004")
            ? null
            : "is neither a zip archive nor a pickle";
      }
      default -> null; // any other suffix may hold any bytes
    };
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

  private static boolean isSafetensors(String extension) {
    return extension.equals("safetensors") || extension.equals("sft");
  }

  /** The length of the header, which a safetensors file begins with. */
  private static long headerBytes(byte[] head) {
    return ByteBuffer.wrap(head).order(ByteOrder.LITTLE_ENDIAN).getLong();
  }

  /** Whether the header describes a file of that length. */
  private static @Nullable String safetensorsFault(PartFile part, long lengthBytes) {
    long headerBytes = headerBytes(read(part, 0, 8));
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

  /** What can be shown to a reader; empty for bytes that are no text. */
  private static String text(byte[] head) {
    CharBuffer text = CharBuffer.allocate(head.length);
    // The last character may be cut, which is no fault as long as more may follow.
    CoderResult end =
        StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(head), text, false);
    boolean isText =
        !end.isError()
            && text.flip()
                .chars()
                .noneMatch(c -> Character.isISOControl(c) && !Character.isWhitespace(c));
    return isText ? text.toString() : "";
  }

  private static FetchException notAModel(PartFile part, ModelFileName name, String fault) {
    byte[] head = read(part, 0, (int) Math.min(HEAD_BYTES, part.lengthBytes()));
    String line = text(head).strip().lines().findFirst().orElse("").replaceAll("\\p{Cntrl}", "");
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
