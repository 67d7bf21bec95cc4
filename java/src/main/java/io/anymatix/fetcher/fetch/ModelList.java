package io.anymatix.fetcher.fetch;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParseException;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import com.fasterxml.jackson.dataformat.yaml.YAMLParser;
import io.anymatix.fetcher.content.Redactor;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.failure.InvalidParamsException;
import io.anymatix.fetcher.failure.NotInitializedException;
import io.anymatix.fetcher.store.EffectiveUrl;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.yaml.snakeyaml.LoaderOptions;

/**
 * A list of models, read from a file that somebody else may have written: plain lines, JSON, YAML,
 * or a ComfyUI workflow in either of its formats.
 *
 * <p>It is read whole and checked whole before anything is fetched; every mistake is told with its
 * line. JSON and YAML are read as plain data; of YAML only what JSON has, too. {@code
 * examples/README.md} shows each form.
 */
public final class ModelList {
  private static final long LONGEST_FILE_BYTES = 32L << 20;
  private static final int DEEPEST_NESTING = 200;
  private static final int MOST_TOLD_MISTAKES = 20;

  private static final StreamReadConstraints BOUNDS =
      StreamReadConstraints.builder().maxNestingDepth(DEEPEST_NESTING).build();

  private static final Pattern COLUMN = Pattern.compile("\\G\\s*(?:\"([^\"]*)\"|(\\S+))");
  private static final Pattern SHA256 = Pattern.compile("[0-9a-fA-F]{64}");

  /** Keys of an entry, with what each is called in lists of other programs. */
  private static final Map<String, String> KEYS =
      Map.ofEntries(
          Map.entry("url", "url"),
          Map.entry("type", "type"),
          Map.entry("folder", "type"),
          Map.entry("directory", "type"),
          Map.entry("dir", "type"),
          Map.entry("name", "name"),
          Map.entry("filename", "name"),
          Map.entry("sha256", "sha256"),
          Map.entry("hash", "sha256"),
          Map.entry("hash_type", "hash_type"),
          Map.entry("auth", "auth"),
          Map.entry("mirrors", "mirrors"),
          Map.entry("fileId", "fileId"),
          Map.entry("connections", "connections"),
          Map.entry("optional", "optional"));

  private static final Set<String> LIST_KEYS = Set.of("items", "models", "files");

  /** Modes of a node that does not run: muted and bypassed. */
  private static final Set<String> IDLE_MODES = Set.of("2", "4");

  private final String fileName;
  private final @Nullable String defaultType;
  private final Fetcher fetcher;
  private final boolean asNamed;
  private final List<Entry> entries = new ArrayList<>();
  private final List<String> mistakes = new ArrayList<>();
  private final Map<String, Integer> lineOfTarget = new HashMap<>();
  private int mistakeCount;
  private boolean isWorkflow;

  /**
   * One model.
   *
   * @param line where it stands in the file, from 1
   */
  public record Entry(int line, Batch.Item item) {}

  /** A value of JSON or YAML: a map, a list, a text, or null; and its line. */
  private record Node(int line, @Nullable Object value) {
    @SuppressWarnings("unchecked") // made in one place below
    Map<String, Node> map() {
      return value instanceof Map ? (Map<String, Node>) value : Map.of();
    }

    @SuppressWarnings("unchecked") // made in one place below
    List<Node> list() {
      return value instanceof List ? (List<Node>) value : List.of();
    }

    @Nullable String text() {
      return value instanceof String text ? text : null;
    }

    Node get(String key) {
      return map().getOrDefault(key, new Node(line, null));
    }
  }

  private ModelList(
      String fileName, @Nullable String defaultType, boolean asNamed, Fetcher fetcher) {
    this.fileName = fileName;
    this.defaultType = defaultType;
    this.asNamed = asNamed;
    this.fetcher = fetcher;
  }

  /**
   * Reads a list.
   *
   * @param defaultType of entries that name no type
   * @param asNamed whether every file also gets its plain name, so that two may not share one
   * @param fetcher knows the folders
   * @throws InvalidParamsException with every mistake, each with file and line
   */
  public static List<Entry> read(
      Path file, @Nullable String defaultType, boolean asNamed, Fetcher fetcher) {
    ModelList list =
        new ModelList(String.valueOf(file.getFileName()), defaultType, asNamed, fetcher);
    list.parse(file);
    if (list.mistakeCount == 0 && list.entries.isEmpty()) {
      list.mistake(1, "no model is named here");
    }
    if (list.mistakeCount > 0) {
      int untold = list.mistakeCount - list.mistakes.size();
      throw new InvalidParamsException(
          String.join("\n", list.mistakes) + (untold > 0 ? "\nand " + untold + " more" : ""));
    }
    return List.copyOf(list.entries);
  }

  /**
   * Puts the files in the place of entries that stand for several: folders and patterns of a site,
   * and models in shards. Asks the site for its listing. An entry that can't be listed stays.
   */
  public static List<Entry> expanded(List<Entry> entries, Fetcher fetcher, Download download) {
    List<Entry> files = new ArrayList<>();
    Set<List<Object>> known = new HashSet<>();
    for (Entry entry : entries) {
      for (Batch.Item file : entry.item().files(null, fetcher, download)) {
        FetchRequest request = file.request();
        if (known.add(Arrays.asList(request.url(), request.type(), request.dir()))) {
          files.add(new Entry(entry.line(), file));
        }
      }
    }
    return files;
  }

  private void mistake(int line, String what) {
    mistakeCount++;
    if (mistakes.size() < MOST_TOLD_MISTAKES) {
      mistakes.add(fileName + ":" + line + ": " + Redactor.text(what));
    }
  }

  private void parse(Path file) {
    String text;
    try {
      if (Files.size(file) > LONGEST_FILE_BYTES) {
        mistake(1, "a list has at most " + (LONGEST_FILE_BYTES >> 20) + " MiB");
        return;
      }
      text = StandardCharsets.UTF_8.newDecoder().decode(read(file)).toString();
    } catch (CharacterCodingException e) {
      mistake(1, "this is no text in UTF-8");
      return;
    } catch (IOException e) {
      throw new InvalidParamsException("The list can't be read: " + file + ".");
    }
    String stripped = text.startsWith("\ufeff") ? text.substring(1) : text;
    String start = stripped.stripLeading();
    String lowerName = fileName.toLowerCase(Locale.ROOT);
    if (start.startsWith("{") || start.startsWith("[")) {
      parseTree(stripped, jsonFactory());
    } else if (lowerName.endsWith(".yaml") || lowerName.endsWith(".yml")) {
      parseTree(stripped, yamlFactory());
    } else if (lowerName.endsWith(".json")) {
      mistake(1, "this is no JSON object or array");
    } else {
      parseLines(stripped);
    }
  }

  private static ByteBuffer read(Path file) throws IOException {
    return ByteBuffer.wrap(Files.readAllBytes(file));
  }

  // Plain lines: url [type|folder] [name] [sha256].

  private void parseLines(String text) {
    List<String> lines = text.lines().toList();
    for (int i = 0; i < lines.size(); i++) {
      List<String> columns = columns(lines.get(i));
      if (!columns.isEmpty()) {
        addLine(i + 1, columns);
      }
    }
  }

  /** The words of a line up to a comment; a word in double quotes may hold spaces. */
  private static List<String> columns(String line) {
    List<String> columns = new ArrayList<>();
    Matcher column = COLUMN.matcher(line);
    while (column.find()) {
      String quoted = column.group(1);
      String word = column.group(2);
      if (word != null && word.startsWith("#")) {
        break;
      }
      columns.add(quoted != null ? quoted : String.valueOf(word));
    }
    return columns;
  }

  private void addLine(int line, List<String> columns) {
    List<String> rest = new ArrayList<>(columns);
    String sha256 = null;
    if (rest.size() > 2 && SHA256.matcher(rest.get(rest.size() - 1)).matches()) {
      sha256 = rest.remove(rest.size() - 1);
    }
    if (rest.size() > 3) {
      mistake(
          line,
          rest.size() == 4
              ? "\"" + rest.get(3) + "\" is no SHA-256"
              : "a line is: url [type or folder] [name] [sha256]");
      return;
    }
    Map<String, Node> values = new LinkedHashMap<>();
    List<String> keys = List.of("url", "type", "name");
    for (int i = 0; i < rest.size(); i++) {
      if (i == 0 || !rest.get(i).equals("-")) {
        values.put(keys.get(i), new Node(line, rest.get(i)));
      }
    }
    if (sha256 != null) {
      values.put("sha256", new Node(line, sha256));
    }
    add(new Node(line, values), null);
  }

  // JSON and YAML.

  private static JsonFactory jsonFactory() {
    return JsonFactory.builder()
        .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
        .streamReadConstraints(BOUNDS)
        .build();
  }

  private static JsonFactory yamlFactory() {
    LoaderOptions options = new LoaderOptions();
    options.setCodePointLimit((int) LONGEST_FILE_BYTES);
    options.setNestingDepthLimit(DEEPEST_NESTING);
    options.setAllowDuplicateKeys(false);
    return YAMLFactory.builder()
        .loaderOptions(options)
        .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
        .streamReadConstraints(BOUNDS)
        .build();
  }

  private void parseTree(String text, JsonFactory format) {
    Node root;
    try (JsonParser parser = format.createParser(text)) {
      parser.nextToken();
      root = node(parser);
      if (parser.nextToken() != null) {
        mistake(parser.currentTokenLocation().getLineNr(), "nothing may follow the list");
        return;
      }
    } catch (JsonProcessingException e) {
      int line = e.getLocation() == null ? 1 : e.getLocation().getLineNr();
      mistake(line, e.getOriginalMessage().lines().findFirst().orElse("not well-formed"));
      return;
    } catch (IOException e) {
      throw new IllegalStateException("A text in memory can always be read.", e);
    }
    addTree(root);
  }

  private static Node node(JsonParser parser) throws IOException {
    int line = parser.currentTokenLocation().getLineNr();
    JsonToken token = parser.currentToken();
    if (parser instanceof YAMLParser yaml && yaml.isCurrentAlias()) {
      throw new JsonParseException(parser, "an alias is not understood; write the value again");
    }
    if (token == JsonToken.START_OBJECT) {
      Map<String, Node> map = new LinkedHashMap<>();
      while (parser.nextToken() != JsonToken.END_OBJECT) {
        String key = parser.currentName();
        parser.nextToken();
        map.put(key, node(parser));
      }
      return new Node(line, map);
    }
    if (token == JsonToken.START_ARRAY) {
      List<Node> list = new ArrayList<>();
      while (parser.nextToken() != JsonToken.END_ARRAY) {
        list.add(node(parser));
      }
      return new Node(line, list);
    }
    return new Node(line, token == null || token == JsonToken.VALUE_NULL ? null : parser.getText());
  }

  private void addTree(Node root) {
    Map<String, Node> map = root.map();
    Node prompt = root.get("prompt");
    if (root.value() instanceof List) {
      root.list().forEach(entry -> add(entry, null));
    } else if (root.get("nodes").value() instanceof List) {
      addUiWorkflow(root);
    } else if (isApiWorkflow(root) || isApiWorkflow(prompt)) {
      addApiWorkflow(isApiWorkflow(root) ? root : prompt);
    } else if (map.keySet().stream().anyMatch(LIST_KEYS::contains)) {
      LIST_KEYS.forEach(key -> root.get(key).list().forEach(entry -> add(entry, null)));
    } else if (map.isEmpty()) {
      mistake(root.line(), "this is neither a list of models nor a workflow");
    } else {
      map.forEach((type, node) -> addOfType(type, node));
    }
  }

  /** A folder's or type's name, with the models that belong there. */
  private void addOfType(String type, Node node) {
    if (!(node.value() instanceof List)) {
      mistake(node.line(), "\"" + type + "\" holds no list of models");
      return;
    }
    node.list().forEach(entry -> add(entry, type));
  }

  // Workflows.

  private static boolean isApiWorkflow(Node node) {
    return !node.map().isEmpty()
        && node.map().values().stream().allMatch(each -> each.get("class_type").text() != null);
  }

  private void addUiWorkflow(Node root) {
    isWorkflow = true;
    root.get("models").list().forEach(this::addModelOfWorkflow);
    Stream.concat(Stream.of(root), root.get("definitions").get("subgraphs").list().stream())
        .flatMap(graph -> graph.get("nodes").list().stream())
        .filter(node -> !IDLE_MODES.contains(String.valueOf(node.get("mode").text())))
        .forEach(this::addUiNode);
  }

  private void addUiNode(Node node) {
    node.get("properties").get("models").list().forEach(this::addModelOfWorkflow);
    Node widgets = node.get("widgets_values");
    Node first = widgets.list().isEmpty() ? widgets.get("url") : widgets.list().get(0);
    switch (String.valueOf(node.get("type").text())) {
      case "AnymatixFetcher" -> addOfNode(first.map().isEmpty() ? Map.of() : first.map(), first);
      case "AnymatixFetch" -> {
        Map<String, Node> values = new LinkedHashMap<>(widgets.map());
        List<String> names = List.of("url", "type", "sha256", "name");
        for (int i = 0; i < Math.min(names.size(), widgets.list().size()); i++) {
          values.put(names.get(i), widgets.list().get(i));
        }
        addOfNode(values, widgets);
      }
      case "AnymatixCheckpointFetcher" -> {
        Node auth = widgets.list().size() > 1 ? widgets.list().get(1) : widgets.get("auth");
        addOfNode(checkpoint(first, auth), widgets);
      }
      default -> {}
    }
  }

  private void addApiWorkflow(Node prompt) {
    isWorkflow = true;
    for (Node node : prompt.map().values()) {
      Node inputs = node.get("inputs");
      switch (String.valueOf(node.get("class_type").text())) {
        case "AnymatixFetcher" -> addOfNode(inputs.get("url").map(), inputs.get("url"));
        case "AnymatixFetch" -> addOfNode(inputs.map(), inputs);
        case "AnymatixCheckpointFetcher" ->
            addOfNode(checkpoint(inputs.get("url"), inputs.get("auth")), inputs);
        default -> {}
      }
    }
  }

  private static Map<String, Node> checkpoint(Node url, Node auth) {
    Map<String, Node> values = new LinkedHashMap<>();
    values.put("url", url);
    values.put("type", new Node(url.line(), "checkpoint"));
    values.put("auth", auth);
    return values;
  }

  /** A fetcher node: without a link of its own (empty, or joined to another node) there is none. */
  private void addOfNode(Map<String, Node> values, Node at) {
    Map<String, Node> known = new LinkedHashMap<>();
    for (String key : List.of("url", "type", "auth", "sha256", "name")) {
      Node value = values.get(key);
      if (value != null && value.text() != null && !value.text().isEmpty()) {
        known.put(key, value);
      }
    }
    if (known.containsKey("url")) {
      add(new Node(at.line(), known), null);
    }
  }

  /** What a workflow says of a model it uses: name, url, directory, hash and the kind of hash. */
  private void addModelOfWorkflow(Node model) {
    String url = model.get("url").text();
    if (url == null || url.isEmpty()) {
      return;
    }
    Map<String, Node> values = new LinkedHashMap<>();
    values.put("url", model.get("url"));
    values.put("directory", model.get("directory"));
    values.put("name", model.get("name"));
    if ("sha256".equalsIgnoreCase(String.valueOf(model.get("hash_type").text()))) {
      values.put("sha256", model.get("hash"));
    }
    add(new Node(model.line(), values), null);
  }

  // One entry, whatever the form.

  private void add(Node node, @Nullable String typeAround) {
    if (entries.size() == Batch.MOST_FILES) {
      if (mistakeCount == 0) {
        mistake(node.line(), "a list has at most " + Batch.MOST_FILES + " models");
      }
      return;
    }
    String link = node.text();
    Map<String, Node> raw = link != null ? Map.of("url", node) : node.map();
    if (raw.isEmpty()) {
      mistake(node.line(), "this is no model: give a link, or an object with \"url\"");
      return;
    }
    Map<String, Node> values = known(raw);
    if (values == null) {
      return;
    }
    try {
      Batch.Item item = item(values, typeAround);
      addChecked(node.line(), item);
    } catch (InvalidParamsException | FetchException e) {
      mistake(node.line(), String.valueOf(e.getMessage()));
    }
  }

  private @Nullable Map<String, Node> known(Map<String, Node> raw) {
    Map<String, Node> values = new LinkedHashMap<>();
    for (Map.Entry<String, Node> each : raw.entrySet()) {
      String key = KEYS.get(each.getKey());
      if (key == null) {
        mistake(each.getValue().line(), "\"" + each.getKey() + "\" is not known here");
        return null;
      }
      if (each.getValue().value() != null && values.put(key, each.getValue()) != null) {
        mistake(each.getValue().line(), "\"" + key + "\" is given twice");
        return null;
      }
    }
    return values;
  }

  private Batch.Item item(Map<String, Node> values, @Nullable String typeAround) {
    String url = required(values, "url");
    String type = text(values, "type");
    type = type != null ? type : typeAround != null ? typeAround : defaultType;
    if (type == null) {
      throw new InvalidParamsException("the type or folder is missing");
    }
    String hashType = text(values, "hash_type");
    if (hashType != null && !hashType.equalsIgnoreCase("sha256")) {
      throw new InvalidParamsException("\"hash_type\" must be sha256");
    }
    Node mirrors = values.get("mirrors");
    String connections = text(values, "connections");
    String optional = text(values, "optional");
    if (optional != null && !Set.of("true", "false").contains(optional)) {
      throw new InvalidParamsException("\"optional\" must be true or false");
    }
    FetchRequest request =
        new FetchRequest(
            url,
            type,
            null,
            text(values, "auth"),
            text(values, "sha256"),
            text(values, "name"),
            mirrors == null ? null : mirrors.list().stream().map(ModelList::link).toList(),
            text(values, "fileId"),
            connections == null ? null : number(connections));
    return new Batch.Item(placed(request, type), "true".equals(optional));
  }

  private static String required(Map<String, Node> values, String key) {
    String text = text(values, key);
    if (text == null || text.isBlank()) {
      throw new InvalidParamsException("\"" + key + "\" is missing");
    }
    if (!text.contains("://")) {
      throw new InvalidParamsException("\"" + text + "\" is no link");
    }
    return text;
  }

  private static String link(Node node) {
    String text = node.text();
    if (text == null || !text.contains("://")) {
      throw new InvalidParamsException("a mirror is no link");
    }
    return text;
  }

  private static @Nullable String text(Map<String, Node> values, String key) {
    Node node = values.get(key);
    if (node == null) {
      return null;
    }
    String text = node.text();
    if (text == null) {
      throw new InvalidParamsException("\"" + key + "\" must be a text");
    }
    return text;
  }

  private static int number(String text) {
    try {
      return Integer.parseInt(text);
    } catch (NumberFormatException e) {
      throw new InvalidParamsException("\"connections\" must be a number");
    }
  }

  /** The request with its folder: a type, a folder of one, or a path inside a root. */
  private FetchRequest placed(FetchRequest request, String type) {
    int slash = type.indexOf('/');
    if (Path.of(type).isAbsolute()) {
      return request.withDir(type);
    }
    if (slash < 0 || isType(request)) {
      return request;
    }
    Path folder = Path.of(type.substring(slash + 1));
    for (Path component : folder) {
      if (component.toString().isEmpty() || component.toString().startsWith(".")) {
        throw new InvalidParamsException("\"" + type + "\" leaves its folder");
      }
    }
    FetchRequest inType =
        new FetchRequest(
            request.url(), type.substring(0, slash), null, null, null, null, null, null, null);
    return request.withDir(fetcher.target(inType).resolve(folder).toString());
  }

  private boolean isType(FetchRequest request) {
    try {
      fetcher.target(request);
      return true;
    } catch (InvalidParamsException e) {
      return false;
    }
  }

  private void addChecked(int line, Batch.Item item) {
    FetchRequest request = item.request();
    Path target;
    try {
      target = fetcher.target(request);
    } catch (NotInitializedException e) {
      throw new InvalidParamsException("no model folder is known: name one with --models-dir");
    }
    String url = String.valueOf(request.url());
    String name = request.name() != null ? request.name() : asNamed ? lastSegment(url) : "";
    Integer sameUrl = lineOfTarget.putIfAbsent(target + "\n" + url, line);
    if (sameUrl != null) {
      if (!isWorkflow) {
        mistake(line, "the same link and folder as in line " + sameUrl);
      }
      return;
    }
    Integer sameName =
        name.isEmpty() ? null : lineOfTarget.putIfAbsent(target.resolve(name).toString(), line);
    if (sameName != null) {
      mistake(line, "the same file as in line " + sameName + ": " + target.resolve(name));
      return;
    }
    entries.add(new Entry(line, item));
  }

  private static String lastSegment(String url) {
    return EffectiveUrl.of(url, null).lastPathSegment();
  }
}
