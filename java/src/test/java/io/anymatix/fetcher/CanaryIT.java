package io.anymatix.fetcher;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.ForwardProxy;
import io.anymatix.fetcher.testing.MegaFile;
import io.anymatix.fetcher.testing.Reply;
import io.anymatix.fetcher.testing.Request;
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
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * A distinct secret in every place where one can enter, every source with a failure at every step,
 * servers that repeat what they are sent, the log at its most talkative: and then no secret in
 * anything that the process has said or written. Each must have been where it belongs, and nowhere
 * else: a canary that never flew proves nothing.
 *
 * <p>All hosts are one server, reached under their real names.
 */
@Timeout(value = 400, unit = TimeUnit.SECONDS)
class CanaryIT {
  private static final Map<String, String> SECRETS = new LinkedHashMap<>();

  private static final Content MODEL = Content.safetensors(20_261_123, 9000);
  private static final MegaFile MEGA = MegaFile.of("canary.safetensors", MODEL);
  private static final String OTHER_KEY =
      SECRETS.computeIfAbsent(
          "megaOther", p -> MegaFile.of("other", Content.safetensors(7, 9000)).linkKey());

  /** By source, the link whose file is to meet a step; each has at least one secret of its own. */
  private static final Map<String, UnaryOperator<String>> LINKS = new LinkedHashMap<>();

  static {
    LINKS.put(
        "direct",
        step ->
            "https://models.example.org/" + step + ".safetensors?access_token=" + secret("url"));
    LINKS.put(
        "huggingface",
        step -> "https://huggingface.co/owner/model/resolve/main/" + step + ".safetensors");
    LINKS.put(
        "huggingface with a token",
        step ->
            "https://huggingface.co/owner/other/resolve/main/"
                + step
                + ".safetensors?token="
                + secret("huggingfaceUrl"));
    LINKS.put("civitai", step -> "https://civitai.com/api/download/models/" + number(step));
    LINKS.put(
        "civitai with a token",
        step ->
            "https://civitai.red/api/download/models/"
                + number(step)
                + "?fp=fp16&token="
                + secret("civitaiUrl"));
    LINKS.put(
        "drive",
        step ->
            "https://drive.google.com/uc?id=file-that-"
                + step
                + "&access_token="
                + secret("driveUrl"));
    SECRETS.put("mega", MEGA.linkKey());
    LINKS.put("mega", step -> "https://mega.nz/file/" + handle(step) + "#" + secret("mega"));
    LINKS.put("mega, old form", step -> "https://mega.nz/#!" + handle(step) + "!" + secret("mega"));
    LINKS.put(
        "mega with another key", step -> "https://mega.nz/#!" + handle(step) + "!" + OTHER_KEY);
  }

  /** What happens to a request, by the word that stands for it in the link. */
  private static final List<String> STEPS =
      List.of(
          "arrives",
          "cut",
          "expired",
          "page",
          "wrong",
          "loops",
          "inner",
          "userinfo",
          "malformed",
          "status400",
          "status401",
          "status403",
          "status404",
          "status410",
          "status429",
          "status500",
          "resets");

  private static final List<String> HOSTS =
      List.of(
          "models.example.org",
          "storage.example.org",
          "huggingface.co",
          "civitai.com",
          "civitai.red",
          "drive.google.com",
          "drive.usercontent.google.com",
          "mega.nz",
          "g.api.mega.co.nz");
  private static final TestCertificates CERTIFICATES =
      TestCertificates.forHosts(HOSTS.toArray(String[]::new));

  /** Links that lead nowhere. */
  private static final List<String> UNUSABLE_LINKS =
      List.of(
          "https://me:" + secret("userinfo") + "@models.example.org/m",
          "ftp://me:" + secret("ftpUserinfo") + "@models.example.org/m",
          "https://models.example.org:99999/m?token=" + secret("badUrl"),
          "nonsense?token=" + secret("nonsense"));

  /** Steps that nothing is waited for at. */
  private static final List<String> QUICK_STEPS =
      List.of("arrives", "loops", "userinfo", "malformed", "status401", "status404");

  private static final Set<String> HUB = Set.of("huggingface.co");
  private static final Set<String> CIVITAI = Set.of("civitai.com");
  private static final Set<String> DIRECT = Set.of("models.example.org");
  private static final Set<String> OF_CALLERS =
      Set.of("models.example.org", "huggingface.co", "civitai.com", "civitai.red");
  private static final Set<String> STORAGE = Set.of("storage.example.org");
  private static final Set<String> NOWHERE = Set.of();

  /** If fewer come, the steps behind a site's answer were not met at all. */
  private static final int LEAST_ARRIVED = 10;

  /** Likewise where each link meets one step that lets it arrive. */
  private static final int LEAST_OF_A_STEP = 7;

  private static final Duration END_LIMIT = Duration.ofSeconds(10);
  private static final Duration COMMAND_LIMIT = Duration.ofSeconds(100);

  @SuppressWarnings("NullAway.Init") // set before each test
  @TempDir
  Path scratch;

  @SuppressWarnings("NullAway.Init") // set before each test
  private ByteRangeServer server;

  @SuppressWarnings("NullAway.Init") // set before each test
  private Path models;

  /** Who is to see a secret. */
  private final Map<String, Set<String>> hostsBySecret = new TreeMap<>();

  @BeforeEach
  void start() throws IOException {
    models = Files.createDirectories(scratch.resolve("models"));
    server = ByteRangeServer.startTls(CERTIFICATES.serverContext());
    for (String step : STEPS) {
      LINKS.values().stream()
          .map(link -> pathOf(link.apply(step)))
          .distinct()
          .filter(path -> !path.equals("/uc"))
          .forEach(path -> server.answer(path, CanaryIT::answerOfSite));
      server.answer("/api/v1/model-versions/" + number(step), CanaryIT::answerAboutVersion);
      befall(step, server.serve("storage.example.org", "/" + step + "/m.safetensors", MODEL));
      befall(
          step,
          server
              .serve("storage.example.org", "/" + step + megaAddress(), MEGA.encrypted())
              .rangesInPath());
    }
    server.answer("/cs", CanaryIT::answerOfMega);
    server.answer("/uc", CanaryIT::answerOfDrive);
    server.answer("/download", CanaryIT::answerOfSite); // Drive's second host
    server.answer("/api/models/owner/model/tree/main", CanaryIT::listing);
  }

  private static void befall(String step, ByteRangeServer.Resource stored) {
    if (step.equals("cut")) {
      stored.with(Fault.closesAfter(1000));
    } else if (step.equals("expired")) {
      stored.with(Fault.replies(request -> repeating(403, request)));
    } else if (step.equals("page")) {
      stored.with(Fault.replies(request -> repeating(200, request)));
    } else if (step.equals("resets")) {
      stored.with(Fault.resetsAtOnce());
    }
  }

  @AfterEach
  void stop() {
    server.close();
  }

  @Test
  void noSecretIsSeenAgain() throws Exception {
    SidecarProcess.Launch launch = launch();
    for (String variable :
        List.of(
            "CIVITAI_API_TOKEN", "CIVITAI_API_KEY", "CIVITAI_TOKEN", "CIVIT_TOKEN", "HF_TOKEN")) {
      launch.environment(variable, secret(variable));
    }
    try (SidecarProcess sidecar =
        launch.arguments("--connect-to", ":443:127.0.0.1:" + server.port()).start()) {
      sidecar.result("initialize", Map.of("modelsDir", models.toString()));
      // First with the tokens of the environment, then with those that are set while running.
      assertTrue(meetEveryStep(sidecar, "environment") >= LEAST_ARRIVED);
      sidecar.result(
          "setCredentials",
          Map.of("civitai", secret("setCivitai"), "huggingface", secret("setHuggingface")));
      meetEveryStep(sidecar, "set");
      askForAllThatIsKnown(sidecar);
      assertSecretFree(sidecar);
    }
    expect(HUB, "HF_TOKEN", "setHuggingface");
    expect(CIVITAI, "CIVITAI_API_TOKEN", "setCivitai");
    expect(NOWHERE, "CIVITAI_API_KEY", "CIVITAI_TOKEN", "CIVIT_TOKEN"); // another one goes first
    expect(OF_CALLERS, "authToken", "authOdd");
    assertEachSecretWasWhereItBelongs();
  }

  @Test
  void noSecretOfAFileOrOfTheFirstRequestIsSeenAgain() throws Exception {
    Path home = scratch.resolve("home");
    Files.createDirectories(home.resolve(".civitai"));
    Files.writeString(home.resolve(".civitai/config"), secret("civitaiFile") + "\n");
    Files.createDirectories(scratch.resolve("hf"));
    Files.writeString(scratch.resolve("hf/token"), secret("huggingfaceFile") + "\n");
    try (SidecarProcess sidecar =
        launch()
            .environment("HF_HOME", scratch.resolve("hf").toString())
            .arguments("--connect-to", ":443:127.0.0.1:" + server.port())
            .start()) {
      sidecar.result("initialize", Map.of("modelsDir", models.toString()));
      assertTrue(meetEveryStep(sidecar, "files") >= LEAST_ARRIVED);
      sidecar.result(
          "initialize",
          Map.of(
              "modelsDir",
              models.toString(),
              "credentials",
              Map.of("civitai", secret("initCivitai"), "huggingface", secret("initHuggingface"))));
      meetEveryStep(sidecar, "initialize");
      askForAllThatIsKnown(sidecar);
      assertSecretFree(sidecar);
    }
    expect(HUB, "huggingfaceFile", "initHuggingface");
    expect(CIVITAI, "civitaiFile", "initCivitai");
    expect(OF_CALLERS, "authToken", "authOdd");
    assertEachSecretWasWhereItBelongs();
  }

  @Test
  void noSecretOfACommandIsSeenAgain() throws Exception {
    List<String> every = new ArrayList<>(List.of("https://huggingface.co/owner/model/tree/main"));
    List<String> quick = new ArrayList<>(UNUSABLE_LINKS);
    for (UnaryOperator<String> link : LINKS.values()) {
      STEPS.forEach(step -> every.add(link.apply(step)));
      QUICK_STEPS.forEach(step -> quick.add(link.apply(step)));
    }
    String direct = Objects.requireNonNull(LINKS.get("direct")).apply("arrives");
    run("pull", list("unusable", quick));
    String usable = list("usable", quick.subList(UNUSABLE_LINKS.size(), quick.size()));
    assertTrue(run("pull", list("every", every), "--parallel", "16", "--json") >= LEAST_ARRIVED);
    assertTrue(run("pull", usable) >= LEAST_OF_A_STEP);
    run("pull", usable, "--as-named"); // refused: it would be one file for several links
    assertTrue(run("fetch", words(quick, "--json", "--type", "vae")) >= LEAST_OF_A_STEP);
    run("fetch", words(UNUSABLE_LINKS, "--dir", models + "/more"));
    run("probe", quick.toArray(String[]::new));
    run("benchmark", direct, "--seconds", "0.2");
    run("list", "--json");
    run("verify");
    run("delete", direct, "--type", "loras");
    run(
        "fetch",
        direct,
        "--no-such-flag=" + Objects.requireNonNull(LINKS.get("mega")).apply("arrives"));
    run(direct); // there is no such command
    expect(HUB, "HF_TOKEN");
    expect(CIVITAI, "CIVITAI_API_TOKEN");
    assertEachSecretWasWhereItBelongs();
  }

  /** Runs a command to its end; returns how many files it says have arrived. */
  private long run(String subcommand, String... arguments) throws Exception {
    SidecarProcess.Launch launch =
        SidecarProcess.launch(scratch.resolve("home"))
            .environment("SSL_CERT_FILE", CERTIFICATES.caFile().toString())
            .environment("HF_TOKEN", secret("HF_TOKEN"))
            .environment("CIVITAI_API_TOKEN", secret("CIVITAI_API_TOKEN"))
            .environment("ANYMATIX_MODELS_DIR", models.toString())
            .environment("ANYMATIX_CONNECT_TO", ":443:127.0.0.1:" + server.port())
            .environment("ANYMATIX_LOG_LEVEL", "trace")
            .subcommand(subcommand)
            .arguments(arguments);
    try (SidecarProcess command = launch.start()) {
      int exitCode = command.awaitExit(COMMAND_LIMIT);
      assertTrue(exitCode != 1, () -> subcommand + " met a defect: " + command.stderr());
      assertNoSecretIn(saidAndWritten(command));
      return Pattern.compile("_[0-9a-f]{64}\\.safetensors(?=[\"\\s])")
          .matcher(command.stdout())
          .results()
          .map(MatchResult::group)
          .distinct()
          .count();
    }
  }

  private String list(String name, List<String> links) throws IOException {
    List<String> lines = links.stream().map(link -> link + " loras").toList();
    return Files.write(scratch.resolve(name), lines).toString();
  }

  private static String[] words(List<String> first, String... more) {
    return Stream.concat(first.stream(), Stream.of(more)).toArray(String[]::new);
  }

  @Test
  void noSecretOfAProxyIsSeenAgain() throws Exception {
    String right = basic("me:" + secret("proxy"));
    try (ForwardProxy proxy = ForwardProxy.start().wants(right);
        ForwardProxy other = ForwardProxy.start().wants(basic("nobody:nothing"))) {
      HOSTS.forEach(host -> proxy.knows(host, server.port()));
      for (ForwardProxy each : List.of(proxy, other)) {
        try (SidecarProcess sidecar =
            launch()
                .environment(
                    "https_proxy", "http://me:" + secret("proxy") + "@127.0.0.1:" + each.port())
                .environment("HF_TOKEN", secret("HF_TOKEN"))
                .start()) {
          sidecar.result("initialize", Map.of("modelsDir", models.toString()));
          long arrived = meetEveryStep(sidecar, "proxy " + each.port());
          assertEquals(each == proxy, arrived >= LEAST_ARRIVED, arrived + " files arrived");
          assertSecretFree(sidecar, right.substring("Basic ".length()));
        }
        assertTrue(each.heads().toString().contains(right), "the proxy never saw the password");
      }
    }
    expect(HUB, "HF_TOKEN");
    expect(NOWHERE, "proxy"); // at the sites
    expect(OF_CALLERS, "authToken", "authOdd");
    assertEachSecretWasWhereItBelongs();
    assertFalse(
        server.requests().stream().anyMatch(r -> r.headers().toString().contains(right)),
        "the proxy's password went on to the server");
  }

  private SidecarProcess.Launch launch() {
    return SidecarProcess.launch(scratch.resolve("home"))
        .environment("SSL_CERT_FILE", CERTIFICATES.caFile().toString())
        .arguments("--log-level", "trace");
  }

  /**
   * Fetches every source's file at every step, and asks all else that takes a link.
   *
   * @return how many files arrived
   */
  private static long meetEveryStep(SidecarProcess sidecar, String round) throws Exception {
    List<CompletableFuture<JsonNode>> answers = new ArrayList<>();
    for (Map.Entry<String, UnaryOperator<String>> link : LINKS.entrySet()) {
      for (String step : STEPS) {
        Map<String, Object> params = new LinkedHashMap<>();
        params.put("url", link.getValue().apply(step));
        params.put("type", "lora");
        params.put("progressToken", round + " " + link.getKey() + " " + step);
        if (step.equals("wrong")) {
          params.put("sha256", Sha256.ofUtf8(round).hex());
        }
        answers.add(sidecar.call("fetch", params));
      }
      Map<String, Object> params = new LinkedHashMap<>();
      params.put("url", link.getValue().apply("arrives"));
      params.put("type", "vae");
      params.put("auth", "token=" + secret("authToken") + "&odd=" + secret("authOdd"));
      answers.add(sidecar.call("fetch", params));
      params.put("url", link.getValue().apply("status404"));
      params.put("mirrors", List.of("https://models.example.org/m?token=" + secret("mirror")));
      answers.add(sidecar.call("fetch", params));
      answers.add(sidecar.call("enqueue", params));
      answers.add(sidecar.call("isChanged", params));
      answers.add(sidecar.call("fetchAll", Map.of("items", List.of(params))));
      params.keySet().retainAll(List.of("url", "auth"));
      answers.add(sidecar.call("probe", params));
      answers.add(sidecar.call("probe", Map.of("items", List.of(params))));
      params.remove("auth");
      answers.add(sidecar.call("metadata", params));
      answers.add(sidecar.call("benchmark", params));
      answers.add(sidecar.call("delete", params));
    }
    for (String url : UNUSABLE_LINKS) {
      answers.add(sidecar.call("fetch", Map.of("url", url, "type", "lora")));
    }
    for (CompletableFuture<JsonNode> answer : answers) {
      answer.get(100, TimeUnit.SECONDS);
    }
    return answers.stream()
        .map(answer -> answer.join().path("result").path("outcome").asText())
        .filter(outcome -> !outcome.isEmpty() && !outcome.equals("present"))
        .count();
  }

  private static void askForAllThatIsKnown(SidecarProcess sidecar) throws Exception {
    for (String method : List.of("rpc.discover", "status", "queue", "history", "list", "verify")) {
      sidecar.callNow(method, Map.of());
    }
  }

  /** What a site answers: a redirect to where the file is, or the step's failure. */
  private static @Nullable Reply answerOfSite(Request request) {
    String step =
        STEPS.stream()
            .filter(s -> request.target().contains(s) || request.path().endsWith(number(s)))
            .findFirst()
            .orElse("status404");
    if (step.startsWith("status")) {
      return repeating(Integer.parseInt(step.substring("status".length())), request);
    }
    return switch (step) {
      case "loops" -> Reply.redirect(302, request.target() + "&sig=" + secret("loop"));
      case "inner" -> Reply.redirect(302, "https://169.254.169.254/?token=" + secret("inner"));
      case "userinfo" -> Reply.redirect(302, "https://me:" + secret("location") + "@a.example.org");
      case "malformed" -> Reply.redirect(302, "https://[bad/m?sig=" + secret("malformed"));
      default ->
          Reply.redirect(
                  302,
                  "https://storage.example.org/"
                      + step
                      + "/m.safetensors?X-Amz-Credential="
                      + secret("credential")
                      + "&X-Amz-Security-Token="
                      + secret("securityToken")
                      + "&Policy="
                      + secret("policy")
                      + "&X-Amz-Signature="
                      + secret("signature"))
              .header("Set-Cookie", "session=" + cookieOf(request) + "; Secure; HttpOnly");
    };
  }

  /** Drive's first host, which gives a cookie that its second one wants to see. */
  private static @Nullable Reply answerOfDrive(Request request) {
    String next = "https://drive.usercontent.google.com/download" + queryOf(request);
    return request.target().contains("status")
        ? answerOfSite(request)
        : Reply.redirect(303, next)
            .header("Set-Cookie", "pass=" + secret("pass") + "; Domain=google.com; Secure");
  }

  /** What CivitAI tells of a version, for once with all that it has heard. */
  private static Reply answerAboutVersion(Request request) {
    String heard = (request.target() + " " + request.headers()).replaceAll("[\"\\\\]", "'");
    return Reply.status(200)
        .body(
            "application/json",
            "{\"id\": %s, \"name\": \"%s\", \"baseModel\": \"SDXL\", \"trainedWords\": [\"%s\"],"
                    .formatted(request.path().replaceAll(".*/", ""), heard, heard)
                + " \"files\": [{\"id\": 1, \"name\": \"a.safetensors\", \"sizeKB\": %s, \"hashes\": \"%s\"}]}"
                    .formatted(MODEL.lengthBytes() / 1024.0, heard));
  }

  /** What is in a folder of the hub's. */
  private static Reply listing(Request request) {
    return Reply.status(200)
        .body(
            "application/json",
            "[{\"type\": \"file\", \"path\": \"arrives.safetensors\", \"size\": %d}]"
                .formatted(MODEL.lengthBytes()));
  }

  /** Mega's interface: its storage's addresses open a file for whoever has them. */
  private static Reply answerOfMega(Request request) {
    String asked = new String(request.body(), StandardCharsets.UTF_8);
    String step =
        STEPS.stream().filter(s -> asked.contains(handle(s))).findFirst().orElse("status404");
    if (step.startsWith("status")) {
      return repeating(Integer.parseInt(step.substring("status".length())), request);
    }
    String answer =
        switch (step) {
          case "wrong" -> "[-9]";
          case "loops" -> "[-17]";
          case "malformed" -> "{\"" + asked.replace("\"", "'");
          case "userinfo" -> megaFile("https://me:" + secret("location") + "@a.example.org/");
          case "inner" -> megaFile("https://169.254.169.254/" + secret("inner"));
          default -> megaFile("https://storage.example.org/" + step + megaAddress());
        };
    return Reply.status(200).body("application/json", answer);
  }

  private static String megaFile(String address) {
    return "[{\"g\":\"%s\",\"s\":%d,\"at\":\"%s\"}]"
        .formatted(address, MODEL.lengthBytes(), MEGA.attributes());
  }

  private static String megaAddress() {
    return "/dl/" + secret("megaAddress");
  }

  /** An answer that repeats, wherever there is room, what came with the request. */
  private static Reply repeating(int status, Request request) {
    String heard = request.target() + " " + request.headers();
    String quoted = heard.replace("\\", "").replace("\"", "'");
    return Reply.status(status)
        .reason(heard)
        .retryAfter(Duration.ofHours(1))
        .header("WWW-Authenticate", "Bearer realm=\"" + quoted + "\"")
        .header("X-Error-Message", heard.replaceAll("[=&]", " "))
        .header("ETag", "\"" + quoted + "\"")
        .header("Content-Disposition", "attachment; filename=\"" + quoted + "\"")
        .header("Set-Cookie", "session=" + cookieOf(request))
        .body(
            "application/json",
            "{\"error\": \""
                + quoted
                + "\", \"message\": \""
                + quoted.replaceAll("[=&]", " ")
                + "\"}");
  }

  private void assertSecretFree(SidecarProcess sidecar, String... more) throws Exception {
    Map<String, String> places = new LinkedHashMap<>();
    Path processes = Path.of("/proc", Long.toString(sidecar.pid()));
    if (Files.isDirectory(processes)) {
      places.put("process arguments", Files.readString(processes.resolve("cmdline")));
    }
    sidecar.closeStdin();
    assertEquals(0, sidecar.awaitExit(END_LIMIT));
    assertEquals(List.of(), sidecar.strayOutput());
    places.putAll(saidAndWritten(sidecar));
    assertNoSecretIn(places, more);
  }

  private Map<String, String> saidAndWritten(SidecarProcess process) throws IOException {
    Map<String, String> places = new LinkedHashMap<>();
    places.put("standard output", process.stdout());
    places.put("standard error", process.stderr());
    for (Path root : List.of(models, scratch.resolve("home/state"))) {
      if (Files.isDirectory(root)) {
        try (Stream<Path> files = Files.walk(root)) {
          for (Path file : files.toList()) {
            places.put("name " + file, file.toString());
            if (Files.isRegularFile(file)) {
              places.put("file " + file, Files.readString(file, StandardCharsets.ISO_8859_1));
            }
          }
        }
      }
    }
    return places;
  }

  private static void assertNoSecretIn(Map<String, String> places, String... more) {
    List<String> secrets = new ArrayList<>(SECRETS.values());
    secrets.addAll(List.of(more));
    places.forEach(
        (place, text) ->
            secrets.forEach(
                secret -> {
                  int at = text.indexOf(secret);
                  assertTrue(
                      at < 0,
                      () ->
                          place
                              + " holds "
                              + text.substring(
                                  Math.max(0, at - 300),
                                  Math.min(text.length(), at + secret.length() + 50)));
                }));
  }

  /** These hosts have to see the secrets, each of them, and no other host may. */
  private void expect(Set<String> hosts, String... names) {
    for (String name : names) {
      assertTrue(SECRETS.containsKey(name), name + " never entered");
      hostsBySecret.put(name, hosts);
    }
  }

  /** A canary that never flew proves nothing, and one that flew elsewhere is lost. */
  private void assertEachSecretWasWhereItBelongs() {
    expect(DIRECT, "url");
    expect(HUB, "huggingfaceUrl");
    expect(Set.of("civitai.red"), "civitaiUrl");
    expect(STORAGE, "signature", "credential", "securityToken", "policy", "megaAddress");
    // Only Drive's visits take cookies, and each comes back to where it was set for.
    expect(Set.of("drive.usercontent.google.com"), "pass");
    expect(Set.of("drive.google.com"), "drive.google.com");
    expect(STORAGE, "storage.example.org");
    expect(NOWHERE, "models.example.org", "huggingface.co", "civitai.com", "civitai.red");
    expect(NOWHERE, "mega", "megaOther", "driveUrl");
    expect(NOWHERE, "userinfo", "ftpUserinfo", "badUrl", "nonsense");
    expect(NOWHERE, "inner", "location", "malformed");
    Map<String, Set<String>> seen = new TreeMap<>();
    for (String name : hostsBySecret.keySet()) {
      seen.put(
          name,
          server.requests().stream()
              .filter(r -> (r.target() + " " + r.headers()).contains(secret(name)))
              .map(Request::host)
              .collect(Collectors.toSet()));
    }
    assertEquals(hostsBySecret, seen);
  }

  /** The secret of a place: its own, and like nothing else. */
  private static synchronized String secret(String place) {
    return SECRETS.computeIfAbsent(
        place, p -> p + "Canary" + Sha256.ofUtf8("canary " + p).hex().substring(0, 16));
  }

  /** What a host gives for a cookie. */
  private static String cookieOf(Request request) {
    return secret(request.host());
  }

  private static String handle(String step) {
    return "mega%04d".formatted(STEPS.indexOf(step));
  }

  private static String number(String step) {
    return Integer.toString(70_000 + STEPS.indexOf(step));
  }

  private static String queryOf(Request request) {
    return request.target().substring(request.path().length());
  }

  private static String pathOf(String url) {
    String afterHost = url.substring(url.indexOf('/', "https://".length()));
    return afterHost.split("[?#]", 2)[0];
  }

  private static String basic(String pair) {
    return "Basic " + Base64.getEncoder().encodeToString(pair.getBytes(StandardCharsets.UTF_8));
  }
}
