package io.anymatix.fetcher.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.ExampleServer;
import io.anymatix.fetcher.testing.Gate;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringReader;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jline.reader.LineReader;
import org.jline.reader.LineReaderBuilder;
import org.jline.terminal.Terminal;
import org.jline.terminal.impl.DumbTerminal;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The console, on a real sidecar process. */
class ConsoleTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir
  @SuppressWarnings("NullAway.Init") // JUnit fills it
  Path folder;

  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  @Test
  void scriptFetchesAndTellsWhatCame() throws Exception {
    try (ByteRangeServer server = ByteRangeServer.start()) {
      String url = server.serve("/m.safetensors", Content.safetensors(1, 2 * Content.MIB)).url();
      assertTrue(
          script(false, "# first the model", "", "fetch " + url + " type=checkpoint"), text());
    }
    assertTrue(out.toString().contains("[1] fetch"), text());
    assertTrue(out.toString().contains("\"outcome\" : \"downloaded\""), text());
    assertTrue(err.toString().contains("[1] "), "a fetch tells its progress: " + text());
    assertEquals(1, files(folder.resolve("models"), ".safetensors"));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "fetch file:///m.safetensors type=checkpoint",
        "no.such.method",
        "fetch 1 2 3 4 5 6 7 8 9 10 11 12",
        "{\"method\": ",
        "[{\"method\":\"ping\"}, {\"method\":\"no.such.method\"}]",
        "[]",
        "trace",
      })
  void oneErrorMakesTheScriptFailButNotStop(String line) throws Exception {
    assertFalse(script(false, line, "ping"), text());
    assertTrue(out.toString().strip().endsWith("\"pong\""), text());
  }

  @Test
  void rawMessagesAreCompletedAndOtherwiseLeftAlone() throws Exception {
    assertTrue(
        script(
            true,
            "{\"method\":\"ping\"}",
            "{\"method\":\"ping\",\"id\":\"mine\"}",
            "[{\"method\":\"ping\",\"id\":7},{\"method\":\"ping\"}]"),
        text());
    List<String> lines = out.toString().lines().toList();
    assertEquals(3, lines.size(), text());
    assertEquals("pong", JSON.readTree(lines.get(0)).path("result").asText());
    assertEquals("mine", JSON.readTree(lines.get(1)).path("id").asText());
    JsonNode batch = JSON.readTree(lines.get(2));
    assertEquals(2, batch.size(), text());
  }

  @Test
  void lineThatEndsInAnAmpersandIsNotWaitedFor() throws Exception {
    try (ByteRangeServer server = ByteRangeServer.start()) {
      String url = server.serve("/m.safetensors", Content.safetensors(2, 6 * Content.MIB)).url();
      server.limitRate(2 * Content.MIB);
      assertTrue(script(true, "fetch " + url + " type=lora &", "ping"), text());
    }
    List<String> lines = out.toString().lines().toList();
    assertEquals(2, lines.size(), text());
    assertEquals("pong", JSON.readTree(lines.get(0)).path("result").asText(), text());
    assertEquals(
        "downloaded", JSON.readTree(lines.get(1)).path("result").path("outcome").asText(), text());
  }

  @Test
  void traceShowsBothDirectionsWithoutSecrets() throws Exception {
    script(
        false,
        "trace on",
        "setCredentials civitai=c1v1ta1s3cr3t",
        "probe file:///x?token=urls3cr3t auth=token=auths3cr3t");
    String shown = text();
    assertTrue(shown.contains("--> {\"jsonrpc\":\"2.0\",\"method\":\"setCredentials\""), shown);
    assertTrue(shown.contains("<-- "), shown);
    assertFalse(shown.contains("s3cr3t"), shown);
  }

  @Test
  void endedChildIsReportedAndReplacedOnTheNextLine() throws Exception {
    assertTrue(script(false, "shutdown", "ping"), text());
    assertTrue(err.toString().contains("ended with exit code 0"), text());
    assertTrue(out.toString().contains("\"pong\""), text());
  }

  @Test
  void childThatIsNoSidecarProcessIsReportedWithItsExitCode() throws Exception {
    List<String> java = ServeClient.ownCommand(List.of());
    List<String> command = List.of(java.get(0), "-cp", java.get(2), "no.such.Main");
    assertFalse(script(command, false, "ping"), text());
    assertTrue(err.toString().contains("ended with exit code 1"), text());
  }

  @Test
  void namesAreCompletedFromTheDescription() throws Exception {
    ConsoleScript output = new ConsoleScript(new PrintWriter(out), new PrintWriter(err));
    try (ConsoleSession session = new ConsoleSession(serve(), output, false)) {
      session.prepare();
      MethodCatalog catalog = session.catalog();
      assertTrue(catalog.candidates(List.of("se")).contains("setOptions"));
      assertTrue(catalog.candidates(List.of("t")).contains("trace"));
      assertTrue(catalog.candidates(List.of("fetch", "ty")).contains("type="));
      assertFalse(catalog.candidates(List.of("fetch", "type=lora", "")).contains("type="));
      assertTrue(
          catalog.candidates(List.of("fetch", "")).contains("fileId="),
          "only the description has it");
      assertEquals(List.of("on", "off"), catalog.candidates(List.of("trace", "")));
    }
  }

  @Test
  void valuesAreCompletedFromTheDescriptionAndTheDisk() throws Exception {
    Files.createDirectories(folder.resolve("models/loras"));
    Files.writeString(folder.resolve("models/file.txt"), "");
    ConsoleScript output = new ConsoleScript(new PrintWriter(out), new PrintWriter(err));
    try (ConsoleSession session = new ConsoleSession(serve(), output, false)) {
      session.prepare();
      MethodCatalog catalog = session.catalog();
      assertTrue(catalog.candidates(List.of("fetch", "type=")).contains("type=checkpoint"));
      assertFalse(catalog.candidates(List.of("fetch", "type=")).contains("type=mine"));
      assertEquals(
          List.of("repair=true", "repair=false"), catalog.candidates(List.of("verify", "repair=")));
      String models = folder.resolve("models").toString().replace('\\', '/');
      assertEquals(
          List.of("dir=" + models + "/loras/"),
          catalog.candidates(List.of("list", "dir=" + models + "/lo")));
      assertEquals(
          List.of(models + "/file.txt", models + "/loras/"),
          catalog.candidates(List.of("replay", models + "/")));

      session.execute("initialize folders={\"mine\":[\"" + models + "/mine\"]}").join();
      assertTrue(session.catalog().candidates(List.of("list", "type=")).contains("type=mine"));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"initialize", "fetch", "store", "errors", "batch", "cancel"})
  void theConsoleReplaysTheRecordedExamples(String name) throws Exception {
    Gate gate = new Gate();
    try (ByteRangeServer server = ExampleServer.start(gate)) {
      List<String> serve =
          ServeClient.ownCommand(
              List.of(
                  "--allow-http", "--allow-private-hosts", "--connect-to=" + server.connectTo()));
      assertTrue(script(serve, false, "replay examples/rpc/" + name + ".jsonl"), text());
      assertTrue(out.toString().contains("all as recorded"), text());
      gate.open();
    }
  }

  @Test
  void aSavedConversationIsReplayedAndItsSecretsAreNot() throws Exception {
    Path saved = folder.resolve("saved.jsonl");
    assertTrue(
        script(
            false,
            "status",
            "setCredentials civitai=c1v1ta1s3cr3t",
            "isChanged http://host/m?token=urls3cr3t type=lora",
            "save " + saved,
            "replay " + saved),
        text());
    String text = Files.readString(saved);
    assertFalse(text.contains("s3cr3t"), text);
    assertTrue(text.contains("\"uptimeMillis\":\"<number>\""), text);
    assertTrue(out.toString().contains("6 steps, all as recorded."), text());
    assertFalse(out.toString().contains("unasked"), text());

    assertFalse(script(false, "save " + saved), "a file is not overwritten: " + text());
    Files.writeString(saved, text.replace("\"fingerprint\":null", "\"fingerprint\":\"x\""));
    assertFalse(script(false, "replay " + saved), text());
    assertTrue(out.toString().contains("/result/fingerprint is null"), text());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"save", "replay", "replay no-such-file", "replay pom.xml", "save /no/such/dir/x"})
  void aTranscriptThatCanNotBeIsToldAbout(String line) throws Exception {
    assertFalse(script(false, line, "ping"), text());
    assertTrue(out.toString().contains("error: "), text());
    assertTrue(out.toString().strip().endsWith("\"pong\""), text());
  }

  @Test
  void attachGoesOnWithAnotherProcess() throws Exception {
    String other = String.join(" ", ServeClient.ownCommand(List.of("--offline")));
    assertTrue(
        script(
            true,
            "setOptions offline=false",
            "attach " + other,
            "setOptions",
            "attach",
            "setOptions"),
        text());
    List<String> lines = out.toString().lines().toList();
    assertEquals(3, lines.size(), text());
    assertTrue(JSON.readTree(lines.get(1)).at("/result/offline").asBoolean(), text());
    assertFalse(JSON.readTree(lines.get(2)).at("/result/offline").asBoolean(), text());
    assertFalse(script(false, "attach /no/such/command"), text());
  }

  @Test
  void dumbTerminalGetsThePromptAndPlainAnswers() throws Exception {
    ByteArrayOutputStream screen = new ByteArrayOutputStream();
    byte[] typed = "help\nbogus\n".getBytes(StandardCharsets.UTF_8);
    try (Terminal terminal = new DumbTerminal(new ByteArrayInputStream(typed), screen)) {
      ConsoleTerminal console = new ConsoleTerminal(terminal, true, null);
      try (ConsoleSession session = new ConsoleSession(serve(), console, false)) {
        console.run(session);
        session.execute("ping").join();
      }
    }
    String shown = screen.toString(StandardCharsets.UTF_8);
    assertTrue(shown.contains("anymatix> "), shown);
    assertTrue(shown.contains("setCredentials"), shown);
    assertTrue(shown.contains("bogus failed (-32601)"), shown);
    assertTrue(shown.contains("\"pong\""), shown);
    assertFalse(shown.contains("\u001b["), shown);
  }

  @Test
  void historyIsPrivateAndHoldsNoSecrets() throws Exception {
    Path file = ConsoleHistory.file(Map.of("ANYMATIX_HOME", folder.resolve("home").toString()));
    Objects.requireNonNull(file);
    assertTrue(Files.exists(file));
    ConsoleHistory history = new ConsoleHistory();
    try (Terminal terminal =
        new DumbTerminal(new ByteArrayInputStream(new byte[0]), new ByteArrayOutputStream())) {
      LineReader reader =
          LineReaderBuilder.builder()
              .terminal(terminal)
              .history(history)
              .variable(LineReader.HISTORY_FILE, file)
              .build();
      history.attach(reader);
      history.add(Instant.EPOCH, "fetch https://host/m progressToken=1 sha256=" + "ab".repeat(32));
      for (String secret :
          List.of(
              "setCredentials civitai=s3cr3t",
              "fetch https://host/m auth=s3cr3t",
              "fetch https://host/m?token=s3cr3t",
              "fetch https://me:s3cr3t@host/m",
              "{\"method\":\"x\",\"params\":{\"huggingface\":\"s3cr3t\"}}",
              "x hf_s3cr3ts3cr3t",
              "x " + "0123456789abcdef".repeat(2))) {
        history.add(Instant.EPOCH, secret);
      }
      history.save();
    }
    List<String> kept = Files.readAllLines(file);
    assertEquals(
        1, kept.stream().filter(line -> line.contains("https://host/m")).count(), "" + kept);
    assertEquals(1, kept.size(), "" + kept);
    if (file.getFileSystem().supportedFileAttributeViews().contains("posix")) {
      assertEquals("rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(file)));
    }
  }

  private boolean script(boolean json, String... lines) throws IOException {
    return script(serve(), json, lines);
  }

  private boolean script(List<String> command, boolean json, String... lines) throws IOException {
    ConsoleScript output = new ConsoleScript(new PrintWriter(out), new PrintWriter(err));
    try (ConsoleSession session = new ConsoleSession(command, output, json)) {
      return output.run(new BufferedReader(new StringReader(String.join("\n", lines))), session);
    }
  }

  private List<String> serve() {
    return ServeClient.ownCommand(
        List.of(
            "--allow-http",
            "--allow-private-hosts",
            "--log-level=warn",
            "--models-dir=" + folder.resolve("models")));
  }

  private String text() {
    return out + "\n-- stderr --\n" + err;
  }

  private static long files(Path tree, String suffix) throws IOException {
    try (var paths = Files.walk(tree)) {
      return paths.filter(path -> path.toString().endsWith(suffix)).count();
    }
  }
}
