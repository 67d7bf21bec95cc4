package io.anymatix.fetcher.store;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.testing.Content;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What may get a model's name, judged by its bytes. */
class ContentCheckTest {
  private static final Content MODEL = Content.safetensors(7, 100_000);

  @SuppressWarnings("NullAway.Init") // set by JUnit
  @TempDir
  Path models;

  private static byte[] bytes(String latin1) {
    return latin1.getBytes(StandardCharsets.ISO_8859_1);
  }

  /** What is said of a file of that name and content; empty if it may be one. */
  private String refusal(String name, byte[] content, boolean strictly) {
    ModelFileName fileName = ModelFileName.ofUntrusted(name, Sha256.ofUtf8(name));
    ModelFolders.Place place = new ModelFolders(models, Map.of(), List.of()).place("vae", null);
    try (PartFile part =
        new ModelStore()
            .openPart(fileName, place, Duration.ofSeconds(1), new Cancellation(), until -> {})) {
      part.write(ByteBuffer.wrap(content), 0);
      ContentCheck.check(part, fileName, content.length, strictly);
      if (strictly) {
        ContentCheck.checkHead(part, fileName, content.length);
      }
      return "";
    } catch (FetchException failure) {
      assertEquals(FailureKind.NOT_A_MODEL, failure.kind());
      return String.valueOf(failure.getMessage());
    }
  }

  private String refusal(String name, byte[] content) {
    return refusal(name, content, true);
  }

  @Test
  void aWholeSafetensorsFileMayBeOneAndAnyOtherLengthMayNot() {
    assertEquals("", refusal("m.safetensors", MODEL.bytes()));
    assertTrue(
        refusal("m.safetensors", MODEL.bytes(0, 99_999))
            .contains("has 99999 bytes, but its safetensors header describes 100000"));
    assertTrue(refusal("m.sft", MODEL.bytes(0, 9)).contains("too short"));
  }

  @Test
  void aHeaderLongerThanTheFileIsNone() {
    byte[] content = MODEL.bytes();
    ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN).putLong(99_993);
    assertTrue(refusal("m.safetensors", content).contains("no safetensors header"));
  }

  static Stream<Arguments> heads() {
    return Stream.of(
        Arguments.of("m.gguf", "GGUF\u0003", true),
        Arguments.of("m.gguf", "GGML\u0003", false),
        Arguments.of("m.pt", "PK\u0003\u0004", true),
        Arguments.of("m.pth", "PK\u0005\u0006", false),
        Arguments.of("m.ckpt", "\u0080\u0002}q", true),
        Arguments.of("m.ckpt", "\u0080\u0007}q", false),
        Arguments.of("m.onnx", "\b\u0007\u0012", true),
        Arguments.of("m.bin", "whatever", true));
  }

  @ParameterizedTest
  @MethodSource("heads")
  void otherFormatsBeginAsTheirLoadersExpect(String name, String head, boolean isAccepted) {
    assertEquals(isAccepted, refusal(name, bytes(head)).isEmpty());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "<!DOCTYPE html><title>Sign in</title>",
        "\n  <HTML lang=en>",
        "<?xml version='1.0'?><Error>",
        "{\"error\": \"no such file\"}",
      })
  void aPageOrMessageIsNoModelWhateverItsNameAndIsQuoted(String page) {
    for (String name : new String[] {"m.bin", "m.onnx", "m.safetensors", "noextension"}) {
      String refusal = refusal(name, page.getBytes(StandardCharsets.UTF_8));
      assertTrue(refusal.endsWith("it begins with: " + page.strip()), refusal);
    }
    assertEquals("", refusal("m.xml", page.getBytes(StandardCharsets.UTF_8)));
  }

  @Test
  void bytesThatAreNoTextAreNotShown() {
    for (byte[] content :
        new byte[][] {Content.random(1, 5000).bytes(), bytes("abc\u0000defghijkl")}) {
      String refusal = refusal("m.safetensors", content);
      assertEquals("What came for m.safetensors has no safetensors header.", refusal);
    }
  }

  @Test
  void aLetterThatIsCutAtTheEndOfTheHeadHidesNoText() {
    String page = "<html>" + "\u20ac".repeat(300);
    assertTrue(refusal("m.bin", page.getBytes(StandardCharsets.UTF_8)).contains("<html>\u20ac"));
  }

  @Test
  void jsonIsHeldAgainstItsNameAlsoWhereAnyContentIsAccepted() {
    byte[] page = bytes("<html>");
    assertEquals("", refusal("m.json", bytes("{\"a\": [1, 2]}"), false));
    assertFalse(refusal("m.json", page, false).isEmpty());
    assertEquals("", refusal("m.safetensors", page, false));
  }
}
