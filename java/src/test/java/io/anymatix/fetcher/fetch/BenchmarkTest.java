package io.anymatix.fetcher.fetch;

import static io.anymatix.fetcher.testing.Content.MIB;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.failure.InvalidParamsException;
import io.anymatix.fetcher.fetch.FetchResult.Strategy;
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.Http2RangeServer;
import io.anymatix.fetcher.testing.TestCertificates;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Measuring a url, with the transfers that users get. */
@Timeout(60)
class BenchmarkTest {
  @SuppressWarnings("NullAway.Init") // set by JUnit
  @TempDir
  Path models;

  @SuppressWarnings("NullAway.Init") // set before each test
  private ByteRangeServer server;

  @BeforeEach
  void start() {
    server = ByteRangeServer.start();
  }

  @AfterEach
  void end() throws IOException {
    server.close();
    try (var files = Files.list(models)) {
      assertEquals(List.of(), files.toList(), "a benchmark leaves no file");
    }
  }

  @Test
  void aServerThatLimitsEachConnectionIsMeasuredAsSuch() {
    server.limitRatePerConnection(4 * MIB);
    String url = server.serve("/m.bin", Content.random(1, 64 * MIB)).url();
    try (Fetcher fetcher = new Fetcher(config().build())) {
      List<BenchmarkResult.Run> heard = new ArrayList<>();
      BenchmarkResult result = fetcher.benchmark(url, List.of(8), 1.0, new Download(), heard::add);
      assertEquals(
          List.of(Strategy.SINGLE, Strategy.PARALLEL),
          result.runs().stream().map(r -> r.strategy()).toList());
      assertEquals(List.of(1, 8), result.runs().stream().map(r -> r.connections()).toList());
      assertEquals(8, heard.get(0).connections(), "the most come first");
      // The server may not have seen yet that those of the run before have left.
      int most = server.maxConcurrentRequests();
      assertTrue(most >= 8 && most <= 16, most + " requests at a time");
      BenchmarkResult.Run one = result.runs().get(0);
      assertTrue(one.bytes() > MIB && one.bytes() < 8 * MIB, "in a second: " + one);
      assertTrue(one.elapsedMillis() >= 900 && one.elapsedMillis() < 10_000, "" + one);
      assertEquals(one.bytes() / 1e3 / one.elapsedMillis(), one.megabytesPerSecond(), 0.1);
      assertTrue(result.speedup() != null && result.speedup() > 1.5, "" + result);
    }
  }

  @Test
  void aShortFileIsMeasuredOnceToItsEnd() {
    String url = server.serve("/m.bin", Content.random(2, MIB)).url();
    try (Fetcher fetcher = new Fetcher(config().build())) {
      BenchmarkResult result = fetcher.benchmark(url, null, null, new Download(), run -> {});
      assertEquals(1, result.runs().size());
      assertEquals(MIB, result.runs().get(0).bytes());
      assertNull(result.speedup());
    }
  }

  @Test
  void aServerWithoutRangesIsMeasuredInOneStream() {
    String url =
        server.serve("/m.bin", Content.random(3, 8 * MIB)).with(Fault.ignoresRanges()).url();
    try (Fetcher fetcher = new Fetcher(config().build())) {
      BenchmarkResult result = fetcher.benchmark(url, null, 5.0, new Download(), run -> {});
      assertEquals(
          List.of(Strategy.SINGLE), result.runs().stream().map(r -> r.strategy()).toList());
    }
  }

  @Test
  void http2IsMeasuredWhereItIsOffered() throws Exception {
    TestCertificates certificates = TestCertificates.forHosts("models.test");
    try (Http2RangeServer h2 =
            Http2RangeServer.start(certificates.serverContext(), Content.random(4, 8 * MIB));
        Fetcher fetcher =
            new Fetcher(config().certificates(List.of(certificates.caFile())).build())) {
      BenchmarkResult result =
          fetcher.benchmark(h2.url("/m.bin"), List.of(1, 4), 20.0, new Download(), run -> {});
      assertEquals(
          List.of(Strategy.SINGLE, Strategy.PARALLEL_H2),
          result.runs().stream().map(r -> r.strategy()).toList(),
          "this server speaks HTTP/2 alone");
      assertTrue(result.runs().stream().allMatch(r -> r.httpVersion().equals("HTTP/2")));
    }
  }

  @Test
  void theBandwidthLimitHolds() {
    String url = server.serve("/m.bin", Content.random(5, 64 * MIB)).url();
    try (Fetcher fetcher = new Fetcher(config().maxBytesPerSecond(2 * MIB).build())) {
      BenchmarkResult result = fetcher.benchmark(url, List.of(4), 1.0, new Download(), run -> {});
      for (BenchmarkResult.Run run : result.runs()) {
        assertTrue(run.bytes() <= 4 * MIB * run.elapsedMillis() / 1000, "" + run);
      }
    }
  }

  @Test
  void aCancelEndsItAtOnce() throws Exception {
    server.limitRatePerConnection(MIB / 8);
    String url = server.serve("/m.bin", Content.random(6, 64 * MIB)).url();
    try (Fetcher fetcher = new Fetcher(config().build())) {
      Download download = new Download();
      CompletableFuture<BenchmarkResult> running =
          CompletableFuture.supplyAsync(
              () -> fetcher.benchmark(url, null, 60.0, download, run -> {}));
      server.awaitBytesSent(MIB);
      download.cancel();
      ExecutionException end =
          assertThrows(ExecutionException.class, () -> running.get(20, TimeUnit.SECONDS));
      assertTrue(end.getCause() instanceof CancelledException, "" + end.getCause());
      server.awaitNoConnections();
    }
  }

  @Test
  void theOwnersRulesHold() {
    String url = server.serve("/m.bin", Content.random(7, MIB)).url();
    assertEquals(FailureKind.POLICY, failure(Config.builder().build(), url));
    assertEquals(FailureKind.OFFLINE, failure(config().offline(true).build(), url));
    assertEquals(FailureKind.NOT_FOUND, failure(config().build(), server.url("/none")));
    assertEquals(1, server.requests().size());
  }

  @Test
  void numbersOutOfRangeAreRefused() {
    try (Fetcher fetcher = new Fetcher(config().build())) {
      for (Double seconds : List.of(0.0, -1.0, 601.0, Double.NaN)) {
        assertThrows(InvalidParamsException.class, () -> measure(fetcher, null, seconds));
      }
      for (int connections : List.of(0, -1, 65)) {
        assertThrows(
            InvalidParamsException.class, () -> measure(fetcher, List.of(connections), 1.0));
      }
    }
    assertEquals(0, server.requests().size());
  }

  private BenchmarkResult measure(
      Fetcher fetcher, @Nullable List<Integer> connections, @Nullable Double seconds) {
    return fetcher.benchmark(server.url("/m"), connections, seconds, new Download(), run -> {});
  }

  private static FailureKind failure(Config config, String url) {
    try (Fetcher fetcher = new Fetcher(config)) {
      return assertThrows(
              FetchException.class,
              () -> fetcher.benchmark(url, null, 1.0, new Download(), run -> {}))
          .kind();
    }
  }

  private Config.Builder config() {
    return Config.builder().modelsDir(models).allowHttp(true).allowPrivateHosts(true);
  }
}
