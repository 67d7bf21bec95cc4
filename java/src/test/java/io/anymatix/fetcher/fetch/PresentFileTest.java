package io.anymatix.fetcher.fetch;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.fetch.FetchResult.Outcome;
import io.anymatix.fetcher.fetch.FetchResult.Verification;
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.Content;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a fetch makes of a file that is there already. */
class PresentFileTest {
  private static final Content CONTENT = Content.safetensors(41, 100_000);
  private static final Content OTHER = Content.safetensors(42, 100_000);
  private static final FileTime LONG_AGO = FileTime.from(Instant.parse("2025-01-01T00:00:00Z"));

  @SuppressWarnings("NullAway.Init") // set by JUnit
  @TempDir
  Path models;

  @SuppressWarnings("NullAway.Init") // set before each test
  private ByteRangeServer server;

  @SuppressWarnings("NullAway.Init") // set before each test
  private Fetcher fetcher;

  @SuppressWarnings("NullAway.Init") // set before each test
  private String url;

  @SuppressWarnings("NullAway.Init") // set before each test
  private Path folder;

  @BeforeEach
  void start() throws IOException {
    server = ByteRangeServer.start();
    url = server.serve("/m.safetensors", CONTENT).url();
    fetcher = new Fetcher(Config.builder().allowHttp(true).allowPrivateHosts(true).build());
    folder = Files.createDirectories(models.resolve("loras"));
    fetcher.setRoots(
        new Fetcher.RootsRequest(null, Map.of("loras", List.of(folder.toString())), null));
  }

  @AfterEach
  void stop() {
    fetcher.close();
    server.close();
  }

  @Test
  void aCallersHashThatIsProvenAlreadyTakesNeitherARequestNorHashing() throws Exception {
    FetchResult first = fetch(null, null);
    // Proven means that it is not hashed again: other bytes of that length go unnoticed.
    OTHER.writeTo(Path.of(first.path()), OTHER.lengthBytes());
    int requests = server.requests().size();
    FetchResult again = fetch(CONTENT.sha256(), null);
    assertEquals(Outcome.PRESENT, again.outcome());
    assertEquals(Verification.SHA256_CALLER, again.verification());
    assertEquals(requests, server.requests().size());
  }

  @Test
  void aCallersHashThatIsNotProvenIsMeasuredAndRecorded() throws Exception {
    Path sidecarFile = leave(CONTENT);
    FetchResult result = fetch(CONTENT.sha256(), null);
    assertEquals(Outcome.PRESENT, result.outcome());
    assertEquals(Verification.SHA256_CALLER, result.verification());
    assertEquals(List.of(), server.requests());
    String text = Files.readString(sidecarFile);
    assertTrue(text.contains("\"sha256\": \"" + CONTENT.sha256() + "\""), text);
    assertTrue(text.contains("\"verification\": \"sha256\""), text);
  }

  @Test
  void aFileThatHasNotTheCallersHashIsFetchedAgain() throws Exception {
    leave(OTHER);
    FetchResult result = fetch(CONTENT.sha256(), null);
    assertEquals(Outcome.DOWNLOADED, result.outcome());
    assertEquals(CONTENT.sha256(), result.sha256());
    assertEquals(-1, CONTENT.mismatch(Path.of(result.path())));
  }

  @Test
  void aProvenFileOfAnotherHashIsFetchedAgain() throws Exception {
    fetch(null, null);
    server.serve("/m.safetensors", OTHER);
    FetchResult result = fetch(OTHER.sha256(), null);
    assertEquals(Outcome.DOWNLOADED, result.outcome());
    assertEquals(-1, OTHER.mismatch(Path.of(result.path())));
  }

  @Test
  void aHashThatNobodyHasLeavesThePresentFileAlone() throws Exception {
    FetchResult first = fetch(null, null);
    FetchException failure = assertThrows(FetchException.class, () -> fetch("ab".repeat(32), null));
    assertEquals(FailureKind.INTEGRITY, failure.kind());
    assertEquals(-1, CONTENT.mismatch(Path.of(first.path())));
    assertEquals(Outcome.PRESENT, fetch(null, null).outcome());
  }

  @Test
  void aUseIsNotedInTheModelsTimeForThoseWhoCleanUp() throws Exception {
    Path file = Path.of(fetch(null, null).path());
    Files.setLastModifiedTime(file, LONG_AGO);
    fetch(null, null);
    Instant used = Files.getLastModifiedTime(file).toInstant();
    assertTrue(used.isAfter(Instant.now().minusSeconds(60)), used.toString());
  }

  @Test
  void aSearchLeavesTheAccessTimesOfSidecarFiles() throws Exception {
    Path other = Path.of(fetch(null, null).sidecarPath());
    Files.setAttribute(other, "lastAccessTime", LONG_AGO);
    fetcher.fetch(request(server.serve("/b.safetensors", OTHER).url(), null, null), new Download());
    assertEquals(LONG_AGO, Files.getAttribute(other, "lastAccessTime"));
  }

  @Test
  void aLoaderIsToldThePlainNameBelowTheFolderOfTheTable() throws Exception {
    FetchResult named = fetch(null, "plain.safetensors");
    assertEquals("plain.safetensors", named.relativeName());
    assertTrue(Files.isSameFile(folder.resolve("plain.safetensors"), Path.of(named.path())));
    Path below = folder.resolve("sub").resolve("style");
    FetchResult deeper =
        fetcher.fetch(
            new FetchRequest(
                url, null, below.toString(), null, null, "p.safetensors", null, null, null),
            new Download());
    assertEquals(Path.of("sub", "style", "p.safetensors").toString(), deeper.relativeName());
    assertEquals(named.fileName(), fetch(null, null).relativeName(), "without a plain name");
  }

  /** Leaves a file with a sidecar that states its length alone, as other versions do. */
  private Path leave(Content content) throws IOException {
    content.writeTo(folder.resolve("theirs.safetensors"), content.lengthBytes());
    return Files.writeString(
        folder.resolve(Sha256.ofUtf8(url).hex() + ".json"),
        "{\"url\": \"%s\", \"file_name\": \"theirs.safetensors\", \"file_size\": %d}"
            .formatted(url, content.lengthBytes()));
  }

  private FetchResult fetch(@Nullable String sha256, @Nullable String name) {
    return fetcher.fetch(request(url, sha256, name), new Download());
  }

  private static FetchRequest request(String url, @Nullable String sha256, @Nullable String name) {
    return new FetchRequest(url, "loras", null, null, sha256, name, null, null, null);
  }
}
