package io.anymatix.fetcher.store;

import static java.nio.charset.StandardCharsets.UTF_16LE;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class PythonJsonTest {
  private static final String[] PIECES = {
    "a",
    "b",
    "/",
    "\\/",
    "\\\"",
    "\\\\",
    "\\n",
    "\\u00E9",
    "\u00e9",
    "\u6a21",
    "\ud83d\ude00",
    "\\ud83d\\ude00",
    "\u007f",
    "\u2028",
    "\ufeff",
    "\\u0000",
    "'",
    "\\uD800"
  };

  @TestFactory
  Stream<DynamicTest> recordedValuesAreWrittenAsRecorded() {
    return GoldenVectors.of("json_text")
        .map(
            vector ->
                DynamicTest.dynamicTest(
                    vector.get("written").asText(),
                    () ->
                        assertEquals(
                            vector.get("written").asText(),
                            rewritten(vector.get("value_as_json_utf8").asText()))));
  }

  @Test
  void everyDoubleIsWrittenAsPythonWritesIt() throws Exception {
    long seed = new Random().nextLong();
    Random random = new Random(seed);
    List<Double> doubles = new ArrayList<>();
    for (int i = 1; i <= 1000; i++) {
      doubles.add(i * Double.MIN_VALUE);
    }
    for (int i = 0; i < 5000; i++) {
      doubles.add(finite(Double.longBitsToDouble(random.nextLong())));
      doubles.add(random.nextInt(1_000_000) / 1000.0);
      doubles.add(random.nextLong() * Math.pow(10, random.nextInt(30) - 15));
    }
    for (int exponent = -323; exponent <= 308; exponent++) {
      double power = Double.parseDouble("1e" + exponent);
      doubles.addAll(
          List.of(power, Math.nextUp(power), Math.nextDown(power), -power, finite(power * 2)));
    }
    doubles.addAll(List.of(0.0, -0.0, Double.MAX_VALUE, Double.MIN_NORMAL, 1e16, 1e22, 2e-44));
    // Hexadecimal floats say the same number to both without either's own notation.
    List<String> inputs = doubles.stream().map(Double::toHexString).toList();
    List<String> expected =
        PythonOracle.answers("import json", "json.dumps(float.fromhex(x))", inputs);
    for (int i = 0; i < inputs.size(); i++) {
      assertEquals(
          expected.get(i),
          PythonJson.write(JsonNodeFactory.instance.numberNode((double) doubles.get(i))),
          "seed " + seed);
    }
  }

  private static double finite(double value) {
    return Double.isFinite(value) ? value : 0.5;
  }

  @Test
  void anyTextIsReadAndWrittenAsPythonReadsAndWritesIt() throws Exception {
    long seed = new Random().nextLong();
    Random random = new Random(seed);
    List<String> inputs = new ArrayList<>();
    for (int i = 0; i < 800; i++) {
      inputs.add(value(random, 4));
    }
    List<String> expected =
        PythonOracle.answers("import json", "json.dumps(json.loads(x), indent=4)", inputs);
    for (int i = 0; i < inputs.size(); i++) {
      String input = inputs.get(i);
      assertEquals(expected.get(i), rewritten(input), () -> "seed " + seed + ": " + input);
    }
  }

  private static String value(Random random, int depth) {
    String space = random.nextInt(4) == 0 ? " \r\n\t" : "";
    int kind = random.nextInt(depth > 0 ? 8 : 6);
    StringBuilder text = new StringBuilder(space);
    switch (kind) {
      case 0 -> text.append(new String[] {"true", "false", "null", "NaN"}[random.nextInt(4)]);
      case 1 -> text.append("-0");
      case 2 -> text.append(new java.math.BigInteger(1 + random.nextInt(400), random));
      case 3 -> text.append(random.nextInt(1000)).append(".10");
      case 4 -> text.append(random.nextInt(1000)).append("E").append(random.nextInt(700) - 350);
      case 5 -> string(text, random, PIECES.length);
      case 6 -> {
        text.append('[');
        for (int n = random.nextInt(4); n > 0; n--) {
          text.append(value(random, depth - 1)).append(n > 1 ? "," : "");
        }
        text.append(space).append(']');
      }
      default -> {
        text.append('{');
        for (int n = random.nextInt(6); n > 0; n--) {
          // Jackson takes half a surrogate pair in a value, but not in a name.
          string(text, random, PIECES.length - 1);
          text.append(space).append(':').append(value(random, depth - 1)).append(n > 1 ? "," : "");
        }
        text.append(space).append('}');
      }
    }
    return text.append(space).toString();
  }

  private static void string(StringBuilder text, Random random, int pieces) {
    text.append('"');
    for (int n = random.nextInt(3); n > 0; n--) {
      text.append(PIECES[random.nextInt(pieces)]);
    }
    text.append('"');
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        " ",
        "{",
        "{}{}",
        "{} x",
        "[1,]",
        "{\"a\":1,}",
        "{'a':1}",
        "01",
        "+1",
        ".5",
        "1.",
        "\"a",
        "\"\n\"",
        "\"\\x\"",
        "tru",
        "<html>",
        "// c\n1",
        "\ufeff{}"
      })
  void whatIsNoJsonIsRefused(String text) throws IOException {
    assertRefused(text.getBytes(UTF_8));
  }

  @Test
  void otherEncodingsThanUtf8AreRefused() throws IOException {
    assertRefused(new byte[] {'"', (byte) 0xe9, '"'});
    assertRefused(new byte[] {'"', (byte) 0xed, (byte) 0xa0, (byte) 0x80, '"'});
    assertRefused("{}".getBytes(UTF_16LE));
  }

  @Test
  void nestingIsBounded() throws IOException {
    assertTrue(PythonJson.read(nested(500)).isPresent());
    assertTrue(PythonJson.isJson(new ByteArrayInputStream(nested(500))));
    assertRefused(nested(501));
    assertRefused(nested(1_000_000));
  }

  private static byte[] nested(int levels) {
    return ("[".repeat(levels) + "]".repeat(levels)).getBytes(UTF_8);
  }

  private static void assertRefused(byte[] bytes) throws IOException {
    assertEquals(Optional.empty(), PythonJson.read(bytes));
    assertFalse(PythonJson.isJson(new ByteArrayInputStream(bytes)));
  }

  @ParameterizedTest
  @CsvSource({
    "1e400, Infinity",
    "-1e400, -Infinity",
    "1.10, 1.1",
    "1e3, 1000.0",
    "1e-7, 1e-07",
    "123456789012345678901234567890, 123456789012345678901234567890",
    "100000000000000000000000, 100000000000000000000000",
  })
  void numbersAreThoseOfPython(String read, String written) {
    assertEquals(written, rewritten(read));
  }

  @Test
  void anIntegerIsAsLongAsPythonTakesIt() throws IOException {
    String longest = "9".repeat(4300);
    assertEquals(longest, rewritten(longest));
    assertRefused((longest + "9").getBytes(UTF_8));
  }

  @Test
  void aRepeatedKeyKeepsItsFirstPlaceAndItsLastValue() {
    assertEquals("{\n    \"a\": 3,\n    \"b\": 2\n}", rewritten("{\"a\": 1, \"b\": 2, \"a\": 3}"));
  }

  private static String rewritten(String json) {
    byte[] utf8 = json.getBytes(UTF_8);
    Optional<JsonNode> value = PythonJson.read(utf8);
    try {
      assertTrue(PythonJson.isJson(new ByteArrayInputStream(utf8)), json);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
    return PythonJson.write(value.orElseThrow(() -> new AssertionError("not read: " + json)));
  }
}
