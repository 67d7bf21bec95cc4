package io.anymatix.fetcher.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.fail;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.anymatix.fetcher.Main;
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.ExampleServer;
import io.anymatix.fetcher.testing.Gate;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Replays {@code examples/rpc/*.jsonl} against a real process. {@code examples/README.md} describes
 * the format; any difference from what is recorded there fails.
 */
class RecordedExamplesTest {
  private static final Path EXAMPLES = Path.of("examples", "rpc");
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final long PATIENCE_SECONDS = 30;
  private static final String END = "(end of output)";

  private final Gate gate = new Gate();
  private final BlockingQueue<String> output = new LinkedBlockingQueue<>();
  private final Map<JsonNode, JsonNode> lastProgress = new HashMap<>();
  private Path home;
  private ByteRangeServer server;
  private Process process;

  @BeforeEach
  void startServerAndProcess(@TempDir Path folder) throws IOException {
    home = folder;
    server = ExampleServer.start(gate);
    Path java = Path.of(System.getProperty("java.home"), "bin", "java");
    ProcessBuilder builder =
        new ProcessBuilder(
            java.toString(),
            "-Duser.home=" + home,
            "-cp",
            System.getProperty("java.class.path"),
            Main.class.getName(),
            "serve",
            "--allow-http",
            "--allow-private-hosts",
            "--connect-to",
            server.connectTo());
    builder.environment().keySet().retainAll(List.of("PATH", "Path", "SystemRoot", "TEMP"));
    builder.redirectError(home.resolve("stderr.log").toFile());
    process = builder.start();
    Thread reader = new Thread(this::readOutput, "examples-stdout");
    reader.setDaemon(true);
    reader.start();
  }

  @AfterEach
  void endProcessAndServer() throws InterruptedException {
    gate.open();
    process.destroyForcibly();
    process.waitFor();
    server.close();
  }

  @ParameterizedTest
  @ValueSource(strings = {"initialize", "fetch", "store", "errors", "batch", "cancel", "queue"})
  void theProcessAnswersAsRecorded(String name) throws Exception {
    Path models = Files.createDirectories(home.resolve("models")).toRealPath();
    String textInJson = JSON.writeValueAsString(models.toString());
    String inJson = textInJson.substring(1, textInJson.length() - 1);
    int lineNumber = 0;
    for (String line : Files.readAllLines(EXAMPLES.resolve(name + ".jsonl"))) {
      lineNumber++;
      String where = name + ".jsonl line " + lineNumber;
      JsonNode step = JSON.readTree(line.replace("<models>", inJson));
      assertEquals(1, step.size(), where + ": one member");
      String kind = step.fieldNames().next();
      JsonNode content = step.get(kind);
      switch (kind) {
        case "send" -> send(content.toString());
        case "sendText" -> send(content.textValue());
        case "expect" -> assertSame(where, content, nextAnswer(where));
        case "expectLastProgress" -> assertLastProgress(where, content);
        default -> fail(where + ": unknown member " + kind);
      }
    }
    process.getOutputStream().close();
    for (String rest = next(name); !rest.equals(END); rest = next(name)) {
      assertEquals("$/progress", JSON.readTree(rest).path("method").asText(), "unexpected " + rest);
    }
    assertEquals(0, process.waitFor(), "exit code");
  }

  private void send(String line) throws IOException {
    OutputStream stdin = process.getOutputStream();
    stdin.write((line + "\n").getBytes(StandardCharsets.UTF_8));
    stdin.flush();
  }

  private void readOutput() {
    try (BufferedReader lines = process.inputReader(StandardCharsets.UTF_8)) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        output.add(line);
      }
    } catch (IOException e) {
      // The process was killed after a failure.
    } finally {
      output.add(END);
    }
  }

  private String next(String where) throws InterruptedException, IOException {
    String line = output.poll(PATIENCE_SECONDS, TimeUnit.SECONDS);
    assertNotNull(
        line, () -> where + ": no answer; the log says " + read(home.resolve("stderr.log")));
    return line;
  }

  private static String read(Path file) {
    try {
      return Files.readString(file);
    } catch (IOException e) {
      return e.toString();
    }
  }

  /** The next message that is not a progress notification; those are noted on the way. */
  private JsonNode nextAnswer(String where) throws Exception {
    while (true) {
      JsonNode message = JSON.readTree(next(where));
      if (!message.path("method").asText().equals("$/progress")) {
        return message;
      }
      lastProgress.put(message.at("/params/token"), message.at("/params/value"));
    }
  }

  private void assertLastProgress(String where, JsonNode expected) {
    JsonNode value = lastProgress.get(expected.get("token"));
    assertNotNull(value, where + ": no progress with this token");
    assertSame(where, expected.get("value"), value);
  }

  private static void assertSame(String where, JsonNode expected, @Nullable JsonNode actual) {
    List<String> differences = new ArrayList<>();
    compare("", expected, actual, differences);
    if (!differences.isEmpty()) {
      fail(where + " differs at " + differences + "; what came is\n" + actual);
    }
  }

  private static void compare(
      String at, JsonNode expected, @Nullable JsonNode actual, List<String> differences) {
    if (actual == null) {
      differences.add(at + " (missing)");
    } else if (expected.isTextual() && expected.textValue().matches("<[a-z]+>")) {
      boolean fits =
          switch (expected.textValue()) {
            case "<number>" -> actual.isNumber();
            case "<text>" -> actual.isTextual();
            case "<any>" -> true;
            default -> false;
          };
      if (!fits) {
        differences.add(at + " (no " + expected.textValue() + ")");
      }
    } else if (expected.isObject() && actual.isObject()) {
      TreeSet<String> names = new TreeSet<>();
      expected.fieldNames().forEachRemaining(names::add);
      actual.fieldNames().forEachRemaining(names::add);
      for (String name : names) {
        if (expected.has(name)) {
          compare(at + "/" + name, expected.get(name), actual.get(name), differences);
        } else {
          differences.add(at + "/" + name + " (not recorded)");
        }
      }
    } else if (expected.isArray() && actual.isArray() && expected.size() == actual.size()) {
      Iterator<JsonNode> others = actual.iterator();
      int i = 0;
      for (JsonNode item : expected) {
        compare(at + "/" + i++, item, others.next(), differences);
      }
    } else if (!expected.equals(actual)) {
      differences.add(at.isEmpty() ? "the root" : at);
    }
  }
}
