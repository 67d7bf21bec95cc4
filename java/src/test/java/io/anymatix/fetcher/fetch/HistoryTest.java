package io.anymatix.fetcher.fetch;

import static io.anymatix.fetcher.fetch.Depot.vae;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.config.HomeFolder;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What is told of downloads afterwards. */
@Timeout(60)
class HistoryTest {
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

  private Path file() {
    return depot.home.resolve("history.jsonl");
  }

  private History history() {
    return new History(new HomeFolder(depot.home));
  }

  private static void fail(History history, String id, String message) {
    history.ended(
        id,
        vae("https://models.test/" + id),
        FetchException.of(FailureKind.SERVER, message),
        Duration.ofMillis(5));
  }

  private static List<String> ids(History history) {
    return history.newest(2000).stream().map(History.Entry::id).toList();
  }

  @Test
  void downloadsAndFailuresSurviveTheProcessNewestFirst() {
    String url = depot.serve(1).url();
    try (Fetcher fetcher = depot.fetcher()) {
      fetcher.fetch(vae(url), new Download());
      assertThrows(
          FetchException.class,
          () -> fetcher.fetch(vae(depot.server.url("/missing.safetensors")), new Download()));
    }
    List<History.Entry> entries = depot.fetcher().history().newest(10);
    assertEquals(
        List.of("failed", "downloaded"), entries.stream().map(History.Entry::outcome).toList());
    assertEquals(url, entries.get(1).url());
    assertTrue(entries.get(1).rate() > 0);
    assertEquals(1, depot.fetcher().history().newest(1).size());
  }

  @Test
  void whatWasPresentIsNotNoted() {
    String url = depot.serve(1).url();
    Fetcher fetcher = depot.fetcher();
    fetcher.fetch(vae(url), new Download());
    fetcher.fetch(vae(url), new Download());
    assertEquals(1, fetcher.history().newest(10).size());
  }

  @Test
  void onlyTheNewestThousandAreKept() throws Exception {
    History history = history();
    String longMessage = "x".repeat(2000);
    IntStream.range(0, 1500).forEach(i -> fail(history, "e" + i, longMessage));
    List<String> ids = ids(history);
    assertTrue(ids.size() <= History.MOST_ENTRIES, () -> ids.size() + " entries");
    assertEquals("e1499", ids.get(0));
    assertTrue(Files.size(file()) < 2 << 20, "the file is bounded, too");
  }

  @Test
  void linesThatCannotBeReadAreSkippedAndACutOneSpoilsNoOther() throws Exception {
    fail(history(), "first", "one");
    Files.writeString(
        file(), "garbage\n{}\n[1]\nnull\n{\"entry\": {\"id\": \"cut", StandardOpenOption.APPEND);
    fail(history(), "second", "two");
    assertEquals(List.of("second", "first"), ids(history()));
  }

  @Test
  void aHistoryOfGarbageStopsNoDownload() throws Exception {
    Files.createDirectories(file());
    Fetcher fetcher = depot.fetcher();
    assertEquals(
        FetchResult.Outcome.DOWNLOADED,
        fetcher.fetch(vae(depot.serve(1).url()), new Download()).outcome());
    assertEquals(1, fetcher.history().newest(10).size(), "kept in memory");
  }

  @Test
  void aLockedHistoryStopsNoDownload() throws Exception {
    HomeFolder home = new HomeFolder(depot.home);
    Fetcher fetcher = depot.fetcher();
    String url = depot.serve(1).url();
    FetchResult result =
        home.locked(
            "history.lock",
            Duration.ofSeconds(1),
            () ->
                CompletableFuture.supplyAsync(() -> fetcher.fetch(vae(url), new Download()))
                    .orTimeout(10, TimeUnit.SECONDS)
                    .join());
    assertEquals(FetchResult.Outcome.DOWNLOADED, result.outcome());
    assertEquals(1, fetcher.history().newest(10).size());
  }

  @Test
  void writersAtTheSameTimeLoseNothing() throws Exception {
    List<History> histories = IntStream.range(0, 4).mapToObj(writer -> history()).toList();
    List<CompletableFuture<Void>> writers =
        IntStream.range(0, 4)
            .mapToObj(
                writer ->
                    CompletableFuture.runAsync(
                        () -> {
                          for (int i = 0; i < 50; i++) {
                            fail(histories.get(writer), writer + "-" + i, "m");
                          }
                        }))
            .toList();
    for (CompletableFuture<Void> writer : writers) {
      writer.get(30, TimeUnit.SECONDS);
    }
    // Who does not get the lock in time keeps the entry in memory.
    Set<String> told = new HashSet<>();
    histories.forEach(history -> told.addAll(ids(history)));
    assertEquals(200, told.size());
  }

  @Test
  void noSecretIsEverWritten() throws Exception {
    String secret = "verysecretvalue";
    Fetcher fetcher = depot.fetcher();
    for (FetchRequest request :
        List.of(
            new FetchRequest(
                depot.server.url("/a.safetensors"),
                "vae",
                null,
                "key=" + secret,
                null,
                null,
                null,
                null,
                null),
            vae(depot.server.url("/b.safetensors?token=" + secret)),
            vae("https://user:" + secret + "@models.test/c.safetensors"))) {
      assertThrows(FetchException.class, () -> fetcher.fetch(request, new Download()));
    }
    assertEquals(3, fetcher.history().newest(10).size());
    assertFalse(Files.readString(file()).contains(secret), Files.readString(file()));
  }
}
