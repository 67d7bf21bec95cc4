package io.anymatix.fetcher.testing;

import java.time.Duration;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * One way in which an answer departs from what RFC 9110 would have. Faults compose: those of a
 * resource that match a request are applied in the order in which they were given. Where two set
 * the same thing the later one counts, except that the first reply wins; waits add up, and events
 * within the body happen each at its byte.
 *
 * <p>Positions count the bytes of the body of that one response, before chunk framing. An event at
 * n happens when exactly n bytes have been sent; one that lies behind the body's end never happens.
 */
public final class Fault {
  /** A span of bytes of a resource, both ends included. */
  public record Span(long first, long last) {
    public Span shifted(long byBytes) {
      return new Span(first + byBytes, last + byBytes);
    }
  }

  /** Writes the Content-Range field of an answer with status 206; null leaves it out. */
  @FunctionalInterface
  public interface ContentRangeWriter {
    /**
     * The field's value.
     *
     * @param asked what the request asked for
     * @param sent what the body will hold
     * @param completeLengthBytes length of the whole resource
     */
    @Nullable String write(Span asked, Span sent, long completeLengthBytes);
  }

  private final String description;
  private final Consumer<Answer> effect;

  private Fault(String description, Consumer<Answer> effect) {
    this.description = description;
    this.effect = effect;
  }

  static Fault custom(String description, Consumer<Answer> effect) {
    return new Fault(description, effect);
  }

  void applyTo(Answer answer) {
    effect.accept(answer);
  }

  @Override
  public String toString() {
    return description;
  }

  /** Status 200 and the whole body whatever range was asked for, without Accept-Ranges. */
  public static Fault ignoresRanges() {
    return new Fault("ignores ranges", answer -> answer.honoursRanges = false);
  }

  /** Honours a range even if the If-Range condition is false. */
  public static Fault ignoresIfRange() {
    return new Fault("ignores If-Range", answer -> answer.honoursIfRange = false);
  }

  /**
   * Sends another span than was asked for, and says so in Content-Range. Zeros stand for bytes
   * behind the end of the content.
   */
  public static Fault sendsInsteadOfAsked(UnaryOperator<Span> change) {
    return new Fault("sends another span", answer -> answer.spanChange = change);
  }

  /** Writes Content-Range differently; the body stays. Null leaves the field out. */
  public static Fault contentRange(ContentRangeWriter writer) {
    return new Fault("writes Content-Range its own way", answer -> answer.contentRange = writer);
  }

  /** A 206 without Content-Range. */
  public static Fault omitsContentRange() {
    return contentRange((asked, sent, complete) -> null);
  }

  /** A 206 that keeps the complete length to itself: {@code bytes 0-9/*}. */
  public static Fault hidesCompleteLength() {
    return contentRange(
        (asked, sent, complete) -> "bytes %d-%d/*".formatted(sent.first, sent.last));
  }

  /** A 206 as multipart/byteranges of one part, although a single range was asked for. */
  public static Fault multipart() {
    return new Fault("multipart", answer -> answer.multipart = true);
  }

  /** Status 416 that claims this complete length. */
  public static Fault unsatisfiable(long completeLengthBytes) {
    return replies(Reply.status(416).header("Content-Range", "bytes */" + completeLengthBytes));
  }

  /**
   * A body longer (zeros follow) or shorter than what the status and Content-Range say, in honest
   * framing.
   */
  public static Fault bodyLongerBy(long bytes) {
    return new Fault("body longer by " + bytes, answer -> answer.bodyDeltaBytes = bytes);
  }

  /**
   * A Content-Length that differs from the body by this much; the connection is closed after the
   * body.
   */
  public static Fault contentLengthOffBy(long bytes) {
    return new Fault("Content-Length off by " + bytes, answer -> answer.lengthDeltaBytes = bytes);
  }

  /** No Content-Length: the end of the connection ends the body (RFC 9112 section 6.3). */
  public static Fault closeDelimited() {
    return new Fault("close-delimited", answer -> answer.framing = Answer.Framing.CLOSE);
  }

  /** Chunked transfer coding without Content-Length. */
  public static Fault chunked() {
    return new Fault("chunked", answer -> answer.framing = Answer.Framing.CHUNKED);
  }

  /**
   * The whole body in Content-Encoding gzip whatever was asked for; for bodies that fit in memory.
   */
  public static Fault gzipped() {
    return new Fault("gzipped", answer -> answer.gzip = true);
  }

  /** The reply in place of the resource. */
  public static Fault replies(Reply reply) {
    return new Fault("replies " + reply.status(), answer -> answer.replyWith(reply));
  }

  /** The reply that the function makes of the request; null lets the resource answer. */
  public static Fault replies(Function<Request, @Nullable Reply> function) {
    return new Fault(
        "replies by a function",
        answer -> {
          Reply reply = function.apply(answer.request());
          if (reply != null) {
            answer.replyWith(reply);
          }
        });
  }

  /** Another content in place of the resource's own. */
  public static Fault serves(Content content) {
    return new Fault("serves other content", answer -> answer.content = content);
  }

  /** The entity tag as it is to be sent, quotes included; null sends none. */
  public static Fault entityTag(@Nullable String tag) {
    return new Fault("entity tag " + tag, answer -> answer.entityTag = tag);
  }

  /** An entity tag that depends on the request, as from nodes that do not agree. */
  public static Fault entityTag(Function<Request, @Nullable String> tag) {
    return new Fault(
        "entity tag by request", answer -> answer.entityTag = tag.apply(answer.request()));
  }

  /** One more header field, also on replies. */
  public static Fault header(String name, String value) {
    return new Fault(
        "adds " + name, answer -> answer.extraFields.add(new Reply.Field(name, value)));
  }

  /** One more header field whose value is these very bytes, also on replies. */
  public static Fault header(String name, byte[] value) {
    return new Fault(
        "adds " + name, answer -> answer.extraFields.add(Reply.Field.ofBytes(name, value)));
  }

  /** Leaves out every field of that name that would have been sent. */
  public static Fault omits(String name) {
    return new Fault("omits " + name, answer -> answer.omittedFields.add(name));
  }

  /** Waits before the head of the response. */
  public static Fault pauses(Duration duration) {
    return new Fault("pauses " + duration, answer -> answer.pause(duration));
  }

  /** Waits at the gate before the head of the response, or until the client leaves. */
  public static Fault waitsFor(Gate gate) {
    return new Fault("waits for a gate", answer -> answer.waitFor(gate));
  }

  /** Goes silent in the body until the gate opens or the client leaves. */
  public static Fault freezesAfter(long bodyBytes, Gate gate) {
    return new Fault(
        "freezes after " + bodyBytes, answer -> answer.at(bodyBytes, new Answer.Freeze(gate)));
  }

  /**
   * Resets the connection in the body. On Linux the client's system has received all bytes before;
   * elsewhere it may have received fewer.
   */
  public static Fault resetsAfter(long bodyBytes) {
    return new Fault("resets after " + bodyBytes, answer -> answer.at(bodyBytes, Answer.Cut.RESET));
  }

  /** Closes the connection in the body as at an orderly end. */
  public static Fault closesAfter(long bodyBytes) {
    return new Fault("closes after " + bodyBytes, answer -> answer.at(bodyBytes, Answer.Cut.CLOSE));
  }

  /** Resets the connection in place of any answer. */
  public static Fault resetsAtOnce() {
    return new Fault("resets at once", answer -> answer.cutBeforeHead = Answer.Cut.RESET);
  }

  /** Closes the connection in place of any answer. */
  public static Fault closesAtOnce() {
    return new Fault("closes at once", answer -> answer.cutBeforeHead = Answer.Cut.CLOSE);
  }

  /** Says {@code Connection: close}, and closes behind the response. */
  public static Fault announcesClose() {
    return new Fault("announces close", answer -> answer.announcesClose = true);
  }

  /** Closes behind the response without a word, so that a reuse of the connection fails. */
  public static Fault closesSilently() {
    return new Fault("closes silently", answer -> answer.closesSilently = true);
  }

  /** The body at this rate. */
  public static Fault limitsRate(long bytesPerSecond) {
    return new Fault(
        "at " + bytesPerSecond + " bytes/s", answer -> answer.limitRate(bytesPerSecond));
  }
}
