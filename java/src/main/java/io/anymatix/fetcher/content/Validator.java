package io.anymatix.fetcher.content;

import org.jspecify.annotations.Nullable;

/**
 * What a server says identifies a representation (RFC 9110 section 8.8).
 *
 * @param entityTag the {@code ETag} field as sent, quotes and weakness prefix included
 * @param lastModified the {@code Last-Modified} field as sent
 */
public record Validator(@Nullable String entityTag, @Nullable String lastModified) {
  /** Whether {@code If-Range} may be sent with this validator: only a strong entity tag. */
  public boolean isStrong() {
    return entityTag != null && entityTag.startsWith("\"") && entityTag.length() > 2;
  }

  /** The value of an {@code If-Range} field, or null without a strong validator. */
  public @Nullable String ifRangeValue() {
    return isStrong() ? entityTag : null;
  }
}
