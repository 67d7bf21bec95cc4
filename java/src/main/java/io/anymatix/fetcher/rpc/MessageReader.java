package io.anymatix.fetcher.rpc;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * Takes messages out of a byte stream: one a line, or behind a {@code Content-Length} header (the
 * base protocol of LSP 3.17) if the stream begins with one.
 *
 * <p>Belongs to one thread, except {@link #usesHeaders()}. Keeps no more than one message in
 * memory, and nothing of one that is too large.
 */
final class MessageReader {
  /** The largest message, in bytes, without its framing. */
  static final int MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

  private static final int MAX_HEADER_LINE_BYTES = 8 * 1024;
  private static final int KEPT_STORE_BYTES = 64 * 1024;
  private static final String CONTENT_LENGTH = "content-length";

  private final InputStream in;
  private final byte[] buffer = new byte[64 * 1024];
  private int position;
  private int limit;

  /** The bytes of the line or body that is being read. */
  private byte[] store = new byte[KEPT_STORE_BYTES];

  private int storedBytes;

  private boolean framingKnown;
  private volatile boolean usesHeaders;

  /** Whether the place in the stream is unknown: bytes count again from the next header on. */
  private boolean lost;

  /** A header line that was read while looking for something else. */
  private @Nullable String readAhead;

  MessageReader(InputStream in) {
    this.in = in;
  }

  /** Whether messages carry headers; settled when {@link #next()} first returned or threw. */
  boolean usesHeaders() {
    return usesHeaders;
  }

  /**
   * Waits for the next message. The bytes are valid until the next call.
   *
   * @return null at the end of the stream; a header-framed message that was cut off by it is lost
   * @throws UnreadableMessageException if there is no such message; the one after it can be read
   */
  @Nullable ByteBuffer next() throws IOException, UnreadableMessageException {
    if (store.length > KEPT_STORE_BYTES) {
      store = new byte[KEPT_STORE_BYTES];
    }
    return usesHeaders ? nextFramed() : nextLine();
  }

  private @Nullable ByteBuffer nextLine() throws IOException, UnreadableMessageException {
    while (true) {
      // One byte more than allowed, in case the last one is the carriage return of a line end.
      Line line = readLine(MAX_MESSAGE_BYTES + 1);
      if (line == Line.END) {
        return null;
      }
      ByteBuffer message = withoutByteOrderMark(ByteBuffer.wrap(store, 0, storedBytes));
      if (line == Line.TOO_LONG || message.remaining() > MAX_MESSAGE_BYTES) {
        framingKnown = true;
        throw tooLarge();
      }
      if (isBlank(message)) {
        continue;
      }
      if (!framingKnown) {
        framingKnown = true;
        if (startsLikeHeader(message)) {
          usesHeaders = true;
          readAhead = text(message);
          return nextFramed();
        }
      }
      return message;
    }
  }

  private @Nullable ByteBuffer nextFramed() throws IOException, UnreadableMessageException {
    if (lost) {
      if (!skipToHeader()) {
        return null;
      }
      lost = false;
    }
    long lengthBytes = -1;
    boolean inHeaders = false;
    while (true) {
      String line = headerLine();
      if (line == null) {
        return null;
      }
      if (line.isEmpty()) {
        if (inHeaders) {
          break;
        }
        continue; // a line end after the previous body
      }
      inHeaders = true;
      int colon = line.indexOf(':');
      if (colon < 1 || !line.substring(0, colon).chars().allMatch(MessageReader::isNameChar)) {
        throw lostAt(line, "a header line is \"Name: value\"");
      }
      if (line.substring(0, colon).equalsIgnoreCase(CONTENT_LENGTH)) {
        long announcedBytes = parseLength(line.substring(colon + 1).trim());
        if (announcedBytes < 0 || (lengthBytes >= 0 && lengthBytes != announcedBytes)) {
          throw lostAt(line, "Content-Length is one decimal number of bytes");
        }
        lengthBytes = announcedBytes;
      }
    }
    if (lengthBytes < 0) {
      throw lostAt("", "Content-Length is missing");
    }
    if (lengthBytes > MAX_MESSAGE_BYTES) {
      if (!skip(lengthBytes)) {
        return null;
      }
      throw tooLarge();
    }
    return readBody((int) lengthBytes)
        ? withoutByteOrderMark(ByteBuffer.wrap(store, 0, storedBytes))
        : null;
  }

  /** The next header line without its end; null at the end of the stream. */
  private @Nullable String headerLine() throws IOException, UnreadableMessageException {
    String line = readAhead;
    readAhead = null;
    if (line == null) {
      switch (readLine(MAX_HEADER_LINE_BYTES)) {
        case END -> {
          return null;
        }
        case TOO_LONG -> throw lostAt("", "a header line is at most 8 KiB");
        case WHOLE -> line = text(ByteBuffer.wrap(store, 0, storedBytes));
      }
    }
    return line;
  }

  /**
   * Gives up on this message. The next one starts at the next {@code Content-Length:}, which may
   * stand in this very line behind the rest of a body that was longer than announced.
   */
  private UnreadableMessageException lostAt(String line, String rule) {
    int header = line.toLowerCase(Locale.ROOT).indexOf(CONTENT_LENGTH + ":", 1);
    if (header > 0) {
      readAhead = line.substring(header);
    } else {
      lost = true;
    }
    return new UnreadableMessageException("Invalid Request: " + rule + ".");
  }

  /** Stands behind the next {@code Content-Length:}, whose line is then read ahead. */
  private boolean skipToHeader() throws IOException, UnreadableMessageException {
    String wanted = CONTENT_LENGTH + ":";
    int matched = 0;
    while (matched < wanted.length()) {
      if (position == limit && !fill()) {
        return false;
      }
      char c = (char) (buffer[position++] & 0xff);
      char lower = c >= 'A' && c <= 'Z' ? (char) (c + 'a' - 'A') : c;
      if (lower == wanted.charAt(matched)) {
        matched++;
      } else {
        // The first letter occurs nowhere else in the name: no longer partial match can exist.
        matched = lower == wanted.charAt(0) ? 1 : 0;
      }
    }
    String value = headerLine();
    if (value == null) {
      return false;
    }
    readAhead = wanted + value;
    return true;
  }

  private enum Line {
    WHOLE,
    TOO_LONG,
    END
  }

  /** Puts the next line into the store, without its end; of a longer one nothing. */
  private Line readLine(int maxBytes) throws IOException {
    storedBytes = 0;
    boolean tooLong = false;
    boolean any = false;
    boolean ended = false;
    while (!ended && (position < limit || fill())) {
      any = true;
      int end = position;
      while (end < limit && buffer[end] != '\n') {
        end++;
      }
      int countBytes = end - position;
      tooLong |= countBytes > maxBytes - storedBytes;
      if (tooLong) {
        dropStore();
      } else {
        append(countBytes, maxBytes);
      }
      ended = end < limit;
      position = ended ? end + 1 : end;
    }
    if (storedBytes > 0 && store[storedBytes - 1] == '\r') {
      storedBytes--;
    }
    return !any ? Line.END : tooLong ? Line.TOO_LONG : Line.WHOLE;
  }

  private boolean readBody(int lengthBytes) throws IOException {
    storedBytes = 0;
    while (storedBytes < lengthBytes) {
      if (position == limit && !fill()) {
        return false;
      }
      int countBytes = Math.min(limit - position, lengthBytes - storedBytes);
      append(countBytes, lengthBytes);
      position += countBytes;
    }
    return true;
  }

  /** Adds bytes at the position to the store, which grows to no more than {@code maxBytes}. */
  private void append(int countBytes, int maxBytes) {
    int neededBytes = storedBytes + countBytes;
    if (neededBytes > store.length) {
      int doubledBytes = (int) Math.min(maxBytes, 2L * store.length);
      store = Arrays.copyOf(store, Math.max(neededBytes, doubledBytes));
    }
    System.arraycopy(buffer, position, store, storedBytes, countBytes);
    storedBytes = neededBytes;
  }

  private void dropStore() {
    storedBytes = 0;
    if (store.length > KEPT_STORE_BYTES) {
      store = new byte[KEPT_STORE_BYTES];
    }
  }

  private boolean skip(long countBytes) throws IOException {
    long leftBytes = countBytes;
    while (leftBytes > 0) {
      if (position == limit && !fill()) {
        return false;
      }
      int stepBytes = (int) Math.min(limit - position, leftBytes);
      position += stepBytes;
      leftBytes -= stepBytes;
    }
    return true;
  }

  private boolean fill() throws IOException {
    position = 0;
    limit = Math.max(0, in.read(buffer, 0, buffer.length));
    return limit > 0;
  }

  private static UnreadableMessageException tooLarge() {
    return new UnreadableMessageException(
        "Invalid Request: a message is at most " + MAX_MESSAGE_BYTES + " bytes.");
  }

  private static ByteBuffer withoutByteOrderMark(ByteBuffer message) {
    int start = message.position();
    boolean marked =
        message.remaining() >= 3
            && message.get(start) == (byte) 0xEF
            && message.get(start + 1) == (byte) 0xBB
            && message.get(start + 2) == (byte) 0xBF;
    return marked ? message.position(start + 3) : message;
  }

  private static boolean isBlank(ByteBuffer message) {
    for (int i = message.position(); i < message.limit(); i++) {
      byte b = message.get(i);
      if (b != ' ' && b != '\t' && b != '\r') {
        return false;
      }
    }
    return true;
  }

  /** {@code Content-Type} may come first; no JSON text begins with such a letter. */
  private static boolean startsLikeHeader(ByteBuffer line) {
    String prefix = "content-";
    return line.remaining() > prefix.length()
        && text(line.slice(line.position(), prefix.length())).equalsIgnoreCase(prefix);
  }

  private static boolean isNameChar(int c) {
    return c == '-' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  }

  private static long parseLength(String digits) {
    boolean decimal =
        !digits.isEmpty()
            && digits.length() <= 18
            && digits.chars().allMatch(c -> c >= '0' && c <= '9');
    return decimal ? Long.parseLong(digits) : -1;
  }

  /** Header lines are ASCII; of other bytes none is lost. */
  private static String text(ByteBuffer bytes) {
    return StandardCharsets.ISO_8859_1.decode(bytes.duplicate()).toString();
  }

  /** A message that is not there to be read; the text is what to answer. */
  static final class UnreadableMessageException extends Exception {
    private static final long serialVersionUID = 1;

    UnreadableMessageException(String message) {
      super(message);
    }
  }
}
