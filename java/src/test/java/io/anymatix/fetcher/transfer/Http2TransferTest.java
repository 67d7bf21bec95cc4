package io.anymatix.fetcher.transfer;

import static io.anymatix.fetcher.testing.Content.MIB;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.fetch.Download;
import io.anymatix.fetcher.fetch.FetchResult;
import io.anymatix.fetcher.fetch.FetchResult.Outcome;
import io.anymatix.fetcher.fetch.FetchResult.Strategy;
import io.anymatix.fetcher.fetch.Fetcher;
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.Gate;
import io.anymatix.fetcher.testing.Http2RangeServer;
import io.anymatix.fetcher.testing.Request;
import io.anymatix.fetcher.testing.TestCertificates;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Transfers over TLS: HTTP/2 where it is offered, HTTP/1.1 where it is not. */
@Timeout(60)
class Http2TransferTest {
  private static final Content CONTENT = Content.random(31, 24 * MIB + 999);
  private static final TestCertificates CERTIFICATES = TestCertificates.forHosts("huggingface.co");

  @SuppressWarnings("NullAway.Init") // set before each test
  @TempDir
  Path folder;

  @SuppressWarnings("NullAway.Init") // set before each test
  private Http2RangeServer server;

  @BeforeEach
  void start() throws InterruptedException {
    server = Http2RangeServer.start(CERTIFICATES.serverContext(), CONTENT);
  }

  @AfterEach
  void stop() {
    server.close();
  }

  private Bench bench(Duration stallTimeout) {
    return Bench.withTls(folder, stallTimeout, CERTIFICATES.caFile());
  }

  private Bench bench() {
    return bench(Duration.ofSeconds(20));
  }

  @Test
  void severalConnectionsBringTheRightBytes() throws Exception {
    try (Bench bench = bench()) {
      FetchResult result = bench.fetch(server.url("/m.bin"));
      Bench.assertHolds(CONTENT, result);
      assertEquals(Strategy.PARALLEL_H2, result.strategy());
      assertTrue(server.connections() > 1, "one connection only");
    }
  }

  @Test
  void streamsThatAreResetAtAnyByteAreContinued() throws Exception {
    long seed = 41;
    Random random = new Random(seed);
    for (int i = 2; i < 25; i++) {
      server.when(Request.nth(i), Fault.resetsAfter(1 + random.nextInt(900_000)));
    }
    try (Bench bench = bench()) {
      FetchResult result = bench.fetch(server.url("/m.bin"));
      Bench.assertHolds(CONTENT, result);
      assertTrue(result.retries() >= 10, "seed " + seed + ": " + result.retries() + " retries");
      assertLittleTwice(result);
    }
  }

  @Test
  void connectionsThatBreakInTheMiddleAreReplaced() throws Exception {
    // So early that no request has been shortened or given away before it breaks.
    for (int i = 2; i < 25; i += 3) {
      server.when(Request.nth(i), Fault.closesAfter(10_000L * i));
    }
    try (Bench bench = bench()) {
      FetchResult result = bench.fetch(server.url("/m.bin"));
      Bench.assertHolds(CONTENT, result);
      assertTrue(result.retries() >= 5, result.retries() + " retries");
      assertLittleTwice(result);
    }
  }

  @Test
  void oneFrozenStreamOfEightIsRelieved() throws Exception {
    Gate never = new Gate();
    server.when(Request.nth(5), Fault.freezesAfter(100_000, never));
    try (Bench bench = bench()) {
      long startedNanos = System.nanoTime();
      FetchResult result = bench.fetch(server.url("/m.bin"), 8, new Download());
      double seconds = (System.nanoTime() - startedNanos) / 1e9;
      Bench.assertHolds(CONTENT, result);
      assertEquals(Strategy.PARALLEL_H2, result.strategy());
      assertEquals(1, never.arrivals(), "frozen streams");
      assertTrue(seconds < 8, seconds + " s although only one stream was frozen");
    }
  }

  @Test
  void streamsThatAllFreezeAreReplacedAfterTheStallTimeout() throws Exception {
    Gate never = new Gate();
    server.when(r -> r.number() > 1 && r.number() <= 9, Fault.freezesAfter(100_000, never));
    try (Bench bench = bench(Duration.ofSeconds(1))) {
      FetchResult result = bench.fetch(server.url("/m.bin"), 8, new Download());
      Bench.assertHolds(CONTENT, result);
      assertEquals(8, never.arrivals(), "frozen streams");
      // One that froze late may have been relieved by another.
      assertTrue(result.retries() >= 7, result.retries() + " retries");
      assertLittleTwice(result);
    }
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("waysToRefuseRanges")
  void aServerThatNoLongerHonoursRangesIsReadInOneStreamThatKeepsWhatIsThere(Fault refusal)
      throws Exception {
    server.when(r -> r.number() > 2 && r.header("Range") != null, refusal);
    try (Bench bench = bench()) {
      FetchResult result = bench.fetch(server.url("/m.bin"), 1, new Download());
      Bench.assertHolds(CONTENT, result);
      assertFalse(result.startedOver());
      // What came in the one range that was honoured is read over, and no byte a third time.
      assertTrue(result.bytesTransferred() <= 2 * CONTENT.lengthBytes(), result.toString());
    }
  }

  static Stream<Fault> waysToRefuseRanges() {
    return Stream.of(
        Fault.ignoresRanges(),
        Fault.omitsContentRange(),
        Fault.unsatisfiable(CONTENT.lengthBytes()),
        Fault.sendsInsteadOfAsked(span -> span.shifted(span.first() == 0 ? 1 : -1)));
  }

  @Test
  void aServerWithoutRangesIsReadInOneStream() throws Exception {
    server.with(Fault.ignoresRanges());
    try (Bench bench = bench()) {
      FetchResult result = bench.fetch(server.url("/m.bin"));
      Bench.assertHolds(CONTENT, result);
      assertEquals(Strategy.SINGLE, result.strategy());
      assertEquals(CONTENT.lengthBytes(), result.bytesTransferred());
    }
  }

  private static void assertLittleTwice(FetchResult result) {
    assertTrue(
        result.bytesTransferred() < CONTENT.lengthBytes() + 8 * MIB,
        result.bytesTransferred() + " bytes for one file");
  }

  @Test
  void connectionsThatSayGoodbyeAreReplaced() throws Exception {
    server.goAwayAfterRequests(2);
    try (Bench bench = bench()) {
      Bench.assertHolds(CONTENT, bench.fetch(server.url("/m.bin")));
    }
  }

  @Test
  void aCancelEndsEveryStreamAtOnceAndTheRestIsFetchedLater() throws Exception {
    try (Bench bench = bench()) {
      limit(bench, MIB);
      Download download = new Download();
      CompletableFuture<FetchResult> running = bench.start(server.url("/m.bin"), download);
      server.awaitRequests(16); // the opening and fifteen more: all connections are in use
      Bench.awaitReceived(download, running, MIB / 2);
      download.cancel();
      Bench.failure(running, CancelledException.class, Duration.ofSeconds(10));
      server.awaitNoRequestInFlight();
      limit(bench, 0);
      FetchResult result = bench.fetch(server.url("/m.bin"));
      Bench.assertHolds(CONTENT, result);
      assertEquals(Outcome.RESUMED, result.outcome());
    }
  }

  @Test
  void aLimitOfOurOwnIsNotTakenForAStall() throws Exception {
    // One buffer of each connection takes more than two time-outs at this rate.
    try (Bench bench = bench(Duration.ofSeconds(2))) {
      limit(bench, 250_000);
      Download download = new Download();
      CompletableFuture<FetchResult> running = bench.start(server.url("/m.bin"), 2, download);
      Bench.awaitReceived(download, running, 2_000_000);
      limit(bench, 0);
      FetchResult result = Bench.result(running);
      Bench.assertHolds(CONTENT, result);
      assertEquals(0, result.retries());
    }
  }

  @Test
  void aTlsServerWithoutHttp2IsReadOverHttp1() throws Exception {
    try (ByteRangeServer old = ByteRangeServer.startTls(CERTIFICATES.serverContext());
        Bench bench = bench()) {
      FetchResult result = bench.fetch(old.serve("/m.bin", CONTENT).url());
      Bench.assertHolds(CONTENT, result);
      assertEquals(Strategy.PARALLEL, result.strategy());
    }
  }

  @Test
  void nodesThatTagTheSameBytesDifferentlyAreOneContentIfTheSourceStatesItsHash() throws Exception {
    try (ByteRangeServer hub = ByteRangeServer.startTls(CERTIFICATES.serverContext());
        Bench bench =
            Bench.withTls(folder, Duration.ofSeconds(20), CERTIFICATES.caFile(), hub.connectTo())) {
      hub.serve("huggingface.co", "/a/b/resolve/main/m.bin", CONTENT)
          .with(
              Fault.header("X-Linked-ETag", "\"" + CONTENT.sha256() + "\""),
              Fault.entityTag(request -> "\"node " + request.number() % 3 + "\""));
      FetchResult result = bench.fetch("https://huggingface.co/a/b/resolve/main/m.bin");
      Bench.assertHolds(CONTENT, result);
      assertEquals(Strategy.PARALLEL, result.strategy());
      assertTrue(
          result.bytesTransferred() < CONTENT.lengthBytes() + 8 * MIB,
          result.bytesTransferred() + " bytes for one file");
    }
  }

  private static void limit(Bench bench, long bytesPerSecond) {
    bench.fetcher().setOptions(new Fetcher.OptionsRequest(bytesPerSecond, null, null, null));
  }
}
