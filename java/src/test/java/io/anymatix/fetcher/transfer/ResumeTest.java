package io.anymatix.fetcher.transfer;

import static io.anymatix.fetcher.testing.Content.MIB;
import static org.junit.jupiter.api.Assertions.assertEquals;
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
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
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

/** What a killed or cancelled download has left is continued, unless the content has changed. */
@Timeout(60)
class ResumeTest {
  private static final Content CONTENT = Content.random(21, 33 * MIB + 4321);
  private static final long RECEIVED_EACH = 600_000;

  /** What comes with the first answer, which is whole. */
  private static final int FIRST_PIECE = 1 << 20;

  @SuppressWarnings("NullAway.Init") // set before each test
  @TempDir
  Path before;

  @SuppressWarnings("NullAway.Init") // set before each test
  @TempDir
  Path after;

  @SuppressWarnings("NullAway.Init") // set before each test
  private ByteRangeServer server;

  @SuppressWarnings("NullAway.Init") // set before each test
  private ByteRangeServer.Resource resource;

  @BeforeEach
  void start() {
    server = ByteRangeServer.start();
    resource = server.serve("/m.bin", CONTENT);
  }

  @AfterEach
  void stop() {
    server.close();
  }

  /** Leaves behind what a process does that is killed while sixteen connections receive. */
  private void killMidway() throws Exception {
    Gate gate = new Gate();
    resource.when(r -> r.number() > 1 && r.number() <= 17, Fault.freezesAfter(RECEIVED_EACH, gate));
    try (Bench bench = Bench.on(before, Duration.ofSeconds(20))) {
      Download download = new Download();
      CompletableFuture<FetchResult> running = bench.start(resource.url(), 16, download);
      gate.awaitArrivals(16);
      Bench.awaitReceived(download, running, FIRST_PIECE + 16 * RECEIVED_EACH);
      copyFolder();
      download.cancel();
      Bench.failure(running, CancelledException.class, Duration.ofSeconds(5));
    }
  }

  private void copyFolder() throws IOException {
    try (Stream<Path> files = Files.list(before)) {
      for (Path file : files.toList()) {
        Files.copy(file, after.resolve(file.getFileName().toString()));
      }
    }
  }

  private FetchResult goOn() {
    try (Bench bench = Bench.on(after, Duration.ofSeconds(20))) {
      return bench.fetch(resource.url());
    }
  }

  @Test
  void aKilledDownloadGoesOnInParallelFromEveryByteItHadReceived() throws Exception {
    killMidway();
    FetchResult result = goOn();
    Bench.assertHolds(CONTENT, result);
    assertEquals(Outcome.RESUMED, result.outcome());
    assertEquals(Strategy.PARALLEL, result.strategy());
    assertEquals(FIRST_PIECE + 16 * RECEIVED_EACH, result.bytesReused());
    try (Stream<Path> files = Files.list(after)) {
      assertEquals(2, files.count(), "the model and its sidecar file");
    }
  }

  @Test
  void bytesOfAnotherVersionAreNotContinued() throws Exception {
    resource.entityTag("\"v1\"");
    killMidway();
    Content changed = Content.random(22, CONTENT.lengthBytes());
    resource.entityTag("\"v2\"").replaceContent(changed);
    FetchResult result = goOn();
    Bench.assertHolds(changed, result);
    assertEquals(Outcome.DOWNLOADED, result.outcome());
  }

  @Test
  void resumedBytesThatDoNotFitTheHashAreFetchedAgainOnce() throws Exception {
    killMidway();
    Content changed = Content.random(23, CONTENT.lengthBytes());
    resource.replaceContent(changed);
    int requestsBefore = server.requests().size();
    try (Bench bench = Bench.on(after, Duration.ofSeconds(20))) {
      FetchResult result = bench.fetch(resource.url(), changed.sha256());
      Bench.assertHolds(changed, result);
      assertEquals(Outcome.DOWNLOADED, result.outcome());
    }
    assertTrue(server.requests().size() > requestsBefore);
  }

  @Test
  void aPartOfAnEarlierProgramIsContinued() throws Exception {
    long piece = 4 * MIB;
    Path part;
    try (Bench bench = Bench.on(after, Duration.ofSeconds(20))) {
      part = bench.part(resource.url(), "m", ".bin");
    }
    CONTENT.writeTo(part, CONTENT.lengthBytes());
    Files.writeString(
        part.resolveSibling(part.getFileName() + ".segments"),
        "{\"size\": "
            + CONTENT.lengthBytes()
            + ", \"segment_size\": "
            + piece
            + ", \"done\": {\"0\": "
            + piece
            + ", \"2\": 1000001}}\n");
    FetchResult result = goOn();
    Bench.assertHolds(CONTENT, result);
    assertEquals(piece + 1_000_001, result.bytesReused());
    List<String> ranges =
        server.requests().stream().map(r -> String.valueOf(r.header("Range"))).toList();
    assertTrue(ranges.contains("bytes=0-0"), ranges.toString());
    assertTrue(ranges.stream().anyMatch(r -> r.startsWith("bytes=" + piece + "-")));
  }

  @Test
  void aPlainPrefixIsContinued() throws Exception {
    Path part;
    try (Bench bench = Bench.on(after, Duration.ofSeconds(20))) {
      part = bench.part(resource.url(), "m", ".bin");
    }
    CONTENT.writeTo(part, 7 * MIB + 1);
    FetchResult result = goOn();
    Bench.assertHolds(CONTENT, result);
    assertEquals(7 * MIB + 1, result.bytesReused());
  }

  /** A strong tag says what the server has now, but nothing of where old bytes came from. */
  @Test
  void aPlainPrefixOfOtherContentIsNotContinuedWhateverTheServersTag() throws Exception {
    resource.entityTag("\"strong\"");
    Path part;
    try (Bench bench = Bench.on(after, Duration.ofSeconds(20))) {
      part = bench.part(resource.url(), "m", ".bin");
    }
    Content.random(25, CONTENT.lengthBytes()).writeTo(part, 7 * MIB + 1);
    FetchResult result = goOn();
    Bench.assertHolds(CONTENT, result);
    assertEquals(0, result.bytesReused());
    assertTrue(result.startedOver());
  }

  @Test
  void aPartOfFullLengthWithoutNotesProvesNothing() throws Exception {
    Path part;
    try (Bench bench = Bench.on(after, Duration.ofSeconds(20))) {
      part = bench.part(resource.url(), "m", ".bin");
    }
    Content.random(24, CONTENT.lengthBytes()).writeTo(part, CONTENT.lengthBytes());
    FetchResult result = goOn();
    Bench.assertHolds(CONTENT, result);
    assertEquals(0, result.bytesReused());
  }

  @Test
  void cancelledThreeTimesItStillEndsWithTheRightBytes() throws Exception {
    server.limitRate(16 * MIB);
    for (long reached = 8; reached <= 24; reached += 8) {
      try (Bench bench = Bench.on(after, Duration.ofSeconds(20))) {
        Download download = new Download();
        CompletableFuture<FetchResult> running = bench.start(resource.url(), download);
        server.awaitBytesSent(reached * MIB);
        download.cancel();
        Bench.failure(running, CancelledException.class, Duration.ofSeconds(5));
      }
    }
    FetchResult result = goOn();
    Bench.assertHolds(CONTENT, result);
    assertTrue(result.bytesReused() > 12 * MIB, result.bytesReused() + " bytes were kept");
    assertTrue(server.requests().stream().anyMatch(Request.withHeader("Range")));
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void whoLosesThePartToAnotherProcessServesNoneOfWhatItWrote(boolean lengthIsKnown)
      throws Exception {
    Gate gate = new Gate();
    resource.when(Request.nth(2), Fault.freezesAfter(3 * MIB, gate));
    if (!lengthIsKnown) {
      resource.with(Fault.ignoresRanges(), Fault.chunked());
    }
    try (Bench bench = Bench.on(after, Duration.ofSeconds(60))) {
      Download download = new Download();
      CompletableFuture<FetchResult> running = bench.start(resource.url(), 1, download);
      gate.awaitArrivals(1);
      Bench.awaitReceived(download, running, 3 * MIB);
      // On a volume where locks are not kept another process begins the same part, and dies.
      Path part = bench.part(resource.url(), "m", ".bin");
      Path journal = part.resolveSibling(part.getFileName() + ".segments");
      try (FileChannel channel = FileChannel.open(part, StandardOpenOption.WRITE)) {
        channel.truncate(0);
      }
      Path theirs = after.resolve("theirs.tmp");
      Files.writeString(
          theirs,
          "{\"size\": %d, \"segment_size\": %d, \"done\": {\"0\": 0}}\n"
              .formatted(CONTENT.lengthBytes(), CONTENT.lengthBytes()));
      Files.move(theirs, journal, StandardCopyOption.REPLACE_EXISTING);
      gate.open();
      Bench.assertHolds(CONTENT, Bench.result(running));
    }
  }
}
