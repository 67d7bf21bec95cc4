package io.anymatix.fetcher.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.anymatix.fetcher.content.Redactor;
import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.fetch.Progress;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/**
 * Understands the console's lines, and shows what a sidecar process says to them. It starts the
 * process when it is needed, and again when it has died.
 *
 * <p>{@link #execute} is to be called by one thread at a time; answers are shown by other threads.
 */
final class ConsoleSession implements AutoCloseable {
  private static final ObjectMapper JSON =
      new ObjectMapper().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

  /** An id that nobody types. */
  private static final long DISCOVERY_ID = -1_000_001;

  private static final long DISCOVERY_PATIENCE_SECONDS = 10;

  /** Of the names in the help. */
  private static final int NAME_COLUMNS = 15;

  /** Where a session shows things. Called by several threads, and safe for that. */
  interface Output {
    /** A block of lines: an answer, a notification, or a remark of the console. */
    void show(String block);

    /** A line that is no answer: part of the log, or of the trace. */
    void remark(String line);

    /** Where the request of this label is; null when it has ended. */
    void progress(String label, @Nullable Progress progress);

    /** The text in a style, where there are colours. */
    String styled(Screen.Style style, String text);

    /** Columns of a line; more than any text needs where nothing is broken. */
    int columns();
  }

  private final List<String> ownCommand;
  private final Output output;
  private final boolean json;
  private final AtomicLong lastId = new AtomicLong();
  private final Set<JsonNode> running = ConcurrentHashMap.newKeySet();
  private final Map<String, String> labels = new ConcurrentHashMap<>();
  private final Transcript transcript = new Transcript();
  private List<String> command;
  private volatile boolean tracing;

  private volatile @Nullable Replay replay;
  private volatile boolean closing;

  /** New folders have new types, which can be completed. */
  private volatile boolean outdated;

  /** The running child has been told to end, and is not to be asked anything more. */
  private volatile boolean leaving;

  private volatile MethodCatalog catalog = MethodCatalog.BASIC;
  private @Nullable ServeClient client;
  private boolean restarted;

  /**
   * A session that has not started its sidecar process yet.
   *
   * @param command what to start
   * @param json show answers as raw JSON, and nothing else
   */
  ConsoleSession(List<String> command, Output output, boolean json) {
    this.ownCommand = command;
    this.command = command;
    this.output = output;
    this.json = json;
  }

  /** What can be completed. */
  MethodCatalog catalog() {
    ServeClient current = client;
    if (current != null && current.isAlive() && !leaving) {
      refresh(current);
    }
    return catalog;
  }

  private void refresh(ServeClient current) {
    if (outdated) {
      outdated = false;
      discover(current);
    }
  }

  /** Starts the sidecar process now, so that its methods can be completed in the first line. */
  void prepare() {
    try {
      start();
    } catch (IOException e) {
      showMistake(notStarted(e));
    }
  }

  private String notStarted(IOException e) {
    return command.get(0) + " can not be started: " + e.getMessage();
  }

  /** Whether a line ends the console. */
  static boolean isQuit(String line) {
    return line.strip().equals("quit") || line.strip().equals("exit");
  }

  /**
   * Starts the sidecar process, if none runs, and asks it for its methods.
   *
   * @throws IOException if it can not be started
   */
  private ServeClient start() throws IOException {
    ServeClient current = client;
    if (current != null && current.isAlive() && !leaving) {
      refresh(current);
      return current;
    }
    if (current != null) {
      current.close();
    }
    ServeClient started = ServeClient.start(command, environment -> {}, new Child());
    client = started;
    leaving = false;
    if (restarted) {
      remark("Another sidecar process was started; what initialize had said is to be said again.");
    }
    restarted = true;
    discover(started);
    return started;
  }

  /** Asks what can be completed; a sidecar process need not say. */
  private void discover(ServeClient started) {
    try {
      catalog =
          MethodCatalog.of(
              started
                  .call(DISCOVERY_ID, "rpc.discover", JSON.createObjectNode())
                  .get(DISCOVERY_PATIENCE_SECONDS, TimeUnit.SECONDS));
    } catch (ExecutionException | TimeoutException e) {
      catalog = MethodCatalog.BASIC; // It need not describe itself.
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** Whether a line belongs to what the console asks for itself: nobody wants to see that. */
  private static boolean isDiscovery(String line) {
    if (!line.contains("rpc.discover") && !line.contains("openrpc")) {
      return false;
    }
    try {
      return JSON.readTree(line).path("id").asText().equals(Long.toString(DISCOVERY_ID));
    } catch (JsonProcessingException e) {
      return false;
    }
  }

  /**
   * Does what a line says.
   *
   * @return completes when the answer has been shown, with false if it is an error
   */
  CompletableFuture<Boolean> execute(String line) {
    String text = line.strip();
    if (text.isEmpty() || text.startsWith("#")) {
      return CompletableFuture.completedFuture(true);
    }
    if (replay != null) {
      return mistake("A replay is running; Ctrl-C ends it.");
    }
    try {
      String[] words = text.split("\\s+", 3);
      switch (words[0]) {
        case "help" -> {
          start();
          output.show(words.length > 1 ? help(words[1]) : help());
          return CompletableFuture.completedFuture(true);
        }
        case "save" -> {
          return CompletableFuture.completedFuture(save(rest(words)));
        }
        case "replay" -> {
          return replay(words);
        }
        case "attach" -> {
          return CompletableFuture.completedFuture(attach(rest(words)));
        }
        case "trace" -> {
          return CompletableFuture.completedFuture(trace(words.length > 1 ? words[1] : ""));
        }
        default -> {
          return request(text);
        }
      }
    } catch (JsonProcessingException e) {
      return mistake("This is no JSON: " + e.getOriginalMessage());
    } catch (IllegalArgumentException e) {
      return mistake(String.valueOf(e.getMessage()));
    } catch (IOException e) {
      return mistake(notStarted(e));
    }
  }

  /** Asks for the cancellation of all that runs, and returns how many requests that is. */
  int cancelRunning() {
    Replay replaying = replay;
    if (replaying != null) {
      replaying.cancel();
      return 1;
    }
    ServeClient current = client;
    List<JsonNode> ids = List.copyOf(running);
    if (current != null) {
      ids.forEach(current::cancel);
    }
    return ids.size();
  }

  @Override
  public void close() {
    closing = true;
    if (client != null) {
      client.close();
    }
  }

  private boolean trace(String setting) {
    if (!setting.equals("on") && !setting.equals("off")) {
      showMistake("trace wants on or off.");
      return false;
    }
    tracing = setting.equals("on");
    remark("Messages are " + (tracing ? "shown, with secrets masked." : "not shown any more."));
    return true;
  }

  private static String rest(String[] words) {
    return String.join(" ", List.of(words).subList(1, words.length));
  }

  private boolean save(String file) {
    if (file.isEmpty()) {
      showMistake("save wants the name of a new file.");
      return false;
    }
    try {
      remark("Saved " + transcript.save(Path.of(file)) + " steps to " + file + ".");
      return true;
    } catch (FileAlreadyExistsException e) {
      showMistake("There is a file " + file + " already.");
    } catch (IOException | InvalidPathException e) {
      showMistake(file + " can not be written: " + e.getMessage());
    }
    return false;
  }

  private boolean attach(String words) throws IOException {
    ServeClient former = client;
    if (former != null) {
      former.close();
    }
    client = null;
    restarted = false;
    command = words.isEmpty() ? ownCommand : List.of(words.split("\\s+"));
    if (!start().isAlive()) {
      showMistake(command.get(0) + " has ended again.");
      return false;
    }
    remark("Attached to " + (words.isEmpty() ? "a process of this program" : words) + ".");
    return true;
  }

  private CompletableFuture<Boolean> replay(String[] words) throws IOException {
    if (words.length < 2) {
      return mistake("replay wants a file that save has written.");
    }
    List<Transcript.Step> steps;
    try {
      steps = Transcript.load(Path.of(words[1]));
    } catch (NoSuchFileException e) {
      return mistake("There is no file " + words[1] + ".");
    } catch (IOException e) {
      return mistake(words[1] + " can not be read: " + e.getMessage());
    }
    Path models =
        words.length > 2
            ? Path.of(words[2]).toAbsolutePath().normalize()
            : Files.createTempDirectory("console-replay").toRealPath();
    ServeClient child = start();
    Replay running = new Replay(child::sendLine);
    replay = running;
    return CompletableFuture.supplyAsync(
        () -> {
          try {
            return replay(running, steps, models);
          } finally {
            replay = null;
            if (words.length == 2) {
              discard(models);
            }
          }
        });
  }

  private void discard(Path models) {
    try {
      Demo.remove(models);
    } catch (IOException e) {
      remark(models + " could not be removed: " + e.getMessage());
    }
  }

  private boolean replay(Replay running, List<Transcript.Step> steps, Path models) {
    int different = 0;
    try {
      for (Transcript.Step step : steps) {
        Replay.Outcome outcome = running.run(step, models);
        different += outcome.isAsRecorded() ? 0 : 1;
        showStep(outcome);
      }
    } catch (CancelledException e) {
      showMistake("The replay was ended.");
      return false;
    } catch (IOException e) {
      showMistake("The sidecar process takes nothing any more.");
      return false;
    }
    showReplayed(steps.size(), different);
    return different == 0;
  }

  private void showStep(Replay.Outcome outcome) {
    if (json) {
      if (!outcome.isAsRecorded()) {
        ObjectNode told = JSON.createObjectNode().put("line", outcome.step().lineNumber());
        outcome.differences().forEach(told.putArray("differences")::add);
        output.show(told.toString());
      }
      return;
    }
    String title = "line " + outcome.step().lineNumber() + ": " + outcome.what();
    if (outcome.isAsRecorded()) {
      remark(title);
    } else {
      output.show(
          output.styled(Screen.Style.BAD, title + " is not as recorded")
              + "\n  "
              + String.join("\n  ", outcome.differences()));
    }
  }

  private void showReplayed(int steps, int different) {
    if (json) {
      ObjectNode told = JSON.createObjectNode();
      told.putObject("replayed").put("steps", steps).put("different", different);
      output.show(told.toString());
    } else if (different == 0) {
      output.show(output.styled(Screen.Style.GOOD, steps + " steps, all as recorded."));
    } else {
      output.show(output.styled(Screen.Style.BAD, different + " of " + steps + " steps differ."));
    }
  }

  private CompletableFuture<Boolean> request(String text) throws IOException {
    boolean raw = text.startsWith("{") || text.startsWith("[");
    JsonNode typed = raw ? JSON.readTree(text) : null;
    Shorthand shorthand = raw ? null : Shorthand.parse(text);
    ServeClient child = start();
    JsonNode message = typed == null ? message(shorthand) : typed;
    if (message.isArray()) {
      message.forEach(this::complete);
    } else {
      complete(message);
    }
    Secrets.learn(message);
    String method = message.isArray() ? "batch" : message.path("method").asText("message");
    JsonNode id = message.path("id");
    long startNanos = System.nanoTime();
    List<JsonNode> ids =
        message.isArray() ? message.findValues("id") : id.isMissingNode() ? List.of() : List.of(id);
    CompletableFuture<JsonNode> answer = child.send(message);
    running.addAll(ids);
    return answer.handle(
        (response, failure) -> {
          running.removeAll(ids);
          boolean succeeded = response != null && response.has("result");
          leaving |= method.equals("shutdown") && succeeded;
          outdated |= method.equals("initialize") && succeeded;
          double seconds = (System.nanoTime() - startNanos) / 1e9;
          return ended(label(id), method, seconds, response, failure);
        });
  }

  private ObjectNode message(@Nullable Shorthand shorthand) {
    ObjectNode message = JSON.createObjectNode();
    if (shorthand == null) {
      return message;
    }
    message.put("jsonrpc", "2.0").put("method", shorthand.method());
    MethodCatalog.Method method = catalog.method(shorthand.method());
    if (method == null && shorthand.named().isEmpty()) {
      ArrayNode params = JSON.createArrayNode().addAll(shorthand.positional());
      return params.isEmpty() ? message : message.set("params", params);
    }
    Map<String, JsonNode> params = new LinkedHashMap<>();
    List<String> names = method == null ? List.of() : method.params();
    for (int i = 0; i < shorthand.positional().size(); i++) {
      if (i >= names.size()) {
        throw new IllegalArgumentException(
            shorthand.method() + " has no parameter for " + shorthand.positional().get(i) + ".");
      }
      params.put(names.get(i), shorthand.positional().get(i));
    }
    shorthand
        .named()
        .forEach(
            (name, value) -> {
              if (params.put(name, value) != null) {
                throw new IllegalArgumentException(name + " is given twice.");
              }
            });
    return message.set("params", JSON.createObjectNode().setAll(params));
  }

  /** Fills in what a request needs and the typist left out. */
  private void complete(JsonNode message) {
    if (!(message instanceof ObjectNode request)) {
      return;
    }
    String method = request.path("method").asText();
    if (!request.has("jsonrpc")) {
      request.put("jsonrpc", "2.0");
    }
    if (!request.has("id") && !method.startsWith("$/")) {
      request.put("id", lastId.incrementAndGet());
    }
    MethodCatalog.Method known = catalog.method(method);
    if (known != null
        && known.tellsProgress()
        && request.get("params") instanceof ObjectNode params) {
      if (!params.has("progressToken")) {
        params.put("progressToken", "console-" + request.path("id").asText());
      }
      labels.put(params.path("progressToken").asText(), label(request.path("id")));
    }
  }

  private static String label(JsonNode id) {
    return id.isMissingNode() ? "" : "[" + id.asText() + "] ";
  }

  private boolean ended(
      String label,
      String method,
      double seconds,
      @Nullable JsonNode response,
      @Nullable Throwable failure) {
    labels.entrySet().stream()
        .filter(entry -> entry.getValue().equals(label))
        .map(Map.Entry::getKey)
        .toList()
        .forEach(
            token -> {
              labels.remove(token);
              output.progress(label.strip(), null);
            });
    if (failure != null || response == null) {
      if (!closing) {
        showMistake(
            label + method + " got no answer: " + (failure == null ? "" : message(failure)));
      }
      return false;
    }
    if (json && !response.isMissingNode()) {
      output.show(response.toString());
    } else if (!response.isMissingNode()) {
      output.show(told(label, method, seconds, response));
    }
    return !hasError(response);
  }

  private static String message(Throwable failure) {
    Throwable cause = failure.getCause() == null ? failure : failure.getCause();
    return String.valueOf(cause.getMessage());
  }

  private static boolean hasError(JsonNode response) {
    for (JsonNode answer : response.isArray() ? response : List.of(response)) {
      if (answer.has("error")) {
        return true;
      }
    }
    return false;
  }

  private String told(String label, String method, double seconds, JsonNode response) {
    String title = label + method;
    String time = output.styled(Screen.Style.QUIET, String.format(Locale.ROOT, " %.1f s", seconds));
    if (response.isArray()) {
      return title + time + "\n" + pretty(response);
    }
    JsonNode error = response.get("error");
    if (error == null) {
      return output.styled(Screen.Style.GOOD, title)
          + time
          + "\n"
          + pretty(response.path("result"));
    }
    StringBuilder block = new StringBuilder();
    JsonNode data = error.path("data");
    block.append(output.styled(Screen.Style.BAD, title + " failed")).append(" (");
    block.append(error.path("code").asText());
    block.append(data.has("kind") ? " " + data.path("kind").asText() : "").append(')').append(time);
    block.append("\n  ").append(error.path("message").asText());
    if (data instanceof ObjectNode facts) {
      if (facts.has("hint")) {
        block.append("\n  ").append(facts.path("hint").asText());
      }
      ObjectNode rest = facts.deepCopy().without(List.of("kind", "hint"));
      block.append(rest.isEmpty() ? "" : "\n  " + rest);
    }
    return block.toString();
  }

  private String pretty(JsonNode value) {
    try {
      String text =
          JSON.writer().with(SerializationFeature.INDENT_OUTPUT).writeValueAsString(value);
      return text.indent(2).stripTrailing();
    } catch (JsonProcessingException e) {
      return "  " + value;
    }
  }

  private String help() {
    StringBuilder text = new StringBuilder("Type a request:\n");
    text.append("  fetch https://host/model.safetensors type=checkpoint\n");
    text.append("  initialize modelsDir=/path/to/models\n");
    text.append(
        "  {\"method\": \"status\"}          any message in JSON; jsonrpc and id are added\n");
    text.append(
        "A value is JSON, or text; quote it if it has spaces. Tab completes names, types\n");
    text.append("and folders. In a script, a line that ends in & is not waited for.\n");
    text.append("Ctrl-C cancels running requests, and quits when there is none.\n\nMethods:");
    catalog.methods().forEach((name, method) -> text.append(row(name, method.summary())));
    text.append("\nCommands of the console:");
    MethodCatalog.OWN_COMMANDS.forEach((name, what) -> text.append(row(name, what)));
    return text.toString();
  }

  private String row(String name, String text) {
    String padded = String.format(Locale.ROOT, "%-" + NAME_COLUMNS + "s", name);
    int indent = NAME_COLUMNS + 3;
    String lines =
        String.join("\n" + " ".repeat(indent), Table.wrapped(text, output.columns() - indent));
    return "\n  " + output.styled(Screen.Style.NAME, padded) + " " + lines;
  }

  private String help(String name) {
    MethodCatalog.Method method = catalog.method(name);
    if (method == null) {
      return MethodCatalog.OWN_COMMANDS.getOrDefault(name, "There is no method " + name + ".");
    }
    StringBuilder text = new StringBuilder(output.styled(Screen.Style.NAME, name));
    method.params().forEach(param -> text.append(' ').append(param).append("=…"));
    text.append(method.summary().isEmpty() ? "" : "\n  " + method.summary());
    method
        .values()
        .forEach(
            (param, values) -> {
              if (!values.isEmpty()) {
                text.append("\n  ").append(param).append(": ").append(String.join(", ", values));
              }
            });
    return text.toString();
  }

  private CompletableFuture<Boolean> mistake(String sentence) {
    showMistake(sentence);
    return CompletableFuture.completedFuture(false);
  }

  private void showMistake(String sentence) {
    if (json) {
      ObjectNode error = JsonNodeFactory.instance.objectNode();
      error.putObject("error").put("message", sentence);
      output.show(error.toString());
    } else {
      output.show(output.styled(Screen.Style.BAD, "error: ") + sentence);
    }
  }

  private void remark(String sentence) {
    output.remark(output.styled(Screen.Style.QUIET, sentence));
  }

  /** What the sidecar process says unasked. */
  private final class Child implements ServeClient.Listener {
    /** Whether the line at hand belongs to a replay; of the one thread that reads lines. */
    private boolean replayed;

    @Override
    public void notification(String method, JsonNode params) {
      if (json || replayed) {
        return;
      }
      if (!method.equals("$/progress")) {
        output.show(output.styled(Screen.Style.NAME, method) + "\n" + pretty(params));
        return;
      }
      String token = params.path("token").asText();
      try {
        Progress progress = JSON.treeToValue(params.path("value"), Progress.class);
        String label = labels.get(token);
        if (progress.status() == Progress.Status.METADATA) {
          output.show((label == null ? "" : label) + ProgressLine.model(progress));
        } else if (label != null && progress.phase() != null) {
          output.progress(label.strip(), progress);
        }
      } catch (JsonProcessingException | IllegalArgumentException e) {
        output.show(output.styled(Screen.Style.NAME, method) + "\n" + pretty(params));
      }
    }

    @Override
    public void unmatched(String line) {
      if (replayed) {
        return;
      }
      output.show(json ? line : "unasked: " + Redactor.text(line));
    }

    @Override
    public void sent(String line) {
      if (isDiscovery(line)) {
        return;
      }
      if (replay == null) {
        transcript.sent(line);
      }
      trace("--> ", line);
    }

    @Override
    public void received(String line) {
      if (isDiscovery(line)) {
        return;
      }
      Replay running = replay;
      replayed = running != null;
      if (running != null) {
        running.received(line);
      } else {
        transcript.received(line);
      }
      trace("<-- ", line);
    }

    private void trace(String direction, String line) {
      if (!tracing) {
        return;
      }
      String shown;
      try {
        JsonNode message = JSON.readTree(line);
        Secrets.learn(message);
        shown = Secrets.masked(message).toString();
      } catch (JsonProcessingException e) {
        shown = Redactor.text(line);
      }
      remark(direction + shown);
    }

    @Override
    public void log(String line) {
      remark(Redactor.text(line));
    }

    @Override
    public void ended(int exitCode) {
      if (!closing) {
        remark("The sidecar process has ended with exit code " + exitCode + ".");
      }
    }
  }
}
