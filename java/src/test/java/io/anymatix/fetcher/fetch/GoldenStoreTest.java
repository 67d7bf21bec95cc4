package io.anymatix.fetcher.fetch;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.failure.FetchException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/**
 * Plays the cases of {@code golden/cases.json}: what a fetch leaves on disk, byte for byte, and
 * that the stores of every earlier version are found whole. What is expected, and why, is told in
 * {@code golden/README.md}.
 */
class GoldenStoreTest {
  private static final List<String> HOSTS =
      List.of("huggingface.co", "cdn.example.org", "models.example.org", "civitai.com");
  private static final JsonNode GOLDEN = golden();

  @SuppressWarnings("NullAway.Init") // set before the first test
  @TempDir
  static Path scratch;

  @SuppressWarnings("NullAway.Init") // set before the first test
  private static RouteServer server;

  @BeforeAll
  static void startServer() throws Exception {
    server = RouteServer.start(scratch, HOSTS);
  }

  @AfterAll
  static void stopServer() {
    server.close();
  }

  @TestFactory
  Stream<DynamicTest> aCaseLeavesExactlyTheExpectedStore() {
    return cases()
        .filter(golden -> golden.has("steps"))
        .map(
            golden ->
                DynamicTest.dynamicTest(
                    golden.get("id").asText() + " " + golden.get("description").asText(),
                    () -> play(golden)));
  }

  @TestFactory
  Stream<DynamicTest> aStoreOfAnEarlierVersionNeedsNoRequest() {
    List<DynamicTest> tests = new ArrayList<>();
    cases()
        .forEach(
            golden -> {
              for (JsonNode legacy : golden.path("legacyStores")) {
                tests.add(
                    DynamicTest.dynamicTest(
                        golden.get("id").asText() + " by " + legacy.get("writtenBy"),
                        () -> findOffline(legacy)));
              }
            });
    return tests.stream();
  }

  private static Stream<JsonNode> cases() {
    List<JsonNode> cases = new ArrayList<>();
    GOLDEN.get("cases").forEach(cases::add);
    return cases.stream();
  }

  private static JsonNode golden() {
    try (InputStream file = GoldenStoreTest.class.getResourceAsStream("/golden/cases.json")) {
      assertNotNull(file);
      return new ObjectMapper().readTree(file);
    } catch (IOException e) {
      throw new ExceptionInInitializerError(e);
    }
  }

  private static void play(JsonNode golden) throws Exception {
    try (Comfy comfy = new Comfy()) {
      server.serve(golden.path("routes"));
      JsonNode store = JsonNodeFactory.instance.objectNode();
      for (JsonNode step : golden.get("steps")) {
        switch (step.get("op").asText()) {
          case "seed" -> comfy.seed(step.get("files"));
          case "routes" -> server.serve(step.get("routes"));
          default -> {
            comfy.play(step);
            store = step.get("expected").has("store") ? step.get("expected").get("store") : store;
            comfy.assertStore(store);
          }
        }
      }
    }
  }

  private static void findOffline(JsonNode legacy) throws Exception {
    try (Comfy comfy = new Comfy()) {
      server.serve(JsonNodeFactory.instance.arrayNode());
      comfy.seed(legacy.get("files"));
      Map<String, byte[]> seeded = comfy.files();
      comfy.setOffline(true);
      JsonNode expected = legacy.get("expected");
      FetchRequest request = comfy.request(legacy);
      String urlHash = expected.get("urlHash").asText();
      boolean underOwnHash = expected.has("path");

      assertEquals(urlHash, comfy.fetcher.fingerprint(request));
      FetchResult found = comfy.fetcher.fetch(request, new Download());

      assertEquals(expected.get("outcome").asText(), found.outcome().wireName());
      assertEquals(urlHash, found.urlHash());
      String model = expected.get(underOwnHash ? "path" : "copyOf").asText();
      assertArrayEquals(seeded.get(model), Files.readAllBytes(Path.of(found.path())));
      if (underOwnHash) {
        assertEquals(comfy.path(model), Path.of(found.path()));
      }
      Map<String, byte[]> left = comfy.files();
      if (found.outcome() == FetchResult.Outcome.PRESENT) {
        seeded.forEach((path, bytes) -> assertArrayEquals(bytes, left.get(path), path));
        assertTrue(!underOwnHash || left.keySet().equals(seeded.keySet()), left::toString);
      }
      assertEquals(urlHash, comfy.fetcher.fingerprint(request));
      assertEquals(
          FetchResult.Outcome.PRESENT,
          comfy.fetcher.fetch(request, new Download()).outcome(),
          "the second time");
      assertEquals(List.of(), server.requests());
    }
  }

  /** A ComfyUI base folder with a fetcher on it. */
  private static final class Comfy implements AutoCloseable {
    private final Path base;
    private final Fetcher fetcher;

    Comfy() throws IOException {
      base = Files.createTempDirectory(scratch, "comfy");
      Path models = Files.createDirectory(base.resolve("models"));
      fetcher =
          new Fetcher(
              Config.builder()
                  .connectTo(List.of("::127.0.0.1:" + server.port()))
                  .certificates(List.of(server.certificate()))
                  .acceptAnyContent(true)
                  .build());
      Map<String, List<String>> folders = new LinkedHashMap<>();
      for (Map.Entry<String, JsonNode> folder : GOLDEN.get("folders").properties()) {
        List<String> paths = new ArrayList<>();
        folder.getValue().forEach(name -> paths.add(models.resolve(name.asText()).toString()));
        folders.put(folder.getKey(), paths);
      }
      fetcher.setRoots(new Fetcher.RootsRequest(models.toString(), folders, null));
    }

    @Override
    public void close() {
      fetcher.close();
    }

    void play(JsonNode step) throws Exception {
      JsonNode expected = step.get("expected");
      setOffline(step.path("offline").asBoolean());
      int requestsBefore = server.requests().size();
      switch (step.get("op").asText()) {
        case "node", "download_file" -> fetch(step, expected);
        case "is_changed" ->
            assertEquals(
                expected.get("fingerprint").textValue(), fetcher.fingerprint(request(step)));
        case "delete_files" -> delete(step.get("url").asText());
        default -> throw new AssertionError("unknown step: " + step);
      }
      List<String> requests = server.requests();
      if (expected.has("requests")) {
        assertEquals(List.of(), requests.subList(requestsBefore, requests.size()));
      }
    }

    private void fetch(JsonNode step, JsonNode expected) throws Exception {
      Download download = new Download();
      if (step.has("stop_after_bytes")) {
        fetchAndStop(step, download);
        return;
      }
      if (expected.has("error")) {
        FetchException failure =
            assertThrows(
                FetchException.class, () -> fetcher.fetch(request(step), download), "no failure");
        assertEquals(expected.get("error").asText(), failure.kind().wireName(), failure::toString);
        return;
      }
      FetchResult result = fetcher.fetch(request(step), download);
      Path model = path(expected.get("path").asText());
      assertEquals(expected.get("outcome").asText(), result.outcome().wireName());
      assertEquals(model, Path.of(result.path()));
      assertEquals(model.getFileName().toString(), result.fileName());
      assertEquals(Files.size(model), result.fileSize());
      assertEquals(expected.get("urlHash").asText(), result.urlHash());
      assertEquals(
          model.resolveSibling(result.urlHash() + ".json").toString(), result.sidecarPath());
    }

    private void fetchAndStop(JsonNode step, Download download) throws Exception {
      RouteServer.Hold hold = server.holdBodiesAfter(step.get("stop_after_bytes").asLong());
      try {
        CompletableFuture<FetchResult> running =
            CompletableFuture.supplyAsync(() -> fetcher.fetch(request(step), download));
        assertTrue(hold.awaitReached(), "no body was asked for");
        long giveUp = System.nanoTime() + TimeUnit.SECONDS.toNanos(15);
        while (download.snapshot().receivedBytes() < step.get("stop_after_bytes").asLong()) {
          assertTrue(System.nanoTime() < giveUp, () -> "stuck at " + download.snapshot());
          LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(1));
        }
        download.cancel();
        CompletionException ended = assertThrows(CompletionException.class, running::join);
        assertInstanceOf(CancelledException.class, ended.getCause());
        // A cancelled fetch does not wait long for its transfer to leave the part in order.
        Depot.await(() -> fetcher.activity().active() == 0, "the download has ended");
      } finally {
        hold.release();
      }
    }

    private void delete(String url) throws IOException {
      Set<String> gone = new HashSet<>(files().keySet());
      Fetcher.DeleteResult result = fetcher.delete(url, null, null);
      gone.removeAll(files().keySet());
      Set<Path> named = new HashSet<>();
      result.deleted().forEach(path -> named.add(Path.of(path)));
      Set<Path> missing = new HashSet<>();
      gone.forEach(path -> missing.add(path(path)));
      assertEquals(missing, named);
    }

    FetchRequest request(JsonNode step) {
      JsonNode what = step.get("url");
      String dir = step.has("dir") ? path(step.get("dir").asText()).toString() : null;
      return what.isTextual()
          ? new FetchRequest(what.asText(), null, dir, null, null, null, null, null, null)
          : new FetchRequest(
              what.get("url").asText(),
              what.get("type").asText(),
              null,
              what.path("auth").textValue(),
              null,
              null,
              null,
              null,
              null);
    }

    void setOffline(boolean offline) {
      fetcher.setOptions(new Fetcher.OptionsRequest(null, null, null, offline));
    }

    void seed(JsonNode files) throws IOException {
      for (Map.Entry<String, JsonNode> file : files.properties()) {
        Path path = path(file.getKey());
        Files.createDirectories(path.getParent());
        Files.write(path, GoldenBody.of(file.getValue()).bytes());
      }
    }

    /** Aborts the case where the platform has no such name. */
    Path path(String relative) {
      try {
        return base.resolve(relative);
      } catch (InvalidPathException e) {
        return Assumptions.abort("no file can be called " + relative + " here");
      }
    }

    Map<String, byte[]> files() throws IOException {
      Map<String, byte[]> files = new TreeMap<>();
      try (Stream<Path> all = Files.walk(base)) {
        for (Path path : all.filter(each -> !Files.isDirectory(each)).toList()) {
          String relative = base.relativize(path).toString();
          files.put(
              relative.replace(path.getFileSystem().getSeparator(), "/"), Files.readAllBytes(path));
        }
      }
      return files;
    }

    void assertStore(JsonNode expected) throws IOException {
      Map<String, byte[]> files = files();
      Map<String, String> expectedText = new TreeMap<>();
      Map<String, String> foundText = new TreeMap<>();
      for (Map.Entry<String, JsonNode> entry : expected.properties()) {
        JsonNode content = entry.getValue();
        if (content.has("optional")) {
          files.remove(entry.getKey());
        } else if (content.has("prefixOf")) {
          assertPart(GoldenBody.of(content.get("prefixOf")), files.remove(entry.getKey()));
        } else {
          expectedText.put(entry.getKey(), described(content));
        }
      }
      files.forEach(
          (path, bytes) -> foundText.put(path, described(bytes, expected.path(path).has("text"))));
      assertEquals(expectedText, foundText);
    }

    /**
     * A part holds a prefix, or is as long as the whole and has a journal to tell what it holds.
     */
    private static void assertPart(GoldenBody whole, byte @Nullable [] part) {
      assertNotNull(part, "the part is gone");
      if (part.length < whole.lengthBytes()) {
        assertArrayEquals(Arrays.copyOf(whole.bytes(), part.length), part);
      } else {
        assertEquals(whole.lengthBytes(), part.length);
      }
    }

    private static String described(JsonNode content) {
      return content.has("text")
          ? content.get("text").asText()
          : content.get("size").asText() + " bytes, " + content.get("sha256").asText();
    }

    private static String described(byte[] bytes, boolean asText) {
      return asText
          ? new String(bytes, UTF_8)
          : bytes.length + " bytes, " + Sha256.finish(digestOf(bytes));
    }

    private static MessageDigest digestOf(byte[] bytes) {
      MessageDigest digest = Sha256.newDigest();
      digest.update(bytes);
      return digest;
    }
  }
}
