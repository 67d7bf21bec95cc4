package io.anymatix.fetcher.testing;

import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * A Range field held against a length (RFC 9110 section 14.1). Written apart from the parser of the
 * code under test, so that one error can not hide the other.
 *
 * @param span the bytes to send; null if the range can not be satisfied
 */
record RangeRequest(Fault.@Nullable Span span) {
  private static final Pattern SINGLE = Pattern.compile("bytes=(\\d{0,18})-(\\d{0,18})");

  private static final Pattern IN_PATH = Pattern.compile("(.*)/(\\d{1,18})-(\\d{1,18})");

  /** The range that a path ends with, written as a field's value; null if it ends with none. */
  static @Nullable String inPath(String path) {
    Matcher matcher = IN_PATH.matcher(path);
    return matcher.matches() ? "bytes=" + matcher.group(2) + "-" + matcher.group(3) : null;
  }

  /** The path without the range that it ends with. */
  static String withoutRange(String path) {
    Matcher matcher = IN_PATH.matcher(path);
    return matcher.matches() ? matcher.group(1) : path;
  }

  /** Null if the field is to be ignored: malformed, of another unit, or of several ranges. */
  static @Nullable RangeRequest parse(String fieldValue, long completeLengthBytes) {
    Matcher matcher = SINGLE.matcher(fieldValue.strip());
    if (!matcher.matches()) {
      return null;
    }
    String first = matcher.group(1);
    String last = matcher.group(2);
    if (first.isEmpty()) {
      if (last.isEmpty()) {
        return null;
      }
      long suffix = Math.min(Long.parseLong(last), completeLengthBytes);
      return new RangeRequest(
          suffix == 0
              ? null
              : new Fault.Span(completeLengthBytes - suffix, completeLengthBytes - 1));
    }
    long from = Long.parseLong(first);
    long to = last.isEmpty() ? Long.MAX_VALUE : Long.parseLong(last);
    if (to < from) {
      return null;
    }
    return new RangeRequest(
        from >= completeLengthBytes
            ? null
            : new Fault.Span(from, Math.min(to, completeLengthBytes - 1)));
  }
}
