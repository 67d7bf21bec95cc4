package io.anymatix.fetcher.cli;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import io.anymatix.fetcher.content.Redactor;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;

/** Finds secrets in what is typed at the console and in protocol messages. */
final class Secrets {
  static final String MASK = "<redacted>";

  /** Members whose texts are secrets, in lower case. */
  private static final Set<String> MEMBERS =
      Set.of("auth", "civitai", "huggingface", "authorization", "cookie", "password", "apikey");

  /** Words that stand beside secrets, and the two sites' forms of an access token. */
  private static final Pattern SUSPICIOUS =
      Pattern.compile(
          "(?i)(?<!progress)token|setcredentials|secret|password|api_?key|authorization|bearer"
              + "|\\b(auth|civitai|huggingface)\"?\\s*[=:]"
              + "|\\bhf_\\w{8,}|(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])");

  private Secrets() {}

  /** Whether a typed line had better not be kept. */
  static boolean suspects(String line) {
    return SUSPICIOUS.matcher(line).find() || !Redactor.text(line).equals(line);
  }

  /** Remembers the secrets of a message, so that they are masked wherever they come up again. */
  static void learn(JsonNode message) {
    for (JsonNode child : message) {
      learn(child);
    }
    for (Map.Entry<String, JsonNode> member : message.properties()) {
      if (isSecret(member)) {
        String text = member.getValue().asText();
        Redactor.learn(text);
        for (String pair : text.split("&", -1)) {
          Redactor.learn(pair.substring(pair.indexOf('=') + 1));
        }
      }
    }
  }

  /** A copy of a message that may be shown. */
  static JsonNode masked(JsonNode message) {
    if (message.isObject()) {
      ObjectNode shown = JsonNodeFactory.instance.objectNode();
      for (Map.Entry<String, JsonNode> member : message.properties()) {
        shown.set(
            member.getKey(), isSecret(member) ? TextNode.valueOf(MASK) : masked(member.getValue()));
      }
      return shown;
    }
    if (message.isArray()) {
      ArrayNode shown = JsonNodeFactory.instance.arrayNode();
      message.forEach(element -> shown.add(masked(element)));
      return shown;
    }
    return message.isTextual() ? TextNode.valueOf(Redactor.text(message.asText())) : message;
  }

  private static boolean isSecret(Map.Entry<String, JsonNode> member) {
    return member.getValue().isTextual()
        && !member.getValue().asText().isEmpty()
        && MEMBERS.contains(member.getKey().toLowerCase(Locale.ROOT));
  }
}
