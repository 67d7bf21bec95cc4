package io.anymatix.fetcher;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.Reply;
import io.anymatix.fetcher.testing.SidecarProcess;
import io.anymatix.fetcher.testing.TestCertificates;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What a real sidecar process makes of requests that can not be fulfilled: the documented error, no
 * file anywhere, no word of a secret, and it goes on.
 */
@Timeout(value = 60, unit = TimeUnit.SECONDS)
class BadInputIT {
  private static final String HOST = "models.example.org";
  private static final TestCertificates CERTIFICATES = TestCertificates.forHosts(HOST);
  private static final Content MODEL = Content.safetensors(20_261_121, 4096);
  private static final Duration END_LIMIT = Duration.ofSeconds(10);

  @SuppressWarnings("NullAway.Init") // set by JUnit
  @TempDir
  static Path scratch;

  @SuppressWarnings("NullAway.Init") // set before the first test
  private static Path models;

  @SuppressWarnings("NullAway.Init") // set before the first test
  private static ByteRangeServer server;

  /** Serves all tests, so that what one of them breaks the next one sees. */
  @SuppressWarnings("NullAway.Init") // set before the first test
  private static SidecarProcess sidecar;

  @SuppressWarnings("NullAway.Init") // set before each test
  private Set<Path> filesBefore;

  private int requestsBefore;

  @BeforeAll
  static void start() throws IOException {
    models = Files.createDirectories(scratch.resolve("root/models"));
    Path outside = Files.createDirectories(scratch.resolve("root/outside"));
    Files.createSymbolicLink(models.resolve("leads-out"), outside);
    server = ByteRangeServer.startTls(CERTIFICATES.serverContext());
    sidecar = startSidecar();
  }

  /** Reaches the server under a public https name only, as the owner's rules are by default. */
  private static SidecarProcess startSidecar() throws IOException {
    return SidecarProcess.launch(scratch.resolve("home"))
        .arguments("--models-dir", models.toString())
        .arguments("--connect-to", HOST + ":443:127.0.0.1:" + server.port())
        .arguments("--ca-file", CERTIFICATES.caFile().toString())
        .arguments("--log-level", "trace")
        .start();
  }

  @BeforeEach
  void remember() throws IOException {
    filesBefore = filesBelow(scratch.resolve("root"));
    requestsBefore = server.requests().size();
  }

  @AfterEach
  void goesOn() throws InterruptedException {
    assertEquals("\"pong\"", sidecar.result("ping", null).toString());
    assertEquals(List.of(), sidecar.strayOutput());
  }

  @AfterAll
  static void stop() throws Exception {
    try {
      sidecar.closeStdin();
      assertEquals(0, sidecar.awaitExit(END_LIMIT), sidecar::stderr);
    } finally {
      sidecar.close();
      server.close();
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "{\"jsonrpc\":\"2.0\",\"id\":1,                                          | -32700",
        "not json                                                                | -32700",
        "{\"jsonrpc\":\"2.0\",\"id\":1}                                          | -32600",
        "[]                                                                      | -32600",
        "1                                                                       | -32600",
        "{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"ping\"}                      | -32600",
        "{\"jsonrpc\":\"2.0\",\"id\":true,\"method\":\"ping\"}                   | -32600",
        "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"nonsense\"}              | -32601",
        "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"fetch\"}                 | -32602",
        "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"fetch\",\"params\":[7]}  | -32602",
      })
  void anUnusableMessageIsAnsweredWithItsCode(String line, int code) throws Exception {
    int answersBefore = sidecar.unmatched().size();
    sidecar.sendLine(line);
    var unused = sidecar.awaitUnmatched(any -> sidecar.unmatched().size() > answersBefore);
    JsonNode answer = sidecar.unmatched().get(answersBefore);
    assertEquals(code, answer.path("error").path("code").asInt(), answer.toString());
    assertNothingWasWritten();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      emptyValue = "",
      value = {
        "''                      | lora    | ''",
        "' '                     | lora    | ''",
        "https://models.example.org/m | nonsense | ''",
        "https://models.example.org/m | ''       | ''",
        "https://models.example.org/m | ''       | relative/folder",
        "https://models.example.org/m | ''       | ../models",
      })
  void paramsWithoutSenseAreInvalidParams(String url, String type, String dir) throws Exception {
    JsonNode error = failure(params("url", url, "type", type, "dir", dir));
    assertEquals(-32602, error.path("code").asInt(), error.toString());
    assertNothingWasAsked();
  }

  @ParameterizedTest
  @ValueSource(strings = {"url", "type", "dir", "auth", "sha256", "name", "connections"})
  void aParamOfTheWrongTypeIsInvalidParams(String param) throws Exception {
    Map<String, Object> params = params("url", "https://" + HOST + "/m", "type", "lora");
    params.put(param, Map.of("no", "such type"));
    JsonNode error = failure(params);
    assertEquals(-32602, error.path("code").asInt(), error.toString());
    assertNothingWasAsked();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"../outside", "leads-out", "leads-out/deeper", "loras/../../outside", "/"})
  void aFolderOutsideTheRootsIsRefused(String dir) throws Exception {
    JsonNode error =
        failure(params("url", "https://" + HOST + "/m", "dir", models + "/" + dir + "/../" + dir));
    if (dir.equals("/")) {
      error = failure(params("url", "https://" + HOST + "/m", "dir", "/"));
    }
    assertKind("policy", null, error);
    assertNothingWasAsked();
  }

  @ParameterizedTest
  @CsvSource({
    "file:///etc/passwd, unsupported",
    "ftp://models.example.org/m, unsupported",
    "models.example.org/m, unsupported",
    "https://user:password@models.example.org/m, policy",
    "http://models.example.org/m, policy",
    "https://127.0.0.1/m, policy",
    "https://localhost/m, policy",
    "https://[::1]/m, policy",
    "https://[::ffff:10.0.0.1]/m, policy",
    "https://169.254.169.254/latest/meta-data, policy",
    "https://192.168.1.1/m, policy",
    "https://100.64.0.1/m, policy",
    "https://localhost./m, policy",
    "https://0x7f.1/m, policy",
    "https://0177.0.0.1/m, policy",
    "https://[64:ff9b::7f00:1]/m, policy",
    "https://[2002:a9fe:a9fe::]/m, policy",
    "https://metadata.google.internal/computeMetadata/v1/, policy",
    "https://no-such-host.invalid/m, network",
  })
  void aUrlThatMayNotOrCanNotBeReachedIsToldAsSuch(String url, String kind) throws Exception {
    assertKind(kind, null, failure(params("url", url, "type", "lora")));
    assertNothingWasAsked();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "http://models.example.org/m",
        "https://127.0.0.1/m",
        "https://localhost/m",
        "https://localhost./m",
        "https://2130706433/m",
        "https://0x7f.1/m",
        "https://[::ffff:127.0.0.1]/m",
        "https://169.254.169.254/latest/meta-data",
        "https://me:secret@models.example.org/m",
      })
  void aRedirectToWhereTheOwnerForbidsIsRefused(String location) throws Exception {
    server.answer("/m.safetensors", request -> Reply.redirect(302, location));
    assertKind("policy", null, fetchFailure("/m.safetensors"));
    assertEquals(1, requestsAsked());
    assertNothingWasWritten();
  }

  @ParameterizedTest
  @CsvSource({
    "400, server, true",
    "401, auth, false",
    "403, forbidden, false",
    "404, notFound, false",
    "410, gone, false",
    "429, rateLimited, true",
    "500, server, true",
  })
  void aStatusIsToldAsItsKind(int status, String kind, boolean retryable) throws Exception {
    // More than is ever waited for in all, so that the answer comes at once.
    Reply reply = Reply.status(status).retryAfter(Duration.ofHours(1));
    server.answer("/m.safetensors", request -> reply);
    JsonNode error = fetchFailure("/m.safetensors");
    assertKind(kind, status, error);
    assertEquals(retryable, error.path("data").path("retryable").asBoolean(), error.toString());
    assertEquals("https://" + HOST + "/m.safetensors", error.path("data").path("url").asText());
    assertNothingWasWritten();
  }

  @Test
  void aServerErrorThatStaysIsToldAfterSomeRetries() throws Exception {
    server.answer("/m.safetensors", request -> Reply.status(500));
    assertKind("server", 500, fetchFailure("/m.safetensors"));
    assertEquals(5, requestsAsked());
    assertNothingWasWritten();
  }

  @ParameterizedTest
  @ValueSource(strings = {"../evil.py", "evil.PY", "a/b/evil.sh", "evil.so", "..\\evil.exe"})
  void aNameThatCouldRunIsRefusedAfterTheProbeAlone(String name) throws Exception {
    server
        .serve("/download", MODEL)
        .with(Fault.header("Content-Disposition", "attachment; filename=\"" + name + "\""));
    assertKind("policy", null, fetchFailure("/download"));
    assertEquals(1, requestsAsked());
    assertNothingWasWritten();
  }

  @ParameterizedTest
  @CsvSource({
    "../m.safetensors, m_%s.safetensors",
    "/etc/m.safetensors, m_%s.safetensors",
    "CON.safetensors, _CON_%s.safetensors",
  })
  void aNameThatLeadsElsewhereIsStoredUnderItsLastComponent(String name, String stored)
      throws Exception {
    String path = "/download/" + Sha256.ofUtf8(name).hex();
    server
        .serve(path, MODEL)
        .with(Fault.header("Content-Disposition", "attachment; filename=\"" + name + "\""));
    String url = "https://" + HOST + path;
    JsonNode result = sidecar.result("fetch", params("url", url, "type", "lora"));
    String hash = Sha256.ofUtf8(url).hex();
    Path loras = models.resolve("loras");
    assertEquals(stored.formatted(hash), result.path("fileName").asText());
    Set<Path> expected = new TreeSet<>(filesBefore);
    expected.add(loras.resolve(stored.formatted(hash)));
    expected.add(loras.resolve(hash + ".json"));
    assertEquals(expected, filesBelow(scratch.resolve("root")));
  }

  @ParameterizedTest
  @ValueSource(strings = {"../m", "a/b", "..", "m.py", "x\\y"})
  void aPlainNameThatIsNoPlainModelNameIsRefused(String name) throws Exception {
    server.serve("/m.safetensors", MODEL);
    JsonNode error =
        failure(params("url", "https://" + HOST + "/m.safetensors", "type", "lora", "name", name));
    assertKind("policy", null, error);
    assertNothingWasAsked();
  }

  @Test
  void aPageInPlaceOfAModelIsRefused() throws Exception {
    server.serve("/m.safetensors", Content.text("<!DOCTYPE html><html>Sign in</html>"));
    assertKind("notAModel", null, fetchFailure("/m.safetensors"));
    assertNothingWasWritten();
  }

  @Test
  void aRootThatHoldsCodeIsRefused() throws Exception {
    Path nodes = Files.createDirectories(scratch.resolve("comfy/custom_nodes/pack"));
    for (Path root :
        List.of(nodes, scratch.resolve("comfy"), scratch.resolve("comfy/custom_nodes"))) {
      JsonNode answer = sidecar.callNow("initialize", Map.of("modelsDir", root.toString()));
      assertEquals(-32602, answer.path("error").path("code").asInt(), answer.toString());
    }
  }

  @Test
  void noSecretIsSeenAgain() throws Exception {
    Map<String, String> canaries = new LinkedHashMap<>();
    for (String place :
        List.of("civitai", "huggingface", "auth", "query", "userinfo", "location", "cookie")) {
      canaries.put(place, "canary" + Sha256.ofUtf8(place).hex().substring(0, 12));
    }
    try (SidecarProcess own = startSidecar()) {
      own.result(
          "setCredentials",
          Map.of("civitai", canaries.get("civitai"), "huggingface", canaries.get("huggingface")));
      server
          .serve("/plain.safetensors", MODEL)
          .with(Fault.header("Set-Cookie", "session=" + canaries.get("cookie")));
      server.serve("/signed.safetensors", MODEL);
      server.answer(
          "/redirects.safetensors",
          request ->
              Reply.redirect(
                  302,
                  "https://"
                      + HOST
                      + "/signed.safetensors?X-Amz-Signature="
                      + canaries.get("location")));
      for (String path :
          List.of("/plain.safetensors", "/redirects.safetensors", "/missing.safetensors")) {
        String url = "https://" + HOST + path + "?access_token=" + canaries.get("query");
        Map<String, Object> params =
            params("url", url, "type", "lora", "auth", "token=" + canaries.get("auth"));
        params.put("progressToken", path);
        JsonNode answer = own.callNow("fetch", params);
        assertEquals(path.contains("missing"), answer.has("error"), answer.toString());
        assertSecretFree(canaries, path, answer + "" + own.progress(path));
        params.keySet().retainAll(Set.of("url", "auth"));
        assertSecretFree(canaries, "probe", own.callNow("probe", params).toString());
      }
      String userinfo =
          "https://me:" + canaries.get("userinfo") + "@" + HOST + "/other.safetensors";
      assertSecretFree(
          canaries,
          "userinfo",
          own.callNow("fetch", params("url", userinfo, "type", "lora")).toString());
      assertSecretFree(canaries, "discover", own.result("rpc.discover", null).toString());
      assertSecretFree(canaries, "status", own.result("status", null).toString());
      for (Path file : filesBelow(scratch)) {
        assertSecretFree(
            canaries, file.toString(), Files.readString(file, StandardCharsets.ISO_8859_1));
        assertSecretFree(canaries, "a file name", file.toString());
      }
      assertTrue(
          server.requests("/plain.safetensors").stream()
              .anyMatch(request -> request.target().contains(canaries.get("auth"))),
          "the server never saw the secret that was meant for it");
      own.closeStdin();
      own.awaitExit(END_LIMIT);
      assertSecretFree(canaries, "standard error", own.stderr());
    }
  }

  private static void assertSecretFree(Map<String, String> canaries, String where, String text) {
    canaries.forEach(
        (place, canary) ->
            assertFalse(text.contains(canary), () -> place + " secret in " + where + ": " + text));
  }

  private static Map<String, Object> params(String... namesAndValues) {
    Map<String, Object> params = new LinkedHashMap<>();
    for (int i = 0; i < namesAndValues.length; i += 2) {
      params.put(namesAndValues[i], namesAndValues[i + 1]);
    }
    return params;
  }

  private JsonNode fetchFailure(String path) throws InterruptedException {
    return failure(params("url", "https://" + HOST + path, "type", "lora"));
  }

  private JsonNode failure(Map<String, Object> params) throws InterruptedException {
    JsonNode answer = sidecar.callNow("fetch", params);
    assertTrue(answer.has("error"), answer::toString);
    return answer.path("error");
  }

  private static void assertKind(String kind, @Nullable Integer status, JsonNode error) {
    JsonNode data = error.path("data");
    assertEquals(-32000, error.path("code").asInt(), error.toString());
    assertEquals(kind, data.path("kind").asText(), error.toString());
    assertEquals(status, data.path("status").isNull() ? null : data.path("status").asInt());
    assertFalse(error.path("message").asText().isBlank(), error.toString());
    assertFalse(data.path("hint").asText().isBlank(), error.toString());
    assertTrue(data.has("url") && data.path("retryable").isBoolean(), error.toString());
  }

  private void assertNothingWasAsked() throws IOException {
    assertEquals(0, requestsAsked());
    assertNothingWasWritten();
  }

  private int requestsAsked() {
    return server.requests().size() - requestsBefore;
  }

  private void assertNothingWasWritten() throws IOException {
    assertEquals(filesBefore, filesBelow(scratch.resolve("root")));
  }

  private static Set<Path> filesBelow(Path folder) throws IOException {
    try (Stream<Path> paths = Files.walk(folder)) {
      return paths
          .filter(path -> !Files.isDirectory(path))
          .collect(Collectors.toCollection(TreeSet::new));
    }
  }
}
