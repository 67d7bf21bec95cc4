package io.anymatix.fetcher.fetch;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.failure.InvalidParamsException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Lists as people and programs write them, right and wrong. */
class ModelListTest {
  private static final String HASH = "ab".repeat(32);
  private static final String LINK = "https://models.test/";

  @SuppressWarnings("NullAway.Init") // set before each test
  @TempDir
  Path folder;

  @SuppressWarnings("NullAway.Init") // set before each test
  private Fetcher fetcher;

  @SuppressWarnings("NullAway.Init") // set before each test
  private Path models;

  @BeforeEach
  void open() throws IOException {
    models = Files.createDirectories(folder.resolve("models")).toRealPath();
    fetcher = new Fetcher(Config.builder().modelsDir(models).build(), Map.of());
  }

  @AfterEach
  void close() {
    fetcher.close();
  }

  private List<ModelList.Entry> read(String name, String text) {
    return read(name, text, null, false);
  }

  private List<ModelList.Entry> read(
      String name, String text, @Nullable String defaultType, boolean asNamed) {
    try {
      Path file = Files.writeString(folder.resolve(name), text);
      return ModelList.read(file, defaultType, asNamed, fetcher);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  /** Such as {@code url type name sha256 optional}, null as a dash. */
  private static List<String> shown(List<ModelList.Entry> entries) {
    return entries.stream()
        .map(
            entry -> {
              FetchRequest request = entry.item().request();
              return entry.line()
                  + ": "
                  + String.valueOf(request.url()).replace(LINK, "")
                  + " "
                  + (request.type() != null ? request.type() : request.dir())
                  + (request.name() == null ? "" : " " + request.name())
                  + (request.sha256() == null ? "" : " " + request.sha256().substring(0, 4))
                  + (entry.item().optional() ? " optional" : "");
            })
        .toList();
  }

  private String mistakes(String name, String text) {
    return String.valueOf(
        assertThrows(InvalidParamsException.class, () -> read(name, text)).getMessage());
  }

  @Test
  void linesNameLinkTypeNameAndHash() {
    List<ModelList.Entry> entries =
        read(
            "list.txt",
            """
            # what the workflow needs
            %1$sa.safetensors checkpoint

            %1$sb.safetensors loras  "my lora.safetensors"   # a comment
            %1$sc.safetensors vae c.safetensors %2$s
            %1$sd.safetensors vae - %2$s
            %1$se.safetensors vae %2$s
            %1$sf#fragment diffusion_models/GGUF
            """
                .formatted(LINK, HASH));
    assertEquals(
        List.of(
            "2: a.safetensors checkpoint",
            "4: b.safetensors loras my lora.safetensors",
            "5: c.safetensors vae c.safetensors abab",
            "6: d.safetensors vae abab",
            "7: e.safetensors vae abab",
            "8: f#fragment diffusion_models/GGUF"),
        shown(entries));
  }

  @Test
  void aTypeMayBeGivenForAllThatNameNone() {
    assertEquals(
        List.of("1: a.bin lora", "2: b.bin vae"),
        shown(read("l", LINK + "a.bin\n" + LINK + "b.bin vae\n", "lora", false)));
  }

  @Test
  void aFolderBelowATypesFolderIsTaken() {
    FetchRequest request = read("l", LINK + "a.bin loras/flux/dev\n").get(0).item().request();
    assertEquals(models.resolve("loras/flux/dev").toString(), request.dir());
    assertNull(request.type());
  }

  @Test
  void jsonListsAreRead() {
    String objects =
        """
        [
          {"url": "%1$sa.bin", "type": "lora", "name": "a.bin", "sha256": "%2$s"},
          {"url": "%1$sb.bin", "directory": "loras",
           "optional": true}
        ]
        """
            .formatted(LINK, HASH);
    List<String> expected = List.of("2: a.bin lora a.bin abab", "3: b.bin loras optional");
    assertEquals(expected, shown(read("list.json", objects)));
    assertEquals(expected, shown(read("noSuffix", "{\"items\": " + objects + "}")));
    assertEquals(
        List.of("1: a.bin vae", "1: b.bin vae"),
        shown(read("x.json", "{\"vae\": [\"" + LINK + "a.bin\", \"" + LINK + "b.bin\"]}")));
  }

  @Test
  void yamlListsAreRead() {
    assertEquals(
        List.of("2: a.bin lora a.bin abab", "6: b.bin loras optional"),
        shown(
            read(
                "list.yaml",
                """
                # for the demo
                - url: %1$sa.bin
                  type: lora
                  name: a.bin
                  sha256: %2$s
                - url: %1$sb.bin
                  folder: loras
                  optional: true
                """
                    .formatted(LINK, HASH))));
    assertEquals(
        List.of("2: a.bin checkpoints", "4: b.bin vae"),
        shown(
            read(
                "list.yml",
                """
                checkpoints:
                  - %1$sa.bin
                vae:
                  - url: %1$sb.bin
                """
                    .formatted(LINK))));
  }

  @Test
  void aHashOfDigitsAloneIsNoNumber() {
    String digits = "1234567890".repeat(6) + "1234";
    ModelList.Entry entry =
        read("list.yaml", "- {url: " + LINK + "a, type: vae, sha256: " + digits + "}\n").get(0);
    assertEquals(digits, entry.item().request().sha256());
  }

  @Test
  void workflowsOfTheEditorAreRead() {
    List<ModelList.Entry> entries =
        read(
            "flow.json",
            """
            {"nodes": [
              {"type": "CheckpointLoaderSimple", "mode": 0, "properties": {"models": [
                {"name": "a.safetensors", "url": "%1$sa.safetensors", "directory": "checkpoints",
                 "hash": "%2$s", "hash_type": "SHA256"}]}},
              {"type": "LoraLoader", "mode": 4, "properties": {"models": [
                {"name": "idle.bin", "url": "%1$sidle.bin", "directory": "loras"}]}},
              {"type": "AnymatixFetcher", "widgets_values": [{"url": "%1$sb.bin", "type": "lora"}]},
              {"type": "AnymatixFetch", "widgets_values": ["%1$sc.bin", "vae", "", "c.bin"]},
              {"type": "AnymatixCheckpointFetcher", "widgets_values": ["%1$sd.bin"]},
              {"type": "AnymatixFetcher", "widgets_values": [{"url": "%1$sb.bin", "type": "lora"}]},
              {"type": "AnymatixFetcher", "inputs": [{"name": "url", "link": 7}]},
              {"type": "Note", "widgets_values": ["words"]}],
             "models": [
              {"name": "e.bin", "url": "%1$se.bin", "directory": "vae",
               "hash": "x", "hash_type": "blake3"}],
             "definitions": {"subgraphs": [{"nodes": [
              {"type": "VAELoader", "properties": {"models": [
                {"name": "f.bin", "url": "%1$sf.bin", "directory": "vae"}]}}]}]},
             "version": 0.4}
            """
                .formatted(LINK, HASH));
    assertEquals(
        List.of(
            "e.bin vae e.bin",
            "a.safetensors checkpoints a.safetensors abab",
            "b.bin lora",
            "c.bin vae c.bin",
            "d.bin checkpoint",
            "f.bin vae f.bin"),
        shown(entries).stream().map(line -> line.replaceFirst("\\d+: ", "")).toList());
  }

  @Test
  void workflowsInTheFormOfTheServerAreRead() {
    String prompt =
        """
        {"1": {"class_type": "AnymatixFetcher",
               "inputs": {"url": {"url": "%1$sa.bin", "type": "lora"}}},
         "2": {"class_type": "AnymatixFetch", "inputs": {"url": "%1$sb.bin", "type": "vae"}},
         "3": {"class_type": "AnymatixFetch", "inputs": {"url": ["9", 0], "type": "vae"}},
         "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": ["1", 1]}}}
        """
            .formatted(LINK);
    List<String> expected = List.of("2: a.bin lora", "3: b.bin vae");
    assertEquals(expected, shown(read("api.json", prompt)));
    assertEquals(expected, shown(read("post.json", "{\"prompt\": " + prompt + "}")));
  }

  @Test
  void theExamplesOfThisProjectAreRead() {
    for (String name : List.of("workflow_api.json", "workflow_ui.json")) {
      assertEquals(3, ModelList.read(Path.of("examples", name), null, true, fetcher).size(), name);
    }
  }

  @Test
  void everyMistakeIsToldWithFileAndLine() {
    String told =
        mistakes(
            "list.txt",
            """
            %1$sgood.bin vae
            %1$sa.bin
            %1$sb.bin nonsense
            not-a-link vae
            %1$sc.bin vae ../c.bin
            %1$sd.bin vae d.bin 1234
            %1$se.bin loras/../../x
            %1$sgood.bin vae
            %1$sf.bin vae f.bin
            %1$sg.bin vae f.bin
            %1$sh.bin vae h.py
            /etc/passwd
            %1$si.bin /elsewhere
            """
                .formatted(LINK));
    List<String> lines = told.lines().toList();
    assertEquals(
        List.of(2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13),
        lines.stream()
            .map(line -> Integer.valueOf(line.replaceFirst("list.txt:(\\d+): .*", "$1")))
            .toList(),
        told);
    assertTrue(lines.get(0).contains("type or folder is missing"), told);
    assertTrue(lines.get(1).contains("nonsense"), told);
    assertTrue(lines.get(6).contains("line 1"), told);
    assertTrue(lines.get(7).contains("line 9"), told);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '\u0007',
      value = {
        "list.json|[{\"url\": |1",
        "list.json|[{\"url\": \"https://h/x\", \"type\": \"vae\", \"sha265\": \"a\"}]|1",
        "list.json|[{\"url\": \"https://h/x\", \"url\": \"https://h/y\"}]|1",
        "list.json|[42]|1",
        "list.json|{}|1",
        "list.json|[]|1",
        "list.json|[] []|1",
        "list.json|words|1",
        "list.json|[{\"url\": [\"https://h/x\"], \"type\": \"vae\"}]|1",
        "list.json|[{\"url\": \"https://h/x\", \"type\": \"vae\", \"optional\": \"maybe\"}]|1",
        "list.yaml|- url: [|1",
        "list.yaml|- url: &a https://h/x|1",
        "list.yaml|- !!java.io.File {a: b}|1",
        "list.txt|#nothing|1",
      })
  void whatIsNoListIsToldWithFileAndLine(String name, String text, int line) {
    String told = mistakes(name, text);
    assertTrue(told.startsWith(name + ":" + line + ": "), told);
  }

  @Test
  void anAliasOfYamlIsNotFollowed() {
    String told = mistakes("bomb.yaml", "a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]\n");
    assertTrue(told.startsWith("bomb.yaml:2: "), told);
  }

  @Test
  void anotherFileOfTheSameNameIsToldIfFilesGetTheirNames() {
    String text = LINK + "one/model.bin vae\n" + LINK + "two/model.bin vae\n";
    assertEquals(2, read("list", text).size());
    String told =
        String.valueOf(
            assertThrows(InvalidParamsException.class, () -> read("list", text, null, true))
                .getMessage());
    assertTrue(told.startsWith("list:2: "), told);
  }

  @Test
  void tenThousandModelsAreReadSoonAndOneMoreIsTold() {
    String text =
        IntStream.range(0, 10_000)
            .mapToObj(i -> LINK + i + ".bin vae")
            .collect(Collectors.joining("\n"));
    org.junit.jupiter.api.Assertions.assertTimeout(
        Duration.ofSeconds(20), () -> assertEquals(10_000, read("list", text).size()));
    String told = mistakes("list", text + "\n" + LINK + "more.bin vae\n");
    assertTrue(told.startsWith("list:10001: "), told);
  }

  @ParameterizedTest
  @ValueSource(strings = {"token=verysecretvalue", "X-Amz-Signature=verysecretvalue"})
  void aSecretInALinkIsNotTold(String query) {
    String told = mistakes("list", LINK + "a.bin?" + query + " nonsense\n");
    assertFalse(told.contains("verysecretvalue"), told);
  }

  @Test
  void whatIsNoTextIsToldAsSuch() throws Exception {
    Path file = folder.resolve("list.bin");
    Files.write(file, "\u00ff\u00fe".getBytes(StandardCharsets.ISO_8859_1));
    assertThrows(InvalidParamsException.class, () -> ModelList.read(file, null, false, fetcher));
    assertThrows(
        InvalidParamsException.class,
        () -> ModelList.read(folder.resolve("none"), null, false, fetcher));
  }
}
