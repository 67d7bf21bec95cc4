package io.anymatix.fetcher.fetch;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.failure.InvalidParamsException;
import io.anymatix.fetcher.failure.NotInitializedException;
import io.anymatix.fetcher.fetch.FetchResult.Verification;
import io.anymatix.fetcher.fetch.StoreKeeper.CorruptEntry;
import io.anymatix.fetcher.fetch.StoreKeeper.Listing;
import io.anymatix.fetcher.fetch.StoreKeeper.ModelEntry;
import io.anymatix.fetcher.fetch.StoreKeeper.VerifyResult;
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.Content;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Listing, checking, repairing and clearing a store, with a real server to fetch from. */
class StoreKeeperTest {
  private static final Content MODEL = Content.safetensors(7, 300_000);
  private static final FileTime LONG_AGO = FileTime.from(Instant.parse("2024-01-02T03:04:05Z"));

  @SuppressWarnings("NullAway.Init") // set by JUnit
  @TempDir
  Path models;

  @SuppressWarnings("NullAway.Init") // set before each test
  private ByteRangeServer server;

  @SuppressWarnings("NullAway.Init") // set before each test
  private Fetcher fetcher;

  @SuppressWarnings("NullAway.Init") // set before each test
  private StoreKeeper keeper;

  @BeforeEach
  void start() {
    server = ByteRangeServer.start();
    server.serve("/m.safetensors", MODEL);
    fetcher =
        new Fetcher(
            Config.builder().modelsDir(models).allowHttp(true).allowPrivateHosts(true).build());
    keeper = new StoreKeeper(fetcher);
  }

  @AfterEach
  void end() {
    fetcher.close();
    server.close();
  }

  @Test
  void listTellsUrlSizeHashAndReferrers() throws Exception {
    FetchResult fetched = fetch(server.url("/m.safetensors") + "?token=s3cr3t", null);
    Listing listing = keeper.list(null, null);
    ModelEntry model = listing.models().get(0);
    assertEquals(fetched.path(), model.path());
    assertEquals(server.url("/m.safetensors"), model.url());
    assertEquals(MODEL.lengthBytes(), model.fileSize());
    assertEquals(MODEL.sha256(), model.sha256());
    assertEquals(Verification.SHA256_COMPUTED, model.verification());
    assertTrue(model.whole());
    assertEquals(fetched.sidecarPath(), model.referrers().get(0).sidecarPath());
    assertEquals(MODEL.lengthBytes(), listing.bytes());
    assertEquals(listing, keeper.list("lora", null));
    assertEquals(listing, keeper.list(null, models.resolve("loras").toString()));
    assertEquals(List.of(), keeper.list("vae", null).models());
  }

  @Test
  void aSecretThatAnotherProgramStoredIsNotTold() throws Exception {
    FetchResult fetched = fetch(server.url("/m.safetensors"), null);
    Path sidecar = Path.of(fetched.sidecarPath());
    Files.writeString(
        sidecar,
        Files.readString(sidecar).replaceFirst("(\"url\": \"[^\"]*)\"", "$1?token=s3cr3t\""));
    assertTrue(Files.readString(sidecar).contains("s3cr3t"));
    assertFalse(keeper.list(null, null).toString().contains("s3cr3t"));
    assertFalse(verify(false).toString().contains("s3cr3t"));
    assertFalse(keeper.gc(null, null, true, null).toString().contains("s3cr3t"));
  }

  @Test
  void aSoundStoreVerifiesWithoutARequestAndWithoutATrace() throws Exception {
    Path file = Path.of(fetch(server.url("/m.safetensors"), null).path());
    Files.setAttribute(file, "lastAccessTime", LONG_AGO);
    Files.setLastModifiedTime(file, LONG_AGO);
    int requests = server.requests().size();
    VerifyResult result = verify(true);
    assertEquals(List.of(), result.corrupt());
    assertEquals(1, result.proven());
    assertEquals(requests, server.requests().size());
    assertEquals(LONG_AGO, Files.getLastModifiedTime(file), "a check is no use");
    assertEquals(LONG_AGO, Files.getAttribute(file, "lastAccessTime"));
  }

  @Test
  void aFlippedBitIsFoundAndRepaired() throws Exception {
    Path file = Path.of(fetch(server.url("/m.safetensors"), null).path());
    flipByte(file, 200_000);
    CorruptEntry found = verify(false).corrupt().get(0);
    assertEquals("hash", found.problem());
    assertTrue(found.message().contains(MODEL.sha256()), found.message());
    assertFalse(found.repaired());
    assertTrue(Files.exists(file), "a mere check changes nothing");

    assertTrue(verify(true).corrupt().get(0).repaired());
    assertEquals(-1, MODEL.mismatch(file));
    assertEquals(List.of(), names(".corrupt"));
    assertEquals(List.of(), verify(false).corrupt());
  }

  @Test
  void aPlainNameIsRepairedWithItsModel() throws Exception {
    FetchResult fetched = fetch(server.url("/m.safetensors"), "plain.safetensors");
    Path plain = models.resolve("loras/plain.safetensors");
    flipByte(Path.of(fetched.path()), 5_000);
    assertTrue(MODEL.mismatch(plain) >= 0, "it is the same file");
    assertTrue(verify(true).corrupt().get(0).repaired());
    assertEquals(-1, MODEL.mismatch(plain));
    assertTrue(Files.isSameFile(plain, Path.of(fetched.path())));
  }

  @Test
  void aFailedRepairLeavesTheCorruptFileAsideAndServesNobody() throws Exception {
    FetchResult fetched = fetch(server.url("/m.safetensors"), null);
    Path file = Path.of(fetched.path());
    flipByte(file, 10);
    server.serve("/m.safetensors", Content.safetensors(8, 300_000));
    CorruptEntry found = verify(true).corrupt().get(0);
    assertFalse(found.repaired());
    assertTrue(found.repairError() != null && found.repairError().contains(MODEL.sha256()));
    assertFalse(Files.exists(file));
    assertEquals(List.of(file.getFileName() + ".corrupt"), names(".corrupt"));
    assertNull(fetcher.fingerprint(request(server.url("/m.safetensors"), null)));
    assertEquals(1, keeper.list(null, null).setAside().size());
    assertEquals(0, keeper.gc(null, null, false, 0).removed().size(), "never a model");

    server.serve("/m.safetensors", MODEL);
    CorruptEntry missing = verify(true).corrupt().get(0);
    assertEquals("missing", missing.problem());
    assertTrue(missing.repaired());
    assertEquals(-1, MODEL.mismatch(file));
  }

  @Test
  void aFileThatOnlyAClaimContradictsGetsItsNameBackWhenItCanNotBeFetched() throws Exception {
    Path file = writeForeign("{\"remote_sha256\": \"" + "ab".repeat(32) + "\"}");
    CorruptEntry found = verify(true).corrupt().get(0);
    assertFalse(found.repaired());
    assertEquals(-1, MODEL.mismatch(file));
    assertEquals(List.of(), names(".corrupt"));
  }

  @Test
  void aModelUnderAnotherVersionsNameIsRepairedThere() throws Exception {
    String url = server.url("/m.safetensors");
    Path folder = Files.createDirectories(models.resolve("loras"));
    Path file = folder.resolve("m_" + MODEL.sha256() + ".safetensors");
    MODEL.withFlippedByte(99_999).writeTo(file, MODEL.lengthBytes());
    Path sidecar = folder.resolve("0".repeat(64) + ".json");
    Files.writeString(
        sidecar,
        "{\"url\": \"%s\", \"file_name\": \"%s\", \"file_size\": %d, \"sha256\": \"%s\"}"
            .formatted(url, file.getFileName(), MODEL.lengthBytes(), MODEL.sha256()));
    String before = Files.readString(sidecar);
    assertTrue(verify(true).corrupt().get(0).repaired());
    assertEquals(-1, MODEL.mismatch(file), "the old sidecar file names it still");
    assertEquals(before, Files.readString(sidecar));
    assertEquals(List.of(), verify(false).corrupt());
    assertEquals(List.of(), names(".corrupt"));
  }

  @Test
  void aFileOfTheWrongLengthIsReportedWithoutHashing() throws Exception {
    Path file = Path.of(fetch(server.url("/m.safetensors"), null).path());
    try (RandomAccessFile cut = new RandomAccessFile(file.toFile(), "rw")) {
      cut.setLength(1000);
    }
    assertFalse(keeper.list(null, null).models().get(0).whole());
    CorruptEntry found = verify(false).corrupt().get(0);
    assertEquals("length", found.problem());
    assertTrue(found.message().contains("1000 bytes") && found.message().contains("300000"));
    assertTrue(verify(true).corrupt().get(0).repaired());
    assertEquals(-1, MODEL.mismatch(file));
  }

  @Test
  void aFileThatOneSidecarFileIsRightAboutIsNotTakenAway() throws Exception {
    FetchResult fetched = fetch(server.url("/m.safetensors"), null);
    Path other = models.resolve("loras").resolve("1".repeat(64) + ".json");
    Files.writeString(
        other,
        Files.readString(Path.of(fetched.sidecarPath()))
            .replace(MODEL.sha256(), "cd".repeat(32))
            .replace("/m.safetensors", "/other.safetensors"));
    CorruptEntry found = verify(true).corrupt().get(0);
    assertEquals(other.toString(), found.referrers().get(0).sidecarPath());
    assertFalse(found.repaired());
    assertEquals(-1, MODEL.mismatch(Path.of(fetched.path())));
  }

  @Test
  void aModelOfAnotherProgramWithoutAHashIsUnprovenNotCorrupt() throws Exception {
    Path file = writeForeign("{}");
    VerifyResult result = verify(false);
    assertEquals(List.of(), result.corrupt());
    assertEquals(0, result.proven());
    assertEquals(
        List.of(new StoreKeeper.UnprovenEntry(file.toString(), MODEL.sha256())), result.unproven());
    assertEquals(Verification.SIZE, keeper.list(null, null).models().get(0).verification());
  }

  @Test
  void aFolderBehindALinkIsRepairedInItsPlace(@TempDir Path elsewhere) throws Exception {
    Files.createSymbolicLink(models.resolve("loras"), elsewhere);
    Path file = Path.of(fetch(server.url("/m.safetensors"), null).path());
    flipByte(file, 1);
    assertTrue(verify(true).corrupt().get(0).repaired());
    assertEquals(-1, MODEL.mismatch(file));
  }

  @Test
  void aCancelledCheckEndsAndChangesNothing() throws Exception {
    Path file = Path.of(fetch(server.url("/m.safetensors"), null).path());
    flipByte(file, 1);
    Download download = new Download();
    download.cancel();
    assertThrows(CancelledException.class, () -> keeper.verify(null, null, true, download));
    assertTrue(Files.exists(file));
  }

  @Test
  void progressOfACheckEndsAtTheBytesThatWereThere() throws Exception {
    fetch(server.url("/m.safetensors"), null);
    Download download = new Download();
    keeper.verify(null, null, false, download);
    Progress end = download.snapshot();
    assertEquals(Progress.Phase.VERIFYING, end.phase());
    assertEquals(MODEL.lengthBytes(), end.totalBytes());
    assertEquals(MODEL.lengthBytes(), end.receivedBytes());
  }

  @Test
  void offlineNothingIsSetAside() throws Exception {
    Path file = Path.of(fetch(server.url("/m.safetensors"), null).path());
    flipByte(file, 1);
    fetcher.setOptions(new Fetcher.OptionsRequest(null, null, null, true));
    FetchException failure = assertThrows(FetchException.class, () -> verify(true));
    assertEquals(FailureKind.OFFLINE, failure.kind());
    assertTrue(Files.exists(file));
  }

  @Test
  void requestsThatMakeNoSenseAreRefused() {
    assertThrows(InvalidParamsException.class, () -> keeper.list("no-such-type", null));
    assertThrows(InvalidParamsException.class, () -> keeper.gc(null, null, true, -1));
    try (Fetcher nowhere = new Fetcher(Config.builder().build())) {
      assertThrows(NotInitializedException.class, () -> new StoreKeeper(nowhere).list(null, null));
    }
  }

  private VerifyResult verify(boolean repair) {
    return keeper.verify(null, null, repair, new Download());
  }

  private FetchResult fetch(String url, @Nullable String name) {
    return fetcher.fetch(request(url, name), new Download());
  }

  private static FetchRequest request(String url, @Nullable String name) {
    return new FetchRequest(url, "lora", null, null, null, name, null, null, null);
  }

  /** A model as another program left it: length stated, nothing measured. */
  private Path writeForeign(String extraKeys) throws IOException {
    Path folder = Files.createDirectories(models.resolve("loras"));
    Path file = folder.resolve("foreign_" + "2".repeat(64) + ".safetensors");
    MODEL.writeTo(file, MODEL.lengthBytes());
    Files.writeString(
        folder.resolve("2".repeat(64) + ".json"),
        "{\"url\": \"%s\", \"file_name\": \"%s\", \"file_size\": %d%s"
            .formatted(
                server.url("/foreign.safetensors"),
                file.getFileName(),
                MODEL.lengthBytes(),
                extraKeys.equals("{}") ? "}" : ", " + extraKeys.substring(1)));
    return file;
  }

  private static void flipByte(Path file, long position) throws IOException {
    try (RandomAccessFile bytes = new RandomAccessFile(file.toFile(), "rw")) {
      bytes.seek(position);
      int before = bytes.read();
      bytes.seek(position);
      bytes.write(before ^ 1);
    }
  }

  private List<String> names(String suffix) throws IOException {
    try (var files = Files.walk(models)) {
      return files.map(f -> f.getFileName().toString()).filter(n -> n.endsWith(suffix)).toList();
    }
  }
}
