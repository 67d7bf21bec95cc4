package io.anymatix.fetcher.fetch;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.anymatix.fetcher.config.HomeFolder;
import io.anymatix.fetcher.content.Redactor;
import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.store.PythonJson;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What was downloaded, and what failed: one line of JSON each in {@code history.jsonl} of the home
 * folder, shared by all processes of the user, the newest {@value #MOST_ENTRIES} kept.
 *
 * <p>No secret is ever in it: links are redacted, and a request is kept for a retry only if it
 * holds none. Nothing that is wrong with the file ever stops a download: a line that can't be read
 * is skipped, an entry that can't be written is kept in memory. Methods may be called from any
 * thread.
 */
public final class History {
  /** Entries that are kept, the newest. */
  static final int MOST_ENTRIES = 1000;

  /** The file is cut when it is longer than this, in bytes. */
  private static final long LONGEST_FILE_BYTES = 1 << 20;

  /** Of a longer file, whoever wrote it, only the end is read. */
  private static final long MOST_READ_BYTES = 4 * LONGEST_FILE_BYTES;

  private static final String FILE = "history.jsonl";
  private static final String LOCK = "history.lock";
  private static final Duration LOCK_PATIENCE = Duration.ofMillis(200);

  private static final Logger log = LoggerFactory.getLogger(History.class);

  private final @Nullable HomeFolder home;

  /** What could not be written, newest last, and with secrets the requests; guarded by this. */
  private final Map<String, Line> unwritten = new LinkedHashMap<>();

  private final Map<String, FetchRequest> requests = new LinkedHashMap<>();

  /** What is to be written; whoever writes next takes all of it. Guarded by itself. */
  private final List<Line> waiting = new ArrayList<>();

  private final Object writing = new Object();

  /**
   * How one download ended.
   *
   * @param time ISO 8601, UTC
   * @param url redacted
   * @param outcome as in a fetch result, or {@code failed}, or {@code cancelled}
   * @param rate mean rate in 10^6 bytes a second
   */
  public record Entry(
      String id,
      String time,
      String url,
      @Nullable String path,
      String outcome,
      long bytesTransferred,
      long elapsedMillis,
      double rate,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Failure error) {}

  /**
   * Why a download failed, as its error said.
   *
   * @param kind the protocol's kind, or {@code invalid} for a request that makes no sense
   */
  public record Failure(String kind, String message, String hint) {
    static Failure of(RuntimeException thrown) {
      String message = Redactor.text(String.valueOf(thrown.getMessage()));
      return thrown instanceof FetchException failure
          ? new Failure(failure.kind().wireName(), message, Redactor.text(failure.hint()))
          : new Failure("invalid", message, "Correct the request, then add it again.");
    }
  }

  /** One line of the file: the request only if it may be written down. */
  private record Line(Entry entry, @Nullable FetchRequest request) {
    /**
     * The line's text. Put together member by member: to have Jackson find the members takes a
     * process that makes one fetch a good part of its time.
     */
    String text() {
      ObjectNode line = JsonNodeFactory.instance.objectNode();
      ObjectNode told = line.putObject("entry");
      told.put("id", entry.id());
      told.put("time", entry.time());
      told.put("url", entry.url());
      told.put("path", entry.path());
      told.put("outcome", entry.outcome());
      told.put("bytesTransferred", entry.bytesTransferred());
      told.put("elapsedMillis", entry.elapsedMillis());
      told.put("rate", entry.rate());
      if (entry.error() != null) {
        ObjectNode error = told.putObject("error");
        error.put("kind", entry.error().kind());
        error.put("message", entry.error().message());
        error.put("hint", entry.error().hint());
      }
      if (request != null) {
        ObjectNode asked = line.putObject("request");
        asked.put("url", request.url());
        asked.put("type", request.type());
        asked.put("dir", request.dir());
        asked.put("auth", request.auth());
        asked.put("sha256", request.sha256());
        asked.put("name", request.name());
        if (request.mirrors() != null) {
          request.mirrors().forEach(asked.putArray("mirrors")::add);
        }
        asked.put("fileId", request.fileId());
        asked.put("connections", request.connections());
      }
      return PythonJson.writeLine(line);
    }
  }

  /** On its own: who only adds an entry does not wait for Jackson's mapper. */
  private static final class LineReader {
    static final ObjectReader INSTANCE =
        new ObjectMapper()
            .readerFor(Line.class)
            .without(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES);

    private LineReader() {}
  }

  /** A history in a folder; null keeps it in memory alone. */
  History(@Nullable HomeFolder home) {
    this.home = home;
  }

  /** Notes a download that brought or found its file. */
  void succeeded(String id, FetchRequest request, FetchResult result) {
    double seconds = Math.max(0.001, result.elapsedMillis() / 1000.0);
    add(
        request,
        new Entry(
            id,
            now(),
            request.shownUrl(),
            result.path(),
            result.outcome().wireName(),
            result.bytesTransferred(),
            result.elapsedMillis(),
            Math.round(result.bytesTransferred() / seconds / 1e3) / 1e3,
            null));
  }

  /** Notes one that did not. */
  void ended(String id, FetchRequest request, RuntimeException thrown, Duration elapsed) {
    boolean cancelled = thrown instanceof CancelledException;
    add(
        request,
        new Entry(
            id,
            now(),
            request.shownUrl(),
            null,
            cancelled ? "cancelled" : "failed",
            0,
            elapsed.toMillis(),
            0,
            cancelled ? null : Failure.of(thrown)));
  }

  private static String now() {
    return Instant.now().truncatedTo(ChronoUnit.MILLIS).toString();
  }

  /** The newest entries, newest first. */
  public List<Entry> newest(int limit) {
    List<Line> lines = lines();
    Collections.reverse(lines);
    return lines.stream().map(Line::entry).limit(limit).toList();
  }

  /**
   * The request of a download that failed or was cancelled.
   *
   * @return empty if there is none of that id, or it held a secret and was another process's
   */
  Optional<FetchRequest> requestOf(String id) {
    synchronized (this) {
      FetchRequest remembered = requests.get(id);
      if (remembered != null) {
        return Optional.of(remembered);
      }
    }
    return lines().stream()
        .filter(line -> line.entry().id().equals(id))
        .flatMap(line -> Optional.ofNullable(line.request()).stream())
        .reduce((first, last) -> last);
  }

  /** Whether there is an entry of that id. */
  boolean contains(String id) {
    return lines().stream().anyMatch(line -> line.entry().id().equals(id));
  }

  private void add(FetchRequest request, Entry entry) {
    boolean repeatable = entry.error() != null || entry.outcome().equals("cancelled");
    synchronized (this) {
      if (repeatable) {
        requests.put(entry.id(), request);
        keepNewest(requests);
      }
    }
    Line line = new Line(entry, repeatable && !request.holdsSecret() ? request : null);
    if (home == null) {
      keepInMemory(List.of(line));
      return;
    }
    synchronized (waiting) {
      waiting.add(line);
    }
    writeWaiting(home);
  }

  /** Of many downloads that end together, few open the file. */
  private void writeWaiting(HomeFolder folder) {
    synchronized (writing) {
      List<Line> lines;
      synchronized (waiting) {
        lines = List.copyOf(waiting);
        waiting.clear();
      }
      if (lines.isEmpty()) {
        return; // somebody else has written it along
      }
      try {
        append(folder, lines);
      } catch (IOException | RuntimeException e) {
        log.warn("The history could not be written ({}); it is kept in memory.", e.toString());
        keepInMemory(lines);
      }
    }
  }

  private synchronized void keepInMemory(List<Line> lines) {
    for (Line line : lines) {
      unwritten.put(line.entry().id(), line);
      keepNewest(unwritten);
    }
  }

  private static void keepNewest(Map<String, ?> entries) {
    if (entries.size() > MOST_ENTRIES) {
      entries.remove(entries.keySet().iterator().next());
    }
  }

  private static void append(HomeFolder folder, List<Line> lines) throws IOException {
    StringBuilder text = new StringBuilder();
    for (Line line : lines) {
      text.append(line.text()).append('\n');
    }
    byte[] bytes = text.toString().getBytes(StandardCharsets.UTF_8);
    folder.locked(
        LOCK,
        LOCK_PATIENCE,
        () -> {
          Path file = folder.file(FILE);
          if (Files.size(file) > LONGEST_FILE_BYTES) {
            cut(folder, file);
          }
          append(file, bytes);
          return true;
        });
  }

  private static void append(Path file, byte[] line) throws IOException {
    try (FileChannel channel =
        FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      long end = channel.size();
      // A line that a kill has cut ends here, so that it spoils no other.
      byte[] text = endsLine(channel, end) ? line : concat(new byte[] {'\n'}, line);
      for (ByteBuffer rest = ByteBuffer.wrap(text); rest.hasRemaining(); ) {
        end += channel.write(rest, end);
      }
    }
  }

  private static boolean endsLine(FileChannel channel, long end) throws IOException {
    if (end == 0) {
      return true;
    }
    ByteBuffer last = ByteBuffer.allocate(1);
    channel.read(last, end - 1);
    return last.array()[0] == '\n';
  }

  private static byte[] concat(byte[] first, byte[] second) {
    return ByteBuffer.allocate(first.length + second.length).put(first).put(second).array();
  }

  /** Keeps the newest entries, and half of the longest length at most. */
  private static void cut(HomeFolder folder, Path file) throws IOException {
    List<String> lines = end(file);
    int from = lines.size();
    long bytes = 0;
    while (from > 0 && lines.size() - from < MOST_ENTRIES && bytes < LONGEST_FILE_BYTES / 2) {
      from--;
      bytes += lines.get(from).length() + 1L;
    }
    String kept = String.join("\n", lines.subList(from, lines.size())) + "\n";
    folder.replace(FILE, kept.getBytes(StandardCharsets.UTF_8));
  }

  /** Oldest first. */
  private List<Line> lines() {
    List<Line> lines = new ArrayList<>();
    HomeFolder folder = home;
    if (folder != null) {
      try {
        for (String text : end(folder.path().resolve(FILE))) {
          parsed(text).ifPresent(lines::add);
        }
      } catch (IOException | RuntimeException e) {
        log.warn("The history could not be read ({}).", e.toString());
      }
    }
    synchronized (this) {
      lines.addAll(unwritten.values());
    }
    int surplus = Math.max(0, lines.size() - MOST_ENTRIES);
    return new ArrayList<>(lines.subList(surplus, lines.size()));
  }

  private static Optional<Line> parsed(String text) {
    try {
      Line line = LineReader.INSTANCE.readValue(text);
      boolean whole =
          line != null
              && line.entry() != null
              && line.entry().id() != null
              && line.entry().time() != null
              && line.entry().url() != null
              && line.entry().outcome() != null;
      return whole ? Optional.of(line) : Optional.empty();
    } catch (JsonProcessingException e) {
      return Optional.empty(); // cut by a kill, or not ours
    }
  }

  private static List<String> end(Path file) throws IOException {
    if (!Files.isRegularFile(file)) {
      return List.of();
    }
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      long from = Math.max(0, channel.size() - MOST_READ_BYTES);
      ByteBuffer bytes = ByteBuffer.allocate(Math.toIntExact(channel.size() - from));
      while (bytes.hasRemaining() && channel.read(bytes, from + bytes.position()) >= 0) {
        // Read on.
      }
      return new String(bytes.array(), 0, bytes.position(), StandardCharsets.UTF_8)
          .lines()
          .filter(line -> !line.isBlank())
          .toList();
    }
  }
}
