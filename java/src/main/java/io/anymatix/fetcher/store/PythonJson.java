package io.anymatix.fetcher.store;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.io.NumberOutput;
import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.Reader;
import java.math.BigDecimal;
import java.math.RoundingMode;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Iterator;
import java.util.Map;
import java.util.Optional;

/**
 * JSON as Python's {@code json} module writes and reads it (store contract 2.1), so that a sidecar
 * file looks the same whoever wrote it.
 */
public final class PythonJson {
  private static final int INDENT = 4;

  /** The depth of everything in a text of one line; any sum with it stays negative. */
  private static final int ONE_LINE = Integer.MIN_VALUE / 2;

  /** Nesting that both Python's and our own recursion can bear. */
  private static final int DEEPEST_NESTING = 500;

  /** Python reads no longer integer either. */
  private static final int LONGEST_NUMBER_DIGITS = 4300;

  /** Python uses plain notation from 1e-4 up to, not including, 1e16. */
  private static final int SMALLEST_PLAIN_EXPONENT = -4;

  private static final int SMALLEST_GREAT_EXPONENT = 16;

  /** What only readers need; loading it would keep who only writes from its work. */
  private static final class Parsing {
    static final JsonFactory FACTORY =
        JsonFactory.builder()
            .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS)
            .streamReadConstraints(
                StreamReadConstraints.builder()
                    .maxNestingDepth(DEEPEST_NESTING)
                    .maxNumberLength(LONGEST_NUMBER_DIGITS)
                    .build())
            .build();

    static final ObjectReader TREE_READER =
        JsonMapper.builder(FACTORY)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .build()
            .readerFor(JsonNode.class);

    private Parsing() {}
  }

  private PythonJson() {}

  /**
   * The text that {@code json.dumps(value, indent=4)} gives: pure ASCII, members in their order, no
   * newline at the end.
   *
   * @throws IllegalArgumentException if the tree holds what JSON has no form for
   */
  static String write(JsonNode value) {
    StringBuilder text = new StringBuilder();
    append(text, value, 0);
    return text.toString();
  }

  /** The text that {@code json.dumps(value)} gives: as {@link #write}, but in one line. */
  public static String writeLine(JsonNode value) {
    StringBuilder text = new StringBuilder();
    append(text, value, ONE_LINE);
    return text.toString();
  }

  /**
   * Reads one JSON value: members keep their order (of a repeated one the last value stays),
   * integers are exact, other numbers are doubles. Empty if the bytes are not strictly UTF-8, begin
   * with a byte order mark, are no JSON, hold more than one value, or nest deeper than 500 levels.
   */
  static Optional<JsonNode> read(byte[] utf8) {
    try {
      String text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(utf8)).toString();
      JsonNode value = Parsing.TREE_READER.readValue(text);
      return Optional.ofNullable(value).filter(node -> !node.isMissingNode());
    } catch (CharacterCodingException | JsonProcessingException e) {
      return Optional.empty();
    }
  }

  /**
   * Whether a stream holds one JSON value, by the rules of {@link #read}, however long it is. Reads
   * it to its end or to the first fault, without closing it.
   */
  static boolean isJson(InputStream utf8) throws IOException {
    Reader text = new InputStreamReader(utf8, StandardCharsets.UTF_8.newDecoder());
    try (JsonParser parser =
        Parsing.FACTORY.createParser(text).disable(JsonParser.Feature.AUTO_CLOSE_SOURCE)) {
      if (parser.nextToken() == null) {
        return false;
      }
      parser.skipChildren();
      return parser.nextToken() == null;
    } catch (CharacterCodingException | JsonProcessingException e) {
      return false;
    }
  }

  private static void append(StringBuilder text, JsonNode value, int depth) {
    switch (value.getNodeType()) {
      case OBJECT -> appendObject(text, value, depth);
      case ARRAY -> appendArray(text, value, depth);
      case STRING -> appendString(text, value.textValue());
      case NUMBER -> {
        if (value.isIntegralNumber()) {
          text.append(value.bigIntegerValue());
        } else {
          text.append(repr(value.doubleValue()));
        }
      }
      case BOOLEAN -> text.append(value.booleanValue());
      case NULL -> text.append("null");
      default ->
          throw new IllegalArgumentException("JSON has no form for a " + value.getNodeType());
    }
  }

  private static void appendObject(StringBuilder text, JsonNode object, int depth) {
    if (object.isEmpty()) {
      text.append("{}");
      return;
    }
    text.append('{');
    Iterator<Map.Entry<String, JsonNode>> members = object.properties().iterator();
    while (members.hasNext()) {
      Map.Entry<String, JsonNode> member = members.next();
      startLine(text, depth + 1);
      appendString(text, member.getKey());
      text.append(": ");
      append(text, member.getValue(), depth + 1);
      if (members.hasNext()) {
        text.append(',');
      }
    }
    startLine(text, depth);
    text.append('}');
  }

  private static void appendArray(StringBuilder text, JsonNode array, int depth) {
    if (array.isEmpty()) {
      text.append("[]");
      return;
    }
    text.append('[');
    for (int i = 0; i < array.size(); i++) {
      if (i > 0) {
        text.append(',');
      }
      startLine(text, depth + 1);
      append(text, array.get(i), depth + 1);
    }
    startLine(text, depth);
    text.append(']');
  }

  private static void startLine(StringBuilder text, int depth) {
    if (depth >= 0) {
      text.append('\n').append(" ".repeat(INDENT * depth));
    } else if (text.charAt(text.length() - 1) == ',') {
      text.append(' ');
    }
  }

  private static void appendString(StringBuilder text, String value) {
    text.append('"');
    for (int i = 0; i < value.length(); i++) {
      char c = value.charAt(i);
      switch (c) {
        case '"' -> text.append("\\\"");
        case '\\' -> text.append("\\\\");
        case '\n' -> text.append("\\n");
        case '\r' -> text.append("\\r");
        case '\t' -> text.append("\\t");
        case '\f' -> text.append("\\f");
        case '\b' -> text.append("\\b");
        default -> {
          if (c >= 0x20 && c <= 0x7e) {
            text.append(c);
          } else {
            text.append("\\u");
            for (int shift = 12; shift >= 0; shift -= 4) {
              text.append("0123456789abcdef".charAt(c >> shift & 15));
            }
          }
        }
      }
    }
    text.append('"');
  }

  /** The shortest digits that read back as the same double, in Python's notation. */
  private static String repr(double value) {
    if (Double.isNaN(value)) {
      return "NaN";
    }
    if (Double.isInfinite(value)) {
      return value > 0 ? "Infinity" : "-Infinity";
    }
    if (value == 0) {
      return 1 / value < 0 ? "-0.0" : "0.0";
    }
    BigDecimal shortest = shortest(Math.abs(value));
    String digits = shortest.unscaledValue().toString();
    int exponent = digits.length() - 1 - shortest.scale();
    StringBuilder text = new StringBuilder(value < 0 ? "-" : "");
    if (exponent < SMALLEST_PLAIN_EXPONENT || exponent >= SMALLEST_GREAT_EXPONENT) {
      text.append(digits.charAt(0));
      if (digits.length() > 1) {
        text.append('.').append(digits, 1, digits.length());
      }
      text.append(exponent < 0 ? "e-" : "e+").append(Math.abs(exponent) < 10 ? "0" : "");
      return text.append(Math.abs(exponent)).toString();
    }
    text.append(shortest.toPlainString());
    return shortest.scale() > 0 ? text.toString() : text.append(".0").toString();
  }

  /**
   * Jackson writes at least two digits, which for the very smallest doubles is one more than needed
   * ({@code 4.9E-324} for {@code 5e-324}).
   */
  private static BigDecimal shortest(double positive) {
    BigDecimal exact = new BigDecimal(NumberOutput.toString(positive, true)).stripTrailingZeros();
    if (exact.precision() == 2) {
      BigDecimal oneDigit =
          exact.setScale(exact.scale() - 1, RoundingMode.HALF_EVEN).stripTrailingZeros();
      if (oneDigit.doubleValue() == positive) {
        return oneDigit;
      }
    }
    return exact;
  }
}
