package io.anymatix.fetcher.content;

import org.jspecify.annotations.Nullable;

/**
 * How an address hands out a file's bytes, where that differs from plain HTTP.
 *
 * @param rangesInPath whether a range is asked for by a path suffix, {@code /first-last}, and
 *     answered as if it were a whole file; else by a {@code Range} field
 * @param isPassing whether the address was made for this download: a refusal, a page or nothing at
 *     it means that its time is over, and the source gives another one
 * @param key what decrypts the bytes; null for bytes that are served as they are
 */
public record Delivery(boolean rangesInPath, boolean isPassing, @Nullable ContentKey key) {
  /** Ranges as RFC 9110 has them, at an address that lasts, of bytes as they are. */
  public static final Delivery PLAIN = new Delivery(false, false, null);
}
