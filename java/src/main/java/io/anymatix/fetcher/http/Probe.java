package io.anymatix.fetcher.http;

import io.anymatix.fetcher.content.ByteRange;
import io.anymatix.fetcher.content.ContentRange;
import io.anymatix.fetcher.content.HttpUrl;
import io.anymatix.fetcher.content.Validator;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What a server's answer to {@code Range: bytes=0-0} tells about a representation.
 *
 * @param url where the answer came from, after all redirects
 * @param hops the redirects that led there
 * @param lengthBytes length of the whole representation; null if the server does not say
 * @param rangesProven whether it sent exactly the byte that was asked for; nothing else is proof
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

  /** Reads an answer to that request; null if its status describes no representation. */
  public static @Nullable Probe of(Answer answer) {
    ContentRange contentRange = answer.contentRange();
    Long length = answer.isCoded() ? null : answer.contentLengthBytes();
    Long stated = contentRange == null ? null : contentRange.completeLengthBytes();
    String evidence = answer.status() + ", Content-Range: " + answer.field("Content-Range");
    return switch (answer.status()) {
      case 206 -> {
        boolean firstByte =
            contentRange != null && new ByteRange(0, 0).equals(contentRange.range());
        yield of(answer, firstByte ? stated : null, firstByte && !answer.isCoded(), evidence);
      }
      case 200 -> of(answer, length, false, "200: the range was ignored");
      // An empty representation has no first byte; any other one that refuses it has no ranges.
      case 416 -> of(answer, stated, false, evidence);
      default -> null;
    };
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
