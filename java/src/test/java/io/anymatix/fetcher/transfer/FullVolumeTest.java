package io.anymatix.fetcher.transfer;

import static io.anymatix.fetcher.testing.Content.MIB;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.fetch.Download;
import io.anymatix.fetcher.fetch.FetchResult;
import io.anymatix.fetcher.fetch.FetchResult.Outcome;
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.Gate;
import io.anymatix.fetcher.testing.Request;
import io.anymatix.fetcher.testing.SmallVolume;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Downloads to a real volume that is too small, becomes too small, or can't be written to. */
@Timeout(60)
class FullVolumeTest {
  private static final Duration STALL_TIMEOUT = Duration.ofSeconds(20);
  private static final Duration PATIENCE = Duration.ofSeconds(20);
  private static final Content CONTENT = Content.random(31, 16 * MIB + 77);

  @SuppressWarnings("NullAway.Init") // set by JUnit
  @TempDir
  Path mountPoint;

  @SuppressWarnings("NullAway.Init") // set before each test
  private ByteRangeServer server;

  @BeforeEach
  void start() {
    server = ByteRangeServer.start();
  }

  @AfterEach
  void stop() {
    server.close();
  }

  @Test
  void aFileLargerThanTheVolumeIsRefusedAfterTheFirstAnswer() throws Exception {
    try (SmallVolume volume = SmallVolume.mount(mountPoint, "size=8m");
        Bench bench = Bench.on(volume.root(), STALL_TIMEOUT)) {
      FetchException failure = bench.failure(server.serve("/m.bin", CONTENT).url());
      assertEquals(FailureKind.DISK_FULL, failure.kind());
      assertEquals(CONTENT.lengthBytes(), failure.facts().get("neededBytes"));
      assertEquals(8 * MIB, failure.facts().get("freeBytes"));
      assertEquals(volume.root().toString(), failure.facts().get("volume"));
      assertTrue(
          String.valueOf(failure.getMessage()).endsWith(": 17 MB needed, 8 MB free."),
          failure.getMessage());
      assertEquals(1, server.requests().size());
      assertEquals(List.of(), names(volume.root()));
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 16})
  void spaceThatVanishesIsToldWithNumbersAndWhatArrivedIsKept(int connections) throws Exception {
    ByteRangeServer.Resource resource = server.serve("/m.bin", CONTENT);
    try (SmallVolume volume = SmallVolume.mount(mountPoint, "size=24m");
        Bench bench = Bench.on(volume.root(), STALL_TIMEOUT)) {
      server.limitRate(8 * MIB);
      Download download = new Download();
      CompletableFuture<FetchResult> running = bench.start(resource.url(), connections, download);
      Bench.awaitReceived(download, running, 6 * MIB);
      Path filler = volume.fillUpTo(0);
      FetchException failure = Bench.failure(running, FetchException.class, PATIENCE);
      assertEquals(FailureKind.DISK_FULL, failure.kind());
      long neededBytes = fact(failure, "neededBytes");
      assertTrue(neededBytes > 0 && neededBytes <= 10 * MIB + 77, neededBytes + " bytes");
      assertTrue(fact(failure, "freeBytes") < MIB, failure.facts().toString());
      assertTrue(
          String.valueOf(failure.getMessage()).startsWith("No space left on device for m_"),
          failure.getMessage());
      assertEquals(1, names(volume.root()).stream().filter(n -> n.endsWith(".part")).count());
      assertEquals(1, names(volume.root()).stream().filter(n -> n.endsWith(".segments")).count());

      Files.delete(filler);
      FetchResult result = bench.fetch(resource.url());
      assertEquals(Outcome.RESUMED, result.outcome());
      assertTrue(result.bytesReused() >= 6 * MIB, result.bytesReused() + " bytes were kept");
      Bench.assertHolds(CONTENT, result);
      assertEquals(2, names(volume.root()).size(), "the model and its sidecar file");
    }
  }

  @Test
  void aStreamThatFillsTheVolumeIsToldWithNumbers() throws Exception {
    ByteRangeServer.Resource resource =
        server.serve("/m.bin", CONTENT).with(Fault.ignoresRanges(), Fault.chunked());
    try (SmallVolume volume = SmallVolume.mount(mountPoint, "size=8m");
        Bench bench = Bench.on(volume.root(), STALL_TIMEOUT)) {
      FetchException failure = bench.failure(resource.url());
      assertEquals(FailureKind.DISK_FULL, failure.kind());
      assertTrue(fact(failure, "freeBytes") < MIB, failure.facts().toString());
    }
  }

  @Test
  void twoDownloadsThatFitEachButNotTogetherAreNotBothBegun() throws Exception {
    // More pieces than connections: one with nothing left to do would relieve another.
    Content content = Content.random(32, 24 * MIB + 77);
    Gate gate = new Gate();
    ByteRangeServer.Resource first =
        server
            .serve("/first.bin", content)
            .when(Request.from(2), Fault.freezesAfter(300_000, gate));
    ByteRangeServer.Resource second = server.serve("/second.bin", content);
    try (SmallVolume volume = SmallVolume.mount(mountPoint, "size=40m");
        Bench bench = Bench.on(volume.root(), STALL_TIMEOUT)) {
      Download download = new Download();
      CompletableFuture<FetchResult> running = bench.start(first.url(), 16, download);
      gate.awaitArrivals(16);
      Bench.awaitReceived(download, running, MIB + 16 * 300_000);
      FetchException failure = bench.failure(second.url());
      assertEquals(FailureKind.DISK_FULL, failure.kind());
      assertEquals(content.lengthBytes(), failure.facts().get("neededBytes"));
      long freeBytes = fact(failure, "freeBytes");
      assertTrue(freeBytes > content.lengthBytes(), freeBytes + " bytes are free");
      // The first piece and what each connection has brought are there.
      assertEquals(content.lengthBytes() - MIB - 16 * 300_000, fact(failure, "reservedBytes"));
      assertTrue(
          String.valueOf(failure.getMessage())
              .endsWith("of which other downloads will take 20 MB."),
          failure.getMessage());
      assertTrue(failure.hint().contains("wait until the other downloads"), failure.hint());
      assertEquals(1, server.requests("/second.bin").size());

      gate.open();
      Bench.assertHolds(content, Bench.result(running));
      FetchException alone = bench.failure(second.url());
      assertEquals(0L, alone.facts().get("reservedBytes"), "what ended holds nothing any more");
    }
  }

  @Test
  void aDownloadThatFailedOrWasCancelledHoldsNoSpace() throws Exception {
    Gate gate = new Gate();
    ByteRangeServer.Resource first =
        server.serve("/first.bin", CONTENT).when(Request.from(2), Fault.freezesAfter(1000, gate));
    ByteRangeServer.Resource second = server.serve("/second.bin", CONTENT);
    try (SmallVolume volume = SmallVolume.mount(mountPoint, "size=24m");
        Bench bench = Bench.on(volume.root(), STALL_TIMEOUT)) {
      Download download = new Download();
      CompletableFuture<FetchResult> running = bench.start(first.url(), 16, download);
      gate.awaitArrivals(16);
      download.cancel();
      assertTrue(running.handle((result, error) -> error != null).get());
      bench.awaitEnd();
      Bench.assertHolds(CONTENT, bench.fetch(second.url()));
    }
  }

  /** One entry is the root; then come the part, its journal, and the completion note. */
  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3})
  void aVolumeWithoutRoomForAnotherFileIsToldAsSuch(int entries) throws Exception {
    try (SmallVolume volume = SmallVolume.mount(mountPoint, "size=64m,nr_inodes=" + entries);
        Bench bench = Bench.on(volume.root(), STALL_TIMEOUT)) {
      FetchException failure = bench.failure(server.serve("/m.bin", CONTENT).url());
      assertEquals(FailureKind.DISK_FULL, failure.kind());
      assertTrue(
          String.valueOf(failure.getMessage()).contains("the volume can hold no more files"),
          failure.getMessage());
      assertTrue(fact(failure, "freeBytes") > 40 * MIB, failure.facts().toString());
    }
  }

  @Test
  void aReadOnlyVolumeIsToldAsSuchAndWhatWasThereIsKept() throws Exception {
    ByteRangeServer.Resource resource = server.serve("/m.bin", CONTENT);
    try (SmallVolume volume = SmallVolume.mount(mountPoint, "size=24m");
        Bench bench = Bench.on(volume.root(), STALL_TIMEOUT)) {
      Path part = bench.part(resource.url(), "m", ".bin");
      CONTENT.writeTo(part, 3 * MIB);
      volume.remount("ro");
      FetchException failure = bench.failure(resource.url());
      assertEquals(FailureKind.STORAGE, failure.kind());
      assertTrue(
          String.valueOf(failure.getMessage()).endsWith(" is on a read-only volume."),
          failure.getMessage());
      volume.remount("rw");
      FetchResult result = bench.fetch(resource.url());
      assertEquals(3 * MIB, result.bytesReused());
      Bench.assertHolds(CONTENT, result);
    }
  }

  @Test
  @DisabledOnOs(value = OS.WINDOWS, disabledReason = "permissions are another matter there")
  void aFolderThatMayNotBeWrittenToIsToldAsSuch() throws Exception {
    String url = server.serve("/m.bin", CONTENT).url();
    AutoCloseable ban = SmallVolume.forbidWriting(mountPoint);
    try (Bench bench = Bench.on(mountPoint, STALL_TIMEOUT)) {
      FetchException failure = bench.failure(url);
      assertEquals(FailureKind.STORAGE, failure.kind());
      assertEquals(
          "No permission to write " + bench.part(url, "m", ".bin") + ".", failure.getMessage());
    } finally {
      ban.close();
    }
    try (Bench bench = Bench.on(mountPoint, STALL_TIMEOUT)) {
      Bench.assertHolds(CONTENT, bench.fetch(url));
    }
  }

  private static long fact(FetchException failure, String name) {
    return ((Number) Objects.requireNonNull(failure.facts().get(name), name)).longValue();
  }

  private static List<String> names(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(file -> file.getFileName().toString()).toList();
    }
  }
}
