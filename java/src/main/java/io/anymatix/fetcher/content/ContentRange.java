package io.anymatix.fetcher.content;

import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * A {@code Content-Range} field in bytes (RFC 9110 section 14.4).
 *
 * @param range the range that the answer holds; null in an answer to an unsatisfiable range
 * @param completeLengthBytes length of the whole representation; null where the server wrote {@code
 *     *}
 */
public record ContentRange(@Nullable ByteRange range, @Nullable Long completeLengthBytes) {
  private static final Pattern SATISFIED =
      Pattern.compile("bytes\\s+(\\d{1,19})-(\\d{1,19})/(\\d{1,19}|\\*)", Pattern.CASE_INSENSITIVE);
  private static final Pattern UNSATISFIED =
      Pattern.compile("bytes\\s+\\*/(\\d{1,19})", Pattern.CASE_INSENSITIVE);

  /** Reads a field value; null if it is absent, malformed, or of another unit than bytes. */
  public static @Nullable ContentRange parse(@Nullable String fieldValue) {
    if (fieldValue == null) {
      return null;
    }
    try {
      return parsePresent(fieldValue.strip());
    } catch (NumberFormatException e) {
      return null; // beyond what a file can be long
    }
  }

  private static @Nullable ContentRange parsePresent(String text) {
    Matcher satisfied = SATISFIED.matcher(text);
    if (satisfied.matches()) {
      long first = Long.parseLong(satisfied.group(1));
      long last = Long.parseLong(satisfied.group(2));
      Long complete = satisfied.group(3).equals("*") ? null : Long.valueOf(satisfied.group(3));
      if (last < first || (complete != null && complete <= last)) {
        return null;
      }
      return new ContentRange(new ByteRange(first, last), complete);
    }
    Matcher unsatisfied = UNSATISFIED.matcher(text);
    return unsatisfied.matches()
        ? new ContentRange(null, Long.valueOf(unsatisfied.group(1)))
        : null;
  }
}
