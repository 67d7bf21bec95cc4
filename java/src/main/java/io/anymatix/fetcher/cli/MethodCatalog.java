package io.anymatix.fetcher.cli;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * The methods that a sidecar process has, as far as is known.
 *
 * @param methods by name, in the order of its description
 */
record MethodCatalog(Map<String, Method> methods) {
  private static final Pattern KEY = Pattern.compile("([A-Za-z_][A-Za-z0-9_]*)=");

  /** What a console can do by itself, with what that is. */
  static final Map<String, String> OWN_COMMANDS = ownCommands();

  /**
   * What every version of the protocol has: for a sidecar process that does not describe itself.
   */
  static final MethodCatalog BASIC =
      new MethodCatalog(
          basic(
              List.of(
                  List.of("initialize", "clientInfo", "modelsDir", "folders"),
                  List.of("fetch", "url", "type", "dir", "auth", "sha256", "name", "progressToken"),
                  List.of("isChanged", "url", "type", "dir", "auth"),
                  List.of("probe", "url", "auth"),
                  List.of("delete", "url", "type", "dir"),
                  List.of("setCredentials", "civitai", "huggingface"),
                  List.of("setOptions", "maxBytesPerSecond", "maxConnections"),
                  List.of("status"),
                  List.of("ping"),
                  List.of("shutdown"),
                  List.of("rpc.discover"))));

  /**
   * One method.
   *
   * @param summary a sentence, or the empty text
   * @param params names in their order
   */
  record Method(String summary, List<String> params) {
    /** Whether a request for progress is understood. */
    boolean tellsProgress() {
      return params.contains("progressToken");
    }
  }

  /** Reads an OpenRPC document. */
  static MethodCatalog of(JsonNode document) {
    Map<String, Method> methods = new LinkedHashMap<>();
    for (JsonNode method : document.path("methods")) {
      List<String> params = new ArrayList<>();
      method.path("params").forEach(param -> params.add(param.path("name").asText()));
      methods.put(
          method.path("name").asText(), new Method(method.path("summary").asText(), params));
    }
    return methods.isEmpty() ? BASIC : new MethodCatalog(methods);
  }

  @Nullable Method method(String name) {
    return methods.get(name);
  }

  /**
   * What may stand where the last word of a line is being typed.
   *
   * @param words of the line up to there, the first being the method; at least one
   */
  List<String> candidates(List<String> words) {
    List<String> candidates = new ArrayList<>();
    if (words.size() == 1) {
      candidates.addAll(methods.keySet());
      candidates.addAll(OWN_COMMANDS.keySet());
    } else if (words.get(0).equals("trace")) {
      candidates.addAll(List.of("on", "off"));
    } else if (words.get(0).equals("help")) {
      candidates.addAll(methods.keySet());
    } else {
      Method method = methods.get(words.get(0));
      if (method != null) {
        method.params().forEach(param -> candidates.add(param + "="));
        for (String word : words.subList(1, words.size() - 1)) {
          Matcher key = KEY.matcher(word);
          if (key.lookingAt()) {
            candidates.remove(key.group());
          }
        }
      }
    }
    return candidates;
  }

  private static Map<String, String> ownCommands() {
    Map<String, String> commands = new LinkedHashMap<>();
    commands.put("help", "help [METHOD]: what can be typed here");
    commands.put("trace", "trace on|off: show the messages as they go, secrets masked");
    commands.put("quit", "quit, or Ctrl-D: end the sidecar process and the console");
    return commands;
  }

  private static Map<String, Method> basic(List<List<String>> rows) {
    Map<String, Method> methods = new LinkedHashMap<>();
    for (List<String> row : rows) {
      methods.put(row.get(0), new Method("", row.subList(1, row.size())));
    }
    return methods;
  }
}
