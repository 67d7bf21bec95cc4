package io.anymatix.fetcher.fetch;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.fetch.FetchResult.Outcome;
import io.anymatix.fetcher.fetch.FetchResult.Verification;
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.SmallVolume;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Bytes that are on this machine already are proven and linked, wherever they lie. */
@Timeout(60)
class FoundWithoutDownloadTest {
  private static final Content MODEL = Content.safetensors(71, 300_000);
  private static final Sha256 HASH = new Sha256(MODEL.sha256());

  @SuppressWarnings("NullAway.Init") // set before each test
  @TempDir
  Path disk;

  @SuppressWarnings("NullAway.Init") // set before each test
  private Path models;

  @SuppressWarnings("NullAway.Init") // set before each test
  private ByteRangeServer server;

  @SuppressWarnings("NullAway.Init") // set before each test
  private String url;

  @BeforeEach
  void start() throws IOException {
    models = Files.createDirectories(disk.resolve("models"));
    server = ByteRangeServer.start();
    url = server.serve("/m.safetensors", MODEL).url();
  }

  @AfterEach
  void stop() {
    server.close();
  }

  private Fetcher fetcher(boolean offline) {
    return new Fetcher(
        Config.builder()
            .modelsDir(models)
            .allowHttp(true)
            .allowPrivateHosts(true)
            .offline(offline)
            .build(),
        Map.of("HF_HUB_CACHE", disk.resolve("hub").toString()));
  }

  private static FetchRequest request(String url, @Nullable String sha256) {
    return new FetchRequest(url, "lora", null, null, sha256, null, null, null, null);
  }

  private FetchResult fetch(String url, @Nullable String sha256) {
    try (Fetcher fetcher = fetcher(false)) {
      return fetcher.fetch(request(url, sha256), new Download());
    }
  }

  private Path write(Path file, Content content) throws IOException {
    Files.createDirectories(file.getParent());
    content.writeTo(file, content.lengthBytes());
    return file;
  }

  private void assertAdopted(Path from, FetchResult result) throws IOException {
    assertEquals(Outcome.ADOPTED, result.outcome());
    assertEquals(0, result.bytesTransferred());
    assertEquals(HASH.hex(), result.sha256());
    assertEquals(Verification.SHA256_CALLER, result.verification());
    assertEquals(-1, MODEL.mismatch(Path.of(result.path())));
    assertEquals(models.resolve("loras"), Path.of(result.path()).getParent());
    assertTrue(Files.isSameFile(from, Path.of(result.path())), "copied in place of linked");
    assertEquals(Outcome.PRESENT, fetch(url, null).outcome());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "models/loras/another name.safetensors",
        "models/checkpoints/x.safetensors",
        "models/checkpoints/sub/folder/x.safetensors",
        "models/x.safetensors",
      })
  void aFileAnywhereBelowARootIsLinked(String path) throws Exception {
    Path there = write(disk.resolve(path), MODEL);
    assertAdopted(there, fetch(url, HASH.hex()));
  }

  @Test
  void aFileUnderAnotherUrlIsLinked() throws Exception {
    String other = server.serve("/other.safetensors", MODEL).url();
    Path there = Path.of(fetch(other, null).path());
    assertAdopted(there, fetch(url, HASH.hex()));
  }

  @Test
  void aBlobOfTheHubsCacheIsLinkedAndLeftAsItIs() throws Exception {
    Path blob = write(disk.resolve("hub/models--org--repo/blobs").resolve(HASH.hex()), MODEL);
    FileTime before = FileTime.from(Instant.parse("2026-01-02T03:04:05Z"));
    Files.setLastModifiedTime(blob, before);
    FetchResult result = fetch(url, HASH.hex());
    assertEquals(before, Files.getLastModifiedTime(blob));
    assertAdopted(blob, result);
    try (Stream<Path> cached = Files.walk(disk.resolve("hub"))) {
      assertEquals(4, cached.count(), "something was written into the cache");
    }
  }

  @Test
  void aSymbolicLinkIsNotLinkedButWhatItLeadsTo() throws Exception {
    Path file = write(disk.resolve("elsewhere/x.safetensors"), MODEL);
    Files.createDirectories(models.resolve("vae"));
    Files.createSymbolicLink(
        models.resolve("vae/y.safetensors"), Path.of("../../elsewhere/x.safetensors"));
    FetchResult result = fetch(url, HASH.hex());
    assertFalse(Files.isSymbolicLink(Path.of(result.path())));
    assertAdopted(file, result);
  }

  @Test
  void aFileThatOnlyLooksAlikeIsDownloadedInstead() throws Exception {
    write(
        disk.resolve("hub/models--org--repo/blobs").resolve(HASH.hex()), MODEL.withFlippedByte(9));
    write(models.resolve("vae/x.safetensors"), MODEL.withFlippedByte(200_000));
    write(models.resolve("vae/x.bin"), MODEL);
    FetchResult result = fetch(url, HASH.hex());
    assertEquals(Outcome.DOWNLOADED, result.outcome());
    assertEquals(-1, MODEL.mismatch(Path.of(result.path())));
  }

  @Test
  void foldersThatAreNoModelFoldersAreNotLookedInto() throws Exception {
    write(models.resolve("vae/.git/x.safetensors"), MODEL);
    write(disk.resolve("outside/x.safetensors"), MODEL);
    assertEquals(Outcome.DOWNLOADED, fetch(url, HASH.hex()).outcome());
  }

  @Test
  void aRootMayBeHiddenItself() throws Exception {
    models = Files.createDirectories(disk.resolve(".models"));
    Path there = write(models.resolve("vae/x.safetensors"), MODEL);
    assertAdopted(there, fetch(url, HASH.hex()));
  }

  @Test
  void withoutTheNetworkAHashOfTheCallersIsEnough() throws Exception {
    Path there = write(models.resolve("vae/" + HASH.hex() + ".safetensors"), MODEL);
    try (Fetcher fetcher = fetcher(true)) {
      FetchResult result = fetcher.fetch(request(url, HASH.hex()), new Download());
      assertAdopted(there, result);
      FetchException failure =
          assertThrows(
              FetchException.class,
              () -> fetcher.fetch(request(server.url("/other.safetensors"), null), new Download()));
      assertEquals(FailureKind.OFFLINE, failure.kind());
    }
    assertEquals(List.of(), server.requests());
  }

  @Test
  void onAnotherVolumeTheBytesAreCopiedAndTheCopyIsProven() throws Exception {
    Path blob = write(disk.resolve("hub/models--a--b/blobs").resolve(HASH.hex()), MODEL);
    try (SmallVolume volume = SmallVolume.mount(models, "size=2m")) {
      FetchResult result = fetch(url, HASH.hex());
      assertEquals(Outcome.ADOPTED, result.outcome());
      assertEquals(-1, MODEL.mismatch(Path.of(result.path())));
      assertFalse(Files.isSameFile(blob, Path.of(result.path())));
      try (Stream<Path> files = Files.list(volume.root().resolve("loras"))) {
        assertEquals(2, files.count(), "the model and its sidecar file");
      }
    }
  }

  @Test
  void aCopyThatDoesNotFitIsNotBegun() throws Exception {
    write(disk.resolve("hub/models--a--b/blobs").resolve(HASH.hex()), MODEL);
    try (SmallVolume volume = SmallVolume.mount(models, "size=2m")) {
      volume.fillUpTo(MODEL.lengthBytes() / 2);
      FetchException failure = assertThrows(FetchException.class, () -> fetch(url, HASH.hex()));
      assertEquals(FailureKind.DISK_FULL, failure.kind(), failure.getMessage());
      try (Stream<Path> files = Files.list(volume.root().resolve("loras"))) {
        assertEquals(List.of(), files.toList());
      }
    }
  }

  @Test
  void hashingEndsAtACancel() throws Exception {
    Content large = Content.pattern(3, 3L << 30);
    Path blob = disk.resolve("hub/models--a--b/blobs").resolve(HASH.hex());
    Files.createDirectories(blob.getParent());
    try (var file = new RandomAccessFile(blob.toFile(), "rw")) {
      file.setLength(large.lengthBytes()); // sparse
    }
    String largeUrl = server.serve("/large.safetensors", large).url();
    try (Fetcher fetcher = fetcher(false)) {
      Download download = new Download();
      CompletableFuture<FetchResult> running =
          CompletableFuture.supplyAsync(
              () -> fetcher.fetch(request(largeUrl, HASH.hex()), download));
      while (download.snapshot().phase() != Progress.Phase.ADOPTING
          || download.snapshot().receivedBytes() == 0) {
        assertFalse(running.isDone());
        LockSupport.parkNanos(100_000);
      }
      download.cancel();
      ExecutionException end =
          assertThrows(ExecutionException.class, () -> running.get(20, TimeUnit.SECONDS));
      assertTrue(end.getCause() instanceof CancelledException, String.valueOf(end.getCause()));
    }
  }

  @Test
  void anUploadIsFoundByItsHashWithoutARequestOrASidecarFile() throws Exception {
    Path upload = write(models.resolve("loras/" + HASH.hex() + ".safetensors"), MODEL);
    String contentUrl = "SHA256://" + HASH.hex().toUpperCase(Locale.ROOT);
    FetchResult result = fetch(contentUrl, null);
    assertEquals(Outcome.PRESENT, result.outcome());
    assertEquals(upload.toString(), result.path());
    assertEquals(upload.getFileName().toString(), result.relativeName());
    assertEquals(MODEL.lengthBytes(), result.fileSize());
    assertNull(result.sidecarPath());
    assertNull(result.sha256());
    try (Fetcher fetcher = fetcher(true)) {
      assertEquals(Sha256.ofUtf8(contentUrl).hex(), fetcher.fingerprint(request(contentUrl, null)));
      assertEquals(List.of(), fetcher.delete(contentUrl, "lora", null).deleted());
    }
    assertEquals(HASH.hex(), fetch(contentUrl, HASH.hex()).sha256());
    assertTrue(Files.exists(upload));
    assertEquals(List.of(), server.requests());
  }

  @Test
  void anUploadThatIsNotThereIsNotFound() throws Exception {
    write(models.resolve("loras/" + HASH.hex() + ".txt"), MODEL);
    write(models.resolve("vae/" + HASH.hex() + ".safetensors"), MODEL);
    String contentUrl = "sha256://" + HASH.hex();
    FetchException failure = assertThrows(FetchException.class, () -> fetch(contentUrl, null));
    assertEquals(FailureKind.NOT_FOUND, failure.kind());
    try (Fetcher fetcher = fetcher(false)) {
      assertNull(fetcher.fingerprint(request(contentUrl, null)));
    }
    FetchException malformed =
        assertThrows(FetchException.class, () -> fetch("sha256://abc", null));
    assertEquals(FailureKind.UNSUPPORTED, malformed.kind());
  }

  @Test
  void anUploadWithOtherBytesThanTheCallerStatesIsRefused() throws Exception {
    Path upload =
        write(models.resolve("loras/" + HASH.hex() + ".safetensors"), MODEL.withFlippedByte(1));
    FetchException failure =
        assertThrows(FetchException.class, () -> fetch("sha256://" + HASH.hex(), HASH.hex()));
    assertEquals(FailureKind.INTEGRITY, failure.kind());
    assertNotEquals(-1, MODEL.mismatch(upload));
  }
}
