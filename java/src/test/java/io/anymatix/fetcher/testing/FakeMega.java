package io.anymatix.fetcher.testing;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Supplier;

/**
 * Mega's API, with a certificate for its real name; a client is brought here by {@link #connectTo}.
 * The storage that it names is any server. Safe from any thread.
 */
public final class FakeMega implements AutoCloseable {
  /** The API's host, and one of its storage. */
  public static final TestCertificates CERTIFICATES =
      TestCertificates.forHosts("g.api.mega.co.nz", "gfs1.userstorage.mega.co.nz");

  private static final ObjectMapper JSON = new ObjectMapper();

  private record Stored(MegaFile file, Supplier<String> address) {}

  private final ByteRangeServer server = ByteRangeServer.startTls(CERTIFICATES.serverContext());
  private final Map<String, Stored> files = new ConcurrentHashMap<>();
  private final Deque<String> answers = new ArrayDeque<>();
  private final List<String> questions = new ArrayList<>();

  private FakeMega() {
    server.answer("/cs", this::reply);
  }

  public static FakeMega start() {
    return new FakeMega();
  }

  /** The server behind it, for what the storage serves under its own name. */
  public ByteRangeServer server() {
    return server;
  }

  /** Brings Mega's hosts here, and no others. */
  public String[] connectTo() {
    String here = ":443:127.0.0.1:" + server.port();
    return new String[] {"g.api.mega.co.nz" + here, "gfs1.userstorage.mega.co.nz" + here};
  }

  /** Knows a file from now on, whose bytes are at the address; returns the link to it. */
  public String publish(MegaFile file, Supplier<String> address) {
    String handle = "File%04d".formatted(files.size());
    files.put(handle, new Stored(file, address));
    return "https://mega.nz/file/" + handle + "#" + file.linkKey();
  }

  /** Knows a file whose bytes the storage serves under its own name; returns the link to it. */
  public String publish(MegaFile file) {
    String path = "/dl/secret-address-" + files.size();
    server.serve("gfs1.userstorage.mega.co.nz", path, file.encrypted()).rangesInPath();
    return publish(file, () -> "https://gfs1.userstorage.mega.co.nz" + path);
  }

  /** Gives these answers, as they are, to the next questions. */
  public synchronized void answerFirst(String... texts) {
    answers.addAll(List.of(texts));
  }

  /** The questions so far, as posted. */
  public synchronized List<String> questions() {
    return List.copyOf(questions);
  }

  private synchronized Reply reply(Request request) {
    try {
      JsonNode question = JSON.readTree(request.body()).path(0);
      questions.add(question.toString());
      return json(answers.isEmpty() ? answer(question) : answers.remove());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private String answer(JsonNode question) {
    Stored stored = files.get(question.path("p").asText());
    if (stored == null || question.path("ssl").asInt() != 2) {
      return "[-9]";
    }
    return JSON.createArrayNode()
        .add(
            JSON.createObjectNode()
                .put("g", stored.address().get())
                .put("s", stored.file().plain().lengthBytes())
                .put("at", stored.file().attributes()))
        .toString();
  }

  private static Reply json(String text) {
    return Reply.status(200).body("application/json", text);
  }

  @Override
  public void close() {
    server.close();
  }
}
