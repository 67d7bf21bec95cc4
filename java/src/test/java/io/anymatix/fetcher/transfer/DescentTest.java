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
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.Gate;
import io.anymatix.fetcher.testing.Request;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** From ranges down to one stream and up again, without losing or mixing a byte. */
@Timeout(60)
class DescentTest {
  private static final Content CONTENT = Content.random(41, 24 * MIB + 321);
  private static final Content OTHER = Content.random(42, 24 * MIB + 321);

  @SuppressWarnings("NullAway.Init") // set before each test
  @TempDir
  Path folder;

  private final ByteRangeServer server = ByteRangeServer.start();
  private final Gate never = new Gate();

  @SuppressWarnings("NullAway.Init") // set before each test
  private Bench bench;

  @BeforeEach
  void start() {
    bench = Bench.on(folder, Duration.ofSeconds(20));
  }

  @AfterEach
  void stop() {
    bench.close();
    server.close();
  }

  @Test
  void aColdFileStreamsAtOnceAndGoesOnInRangesFromWhereItWas() throws Exception {
    String url =
        server
            .serve("/m.bin", CONTENT)
            .when(Request.first(2), Fault.ignoresRanges(), Fault.freezesAfter(10 * MIB, never))
            .url();
    FetchResult result = bench.fetch(url);
    Bench.assertHolds(CONTENT, result);
    assertEquals(Strategy.PARALLEL, result.strategy());
    assertTwiceBelow(10 * MIB, CONTENT.lengthBytes(), result);
  }

  @Test
  void aServerThatForgetsItsRangesIsAskedAgainAfterEachBreak() throws Exception {
    String url =
        server
            .serve("/m.bin", CONTENT)
            .when(Request.from(2), Fault.ignoresRanges())
            .when(Request.nth(3), Fault.closesAfter(9 * MIB))
            .url();
    FetchResult result = bench.fetch(url, 1, new Download());
    Bench.assertHolds(CONTENT, result);
    assertEquals(Strategy.SINGLE, result.strategy());
    assertFalse(result.startedOver());
    assertEquals("bytes=0-0", server.requests().get(3).header("Range"), "after the break");
  }

  @Test
  void bytesThatCameInRangesSurviveAServerThatForgetsThem() throws Exception {
    // Request 2 brings the first segment of a lone connection; then no range is honoured until the
    // stream has broken.
    String url =
        server
            .serve("/m.bin", CONTENT)
            .when(r -> r.number() == 3 || r.number() == 4, Fault.ignoresRanges())
            .when(Request.nth(4), Fault.closesAfter(MIB))
            .url();
    FetchResult result = bench.fetch(url, 1, new Download());
    Bench.assertHolds(CONTENT, result);
    assertFalse(result.startedOver());
    assertTrue(
        result.bytesTransferred() <= CONTENT.lengthBytes() + MIB,
        "only what the stream brought before its break came twice");
  }

  @Test
  void wrongRangesEndInOneStreamAtOnce() throws Exception {
    String url =
        server
            .serve("/m.bin", CONTENT)
            .when(
                Request.from(2),
                Fault.sendsInsteadOfAsked(span -> span.shifted(span.first() == 0 ? 1 : -1)))
            .url();
    FetchResult result = bench.fetch(url);
    Bench.assertHolds(CONTENT, result);
    // The first piece had come with the answer that described the file.
    assertEquals(CONTENT.lengthBytes() + MIB, result.bytesTransferred());
  }

  @Test
  void aStreamOfOtherContentIsNoticedByWhatIsOnTheDisk() throws Exception {
    // No validator, no hash, the same length: only the bytes themselves tell.
    String url =
        server
            .serve("/m.bin", CONTENT)
            .when(Request.from(3), Fault.serves(OTHER), Fault.ignoresRanges())
            .with(Fault.omits("ETag"), Fault.omits("Last-Modified"))
            .url();
    FetchResult result = bench.fetch(url, 1, new Download());
    Bench.assertHolds(OTHER, result);
    assertTrue(result.startedOver());
  }

  @Test
  void aPrefixWithoutNotesIsContinuedOnlyIfItsLastBlockIsTheServers() throws Exception {
    String url = server.serve("/m.bin", CONTENT).url();
    OTHER.writeTo(bench.part(url, "m", ".bin"), 7 * MIB);
    FetchResult result = bench.fetch(url);
    Bench.assertHolds(CONTENT, result);
    assertEquals(Outcome.DOWNLOADED, result.outcome());
    assertTrue(result.startedOver());
  }

  @Test
  void aColdAnswerToAResumeKeepsWhatIsThere() throws Exception {
    String url =
        server
            .serve("/m.bin", CONTENT)
            .when(Request.first(2), Fault.ignoresRanges(), Fault.freezesAfter(2 * MIB, never))
            .url();
    CONTENT.writeTo(bench.part(url, "m", ".bin"), 7 * MIB);
    FetchResult result = bench.fetch(url);
    Bench.assertHolds(CONTENT, result);
    assertEquals(Outcome.RESUMED, result.outcome());
    assertEquals(7 * MIB, result.bytesReused());
    assertTwiceBelow(7 * MIB, CONTENT.lengthBytes() - 7 * MIB, result);
  }

  /** Relief at the end fetches some bytes twice; a descent that loses bytes fetches more. */
  private static void assertTwiceBelow(long bytes, long neededBytes, FetchResult result) {
    long twice = result.bytesTransferred() - neededBytes;
    assertTrue(twice >= 0 && twice < bytes, twice + " bytes came twice");
  }

  @Test
  void aCancelEndsAStreamThatWaitsForRanges() throws Exception {
    String url =
        server
            .serve("/m.bin", CONTENT)
            .with(Fault.ignoresRanges(), Fault.freezesAfter(3 * MIB, never))
            .url();
    Download download = new Download();
    CompletableFuture<FetchResult> running = bench.start(url, download);
    never.awaitArrivals(1);
    download.cancel();
    Bench.failure(running, CancelledException.class, Duration.ofSeconds(5));
    server.awaitNoConnections();
  }
}
