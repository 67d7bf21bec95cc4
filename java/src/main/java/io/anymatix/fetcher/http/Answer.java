package io.anymatix.fetcher.http;

import io.anymatix.fetcher.content.ContentRange;
import io.anymatix.fetcher.content.HttpUrl;
import io.anymatix.fetcher.content.Validator;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A response whose header section has arrived and whose content is still to be read.
 *
 * <p>Closing it early drops the connection at once instead of reading the rest; a content that was
 * read to its end leaves the connection for the next request. One thread reads; {@link #close} may
 * come from any.
 */
public final class Answer implements AutoCloseable {
  private final HttpUrl url;
  private final List<Hop> hops;
  private final String httpVersion;
  private final int status;
  private final Map<String, String> fields;
  private final InputStream content;
  private final Runnable abort;
  private final Cancellation.Registration registration;
  private final RequestGate.Pass pass;
  private boolean ended;

  Answer(
      HttpUrl url,
      List<Hop> hops,
      String httpVersion,
      int status,
      Map<String, String> lowerCaseFields,
      InputStream content,
      Runnable abort,
      Cancellation.Registration registration,
      RequestGate.Pass pass) {
    this.url = url;
    this.hops = hops;
    this.httpVersion = httpVersion;
    this.status = status;
    this.fields = lowerCaseFields;
    this.content = content;
    this.abort = abort;
    this.registration = registration;
    this.pass = pass;
  }

  /** A redirect that was followed on the way: what its sender said. */
  public record Hop(HttpUrl url, int status, Map<String, String> lowerCaseFields) {
    /** The value of a field, or null. */
    public @Nullable String field(String name) {
      return lowerCaseFields.get(name.toLowerCase(Locale.ROOT));
    }
  }

  /** Where the answer came from, after all redirects. */
  public HttpUrl url() {
    return url;
  }

  /** The redirects that led here, first one first. */
  public List<Hop> hops() {
    return hops;
  }

  /** {@code HTTP/1.1} or {@code HTTP/2}. */
  public String httpVersion() {
    return httpVersion;
  }

  public boolean isHttp2() {
    return httpVersion.startsWith("HTTP/2");
  }

  public int status() {
    return status;
  }

  /** The value of a header field, the first if there are several, or null. */
  public @Nullable String field(String name) {
    return fields.get(name.toLowerCase(Locale.ROOT));
  }

  Map<String, String> fields() {
    return fields;
  }

  /** The {@code Content-Range} field, or null if it is absent or malformed. */
  public @Nullable ContentRange contentRange() {
    return ContentRange.parse(field("Content-Range"));
  }

  /** The {@code Content-Length} field in bytes, or null. */
  public @Nullable Long contentLengthBytes() {
    String text = field("Content-Length");
    if (text == null || !text.strip().matches("\\d{1,19}")) {
      return null;
    }
    try {
      return Long.valueOf(text.strip());
    } catch (NumberFormatException e) {
      return null; // beyond what a file can be long
    }
  }

  public Validator validator() {
    return new Validator(field("ETag"), field("Last-Modified"));
  }

  /** Whether the content is coded although identity was asked for; ranges and lengths then lie. */
  public boolean isCoded() {
    String coding = field("Content-Encoding");
    return coding != null && !coding.isBlank() && !coding.strip().equalsIgnoreCase("identity");
  }

  /**
   * Reads some content.
   *
   * @return the number of bytes read, or -1 at the end of the content
   * @throws FetchException if the connection fails or is silent for too long; retryable
   */
  public int read(byte[] buffer, int offset, int length) {
    try {
      int n = content.read(buffer, offset, length);
      ended |= n < 0;
      return n;
    } catch (IOException e) {
      throw StatusKinds.ofBrokenContent(e, url);
    }
  }

  /**
   * Reads a content that is short by its nature, such as a page or an API's answer, as UTF-8.
   *
   * @throws FetchException {@code server} if it is longer than {@code mostBytes}; as {@link #read}
   */
  public String text(int mostBytes) {
    byte[] buffer = new byte[8192];
    ByteArrayOutputStream text = new ByteArrayOutputStream();
    for (int n = read(buffer, 0, buffer.length); n >= 0; n = read(buffer, 0, buffer.length)) {
      text.write(buffer, 0, n);
      if (text.size() > mostBytes) {
        throw FetchException.because(
                FailureKind.SERVER,
                url.host() + " answered with more than " + mostBytes + " bytes of text.")
            .status(status)
            .url(url.redacted())
            .build();
      }
    }
    return text.toString(StandardCharsets.UTF_8);
  }

  /** Whether more content can be read without waiting for the network. */
  public boolean hasMore() {
    try {
      return content.available() > 0;
    } catch (IOException e) {
      return false; // the next read tells
    }
  }

  /** Reads the end of a content of which nothing more is expected, so the connection is kept. */
  public void drain(int mostBytes) {
    byte[] rest = new byte[Math.max(1, mostBytes)];
    for (int left = rest.length; left > 0 && !ended; ) {
      int n = read(rest, 0, left);
      left -= Math.max(0, n);
    }
    if (!ended) {
      ended = read(rest, 0, 1) < 0;
    }
  }

  /** Ends the exchange. Never blocks on what the server still sends. */
  @Override
  public void close() {
    registration.close();
    if (!ended) {
      abort.run();
    }
    try {
      content.close();
    } catch (IOException e) {
      // The exchange is over either way; what was read has been judged on its own.
      abort.run();
    } finally {
      pass.close();
    }
  }
}
