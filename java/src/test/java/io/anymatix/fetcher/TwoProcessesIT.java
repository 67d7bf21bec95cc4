package io.anymatix.fetcher;

import static io.anymatix.fetcher.testing.Content.MIB;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.Gate;
import io.anymatix.fetcher.testing.Request;
import io.anymatix.fetcher.testing.SidecarProcess;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Two real processes that want the same file in the same folder. */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class TwoProcessesIT {
  private static final long SEED = 20_261_121;
  private static final int ROUNDS = 20;
  private static final ObjectMapper JSON = new ObjectMapper();

  @SuppressWarnings("NullAway.Init") // set by JUnit
  @TempDir
  Path home;

  @SuppressWarnings("NullAway.Init") // set before each test
  private Path models;

  @SuppressWarnings("NullAway.Init") // set before each test
  private Path folder;

  @SuppressWarnings("NullAway.Init") // set before each test
  private ByteRangeServer server;

  @BeforeEach
  void startServer() throws IOException {
    models = home.resolve("models");
    folder = Files.createDirectories(models.resolve("checkpoints"));
    server = ByteRangeServer.start();
  }

  @AfterEach
  void stopServer() {
    server.close();
  }

  @Test
  void bothGetTheRightFileTwentyTimesAndNeverATornSidecarFile() throws Exception {
    Random random = new Random(SEED);
    server.limitRate(24 * MIB);
    try (SidecarProcess first = start();
        SidecarProcess second = start()) {
      first.result("ping", null);
      second.result("ping", null);
      for (int round = 0; round < ROUNDS; round++) {
        String at = "seed " + SEED + ", round " + round;
        Content content = Content.safetensors(SEED + round, (1 + random.nextInt(8)) * MIB + round);
        String url = server.serve("/m" + round + ".safetensors", content).url();
        long sentBefore = server.bytesSent();
        boolean firstComesFirst = random.nextBoolean();
        CompletableFuture<JsonNode> one = fetch(firstComesFirst ? first : second, url, "t" + round);
        if (random.nextInt(4) > 0) {
          LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(random.nextInt(200)));
        }
        CompletableFuture<JsonNode> other =
            fetch(firstComesFirst ? second : first, url, "t" + round);
        watchUntilDone(at, url, content, CompletableFuture.allOf(one, other));
        for (JsonNode answer : List.of(one.join(), other.join())) {
          JsonNode result = answer.path("result");
          assertEquals(content.sha256(), result.path("sha256").asText(), () -> at + ": " + answer);
          assertEquals(-1, content.mismatch(Path.of(result.path("path").asText())), at);
        }
        assertEquals(2 * (round + 1), names().size(), () -> at + ": " + namesQuietly());
        long sent = server.bytesSent() - sentBefore;
        assertTrue(sent < 2 * content.lengthBytes(), at + ": " + sent + " bytes were sent");
      }
    }
  }

  /** Reads what has a final name again and again, as another program might. */
  private void watchUntilDone(String at, String url, Content content, CompletableFuture<?> both)
      throws IOException {
    String urlHash = Sha256.ofUtf8(url).hex();
    Path sidecarFile = folder.resolve(urlHash + ".json");
    boolean done;
    do {
      done = both.isDone();
      if (Files.exists(sidecarFile)) {
        JsonNode read = JSON.readTree(Files.readAllBytes(sidecarFile));
        assertEquals(content.sha256(), read.path("sha256").asText(), () -> at + ": " + read);
        Path model = folder.resolve(read.path("file_name").asText());
        assertEquals(content.lengthBytes(), Files.size(model), at);
      }
      LockSupport.parkNanos(1_000_000);
    } while (!done);
    assertTrue(Files.exists(sidecarFile), at);
  }

  @Test
  void theSecondSaysThatItWaitsAndTakesWhatTheFirstHasBrought() throws Exception {
    Gate gate = new Gate();
    Content content = Content.safetensors(SEED, 8 * MIB);
    String url =
        server
            .serve("/m.safetensors", content)
            .when(Request.from(2), Fault.freezesAfter(100_000, gate))
            .url();
    try (SidecarProcess first = start();
        SidecarProcess second = start()) {
      CompletableFuture<JsonNode> working = fetch(first, url, "t");
      gate.awaitArrivals(1);
      CompletableFuture<JsonNode> waiting = fetch(second, url, "t");
      JsonNode wait =
          second.awaitProgress("t", value -> value.path("phase").asText().equals("waiting"));
      assertEquals(
          "Another process is downloading this file.", wait.path("reason").asText(), "" + wait);
      assertTrue(wait.path("until").asLong() > System.currentTimeMillis(), wait.toString());
      assertTrue(!working.isDone() && !waiting.isDone());
      gate.open();
      assertEquals("downloaded", result(working).path("outcome").asText());
      JsonNode taken = result(waiting);
      assertEquals("present", taken.path("outcome").asText(), taken.toString());
      assertEquals(0, taken.path("bytesTransferred").asLong(), taken.toString());
      assertEquals(-1, content.mismatch(Path.of(taken.path("path").asText())));
      assertEquals(2, names().size(), () -> "" + namesQuietly());
    }
  }

  @Test
  void theSecondGoesOnWhereTheFirstWasKilled() throws Exception {
    Content content = Content.safetensors(SEED, 24 * MIB);
    Gate gate = new Gate();
    String url =
        server
            .serve("/m.safetensors", content)
            .when(Request::isForMore, Fault.freezesAfter(900_000, gate))
            .url();
    try (SidecarProcess first = start();
        SidecarProcess second = start()) {
      var unused =
          first.call(
              "fetch",
              Map.of("url", url, "type", "checkpoint", "progressToken", "t", "connections", 8));
      first.awaitProgress("t", value -> value.path("receivedBytes").asLong() > 4 * MIB);
      CompletableFuture<JsonNode> waiting = fetch(second, url, "t");
      second.awaitProgress("t", value -> value.path("phase").asText().equals("waiting"));
      first.kill9();
      first.awaitExit(Duration.ofSeconds(10));
      gate.open();
      JsonNode result = result(waiting);
      assertEquals("resumed", result.path("outcome").asText(), result.toString());
      assertTrue(result.path("bytesReused").asLong() > 4 * MIB, result.toString());
      assertEquals(content.sha256(), result.path("sha256").asText());
      assertEquals(-1, content.mismatch(Path.of(result.path("path").asText())));
      assertEquals(2, names().size(), () -> "" + namesQuietly());
    }
  }

  private SidecarProcess start() throws IOException {
    return SidecarProcess.launch(home)
        .arguments("--models-dir", models.toString())
        .arguments("--allow-http", "--allow-private-hosts")
        .start();
  }

  private static CompletableFuture<JsonNode> fetch(
      SidecarProcess process, String url, String token) {
    return process.call("fetch", Map.of("url", url, "type", "checkpoint", "progressToken", token));
  }

  private static JsonNode result(CompletableFuture<JsonNode> answer) throws Exception {
    return answer.get(60, TimeUnit.SECONDS).path("result");
  }

  private List<String> names() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(file -> file.getFileName().toString()).toList();
    }
  }

  private List<String> namesQuietly() {
    try {
      return names();
    } catch (IOException e) {
      return List.of(e.toString());
    }
  }
}
