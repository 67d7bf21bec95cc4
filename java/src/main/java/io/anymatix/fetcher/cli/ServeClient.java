package io.anymatix.fetcher.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.NullNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * A sidecar process as a child of this one, spoken to in newline-delimited JSON-RPC 2.0.
 *
 * <p>All methods are safe from any thread. Two daemon threads read the child's streams and call the
 * {@link Listener} and complete the futures, one message after the other, in the order of arrival;
 * a callback that waits holds up all that follows. The child ends with this process: its stdin
 * closes, and a hook kills it if that is not enough.
 */
final class ServeClient implements AutoCloseable {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final long PATIENCE_SECONDS = 2;

  /** What the child says unasked. Every method may be called from another thread. */
  interface Listener {
    /** A notification. */
    default void notification(String method, JsonNode params) {}

    /** A message, or a line that is none, which answers nothing that was asked. */
    default void unmatched(String line) {}

    /** A line just before it goes to the child, without its line feed. */
    default void sent(String line) {}

    /** A line as it came from the child, before anything is done about it. */
    default void received(String line) {}

    /** A line of the child's log. */
    default void log(String line) {}

    /** The end of the child, told once, before the unanswered requests fail. */
    default void ended(int exitCode) {}
  }

  /** An error answer. */
  static final class ErrorAnswer extends RuntimeException {
    private static final long serialVersionUID = 1;

    ErrorAnswer(String method, JsonNode error) {
      super(
          method
              + " failed ("
              + error.path("code").asText()
              + "): "
              + error.path("message").asText());
    }
  }

  private final Process process;
  private final OutputStream stdin;
  private final Listener listener;
  private final Thread hook;
  private final Object writeLock = new Object();

  /** Guards the two fields below. */
  private final Object lock = new Object();

  private final Map<JsonNode, CompletableFuture<JsonNode>> pending = new HashMap<>();
  private boolean ended;

  private ServeClient(Process process, Listener listener) {
    this.process = process;
    this.stdin = process.getOutputStream();
    this.listener = listener;
    this.hook = new Thread(this::end, "serve-client-ending");
  }

  /**
   * The command that runs {@code serve} of this very program, in this very Java.
   *
   * @param flags what follows {@code serve}
   */
  static List<String> ownCommand(List<String> flags) {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.add("-cp");
    command.add(System.getProperty("java.class.path"));
    command.add("io.anymatix.fetcher.Main");
    command.add("serve");
    command.addAll(flags);
    return command;
  }

  /**
   * Starts the child.
   *
   * @param environment changes the variables that the child inherits
   * @throws IOException if the command can not be run
   */
  static ServeClient start(
      List<String> command, Consumer<Map<String, String>> environment, Listener listener)
      throws IOException {
    ProcessBuilder builder = new ProcessBuilder(command);
    environment.accept(builder.environment());
    ServeClient client = new ServeClient(builder.start(), listener);
    Runtime.getRuntime().addShutdownHook(client.hook);
    Process process = client.process;
    thread("stderr", process.getErrorStream(), listener::log, () -> {}).start();
    thread("stdout", process.getInputStream(), client::receive, client::outputEnded).start();
    return client;
  }

  /**
   * Calls a method.
   *
   * @param id the request's id: a number or a text that no running request has
   * @return the result; fails with {@link ErrorAnswer}, or with an {@link IOException} if the child
   *     ends before it answers
   */
  CompletableFuture<JsonNode> call(long id, String method, JsonNode params) {
    ObjectNode request = JSON.createObjectNode().put("jsonrpc", "2.0").put("id", id);
    request.put("method", method).set("params", params);
    return send(request)
        .thenApply(
            answer -> {
              if (answer.has("error")) {
                throw new ErrorAnswer(method, answer.path("error"));
              }
              return answer.path("result");
            });
  }

  /**
   * Sends any message: a request, a notification or a batch.
   *
   * @return the whole answer; {@code MissingNode} at once if the message is not one that is
   *     answered; fails with an {@link IOException} if the child ends before it answers
   * @throws IllegalArgumentException if a running request has this id
   */
  CompletableFuture<JsonNode> send(JsonNode message) {
    CompletableFuture<JsonNode> answer = new CompletableFuture<>();
    List<JsonNode> ids = expectedIds(message);
    synchronized (lock) {
      if (ended) {
        return CompletableFuture.failedFuture(new IOException("the child has ended"));
      }
      for (JsonNode id : ids) {
        if (pending.containsKey(id)) {
          throw new IllegalArgumentException("The id " + id + " is in use by a running request.");
        }
      }
      ids.forEach(id -> pending.put(id, answer));
    }
    if (ids.isEmpty()) {
      answer.complete(JSON.missingNode());
    }
    String line = message.toString();
    listener.sent(line);
    try {
      write(line);
    } catch (IOException e) {
      // The end of its output, which follows, fails what is pending.
      return ids.isEmpty() ? CompletableFuture.failedFuture(e) : answer;
    }
    return answer;
  }

  /**
   * Writes a line as it is, whatever it is; what it is answered with is told as unasked.
   *
   * @throws IOException if the child takes nothing any more
   */
  void sendLine(String line) throws IOException {
    listener.sent(line);
    write(line);
  }

  private void write(String line) throws IOException {
    synchronized (writeLock) {
      stdin.write((line + "\n").getBytes(StandardCharsets.UTF_8));
      stdin.flush();
    }
  }

  /** Asks for the cancellation of a running request, which then is answered with an error. */
  void cancel(JsonNode id) {
    ObjectNode message = JSON.createObjectNode().put("jsonrpc", "2.0");
    message.put("method", "$/cancelRequest").putObject("params").set("id", id);
    var unused = send(message);
  }

  boolean isAlive() {
    synchronized (lock) {
      return !ended && process.isAlive();
    }
  }

  /** Ends the child with SIGKILL, which it can not notice, and waits until it is gone. */
  void kill() throws InterruptedException {
    process.toHandle().destroyForcibly();
    process.waitFor();
  }

  /** Ends the child's stdin, which asks it to end, waits, and kills it if it does not. */
  @Override
  public void close() {
    end();
    try {
      Runtime.getRuntime().removeShutdownHook(hook);
    } catch (IllegalStateException e) {
      // This process is ending, and the hook runs.
    }
  }

  private void end() {
    try {
      stdin.close();
    } catch (IOException e) {
      // It is gone already.
    }
    awaitOrKill();
  }

  private int awaitOrKill() {
    try {
      if (!process.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
        process.toHandle().destroyForcibly();
      }
      return process.waitFor();
    } catch (InterruptedException e) {
      process.toHandle().destroyForcibly();
      Thread.currentThread().interrupt();
      return -1;
    }
  }

  /** The ids under which the answer to a message can come back. */
  private static List<JsonNode> expectedIds(JsonNode message) {
    if (!message.isArray()) {
      // Only an object without an id can be a notification; anything else is answered.
      return message.isObject() && !message.has("id")
          ? List.of()
          : List.of(normal(message.path("id")));
    }
    List<JsonNode> ids = new ArrayList<>();
    message.forEach(element -> ids.addAll(expectedIds(element)));
    return message.isEmpty() ? List.of(NullNode.getInstance()) : ids.stream().distinct().toList();
  }

  /** Makes 1 equal 1 whatever integer type was chosen for it, and an absent id equal null. */
  private static JsonNode normal(JsonNode id) {
    if (id.isMissingNode()) {
      return NullNode.getInstance();
    }
    return id.isIntegralNumber() ? JsonNodeFactory.instance.numberNode(id.bigIntegerValue()) : id;
  }

  private void receive(String line) {
    if (line.isBlank()) {
      return;
    }
    listener.received(line);
    JsonNode message;
    try {
      message = JSON.readTree(line);
    } catch (JsonProcessingException e) {
      listener.unmatched(line);
      return;
    }
    if (message.has("method")) {
      listener.notification(message.path("method").asText(), message.path("params"));
      return;
    }
    CompletableFuture<JsonNode> answered = take(message);
    if (answered == null) {
      listener.unmatched(line);
    } else {
      answered.complete(message);
    }
  }

  private @Nullable CompletableFuture<JsonNode> take(JsonNode message) {
    synchronized (lock) {
      CompletableFuture<JsonNode> found = null;
      for (JsonNode answer : message.isArray() ? message : List.of(message)) {
        found = found == null ? pending.get(normal(answer.path("id"))) : found;
      }
      CompletableFuture<JsonNode> answered = found;
      pending.values().removeIf(each -> each == answered);
      return answered;
    }
  }

  private void outputEnded() {
    int exitCode = awaitOrKill();
    Collection<CompletableFuture<JsonNode>> unanswered;
    synchronized (lock) {
      ended = true;
      unanswered = List.copyOf(pending.values());
      pending.clear();
    }
    listener.ended(exitCode);
    IOException reason =
        new IOException("the child ended with exit code " + exitCode + " before it answered");
    unanswered.forEach(each -> each.completeExceptionally(reason));
  }

  private static Thread thread(
      String stream, InputStream in, Consumer<String> sink, Runnable atEnd) {
    Thread thread =
        new Thread(
            () -> {
              try (BufferedReader lines =
                  new BufferedReader(new InputStreamReader(in, StandardCharsets.UTF_8))) {
                for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                  sink.accept(line);
                }
              } catch (IOException e) {
                // A killed child may take its pipes with it.
              } finally {
                atEnd.run();
              }
            },
            "serve-client-" + stream);
    thread.setDaemon(true);
    return thread;
  }
}
