package io.anymatix.fetcher.fetch;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.failure.InvalidParamsException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Packs of files and annotator files (store contract 5 and 4.2). */
class VirtualTypesTest {
  private static final String HUB = "https://huggingface.co";
  private static final String PACK_URL = HUB + "/o/r/resolve/v1";
  private static final List<String> PACK_FILES =
      List.of(
          "ve.safetensors",
          "t3_cfg.safetensors",
          "s3gen.safetensors",
          "tokenizer.json",
          "conds.pt");
  private static final String ONNX_URL = HUB + "/yzd-v/DWPose/resolve/main/yolox_l.onnx";

  @SuppressWarnings("NullAway.Init") // set before the first test
  @TempDir
  static Path scratch;

  @SuppressWarnings("NullAway.Init") // set before the first test
  private static RouteServer server;

  @SuppressWarnings("NullAway.Init") // set before each test
  @TempDir
  Path base;

  @SuppressWarnings("NullAway.Init") // set before each test
  private Path models;

  @SuppressWarnings("NullAway.Init") // set before each test
  private Fetcher fetcher;

  private final ArrayNode routes = JsonNodeFactory.instance.arrayNode();

  @BeforeAll
  static void startServer() throws Exception {
    server = RouteServer.start(scratch, List.of("huggingface.co", "mirror.example"));
  }

  @AfterAll
  static void stopServer() {
    server.close();
  }

  @BeforeEach
  void startFetcher() throws Exception {
    models = Files.createDirectories(base.toRealPath().resolve("models"));
    fetcher = fetcher(Map.of());
    server.serve(routes);
  }

  @AfterEach
  void closeFetcher() {
    fetcher.close();
  }

  @Test
  void aPackIsItsFilesUnderStoredAndPlainNamesAndAnswersWithItsName() throws Exception {
    servePack("v1", "first");
    FetchResult result = fetch(PACK_URL, "chatterbox_model_pack");
    Path folder = models.resolve("tts/chatterbox/resembleai_default_voice");
    assertEquals("resembleai_default_voice", result.relativeName());
    assertEquals("resembleai_default_voice", result.fileName());
    assertEquals(folder.toString(), result.path());
    assertNull(result.sidecarPath());
    assertEquals(FetchResult.Outcome.DOWNLOADED, result.outcome());
    long bytes = 0;
    for (String file : PACK_FILES) {
      assertEquals(body("first", file), Files.readString(folder.resolve(file)));
      String urlHash = Sha256.ofUtf8(PACK_URL + "/" + file).hex();
      int dot = file.lastIndexOf('.');
      String stored = file.substring(0, dot) + "_" + urlHash + file.substring(dot);
      assertTrue(Files.isSameFile(folder.resolve(file), folder.resolve(stored)));
      assertTrue(Files.exists(folder.resolve(urlHash + ".json")));
      bytes += Files.size(folder.resolve(file));
    }
    assertEquals(bytes, result.fileSize());
    assertEquals(3 * PACK_FILES.size(), files(folder).size());
  }

  @Test
  void theMultilingualPackHasAFolderAndFilesOfItsOwn() throws Exception {
    List<String> names =
        List.of(
            "ve.pt",
            "t3_mtl23ls_v2.safetensors",
            "s3gen.pt",
            "grapheme_mtl_merged_expanded_v1.json",
            "conds.pt",
            "Cangjie5_TC.json");
    for (String name : names) {
      serve("/o/r/resolve/abc123/" + name, name.endsWith(".json") ? "{}" : name);
    }
    FetchResult result = fetch(HUB + "/o/r/resolve/abc123/", "chatterbox_multilingual_pack");
    assertEquals("chatterbox_multilingual", result.relativeName());
    Set<String> present = files(models.resolve("chatterbox/chatterbox_multilingual"));
    assertTrue(present.containsAll(names), present::toString);
  }

  @Test
  void aPackThatIsThereCostsNoRequest() throws Exception {
    servePack("v1", "first");
    fetch(PACK_URL, "chatterbox_model_pack");
    server.serve(JsonNodeFactory.instance.arrayNode());
    FetchResult again = fetch(PACK_URL, "chatterbox_model_pack");
    assertEquals(FetchResult.Outcome.PRESENT, again.outcome());
    assertEquals(List.of(), server.requests());
  }

  @Test
  void anotherRevisionTakesThePlainNamesOverAndTheFirstCanTakeThemBack() throws Exception {
    servePack("v1", "first");
    servePack("v2", "other");
    Path plain = models.resolve("tts/chatterbox/resembleai_default_voice/conds.pt");
    for (String revision : List.of("v1", "v2", "v1")) {
      fetch(HUB + "/o/r/resolve/" + revision, "chatterbox_model_pack");
      String content = revision.equals("v1") ? "first" : "other";
      assertEquals(body(content, "conds.pt"), Files.readString(plain), revision);
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "https://huggingface.co/o/r",
        "https://huggingface.co/o/r/tree/main",
        "https://huggingface.co/o/r/resolve/",
        "https://huggingface.co/o/r/resolve/main/ve.safetensors",
        "https://huggingface.co/o/r/resolve/refs/pr/1",
        "https://huggingface.co/o/r/resolve/main?x=1",
        "https://huggingface.co.example.org/o/r/resolve/main",
        "http://huggingface.co/o/r/resolve/main",
        "https://example.org/o/r/resolve/main"
      })
  void aPackOfAnotherFormIsRefusedBeforeAnythingIsAskedOrWritten(String url) throws Exception {
    FetchException refused =
        assertThrows(FetchException.class, () -> fetch(url, "chatterbox_model_pack"));
    assertEquals(FailureKind.UNSUPPORTED, refused.kind());
    assertTrue(refused.hint().contains("resolve/REVISION"), refused.hint());
    assertEquals(List.of(), server.requests());
    assertEquals(Set.of(), files(models));
  }

  @Test
  void aPackIsUnchangedOnlyWhileEveryFileIsThereUnderBothNames() throws Exception {
    assertNull(fingerprint(PACK_URL, "chatterbox_model_pack"));
    servePack("v1", "first");
    fetch(PACK_URL, "chatterbox_model_pack");
    String unchanged = Sha256.ofUtf8(PACK_URL).hex();
    assertEquals(unchanged, fingerprint(PACK_URL, "chatterbox_model_pack"));
    Path folder = models.resolve("tts/chatterbox/resembleai_default_voice");
    for (String name : files(folder)) {
      Path away = base.resolve("away");
      Files.move(folder.resolve(name), away);
      assertNull(fingerprint(PACK_URL, "chatterbox_model_pack"), name);
      Files.move(away, folder.resolve(name));
    }
    assertEquals(unchanged, fingerprint(PACK_URL, "chatterbox_model_pack"));
  }

  @Test
  void aFileThatIsMissingFailsThePackAndTheOthersStay() throws Exception {
    servePack("v1", "first");
    routes.remove(routes.size() - 1);
    FetchException failure =
        assertThrows(FetchException.class, () -> fetch(PACK_URL, "chatterbox_model_pack"));
    assertEquals(FailureKind.NOT_FOUND, failure.kind());
    assertNull(fingerprint(PACK_URL, "chatterbox_model_pack"));
    assertTrue(
        files(models.resolve("tts/chatterbox/resembleai_default_voice"))
            .contains("tokenizer.json"));
  }

  @Test
  void deletingAPackTakesAllOfItsFilesAlong() throws Exception {
    servePack("v1", "first");
    fetch(PACK_URL, "chatterbox_model_pack");
    fetcher.delete(PACK_URL, "chatterbox_model_pack", null);
    assertEquals(Set.of(), files(models.resolve("tts/chatterbox/resembleai_default_voice")));
  }

  @ParameterizedTest
  @CsvSource({
    "dwpose_aux, yzd-v/DWPose/resolve/main/yolox_l.onnx, yolox_l.onnx",
    "dwpose_aux, hr16/x/resolve/0abc12/sub/dir/dw.torchscript.pt, sub/dir/dw.torchscript.pt",
    "hed, lllyasviel/Annotators/resolve/main/ControlNetHED.pth, ControlNetHED.pth",
    "depth_anything_v2_checkpoint, org/Repo-L/resolve/main/v2.pth, org/Repo-L/v2.pth",
    "depth_anything_v2_checkpoint, org/Repo/resolve/x/sub/v2.pth, org/Repo/sub/v2.pth"
  })
  void anAnnotatorFileHasItsPlainNameAndNothingBesideIt(String type, String path, String where)
      throws Exception {
    serve("/" + path, "weights");
    FetchResult result = fetch(HUB + "/" + path, type);
    Path file = models.resolve("annotator_ckpts").resolve(where);
    assertEquals(file.toString(), result.path());
    assertEquals(file.getFileName().toString(), result.relativeName());
    assertEquals(FetchResult.Outcome.DOWNLOADED, result.outcome());
    assertEquals(Sha256.ofUtf8("weights").hex(), result.sha256());
    assertNull(result.sidecarPath());
    assertEquals("weights", Files.readString(file));
    assertEquals(Set.of(file.getFileName().toString()), files(file.resolveSibling("")));
  }

  @Test
  void anAnnotatorFileThatIsThereIsTakenAsItIs() throws Exception {
    Path file = Files.createDirectories(models.resolve("annotator_ckpts")).resolve("yolox_l.onnx");
    Files.writeString(file, "the user's own");
    FetchResult result = fetch(ONNX_URL, "dwpose_aux");
    assertEquals(FetchResult.Outcome.PRESENT, result.outcome());
    assertEquals(14, result.fileSize());
    assertEquals("the user's own", Files.readString(file));
    assertEquals(List.of(), server.requests());
  }

  @Test
  void anAnnotatorFileWithoutTheHashThatTheCallerStatesIsFetchedAgain() throws Exception {
    Path file = Files.createDirectories(models.resolve("annotator_ckpts")).resolve("yolox_l.onnx");
    Files.writeString(file, "outdated");
    serve("/yzd-v/DWPose/resolve/main/yolox_l.onnx", "weights");
    String sha256 = Sha256.ofUtf8("weights").hex();
    for (FetchResult.Outcome outcome :
        List.of(FetchResult.Outcome.DOWNLOADED, FetchResult.Outcome.PRESENT)) {
      FetchResult result =
          fetcher.fetch(
              new FetchRequest(ONNX_URL, "dwpose_aux", null, null, sha256, null, null, null, null),
              new Download());
      assertEquals(outcome, result.outcome());
      assertEquals(FetchResult.Verification.SHA256_CALLER, result.verification());
      assertEquals("weights", Files.readString(file));
    }
  }

  @Test
  void anAnnotatorFileWithAnotherHashThanTheHubsIsNotKept() throws Exception {
    ObjectNode route = serve("/yzd-v/DWPose/resolve/main/yolox_l.onnx", "damaged");
    route
        .putArray("headers")
        .addArray()
        .add("X-Linked-Etag")
        .add("\"" + Sha256.ofUtf8("weights").hex() + "\"");
    FetchException failure =
        assertThrows(FetchException.class, () -> fetch(ONNX_URL, "dwpose_aux"));
    assertEquals(FailureKind.INTEGRITY, failure.kind());
    assertEquals(Set.of(), files(models.resolve("annotator_ckpts")));
  }

  @Test
  void anInterruptedAnnotatorFileIsAPartAndIsResumed() throws Exception {
    ObjectNode route = serve("/yzd-v/DWPose/resolve/main/yolox_l.onnx", "");
    route.putObject("body").put("size", 200_000).put("seed", 7);
    Path folder = models.resolve("annotator_ckpts");
    RouteServer.Hold hold = server.holdBodiesAfter(100_000);
    Download download = new Download();
    try {
      CompletableFuture<FetchResult> running =
          CompletableFuture.supplyAsync(() -> fetcher.fetch(request(ONNX_URL, "hed"), download));
      assertTrue(hold.awaitReached(), "no body was asked for");
      long giveUp = System.nanoTime() + TimeUnit.SECONDS.toNanos(15);
      while (download.snapshot().receivedBytes() < 100_000) {
        assertTrue(System.nanoTime() < giveUp, () -> "stuck at " + download.snapshot());
        LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(1));
      }
      download.cancel();
      CompletionException ended = assertThrows(CompletionException.class, running::join);
      assertInstanceOf(CancelledException.class, ended.getCause());
    } finally {
      hold.release();
    }
    assertTrue(files(folder).contains("yolox_l.onnx.part"), () -> files(folder).toString());
    assertFalse(Files.exists(folder.resolve("yolox_l.onnx")));
    assertNull(fingerprint(ONNX_URL, "hed"));
    FetchResult result = fetch(ONNX_URL, "hed");
    assertEquals(FetchResult.Outcome.RESUMED, result.outcome());
    assertEquals(200_000, Files.size(folder.resolve("yolox_l.onnx")));
    assertEquals(Set.of("yolox_l.onnx"), files(folder));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "https://huggingface.co/o/r/resolve/main",
        "https://huggingface.co/o/r/resolve/main/",
        "https://huggingface.co/o/r/blob/main/x.onnx",
        "https://huggingface.co/datasets/o/r/resolve/main/x.onnx",
        "https://example.org/o/r/resolve/main/x.onnx",
        "https://huggingface.co/o/r/resolve/main/../../x.onnx",
        "https://huggingface.co/o/r/resolve/main/a\\b.onnx",
        "https://huggingface.co/o/r/resolve/main/x.py"
      })
  void anAnnotatorLinkOfAnotherFormIsRefusedBeforeAnythingIsAskedOrWritten(String url) {
    FetchException refused = assertThrows(FetchException.class, () -> fetch(url, "dwpose_aux"));
    assertTrue(
        Set.of(FailureKind.UNSUPPORTED, FailureKind.POLICY).contains(refused.kind()),
        () -> refused.kind() + " " + refused.getMessage());
    assertEquals(List.of(), server.requests());
    assertEquals(Set.of(), files(models));
  }

  @Test
  void anAnnotatorFileIsUnchangedWhileItIsThere() throws Exception {
    serve("/yzd-v/DWPose/resolve/main/yolox_l.onnx", "weights");
    assertNull(fingerprint(ONNX_URL, "dwpose_aux"));
    String path = fetch(ONNX_URL, "dwpose_aux").path();
    assertEquals(Sha256.ofUtf8(ONNX_URL).hex(), fingerprint(ONNX_URL, "dwpose_aux"));
    FetchRequest withToken =
        new FetchRequest(ONNX_URL, "dwpose_aux", null, "token=x", null, null, null, null, null);
    assertEquals(Sha256.ofUtf8(ONNX_URL + "?token=x").hex(), fetcher.fingerprint(withToken));
    Files.delete(Path.of(path));
    assertNull(fingerprint(ONNX_URL, "dwpose_aux"));
  }

  @Test
  void theOwnersVariableNamesTheFolderAlthoughItIsNoRoot() throws Exception {
    Path folder = Files.createDirectories(base.toRealPath().resolve("ckpts"));
    serve("/yzd-v/DWPose/resolve/main/yolox_l.onnx", "weights");
    try (Fetcher owners = fetcher(Map.of(VirtualTypes.ANNOTATOR_VARIABLE, folder.toString()))) {
      owners.fetch(request(ONNX_URL, "dwpose_aux"), new Download());
      assertEquals("weights", Files.readString(folder.resolve("yolox_l.onnx")));
      FetchRequest elsewhere =
          new FetchRequest(ONNX_URL, null, folder.toString(), null, null, null, null, null, null);
      FetchException refused =
          assertThrows(FetchException.class, () -> owners.fetch(elsewhere, new Download()));
      assertEquals(FailureKind.POLICY, refused.kind(), "it became a root for others");
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"relative/ckpts", "/somewhere/custom_nodes/pack/ckpts"})
  void aRelativeFolderAndOneAmongPacksAreRefused(String folder) {
    try (Fetcher owners = fetcher(Map.of(VirtualTypes.ANNOTATOR_VARIABLE, folder))) {
      assertThrows(
          InvalidParamsException.class,
          () -> owners.fetch(request(ONNX_URL, "dwpose_aux"), new Download()));
    }
  }

  @Test
  void aLinkOutOfTheAnnotatorsFolderIsNotFollowed() throws Exception {
    Path outside = Files.createDirectories(base.toRealPath().resolve("outside"));
    Path folder = Files.createDirectories(models.resolve("annotator_ckpts"));
    Files.createSymbolicLink(folder.resolve("sub"), outside);
    String url = HUB + "/o/r/resolve/main/sub/x.onnx";
    FetchException refused = assertThrows(FetchException.class, () -> fetch(url, "dwpose_aux"));
    assertEquals(FailureKind.POLICY, refused.kind());
  }

  @ParameterizedTest
  @ValueSource(strings = {"https://mirror.example/hub", "https://mirror.example/hub/"})
  void linksBelowTheOwnersEndpointAreOfTheHub(String endpoint) throws Exception {
    servePack("mirror.example", "/hub/o/r/resolve/v1", "first");
    serve("mirror.example", "/hub/yzd-v/DWPose/resolve/main/sub/yolox_l.onnx", "weights");
    try (Fetcher owners = fetcher(Map.of("HF_ENDPOINT", endpoint))) {
      for (String hub : List.of(HUB, "https://mirror.example/hub")) {
        String packUrl = hub + "/o/r/resolve/v1";
        FetchRequest pack = request(packUrl, "chatterbox_model_pack");
        FetchResult result = owners.fetch(pack, new Download());
        assertEquals(FetchResult.Outcome.DOWNLOADED, result.outcome(), packUrl);
        assertEquals(Sha256.ofUtf8(packUrl).hex(), owners.fingerprint(pack));
      }
      FetchRequest nested =
          request(
              "https://mirror.example/hub/yzd-v/DWPose/resolve/main/sub/yolox_l.onnx",
              "depth_anything_v2_checkpoint");
      Path file = models.resolve("annotator_ckpts/yzd-v/DWPose/sub/yolox_l.onnx");
      assertEquals(file.toString(), owners.fetch(nested, new Download()).path());
      assertEquals("weights", Files.readString(file));
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "https://mirror.example/o/r/resolve/v1",
        "https://mirror.example/hubs/o/r/resolve/v1",
        "https://mirror.example.org/hub/o/r/resolve/v1",
        "http://mirror.example/hub/o/r/resolve/v1"
      })
  void aLinkBesideTheOwnersEndpointIsNot(String url) {
    try (Fetcher owners = fetcher(Map.of("HF_ENDPOINT", "https://mirror.example/hub"))) {
      FetchException refused =
          assertThrows(
              FetchException.class,
              () -> owners.fetch(request(url, "chatterbox_model_pack"), new Download()));
      assertEquals(FailureKind.UNSUPPORTED, refused.kind());
      assertEquals(List.of(), server.requests());
    }
  }

  @Test
  void deletingAnAnnotatorFileLeavesItAndSaysWhy() throws Exception {
    Path file = Files.createDirectories(models.resolve("annotator_ckpts")).resolve("yolox_l.onnx");
    Files.writeString(file, "somebody's");
    Fetcher.DeleteResult result = fetcher.delete(ONNX_URL, "dwpose_aux", null);
    assertEquals(List.of(), result.deleted());
    assertEquals(file.toString(), result.kept().get(0).path());
    assertTrue(Files.exists(file));
  }

  @Test
  void aFolderThatTheCallerNamesWinsOverTheType() throws Exception {
    serve("/yzd-v/DWPose/resolve/main/yolox_l.onnx", "weights");
    String dir = models.resolve("mine").toString();
    FetchRequest request =
        new FetchRequest(ONNX_URL, "dwpose_aux", dir, null, null, null, null, null, null);
    FetchResult result = fetcher.fetch(request, new Download());
    assertEquals(Path.of(dir), Path.of(result.path()).getParent());
    assertTrue(result.fileName().startsWith("yolox_l_"), result.fileName());
  }

  private Fetcher fetcher(Map<String, String> environment) {
    Fetcher started =
        new Fetcher(
            Config.builder()
                .connectTo(List.of("::127.0.0.1:" + server.port()))
                .certificates(List.of(server.certificate()))
                .acceptAnyContent(true)
                .build(),
            environment);
    started.setRoots(new Fetcher.RootsRequest(models.toString(), null, null));
    return started;
  }

  private FetchResult fetch(String url, String type) {
    return fetcher.fetch(request(url, type), new Download());
  }

  private @Nullable String fingerprint(String url, String type) {
    return fetcher.fingerprint(request(url, type));
  }

  private static FetchRequest request(String url, String type) {
    return new FetchRequest(url, type, null, null, null, null, null, null, null);
  }

  private void servePack(String revision, String content) {
    servePack("huggingface.co", "/o/r/resolve/" + revision, content);
  }

  private void servePack(String host, String path, String content) {
    for (String file : PACK_FILES) {
      serve(host, path + "/" + file, body(content, file));
    }
  }

  private static String body(String content, String file) {
    return "\"" + content + " " + file + "\"";
  }

  private ObjectNode serve(String path, String body) {
    return serve("huggingface.co", path, body);
  }

  private ObjectNode serve(String host, String path, String body) {
    ObjectNode route = routes.addObject();
    route.put("host", host).put("path", path).put("ranges", "honoured");
    route.putObject("body").put("text", body);
    route.putArray("headers");
    return route;
  }

  /** The names of the files in a folder; none where there is no folder. */
  private static Set<String> files(Path folder) {
    if (!Files.exists(folder)) {
      return Set.of();
    }
    try (Stream<Path> files = Files.list(folder)) {
      return files
          .map(file -> file.getFileName().toString())
          .collect(Collectors.toCollection(TreeSet::new));
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }
}
