package io.anymatix.fetcher.transfer;

import static io.anymatix.fetcher.testing.Content.MIB;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.fetch.Download;
import io.anymatix.fetcher.fetch.FetchResult;
import io.anymatix.fetcher.fetch.FetchResult.Strategy;
import io.anymatix.fetcher.fetch.Progress;
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.ByteRangeServer.Resource;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.Gate;
import io.anymatix.fetcher.testing.Reply;
import io.anymatix.fetcher.testing.Request;
import io.anymatix.fetcher.testing.SignedLinks;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Objects;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Whatever a server does over HTTP/1.1: the right bytes, or an error that says what happened.
 *
 * <p>The scripts are run by other kinds of downloads as well: a subclass says how a content is
 * served, and which link leads to it.
 */
@Timeout(60)
class FaultyServerTest {
  private static final Content LARGE = Content.random(1, 24 * MIB + 12345);
  private static final Content SMALL = Content.random(2, 3 * MIB + 77);
  private static final Duration PATIENT = Duration.ofSeconds(20);

  @SuppressWarnings("NullAway.Init") // set before each test
  @TempDir
  Path folder;

  @SuppressWarnings("NullAway.Init") // set before each test
  ByteRangeServer server;

  @SuppressWarnings("NullAway.Init") // set before each test
  Bench bench;

  @BeforeEach
  void start() {
    server = ByteRangeServer.start();
    bench = bench(PATIENT);
  }

  /** A fetcher that finds what is served. */
  Bench bench(Duration stallTimeout) {
    return Bench.on(folder, stallTimeout);
  }

  /** Serves a content; the resource gets the requests for its bytes. */
  Resource serve(Content content) {
    return server.serve("/m.bin", content);
  }

  /** Serves a content behind signed addresses; returns the address that gives them out. */
  String serveSigned(SignedLinks links, Content content, Consumer<Resource> script) {
    server.serve("/api.bin", Content.text("")).with(links.redirect(307, server.url("/blob")));
    script.accept(server.serve("/blob", content).with(links.demand(Reply.status(403))));
    return server.url("/api.bin");
  }

  /** What is stored where a content is served. */
  Content stored(Content content) {
    return content;
  }

  /** Fetches what is served at an address. */
  FetchResult fetch(String address, @Nullable Integer connections, Download download) {
    return bench.fetch(address, connections, download);
  }

  private FetchResult fetch(String address) {
    return fetch(address, null, new Download());
  }

  private CompletableFuture<FetchResult> start(String address, Download download) {
    return CompletableFuture.supplyAsync(() -> fetch(address, null, download));
  }

  /** Fetches a content that becomes another one while it is fetched. */
  void assertFetchesAnew(Content after, String address) throws Exception {
    Bench.assertHolds(after, bench.fetch(address, null, new Download()));
  }

  /** Fetches from a server that says things that do not fit together. */
  void assertHoldsNoWrongByte(Content content, String address) throws Exception {
    Bench.assertHolds(content, fetch(address));
  }

  void assertMostAtOnce(int connections) {
    assertEquals(connections, server.maxConcurrentRequests());
  }

  /** Connections for one file, unless the caller wants others. */
  int mostConnections() {
    return Config.DEFAULT_CONNECTIONS;
  }

  /** Whether an entity tag tells one content from another. */
  boolean tagsCount() {
    return true;
  }

  void awaitNoConnections() throws InterruptedException {
    server.awaitNoConnections();
  }

  @AfterEach
  void stop() {
    bench.close();
    server.close();
  }

  @Test
  void severalConnectionsReceiveAtOnce() throws Exception {
    Gate gate = new Gate();
    String url = serve(LARGE).when(Request.from(2), Fault.waitsFor(gate)).url();
    CompletableFuture<FetchResult> running = start(url, new Download());
    gate.awaitArrivals(mostConnections());
    // Later a server may not have seen yet that one was given up for another.
    assertMostAtOnce(mostConnections());
    gate.open();
    FetchResult result = Bench.result(running);
    Bench.assertHolds(LARGE, result);
    assertEquals(Strategy.PARALLEL, result.strategy());
  }

  @Test
  void aFileBelowFiveMebibytesTakesOneConnection() throws Exception {
    Content content = Content.random(3, 5 * MIB - 1);
    FetchResult result = fetch(serve(content).url());
    Bench.assertHolds(content, result);
    assertEquals(Strategy.SINGLE, result.strategy());
    assertMostAtOnce(1);
  }

  @Test
  void aLimitOnConnectionsIsFoundAndKept() throws Exception {
    server.limitRatePerConnection(8 * MIB);
    String url =
        serve(LARGE).when(Request.aboveInFlight(4), Fault.replies(Reply.status(503))).url();
    Bench.assertHolds(LARGE, fetch(url));
    long refused = server.requests().stream().filter(r -> r.responseStatus() == 503).count();
    assertTrue(refused > 0 && refused <= 40, refused + " requests were refused");
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("waysToAskForAWait")
  void aWaitThatTheServerAsksForIsKeptAndShown(String way, Reply refusal, Duration atLeast)
      throws Exception {
    String url = serve(SMALL).when(Request.nth(2), Fault.replies(refusal)).url();
    Download download = new Download();
    long startedNanos = System.nanoTime();
    CompletableFuture<FetchResult> running = start(url, download);
    Progress shown = download.snapshot();
    while (shown.phase() != Progress.Phase.WAITING && !running.isDone()) {
      LockSupport.parkNanos(1_000_000);
      shown = download.snapshot();
    }
    assertEquals(Progress.Phase.WAITING, shown.phase());
    String reason = String.valueOf(shown.reason());
    assertTrue(reason.contains(String.valueOf(refusal.status())), reason);
    Bench.assertHolds(SMALL, Bench.result(running));
    assertTrue(System.nanoTime() - startedNanos >= atLeast.toNanos(), "it did not wait");
  }

  static Stream<Arguments> waysToAskForAWait() {
    Duration wait = Duration.ofSeconds(2);
    return Stream.of(
        Arguments.of("429, seconds", Reply.status(429).retryAfter(wait), wait),
        Arguments.of("503, seconds", Reply.status(503).retryAfter(wait), wait),
        Arguments.of(
            "429, RateLimit",
            Reply.status(429).header("RateLimit", "\"resolvers\";r=0;t=2"),
            wait));
  }

  @Test
  void aWaitUntilADateEndsAtThatDate() throws Exception {
    AtomicReference<@Nullable Instant> until = new AtomicReference<>();
    String url =
        serve(SMALL)
            .when(
                Request.nth(2),
                Fault.replies(
                    request -> {
                      Instant date = Instant.now().truncatedTo(ChronoUnit.SECONDS).plusSeconds(3);
                      until.set(date);
                      return Reply.status(503).retryAfter(date);
                    }))
            .url();
    Bench.assertHolds(SMALL, fetch(url));
    assertFalse(Instant.now().isBefore(Objects.requireNonNull(until.get())), "it did not wait");
  }

  @Test
  void aServerWithoutRangesIsReadInOneStream() throws Exception {
    FetchResult result = fetch(serve(LARGE).with(Fault.ignoresRanges()).url());
    Bench.assertHolds(LARGE, result);
    assertEquals(Strategy.SINGLE, result.strategy());
  }

  @Test
  void aColdFileThatIgnoresItsFirstRangesIsAskedAgain() throws Exception {
    String url =
        serve(LARGE).when(r -> r.number() > 1 && r.number() <= 17, Fault.ignoresRanges()).url();
    FetchResult result = fetch(url);
    Bench.assertHolds(LARGE, result);
    assertEquals(Strategy.PARALLEL, result.strategy());
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("oddAnswers")
  void anOddAnswerNeverPutsAWrongByteIntoTheFile(Fault fault, int count) throws Exception {
    String url =
        serve(LARGE)
            .entityTag("\"one\"")
            .when(r -> r.number() > 1 && r.number() <= 1 + count, fault)
            .url();
    assertHoldsNoWrongByte(LARGE, url);
  }

  static Stream<Arguments> oddAnswers() {
    return Stream.of(
        Arguments.of(Fault.sendsInsteadOfAsked(span -> span.shifted(1)), 3),
        Arguments.of(Fault.sendsInsteadOfAsked(span -> new Fault.Span(0, span.last())), 3),
        Arguments.of(
            Fault.contentRange((a, s, total) -> "bytes " + a.first() + "-" + a.last() + "/9"), 3),
        Arguments.of(
            Fault.contentRange(
                (a, s, total) -> "bytes " + a.first() + "-" + a.last() + "/" + (total + 1)),
            3),
        Arguments.of(Fault.contentRange((a, s, total) -> "nonsense"), 3),
        Arguments.of(Fault.omitsContentRange(), 1000),
        Arguments.of(Fault.hidesCompleteLength(), 1000),
        Arguments.of(Fault.multipart(), 3),
        Arguments.of(Fault.unsatisfiable(LARGE.lengthBytes()), 3),
        Arguments.of(Fault.gzipped(), 3),
        Arguments.of(Fault.chunked(), 1000),
        Arguments.of(Fault.closeDelimited(), 1000),
        Arguments.of(Fault.bodyLongerBy(1000), 1000),
        Arguments.of(Fault.bodyLongerBy(-1000), 10),
        Arguments.of(Fault.contentLengthOffBy(1000), 1000),
        Arguments.of(Fault.contentLengthOffBy(-1000), 10),
        Arguments.of(Fault.announcesClose(), 1000),
        Arguments.of(Fault.closesSilently(), 1000),
        Arguments.of(Fault.resetsAtOnce(), 5),
        Arguments.of(Fault.closesAtOnce(), 5));
  }

  @ParameterizedTest
  @ValueSource(longs = {11, 12, 13})
  void resetsAtAnyByteCostOnlyTime(long seed) throws Exception {
    Random random = new Random(seed);
    Resource resource = serve(LARGE);
    for (int i = 2; i < 40; i++) {
      long at = random.nextInt(1_000_000);
      resource.when(
          Request.nth(i), random.nextBoolean() ? Fault.resetsAfter(at) : Fault.closesAfter(at));
    }
    FetchResult result = fetch(resource.url());
    Bench.assertHolds(LARGE, result);
    assertTrue(result.retries() >= 20, "seed " + seed + ": " + result.retries() + " retries");
    assertTrue(
        result.bytesTransferred() < LARGE.lengthBytes() + 8 * MIB,
        "seed " + seed + ": " + result.bytesTransferred() + " bytes for one file");
  }

  @Test
  void aServerThatCutsEveryAnswerIsGotThroughQuickly() throws Exception {
    // No piece ends there: after a whole answer the connection would be kept, and is dead.
    String url = serve(LARGE).with(Fault.closesAfter(3 * MIB / 8)).url();
    long startedNanos = System.nanoTime();
    Bench.assertHolds(LARGE, fetch(url, 2, new Download()));
    double seconds = (System.nanoTime() - startedNanos) / 1e9;
    assertTrue(seconds < 9, seconds + " s for some fifty cuts");
  }

  @Test
  void oneFrozenConnectionOfEightIsRelieved() throws Exception {
    Gate never = new Gate();
    String url = serve(LARGE).when(Request.nth(5), Fault.freezesAfter(100_000, never)).url();
    long startedNanos = System.nanoTime();
    FetchResult result = fetch(url, 8, new Download());
    double seconds = (System.nanoTime() - startedNanos) / 1e9;
    Bench.assertHolds(LARGE, result);
    assertTrue(never.arrivals() > 0, "no connection was frozen");
    assertTrue(seconds < 8, seconds + " s although only one connection was frozen");
  }

  @Test
  void aSlowConnectionIsLeftLittleToDo() throws Exception {
    server.limitRatePerConnection(8 * MIB);
    String url = serve(LARGE).when(Request.nth(5), Fault.limitsRate(100_000)).url();
    Bench.assertHolds(LARGE, fetch(url, 8, new Download()));
    Request slow =
        server.requests().stream().filter(r -> r.number() == 5).findFirst().orElseThrow();
    assertTrue(slow.responseBodyBytes() < MIB, slow.responseBodyBytes() + " bytes came slowly");
  }

  @Test
  void aServerIsAskedWithGetAndForIdentityAlone() throws Exception {
    fetch(serve(LARGE).url());
    assertTrue(server.requests().stream().noneMatch(Request.withMethod("HEAD")));
    assertTrue(
        server.requests().stream().allMatch(r -> "identity".equals(r.header("Accept-Encoding"))));
  }

  @Test
  void anExpiredLinkIsResolvedOnceForAllConnections() throws Exception {
    SignedLinks links = SignedLinks.validUntilRevoked();
    server.limitRate(12 * MIB);
    String url = serveSigned(links, LARGE, blob -> {});
    CompletableFuture<FetchResult> running = start(url, new Download());
    server.awaitBytesSent(10 * MIB);
    links.revokeAll();
    FetchResult result = Bench.result(running);
    Bench.assertHolds(LARGE, result);
    assertEquals(2, links.issued());
    assertTrue(
        result.bytesTransferred() < LARGE.lengthBytes() + 8 * MIB,
        result.bytesTransferred() + " bytes for one file");
  }

  @Test
  void linksThatEndAgainAndAgainAreRenewedAsLongAsBytesCome() throws Exception {
    SignedLinks links = SignedLinks.validForRequests(2);
    String url = serveSigned(links, LARGE, blob -> blob.with(Fault.closesAfter(MIB)));
    Bench.assertHolds(LARGE, fetch(url, 1, new Download()));
    assertTrue(links.issued() > 12, links.issued() + " links");
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void aFileOfUnknownLengthArrivesInOneStream(boolean chunked) throws Exception {
    String url =
        serve(SMALL)
            .with(Fault.ignoresRanges(), chunked ? Fault.chunked() : Fault.closeDelimited())
            .url();
    Bench.assertHolds(SMALL, fetch(url));
  }

  @Test
  void aStreamThatBreaksIsReadAgainFromItsStart() throws Exception {
    String url =
        serve(SMALL)
            .with(Fault.ignoresRanges(), Fault.chunked())
            .when(Request.nth(2), Fault.resetsAfter(MIB))
            .url();
    Bench.assertHolds(SMALL, fetch(url));
  }

  @Test
  void contentThatChangesMidwayIsFetchedAnew() throws Exception {
    Content after = Content.random(5, 20 * MIB);
    String url =
        serve(LARGE)
            .entityTag("\"before\"")
            .when(Request.from(8), Fault.serves(stored(after)), Fault.entityTag("\"after\""))
            .url();
    assertFetchesAnew(after, url);
  }

  @Test
  void contentOfTheSameLengthThatChangesMidwayIsNotMixed() throws Exception {
    Content after = Content.random(6, LARGE.lengthBytes());
    String url =
        serve(LARGE)
            .entityTag("\"before\"")
            .when(Request.from(8), Fault.serves(stored(after)), Fault.entityTag("\"after\""))
            .url();
    assertFetchesAnew(after, url);
  }

  @Test
  void aLinkThatIsRenewedToOtherContentIsNotMixed() throws Exception {
    Content after = Content.random(7, LARGE.lengthBytes());
    SignedLinks links = SignedLinks.validForRequests(4);
    String url =
        serveSigned(
            links,
            LARGE,
            blob ->
                blob.entityTag("\"before\"")
                    .when(
                        r -> !r.target().endsWith("=1"),
                        Fault.serves(stored(after)),
                        Fault.entityTag("\"after\"")));
    assertFetchesAnew(after, url);
  }

  @Test
  void contentThatChangesAllTheTimeIsTakenInOneStream() throws Exception {
    String url =
        serve(LARGE).with(Fault.entityTag(request -> "\"" + request.number() + "\"")).url();
    FetchResult result = fetch(url);
    Bench.assertHolds(LARGE, result);
    assertEquals(tagsCount() ? Strategy.SINGLE : Strategy.PARALLEL, result.strategy());
  }

  @Test
  void aCancelEndsEveryConnectionAtOnce() throws Exception {
    Gate never = new Gate();
    String url =
        serve(LARGE)
            .when(r -> r.number() > 1 && r.number() % 2 == 0, Fault.freezesAfter(200_000, never))
            .when(r -> r.number() > 1 && r.number() % 2 == 1, Fault.waitsFor(never))
            .url();
    Download download = new Download();
    CompletableFuture<FetchResult> running = start(url, download);
    never.awaitArrivals(mostConnections());
    download.cancel();
    Bench.failure(running, CancelledException.class, Duration.ofSeconds(10));
    awaitNoConnections();
  }
}
