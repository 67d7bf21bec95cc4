package io.anymatix.fetcher.store;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.store.AtomicFile.Forced;
import java.io.IOException;
import java.io.InputStream;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributeView;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * A sidecar file: the JSON text beside a stored model, named {@code <url hash>.json} (store
 * contract 2). Keys that we do not know are kept, in their places.
 *
 * <p>Nothing in it is believed further than it can be checked: names are used only if they are one
 * component of the same folder, hashes only by the rules of {@link #provenSha256}.
 */
public final class Sidecar {
  /** A sidecar file holds one version's metadata at most; anything longer is a model's own JSON. */
  private static final long LONGEST_BYTES = 8 << 20;

  /** What all but {@code data} takes: a url and some names. */
  private static final long LONGEST_OWN_BYTES = 1 << 20;

  /** A character beyond ASCII takes this much. */
  private static final int LONGEST_ESCAPE_BYTES = 6;

  private static final Set<String> OUR_KEYS =
      Set.of(
          "url",
          "file_name",
          "file_size",
          "remote_sha256",
          "name",
          "data",
          "sha256",
          "verification",
          "verified_size",
          "linked_names");

  private final Path path;
  private final ObjectNode json;

  private Sidecar(Path path, ObjectNode json) {
    this.path = path;
    this.json = json;
  }

  /** Where the sidecar file of a url hash lies. */
  static Path pathIn(Path folder, Sha256 urlHash) {
    return folder.resolve(urlHash.hex() + ".json");
  }

  /** Reads a sidecar file; empty if there is none or it is no JSON object. Never throws. */
  static Optional<Sidecar> read(Path path) {
    try {
      if (!Files.isRegularFile(path) || Files.size(path) > LONGEST_BYTES) {
        return Optional.empty();
      }
      return PythonJson.read(Files.readAllBytes(path))
          .filter(JsonNode::isObject)
          .map(json -> new Sidecar(path, (ObjectNode) json));
    } catch (IOException e) {
      return Optional.empty();
    }
  }

  /**
   * Reads every sidecar file in a folder, for a search. Access times stay as they were: volume
   * cleaners go by them (store contract 10.32).
   */
  static List<Sidecar> scan(Path folder) {
    return list(folder).stream()
        .filter(path -> path.toString().endsWith(".json"))
        .flatMap(path -> readUnnoticed(path).stream())
        .toList();
  }

  /** Reads one sidecar file for a search; its access time stays as it was. */
  static Optional<Sidecar> readUnnoticed(Path path) {
    Optional<Sidecar> read = Optional.empty();
    try {
      BasicFileAttributeView times = Files.getFileAttributeView(path, BasicFileAttributeView.class);
      BasicFileAttributes before = times.readAttributes();
      read = read(path);
      times.setTimes(null, before.lastAccessTime(), null);
    } catch (IOException e) {
      // Gone meanwhile, or somebody else's time stamps: what was read is good.
    }
    return read;
  }

  /** The entries of a folder; none if it cannot be listed. */
  static List<Path> list(Path folder) {
    try (var entries = Files.list(folder)) {
      return entries.sorted().toList();
    } catch (IOException e) {
      return List.of();
    }
  }

  /**
   * The sidecar of a file that has just been proven.
   *
   * @param storedUrl the url as it may be written down
   * @param file the stored file, complete
   * @param sourceSha256 what the source says of the hash
   * @param originalName the source's whole name
   * @param data the source's metadata, if it has any; left out if it makes the file too long
   * @param sha256 the measured hash
   */
  static Sidecar proven(
      Path path,
      String storedUrl,
      Path file,
      long fileSizeBytes,
      @Nullable Sha256 sourceSha256,
      String originalName,
      @Nullable JsonNode data,
      Sha256 sha256) {
    ObjectNode json = JsonNodeFactory.instance.objectNode();
    json.put("url", storedUrl);
    json.put("file_name", file.getFileName().toString());
    json.put("file_size", fileSizeBytes);
    json.put("remote_sha256", sourceSha256 == null ? null : sourceSha256.hex());
    json.put("name", originalName);
    if (data != null && mostWrittenBytes(data, 1) < LONGEST_BYTES - LONGEST_OWN_BYTES) {
      json.set("data", data);
    }
    json.put("sha256", sha256.hex());
    json.put("verification", "sha256");
    json.put("verified_size", fileSizeBytes);
    return new Sidecar(path, json);
  }

  /** An upper bound of what a value takes in the file, with its line break and indentation. */
  private static long mostWrittenBytes(JsonNode value, int depth) {
    long bytes = 16 + 4L * depth; // closing bracket, quotes, colon, comma
    if (!value.isContainerNode()) {
      return bytes + (long) LONGEST_ESCAPE_BYTES * value.asText().length();
    }
    for (Map.Entry<String, JsonNode> member : value.properties()) {
      bytes += (long) LONGEST_ESCAPE_BYTES * member.getKey().length();
    }
    for (JsonNode child : value) {
      bytes += mostWrittenBytes(child, depth + 1);
    }
    return bytes;
  }

  /** The same facts under another url's name, and for another name of the same bytes. */
  Sidecar copyFor(Path otherPath, String storedUrl, Path file) {
    ObjectNode copy = json.deepCopy();
    copy.remove("linked_names");
    copy.put("url", storedUrl);
    copy.put("file_name", file.getFileName().toString());
    return new Sidecar(otherPath, copy);
  }

  /** Takes over what another writer noted under keys of its own. */
  void keepUnknownKeysOf(Sidecar former) {
    for (Map.Entry<String, JsonNode> member : former.json.properties()) {
      if (!OUR_KEYS.contains(member.getKey()) && !json.has(member.getKey())) {
        json.set(member.getKey(), member.getValue());
      }
    }
    former.linkedNames().forEach(this::addLinkedName);
  }

  /** A sidecar that was kept in a note until its file has its final name. */
  static Optional<Sidecar> ofNote(Path path, JsonNode noted) {
    return noted instanceof ObjectNode object
        ? Optional.of(new Sidecar(path, object))
        : Optional.empty();
  }

  ObjectNode toNote() {
    return json.deepCopy();
  }

  /** Writes its text to a file beside it, which {@link #publish} makes the sidecar file. */
  void writeAhead(Path draft) throws IOException {
    try (FileChannel channel =
        FileChannel.open(
            draft,
            StandardOpenOption.CREATE,
            StandardOpenOption.TRUNCATE_EXISTING,
            StandardOpenOption.WRITE)) {
      AtomicFile.write(channel, PythonJson.write(json));
      channel.force(true);
    }
  }

  /** Makes a draft the sidecar file; also if another process has done so before. */
  void publish(Path draft) throws IOException {
    try {
      AtomicFile.publish(draft, path, false);
    } catch (NoSuchFileException e) {
      write(Forced.CONTENT);
    }
  }

  Path path() {
    return path;
  }

  Path folder() {
    return Objects.requireNonNull(path.getParent(), "a sidecar file lies in a folder");
  }

  /** The stored url, or null. */
  @Nullable String url() {
    return text("url");
  }

  /** The named file, if the name is one component; it need not exist. */
  Optional<Path> file() {
    return Optional.ofNullable(text("file_name")).flatMap(name -> child(folder(), name));
  }

  /** A file directly in a folder, or nothing if the name leads elsewhere. */
  static Optional<Path> child(Path folder, String name) {
    try {
      Path child = folder.resolve(name);
      boolean isChild = !name.isEmpty() && child.equals(child.normalize());
      return isChild && folder.equals(child.getParent()) ? Optional.of(child) : Optional.empty();
    } catch (InvalidPathException e) {
      return Optional.empty();
    }
  }

  /** Display name of the model file. */
  String name() {
    String name = text("name");
    return name == null ? "" : name;
  }

  /** {@code file_size}, else {@code verified_size}, else null. */
  @Nullable Long statedBytes() {
    Long size = count("file_size");
    return size != null ? size : count("verified_size");
  }

  boolean hasFileSize() {
    return count("file_size") != null;
  }

  void setFileSize(long bytes) {
    json.put("file_size", bytes);
  }

  /**
   * The hash that was measured over the whole file: {@code sha256}, where {@code verification} says
   * so, or where there is no verification and the file's name carries that hash (store contract
   * 11.6). Anybody else's claim is no proof.
   */
  Optional<Sha256> provenSha256() {
    Sha256 claimed = claimedSha256();
    if (claimed == null) {
      return Optional.empty();
    }
    JsonNode verification = json.path("verification");
    boolean proven =
        verification.isMissingNode()
            ? file().map(f -> f.getFileName().toString().contains(claimed.hex())).orElse(false)
            : verification.asText().equals("sha256");
    return proven ? Optional.of(claimed) : Optional.empty();
  }

  /** {@code sha256} whoever claims it, or null. */
  @Nullable Sha256 claimedSha256() {
    return Sha256.parse(text("sha256"));
  }

  /**
   * The hash that the file should have, as far as this sidecar file knows: the measured one, else
   * what the source said of it. What a catalogue said of some file is no evidence (store contract
   * 2.5 and 4.4).
   */
  @Nullable Sha256 expectedSha256() {
    Optional<Sha256> proven = provenSha256();
    if (proven.isPresent()) {
      return proven.get();
    }
    boolean claimedBySource = json.path("verification").asText().equals("size");
    return sourceSha256() == null && claimedBySource ? claimedSha256() : sourceSha256();
  }

  /**
   * Whether this may have been written before the model: other versions do so, and note a hash or
   * how they proved it when they are done (store contract 2.3).
   */
  boolean mayPrecedeModel() {
    return !json.has("sha256") && !json.has("verification");
  }

  /** {@code remote_sha256}, or null. */
  @Nullable Sha256 sourceSha256() {
    return Sha256.parse(text("remote_sha256"));
  }

  /** What the source told about the model, or null. */
  @Nullable JsonNode data() {
    return json.get("data");
  }

  List<String> linkedNames() {
    List<String> names = new ArrayList<>();
    json.path("linked_names").forEach(name -> names.add(name.asText()));
    return names;
  }

  /** Adds a plain name; the list is always the last key. */
  void addLinkedName(String name) {
    List<String> names = linkedNames();
    if (!names.contains(name)) {
      names.add(name);
    }
    json.remove("linked_names");
    ArrayNode list = json.putArray("linked_names");
    names.forEach(list::add);
  }

  /** Records a measured hash and length; keys that were there keep their places. */
  void prove(Sha256 sha256, long fileSizeBytes) {
    json.put("file_size", fileSizeBytes);
    json.put("sha256", sha256.hex());
    json.put("verification", "sha256");
    json.put("verified_size", fileSizeBytes);
  }

  /**
   * Whether the named file is there and whole, by its stated length. Without one, only a JSON body
   * can be told to be whole, by reading it.
   */
  boolean isSatisfied() {
    return fits(false);
  }

  /** Whether the named file is there and nothing says that it is not whole. */
  boolean isUncontradicted() {
    return fits(true);
  }

  private boolean fits(boolean withoutAnyLength) {
    Optional<Path> file = file();
    if (file.isEmpty() || !Files.isRegularFile(file.get())) {
      return false;
    }
    try {
      Long stated = statedBytes();
      if (stated != null) {
        return Files.size(file.get()) == stated;
      }
      if (file.get().toString().toLowerCase(Locale.ROOT).endsWith(".json")) {
        try (InputStream in = Files.newInputStream(file.get())) {
          return PythonJson.isJson(in);
        }
      }
      return withoutAnyLength;
    } catch (IOException e) {
      return false;
    }
  }

  /** Puts this text in the place of whatever the sidecar file held, at once and for good. */
  void write() throws IOException {
    write(Forced.CONTENT_AND_NAME);
  }

  /** The same, if that much is forced to the disk. */
  void write(Forced forced) throws IOException {
    AtomicFile.replace(path, PythonJson.write(json), forced);
  }

  void delete() throws IOException {
    try {
      Files.delete(path);
    } catch (NoSuchFileException e) {
      // Somebody was faster; it is gone all the same.
    }
  }

  private @Nullable String text(String key) {
    JsonNode value = json.path(key);
    return value.isTextual() ? value.textValue() : null;
  }

  private @Nullable Long count(String key) {
    JsonNode value = json.path(key);
    return value.isIntegralNumber() && value.canConvertToLong() ? value.longValue() : null;
  }
}
