package io.anymatix.fetcher.content;

import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import java.net.IDN;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Locale;
import java.util.regex.Pattern;

/**
 * An http or https url, split for sending.
 *
 * <p>Workflows hold urls as people paste them: with spaces, letters beyond ASCII and stray percent
 * signs. The request target is what an HTTP client of today makes of them: existing escapes stay,
 * everything else that may not stand in a target is escaped as UTF-8. The text that names files on
 * disk is never taken from here.
 *
 * @param scheme {@code http} or {@code https}
 * @param host lower case, ASCII; an IPv6 address without brackets
 * @param port as written, or the scheme's default
 * @param target path and query, escaped; starts with a slash
 */
public record HttpUrl(String scheme, String host, int port, String target) {
  private static final String TARGET_CHARACTERS =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,/:;=?@[]";
  private static final Pattern SCHEME =
      Pattern.compile("[A-Za-z][A-Za-z0-9+.-]*:.*", Pattern.DOTALL);
  private static final Pattern IPV6_CHARACTERS = Pattern.compile("[0-9a-f.]*:[0-9a-f.:]*");

  /** Names that {@link IDN} leaves as they are: labels of letters, digits and hyphens. */
  private static final Pattern ASCII_NAME =
      Pattern.compile("[A-Za-z0-9_-]{1,63}(\\.[A-Za-z0-9_-]{1,63})*");

  private static final Pattern PORT = Pattern.compile("\\d{1,5}");

  /**
   * Reads a url as a caller wrote it.
   *
   * @throws FetchException {@code unsupported} for other schemes and for text that is no url,
   *     {@code policy} for a url that carries a user name or password
   */
  public static HttpUrl parse(String text) {
    String cleaned =
        text.stripLeading().replaceAll("[\\t\\r\\n]", "").replaceFirst("^[\\x00-\\x20]+", "");
    int colon = cleaned.indexOf(':');
    if (!SCHEME.matcher(cleaned).matches()) {
      throw FetchException.because(
              FailureKind.UNSUPPORTED, "Not a url: " + Redactor.url(text) + " has no scheme.")
          .url(Redactor.url(text))
          .build();
    }
    String scheme = cleaned.substring(0, colon).toLowerCase(Locale.ROOT);
    if (!scheme.equals("http") && !scheme.equals("https")) {
      throw FetchException.because(
              FailureKind.UNSUPPORTED, "Links of the form " + scheme + ": cannot be fetched.")
          .url(Redactor.url(text))
          .build();
    }
    String rest = cleaned.substring(colon + 1);
    if (!rest.startsWith("//")) {
      throw malformed(text, "it names no host");
    }
    int end = endOfAuthority(rest);
    String authority = rest.substring(2, end);
    if (authority.indexOf('@') >= 0) {
      throw FetchException.because(
              FailureKind.POLICY, "A url with a user name or password in it is refused.")
          .url(Redactor.url(text))
          .hint("Remove the part before the @ and use a token instead.")
          .build();
    }
    String tail = rest.substring(end);
    int fragment = tail.indexOf('#');
    if (fragment >= 0) {
      tail = tail.substring(0, fragment);
    }
    if (!tail.startsWith("/")) {
      tail = "/" + tail;
    }
    int portColon = authority.endsWith("]") ? -1 : authority.lastIndexOf(':');
    String host = portColon < 0 ? authority : authority.substring(0, portColon);
    String portText = portColon < 0 ? "" : authority.substring(portColon + 1);
    int port = scheme.equals("https") ? 443 : 80;
    if (!portText.isEmpty()) {
      if (!PORT.matcher(portText).matches() || Integer.parseInt(portText) > 65_535) {
        throw malformed(text, "its port is no number below 65536");
      }
      port = Integer.parseInt(portText);
    }
    return new HttpUrl(scheme, asciiHost(host, text), port, escapeTarget(tail));
  }

  /**
   * The url that a {@code Location} field of an answer to this url names (RFC 9110 section 10.2.2,
   * resolved as in RFC 3986 section 5.2). A fragment is dropped, it is never sent.
   */
  public HttpUrl resolve(String location) {
    String cleaned = location.strip();
    if (SCHEME.matcher(cleaned).matches()) {
      return parse(cleaned);
    }
    if (cleaned.startsWith("//")) {
      return parse(scheme + ":" + cleaned);
    }
    int fragment = cleaned.indexOf('#');
    String reference = escapeTarget(fragment < 0 ? cleaned : cleaned.substring(0, fragment));
    int query = reference.indexOf('?');
    String path = query < 0 ? reference : reference.substring(0, query);
    if (path.isEmpty()) {
      return query < 0 ? this : withTarget(path() + reference);
    }
    String merged =
        path.startsWith("/") ? path : path().substring(0, path().lastIndexOf('/') + 1) + path;
    return withTarget(withoutDotSegments(merged) + reference.substring(path.length()));
  }

  /** RFC 3986 section 5.2.4, for a path that begins with a slash. */
  private static String withoutDotSegments(String path) {
    Deque<String> kept = new ArrayDeque<>();
    String[] segments = path.substring(1).split("/", -1);
    for (int i = 0; i < segments.length; i++) {
      boolean isDot = segments[i].equals(".") || segments[i].equals("..");
      if (segments[i].equals("..")) {
        kept.pollLast();
      }
      if (!isDot) {
        kept.addLast(segments[i]);
      } else if (i == segments.length - 1) {
        kept.addLast("");
      }
    }
    return "/" + String.join("/", kept);
  }

  /** Whether both urls have the same scheme, host and port (RFC 6454). */
  public boolean sameOrigin(HttpUrl other) {
    return scheme.equals(other.scheme) && host.equals(other.host) && port == other.port;
  }

  public boolean isHttps() {
    return scheme.equals("https");
  }

  /** Host and, unless it is the scheme's default, port: what a {@code Host} field holds. */
  public String authority() {
    String name = host.indexOf(':') >= 0 ? "[" + host + "]" : host;
    return port == (isHttps() ? 443 : 80) ? name : name + ":" + port;
  }

  private String path() {
    int query = target.indexOf('?');
    return query < 0 ? target : target.substring(0, query);
  }

  /** The query without its question mark, empty if there is none. */
  public String query() {
    int query = target.indexOf('?');
    return query < 0 ? "" : target.substring(query + 1);
  }

  /** The same origin with another path and query. */
  public HttpUrl withTarget(String escapedTarget) {
    return new HttpUrl(scheme, host, port, escapedTarget);
  }

  /** The whole url, secrets included: for sending, never for showing. */
  public String text() {
    return scheme + "://" + authority() + target;
  }

  /** The url as it may be shown. */
  public String redacted() {
    return Redactor.url(text());
  }

  /** The redacted form, so that no log line can hold a secret by accident. */
  @Override
  public String toString() {
    return redacted();
  }

  private static int endOfAuthority(String afterScheme) {
    int i = 2;
    while (i < afterScheme.length() && "/?#".indexOf(afterScheme.charAt(i)) < 0) {
      i++;
    }
    return i;
  }

  private static String asciiHost(String host, String text) {
    if (host.startsWith("[") && host.endsWith("]")) {
      String address = host.substring(1, host.length() - 1).toLowerCase(Locale.ROOT);
      if (!IPV6_CHARACTERS.matcher(address).matches()) {
        throw malformed(text, "what is in brackets is no IPv6 address");
      }
      return address;
    }
    if (ASCII_NAME.matcher(host).matches()) {
      return host.toLowerCase(Locale.ROOT); // loading the tables for the rest takes a while
    }
    try {
      String ascii = IDN.toASCII(host, IDN.ALLOW_UNASSIGNED).toLowerCase(Locale.ROOT);
      if (ascii.isEmpty() || !ascii.matches("[a-z0-9._-]+")) {
        throw malformed(text, "its host is no host name");
      }
      return ascii;
    } catch (IllegalArgumentException e) {
      throw malformed(text, "its host is no host name");
    }
  }

  private static String escapeTarget(String raw) {
    StringBuilder escaped = new StringBuilder(raw.length() + 16);
    byte[] utf8 = raw.getBytes(StandardCharsets.UTF_8);
    for (int i = 0; i < utf8.length; i++) {
      char c = (char) (utf8[i] & 0xff);
      boolean isEscape =
          c == '%' && i + 2 < utf8.length && isHexDigit(utf8[i + 1]) && isHexDigit(utf8[i + 2]);
      if (isEscape || (c < 0x80 && TARGET_CHARACTERS.indexOf(c) >= 0)) {
        escaped.append(c);
      } else {
        escaped.append('%').append(String.format(Locale.ROOT, "%02X", (int) c));
      }
    }
    return escaped.toString();
  }

  private static boolean isHexDigit(byte b) {
    return Character.digit(b, 16) >= 0;
  }

  private static FetchException malformed(String text, String why) {
    return FetchException.because(
            FailureKind.UNSUPPORTED, "Not a usable url: " + Redactor.url(text) + "; " + why + ".")
        .url(Redactor.url(text))
        .build();
  }
}
