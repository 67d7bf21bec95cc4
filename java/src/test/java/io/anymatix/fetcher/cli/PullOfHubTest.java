package io.anymatix.fetcher.cli;

import static com.github.tomakehurst.wiremock.client.WireMock.aResponse;
import static com.github.tomakehurst.wiremock.client.WireMock.get;
import static com.github.tomakehurst.wiremock.client.WireMock.okJson;
import static com.github.tomakehurst.wiremock.client.WireMock.urlPathEqualTo;
import static com.github.tomakehurst.wiremock.core.WireMockConfiguration.wireMockConfig;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.github.tomakehurst.wiremock.WireMockServer;
import io.anymatix.fetcher.cli.PullProcess.Run;
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.Content;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.logging.Level;
import java.util.logging.Logger;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Lists that name folders, patterns and models in shards of a Hugging Face hub. */
@Timeout(120)
class PullOfHubTest {
  /** Held: a logger that nobody holds loses its level. */
  private static final Logger JETTY = Logger.getLogger("org.eclipse.jetty");

  static {
    JETTY.setLevel(Level.WARNING);
  }

  private static final String REPOSITORY = "/org/repo/resolve/main/";
  private static final long LENGTH = 30_000;

  private final ByteRangeServer storage = ByteRangeServer.start();
  private final WireMockServer hub =
      new WireMockServer(wireMockConfig().bindAddress("127.0.0.1").jettyAcceptors(1).dynamicPort());
  private final Map<String, Content> contents = new TreeMap<>();

  @SuppressWarnings("NullAway.Init") // set before each test
  private PullProcess pull;

  @BeforeEach
  void start(@TempDir Path home) throws IOException {
    hub.start();
    pull = new PullProcess(home).environment("HF_ENDPOINT", hub.baseUrl());
    offer("te/config.json", "te/model-1.safetensors", "te/model-2.safetensors", "te/readme.txt");
    offer("unet/a.fp16.safetensors", "unet/a.safetensors", "unet/old/b.fp16.safetensors");
    offer("vae/shard-1.safetensors", "vae/shard-2.safetensors", "vae/x.safetensors");
    hub.stubFor(
        get(urlPathEqualTo(REPOSITORY + "vae/vae.safetensors.index.json"))
            .willReturn(
                okJson(
                    "{\"weight_map\": {\"a\": \"shard-1.safetensors\","
                        + " \"b\": \"shard-2.safetensors\"}}")));
    listFolder("");
    listFolder("te");
    listFolder("unet");
    listFolder("vae", "vae/vae.safetensors.index.json");
  }

  @AfterEach
  void stop() {
    hub.stop();
    storage.close();
  }

  /**
   * Puts files of seeded bytes into the repository: the hub leads to them, the storage has them.
   */
  private void offer(String... paths) {
    for (String path : paths) {
      Content content =
          path.endsWith(".safetensors")
              ? Content.safetensors(path.hashCode(), LENGTH)
              : Content.text("{\"path\": \"" + path + "\"}");
      contents.put(path, content);
      hub.stubFor(
          get(urlPathEqualTo(REPOSITORY + path))
              .willReturn(
                  aResponse()
                      .withStatus(302)
                      .withHeader("X-Linked-Size", Long.toString(content.lengthBytes()))
                      .withHeader("X-Linked-Etag", "\"" + content.sha256() + "\"")
                      .withHeader("Location", storage.serve("/" + path, content).url())));
    }
  }

  /** Answers the listing of a folder with its files, and with others of no large file's kind. */
  private void listFolder(String folder, String... others) {
    List<String> entries = new ArrayList<>();
    contents.forEach(
        (path, content) -> {
          if (path.startsWith(folder.isEmpty() ? "" : folder + "/")) {
            entries.add(
                "{\"type\":\"file\",\"path\":\"%s\",\"size\":134,\"lfs\":{\"oid\":\"%s\",\"size\":%d}}"
                    .formatted(path, content.sha256(), content.lengthBytes()));
          }
        });
    for (String other : others) {
      entries.add("{\"type\":\"file\",\"path\":\"%s\",\"size\":99}".formatted(other));
    }
    String slash = folder.isEmpty() ? "" : "/";
    hub.stubFor(
        get(urlPathEqualTo("/api/models/org/repo/tree/main" + slash + folder))
            .willReturn(okJson(entries.toString())));
  }

  /** Plain names below the models folder, in order. */
  private List<String> named() throws IOException {
    return pull.files().stream()
        .map(file -> pull.models.relativize(file).toString().replace('\\', '/'))
        .filter(name -> !name.matches(".*[0-9a-f]{64}.*"))
        .toList();
  }

  static Stream<Arguments> forms() {
    return Stream.of(
        Arguments.of(
            "list.txt",
            """
            # a folder, and a pattern
            https://huggingface.co/org/repo/tree/main/te text_encoders
            hf://org/repo/unet/**/*.fp16.safetensors diffusion_models/sub
            """),
        Arguments.of(
            "list.json",
            """
            [{"url": "hf://org/repo/te", "type": "text_encoders"},
             {"url": "https://huggingface.co/org/repo/resolve/main/unet/**/*.fp16.safetensors",
              "folder": "diffusion_models/sub"}]
            """),
        Arguments.of(
            "list.yaml",
            """
            text_encoders:
              - hf://org/repo/te/
            diffusion_models:
              - url: hf://org/repo/unet/**/*.fp16.safetensors
                folder: diffusion_models/sub
            """));
  }

  @ParameterizedTest
  @MethodSource("forms")
  void aFolderAndAPatternStandForTheirFiles(String name, String text) throws Exception {
    String list = pull.list(name, text);
    Run run = pull.run(list, "--as-named");
    assertEquals(0, run.exitCode(), run.err());
    assertEquals(
        List.of(
            "diffusion_models/sub/a.fp16.safetensors",
            "diffusion_models/sub/b.fp16.safetensors",
            "text_encoders/config.json",
            "text_encoders/model-1.safetensors",
            "text_encoders/model-2.safetensors",
            "text_encoders/readme.txt"),
        named());
    assertTrue(run.err().contains("6 of 6 files are there"), run.err());
    assertEquals(6, run.out().size(), run.out()::toString);
    for (String path : List.of("te/model-1.safetensors", "te/config.json")) {
      Path file = pull.models.resolve("text_encoders").resolve(Path.of(path).getFileName());
      assertEquals(-1, Objects.requireNonNull(contents.get(path)).mismatch(file), path);
    }

    int requests = storage.requests().size();
    Files.delete(
        pull.files().stream()
            .filter(file -> file.toString().matches(".*model-2_.*safetensors"))
            .findFirst()
            .orElseThrow());
    Files.delete(pull.models.resolve("text_encoders/model-2.safetensors"));
    Run again = pull.run(list, "--as-named");
    assertEquals(0, again.exitCode(), again.err());
    assertTrue(again.err().contains("6 of 6 files are there"), again.err());
    storage.requests().stream()
        .skip(requests)
        .forEach(asked -> assertEquals("/te/model-2.safetensors", asked.path()));
  }

  @Test
  void anIndexStandsForItselfAndItsShards() throws Exception {
    Run run =
        pull.run(
            pull.list(
                "list.txt",
                "https://huggingface.co/org/repo/blob/main/vae/vae.safetensors.index.json vae"),
            "--as-named");
    assertEquals(0, run.exitCode(), run.err());
    assertEquals(
        List.of(
            "vae/shard-1.safetensors", "vae/shard-2.safetensors", "vae/vae.safetensors.index.json"),
        named());
  }

  @Test
  void aFileThatIsNamedOnItsOwnAndByItsFolderIsFetchedOnce() throws Exception {
    Run run =
        pull.run(
            pull.list(
                "list.txt",
                "https://huggingface.co" + REPOSITORY + "te/model-1.safetensors text_encoders",
                "hf://org/repo/te text_encoders"));
    assertEquals(0, run.exitCode(), run.err());
    assertEquals(4, run.out().size(), run.out()::toString);
    assertTrue(run.err().contains("4 of 4 files are there"), run.err());
  }

  @Test
  void whatCanNotBeListedFailsWithItsReasonAndTheOthersAreFetched() throws Exception {
    Run run =
        pull.run(
            pull.list(
                "list.txt",
                "hf://org/repo/te/*.gguf text_encoders",
                "hf://org/repo/nothing/here/ vae",
                "hf://org/repo/te/*.txt text_encoders"),
            "--marker",
            pull.models.resolve("done").toString());
    assertEquals(3, run.exitCode(), run.err());
    assertEquals(1, run.out().size(), run.out()::toString);
    assertEquals(
        2, run.err().lines().filter(line -> line.matches("FAILED +notFound.*")).count(), run.err());
    assertTrue(run.err().contains("1 of 3 files are there"), run.err());
    assertTrue(run.err().contains("*.gguf"), run.err());
    assertFalse(Files.exists(pull.models.resolve("done")));
  }
}
