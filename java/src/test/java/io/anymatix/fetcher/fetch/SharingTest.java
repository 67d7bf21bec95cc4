package io.anymatix.fetcher.fetch;

import static io.anymatix.fetcher.testing.Content.MIB;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.Gate;
import io.anymatix.fetcher.testing.Request;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Several real transfers under one limit of bandwidth and one of connections. */
@Timeout(60)
class SharingTest {
  @SuppressWarnings("NullAway.Init") // set before each test
  @TempDir
  Path folder;

  @SuppressWarnings("NullAway.Init") // set before each test
  private Depot depot;

  @BeforeEach
  void open() throws Exception {
    depot = new Depot(folder);
  }

  @AfterEach
  void close() throws Exception {
    depot.close();
  }

  private static FetchRequest withConnections(String url, int connections) {
    return new FetchRequest(url, "vae", null, null, null, null, null, null, connections);
  }

  @Test
  void aFileWithOneConnectionGetsAboutAsMuchOfTheLimitAsOneWithSixteen() throws Exception {
    Fetcher fetcher = depot.fetcher();
    fetcher.setOptions(new Fetcher.OptionsRequest(4_000_000L, null, null, null));
    Download narrow = new Download();
    Download wide = new Download();
    List<CompletableFuture<FetchResult>> running = new ArrayList<>();
    String narrowUrl = depot.serve(1, 20 * MIB).url();
    String wideUrl = depot.serve(2, 20 * MIB).url();
    running.add(start(fetcher, withConnections(narrowUrl, 1), narrow));
    running.add(start(fetcher, withConnections(wideUrl, 16), wide));
    Depot.await(() -> received(narrow) > 0 && received(wide) > 0, "both receive");
    long narrowBefore = received(narrow);
    long wideBefore = received(wide);
    Depot.await(
        () -> received(narrow) - narrowBefore + received(wide) - wideBefore > 8_000_000,
        "8 MB were received");
    double ratio = (double) (received(wide) - wideBefore) / (received(narrow) - narrowBefore);
    // What is fair is measured elsewhere on a clock driven by hand; unfair would be 16.
    assertTrue(ratio > 0.25 && ratio < 4, "wide to narrow: " + ratio);
    fetcher.setOptions(new Fetcher.OptionsRequest(0L, null, null, null));
    for (CompletableFuture<FetchResult> each : running) {
      each.get(30, TimeUnit.SECONDS);
    }
  }

  private static CompletableFuture<FetchResult> start(
      Fetcher fetcher, FetchRequest request, Download download) {
    return CompletableFuture.supplyAsync(
        () -> fetcher.fetch(request, download), work -> new Thread(work).start());
  }

  private static long received(Download download) {
    return download.snapshot().receivedBytes();
  }

  @Test
  void allFilesTogetherStayWithinTheConnectionsOfTheProcess() throws Exception {
    Gate gate = new Gate();
    List<Batch.Item> items = new ArrayList<>();
    for (int i = 0; i < 6; i++) {
      depot.serve(i, 34 * MIB).when(Request::isForMore, Fault.waitsFor(gate));
      // A host for each, since one alone is never asked for more than 32, whoever wants it.
      String url = depot.server.url("host" + i + ".test", "/m" + i + ".safetensors");
      items.add(new Batch.Item(withConnections(url, 32), false));
    }
    Config config =
        Config.builder()
            .modelsDir(depot.models)
            .allowHttp(true)
            .allowPrivateHosts(true)
            .connectTo(List.of(depot.server.connectTo()))
            .build();
    try (Fetcher fetcher = new Fetcher(config, Map.of())) {
      Batch batch = new Batch(fetcher, items, new Batch.Options(null, false, 6, false, false));
      CompletableFuture<Batch.Result> running = CompletableFuture.supplyAsync(batch::run);
      gate.awaitArrivals(64);
      Depot.await(
          () -> batch.running().stream().filter(f -> f.progress().connections() > 0).count() == 6,
          "every file has a connection");
      // One that is given up for a file that joined is missing until that file has asked.
      Depot.await(() -> depot.server.requestsInFlight() >= 64, "all connections are in use");
      int open = depot.server.requestsInFlight();
      // The first may have taken all before the last joined, which has one all the same.
      assertTrue(open <= 64 + 5, open + " requests at a time");
      gate.open();
      assertTrue(running.get(50, TimeUnit.SECONDS).ok());
      assertEquals(6, batch.endedFiles());
    }
  }
}
