package io.anymatix.fetcher.testing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Tries the harness on a small child that obeys a few words. */
class SidecarProcessTest {
  private static final Duration SOON = Duration.ofSeconds(30);

  private Path home;
  private SidecarProcess child;

  @BeforeEach
  void startChild(@TempDir Path folder) throws IOException {
    home = folder;
    child =
        SidecarProcess.launch(home)
            .environment("GIVEN", "naïve")
            .command(
                List.of(
                    Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                    "-XX:TieredStopAtLevel=1",
                    "-cp",
                    System.getProperty("java.class.path"),
                    Child.class.getName()))
            .start();
  }

  @AfterEach
  void killChild() {
    child.close();
    assertFalse(child.isAlive());
  }

  @Test
  void answersFindTheirCallInAnyOrder() throws Exception {
    CompletableFuture<JsonNode> held = child.call("hold", Map.of("n", 1));
    CompletableFuture<JsonNode> named = child.callAs("1", "echo", List.of("näme"));
    assertEquals("näme", named.get().path("result").path(0).asText());
    assertFalse(held.isDone());
    assertEquals("released", child.result("release", null).asText());
    assertEquals(1, held.get().path("result").path("n").asInt());
    assertTrue(child.unmatched().isEmpty());
  }

  @Test
  void anErrorAnswerIsAResponseButNoResult() throws Exception {
    assertEquals(-32601, child.callNow("nonsense", null).path("error").path("code").asInt());
    AssertionError error = assertThrows(AssertionError.class, () -> child.result("nonsense", null));
    assertTrue(error.toString().contains("-32601"), error.toString());
  }

  @Test
  void progressIsKeptByTokenAndAwaited() throws Exception {
    child.notify("progress", Map.of("token", "a", "value", Map.of("receivedBytes", 1)));
    child.notify("progress", Map.of("token", 7, "value", Map.of("receivedBytes", 2)));
    child.notify("progress", Map.of("token", "a", "value", Map.of("receivedBytes", 3)));
    JsonNode value = child.awaitProgress("a", each -> each.path("receivedBytes").asInt() > 1);
    assertEquals(3, value.path("receivedBytes").asInt());
    assertEquals(2, child.progress("a").size());
    assertEquals(1, child.progress(7).size());
    assertEquals(3, child.notifications("$/progress").size());
    assertEquals(
        7,
        child
            .awaitNotification("$/progress", each -> each.path("token").isInt())
            .path("token")
            .asInt());
  }

  @Test
  void whatAnswersNoCallIsSetAside() throws Exception {
    child.sendLine("raw {\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700}}");
    child.sendLine("raw [{\"jsonrpc\":\"2.0\",\"id\":5,\"result\":1}]");
    assertEquals(
        -32700, child.awaitUnmatched(JsonNode::isObject).path("error").path("code").asInt());
    assertEquals(5, child.awaitUnmatched(JsonNode::isArray).path(0).path("id").asInt());
  }

  @Test
  void outputThatIsNoMessageIsTold() throws Exception {
    child.sendLine("raw a library says hello");
    child.sendLine("raw {\"id\":1}");
    child.result("echo", null);
    assertEquals(List.of("a library says hello", "{\"id\":1}"), child.strayOutput());
  }

  @Test
  void theEnvironmentHoldsOnlyWhatWasGiven() throws Exception {
    TreeSet<String> names = new TreeSet<>();
    child.result("environment", null).forEach(name -> names.add(name.asText()));
    names.removeAll(List.of("PATH", "Path", "SystemRoot", "TEMP"));
    assertEquals(new TreeSet<>(List.of("ANYMATIX_HOME", "GIVEN", "HOME")), names);
  }

  @Test
  void standardErrorIsKept() throws Exception {
    child.result("log", "something happened");
    child.closeStdin();
    assertEquals(0, child.awaitExit(SOON));
    assertEquals("something happened\n", child.stderr());
  }

  @Test
  void theEndOfStandardInputEndsAChildThatObeys() throws Exception {
    child.result("echo", null);
    child.closeStdin();
    assertEquals(0, child.awaitExit(SOON));
  }

  @Test
  void aKilledProcessFailsItsOpenCallsAndLaterOnes() throws Exception {
    CompletableFuture<JsonNode> held = child.call("hold", null);
    child.result("echo", null);
    child.kill9();
    assertThrows(ExecutionException.class, held::get);
    assertEquals(137, child.awaitExit(SOON));
    assertThrows(ExecutionException.class, () -> child.call("echo", null).get());
    assertThrows(AssertionError.class, () -> child.awaitProgress("never", value -> true));
  }

  @Test
  void aTerminatedProcessRunsItsShutdownHooks() throws Exception {
    child.result("hook", null);
    child.terminate();
    assertEquals(143, child.awaitExit(SOON));
    assertEquals("hook ran\n", child.stderr());
  }

  @Test
  void aProcessThatGoesOnIsNotWaitedForWithoutEnd() throws Exception {
    assertThrows(AssertionError.class, () -> child.awaitExit(Duration.ofMillis(1)));
  }

  @Test
  void withoutAJarItSaysWhatToDo() {
    IOException error =
        assertThrows(
            IOException.class,
            () -> SidecarProcess.launch(home).jar(home.resolve("none.jar")).start());
    assertTrue(error.toString().endsWith("none.jar; run mvn package first"), error.toString());
  }

  /** Answers each line; what it is told to do is the method. */
  static final class Child {
    private Child() {}

    public static void main(String[] args) throws IOException {
      ObjectMapper json = new ObjectMapper();
      PrintStream out = utf8(FileDescriptor.out);
      PrintStream err = utf8(FileDescriptor.err);
      ObjectNode held = null;
      BufferedReader in =
          new BufferedReader(
              new InputStreamReader(
                  new FileInputStream(FileDescriptor.in), StandardCharsets.UTF_8));
      for (String line = in.readLine(); line != null; line = in.readLine()) {
        if (line.startsWith("raw ")) {
          out.println(line.substring(4));
          continue;
        }
        JsonNode request = json.readTree(line);
        ObjectNode response = json.createObjectNode().put("jsonrpc", "2.0");
        response.set("id", request.get("id"));
        response.set("result", request.get("params"));
        switch (request.path("method").asText()) {
          case "echo" -> {}
          case "hold" -> {
            held = response;
            continue;
          }
          case "release" -> {
            out.println(held);
            response.put("result", "released");
          }
          case "progress" -> {
            ((ObjectNode) request).put("method", "$/progress");
            out.println(request);
          }
          case "environment" -> response.set("result", json.valueToTree(System.getenv().keySet()));
          case "log" -> err.println(request.path("params").asText());
          case "hook" ->
              Runtime.getRuntime().addShutdownHook(new Thread(() -> err.println("hook ran")));
          default -> {
            response.remove("result");
            response.set("error", json.createObjectNode().put("code", -32601));
          }
        }
        if (request.has("id")) {
          out.println(response);
        }
      }
    }

    private static PrintStream utf8(FileDescriptor descriptor) {
      return new PrintStream(new FileOutputStream(descriptor), true, StandardCharsets.UTF_8);
    }
  }
}
