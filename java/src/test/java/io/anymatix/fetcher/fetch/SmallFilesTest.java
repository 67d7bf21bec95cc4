package io.anymatix.fetcher.fetch;

import static io.anymatix.fetcher.testing.Content.KIB;
import static io.anymatix.fetcher.testing.Content.MIB;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.fetch.FetchResult.Outcome;
import io.anymatix.fetcher.fetch.FetchResult.Strategy;
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.Gate;
import io.anymatix.fetcher.testing.Reply;
import io.anymatix.fetcher.testing.Request;
import io.anymatix.fetcher.testing.TestCertificates;
import io.anymatix.fetcher.transfer.Bench;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordingFile;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What a short file costs: requests, connections, forced writes, memory. */
@Timeout(60)
class SmallFilesTest {
  private static final Content BODY = Depot.content(0, Depot.SMALL);

  @SuppressWarnings("NullAway.Init") // set before each test
  @TempDir
  Path folder;

  @SuppressWarnings("NullAway.Init") // set before each test
  private Depot depot;

  @SuppressWarnings("NullAway.Init") // set before each test
  private Fetcher fetcher;

  @BeforeEach
  void open() throws IOException {
    depot = new Depot(folder);
    fetcher = depot.fetcher();
  }

  @AfterEach
  void close() {
    depot.close();
  }

  private FetchResult fetch(String url) {
    return fetcher.fetch(Depot.vae(url), new Download());
  }

  private Batch.Result batch(@Nullable Integer maxParallelFiles, List<String> urls) {
    return run(maxParallelFiles, urls.stream().map(Depot::item).toList());
  }

  private Batch.Result run(@Nullable Integer maxParallelFiles, List<Batch.Item> items) {
    Batch.Options options = new Batch.Options(null, false, maxParallelFiles, false, false);
    return new Batch(fetcher, items, options, Duration.ofSeconds(20)).run();
  }

  /** The same with no more patience than a user's batch has. */
  private Batch.Result usersBatch(List<String> urls) {
    Batch.Options options = new Batch.Options(null, false, null, false, false);
    return new Batch(fetcher, urls.stream().map(Depot::item).toList(), options).run();
  }

  private List<String> serveMany(int count, long lengthBytes) {
    return IntStream.range(0, count).mapToObj(i -> depot.serve(i, lengthBytes).url()).toList();
  }

  private static void assertHold(Batch.Result result, long lengthBytes) throws IOException {
    for (int i = 0; i < result.files().size(); i++) {
      Batch.Ending ending = result.files().get(i);
      FetchResult file = ending.result();
      assertNotNull(file, () -> String.valueOf(ending.failure()));
      Bench.assertHolds(Depot.content(i, lengthBytes), file);
    }
  }

  private List<String> namesInFolder() throws IOException {
    try (var files = Files.list(depot.vaeFolder())) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }

  // Requests.

  @Test
  void oneRequestBringsASmallFile() throws Exception {
    FetchResult result = fetch(depot.serve(0).url());
    Bench.assertHolds(BODY, result);
    assertEquals(1, depot.server.requests().size());
    assertEquals(Outcome.DOWNLOADED, result.outcome());
    assertEquals(Strategy.SINGLE, result.strategy());
    assertEquals(Depot.SMALL, result.bytesTransferred());
    assertEquals(0, result.retries());
    assertEquals(2, namesInFolder().size(), "a model and its sidecar file");
  }

  @Test
  void aFileOfExactlyTheFirstPieceIsWholeWithIt() throws Exception {
    Bench.assertHolds(Depot.content(1, MIB), fetch(depot.serve(1, MIB).url()));
    assertEquals(1, depot.server.requests().size());
  }

  @Test
  void aRedirectCostsItsOwnRequestAndNoMore() throws Exception {
    depot.serve(0);
    depot.server.answer(
        "/moved.safetensors",
        request -> Reply.status(302).header("Location", depot.server.url("/m0.safetensors")));
    Bench.assertHolds(BODY, fetch(depot.server.url("/moved.safetensors")));
    assertEquals(2, depot.server.requests().size());
  }

  @Test
  void aBatchAsksOnceForEachSmallFileOverAFewConnections() throws Exception {
    assertHold(batch(null, serveMany(50, Depot.SMALL)), Depot.SMALL);
    assertEquals(50, depot.server.requests().size());
    assertTrue(
        depot.server.connectionsAccepted() <= 32,
        depot.server.connectionsAccepted() + " connections");
  }

  @Test
  void connectionsAreKeptFromFileToFileAlsoWithTls() throws Exception {
    TestCertificates certificates = TestCertificates.forHosts("127.0.0.1");
    try (ByteRangeServer tls = ByteRangeServer.startTls(certificates.serverContext());
        Bench bench =
            Bench.withTls(folder.resolve("tls"), Duration.ofSeconds(20), certificates.caFile())) {
      for (int i = 0; i < 50; i++) {
        Content content = Depot.content(i, Depot.SMALL);
        tls.serve("/m" + i + ".safetensors", content);
        Bench.assertHolds(content, bench.fetch(tls.url("/m" + i + ".safetensors")));
      }
      assertEquals(50, tls.requests().size());
      // The first one, on which HTTP/2 was offered, is not the other client's.
      assertTrue(tls.connectionsAccepted() <= 2, tls.connectionsAccepted() + " connections");
    }
  }

  @Test
  void aLongerFileOfABatchIsNotAskedAboutTwice() throws Exception {
    assertHold(batch(null, serveMany(3, 2 * MIB)), 2 * MIB);
    for (int i = 0; i < 3; i++) {
      List<Request> requests = depot.server.requests("/m" + i + ".safetensors");
      assertEquals(3, requests.size(), "a look and two segments: " + requests);
    }
  }

  @Test
  void ofManySmallFilesTheLaterOnesAreStoredWhileOthersAreStillAskedFor() throws Exception {
    Gate gate = new Gate();
    List<String> urls = serveMany(40, Depot.SMALL);
    depot.serve(1).when(Request.first(1), Fault.waitsFor(gate));
    CompletableFuture<Batch.Result> running =
        CompletableFuture.supplyAsync(() -> batch(null, urls));
    gate.awaitArrivals(1);
    Depot.await(() -> sidecarFiles() == 39 - 32, "what came behind the first 32 is stored");
    gate.open();
    assertHold(running.get(30, TimeUnit.SECONDS), Depot.SMALL);
  }

  private long sidecarFiles() {
    try {
      return namesInFolder().stream().filter(name -> name.endsWith(".json")).count();
    } catch (IOException e) {
      return 0; // not there yet
    }
  }

  @Test
  void asManySmallFilesAreReceivedAtATimeAsTheCallerStates() throws Exception {
    Gate gate = new Gate();
    List<String> urls =
        IntStream.range(0, 8)
            .mapToObj(i -> depot.serve(i).when(Request::isForContent, Fault.waitsFor(gate)).url())
            .toList();
    CompletableFuture<Batch.Result> running = CompletableFuture.supplyAsync(() -> batch(2, urls));
    gate.awaitArrivals(2);
    Depot.await(() -> depot.server.requests().size() >= 7, "the others were looked at");
    assertEquals(2, depot.dataRequests());
    gate.open();
    assertHold(running.get(30, TimeUnit.SECONDS), Depot.SMALL);
  }

  @Test
  void thirtyTwoSmallFilesAreReceivedAtATimeIfNobodyStatesANumber() throws Exception {
    Gate gate = new Gate();
    List<String> urls =
        IntStream.range(0, 36)
            .mapToObj(i -> depot.serve(i).when(Request::isForContent, Fault.waitsFor(gate)).url())
            .toList();
    CompletableFuture<Batch.Result> running =
        CompletableFuture.supplyAsync(() -> batch(null, urls));
    gate.awaitArrivals(32);
    assertEquals(32, depot.server.requestsInFlight());
    gate.open();
    assertHold(running.get(30, TimeUnit.SECONDS), Depot.SMALL);
  }

  // Servers that answer in another way.

  @Test
  void whereRangesAreIgnoredTheWholeFileIsStillOneRequest() throws Exception {
    FetchResult result = fetch(depot.serve(0).with(Fault.ignoresRanges()).url());
    Bench.assertHolds(BODY, result);
    assertEquals(1, depot.server.requests().size());
  }

  @Test
  void aLongAnswerToTheFirstRequestIsLeftBeforeItsContentHasCome() throws Exception {
    long length = 64 * MIB;
    depot.server.limitSendBuffer(64 * 1024);
    String url =
        depot
            .serve(0, length)
            .when(Request.first(1), Fault.ignoresRanges(), Fault.limitsRate(8 * MIB))
            .url();
    Bench.assertHolds(Depot.content(0, length), fetch(url));
    Request first = depot.server.requests().get(0);
    assertTrue(first.responseBodyBytes() < 4 * MIB, first.responseBodyBytes() + " bytes in vain");
  }

  @Test
  void aLengthThatIsNotToldTakesASecondRequest() throws Exception {
    String url = depot.serve(0).with(Fault.ignoresRanges(), Fault.closeDelimited()).url();
    Bench.assertHolds(BODY, fetch(url));
    assertEquals(2, depot.server.requests().size());
  }

  @Test
  void anEmptyFileIsBroughtAsWell() {
    depot.server.serve("/empty.txt", Content.of());
    assertEquals(0, fetch(depot.server.url("/empty.txt")).fileSize());
  }

  @Test
  void aShorterRangeThanAskedForIsGoneOnWith() throws Exception {
    String url =
        depot
            .serve(0)
            .when(Request.first(1), Fault.sendsInsteadOfAsked(asked -> new Fault.Span(0, 9_999)))
            .url();
    Bench.assertHolds(BODY, fetch(url));
  }

  @Test
  void aRangeFromElsewhereProvesNothing() throws Exception {
    String url =
        depot
            .serve(0)
            .when(Request.first(1), Fault.sendsInsteadOfAsked(asked -> asked.shifted(100)))
            .url();
    Bench.assertHolds(BODY, fetch(url));
    assertTrue(depot.server.requests().size() > 1);
  }

  @Test
  void aFirstAnswerThatEndsEarlyIsGoneOnWithFromItsLastByte() throws Exception {
    ByteRangeServer.Resource resource = depot.serve(0).entityTag("\"v1\"");
    String url = resource.when(Request.first(1), Fault.closesAfter(10_000)).url();
    FetchResult result = fetch(url);
    Bench.assertHolds(BODY, result);
    assertEquals(Outcome.DOWNLOADED, result.outcome());
    Request second = depot.server.requests().get(1);
    assertEquals("bytes=10000-" + (Depot.SMALL - 1), second.header("Range"));
  }

  @Test
  void aFirstAnswerThatEndsEarlyHoldsUpNoBatch() throws Exception {
    List<String> urls = serveMany(4, Depot.SMALL);
    depot.serve(2).when(Request.first(1), Fault.resetsAfter(10_000));
    assertHold(batch(null, urls), Depot.SMALL);
  }

  @Test
  void aFirstAnswerThatFreezesHoldsUpNoBatch() throws Exception {
    Gate gate = new Gate();
    List<String> urls = serveMany(4, Depot.SMALL);
    depot.serve(2).when(Request.first(1), Fault.freezesAfter(10_000, gate));
    long startedNanos = System.nanoTime();
    assertHold(usersBatch(urls), Depot.SMALL);
    long seconds = TimeUnit.NANOSECONDS.toSeconds(System.nanoTime() - startedNanos);
    assertTrue(seconds < 15, seconds + " s, of 20 until a silence is a failure");
    gate.open();
  }

  @Test
  void aFirstAnswerThatTricklesHoldsUpNoBatch() throws Exception {
    List<String> urls = serveMany(4, 4 * KIB);
    Content slow = Depot.content(2, 4 * KIB);
    depot.server.serve("/m2.safetensors", slow).when(Request.first(1), Fault.limitsRate(100));
    long startedNanos = System.nanoTime();
    assertHold(usersBatch(urls), 4 * KIB);
    long seconds = TimeUnit.NANOSECONDS.toSeconds(System.nanoTime() - startedNanos);
    assertTrue(seconds < 20, seconds + " s, of 40 that the trickle takes");
  }

  @Test
  void contentThatChangesAfterTheLookIsBroughtAsItIsThen() throws Exception {
    Content now = Depot.content(7, 2 * MIB);
    Gate gate = new Gate();
    ByteRangeServer.Resource changing = depot.serve(0, 2 * MIB).entityTag("\"old\"");
    String other = depot.serve(1).when(Request.first(1), Fault.waitsFor(gate)).url();
    CompletableFuture<Batch.Result> running =
        CompletableFuture.supplyAsync(() -> batch(null, List.of(changing.url(), other)));
    gate.awaitArrivals(1);
    Depot.await(
        () -> depot.server.requests("/m0.safetensors").stream().anyMatch(Request::isFinished),
        "the first file was looked at");
    changing.replaceContent(now).entityTag("\"new\"");
    gate.open();
    FetchResult result = running.get(30, TimeUnit.SECONDS).files().get(0).result();
    assertNotNull(result);
    Bench.assertHolds(now, result);
  }

  @Test
  void aRefusalIsToldAndLeavesNothing() {
    depot.server.answer("/m.safetensors", request -> Reply.status(403));
    FetchException failure =
        assertThrows(FetchException.class, () -> fetch(depot.server.url("/m.safetensors")));
    assertEquals(FailureKind.FORBIDDEN, failure.kind());
    assertEquals(1, depot.server.requests().size());
    assertFalse(Files.exists(depot.vaeFolder()));
  }

  @Test
  void aPageInPlaceOfAModelIsNotKept() throws Exception {
    depot.server.serve("/m.safetensors", Content.text("<!DOCTYPE html><title>Sign in</title>"));
    FetchException failure =
        assertThrows(FetchException.class, () -> fetch(depot.server.url("/m.safetensors")));
    assertEquals(FailureKind.NOT_A_MODEL, failure.kind());
    assertEquals(List.of(), namesInFolder());
  }

  @Test
  void aForbiddenNameIsRefusedBeforeItsContentIsRead() {
    depot.server.serve("/m.py", Content.random(1, MIB)).with(Fault.limitsRate(100 * KIB));
    FetchException failure =
        assertThrows(FetchException.class, () -> fetch(depot.server.url("/m.py")));
    assertEquals(FailureKind.POLICY, failure.kind());
  }

  // What an earlier attempt has left.

  @Test
  void ofABegunFileNothingIsAskedForAgain() throws Exception {
    Gate gate = new Gate();
    long length = 3 * MIB;
    String url =
        depot.serve(0, length).when(Request::isForMore, Fault.freezesAfter(MIB, gate)).url();
    Download download = new Download();
    CompletableFuture<FetchResult> running =
        CompletableFuture.supplyAsync(() -> fetcher.fetch(Depot.vae(url), download));
    Depot.await(() -> download.snapshot().receivedBytes() >= MIB / 2, "half a MiB is there");
    download.cancel();
    assertThrows(Exception.class, () -> running.get(10, TimeUnit.SECONDS));
    Depot.await(() -> fetcher.activity().active() == 0, "the download has ended");
    gate.open();
    int before = depot.server.requests().size();
    FetchResult result = fetch(url);
    assertEquals(Outcome.RESUMED, result.outcome());
    // What the cancelled download had sent may reach the server only now, before this look.
    List<String> ranges =
        depot.server.requests().stream()
            .skip(before)
            .map(request -> String.valueOf(request.header("Range")))
            .dropWhile(range -> !range.equals("bytes=0-0"))
            .toList();
    assertFalse(ranges.isEmpty());
    assertTrue(ranges.stream().skip(1).noneMatch(r -> r.startsWith("bytes=0-")), ranges + "");
  }

  // Memory, limits and the disk.

  @Test
  void onlySoManyBytesAreHeldOfWhatIsStoredOnlyIfAllFits() throws Exception {
    long length = 600 * KIB;
    List<Batch.Item> optional =
        serveMany(60, length).stream().map(url -> new Batch.Item(Depot.vae(url), true)).toList();
    assertHold(run(null, optional), length);
    int requests = depot.server.requests().size();
    // 35 MiB do not fit into 32; what does not is looked at first and brought later.
    assertTrue(requests >= 63 && requests <= 120, requests + " requests");
    // What was held is free again.
    List<String> more =
        IntStream.range(60, 80).mapToObj(i -> depot.serve(i, length).url()).toList();
    assertTrue(batch(null, more).ok());
    assertEquals(requests + 20, depot.server.requests().size());
  }

  @Test
  void underALimitNothingIsReceivedBeforeTheSpaceIsKnown() throws Exception {
    fetcher.setOptions(new Fetcher.OptionsRequest(10_000_000L, null, null, null));
    assertHold(batch(null, serveMany(3, Depot.SMALL)), Depot.SMALL);
    assertEquals(3, depot.server.requests().stream().filter(r -> !r.isForContent()).count());
  }

  /** Its bytes and its sidecar file: then what is claimed of it is true after a power cut. */
  @Test
  void aSmallFileIsForcedToTheDiskTwice() throws Exception {
    fetch(depot.serve(1).url());
    List<String> forced = forcedFiles(() -> fetch(depot.serve(0).url()));
    assertEquals(2, forced.size(), forced.toString());
    assertTrue(forced.get(0).endsWith(".safetensors.part"), forced.toString());
    assertTrue(forced.get(1).endsWith(".part.complete"), "to be the sidecar file: " + forced);
  }

  private List<String> forcedFiles(Runnable action) throws IOException {
    try (Recording recording = new Recording()) {
      recording.enable("jdk.FileForce").withoutThreshold().withoutStackTrace();
      recording.start();
      action.run();
      recording.stop();
      Path dump = folder.resolve("forces.jfr");
      recording.dump(dump);
      return RecordingFile.readAllEvents(dump).stream()
          .map(event -> event.getString("path"))
          .filter(path -> path.startsWith(depot.models.toString()))
          .toList();
    }
  }
}
