package io.anymatix.fetcher.transfer;

import static io.anymatix.fetcher.testing.Content.MIB;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.failure.InvalidParamsException;
import io.anymatix.fetcher.fetch.Download;
import io.anymatix.fetcher.fetch.FetchRequest;
import io.anymatix.fetcher.fetch.FetchResult;
import io.anymatix.fetcher.fetch.FetchResult.MirrorShare;
import io.anymatix.fetcher.fetch.FetchResult.Verification;
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.Gate;
import io.anymatix.fetcher.testing.Reply;
import io.anymatix.fetcher.testing.Request;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** One file from several hosts at once: never mixed up, and never worse than from one. */
@Timeout(60)
class MirrorsTest {
  private static final Content CONTENT = Content.random(81, 24 * MIB + 321);
  private static final Content OTHER = Content.random(82, CONTENT.lengthBytes());
  private static final String TAG = "\"the same\"";

  @SuppressWarnings("NullAway.Init") // set before each test
  @TempDir
  Path folder;

  @SuppressWarnings("NullAway.Init") // set before each test
  private ByteRangeServer first;

  @SuppressWarnings("NullAway.Init") // set before each test
  private ByteRangeServer second;

  @SuppressWarnings("NullAway.Init") // set before each test
  private ByteRangeServer third;

  @SuppressWarnings("NullAway.Init") // set before each test
  private Bench bench;

  @BeforeEach
  void start() {
    first = ByteRangeServer.start();
    second = ByteRangeServer.start();
    third = ByteRangeServer.start();
    bench = Bench.on(folder, Duration.ofSeconds(20));
  }

  @AfterEach
  void stop() {
    bench.close();
    first.close();
    second.close();
    third.close();
  }

  private static ByteRangeServer.Resource slowly(ByteRangeServer server, Content content) {
    server.limitRate(8 * MIB);
    return server.serve("/m.bin", content);
  }

  private FetchResult fetch(String sha256, String... mirrors) {
    return bench.fetchMirrored(first.url("/m.bin"), sha256, List.of(mirrors), new Download());
  }

  private FetchResult fetchUnproven(String... mirrors) {
    return bench.fetchMirrored(first.url("/m.bin"), null, List.of(mirrors), new Download());
  }

  private static MirrorShare share(FetchResult result, int index) {
    return result.mirrors().get(index);
  }

  @Test
  void severalHostsBringOneFileHeldTogetherByItsHash() throws Exception {
    slowly(first, CONTENT);
    String two = slowly(second, CONTENT).url();
    String three = slowly(third, CONTENT).url();
    FetchResult result = fetch(CONTENT.sha256(), two, three);
    Bench.assertHolds(CONTENT, result);
    assertEquals(Verification.SHA256_CALLER, result.verification());
    assertEquals(3, result.mirrors().size());
    for (MirrorShare share : result.mirrors()) {
      assertEquals("127.0.0.1", share.host());
      assertTrue(share.bytes() > 2 * MIB, result.mirrors().toString());
      assertNull(share.dropped());
    }
    // Eight of the sixteen are its share; some that were given up may count a little longer.
    assertTrue(second.maxConcurrentRequests() <= 12, second.maxConcurrentRequests() + " at a time");
  }

  /** A server bears 32 connections from us, also where it serves one file itself. */
  @Test
  void aMirrorsConnectionsCountWithThoseOfItsOwnSite() throws Exception {
    Gate gate = new Gate();
    Content own = Content.random(83, 40 * MIB);
    second.serve("/own.bin", own).when(Request::isForMore, Fault.waitsFor(gate));
    CompletableFuture<FetchResult> other =
        CompletableFuture.supplyAsync(
            () -> bench.fetch(second.url("/own.bin"), 28, new Download()));
    gate.awaitArrivals(28);
    slowly(first, CONTENT);
    String mirror =
        second.serve("/m.bin", CONTENT).when(Request::isForMore, Fault.waitsFor(gate)).url();
    CompletableFuture<FetchResult> mirrored =
        CompletableFuture.supplyAsync(
            () ->
                bench.fetchMirrored(
                    first.url("/m.bin"), CONTENT.sha256(), List.of(mirror), 32, new Download()));
    gate.awaitArrivals(32);
    first.awaitBytesSent(8 * MIB);
    assertEquals(32, second.maxConcurrentRequests(), "at a time");
    gate.open();
    Bench.assertHolds(CONTENT, Bench.result(mirrored));
    Bench.assertHolds(own, Bench.result(other));
  }

  @Test
  void withoutAHashAnEqualStrongTagHoldsThemTogether() throws Exception {
    slowly(first, CONTENT).entityTag(TAG);
    String two = slowly(second, CONTENT).entityTag(TAG).url();
    FetchResult result = fetchUnproven(two);
    Bench.assertHolds(CONTENT, result);
    assertTrue(share(result, 1).bytes() > 2 * MIB, result.mirrors().toString());
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "\"another\"", "W/\"the same\""})
  void withoutAHashAnotherTagIsNoMirror(String tag) throws Exception {
    slowly(first, CONTENT).entityTag(TAG);
    ByteRangeServer.Resource mirror = slowly(second, OTHER);
    if (!tag.isEmpty()) {
      mirror.entityTag(tag);
    }
    FetchResult result = fetchUnproven(mirror.url());
    Bench.assertHolds(CONTENT, result);
    assertEquals(0, share(result, 1).bytes());
    assertTrue(String.valueOf(share(result, 1).dropped()).contains("no hash is known"));
    assertEquals(1, second.requests().size(), "only asked what it has");
  }

  @Test
  void aMirrorOfAnotherLengthIsNamedAndNotUsed() throws Exception {
    slowly(first, CONTENT);
    String two = second.serve("/m.bin", Content.random(83, 7 * MIB)).url();
    FetchResult result = fetch(CONTENT.sha256(), two);
    Bench.assertHolds(CONTENT, result);
    String dropped = String.valueOf(share(result, 1).dropped());
    assertTrue(dropped.contains(7 * MIB + " bytes"), dropped);
  }

  @Test
  void aMirrorThatIsNotThereCostsNothing() throws Exception {
    slowly(first, CONTENT);
    FetchResult result =
        fetch(CONTENT.sha256(), second.url("/missing.bin"), "ftp://old.example/m.bin", "no url");
    Bench.assertHolds(CONTENT, result);
    assertTrue(String.valueOf(share(result, 1).dropped()).contains("404"));
    assertEquals(4, result.mirrors().size());
  }

  @Test
  void aMirrorOfOtherBytesIsFoundOutAndTheFileIsFetchedFromTheSourceAlone() throws Exception {
    slowly(first, CONTENT);
    String two = slowly(second, OTHER).url();
    FetchResult result = fetch(CONTENT.sha256(), two);
    Bench.assertHolds(CONTENT, result);
    assertTrue(result.startedOver());
    assertEquals(0, share(result, 1).bytes());
    assertNotNull(share(result, 1).dropped());
    assertEquals(CONTENT.lengthBytes(), share(result, 0).bytes());
  }

  @Test
  void aMirrorThatSaysMidwayThatItsContentHasChangedIsDropped() throws Exception {
    slowly(first, CONTENT);
    String two =
        slowly(second, CONTENT)
            .entityTag("\"before\"")
            .when(Request.from(5), Fault.serves(OTHER), Fault.entityTag("\"after\""))
            .url();
    FetchResult result = fetch(CONTENT.sha256(), two);
    Bench.assertHolds(CONTENT, result);
    assertFalse(result.startedOver());
    assertTrue(String.valueOf(share(result, 1).dropped()).contains("other content"));
  }

  @Test
  void aMirrorThatFailsForGoodIsDroppedAndTheOthersGoOn() throws Exception {
    slowly(first, CONTENT);
    String two =
        slowly(second, CONTENT).when(Request.from(4), Fault.replies(Reply.status(410))).url();
    FetchResult result = fetch(CONTENT.sha256(), two);
    Bench.assertHolds(CONTENT, result);
    assertTrue(String.valueOf(share(result, 1).dropped()).contains("410"));
  }

  @Test
  void aMirrorFarSlowerThanTheOthersIsDropped() throws Exception {
    Content large = Content.random(84, 40 * MIB);
    first.limitRate(6 * MIB);
    first.serve("/m.bin", large);
    second.limitRatePerConnection(10_000);
    String two = second.serve("/m.bin", large).url();
    FetchResult result = fetch(large.sha256(), two);
    Bench.assertHolds(large, result);
    String dropped = String.valueOf(share(result, 1).dropped());
    assertTrue(dropped.contains("slower"), dropped);
  }

  @Test
  void aMirrorThatFreezesIsGotAround() throws Exception {
    Gate never = new Gate();
    first.limitRate(8 * MIB);
    first.serve("/m.bin", CONTENT);
    String two =
        second
            .serve("/m.bin", CONTENT)
            .when(Request.from(2), Fault.freezesAfter(1000, never))
            .url();
    long startedNanos = System.nanoTime();
    Bench.assertHolds(CONTENT, fetch(CONTENT.sha256(), two));
    double seconds = (System.nanoTime() - startedNanos) / 1e9;
    assertTrue(seconds < 15, seconds + " s although only the mirror was frozen");
  }

  @ParameterizedTest
  @ValueSource(ints = {404, 403, 500})
  void mirrorsGoOnWithoutASourceThatFailsMidway(int status) throws Exception {
    slowly(first, CONTENT).when(Request.from(6), Fault.replies(Reply.status(status)));
    String two = slowly(second, CONTENT).url();
    FetchResult result = fetch(CONTENT.sha256(), two);
    Bench.assertHolds(CONTENT, result);
    assertTrue(share(result, 1).bytes() > 8 * MIB, result.mirrors().toString());
  }

  @Test
  void aMirrorStandsInForASourceThatIsNotThere() throws Exception {
    String two = second.serve("/elsewhere.bin", CONTENT).url();
    FetchResult result = fetchUnproven(two);
    Bench.assertHolds(CONTENT, result);
    assertTrue(result.fileName().startsWith("m_"), result.fileName());
    assertTrue(share(result, 0).bytes() >= CONTENT.lengthBytes(), result.mirrors().toString());
    assertTrue(String.valueOf(share(result, 1).dropped()).contains("404"));
  }

  @Test
  void aSourceInOneStreamThatFailsIsReplacedAndItsBytesAreKept() throws Exception {
    first.limitRate(8 * MIB);
    first
        .serve("/m.bin", CONTENT)
        .with(Fault.ignoresRanges())
        .when(Request.nth(2), Fault.closesAfter(5 * MIB))
        .when(Request.from(3), Fault.replies(Reply.status(410)));
    String two = second.serve("/m.bin", CONTENT).url();
    FetchResult result = fetch(CONTENT.sha256(), two);
    Bench.assertHolds(CONTENT, result);
    assertTrue(share(result, 0).bytes() >= 4 * MIB, result.mirrors().toString());
    assertTrue(share(result, 1).bytes() >= 8 * MIB, result.mirrors().toString());
    assertTrue(
        result.bytesTransferred() < CONTENT.lengthBytes() + 4 * MIB,
        result.bytesTransferred() + " bytes for one file");
  }

  @Test
  void whenAllFailTheSourcesFailureIsToldAndTheMirrorsAreNamed() throws Exception {
    // Late enough for what was asked for before to have brought something.
    Fault late = Fault.pauses(Duration.ofMillis(500));
    slowly(first, CONTENT).when(Request.from(4), late, Fault.replies(Reply.status(410)));
    String two =
        slowly(second, CONTENT).when(Request.from(4), late, Fault.replies(Reply.status(404))).url();
    FetchException failure =
        bench.mirroredFailure(first.url("/m.bin"), CONTENT.sha256(), List.of(two));
    assertEquals(FailureKind.GONE, failure.kind());
    String message = String.valueOf(failure.getMessage());
    assertTrue(message.contains("410") && message.contains("404"), message);
    assertEquals(1, assertInstanceOf(List.class, failure.facts().get("mirrors")).size());
    assertTrue(Files.size(bench.part(first.url("/m.bin"), "m", ".bin")) > 0, "nothing was kept");
  }

  @Test
  void whenNoneIsThereTheSourcesFailureIsToldAndTheMirrorsAreNamed() {
    FetchException failure =
        bench.mirroredFailure(
            first.url("/m.bin"),
            CONTENT.sha256(),
            List.of(second.url("/x?token=hidden-token"), "http://127.0.0.1:1/closed"));
    assertEquals(FailureKind.NOT_FOUND, failure.kind());
    assertEquals(2, assertInstanceOf(List.class, failure.facts().get("mirrors")).size());
    assertFalse(failure.toString().contains("hidden-token"), failure.toString());
  }

  @Test
  void aFullDiskIsNoReasonToTryAnotherHost() {
    // Nothing is that large; the refusal comes before the first byte.
    Content huge = Content.pattern(1, 1L << 55);
    String two = second.serve("/m.bin", huge).url();
    first.serve("/m.bin", huge);
    FetchException failure =
        bench.mirroredFailure(first.url("/m.bin"), CONTENT.sha256(), List.of(two));
    assertEquals(FailureKind.DISK_FULL, failure.kind());
    assertFalse(failure.facts().containsKey("mirrors"));
  }

  @Test
  void aCancelEndsTheConnectionsToAllHostsAtOnce() throws Exception {
    Gate never = new Gate();
    Gate mirror = new Gate();
    Gate asked = new Gate();
    first.serve("/m.bin", CONTENT).when(Request.from(2), Fault.freezesAfter(100_000, never));
    String two =
        second
            .serve("/m.bin", CONTENT)
            .when(Request.from(2), Fault.freezesAfter(100_000, mirror))
            .url();
    String three = third.serve("/m.bin", CONTENT).with(Fault.waitsFor(asked)).url();
    Download download = new Download();
    CompletableFuture<FetchResult> running =
        CompletableFuture.supplyAsync(
            () ->
                bench.fetchMirrored(
                    first.url("/m.bin"), CONTENT.sha256(), List.of(two, three), download));
    // The first host may have to give half of its connections away before all have frozen.
    never.awaitArrivals(8);
    mirror.awaitArrivals(8);
    asked.awaitArrivals(1);
    download.cancel();
    Bench.failure(running, CancelledException.class, Duration.ofSeconds(10));
    for (ByteRangeServer server : List.of(first, second, third)) {
      server.awaitNoConnections();
    }
  }

  @Test
  void theCallersQueryTailGoesWithTheCallersOwnLinkAlone() throws Exception {
    first.limitRate(8 * MIB);
    first.serve("/m.bin", CONTENT);
    String two = slowly(second, CONTENT).url();
    bench
        .fetcher()
        .fetch(
            new FetchRequest(
                first.url("/m.bin"),
                null,
                folder.toString(),
                "token=of-the-source",
                CONTENT.sha256(),
                null,
                List.of(two),
                null,
                null),
            new Download());
    assertTrue(
        first.requests().stream().allMatch(r -> r.target().equals("/m.bin?token=of-the-source")));
    assertTrue(second.requests().size() > 1);
    assertTrue(second.requests().stream().allMatch(r -> r.target().equals("/m.bin")));
  }

  @Test
  void tooManyOrEmptyMirrorsAreAMistakeOfTheCaller() {
    String url = first.url("/m.bin");
    for (List<String> mirrors : List.of(Collections.nCopies(17, url), List.of(" "))) {
      assertThrows(
          InvalidParamsException.class,
          () -> bench.fetchMirrored(url, null, mirrors, new Download()));
    }
  }

  @Test
  void nothingButTheFileIsLeftBehind() throws Exception {
    slowly(first, CONTENT);
    fetch(CONTENT.sha256(), slowly(second, CONTENT).url());
    try (Stream<Path> files = Files.list(folder)) {
      assertEquals(2, files.count(), "the model and its sidecar file");
    }
  }
}
