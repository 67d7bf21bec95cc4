package io.anymatix.fetcher.cli;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.TextNode;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The console's short form of a request: {@code method value… key=value …}.
 *
 * <p>A value is an object or an array in JSON, which may hold spaces; a number, {@code true},
 * {@code false} or {@code null}; a text in double quotes, in which {@code \"} stands for a quote,
 * or in single quotes; or any other text up to the next space.
 *
 * @param positional values without a key, in order
 * @param named values with one
 */
record Shorthand(String method, List<JsonNode> positional, Map<String, JsonNode> named) {
  /** Does not look behind a value's end, where the next word begins. */
  private static final ObjectMapper JSON = new ObjectMapper();

  private static final ObjectMapper WHOLE =
      new ObjectMapper().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

  private static final Pattern KEY = Pattern.compile("\\G([A-Za-z_][A-Za-z0-9_]*)=");
  private static final Pattern WORD = Pattern.compile("\\G\\S+");

  /**
   * Reads a line that is not blank.
   *
   * @throws IllegalArgumentException if a value has no end, with what is missing
   */
  static Shorthand parse(String line) {
    return new Reader(line.strip()).read();
  }

  private static final class Reader {
    private final String line;
    private int at;

    Reader(String line) {
      this.line = line;
    }

    Shorthand read() {
      String method = word();
      List<JsonNode> positional = new ArrayList<>();
      Map<String, JsonNode> named = new LinkedHashMap<>();
      for (skipSpace(); at < line.length(); skipSpace()) {
        Matcher key = KEY.matcher(line);
        if (key.find(at)) {
          at = key.end();
          if (named.put(key.group(1), value()) != null) {
            throw new IllegalArgumentException(key.group(1) + " is given twice.");
          }
        } else {
          positional.add(value());
        }
      }
      return new Shorthand(method, positional, named);
    }

    private JsonNode value() {
      char first = at < line.length() ? line.charAt(at) : ' ';
      JsonNode value =
          switch (first) {
            case '{', '[' -> container();
            case '"', '\'' -> quoted(first);
            default -> scalarOrText(Character.isWhitespace(first) ? "" : word());
          };
      if (at < line.length() && !Character.isWhitespace(line.charAt(at))) {
        throw new IllegalArgumentException(
            "A space is missing before " + line.substring(at) + "; quote a value that has any.");
      }
      return value;
    }

    private JsonNode container() {
      try (JsonParser parser = JSON.createParser(line.substring(at))) {
        JsonNode value = parser.readValueAsTree();
        at += (int) parser.currentLocation().getCharOffset();
        return value;
      } catch (IOException e) {
        throw new IllegalArgumentException("This is no JSON: " + line.substring(at), e);
      }
    }

    private JsonNode quoted(char quote) {
      StringBuilder text = new StringBuilder();
      for (int i = at + 1; i < line.length(); i++) {
        char c = line.charAt(i);
        if (c == quote) {
          at = i + 1;
          return TextNode.valueOf(text.toString());
        }
        if (quote == '"' && c == '\\' && i + 1 < line.length() && line.charAt(i + 1) == '"') {
          i++;
          c = '"';
        }
        text.append(c);
      }
      throw new IllegalArgumentException("The quote " + quote + " is not closed.");
    }

    private String word() {
      Matcher word = WORD.matcher(line);
      if (!word.find(at)) {
        return "";
      }
      at = word.end();
      return word.group();
    }

    private void skipSpace() {
      while (at < line.length() && Character.isWhitespace(line.charAt(at))) {
        at++;
      }
    }

    private static JsonNode scalarOrText(String word) {
      try {
        JsonNode value = WHOLE.readTree(word);
        return value.isMissingNode() ? TextNode.valueOf(word) : value;
      } catch (JsonProcessingException e) {
        return TextNode.valueOf(word);
      }
    }
  }
}
