package io.anymatix.fetcher.testing;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.LongConsumer;
import java.util.function.UnaryOperator;
import java.util.zip.GZIPOutputStream;
import org.jspecify.annotations.Nullable;

/**
 * The plan of one response: begun as RFC 9110 would have it, changed by faults, then made ready
 * with {@link #prepare}. Used by the thread of its connection alone.
 */
final class Answer {
  enum Framing {
    LENGTH,
    CLOSE,
    CHUNKED
  }

  /** What happens when a number of body bytes has been sent. */
  sealed interface BodyEvent permits Freeze, Cut {}

  record Freeze(Gate gate) implements BodyEvent {}

  enum Cut implements BodyEvent {
    RESET,
    CLOSE
  }

  /** A wait before the head: at a gate, or for a time. */
  record Wait(@Nullable Gate gate, Duration duration) {}

  record Positioned(long bodyBytes, BodyEvent event) {}

  private static final String BOUNDARY = "part-of-a-test";

  private final Request request;

  // What faults may change.
  Content content;
  @Nullable String entityTag;
  @Nullable String lastModified;
  boolean honoursRanges = true;
  boolean rangesInPath;
  boolean honoursIfRange = true;
  boolean multipart;
  boolean gzip;
  boolean announcesClose;
  boolean closesSilently;
  long bodyDeltaBytes;
  long lengthDeltaBytes;
  Framing framing = Framing.LENGTH;
  UnaryOperator<Fault.Span> spanChange = UnaryOperator.identity();
  Fault.ContentRangeWriter contentRange =
      (asked, sent, complete) -> "bytes %d-%d/%d".formatted(sent.first(), sent.last(), complete);
  @Nullable Cut cutBeforeHead;
  final List<Reply.Field> extraFields = new ArrayList<>();
  final Set<String> omittedFields = new TreeSet<>(String.CASE_INSENSITIVE_ORDER);
  private @Nullable Reply reply;
  private final List<Wait> waits = new ArrayList<>();
  private final List<Positioned> events = new ArrayList<>();
  private final List<Pipe> pipes = new ArrayList<>();
  private LongConsumer meter = count -> {};

  // What prepare makes of it.
  private int status;
  private String reason = "";
  private final List<Reply.Field> fields = new ArrayList<>();
  private Content body = Content.of();

  Answer(Request request, Content content) {
    this.request = request;
    this.content = content;
  }

  Request request() {
    return request;
  }

  void replyWith(Reply wanted) {
    if (reply == null) {
      reply = wanted;
    }
  }

  void pause(Duration duration) {
    waits.add(new Wait(null, duration));
  }

  void waitFor(Gate gate) {
    waits.add(new Wait(gate, Duration.ZERO));
  }

  void at(long bodyBytes, BodyEvent event) {
    events.add(new Positioned(bodyBytes, event));
  }

  void limitRate(long bytesPerSecond) {
    limitRate(new Pipe(bytesPerSecond));
  }

  void limitRate(Pipe pipe) {
    pipes.add(pipe);
  }

  void onBodyBytes(LongConsumer counter) {
    meter = meter.andThen(counter);
  }

  List<Wait> waits() {
    return waits;
  }

  /** The events that a body of this length reaches, in order of their bytes. */
  List<Positioned> eventsUpTo(long lengthBytes) {
    return events.stream()
        .filter(event -> event.bodyBytes() <= lengthBytes)
        .sorted(Comparator.comparingLong(Positioned::bodyBytes))
        .toList();
  }

  List<Pipe> pipes() {
    return pipes;
  }

  LongConsumer meter() {
    return meter;
  }

  int status() {
    return status;
  }

  /** Whether the connection has to end behind this response. */
  boolean closesConnection() {
    return announcesClose
        || closesSilently
        || framing == Framing.CLOSE
        || lengthDeltaBytes != 0
        || "close".equalsIgnoreCase(request.header("Connection"));
  }

  /** The body to be sent; empty for HEAD. */
  Content body() {
    return request.method().equals("HEAD") ? Content.of() : body;
  }

  /** Settles status, fields and body; nothing may be changed afterwards. */
  void prepare() {
    Reply given = reply;
    if (given != null) {
      status = given.status();
      reason = given.reason();
      fields.addAll(given.fields());
      body = given.body();
    } else {
      represent();
    }
    if (gzip) {
      body = Content.of(gzip(body.bytes()));
      fields.add(new Reply.Field("Content-Encoding", "gzip"));
    }
    if (bodyDeltaBytes != 0) {
      body = body.slice(0, Math.max(0, body.lengthBytes() + bodyDeltaBytes));
    }
    fields.addAll(extraFields);
    switch (framing) {
      case LENGTH ->
          fields.add(
              new Reply.Field(
                  "Content-Length", Long.toString(body.lengthBytes() + lengthDeltaBytes)));
      case CHUNKED -> fields.add(new Reply.Field("Transfer-Encoding", "chunked"));
      case CLOSE -> {}
    }
    if (closesConnection() && !closesSilently) {
      fields.add(new Reply.Field("Connection", "close"));
    }
    fields.removeIf(field -> omittedFields.contains(field.name()));
  }

  List<Reply.Field> fields() {
    return fields;
  }

  /** The head in bytes, with the empty line that ends it. */
  byte[] head() {
    ByteArrayOutputStream head = new ByteArrayOutputStream(512);
    head.writeBytes(latin1("HTTP/1.1 " + status + " " + reason + "\r\n"));
    for (Reply.Field field : fields) {
      head.writeBytes(latin1(field.name() + ": " + field.value() + "\r\n"));
    }
    head.writeBytes(latin1("\r\n"));
    return head.toByteArray();
  }

  private void represent() {
    if (!request.method().equals("GET") && !request.method().equals("HEAD")) {
      status = 405;
      reason = "Method Not Allowed";
      fields.add(new Reply.Field("Allow", "GET, HEAD"));
      return;
    }
    if (entityTag != null) {
      fields.add(new Reply.Field("ETag", entityTag));
    }
    if (lastModified != null) {
      fields.add(new Reply.Field("Last-Modified", lastModified));
    }
    if (honoursRanges) {
      fields.add(new Reply.Field("Accept-Ranges", "bytes"));
    }
    String range = rangesInPath ? RangeRequest.inPath(request.path()) : request.header("Range");
    if (range == null || !honoursRanges || !request.method().equals("GET") || !ifRangeHolds()) {
      whole();
      return;
    }
    long complete = content.lengthBytes();
    RangeRequest asked = RangeRequest.parse(range, complete);
    if (asked == null) {
      whole();
    } else if (asked.span() == null) {
      status = 416;
      reason = "Range Not Satisfiable";
      fields.add(new Reply.Field("Content-Range", "bytes */" + complete));
    } else {
      partial(asked.span(), complete);
    }
  }

  private void whole() {
    status = 200;
    reason = "OK";
    body = content;
  }

  private void partial(Fault.Span asked, long complete) {
    status = 206;
    reason = "Partial Content";
    Fault.Span sent = spanChange.apply(asked);
    Content part = content.slice(sent.first(), sent.last() - sent.first() + 1);
    String fieldValue = contentRange.write(asked, sent, complete);
    if (multipart) {
      fields.add(new Reply.Field("Content-Type", "multipart/byteranges; boundary=" + BOUNDARY));
      String partHead =
          "--"
              + BOUNDARY
              + "\r\n"
              + (fieldValue == null ? "" : "Content-Range: " + fieldValue + "\r\n")
              + "\r\n";
      ByteArrayOutputStream bytes = new ByteArrayOutputStream();
      bytes.writeBytes(latin1(partHead));
      bytes.writeBytes(part.bytes());
      bytes.writeBytes(latin1("\r\n--" + BOUNDARY + "--\r\n"));
      body = Content.of(bytes.toByteArray());
      return;
    }
    if (fieldValue != null) {
      fields.add(new Reply.Field("Content-Range", fieldValue));
    }
    if (rangesInPath) {
      status = 200;
      reason = "OK";
      fields.removeIf(field -> field.name().equals("Content-Range"));
    }
    body = part;
  }

  /** RFC 9110 section 13.1.5: a strong entity tag, or the very date. */
  private boolean ifRangeHolds() {
    String condition = request.header("If-Range");
    if (condition == null || !honoursIfRange) {
      return true;
    }
    return condition.startsWith("\"")
        ? condition.equals(entityTag)
        : !condition.startsWith("W/") && condition.equals(lastModified);
  }

  private static byte[] gzip(byte[] plain) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (GZIPOutputStream out = new GZIPOutputStream(bytes)) {
      out.write(plain);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return bytes.toByteArray();
  }

  private static byte[] latin1(String text) {
    return text.getBytes(StandardCharsets.ISO_8859_1);
  }
}
