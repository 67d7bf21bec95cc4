package io.anymatix.fetcher.content;

/**
 * A range of bytes with inclusive ends, as RFC 9110 section 14.1.2 writes it.
 *
 * @param first offset of the first byte
 * @param last offset of the last byte, never below {@code first}
 */
public record ByteRange(long first, long last) {
  public ByteRange {
    if (first < 0 || last < first) {
      throw new IllegalArgumentException("not a byte range: " + first + "-" + last);
    }
  }

  /** The range that starts at {@code first} and holds {@code lengthBytes} bytes. */
  public static ByteRange ofLength(long first, long lengthBytes) {
    return new ByteRange(first, first + lengthBytes - 1);
  }

  public long lengthBytes() {
    return last - first + 1;
  }

  /** The value of a {@code Range} header field that asks for exactly these bytes. */
  public String headerValue() {
    return "bytes=" + first + "-" + last;
  }
}
