package io.anymatix.fetcher;

import static io.anymatix.fetcher.testing.Content.MIB;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.Gate;
import io.anymatix.fetcher.testing.Request;
import io.anymatix.fetcher.testing.SidecarProcess;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Batches and the queue of the jar that users get, over its pipes. */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class QueueIT {
  @SuppressWarnings("NullAway.Init") // set by JUnit
  @TempDir
  Path home;

  @SuppressWarnings("NullAway.Init") // set before each test
  private Path models;

  @BeforeEach
  void makeModelsFolder() throws IOException {
    models = Files.createDirectories(home.resolve("models")).toRealPath();
  }

  private SidecarProcess start(boolean queueEvents) throws Exception {
    SidecarProcess sidecar =
        SidecarProcess.launch(home).arguments("--allow-http", "--allow-private-hosts").start();
    sidecar.result(
        "initialize",
        Map.of("modelsDir", models.toString(), "options", Map.of("queueEvents", queueEvents)));
    return sidecar;
  }

  private static JsonNode awaitHistory(SidecarProcess sidecar, String id) throws Exception {
    for (int i = 0; i < 3000; i++) {
      for (JsonNode entry : sidecar.result("history", Map.of()).path("entries")) {
        if (entry.path("id").asText().equals(id)) {
          return entry;
        }
      }
      LockSupport.parkNanos(20_000_000);
    }
    throw new AssertionError(id + " did not end");
  }

  @Test
  void aKilledProcessesQueueGoesOnAfterTheNextInitialize() throws Exception {
    Gate gate = new Gate();
    try (ByteRangeServer server = ByteRangeServer.start()) {
      Content content = Content.safetensors(5, 32 * MIB);
      String url =
          server
              .serve("/big.safetensors", content)
              .when(Request::isForContent, Fault.freezesAfter(MIB, gate))
              .url();
      String id;
      String second;
      try (SidecarProcess killed = start(false)) {
        killed.result("setOptions", Map.of("maxParallelFiles", 1));
        id =
            killed
                .result("enqueue", Map.of("url", url, "type", "vae", "connections", 8))
                .path("id")
                .asText();
        second =
            killed
                .result(
                    "enqueue",
                    Map.of(
                        "url",
                        server.serve("/small.safetensors", Content.safetensors(6, 9999)).url(),
                        "type",
                        "vae"))
                .path("id")
                .asText();
        gate.awaitArrivals(8);
        while (killed.result("queue", Map.of()).at("/active/0/receivedBytes").asLong() < MIB) {
          LockSupport.parkNanos(10_000_000); // sent is not received
        }
        killed.kill9();
      }
      gate.open();
      try (SidecarProcess next = start(false)) {
        JsonNode entry = awaitHistory(next, id);
        assertEquals("resumed", entry.path("outcome").asText(), entry.toString());
        assertEquals(-1, content.mismatch(Path.of(entry.path("path").asText())));
        assertEquals("downloaded", awaitHistory(next, second).path("outcome").asText());
      }
    }
  }

  @Test
  void queueEventsTellOfChangesAtMostTwiceASecond() throws Exception {
    Gate gate = new Gate();
    try (ByteRangeServer server = ByteRangeServer.start();
        SidecarProcess sidecar = start(true)) {
      String url =
          server
              .serve("/a.safetensors", Content.safetensors(5, MIB))
              .when(Request::isForContent, Fault.freezesAfter(100_000, gate))
              .url();
      long startNanos = System.nanoTime();
      sidecar.awaitNotification("$/queue", params -> params.path("active").isEmpty());
      String id = sidecar.result("enqueue", Map.of("url", url, "type", "vae")).path("id").asText();
      JsonNode active =
          sidecar
              .awaitNotification(
                  "$/queue", params -> params.at("/active/0/receivedBytes").asLong() == 100_000)
              .at("/active/0");
      assertEquals(id, active.path("id").asText());
      assertEquals(url, active.path("url").asText());
      assertEquals(MIB, active.path("totalBytes").asLong());
      gate.open();
      awaitHistory(sidecar, id);
      sidecar.awaitNotification(
          "$/queue", params -> params.path("active").isEmpty() && params.path("waiting").isEmpty());
      double seconds = (System.nanoTime() - startNanos) / 1e9;
      int count = sidecar.notifications("$/queue").size();
      assertTrue(count <= 2 * seconds + 2, count + " in " + seconds + " s");
    }
  }

  @Test
  void aBatchTellsOfItsFilesAndOfAllTogether() throws Exception {
    Gate gate = new Gate();
    try (ByteRangeServer server = ByteRangeServer.start();
        SidecarProcess sidecar = start(false)) {
      List<Map<String, Object>> items =
          List.of(
              Map.of(
                  "url",
                  server
                      .serve("/a.safetensors", Content.safetensors(5, MIB))
                      .when(Request::isForContent, Fault.freezesAfter(100_000, gate))
                      .url(),
                  "type",
                  "vae"),
              Map.of("url", server.url("/missing.safetensors"), "type", "vae", "optional", true));
      var answer =
          sidecar.call(
              "fetchAll",
              Map.of(
                  "items",
                  items,
                  "marker",
                  models.resolve(".done").toString(),
                  "progressToken",
                  "all"));
      sidecar.awaitProgress(
          "all",
          value -> value.path("item").asInt(-1) == 0 && value.path("receivedBytes").asLong() > 0);
      sidecar.awaitProgress("all", value -> value.path("item").asInt(-1) == 1 && isError(value));
      sidecar.awaitProgress(
          "all", value -> !value.has("item") && value.path("receivedBytes").asLong() > 0);
      gate.open();
      JsonNode result = answer.get(60, TimeUnit.SECONDS).path("result");
      assertTrue(result.path("ok").asBoolean(), result.toString());
      assertEquals("downloaded", result.at("/results/0/outcome").asText());
      assertEquals("notFound", result.at("/results/1/error/data/kind").asText());
      assertEquals(-32000, result.at("/results/1/error/code").asInt());
      assertTrue(Files.exists(models.resolve(".done")));
      List<JsonNode> told = sidecar.progress("all");
      JsonNode last = told.get(told.size() - 1);
      assertFalse(last.has("item"), last.toString());
      assertEquals("completed", last.path("status").asText());
      assertEquals(1.0, last.path("progress").asDouble());
    }
  }

  private static boolean isError(JsonNode value) {
    return value.path("status").asText().equals("error");
  }
}
