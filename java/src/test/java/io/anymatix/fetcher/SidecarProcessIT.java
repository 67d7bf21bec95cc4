package io.anymatix.fetcher;

import static io.anymatix.fetcher.testing.Content.MIB;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.Gate;
import io.anymatix.fetcher.testing.SidecarProcess;
import io.anymatix.fetcher.testing.TestCertificates;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * The jar that users get, as a process of its own, spoken to over its pipes.
 *
 * <p>Time limits are five times what the protocol promises, since other work may hold the machine.
 */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class SidecarProcessIT {
  private static final long SEED = 20_261_121;
  private static final int CANCELLED = -32800;
  private static final Duration END_LIMIT = Duration.ofSeconds(5 * 2);
  private static final long CANCEL_LIMIT_SECONDS = 5;
  private static final long UNLIMITED_BYTES_PER_SECOND = 8 * Content.GIB;

  @SuppressWarnings("NullAway.Init") // set by JUnit
  @TempDir
  Path home;

  @SuppressWarnings("NullAway.Init") // set before each test
  private Path models;

  @BeforeEach
  void makeModelsFolder() throws IOException {
    models = Files.createDirectories(home.resolve("models"));
  }

  @Test
  void aLargeFileArrivesOverHttp() throws Exception {
    try (ByteRangeServer server = ByteRangeServer.start();
        SidecarProcess sidecar = start("--allow-http", "--allow-private-hosts")) {
      Content content = Content.safetensors(SEED, 256 * MIB);
      arrives(sidecar, server, server.serve("/big.safetensors", content).url(), content);
    }
  }

  @Test
  void aLargeFileArrivesOverTlsUnderAMadeUpName() throws Exception {
    TestCertificates certificates = TestCertificates.forHosts("models.example.org");
    try (ByteRangeServer server = ByteRangeServer.startTls(certificates.serverContext());
        SidecarProcess sidecar =
            start(
                "--connect-to",
                server.connectTo(),
                "--ca-file",
                certificates.caFile().toString())) {
      Content content = Content.safetensors(SEED, 256 * MIB);
      server.serve("models.example.org", "/big.safetensors", content);
      arrives(sidecar, server, "https://models.example.org/big.safetensors", content);
      assertEquals("models.example.org", server.requests().get(0).serverName());
      assertEquals("models.example.org", server.requests().get(0).header("Host"));
    }
  }

  private void arrives(SidecarProcess sidecar, ByteRangeServer server, String url, Content content)
      throws Exception {
    long startNanos = System.nanoTime();
    CompletableFuture<JsonNode> response =
        sidecar.call("fetch", Map.of("url", url, "type", "checkpoint", "progressToken", "bar"));
    // Runs on the thread that reads the output, before it reads the next line.
    CompletableFuture<Integer> eventsAtResponse =
        response.thenApply(answer -> sidecar.progress("bar").size());
    JsonNode answer = response.get(100, TimeUnit.SECONDS);
    long elapsedMillis = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - startNanos);
    JsonNode result = answer.path("result");

    String urlHash = Sha256.ofUtf8(url).hex();
    String storedName = "big_" + urlHash + ".safetensors";
    Path file = models.resolve("checkpoints").resolve(storedName);
    Path sidecarFile = models.resolve("checkpoints").resolve(urlHash + ".json");
    assertEquals(file.toString(), result.path("path").asText(), answer.toString());
    assertEquals(storedName, result.path("fileName").asText());
    assertEquals(storedName, result.path("relativeName").asText());
    assertEquals(content.lengthBytes(), result.path("fileSize").asLong());
    assertTrue(
        // The tail of a slow range may be asked for twice.
        result.path("bytesTransferred").asLong() >= content.lengthBytes(), result.toString());
    assertEquals(0, result.path("bytesReused").asLong());
    assertEquals("downloaded", result.path("outcome").asText());
    assertEquals("parallel", result.path("strategy").asText());
    assertEquals("sha256-computed", result.path("verification").asText());
    assertEquals(content.sha256(), result.path("sha256").asText());
    assertEquals(urlHash, result.path("urlHash").asText());
    assertEquals(sidecarFile.toString(), result.path("sidecarPath").asText());
    assertEquals(-1, content.mismatch(file), "first byte that differs");
    assertEquals(
        """
        {
            "url": "%s",
            "file_name": "%s",
            "file_size": %d,
            "remote_sha256": null,
            "name": "big.safetensors",
            "sha256": "%s",
            "verification": "sha256",
            "verified_size": %3$d
        }\
        """
            .formatted(url, storedName, content.lengthBytes(), content.sha256()),
        Files.readString(sidecarFile));
    assertEquals(Set.of(storedName, urlHash + ".json"), Set.copyOf(filesBelow(models)));

    assertEquals("\"pong\"", sidecar.result("ping", null).toString());
    List<JsonNode> events = sidecar.progress("bar");
    assertEquals(eventsAtResponse.join(), events.size(), "events after the response");
    assertTrue(
        events.size() <= elapsedMillis / 100 + 2,
        () -> events.size() + " events in " + elapsedMillis + " ms");
    JsonNode last = events.get(events.size() - 1);
    assertEquals("completed", last.path("status").asText(), last.toString());
    assertEquals(1.0, last.path("progress").asDouble(), last.toString());
    assertEquals(content.lengthBytes(), last.path("receivedBytes").asLong(), last.toString());
    assertTrue(
        events.stream()
            .anyMatch(e -> e.path("phase").asText().equals("fetching") && e.has("connections")),
        events::toString);

    int requests = server.requests().size();
    JsonNode again = fetch(sidecar, url);
    assertEquals("present", again.path("outcome").asText());
    assertEquals(0, again.path("bytesTransferred").asLong());
    assertEquals(content.sha256(), again.path("sha256").asText());
    assertEquals(requests, server.requests().size(), "requests for a present file");
    assertEquals(
        urlHash,
        sidecar
            .result("isChanged", Map.of("url", url, "type", "checkpoint"))
            .path("fingerprint")
            .asText());
    endsClean(sidecar);
  }

  @Test
  void aCancelledFetchAnswersAtOnceAndIsContinuedLater() throws Exception {
    try (ByteRangeServer server = ByteRangeServer.start();
        SidecarProcess sidecar = start("--allow-http", "--allow-private-hosts")) {
      Content content = Content.safetensors(SEED, 64 * MIB);
      String url = server.serve("/m.safetensors", content).url();
      CompletableFuture<JsonNode> response = beginSlowly(sidecar, server, url, "the id");
      sidecar.notify("$/cancelRequest", Map.of("id", "the id"));
      JsonNode answer = response.get(CANCEL_LIMIT_SECONDS, TimeUnit.SECONDS);
      assertEquals(CANCELLED, answer.path("error").path("code").asInt(), answer.toString());
      server.awaitNoRequestInFlight();
      assertIncomplete();

      server.limitRate(UNLIMITED_BYTES_PER_SECOND);
      assertResumes(fetch(sidecar, url), content);
      endsClean(sidecar);
    }
  }

  @Test
  void aPingIsAnsweredWhileSixteenFetchesHang() throws Exception {
    try (ByteRangeServer server = ByteRangeServer.start();
        SidecarProcess sidecar = start("--allow-http", "--allow-private-hosts")) {
      Gate gate = new Gate();
      List<CompletableFuture<JsonNode>> hanging = new ArrayList<>();
      for (int i = 0; i < 16; i++) {
        String url =
            server
                .serve("/m" + i + ".safetensors", Content.safetensors(SEED + i, 4096))
                .with(Fault.waitsFor(gate))
                .url();
        hanging.add(sidecar.call("fetch", Map.of("url", url, "type", "lora")));
      }
      gate.awaitArrivals(16);
      JsonNode pong = sidecar.call("ping", null).get(CANCEL_LIMIT_SECONDS, TimeUnit.SECONDS);
      assertEquals("pong", pong.path("result").asText());
      assertEquals(16, sidecar.result("status", null).path("active").asInt());
      assertTrue(hanging.stream().noneMatch(CompletableFuture::isDone));
      gate.open();
      for (CompletableFuture<JsonNode> each : hanging) {
        JsonNode answer = each.get(60, TimeUnit.SECONDS);
        assertEquals("downloaded", answer.path("result").path("outcome").asText(), "" + answer);
      }
      endsClean(sidecar);
    }
  }

  /** A way to end the process, and what its exit code must be. */
  enum End {
    END_OF_STDIN {
      @Override
      void of(SidecarProcess sidecar) throws IOException {
        sidecar.closeStdin();
      }
    },
    SHUTDOWN {
      @Override
      void of(SidecarProcess sidecar) throws IOException {
        sidecar.notify("shutdown", null);
      }
    },
    SIGTERM {
      @Override
      void of(SidecarProcess sidecar) {
        sidecar.terminate();
      }
    };

    abstract void of(SidecarProcess sidecar) throws IOException;
  }

  @ParameterizedTest
  @EnumSource
  @DisabledOnOs(value = OS.WINDOWS, disabledReason = "a Windows process can not be asked to end")
  void anOrderlyEndInTheMiddleLeavesTheDownloadResumable(End end) throws Exception {
    try (ByteRangeServer server = ByteRangeServer.start()) {
      Content content = Content.safetensors(SEED, 64 * MIB);
      String url = server.serve("/m.safetensors", content).url();
      try (SidecarProcess sidecar = start("--allow-http", "--allow-private-hosts")) {
        var unused = beginSlowly(sidecar, server, url, 7);
        end.of(sidecar);
        assertEquals(0, sidecar.awaitExit(END_LIMIT), sidecar::stderr);
        assertEquals(List.of(), sidecar.strayOutput());
      }
      resumesWithSixteenConnections(server, url, content);
    }
  }

  @Test
  void aKilledProcessLeavesTheDownloadResumable() throws Exception {
    try (ByteRangeServer server = ByteRangeServer.start()) {
      Content content = Content.safetensors(SEED, 128 * MIB);
      String url = server.serve("/m.safetensors", content).url();
      server.limitRate(8 * MIB);
      try (SidecarProcess sidecar = start("--allow-http", "--allow-private-hosts")) {
        var unused = sidecar.call("fetch", checkpointWithProgress(url));
        // Seven seconds at that rate: longer than the journal lags behind.
        sidecar.awaitProgress("bar", e -> e.path("receivedBytes").asLong() > 56 * MIB);
        server.awaitConcurrentRequests(16);
        sidecar.kill9();
        sidecar.awaitExit(END_LIMIT);
      }
      resumesWithSixteenConnections(server, url, content);
    }
  }

  @Test
  @DisabledOnOs(value = OS.WINDOWS, disabledReason = "needs a POSIX shell")
  void theProcessEndsWithItsParentInTheMiddleAlthoughSomebodyHoldsThePipe() throws Exception {
    try (ByteRangeServer server = ByteRangeServer.start()) {
      Content content = Content.safetensors(SEED, 64 * MIB);
      String url = server.serve("/m.safetensors", content).url();
      server.limitRate(8 * MIB);
      // The shell is the parent; this JVM holds the other end of the pipe and never closes it.
      Process parent =
          new ProcessBuilder(
                  "sh",
                  "-c",
                  "exec 3<&0; \"$@\" <&3 & wait",
                  "sh",
                  Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                  "-Duser.home=" + home,
                  "-jar",
                  Path.of("target", "anymatix-fetcher.jar").toAbsolutePath().toString(),
                  "serve",
                  "--models-dir",
                  models.toString(),
                  "--allow-http",
                  "--allow-private-hosts")
              .redirectError(ProcessBuilder.Redirect.DISCARD)
              .start();
      List<ProcessHandle> children = List.of();
      try {
        String request =
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"fetch\","
                + "\"params\":{\"url\":\"%s\",\"type\":\"checkpoint\",\"connections\":16}}\n"
                    .formatted(url);
        parent.getOutputStream().write(request.getBytes(StandardCharsets.UTF_8));
        parent.getOutputStream().flush();
        server.awaitBytesSent(8 * MIB);
        server.awaitConcurrentRequests(16);
        children = parent.descendants().toList();
        assertEquals(1, children.size(), "processes below the shell");
        ProcessHandle child = children.get(0);
        parent.toHandle().destroyForcibly();
        assertNotNull(child.onExit().get(END_LIMIT.toSeconds(), TimeUnit.SECONDS));
        assertFalse(child.isAlive());
      } finally {
        children.forEach(ProcessHandle::destroyForcibly);
        parent.destroyForcibly();
      }
      resumesWithSixteenConnections(server, url, content);
    }
  }

  /** What a process that ended in the middle has left is whole enough to be continued. */
  private void resumesWithSixteenConnections(ByteRangeServer server, String url, Content content)
      throws Exception {
    server.awaitNoConnections();
    assertEquals(16, server.maxConcurrentRequests(), "connections of the process that ended");
    assertIncomplete();
    server.limitRate(UNLIMITED_BYTES_PER_SECOND);
    try (SidecarProcess sidecar = start("--allow-http", "--allow-private-hosts")) {
      assertResumes(fetch(sidecar, url), content);
    }
  }

  @Test
  void aNameBeyondAsciiIsStoredInAUtf8Locale() throws Exception {
    try (ByteRangeServer server = ByteRangeServer.start();
        SidecarProcess sidecar =
            SidecarProcess.launch(home)
                .environment("LC_ALL", "C.UTF-8")
                .arguments("--models-dir", models.toString())
                .arguments("--allow-http", "--allow-private-hosts")
                .start()) {
      Content content = Content.safetensors(SEED, 4096);
      String url =
          server
              .serve("/download", content)
              .with(
                  Fault.header(
                      "Content-Disposition",
                      "attachment; filename=\"modèle-模型.safetensors\""
                          .getBytes(StandardCharsets.UTF_8)))
              .url();
      JsonNode result = fetch(sidecar, url);
      Path file = Path.of(result.path("path").asText());
      assertEquals(
          "modèle-模型_" + Sha256.ofUtf8(url).hex() + ".safetensors", file.getFileName().toString());
      assertEquals(-1, content.mismatch(file));
      assertTrue(
          Files.readString(Path.of(result.path("sidecarPath").asText()))
              .contains("\"name\": \"mod\\u00e8le-\\u6a21\\u578b.safetensors\""));
      assertEquals("present", fetch(sidecar, url).path("outcome").asText());
      endsClean(sidecar);
    }
  }

  @Test
  @EnabledOnOs(value = OS.LINUX, disabledReason = "elsewhere file names are Unicode in any locale")
  void aNameThatTheLocaleCanNotFormIsToldAsAFileError() throws Exception {
    try (ByteRangeServer server = ByteRangeServer.start();
        SidecarProcess sidecar =
            SidecarProcess.launch(home)
                .environment("LC_ALL", "C")
                .arguments("--models-dir", models.toString())
                .arguments("--allow-http", "--allow-private-hosts")
                .start()) {
      String url =
          server
              .serve("/download", Content.safetensors(SEED, 4096))
              .with(
                  Fault.header("Content-Disposition", "attachment; filename*=UTF-8''%E6%A8%A1.bin"))
              .url();
      JsonNode answer = sidecar.callNow("fetch", Map.of("url", url, "type", "checkpoint"));
      JsonNode error = answer.path("error");
      assertEquals("storage", error.path("data").path("kind").asText(), answer.toString());
      assertTrue(error.path("data").path("hint").asText().contains("UTF-8"), answer.toString());
      assertEquals(List.of(), filesBelow(models));
      endsClean(sidecar);
    }
  }

  private SidecarProcess start(String... arguments) throws IOException {
    return SidecarProcess.launch(home)
        .arguments("--models-dir", models.toString())
        .arguments(arguments)
        .start();
  }

  /** By sixteen connections, however many would pay at the rate that the test sets. */
  private static Map<String, Object> checkpointWithProgress(String url) {
    return Map.of("url", url, "type", "checkpoint", "progressToken", "bar", "connections", 16);
  }

  /** A download at a rate that leaves time to disturb it, after its first bytes. */
  private static CompletableFuture<JsonNode> beginSlowly(
      SidecarProcess sidecar, ByteRangeServer server, String url, Object id)
      throws InterruptedException {
    server.limitRate(8 * MIB);
    CompletableFuture<JsonNode> response = sidecar.callAs(id, "fetch", checkpointWithProgress(url));
    sidecar.awaitProgress("bar", e -> e.path("receivedBytes").asLong() > 8 * MIB);
    server.awaitConcurrentRequests(16);
    return response;
  }

  private static JsonNode fetch(SidecarProcess sidecar, String url) throws InterruptedException {
    return sidecar.result("fetch", Map.of("url", url, "type", "checkpoint"));
  }

  private void assertIncomplete() throws IOException {
    List<String> files = filesBelow(models);
    assertTrue(files.stream().anyMatch(name -> name.endsWith(".part")), files::toString);
    assertTrue(
        files.stream().noneMatch(n -> n.endsWith(".safetensors") || n.endsWith(".json")),
        files::toString);
  }

  private void assertResumes(JsonNode result, Content content) throws IOException {
    assertEquals("resumed", result.path("outcome").asText(), result.toString());
    assertTrue(result.path("bytesReused").asLong() > 0, result.toString());
    assertTrue(result.path("bytesTransferred").asLong() < content.lengthBytes(), result.toString());
    assertTrue(
        result.path("bytesReused").asLong() + result.path("bytesTransferred").asLong()
            >= content.lengthBytes(),
        result.toString());
    assertEquals(content.sha256(), result.path("sha256").asText());
    assertEquals(-1, content.mismatch(Path.of(result.path("path").asText())));
    assertEquals(2, filesBelow(models).size(), "the model and its sidecar file");
  }

  private static void endsClean(SidecarProcess sidecar) throws Exception {
    sidecar.closeStdin();
    assertEquals(0, sidecar.awaitExit(END_LIMIT), sidecar::stderr);
    assertEquals(List.of(), sidecar.strayOutput());
    assertEquals(List.of(), sidecar.unmatched());
  }

  private static List<String> filesBelow(Path folder) throws IOException {
    try (Stream<Path> paths = Files.walk(folder)) {
      return paths.filter(Files::isRegularFile).map(p -> p.getFileName().toString()).toList();
    }
  }
}
