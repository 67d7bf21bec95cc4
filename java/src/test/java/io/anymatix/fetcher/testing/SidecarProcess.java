package io.anymatix.fetcher.testing;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
import java.util.function.Predicate;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * The real sidecar process under test: the built jar as a child of this JVM, spoken to in
 * newline-delimited JSON-RPC over its pipes.
 *
 * <pre>{@code
 * try (SidecarProcess sidecar = SidecarProcess.launch(home).arguments("--allow-http").start()) {
 *   sidecar.result("initialize", Map.of("modelsDir", models.toString()));
 *   CompletableFuture<JsonNode> response = sidecar.call("fetch", params);
 *   sidecar.awaitProgress("t", value -> value.path("receivedBytes").asLong() > 0);
 *   sidecar.kill9();
 * }
 * }</pre>
 *
 * <p>Its environment holds nothing but {@code PATH} (and what Windows needs) and what the launch
 * names. All methods are safe from any thread; those that wait give up with an {@link
 * AssertionError} that carries the standard error of the process. Two daemon threads read its
 * output, and {@link #close} kills it and whatever it has started.
 */
public final class SidecarProcess implements AutoCloseable {
  private static final Duration PATIENCE = Duration.ofSeconds(60);
  private static final ObjectMapper JSON = new ObjectMapper();

  private final Process process;
  private final OutputStream stdin;
  private final Thread stdoutReader;
  private final Thread stderrReader;
  private final Object writeLock = new Object();

  /** Guards every field below; notified at each change. */
  private final Object lock = new Object();

  private final Map<JsonNode, CompletableFuture<JsonNode>> pending = new HashMap<>();
  private final List<JsonNode> notifications = new ArrayList<>();
  private final List<JsonNode> unmatched = new ArrayList<>();
  private final List<String> strayOutput = new ArrayList<>();
  private final StringBuilder stdout = new StringBuilder();
  private final StringBuilder stderr = new StringBuilder();
  private long lastId;
  private boolean stdoutEnded;

  private SidecarProcess(Process process) {
    this.process = process;
    this.stdin = process.getOutputStream();
    this.stdoutReader = reader("stdout", process.getInputStream(), this::receive, this::ended);
    this.stderrReader = reader("stderr", process.getErrorStream(), this::log, () -> {});
    stdoutReader.start();
    stderrReader.start();
  }

  /**
   * Prepares a start.
   *
   * @param home stands for the user's home folder and holds the state ({@code ANYMATIX_HOME})
   */
  public static Launch launch(Path home) {
    return new Launch(home);
  }

  /** How the process is to be started. Not safe for several threads. */
  public static final class Launch {
    private final Path home;
    private final List<String> jvmFlags = new ArrayList<>();
    private final Map<String, String> environment = new HashMap<>();
    private final List<String> arguments = new ArrayList<>();
    private String subcommand = "serve";
    private Path jar = Path.of("target", "anymatix-fetcher.jar");
    private @Nullable List<String> command;

    private Launch(Path home) {
      this.home = home.toAbsolutePath();
      environment("HOME", this.home.toString());
      environment("ANYMATIX_HOME", this.home.resolve("state").toString());
    }

    /** Adds flags for the Java launcher, such as {@code -Xmx64m}. */
    public Launch jvmFlags(String... flags) {
      jvmFlags.addAll(List.of(flags));
      return this;
    }

    /** Sets a variable; a later value replaces an earlier one. */
    public Launch environment(String name, String value) {
      environment.put(name, value);
      return this;
    }

    /**
     * Runs another sub-command than {@code serve}; what it prints is {@link #stdout} and {@link
     * #stderr}.
     */
    public Launch subcommand(String name) {
      subcommand = name;
      return this;
    }

    /** Adds arguments behind the sub-command. */
    public Launch arguments(String... more) {
      arguments.addAll(List.of(more));
      return this;
    }

    /** Runs this jar instead of the one that the build leaves in {@code target}. */
    public Launch jar(Path path) {
      jar = path;
      return this;
    }

    /** Runs quite another command, with the environment set here. */
    Launch command(List<String> words) {
      command = words;
      return this;
    }

    /**
     * Starts the process; it has not necessarily begun to read yet.
     *
     * @throws IOException if there is no jar, or no process can be started
     */
    public SidecarProcess start() throws IOException {
      ProcessBuilder builder = new ProcessBuilder(words());
      Map<String, String> variables = builder.environment();
      variables.keySet().retainAll(List.of("PATH", "Path", "SystemRoot", "TEMP"));
      variables.putAll(environment);
      return new SidecarProcess(builder.start());
    }

    private List<String> words() throws IOException {
      List<String> given = command;
      if (given != null) {
        return given;
      }
      if (!Files.isRegularFile(jar)) {
        throw new IOException("there is no " + jar.toAbsolutePath() + "; run mvn package first");
      }
      List<String> words = new ArrayList<>();
      words.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
      words.add("-Duser.home=" + home);
      words.addAll(jvmFlags);
      words.addAll(List.of("-jar", jar.toAbsolutePath().toString(), subcommand));
      words.addAll(arguments);
      return words;
    }
  }

  public long pid() {
    return process.pid();
  }

  public boolean isAlive() {
    return process.isAlive();
  }

  /**
   * Sends a request with an id of its own; null sends no params. The future holds the whole
   * response, result or error, and fails if the process ends before it answers.
   */
  public CompletableFuture<JsonNode> call(String method, @Nullable Object params) {
    long id;
    synchronized (lock) {
      id = ++lastId;
    }
    return callAs(id, method, params);
  }

  /** As {@link #call}, with this id (a number or a text), for instance to cancel it later. */
  public CompletableFuture<JsonNode> callAs(Object id, String method, @Nullable Object params) {
    JsonNode idNode = JSON.valueToTree(id);
    CompletableFuture<JsonNode> response = new CompletableFuture<>();
    boolean ended;
    synchronized (lock) {
      ended = stdoutEnded;
      if (!ended && pending.put(normal(idNode), response) != null) {
        throw new IllegalArgumentException("the id " + id + " is in use");
      }
    }
    if (ended) {
      response.completeExceptionally(new IOException("the process has ended" + evidence()));
      return response;
    }
    ObjectNode request = message(method, params);
    request.set("id", idNode);
    try {
      sendLine(request.toString());
    } catch (IOException e) {
      response.completeExceptionally(e);
    }
    return response;
  }

  /** Sends a request and waits up to a minute for the whole response, result or error. */
  public JsonNode callNow(String method, @Nullable Object params) throws InterruptedException {
    CompletableFuture<JsonNode> response = call(method, params);
    try {
      return response.get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
    } catch (ExecutionException e) {
      throw new AssertionError(method + " got no answer: " + e.getCause() + evidence(), e);
    } catch (TimeoutException e) {
      throw new AssertionError(method + " got no answer in " + PATIENCE + evidence(), e);
    }
  }

  /** Sends a request and waits for its result; an error answer is an {@link AssertionError}. */
  public JsonNode result(String method, @Nullable Object params) throws InterruptedException {
    JsonNode response = callNow(method, params);
    if (!response.has("result")) {
      throw new AssertionError(method + " answered " + response + evidence());
    }
    return response.get("result");
  }

  /** Sends a notification; null sends no params. */
  public void notify(String method, @Nullable Object params) throws IOException {
    sendLine(message(method, params).toString());
  }

  /** Sends any text and a line feed, in UTF-8. */
  public void sendLine(String text) throws IOException {
    synchronized (writeLock) {
      stdin.write((text + "\n").getBytes(StandardCharsets.UTF_8));
      stdin.flush();
    }
  }

  /** The values of the {@code $/progress} notifications so far that carry this token, in order. */
  public List<JsonNode> progress(Object token) {
    JsonNode tokenNode = normal(JSON.valueToTree(token));
    synchronized (lock) {
      return notifications.stream()
          .filter(message -> message.path("method").asText().equals("$/progress"))
          .map(message -> message.path("params"))
          .filter(params -> normal(params.path("token")).equals(tokenNode))
          .map(params -> params.path("value"))
          .toList();
    }
  }

  /** Waits up to a minute for a progress value of the token, past or coming, and returns it. */
  public JsonNode awaitProgress(Object token, Predicate<JsonNode> wanted)
      throws InterruptedException {
    return await(() -> first(progress(token), wanted), "progress of " + token);
  }

  /** The params of all notifications of this method so far, in order. */
  public List<JsonNode> notifications(String method) {
    synchronized (lock) {
      return notifications.stream()
          .filter(message -> message.path("method").asText().equals(method))
          .map(message -> message.path("params"))
          .toList();
    }
  }

  /** Waits up to a minute for the params of a notification, past or coming. */
  public JsonNode awaitNotification(String method, Predicate<JsonNode> wanted)
      throws InterruptedException {
    return await(() -> first(notifications(method), wanted), "a notification " + method);
  }

  /**
   * Waits up to a minute for a message, past or coming, that answers no request sent by {@link
   * #call}: batches, and answers with the id null.
   */
  public JsonNode awaitUnmatched(Predicate<JsonNode> wanted) throws InterruptedException {
    return await(() -> first(unmatched(), wanted), "a message for no call");
  }

  /** All messages so far that answer no request sent by {@link #call}, in order. */
  public List<JsonNode> unmatched() {
    synchronized (lock) {
      return List.copyOf(unmatched);
    }
  }

  /** Lines on standard output that are no JSON-RPC message: there must never be one. */
  public List<String> strayOutput() {
    synchronized (lock) {
      return List.copyOf(strayOutput);
    }
  }

  /** Every line that the process has written to its standard output so far. */
  public String stdout() {
    synchronized (lock) {
      return stdout.toString();
    }
  }

  /** What the process has written to its standard error so far. */
  public String stderr() {
    synchronized (lock) {
      return stderr.toString();
    }
  }

  /** Ends its standard input, as a client that leaves does. */
  public void closeStdin() throws IOException {
    synchronized (writeLock) {
      stdin.close();
    }
  }

  /** Asks it to end with SIGTERM, where the platform has that. */
  public void terminate() {
    // Process.destroy would close our ends of the pipes too, which is an end of stdin to the child.
    process.toHandle().destroy();
  }

  /** Ends it with SIGKILL, which it can not notice. */
  public void kill9() {
    process.toHandle().destroyForcibly();
  }

  /** Waits for the end of the process and of its output, and returns the exit code. */
  public int awaitExit(Duration limit) throws InterruptedException {
    if (!process.waitFor(limit.toMillis(), TimeUnit.MILLISECONDS)) {
      throw new AssertionError("the process goes on after " + limit + evidence());
    }
    stdoutReader.join(PATIENCE.toMillis());
    stderrReader.join(PATIENCE.toMillis());
    return process.exitValue();
  }

  /** Kills the process and all that it has started, if they still run. */
  @Override
  public void close() {
    List<ProcessHandle> children = process.descendants().toList();
    process.destroyForcibly();
    children.forEach(ProcessHandle::destroyForcibly);
    try {
      awaitExit(PATIENCE);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private static ObjectNode message(String method, @Nullable Object params) {
    ObjectNode message = JSON.createObjectNode();
    message.put("jsonrpc", "2.0");
    message.put("method", method);
    if (params != null) {
      message.set("params", JSON.valueToTree(params));
    }
    return message;
  }

  private void receive(String line) {
    synchronized (lock) {
      stdout.append(line).append('\n');
    }
    if (line.isBlank()) {
      return;
    }
    JsonNode message;
    try {
      message = JSON.readTree(line);
    } catch (JsonProcessingException e) {
      message = JSON.missingNode();
    }
    CompletableFuture<JsonNode> answered = null;
    synchronized (lock) {
      JsonNode version =
          message.isArray() ? message.path(0).path("jsonrpc") : message.path("jsonrpc");
      if (!version.asText().equals("2.0")) {
        strayOutput.add(line);
      } else if (message.has("method")) {
        notifications.add(message);
      } else {
        answered = pending.remove(normal(message.path("id")));
        if (answered == null) {
          unmatched.add(message);
        }
      }
      lock.notifyAll();
    }
    if (answered != null) {
      answered.complete(message);
    }
  }

  /** Makes 1 equal 1 whatever integer type Jackson chose for it; other nodes are left alone. */
  private static JsonNode normal(JsonNode id) {
    return id.isIntegralNumber() ? JsonNodeFactory.instance.numberNode(id.bigIntegerValue()) : id;
  }

  private void log(String line) {
    synchronized (lock) {
      stderr.append(line).append('\n');
      lock.notifyAll();
    }
  }

  private void ended() {
    List<CompletableFuture<JsonNode>> unanswered;
    synchronized (lock) {
      stdoutEnded = true;
      unanswered = List.copyOf(pending.values());
      pending.clear();
      lock.notifyAll();
    }
    for (CompletableFuture<JsonNode> each : unanswered) {
      each.completeExceptionally(new IOException("the process ended before it answered"));
    }
  }

  private static @Nullable JsonNode first(List<JsonNode> nodes, Predicate<JsonNode> wanted) {
    return nodes.stream().filter(wanted).findFirst().orElse(null);
  }

  private JsonNode await(Supplier<@Nullable JsonNode> search, String what)
      throws InterruptedException {
    long end = System.nanoTime() + PATIENCE.toNanos();
    synchronized (lock) {
      while (true) {
        JsonNode found = search.get();
        if (found != null) {
          return found;
        }
        long leftMillis = TimeUnit.NANOSECONDS.toMillis(end - System.nanoTime());
        if (stdoutEnded || leftMillis <= 0) {
          throw new AssertionError("there came no " + what + evidence());
        }
        lock.wait(leftMillis);
      }
    }
  }

  private String evidence() {
    String text = stderr();
    return text.isEmpty() ? "" : "\nstandard error of the process:\n" + text;
  }

  private static Thread reader(String name, InputStream in, Consumer<String> sink, Runnable atEnd) {
    Thread thread =
        new Thread(
            () -> {
              try (BufferedReader lines =
                  new BufferedReader(new InputStreamReader(in, StandardCharsets.UTF_8))) {
                for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                  sink.accept(line);
                }
              } catch (IOException e) {
                // A killed process may take its pipes with it.
              } finally {
                atEnd.run();
              }
            },
            "sidecar-process-" + name);
    thread.setDaemon(true);
    return thread;
  }
}
