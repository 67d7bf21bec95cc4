package io.anymatix.fetcher.fetch;

import static io.anymatix.fetcher.fetch.Depot.item;
import static io.anymatix.fetcher.fetch.Depot.optional;
import static io.anymatix.fetcher.testing.Content.MIB;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.failure.InvalidParamsException;
import io.anymatix.fetcher.failure.NotInitializedException;
import io.anymatix.fetcher.fetch.FetchResult.Outcome;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.Gate;
import io.anymatix.fetcher.testing.Reply;
import io.anymatix.fetcher.testing.Request;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Several files that one caller waits for, and the marker that says that they are there. */
@Timeout(60)
class BatchTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  @SuppressWarnings("NullAway.Init") // set before each test
  @TempDir
  Path folder;

  @SuppressWarnings("NullAway.Init") // set before each test
  private Depot depot;

  @SuppressWarnings("NullAway.Init") // set before each test
  private Fetcher fetcher;

  @BeforeEach
  void open() throws Exception {
    depot = new Depot(folder);
    fetcher = depot.fetcher();
  }

  @AfterEach
  void close() throws Exception {
    depot.close();
  }

  private Batch batch(List<Batch.Item> items, @Nullable Path marker) {
    return new Batch(
        fetcher,
        items,
        new Batch.Options(marker == null ? null : marker.toString(), false, null, false, false));
  }

  private Batch.Result run(Batch.Item... items) {
    return batch(List.of(items), null).run();
  }

  private static FetchResult result(Batch.Result result, int item) {
    FetchResult file = result.files().get(item).result();
    assertNotNull(file, () -> String.valueOf(result.files().get(item).failure()));
    return file;
  }

  private static FetchException failure(Batch.Result result, int item) {
    return assertInstanceOf(FetchException.class, result.files().get(item).failure());
  }

  @Test
  void resultsComeInTheOrderAsked() throws Exception {
    List<Batch.Item> items =
        IntStream.range(0, 10).mapToObj(i -> item(depot.serve(i).url())).toList();
    Batch.Result result = batch(items, null).run();
    assertTrue(result.ok());
    for (int i = 0; i < 10; i++) {
      Content content = Depot.content(i, Depot.SMALL);
      assertEquals(content.sha256(), result(result, i).sha256(), "file " + i);
      assertEquals(-1, content.mismatch(Path.of(result(result, i).path())), "file " + i);
    }
  }

  @Test
  void fourFilesAreBroughtAtATime() throws Exception {
    Gate gate = new Gate();
    List<Batch.Item> items = new ArrayList<>();
    for (int i = 0; i < 6; i++) {
      items.add(item(depot.serve(i, 2 * MIB).when(Request::isForMore, Fault.waitsFor(gate)).url()));
    }
    Batch batch = batch(items, null);
    CompletableFuture<Batch.Result> running = CompletableFuture.supplyAsync(batch::run);
    gate.awaitArrivals(4);
    assertEquals(4, gate.arrivals()); // a look that was left may still be in flight
    assertEquals(List.of(0, 1, 2, 3), batch.running().stream().map(Batch.Running::item).toList());
    gate.open();
    assertTrue(running.get(30, TimeUnit.SECONDS).ok());
  }

  @Test
  void aBatchMayAskForAnotherNumberOfFilesAtATime() throws Exception {
    Gate gate = new Gate();
    List<Batch.Item> items = new ArrayList<>();
    for (int i = 0; i < 6; i++) {
      items.add(item(depot.serve(i, 2 * MIB).when(Request::isForMore, Fault.waitsFor(gate)).url()));
    }
    Batch batch = new Batch(fetcher, items, new Batch.Options(null, false, 6, false, false));
    CompletableFuture<Batch.Result> running = CompletableFuture.supplyAsync(batch::run);
    gate.awaitArrivals(6);
    gate.open();
    assertTrue(running.get(30, TimeUnit.SECONDS).ok());
  }

  @Test
  void smallFilesComeFirstIfThatIsWanted() {
    List<Batch.Item> items =
        List.of(
            item(depot.serve(0, 4 * MIB).url()),
            item(depot.serve(1, 2 * MIB).url()),
            item(depot.serve(2, 3 * MIB).url()));
    new Batch(fetcher, items, new Batch.Options(null, false, 1, true, false)).run();
    List<String> order =
        depot.server.requests().stream()
            .filter(Request::isForMore)
            .map(Request::path)
            .distinct()
            .toList();
    assertEquals(List.of("/m1.safetensors", "/m2.safetensors", "/m0.safetensors"), order);
  }

  @Test
  void theFailureOfOneFileStopsNoOther() {
    Batch.Result result =
        run(
            item(depot.serve(0).url()),
            item(depot.server.url("/missing.safetensors")),
            new Batch.Item(
                new FetchRequest(
                    depot.serve(1).url(), "nonsense", null, null, null, null, null, null, null),
                false),
            item(depot.serve(2).url()));
    assertFalse(result.ok());
    assertEquals(Outcome.DOWNLOADED, result(result, 0).outcome());
    assertEquals(FailureKind.NOT_FOUND, failure(result, 1).kind());
    assertInstanceOf(InvalidParamsException.class, result.files().get(2).failure());
    assertEquals(Outcome.DOWNLOADED, result(result, 3).outcome());
  }

  @Test
  void beforeAnyModelFolderIsKnownTheWholeBatchIsRefused() {
    try (Fetcher rootless = new Fetcher(Config.builder().build(), Map.of())) {
      Batch batch =
          new Batch(
              rootless,
              List.of(item("https://models.test/a.bin")),
              new Batch.Options(null, false, null, false, false));
      assertThrows(NotInitializedException.class, batch::run);
    }
  }

  @Test
  void withoutAnOptionalFileTheBatchIsInOrder() {
    Batch.Result result =
        run(item(depot.serve(0).url()), optional(depot.server.url("/missing.safetensors")));
    assertTrue(result.ok());
    assertEquals(FailureKind.NOT_FOUND, failure(result, 1).kind());
  }

  @Test
  void whatIsPresentIsNotAskedFor() {
    Batch.Item present = item(depot.serve(0).url());
    run(present);
    int before = depot.server.requests().size();
    Batch.Result result = run(present, item(depot.serve(1).url()));
    assertEquals(Outcome.PRESENT, result(result, 0).outcome());
    assertTrue(
        depot.server.requests().stream()
            .skip(before)
            .allMatch(request -> request.path().equals("/m1.safetensors")));
  }

  @Test
  void aNameOfTheSourceIsLaidBesideEachFile() throws Exception {
    Batch.Options asNamed = new Batch.Options(null, false, null, false, true);
    Batch.Result result = new Batch(fetcher, List.of(item(depot.serve(0).url())), asNamed).run();
    assertEquals("m0.safetensors", result(result, 0).relativeName());
    assertTrue(
        Files.isSameFile(
            depot.vaeFolder().resolve("m0.safetensors"), Path.of(result(result, 0).path())));
  }

  @Test
  void whatDoesNotFitTogetherIsRefusedBeforeTheFirstByteIsStored() throws Exception {
    long free = Files.getFileStore(depot.models).getUsableSpace();
    List<Batch.Item> items =
        List.of(
            item(depot.serve(0, free / 5 * 3).url()),
            item(depot.serve(1, free / 5 * 3).url()),
            item(depot.serve(2).url()));
    FetchException failure = assertThrows(FetchException.class, () -> batch(items, null).run());
    assertEquals(FailureKind.DISK_FULL, failure.kind());
    assertTrue(depot.server.requests().stream().noneMatch(Request::isForMore));
    assertFalse(Files.exists(depot.vaeFolder()));
  }

  @Test
  void anOptionalFileThatDoesNotFitIsLeftOut() throws Exception {
    long free = Files.getFileStore(depot.models).getUsableSpace();
    Batch.Result result =
        run(optional(depot.serve(0, free / 5 * 6).url()), item(depot.serve(1).url()));
    assertTrue(result.ok());
    assertEquals(FailureKind.DISK_FULL, failure(result, 0).kind());
    assertEquals(Outcome.DOWNLOADED, result(result, 1).outcome());
  }

  @Test
  void aCancelledBatchEndsSoonAndItsFilesGoOnNextTime() throws Exception {
    Gate gate = new Gate();
    long length = 3 * MIB;
    String url =
        depot.serve(0, length).when(Request::isForContent, Fault.freezesAfter(MIB, gate)).url();
    Batch batch = batch(List.of(item(url)), null);
    CompletableFuture<Batch.Result> running = CompletableFuture.supplyAsync(batch::run);
    gate.awaitArrivals(1);
    Depot.await(() -> batch.total().receivedBytes() >= MIB, "a MiB was received");
    batch.cancel();
    ExecutionException ended =
        assertThrows(ExecutionException.class, () -> running.get(10, TimeUnit.SECONDS));
    assertInstanceOf(CancelledException.class, ended.getCause());
    // An equal request that comes before the download has been given up would go on with it.
    Depot.await(() -> fetcher.activity().active() == 0, "the download has ended");
    gate.open();
    Batch.Result again = run(item(url));
    assertEquals(Outcome.RESUMED, result(again, 0).outcome());
    assertTrue(result(again, 0).bytesReused() >= MIB / 2);
  }

  @Test
  void reportsTellOfAllFilesTogetherAndInTurnOfEach() throws Exception {
    Gate gate = new Gate();
    List<Batch.Item> items = new ArrayList<>();
    for (int i = 0; i < 2; i++) {
      items.add(
          item(depot.serve(i).when(Request::isForContent, Fault.freezesAfter(1000, gate)).url()));
    }
    Batch batch = batch(items, null);
    CompletableFuture<Batch.Result> running = CompletableFuture.supplyAsync(batch::run);
    Depot.await(() -> batch.total().receivedBytes() == 2000, "both began");
    List<Progress> told = IntStream.range(0, 5).mapToObj(n -> batch.report()).toList();
    List<Integer> items5 = new ArrayList<>();
    told.forEach(progress -> items5.add(progress.item()));
    assertNull(items5.get(0));
    assertEquals(0, items5.get(1));
    assertNull(items5.get(2));
    assertEquals(1, items5.get(3));
    assertNull(items5.get(4));
    assertEquals(2000, told.get(0).receivedBytes());
    assertEquals(2 * Depot.SMALL, told.get(0).totalBytes());
    assertEquals(1000, told.get(1).receivedBytes());
    gate.open();
    running.get(30, TimeUnit.SECONDS);
    assertEquals(2, batch.untold().size());
    assertNull(batch.report().item());
    assertEquals(1.0, batch.report().progress());
  }

  // The marker.

  private Path marker() {
    return depot.models.resolve(".fetched");
  }

  private List<Batch.Item> three() {
    return IntStream.range(0, 3).mapToObj(i -> item(depot.serve(i).url())).toList();
  }

  private JsonNode readMarker() throws Exception {
    return JSON.readTree(Files.readString(marker()));
  }

  @Test
  void theMarkerHoldsWhatWasFetched() throws Exception {
    Batch.Result result = batch(three(), marker()).run();
    JsonNode files = readMarker().path("files");
    assertEquals(3, files.size());
    for (int i = 0; i < 3; i++) {
      assertEquals(result(result, i).path(), files.get(i).path("path").asText());
      assertEquals(result(result, i).sha256(), files.get(i).path("sha256").asText());
      assertEquals(Depot.SMALL, files.get(i).path("size").asLong());
    }
  }

  @Test
  void theMarkerIsNotWrittenIfARequiredFileIsMissing() {
    Batch.Result result =
        batch(
                List.of(item(depot.serve(0).url()), item(depot.server.url("/missing.safetensors"))),
                marker())
            .run();
    assertFalse(result.ok());
    assertFalse(Files.exists(marker()));
  }

  @Test
  void theMarkerIsWrittenWithoutAnOptionalFile() throws Exception {
    batch(
            List.of(item(depot.serve(0).url()), optional(depot.server.url("/no.safetensors"))),
            marker())
        .run();
    assertEquals(1, readMarker().path("files").size());
  }

  @Test
  void whereTheMarkerIsTrueNothingIsAskedFor() {
    List<Batch.Item> items = three();
    batch(items, marker()).run();
    int before = depot.server.requests().size();
    assertTrue(batch(items, marker()).run().ok());
    assertEquals(before, depot.server.requests().size());
  }

  @Test
  void aFileThatIsGoneIsFetchedAgainInSpiteOfTheMarker() throws Exception {
    List<Batch.Item> items = three();
    Batch.Result first = batch(items, marker()).run();
    Files.delete(Path.of(result(first, 1).path()));
    Batch.Result second = batch(items, marker()).run();
    assertEquals(Outcome.PRESENT, result(second, 0).outcome());
    assertEquals(Outcome.DOWNLOADED, result(second, 1).outcome());
  }

  @Test
  void aFileOfTheSameLengthThatWasChangedIsFetchedAgainInSpiteOfTheMarker() throws Exception {
    List<Batch.Item> items = three();
    Batch.Result first = batch(items, marker()).run();
    Path changed = Path.of(result(first, 1).path());
    byte[] bytes = Files.readAllBytes(changed);
    bytes[20_000] ^= 1;
    Files.write(changed, bytes);
    Files.setLastModifiedTime(changed, java.nio.file.attribute.FileTime.fromMillis(1_000));
    Batch.Result second = batch(items, marker()).run();
    assertTrue(second.ok());
    assertEquals(Outcome.DOWNLOADED, result(second, 1).outcome());
    assertEquals(-1, Depot.content(1, Depot.SMALL).mismatch(changed));
    try (var files = Files.list(depot.vaeFolder())) {
      assertTrue(files.noneMatch(file -> file.toString().endsWith(".corrupt")));
    }
  }

  @Test
  void aChangedFileThatCannotBeFetchedAgainIsLeftAsItWas() throws Exception {
    List<Batch.Item> items = three();
    Batch.Result first = batch(items, marker()).run();
    Path changed = Path.of(result(first, 1).path());
    byte[] bytes = Files.readAllBytes(changed);
    bytes[20_000] ^= 1;
    Files.write(changed, bytes);
    Files.setLastModifiedTime(changed, java.nio.file.attribute.FileTime.fromMillis(1_000));
    depot.server.answer("/m1.safetensors", request -> Reply.status(404));
    assertFalse(batch(items, marker()).run().ok());
    assertTrue(Files.exists(changed));
  }

  @Test
  void aFileThatWasOnlyUsedIsNotFetchedAgain() throws Exception {
    List<Batch.Item> items = three();
    Batch.Result first = batch(items, marker()).run();
    Files.setLastModifiedTime(
        Path.of(result(first, 1).path()), java.nio.file.attribute.FileTime.fromMillis(1_000));
    int before = depot.server.requests().size();
    assertTrue(batch(items, marker()).run().ok());
    assertEquals(before, depot.server.requests().size());
  }

  @Test
  void anotherListIsFetchedInSpiteOfTheMarker() {
    batch(three().subList(0, 1), marker()).run();
    Batch.Result second = batch(three(), marker()).run();
    assertEquals(Outcome.DOWNLOADED, result(second, 2).outcome());
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "{\"files\": [", "[", "\u0000\u0001"})
  void aMarkerThatCannotBeReadIsAsNone(String text) throws Exception {
    Files.writeString(marker(), text);
    assertTrue(batch(three(), marker()).run().ok());
    assertEquals(3, readMarker().path("files").size());
  }

  @Test
  void aMarkerHoldsNoSecret() throws Exception {
    depot.serve(0);
    FetchRequest request =
        new FetchRequest(
            depot.server.url("/m0.safetensors"),
            "vae",
            null,
            "token=verysecretvalue",
            null,
            null,
            null,
            null,
            null);
    depot.server.serve("/m0.safetensors?token=verysecretvalue", Depot.content(0, Depot.SMALL));
    assertTrue(batch(List.of(new Batch.Item(request, false)), marker()).run().ok());
    assertFalse(Files.readString(marker()).contains("verysecretvalue"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"../outside", "vae/m.safetensors", "x.sh", "y.part", "con"})
  void aMarkerIsOnlyWrittenWhereOneMayBe(String name) {
    FetchException failure =
        assertThrows(FetchException.class, () -> batch(three(), depot.models.resolve(name)).run());
    assertEquals(FailureKind.POLICY, failure.kind());
    assertEquals(0, depot.server.requests().size());
  }

  @Test
  void anotherProgramsFileIsNotReplacedByAMarker() throws Exception {
    Path config = depot.models.resolve("config.json");
    Files.writeString(config, "{\"architectures\": []}");
    assertThrows(FetchException.class, () -> batch(three(), config).run());
    assertEquals("{\"architectures\": []}", Files.readString(config));
  }

  @Test
  void aRelativeMarkerIsRefused() {
    Batch.Options options = new Batch.Options("done", false, null, false, false);
    assertThrows(InvalidParamsException.class, () -> new Batch(fetcher, three(), options).run());
  }
}
