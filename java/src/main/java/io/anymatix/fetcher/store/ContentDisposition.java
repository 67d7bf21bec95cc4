package io.anymatix.fetcher.store;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * The file name in a {@code Content-Disposition} field, read as store contract 11.3 orders it. The
 * field's grammar (RFC 6266) is often broken in the wild; whatever cannot be read is skipped, and
 * the name is the server's word: clean it before use.
 */
final class ContentDisposition {
  private final String field;
  private int position;
  private @Nullable String quoted;
  private @Nullable String extended;
  private @Nullable String unquoted;

  private ContentDisposition(String field) {
    this.field = field;
  }

  /**
   * The quoted {@code filename}, else {@code filename*} (RFC 8187), else an unquoted {@code
   * filename}; null if none of them has a value. The first parameter of a kind counts.
   *
   * @param field the field value with each byte as one character (ISO-8859-1)
   */
  static @Nullable String fileName(@Nullable String field) {
    if (field == null) {
      return null;
    }
    ContentDisposition reader = new ContentDisposition(field);
    while (reader.position < field.length()) {
      reader.readParameter();
    }
    if (reader.quoted != null) {
      return reader.quoted;
    }
    return reader.extended != null ? reader.extended : reader.unquoted;
  }

  private void readParameter() {
    String name = readUntil("=;").strip().toLowerCase(Locale.ROOT);
    if (!skip('=')) {
      skip(';');
      return;
    }
    while (position < field.length() && isBlank(field.charAt(position))) {
      position++;
    }
    String inQuotes = readQuoted();
    String value = readUntil(";").strip();
    skip(';');
    if (name.equals("filename") && inQuotes != null) {
      quoted = firstOf(quoted, asUtf8OrLatin1(inQuotes));
    } else if (name.equals("filename*")) {
      extended = firstOf(extended, extendedValue(inQuotes != null ? inQuotes : value));
    } else if (name.equals("filename")) {
      unquoted = firstOf(unquoted, asUtf8OrLatin1(value));
    }
  }

  private static @Nullable String firstOf(@Nullable String earlier, @Nullable String now) {
    return earlier != null || now == null || now.isEmpty() ? earlier : now;
  }

  private boolean skip(char expected) {
    if (position < field.length() && field.charAt(position) == expected) {
      position++;
      return true;
    }
    return false;
  }

  private String readUntil(String ends) {
    int start = position;
    while (position < field.length() && ends.indexOf(field.charAt(position)) < 0) {
      position++;
    }
    return field.substring(start, position);
  }

  /**
   * A quoted string at the position, or null (and no move) if none is there or it never ends. Only
   * {@code \"} and {@code \\} are escapes: servers write Windows paths with single backslashes.
   */
  private @Nullable String readQuoted() {
    if (position >= field.length() || field.charAt(position) != '"') {
      return null;
    }
    StringBuilder value = new StringBuilder();
    for (int i = position + 1; i < field.length(); i++) {
      char c = field.charAt(i);
      if (c == '"') {
        position = i + 1;
        return value.toString();
      }
      if (c == '\\' && i + 1 < field.length() && "\"\\".indexOf(field.charAt(i + 1)) >= 0) {
        i++;
        c = field.charAt(i);
      }
      value.append(c);
    }
    return null;
  }

  /** Decodes {@code charset'language'value}; the charset is taken for what the bytes show. */
  private static @Nullable String extendedValue(String value) {
    int language = value.indexOf('\'');
    int start = value.indexOf('\'', language + 1) + 1;
    if (language < 0 || start == 0) {
      return null;
    }
    StringBuilder octets = new StringBuilder();
    for (int i = start; i < value.length(); i++) {
      char c = value.charAt(i);
      int octet = c == '%' ? UrlParts.escapedOctet(value, i) : -1;
      if (octet >= 0) {
        c = (char) octet;
        i += 2;
      }
      octets.append(c);
    }
    return asUtf8OrLatin1(octets.toString());
  }

  /** Reads characters that stand for bytes as UTF-8 if they are that, else as they are. */
  private static String asUtf8OrLatin1(String octets) {
    if (octets.chars().anyMatch(c -> c > 0xff)) {
      return octets;
    }
    try {
      return StandardCharsets.UTF_8
          .newDecoder()
          .decode(ByteBuffer.wrap(octets.getBytes(StandardCharsets.ISO_8859_1)))
          .toString();
    } catch (CharacterCodingException e) {
      return octets;
    }
  }

  private static boolean isBlank(char c) {
    return c == ' ' || c == '\t';
  }
}
