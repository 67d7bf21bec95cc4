package io.anymatix.fetcher;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.ForwardProxy;
import io.anymatix.fetcher.testing.Reply;
import io.anymatix.fetcher.testing.SidecarProcess;
import io.anymatix.fetcher.testing.TestCertificates;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What the owner's environment and flags make the real process do on the network. */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class NetworkIT {
  private static final String HOST = "models.example.org";
  private static final TestCertificates CERTIFICATES = TestCertificates.forHosts(HOST);
  private static final Content MODEL = Content.safetensors(20_261_122, 6 * Content.MIB);

  @SuppressWarnings("NullAway.Init") // set before each test
  @TempDir
  Path scratch;

  @SuppressWarnings("NullAway.Init") // set before each test
  private ByteRangeServer server;

  @SuppressWarnings("NullAway.Init") // set before each test
  private Path models;

  @BeforeEach
  void start() throws IOException {
    models = Files.createDirectories(scratch.resolve("models"));
    server = ByteRangeServer.startTls(CERTIFICATES.serverContext());
    server.serve(HOST, "/m.safetensors", MODEL);
  }

  @AfterEach
  void stop() {
    server.close();
  }

  private SidecarProcess.Launch launch() {
    return SidecarProcess.launch(scratch.resolve("home"))
        .arguments("--models-dir", models.toString())
        .arguments("--ca-file", CERTIFICATES.caFile().toString());
  }

  private SidecarProcess.Launch connected() {
    return launch().arguments("--connect-to", HOST + ":443:127.0.0.1:" + server.port());
  }

  private static JsonNode fetch(SidecarProcess sidecar, String path) throws InterruptedException {
    return sidecar.callNow("fetch", Map.of("url", "https://" + HOST + path, "type", "checkpoint"));
  }

  private static String kind(JsonNode answer) {
    return answer.path("error").path("data").path("kind").asText();
  }

  @Test
  void aModelArrivesInPartsThroughTheProxyOfTheEnvironment() throws Exception {
    String basic =
        Base64.getEncoder().encodeToString("me:pr0xypassword".getBytes(StandardCharsets.UTF_8));
    try (ForwardProxy proxy =
            ForwardProxy.start().knows(HOST, server.port()).wants("Basic " + basic);
        SidecarProcess sidecar =
            launch()
                .environment("HTTPS_PROXY", "http://me:pr0xypassword@127.0.0.1:" + proxy.port())
                .arguments("--log-level", "trace")
                .start()) {
      JsonNode result = fetch(sidecar, "/m.safetensors").path("result");
      assertEquals(MODEL.sha256(), result.path("sha256").asText(), result.toString());
      assertEquals("parallel", result.path("strategy").asText());
      assertTrue(proxy.asked().size() > 1, proxy.asked().toString());
      sidecar.closeStdin();
      sidecar.awaitExit(Duration.ofSeconds(10));
      assertFalse(sidecar.stderr().contains("pr0xypassword"), sidecar.stderr());
      assertFalse(sidecar.stderr().contains(basic), sidecar.stderr());
    }
  }

  @Test
  void aProxyThatMakesNoSenseFailsDownloadsAndNothingElse() throws Exception {
    try (SidecarProcess sidecar = connected().start()) {
      assertTrue(fetch(sidecar, "/m.safetensors").has("result"));
    }
    try (SidecarProcess sidecar =
        launch().environment("HTTPS_PROXY", "gopher://127.0.0.1:70").start()) {
      assertEquals(
          "present", fetch(sidecar, "/m.safetensors").path("result").path("outcome").asText());
      JsonNode failed = fetch(sidecar, "/other.safetensors");
      assertEquals("unsupported", kind(failed), failed.toString());
    }
  }

  @Test
  void offlineIsToldAtOnceAndWhatIsPresentIsAnswered() throws Exception {
    try (SidecarProcess sidecar = connected().start()) {
      assertTrue(fetch(sidecar, "/m.safetensors").has("result"));
    }
    server.awaitNoConnections();
    int requests = server.requests().size();
    for (SidecarProcess.Launch launch :
        List.of(
            connected().arguments("--offline"), connected().environment("ANYMATIX_OFFLINE", "1"))) {
      try (SidecarProcess sidecar = launch.start()) {
        assertEquals(
            "present", fetch(sidecar, "/m.safetensors").path("result").path("outcome").asText());
        JsonNode absent = fetch(sidecar, "/other.safetensors");
        assertEquals("offline", kind(absent), absent.toString());
        JsonNode probe = sidecar.callNow("probe", Map.of("url", "https://" + HOST + "/m"));
        assertEquals("offline", kind(probe), probe.toString());
      }
    }
    assertEquals(requests, server.requests().size());
  }

  @Test
  void theOfflineSwitchCanBeThrownWhileRunning() throws Exception {
    try (SidecarProcess sidecar = connected().start()) {
      sidecar.result("setOptions", Map.of("offline", true));
      assertEquals("offline", kind(fetch(sidecar, "/m.safetensors")));
      sidecar.result("setOptions", Map.of("offline", false));
      assertTrue(fetch(sidecar, "/m.safetensors").has("result"));
    }
  }

  /** It speaks of the Python hub client, and is commonly set beside a fetcher. */
  @Test
  void theHubClientsOfflineSwitchDoesNotStopTheProcess() throws Exception {
    try (SidecarProcess sidecar = connected().environment("HF_HUB_OFFLINE", "1").start()) {
      JsonNode answer = fetch(sidecar, "/m.safetensors");
      assertEquals("downloaded", answer.path("result").path("outcome").asText(), answer.toString());
    }
  }

  @Test
  void theHubClientsOfflineSwitchDoesNotStopTheCommandLine() throws Exception {
    Run online = run(Map.of("HF_HUB_OFFLINE", "1"), "https://" + HOST + "/m.safetensors");
    assertEquals(0, online.exitCode(), online.output());
    Run offline =
        run(Map.of("HF_HUB_OFFLINE", "0", "ANYMATIX_OFFLINE", "1"), "https://" + HOST + "/other");
    assertEquals(3, offline.exitCode(), offline.output());
    assertTrue(offline.output().contains("Offline"), offline.output());
  }

  @Test
  void aPickleIsRefusedAfterTheProbeIfTheOwnerWants() throws Exception {
    server.serve(HOST, "/m.ckpt", MODEL);
    server
        .serve(HOST, "/download", MODEL)
        .with(Fault.header("Content-Disposition", "attachment; filename=\"m.PTH\""));
    try (SidecarProcess sidecar = connected().environment("ANYMATIX_REFUSE_PICKLE", "1").start()) {
      for (String path : List.of("/m.ckpt", "/download")) {
        JsonNode answer = fetch(sidecar, path);
        assertEquals("policy", kind(answer), answer.toString());
        assertEquals(1, server.requests(path).size());
      }
      assertTrue(fetch(sidecar, "/m.safetensors").has("result"));
    }
    try (var files = Files.list(models.resolve("checkpoints"))) {
      assertEquals(2, files.count(), "the model and its sidecar file");
    }
  }

  @Test
  void theListOfHostsHoldsOnEveryHop() throws Exception {
    server.answer(
        "/moved.safetensors",
        request -> Reply.redirect(302, "https://evil.example.net/m.safetensors"));
    try (SidecarProcess sidecar =
        launch()
            .arguments("--connect-to", ":443:127.0.0.1:" + server.port())
            .arguments("--allowed-hosts", "huggingface.co,example.org")
            .start()) {
      JsonNode answer = fetch(sidecar, "/moved.safetensors");
      assertEquals("policy", kind(answer), answer.toString());
      assertTrue(answer.toString().contains("evil.example.net"), answer.toString());
      assertEquals(1, server.requests().size());
      assertTrue(fetch(sidecar, "/m.safetensors").has("result"));
    }
  }

  @Test
  void aFlagThatMakesNoSenseIsAMistakeOfUsage() throws Exception {
    String url = "https://" + HOST + "/m.safetensors";
    for (List<String> flags :
        List.of(
            List.of("--ca-file", scratch.resolve("missing.pem").toString()),
            List.of("--connect-to", "nonsense"),
            List.of("--connect-to", "a:99999:b:1"))) {
      List<String> arguments = new ArrayList<>(flags);
      arguments.add(url);
      Run run = run(Map.of(), arguments.toArray(String[]::new));
      assertEquals(2, run.exitCode(), run.output());
      assertTrue(run.output().contains(flags.get(0)), run.output());
    }
  }

  private record Run(int exitCode, String output) {}

  /** Runs {@code fetch} of the jar as a user would. */
  private Run run(Map<String, String> environment, String... arguments) throws Exception {
    List<String> command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-jar",
                Path.of("target", "anymatix-fetcher.jar").toAbsolutePath().toString(),
                "fetch",
                "--dir",
                models.toString()));
    command.addAll(List.of(arguments));
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    Map<String, String> variables = new LinkedHashMap<>();
    variables.put("PATH", System.getenv("PATH"));
    variables.put("ANYMATIX_CONNECT_TO", HOST + ":443:127.0.0.1:" + server.port());
    variables.put("SSL_CERT_FILE", CERTIFICATES.caFile().toString());
    variables.put("ANYMATIX_HOME", scratch.resolve("state").toString());
    variables.putAll(environment);
    builder.environment().clear();
    builder.environment().putAll(variables);
    Process process = builder.start();
    process.getOutputStream().close();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    return new Run(process.waitFor(), output);
  }
}
