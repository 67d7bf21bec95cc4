package io.anymatix.fetcher.store;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ModelFileNameTest {
  private static final Sha256 HASH = new Sha256("1".repeat(64));
  private static final EffectiveUrl URL = EffectiveUrl.of("https://h.example/d/u.bin?x=/y", null);

  @TestFactory
  Stream<DynamicTest> recordedNamesAreCutAtTheLastDot() {
    return GoldenVectors.of("names")
        .map(
            vector ->
                DynamicTest.dynamicTest(
                    vector.get("original").toString(),
                    () -> {
                      String original = vector.get("original").asText();
                      String recorded = vector.get("provisional_2025_12_27_on").asText();
                      // Trailing dots are ours to drop: Windows cannot keep them.
                      String expected =
                          original.endsWith(".")
                              ? recorded.substring(0, recorded.length() - 1)
                              : recorded;
                      assertEquals(expected, stored(original));
                    }));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "attachment; filename=\"a.bin\" | a.bin",
        "inline; filename*=UTF-8''a%20b.bin; filename=\"c d.bin\"; | c d.bin",
        "filename=\"a.bin\" | a.bin",
        "attachment;filename = \"a.bin\" | a.bin",
        "attachment; FileName=\"a.bin\" | a.bin",
        "attachment; filename=\"a.bin\"; size=\"1\" | a.bin",
        "attachment; filename=\"x\"y\" | x",
        "attachment; filename=\"a.bin\"; filename=\"b.bin\" | a.bin",
        "attachment; filename=\"\"; filename=\"b.bin\" | b.bin",
        "attachment; filename=\" spaced .bin \" | ` spaced .bin`",
        "attachment; filename=\"we \\\"ird\\\".bin\" | we ird.bin",
        "attachment; filename=\"C:\\\\dir\\\\a.bin\" | a.bin",
        "attachment; filename=\"C:\\dir\\a.bin\" | a.bin",
        "attachment; filename=\"a;b.bin\" | a;b.bin",
        "attachment; note=\"; filename=\\\"x.bin\\\"\"; filename=\"a.bin\" | a.bin",
        "attachment; filename*=UTF-8''na%C3%AFve%2Fm.bin; filename=plain.bin | m.bin",
        "attachment; filename*=UTF-8'en'na%C3%AFve.bin | na\u00efve.bin",
        "attachment; filename*=iso-8859-1''caf%E9.bin | caf\u00e9.bin",
        "attachment; filename*=\"UTF-8''a%20b.bin\" | a b.bin",
        "attachment; filename*=UTF-8''a%2.bin | a%2.bin",
        "attachment; filename*=a.bin; filename=b.bin | b.bin",
        "attachment; filename=bare.safetensors | bare.safetensors",
        "attachment; filename=my model.bin ; x=1 | my model.bin",
        "attachment; filename=\"a.bin | a.bin",
        "attachment; filename=\"\"; | u.bin",
        "attachment; xfilename=\"x.bin\" | u.bin",
        "attachment; filename | u.bin",
        "attachment; filename= | u.bin",
        "attachment | u.bin",
        "; ;=;== | u.bin",
      })
  void theServersNameIsFoundInBrokenFieldsToo(String field, String original) {
    assertEquals(original, ModelFileName.of(field, URL).original());
  }

  @Test
  void bytesOfTheFieldAreUtf8IfTheyCanBe() {
    String utf8 = new String("filename=\"mod\u00e8le-\u6a21.bin\"".getBytes(UTF_8), ISO_8859_1);
    assertEquals("mod\u00e8le-\u6a21.bin", ModelFileName.of(utf8, URL).original());
    assertEquals("caf\u00e9.bin", ModelFileName.of("filename=\"caf\u00e9.bin\"", URL).original());
  }

  @Test
  void withoutAFieldTheUrlNamesTheFile() {
    ModelFileName name = ModelFileName.of(null, URL);
    assertEquals("u.bin", name.original());
    assertEquals("u_" + URL.urlHash().hex() + ".bin", name.stored());
    assertEquals("bin", name.extension());
  }

  @ParameterizedTest
  @CsvSource(
      quoteCharacter = '`',
      value = {
        "../m.safetensors, m.safetensors",
        "sub/evil.bin, evil.bin",
        "dir\\evil.bin, evil.bin",
        "a/..\\b/c\\d.bin, d.bin",
        "model., model",
        "`m.bin. . `, m.bin",
        ".., ``",
        "/, ``",
        "`<a>:b\"|?*.bin`, ab.bin",
        "a\u0000\u0007\u007f\u0085.bin, a.bin",
        "a\u202enib.\u2066x\u2028.bin, anib.x.bin",
        "a\ud800b.bin, ab.bin",
        "CON, _CON",
        "nul.tar.gz, _nul.tar.gz",
        "Com1 .bin, _Com1 .bin",
        "LPT\u00b9.bin, _LPT\u00b9.bin",
        "console.bin, console.bin",
        "com10.bin, com10.bin",
        "my great 'model' (v2).bin, my great 'model' (v2).bin",
      })
  void namesAreMadeSafe(String stated, String original) {
    assertEquals(original, ModelFileName.ofUntrusted(stated, HASH).original());
  }

  @ParameterizedTest
  @CsvSource(
      quoteCharacter = '`',
      value = {
        "weights, weights_#",
        ".hidden, _#.hidden",
        ".hidden.bin, .hidden_#.bin",
        "``, _#",
        "archive.tar.gz, archive.tar_#.gz",
        "a..b, a._#.b",
      })
  void theHashStandsBeforeTheLastDot(String original, String stored) {
    assertEquals(stored.replace("#", HASH.hex()), stored(original));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "evil.py",
        "../evil.py",
        "evil.PY",
        "evil.py.",
        "evil.PY ",
        "evil.py . .",
        "x.py:stream",
        "x.py::$DATA",
        "e:x.py",
        "evil.p*y",
        "evil.py\u0000",
        "evil.\u202epy",
        ".py",
        "a.bin.exe",
        "x.pyc",
        "x.pyd",
        "x.so",
        "x.dll",
        "x.dylib",
        "x.bat",
        "x.cmd",
        "x.ps1",
        "x.sh",
        "x.js",
        "x.html",
        "x.htm",
        "x.desktop",
        "x.lnk",
        "x.jar",
        "x.class"
      })
  void filesThatCouldRunAreRefused(String stated) {
    assertPolicy(() -> ModelFileName.ofUntrusted(stated, HASH));
    assertPolicy(() -> ModelFileName.of("attachment; filename=\"" + stated + "\"", URL));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "m.safetensors", "m.sft", "m.ckpt", "m.pt", "m.pt2", "m.pth", "m.bin", "m.pkl", "m.gguf",
        "m.onnx", "m.msgpack", "m.npz", "m.zip", "m.tar", "m.json", "m.txt", "m.yaml", "m.yml",
        "m.model", "m.md", "m.py.bin", "m.pystream", "py", "m.unknown"
      })
  void otherSuffixesAreKept(String stated) {
    assertEquals(stated, ModelFileName.ofUntrusted(stated, HASH).original());
  }

  @Test
  void workingFilesOfTheLongestNameStillFit() {
    long seed = new Random().nextLong();
    Random random = new Random(seed);
    String[] alphabet = {"a", "\u00e9", "\u6a21", "\ud83d\ude00", "."};
    for (int i = 0; i < 2000; i++) {
      StringBuilder original = new StringBuilder();
      int length = random.nextInt(400);
      while (original.length() < length) {
        original.append(alphabet[random.nextInt(alphabet.length - (i % 2))]);
      }
      original.append('x');
      String stored = stored(original.toString());
      String told = "seed " + seed + ": " + original;
      assertTrue((stored + ".part.segments.tmp").getBytes(UTF_8).length <= 255, told);
      assertEquals(stored, new String(stored.getBytes(UTF_8), UTF_8), told);
      assertTrue(stored.contains("_" + HASH.hex()), told);
      if (original.toString().getBytes(UTF_8).length <= 255 - 18 - 65) {
        assertEquals(original.toString(), stored.replace("_" + HASH.hex(), ""), told);
      }
    }
  }

  @Test
  void aLongNameLosesTheEndOfItsStem() {
    String expected = "\u6a21".repeat(53) + "_" + HASH.hex() + ".safetensors";
    assertEquals(expected, stored("\u6a21".repeat(300) + ".safetensors"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"ve.safetensors", "Cangjie5_TC.json", "modèle 模.pt", ".hidden", "conds"})
  void aPlainNameIsTakenAsItIs(String name) {
    assertEquals(name, ModelFileName.requirePlain(name));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        ".",
        "..",
        "a/b.bin",
        "a\\b.bin",
        "/a.bin",
        "C:a.bin",
        "a.bin.",
        "a.bin ",
        "nul",
        "a*.bin",
        "a\n.bin",
        "evil.py",
        "x.py:stream",
        "1111111111111111111111111111111111111111111111111111111111111111.json"
      })
  void aNameThatIsNotOneSafeComponentIsRefused(String name) {
    assertPolicy(() -> ModelFileName.requirePlain(name));
  }

  @Test
  void aPlainNameThatNoFileSystemTakesIsRefused() {
    assertEquals("a".repeat(255), ModelFileName.requirePlain("a".repeat(255)));
    assertPolicy(() -> ModelFileName.requirePlain("\u00e9".repeat(128)));
  }

  private static String stored(String original) {
    return ModelFileName.ofUntrusted(original, HASH).stored();
  }

  private static void assertPolicy(org.junit.jupiter.api.function.Executable naming) {
    assertEquals(FailureKind.POLICY, assertThrows(FetchException.class, naming).kind());
  }
}
