package io.anymatix.fetcher.testing;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * An answer given as it stands, whatever was asked: an error, a redirect, a page.
 *
 * @param status the status code
 * @param reason the reason phrase, which means nothing (RFC 9112 section 4)
 * @param fields the header fields besides those for framing and connection
 * @param body the content of the response; its length is sent as Content-Length
 */
public record Reply(int status, String reason, List<Field> fields, Content body) {
  /** A header field; the characters of its value stand for the bytes sent (ISO-8859-1). */
  public record Field(String name, String value) {
    static Field ofBytes(String name, byte[] value) {
      return new Field(name, new String(value, StandardCharsets.ISO_8859_1));
    }
  }

  public Reply {
    fields = List.copyOf(fields);
  }

  /** An answer without fields and with a short text. */
  public static Reply status(int status) {
    return new Reply(
        status, "Status " + status, List.of(), Content.text("status " + status + "\n"));
  }

  /** A redirect; the location is sent as it is, so it may be relative or nonsense. */
  public static Reply redirect(int status, String location) {
    return status(status).header("Location", location);
  }

  public Reply reason(String phrase) {
    return new Reply(status, phrase, fields, body);
  }

  /** Adds a field whose value is sent in ISO-8859-1. */
  public Reply header(String name, String value) {
    return header(new Field(name, value));
  }

  /** Adds a field whose value is these very bytes. */
  public Reply header(String name, byte[] value) {
    return header(Field.ofBytes(name, value));
  }

  private Reply header(Field field) {
    List<Field> more = new ArrayList<>(fields);
    more.add(field);
    return new Reply(status, reason, more, body);
  }

  /** Asks to come back after a number of seconds (RFC 9110 section 10.2.3). */
  public Reply retryAfter(Duration delay) {
    return header("Retry-After", Long.toString(delay.toSeconds()));
  }

  /** Asks to come back at a date, which has no fraction of a second (RFC 9110 section 10.2.3). */
  public Reply retryAfter(Instant date) {
    return header(
        "Retry-After", DateTimeFormatter.RFC_1123_DATE_TIME.format(date.atOffset(ZoneOffset.UTC)));
  }

  /** Carries a text in UTF-8; a null media type sends no Content-Type. */
  public Reply body(@Nullable String mediaType, String text) {
    return body(mediaType, Content.text(text));
  }

  /** Carries any bytes; a null media type sends no Content-Type. */
  public Reply body(@Nullable String mediaType, Content content) {
    Reply typed = mediaType == null ? this : header("Content-Type", mediaType);
    return new Reply(typed.status, typed.reason, typed.fields, content);
  }
}
