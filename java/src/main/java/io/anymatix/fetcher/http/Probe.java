package io.anymatix.fetcher.http;

import io.anymatix.fetcher.content.ByteRange;
import io.anymatix.fetcher.content.ContentRange;
import io.anymatix.fetcher.content.HttpUrl;
import io.anymatix.fetcher.content.Validator;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What a server's answer to a request for the first byte, or for a first piece, tells about a
 * representation.
 *
 * @param url where the answer came from, after all redirects
 * @param hops the redirects that led there
 * @param lengthBytes length of the whole representation; null if the server does not say
 * @param rangesProven whether it sent just what was asked for; nothing else is proof
 * @param rangeEvidence what it answered, in a few words
 * @param fields the last answer's header fields by their names in lower case; bytes as Latin-1
 */
public record Probe(
    HttpUrl url,
    List<Answer.Hop> hops,
    String httpVersion,
    @Nullable Long lengthBytes,
    boolean rangesProven,
    String rangeEvidence,
    Validator validator,
    Map<String, String> fields) {

  /**
   * Reads an answer to {@code Range: bytes=0-0}; null if its status describes no representation.
   */
  public static @Nullable Probe of(Answer answer) {
    return of(answer, new ByteRange(0, 0));
  }

  /** The same for a request of a longer range from the first byte on. */
  static @Nullable Probe of(Answer answer, ByteRange asked) {
    ContentRange contentRange = answer.contentRange();
    Long length = answer.isCoded() ? null : answer.contentLengthBytes();
    Long stated = contentRange == null ? null : contentRange.completeLengthBytes();
    String evidence = answer.status() + ", Content-Range: " + answer.field("Content-Range");
    return switch (answer.status()) {
      case 206 -> {
        boolean asAsked = contentRange != null && isWithin(contentRange.range(), asked);
        yield of(answer, asAsked ? stated : null, asAsked && !answer.isCoded(), evidence);
      }
      case 200 -> of(answer, length, false, "200: the range was ignored");
      // An empty representation has no first byte; any other one that refuses it has no ranges.
      case 416 -> of(answer, stated, false, evidence);
      default -> null;
    };
  }

  /** A server may send less than it was asked for, but nothing else. */
  private static boolean isWithin(@Nullable ByteRange sent, ByteRange asked) {
    return sent != null && sent.first() == asked.first() && sent.last() <= asked.last();
  }

  /** Reads a success that answers a range of one byte asked for in the path. */
  static Probe ofRangeInPath(Answer answer) {
    Long length = answer.contentLengthBytes();
    boolean oneByte = answer.status() == 200 && length != null && length == 1 && !answer.isCoded();
    String evidence = answer.status() + ", Content-Length: " + length + " for one byte in the path";
    return of(answer, null, oneByte, evidence);
  }

  private static Probe of(
      Answer answer, @Nullable Long lengthBytes, boolean rangesProven, String rangeEvidence) {
    return new Probe(
        answer.url(),
        answer.hops(),
        answer.httpVersion(),
        lengthBytes,
        rangesProven,
        rangeEvidence,
        answer.validator(),
        answer.fields());
  }
}
