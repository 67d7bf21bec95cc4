package io.anymatix.fetcher.http;

import io.anymatix.fetcher.content.HttpUrl;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.apache.hc.client5.http.cookie.BasicCookieStore;
import org.apache.hc.client5.http.cookie.Cookie;
import org.apache.hc.client5.http.cookie.CookieOrigin;
import org.apache.hc.client5.http.cookie.CookieSpec;
import org.apache.hc.client5.http.cookie.MalformedCookieException;
import org.apache.hc.client5.http.impl.cookie.RFC6265CookieSpecFactory;
import org.apache.hc.client5.http.psl.PublicSuffixMatcherLoader;
import org.apache.hc.core5.http.Header;
import org.apache.hc.core5.http.protocol.HttpCoreContext;

/**
 * The cookies of one visit to a site, kept in memory until the visit is over.
 *
 * <p>Which cookie goes to which host is decided by RFC 6265 as the HTTP library implements it, with
 * the list of public suffixes: none is sent to a host that its sender could not have set it for.
 * Values are secrets and are never shown. For one thread at a time.
 */
public final class Cookies {
  private static final int MOST_COOKIES = 64;
  private static final int LONGEST_FIELD = 4096;

  private final CookieSpec rules =
      new RFC6265CookieSpecFactory(
              RFC6265CookieSpecFactory.CompatibilityLevel.RELAXED,
              PublicSuffixMatcherLoader.getDefault())
          .create(HttpCoreContext.create());
  private final BasicCookieStore store = new BasicCookieStore();

  /** Takes the {@code Set-Cookie} fields of an answer; what the rules forbid is left out. */
  void remember(HttpUrl url, Header... setCookieFields) {
    CookieOrigin origin = origin(url);
    for (Header field : setCookieFields) {
      String value = field.getValue();
      if (value != null && value.length() <= LONGEST_FIELD) {
        try {
          for (Cookie cookie : rules.parse(field, origin)) {
            rules.validate(cookie, origin);
            remember(cookie);
          }
        } catch (MalformedCookieException e) {
          // A cookie that its sender may not set, or that is none: as if it were absent.
        }
      }
    }
  }

  private void remember(Cookie cookie) {
    if (store.getCookies().size() < MOST_COOKIES) {
      store.addCookie(cookie);
    }
  }

  /** The header field that carries what belongs to a url; empty if nothing does. */
  public Map<String, String> fieldsFor(HttpUrl url) {
    CookieOrigin origin = origin(url);
    store.clearExpired(Instant.now());
    List<Cookie> matching =
        store.getCookies().stream().filter(cookie -> rules.match(cookie, origin)).toList();
    return matching.isEmpty()
        ? Map.of()
        : Map.of("Cookie", rules.formatCookies(matching).get(0).getValue());
  }

  private static CookieOrigin origin(HttpUrl url) {
    String target = url.target();
    int query = target.indexOf('?');
    String path = query < 0 ? target : target.substring(0, query);
    return new CookieOrigin(url.host(), url.port(), path, url.isHttps());
  }

  /** Their number alone. */
  @Override
  public String toString() {
    return store.getCookies().size() + " cookies";
  }
}
