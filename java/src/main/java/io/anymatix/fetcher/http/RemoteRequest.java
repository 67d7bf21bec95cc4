package io.anymatix.fetcher.http;

import io.anymatix.fetcher.content.ByteRange;
import io.anymatix.fetcher.content.HttpUrl;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A {@code GET} to be sent, or, if it has a content, a {@code POST}.
 *
 * @param url where to
 * @param credentials header fields that prove who asks; they never leave the origin of {@code url}
 * @param range the bytes wanted; null for the whole representation
 * @param ifRange a strong entity tag: the range is wanted only of that representation
 * @param json a content to be posted; such a request is not redirected
 * @param cookies what the hosts on the way set and get back
 */
public record RemoteRequest(
    HttpUrl url,
    Map<String, String> credentials,
    @Nullable ByteRange range,
    @Nullable String ifRange,
    @Nullable String json,
    @Nullable Cookies cookies) {

  public RemoteRequest(
      HttpUrl url,
      Map<String, String> credentials,
      @Nullable ByteRange range,
      @Nullable String ifRange) {
    this(url, credentials, range, ifRange, null, null);
  }

  /** A request for the whole representation without credentials. */
  public static RemoteRequest get(HttpUrl url) {
    return new RemoteRequest(url, Map.of(), null, null);
  }

  /** A request that posts a JSON text, without credentials. */
  public static RemoteRequest post(HttpUrl url, String json) {
    return new RemoteRequest(url, Map.of(), null, null, json, null);
  }

  public RemoteRequest withRange(@Nullable ByteRange range) {
    return new RemoteRequest(url, credentials, range, ifRange, json, cookies);
  }

  public RemoteRequest withIfRange(@Nullable String strongEntityTag) {
    return new RemoteRequest(url, credentials, range, strongEntityTag, json, cookies);
  }

  public RemoteRequest withCookies(Cookies carried) {
    return new RemoteRequest(url, credentials, range, ifRange, json, carried);
  }

  /**
   * The same for a server that is asked for a range by the path {@code …/first-last} and answers it
   * as a file of its own.
   */
  public RemoteRequest withRangeInPath(ByteRange range) {
    String target = url.target();
    int query = target.indexOf('?');
    int end = query < 0 ? target.length() : query;
    String suffix = "/" + range.first() + "-" + range.last();
    return new RemoteRequest(
        url.withTarget(target.substring(0, end) + suffix + target.substring(end)),
        credentials,
        null,
        null,
        json,
        cookies);
  }

  /** The same wish at another address; credentials stay behind at another origin. */
  RemoteRequest redirectedTo(HttpUrl target) {
    return new RemoteRequest(
        target, target.sameOrigin(url) ? credentials : Map.of(), range, ifRange, null, cookies);
  }
}
