package io.anymatix.fetcher.cli;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * The methods that a sidecar process has, as far as is known.
 *
 * @param methods by name, in the order of its description
 */
record MethodCatalog(Map<String, Method> methods) {
  private static final Pattern KEY = Pattern.compile("([A-Za-z_][A-Za-z0-9_]*)=");

  /** Parameters that are folders. */
  private static final Set<String> PATHS = Set.of("dir", "modelsDir");

  private static final int MOST_PATHS = 1000;

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
                  List.of("metadata", "url"),
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
   * @param values what may stand for a parameter, where that is known
   */
  record Method(String summary, List<String> params, Map<String, List<String>> values) {
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
      Map<String, List<String>> values = new LinkedHashMap<>();
      for (JsonNode param : method.path("params")) {
        String name = param.path("name").asText();
        params.add(name);
        values.put(name, values(param.path("schema")));
      }
      methods.put(
          method.path("name").asText(),
          new Method(method.path("summary").asText(), params, values));
    }
    return methods.isEmpty() ? BASIC : new MethodCatalog(methods);
  }

  private static List<String> values(JsonNode schema) {
    List<String> values = new ArrayList<>();
    schema.path("enum").forEach(value -> values.add(value.asText()));
    schema.path("examples").forEach(value -> values.add(value.asText()));
    JsonNode type = schema.path("type");
    for (JsonNode each : type.isArray() ? type : List.of(type)) {
      if (each.asText().equals("boolean")) {
        values.addAll(List.of("true", "false"));
      }
    }
    return values;
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
    String last = words.get(words.size() - 1);
    if (words.size() == 1) {
      candidates.addAll(methods.keySet());
      candidates.addAll(OWN_COMMANDS.keySet());
    } else if (words.get(0).equals("save") || words.get(0).equals("replay")) {
      candidates.addAll(paths("", last, false));
    } else if (words.get(0).equals("trace")) {
      candidates.addAll(List.of("on", "off"));
    } else if (words.get(0).equals("help")) {
      candidates.addAll(methods.keySet());
      candidates.addAll(OWN_COMMANDS.keySet());
    } else {
      Method method = methods.get(words.get(0));
      Matcher typed = KEY.matcher(last);
      if (method != null && typed.lookingAt()) {
        String key = typed.group();
        method
            .values()
            .getOrDefault(typed.group(1), List.of())
            .forEach(value -> candidates.add(key + value));
        if (PATHS.contains(typed.group(1))) {
          candidates.addAll(paths(key, last.substring(key.length()), true));
        }
      } else if (method != null) {
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

  /** What lies where a path is being typed; a folder ends in a slash, to be gone on from. */
  private static List<String> paths(String key, String typed, boolean foldersOnly) {
    int nameAt = typed.lastIndexOf('/') + 1;
    String folder = typed.substring(0, nameAt);
    List<String> found = new ArrayList<>();
    try (Stream<Path> entries = Files.list(Path.of(folder.isEmpty() ? "." : folder))) {
      for (Path entry : entries.sorted().limit(MOST_PATHS).toList()) {
        boolean isFolder = Files.isDirectory(entry);
        String name = String.valueOf(entry.getFileName());
        if ((isFolder || !foldersOnly) && (!name.startsWith(".") || typed.endsWith("."))) {
          found.add(key + folder + name + (isFolder ? "/" : ""));
        }
      }
    } catch (IOException | InvalidPathException e) {
      // There is nothing to offer there.
    }
    return found;
  }

  private static Map<String, String> ownCommands() {
    Map<String, String> commands = new LinkedHashMap<>();
    commands.put("help", "help [METHOD]: what can be typed here");
    commands.put("trace", "trace on|off: show the messages as they go, secrets masked");
    commands.put("save", "save FILE: write this conversation to a new file, secrets masked");
    commands.put("replay", "replay FILE [DIR]: say it again, and tell where an answer differs");
    commands.put("attach", "attach COMMAND...: go on with another sidecar process");
    commands.put("quit", "quit, or Ctrl-D: end the sidecar process and the console");
    return commands;
  }

  private static Map<String, Method> basic(List<List<String>> rows) {
    Map<String, Method> methods = new LinkedHashMap<>();
    for (List<String> row : rows) {
      methods.put(row.get(0), new Method("", row.subList(1, row.size()), Map.of()));
    }
    return methods;
  }
}
