package io.anymatix.fetcher.http;

import io.anymatix.fetcher.content.ByteRange;
import io.anymatix.fetcher.content.HttpUrl;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A {@code GET} to be sent.
 *
 * @param url where to
 * @param credentials header fields that prove who asks; they never leave the origin of {@code url}
 * @param range the bytes wanted; null for the whole representation
 * @param ifRange a strong entity tag: the range is wanted only of that representation
 */
public record RemoteRequest(
    HttpUrl url,
    Map<String, String> credentials,
    @Nullable ByteRange range,
    @Nullable String ifRange) {

  /** A request for the whole representation without credentials. */
  public static RemoteRequest get(HttpUrl url) {
    return new RemoteRequest(url, Map.of(), null, null);
  }

  public RemoteRequest withRange(@Nullable ByteRange range) {
    return new RemoteRequest(url, credentials, range, ifRange);
  }

  public RemoteRequest withIfRange(@Nullable String strongEntityTag) {
    return new RemoteRequest(url, credentials, range, strongEntityTag);
  }

  /** The same wish at another address; credentials stay behind at another origin. */
  RemoteRequest redirectedTo(HttpUrl target) {
    return new RemoteRequest(
        target, target.sameOrigin(url) ? credentials : Map.of(), range, ifRange);
  }
}
