package io.anymatix.fetcher.fetch;

import static io.anymatix.fetcher.fetch.Depot.vae;
import static io.anymatix.fetcher.testing.Content.MIB;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.failure.InvalidParamsException;
import io.anymatix.fetcher.fetch.DownloadQueue.Item;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.Gate;
import io.anymatix.fetcher.testing.Request;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** Downloads that nobody waits for, on real transfers. */
@Timeout(60)
class DownloadQueueTest {
  @SuppressWarnings("NullAway.Init") // set before each test
  @TempDir
  Path folder;

  @SuppressWarnings("NullAway.Init") // set before each test
  private Depot depot;

  @SuppressWarnings("NullAway.Init") // set before each test
  private Fetcher fetcher;

  @SuppressWarnings("NullAway.Init") // set before each test
  private DownloadQueue queue;

  private final Gate gate = new Gate();

  @BeforeEach
  void open() throws Exception {
    depot = new Depot(folder);
    startProcess();
  }

  @AfterEach
  void close() throws Exception {
    depot.close();
  }

  private void startProcess() {
    fetcher = depot.fetcher();
    queue = depot.queue(fetcher);
    queue.takeUp();
  }

  private void endProcess() {
    queue.close();
    fetcher.close();
  }

  private void filesAtATime(int count) {
    fetcher.setOptions(new Fetcher.OptionsRequest(null, null, count, null));
    queue.optionsChanged();
  }

  /** Adds a file whose bytes come when the gate is open. */
  private String gated(int number) {
    return gated(number, 0);
  }

  private String gated(int number, int priority) {
    return queue.enqueue(
        vae(depot.serve(number).when(Request::isForContent, Fault.waitsFor(gate)).url()), priority);
  }

  private List<String> waiting() {
    return queue.state().waiting().stream().map(Item::id).toList();
  }

  private void awaitEnd(String id) {
    Depot.await(() -> fetcher.history().contains(id), id + " has ended");
  }

  private History.Entry entry(String id) {
    return fetcher.history().newest(1000).stream()
        .filter(entry -> entry.id().equals(id))
        .findFirst()
        .orElseThrow();
  }

  private String fileText() throws Exception {
    return Files.readString(depot.home.resolve("queue.json"));
  }

  @Test
  void anEntryIsDownloadedAndToldInTheHistory() throws Exception {
    String url = depot.serve(1).url();
    String id = queue.enqueue(vae(url), 0);
    awaitEnd(id);
    History.Entry entry = entry(id);
    assertEquals("downloaded", entry.outcome());
    assertEquals(url, entry.url());
    assertEquals(Depot.SMALL, entry.bytesTransferred());
    assertEquals(-1, Depot.content(1, Depot.SMALL).mismatch(Path.of(entry.path())));
    assertEquals(new DownloadQueue.State(List.of(), List.of()), queue.state());
  }

  @Test
  void fourAreDownloadedAtATimeAndTheOthersWaitInOrder() throws Exception {
    List<String> ids = new ArrayList<>();
    for (int i = 0; i < 6; i++) {
      ids.add(gated(i));
    }
    gate.awaitArrivals(4);
    DownloadQueue.State state = queue.state();
    assertEquals(ids.subList(0, 4), state.active().stream().map(Item::id).toList());
    assertEquals(ids.subList(4, 6), waiting());
    assertEquals(4, depot.server.requestsInFlight());
    gate.open();
    ids.forEach(this::awaitEnd);
  }

  @Test
  void theNumberAtATimeIsChangedWhileTheyRun() throws Exception {
    filesAtATime(1);
    for (int i = 0; i < 3; i++) {
      gated(i);
    }
    gate.awaitArrivals(1);
    assertEquals(1, queue.state().active().size());
    filesAtATime(3);
    gate.awaitArrivals(3);
    assertEquals(3, queue.state().active().size());
  }

  @Test
  void aHigherPriorityStartsFirstAndEqualOnesInOrder() throws Exception {
    filesAtATime(1);
    gated(0);
    String low = queue.enqueue(vae(depot.serve(1).url()), -1);
    String first = queue.enqueue(vae(depot.serve(2).url()), 0);
    String second = queue.enqueue(vae(depot.serve(3).url()), 0);
    String high = queue.enqueue(vae(depot.serve(4).url()), 5);
    assertEquals(List.of(high, first, second, low), waiting());
  }

  @Test
  void entriesAreMoved() throws Exception {
    filesAtATime(1);
    gated(0);
    gate.awaitArrivals(1);
    String a = gated(1);
    String b = gated(2);
    String c = gated(3);
    queue.move(c, "top");
    assertEquals(List.of(c, a, b), waiting());
    queue.move(c, "down");
    assertEquals(List.of(a, c, b), waiting());
    queue.move(b, "up");
    assertEquals(List.of(a, b, c), waiting());
    queue.move(a, "bottom");
    assertEquals(List.of(b, c, a), waiting());
    queue.move(b, "up");
    assertEquals(List.of(b, c, a), waiting(), "what runs is not overtaken by a step");
    assertThrows(InvalidParamsException.class, () -> queue.move(a, "sideways"));
    assertThrows(InvalidParamsException.class, () -> queue.move("nobody", "up"));
  }

  @Test
  void aPausedDownloadStopsAndGoesOnFromWhereItWas() throws Exception {
    String url =
        depot.serve(1, 3 * MIB).when(Request::isForContent, Fault.freezesAfter(MIB, gate)).url();
    String id = queue.enqueue(vae(url), 0);
    Depot.await(
        () -> queue.state().active().stream().anyMatch(i -> i.receivedBytes() >= MIB),
        "a MiB was received");
    assertEquals(List.of(id), queue.pause(id));
    Depot.await(() -> queue.state().active().isEmpty(), "it is stopped");
    Item paused = queue.state().waiting().get(0);
    assertTrue(paused.paused());
    assertTrue(paused.receivedBytes() >= MIB, paused::toString);
    assertEquals(3L * MIB, paused.totalBytes());
    assertFalse(paused.fileName().isEmpty(), paused::toString);
    gate.open();
    assertEquals(List.of(id), queue.resume(null));
    awaitEnd(id);
    assertEquals("resumed", entry(id).outcome());
  }

  @Test
  void aPausedEntryDoesNotStartAndLetsOthersPass() throws Exception {
    filesAtATime(1);
    String running = gated(0);
    String paused = gated(1);
    String other = gated(2);
    queue.pause(paused);
    gate.open();
    awaitEnd(running);
    awaitEnd(other);
    assertEquals(List.of(paused), waiting());
    queue.resume(paused);
    awaitEnd(paused);
  }

  @Test
  void aCancelledEntryIsGoneAndMayBeTriedAgain() throws Exception {
    String id = gated(1);
    gate.awaitArrivals(1);
    queue.cancel(id);
    awaitEnd(id);
    assertEquals("cancelled", entry(id).outcome());
    gate.open();
    String again = queue.retry(id);
    assertNotEquals(id, again);
    awaitEnd(again);
    assertTrue(List.of("downloaded", "resumed").contains(entry(again).outcome()));
    assertThrows(InvalidParamsException.class, () -> queue.retry(again), "it did not fail");
    assertThrows(InvalidParamsException.class, () -> queue.cancel(id));
  }

  @Test
  void aFailedEntryTellsWhyAndMayBeTriedAgain() {
    String id = queue.enqueue(vae(depot.server.url("/late.safetensors")), 0);
    awaitEnd(id);
    History.Failure failure = entry(id).error();
    assertNotNull(failure);
    assertEquals("notFound", failure.kind());
    depot.server.serve("/late.safetensors", Depot.content(1, Depot.SMALL));
    String again = queue.retry(id);
    awaitEnd(again);
    assertEquals("downloaded", entry(again).outcome());
  }

  @Test
  void theSameDownloadIsNotAddedTwice() {
    assertEquals(gated(1), queue.enqueue(vae(depot.server.url("/m1.safetensors")), 0));
  }

  @Test
  void whatMakesNoSenseIsRefusedAtOnce() {
    assertThrows(
        InvalidParamsException.class,
        () ->
            queue.enqueue(
                new FetchRequest(
                    "https://h.test/m", "nonsense", null, null, null, null, null, null, null),
                0));
    assertThrows(
        FetchException.class,
        () ->
            queue.enqueue(
                new FetchRequest(
                    "https://h.test/m", null, "/elsewhere", null, null, null, null, null, null),
                0));
  }

  @Test
  void aFetchThatACallerWaitsForStartsAtOnceBesideAFullQueue() throws Exception {
    filesAtATime(1);
    gated(0);
    gated(1);
    gate.awaitArrivals(1);
    String url = depot.serve(2).url();
    assertEquals(FetchResult.Outcome.DOWNLOADED, fetcher.fetch(vae(url), new Download()).outcome());
  }

  @Test
  void theSeventeenthFetchThatACallerWaitsForSaysThatItWaits() throws Exception {
    List<CompletableFuture<FetchResult>> running = new ArrayList<>();
    Download last = new Download();
    for (int i = 0; i < 17; i++) {
      String url = depot.serve(i).when(Request::isForContent, Fault.waitsFor(gate)).url();
      if (i == 16) {
        gate.awaitArrivals(16);
      }
      Download download = i == 16 ? last : new Download();
      running.add(
          CompletableFuture.supplyAsync(
              () -> fetcher.fetch(vae(url), download), work -> new Thread(work).start()));
    }
    Depot.await(() -> last.snapshot().phase() == Progress.Phase.WAITING, "the last one waits");
    assertTrue(String.valueOf(last.snapshot().reason()).contains("16"));
    gate.open();
    for (CompletableFuture<FetchResult> each : running) {
      each.get(30, TimeUnit.SECONDS);
    }
  }

  // After a restart.

  @Test
  void whatWasWaitingAndRunningGoesOnInTheNextProcess() throws Exception {
    filesAtATime(1);
    String url =
        depot.serve(0, 3 * MIB).when(Request::isForContent, Fault.freezesAfter(MIB, gate)).url();
    String running = queue.enqueue(vae(url), 0);
    String waits = gated(1);
    String paused = gated(2);
    queue.pause(paused);
    Depot.await(
        () -> queue.state().active().stream().anyMatch(i -> i.receivedBytes() >= MIB),
        "a MiB was received");
    endProcess();
    gate.open();
    startProcess();
    awaitEnd(running);
    awaitEnd(waits);
    assertEquals("resumed", entry(running).outcome());
    assertEquals("downloaded", entry(waits).outcome());
    assertEquals(List.of(paused), waiting());
    assertTrue(queue.state().waiting().get(0).paused());
  }

  @Test
  void orderAndPriorityAreKept() throws Exception {
    filesAtATime(1);
    String first = gated(0);
    gate.awaitArrivals(1);
    String low = gated(1, -1);
    String high = gated(2, 7);
    queue.pause(null);
    endProcess();
    startProcess();
    // What ran stands where it stood.
    assertEquals(List.of(high, first, low), sortedByPriority(first, low, high));
  }

  private List<String> sortedByPriority(String... expected) {
    List<String> ids = waiting();
    assertEquals(expected.length, ids.size());
    List<Integer> priorities = queue.state().waiting().stream().map(Item::priority).toList();
    for (int i = 1; i < priorities.size(); i++) {
      assertTrue(priorities.get(i - 1) >= priorities.get(i), priorities::toString);
    }
    return ids;
  }

  @Test
  void anEntryWithASecretComesBackAsFailedAndTheSecretIsNowhere() throws Exception {
    String secret = "hf_verysecretvalue";
    List<String> ids = new ArrayList<>();
    filesAtATime(1);
    gated(0);
    ids.add(
        queue.enqueue(
            new FetchRequest(
                depot.server.url("/a.safetensors"),
                "vae",
                null,
                "token=" + secret,
                null,
                null,
                null,
                null,
                null),
            0));
    ids.add(queue.enqueue(vae(depot.server.url("/b.safetensors?token=" + secret)), 0));
    ids.add(queue.enqueue(vae(depot.server.url("/c.safetensors?X-Amz-Signature=" + secret)), 0));
    ids.add(queue.enqueue(vae("https://mega.nz/file/abcdefgh#" + secret), 0));
    assertFalse(fileText().contains(secret), fileText());
    endProcess();
    startProcess();
    for (String id : ids) {
      awaitEnd(id);
      History.Failure failure = entry(id).error();
      assertNotNull(failure);
      assertEquals("Add the link again.", failure.hint());
      assertThrows(InvalidParamsException.class, () -> queue.retry(id));
    }
    try (var files = Files.list(depot.home)) {
      for (Path file : files.toList()) {
        assertFalse(Files.readString(file).contains(secret), file::toString);
      }
    }
  }

  @Test
  void twoProcessesWithOneHomeKeepTheirEntriesApart() throws Exception {
    filesAtATime(1);
    gated(0);
    String mine = gated(1);
    Fetcher otherFetcher = depot.fetcher();
    DownloadQueue other = depot.queue(otherFetcher);
    other.takeUp();
    assertEquals(new DownloadQueue.State(List.of(), List.of()), other.state());
    String theirs =
        other.enqueue(
            vae(depot.serve(5).when(Request::isForContent, Fault.waitsFor(gate)).url()), 0);
    queue.pause(mine);
    assertTrue(fileText().contains(mine));
    assertTrue(fileText().contains(theirs));
    endProcess();
    // The one that lives on may take over what the other has left.
    other.takeUp();
    assertTrue(
        other.state().waiting().stream().anyMatch(item -> item.id().equals(mine)),
        () -> other.state().toString());
    gate.open();
    Depot.await(() -> otherFetcher.history().contains(theirs), "theirs has ended");
  }

  @Test
  void entriesOfOtherModelFoldersAreLeftForTheirOwnProcess() throws Exception {
    filesAtATime(1);
    gated(0);
    String id = gated(1);
    endProcess();
    Path elsewhere = Files.createDirectories(folder.resolve("elsewhere")).toRealPath();
    fetcher = depot.fetcher();
    fetcher.setRoots(new Fetcher.RootsRequest(elsewhere.toString(), null, null));
    queue = depot.queue(fetcher);
    queue.takeUp();
    assertEquals(List.of(), waiting());
    assertTrue(fileText().contains(id));
    fetcher.setRoots(new Fetcher.RootsRequest(depot.models.toString(), null, null));
    queue.takeUp();
    gate.open();
    awaitEnd(id);
  }

  @Test
  void aProcessThatQueuesNothingLeavesNothingBehind() {
    assertFalse(Files.exists(depot.home));
  }

  @Test
  void aQueueFileThatCannotBeReadIsPutAside() throws Exception {
    endProcess();
    Files.createDirectories(depot.home);
    Files.writeString(depot.home.resolve("queue.json"), "{\"version\": 1, \"entries\": [");
    startProcess();
    String id = queue.enqueue(vae(depot.serve(1).url()), 0);
    awaitEnd(id);
    assertTrue(Files.exists(depot.home.resolve("queue.json.corrupt")));
  }

  @Test
  void withoutAFolderForItTheQueueWorksInMemory() throws Exception {
    endProcess();
    Files.writeString(depot.home, "a file where the folder should be");
    startProcess();
    String id = queue.enqueue(vae(depot.serve(1).url()), 0);
    awaitEnd(id);
    assertEquals("downloaded", entry(id).outcome());
  }

  @Test
  @DisabledOnOs(
      value = OS.WINDOWS,
      disabledReason = "a home folder is private there by access lists, which have no such bits")
  void nobodyElseCanReadTheQueue() throws Exception {
    gated(1);
    for (String name : List.of("queue.json", "history.jsonl")) {
      Path file = depot.home.resolve(name);
      if (Files.exists(file)) {
        assertEquals(
            "rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(file)));
      }
    }
    assertTrue(Files.exists(depot.home.resolve("queue.json")));
  }
}
