package io.anymatix.fetcher.store;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/**
 * A url cut as Python's {@code urllib.parse.urlparse} cuts it, which is what every name in the
 * store rests on (store contract 1.1). It is no RFC 3986 parser: nothing is validated or decoded,
 * and any text has parts.
 *
 * @param scheme lower-case, without colon; empty if there is none
 * @param authority what follows {@code //}, userinfo and port included
 * @param path up to the parameters, as written
 * @param params what follows the first {@code ;} of the last path segment
 * @param query as written, without {@code ?}
 * @param fragment as written, without {@code #}
 */
record UrlParts(
    String scheme, String authority, String path, String params, String query, String fragment) {

  private static final String SCHEME_CHARACTERS =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.";
  private static final Set<String> SCHEMES_WITH_PARAMS =
      Set.of(
          "",
          "ftp",
          "hdl",
          "prospero",
          "http",
          "https",
          "shttp",
          "rtsp",
          "rtspu",
          "sip",
          "sips",
          "mms",
          "sftp",
          "tel");
  private static final String UNESCAPED =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~";

  /** One pair of a query, decoded. */
  record Pair(String name, String value) {}

  static UrlParts of(String url) {
    String rest = withoutInvisibles(url);
    String scheme = schemeOf(rest);
    if (!scheme.isEmpty()) {
      rest = rest.substring(scheme.length() + 1);
      scheme = scheme.toLowerCase(Locale.ROOT);
    }
    String authority = "";
    if (rest.startsWith("//")) {
      int end = 2;
      while (end < rest.length() && "/?#".indexOf(rest.charAt(end)) < 0) {
        end++;
      }
      authority = rest.substring(2, end);
      rest = rest.substring(end);
    }
    String fragment = after(rest, rest.indexOf('#'));
    rest = before(rest, rest.indexOf('#'));
    String query = after(rest, rest.indexOf('?'));
    rest = before(rest, rest.indexOf('?'));
    int semicolon =
        SCHEMES_WITH_PARAMS.contains(scheme)
            ? rest.indexOf(';', Math.max(rest.lastIndexOf('/'), 0))
            : -1;
    return new UrlParts(
        scheme, authority, before(rest, semicolon), after(rest, semicolon), query, fragment);
  }

  UrlParts withQuery(String newQuery) {
    return new UrlParts(scheme, authority, path, params, newQuery, fragment);
  }

  UrlParts withFragment(String newFragment) {
    return new UrlParts(scheme, authority, path, params, query, newFragment);
  }

  UrlParts withoutUserinfo() {
    String host = authority.substring(authority.lastIndexOf('@') + 1);
    return new UrlParts(scheme, host, path, params, query, fragment);
  }

  /** Puts the parts together again, as {@code urlunparse} does. */
  String text() {
    StringBuilder text = new StringBuilder();
    if (!scheme.isEmpty()) {
      text.append(scheme).append(':');
    }
    if (!authority.isEmpty()) {
      text.append("//").append(authority);
      if (!path.isEmpty() && !path.startsWith("/")) {
        text.append('/');
      }
    }
    text.append(path);
    appendIfAny(text, ';', params);
    appendIfAny(text, '?', query);
    appendIfAny(text, '#', fragment);
    return text.toString();
  }

  /**
   * The pairs of a form-encoded text in order: separated by {@code &} only, empty pieces dropped,
   * blank values kept.
   */
  static List<Pair> pairs(String formText) {
    List<Pair> pairs = new ArrayList<>();
    for (String piece : formText.split("&", -1)) {
      if (!piece.isEmpty()) {
        int equals = piece.indexOf('=');
        pairs.add(new Pair(formDecoded(before(piece, equals)), formDecoded(after(piece, equals))));
      }
    }
    return pairs;
  }

  /** The text of pairs in the one encoding that the url hash knows. */
  static String formText(List<Pair> pairs) {
    StringBuilder text = new StringBuilder();
    for (Pair pair : pairs) {
      if (text.length() > 0) {
        text.append('&');
      }
      appendFormEncoded(text, pair.name());
      text.append('=');
      appendFormEncoded(text, pair.value());
    }
    return text.toString();
  }

  private static String withoutInvisibles(String url) {
    int start = 0;
    while (start < url.length() && url.charAt(start) <= ' ') {
      start++;
    }
    StringBuilder visible = new StringBuilder(url.length() - start);
    for (int i = start; i < url.length(); i++) {
      char c = url.charAt(i);
      if (c != '\t' && c != '\r' && c != '\n') {
        visible.append(c);
      }
    }
    return visible.toString();
  }

  /** The scheme as written, or an empty text. */
  private static String schemeOf(String url) {
    int colon = url.indexOf(':');
    if (colon <= 0 || SCHEME_CHARACTERS.indexOf(url.charAt(0)) >= 52) {
      return "";
    }
    for (int i = 0; i < colon; i++) {
      if (SCHEME_CHARACTERS.indexOf(url.charAt(i)) < 0) {
        return "";
      }
    }
    return url.substring(0, colon);
  }

  private static String before(String text, int index) {
    return index < 0 ? text : text.substring(0, index);
  }

  private static String after(String text, int index) {
    return index < 0 ? "" : text.substring(index + 1);
  }

  private static void appendIfAny(StringBuilder text, char mark, String part) {
    if (!part.isEmpty()) {
      text.append(mark).append(part);
    }
  }

  /**
   * Plus signs and escapes decoded, with U+FFFD where they are not UTF-8. An escape beside a
   * character beyond ASCII is decoded by itself: the two never make up one character.
   */
  private static String formDecoded(String text) {
    String spaced = text.replace('+', ' ');
    if (spaced.indexOf('%') < 0) {
      return spaced;
    }
    StringBuilder decoded = new StringBuilder(spaced.length());
    ByteBuffer asciiRun = ByteBuffer.allocate(spaced.length());
    for (int i = 0; i < spaced.length(); i++) {
      char c = spaced.charAt(i);
      int octet = c == '%' ? escapedOctet(spaced, i) : -1;
      if (octet >= 0) {
        asciiRun.put((byte) octet);
        i += 2;
      } else if (c < 0x80) {
        asciiRun.put((byte) c);
      } else {
        drainUtf8(asciiRun, decoded);
        decoded.append(c);
      }
    }
    drainUtf8(asciiRun, decoded);
    return decoded.toString();
  }

  /** The value of the escape that starts at {@code percent}, or -1 if there is none. */
  static int escapedOctet(String text, int percent) {
    if (percent + 2 >= text.length()) {
      return -1;
    }
    int high = hexDigit(text.charAt(percent + 1));
    int low = hexDigit(text.charAt(percent + 2));
    return high < 0 || low < 0 ? -1 : (high << 4) | low;
  }

  /** ASCII digits alone: {@link Character#digit(char, int)} takes those of every script. */
  private static int hexDigit(char c) {
    return c < 0x80 ? Character.digit(c, 16) : -1;
  }

  /**
   * Decodes with one U+FFFD for each longest piece that could have begun a character, as the
   * Unicode standard (chapter 3.9) recommends and Python does; Java's own decoder counts surrogates
   * otherwise.
   */
  private static void drainUtf8(ByteBuffer octets, StringBuilder decoded) {
    octets.flip();
    while (octets.hasRemaining()) {
      int lead = octets.get() & 0xff;
      int following = lead < 0xc2 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : lead < 0xf5 ? 3 : 0;
      int lowest = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
      int highest = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
      int codePoint = lead < 0x80 ? lead : lead & (0x3f >> following);
      boolean whole = lead < 0x80 || following > 0;
      for (; following > 0 && whole; following--) {
        int next = octets.hasRemaining() ? octets.get(octets.position()) & 0xff : -1;
        whole = next >= lowest && next <= highest;
        if (whole) {
          octets.get();
          codePoint = (codePoint << 6) | (next & 0x3f);
          lowest = 0x80;
          highest = 0xbf;
        }
      }
      decoded.appendCodePoint(whole ? codePoint : 0xfffd);
    }
    octets.clear();
  }

  private static void appendFormEncoded(StringBuilder text, String value) {
    for (byte octet : value.getBytes(StandardCharsets.UTF_8)) {
      char c = (char) (octet & 0xff);
      if (c == ' ') {
        text.append('+');
      } else if (UNESCAPED.indexOf(c) >= 0) {
        text.append(c);
      } else {
        text.append('%').append("0123456789ABCDEF".charAt(c >> 4));
        text.append("0123456789ABCDEF".charAt(c & 15));
      }
    }
  }
}
