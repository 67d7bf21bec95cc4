package io.anymatix.fetcher.content;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * What is told about one version of a model, in the form in which CivitAI tells it and sidecar
 * files keep it as {@code data} (store contract 2.5). Any member may be missing or of another type
 * than expected; it then counts as not told.
 *
 * @param raw the whole JSON object as received; not to be changed
 */
public record ModelMetadata(ObjectNode raw) {
  /** A stated length may have been rounded to hundredths of a KiB; beyond that it is another. */
  private static final long ROUNDING_BYTES = 16;

  /**
   * One file of the version.
   *
   * @param sizeBytes its length, perhaps rounded
   * @param variant what tells the version's files apart, by the names of a download link's
   *     parameters: {@code type}, {@code format}, {@code size}, {@code fp}, {@code quantType}
   */
  public record File(
      @Nullable Long id,
      @Nullable String name,
      @Nullable Long sizeBytes,
      @Nullable Sha256 sha256,
      Map<String, String> variant) {

    /** Whether this may be a file of that length, given that either may be unknown. */
    private boolean mayHaveLength(@Nullable Long lengthBytes) {
      return lengthBytes == null || sizeBytes == null || isNear(sizeBytes, lengthBytes);
    }

    private boolean hasLength(@Nullable Long lengthBytes) {
      return lengthBytes != null && sizeBytes != null && isNear(sizeBytes, lengthBytes);
    }

    private static boolean isNear(long statedBytes, long lengthBytes) {
      return Math.abs(statedBytes - lengthBytes) <= ROUNDING_BYTES;
    }
  }

  /** What {@code data} tells; nothing if it is no object. */
  public static Optional<ModelMetadata> of(@Nullable JsonNode data) {
    return data instanceof ObjectNode object
        ? Optional.of(new ModelMetadata(object))
        : Optional.empty();
  }

  public @Nullable String modelName() {
    return text(raw.path("model"), "name");
  }

  public @Nullable String versionName() {
    return text(raw, "name");
  }

  public @Nullable String baseModel() {
    return text(raw, "baseModel");
  }

  /** The words that call what the model was trained on; empty if there are none. */
  public List<String> trainedWords() {
    List<String> words = new ArrayList<>();
    for (JsonNode word : raw.path("trainedWords")) {
      if (word.isTextual() && !word.textValue().isBlank()) {
        words.add(word.textValue());
      }
    }
    return words;
  }

  /** The version's files in the order told; empty for an archived version. */
  public List<File> files() {
    List<File> files = new ArrayList<>();
    for (JsonNode file : raw.path("files")) {
      JsonNode id = file.path("id");
      JsonNode sizeKib = file.path("sizeKB");
      files.add(
          new File(
              id.canConvertToLong() && id.isIntegralNumber() ? id.longValue() : null,
              text(file, "name"),
              sizeKib.isNumber() ? Math.round(sizeKib.doubleValue() * 1024) : null,
              Sha256.parse(text(file.path("hashes"), "SHA256")),
              variant(file)));
    }
    return files;
  }

  private static Map<String, String> variant(JsonNode file) {
    Map<String, String> variant = new HashMap<>();
    for (String trait : List.of("format", "size", "fp", "quantType")) {
      variant.put(trait, file.path("metadata").path(trait).asText(""));
    }
    variant.put("type", file.path("type").asText(""));
    return variant;
  }

  /** The file of this id. */
  public Optional<File> file(long id) {
    return files().stream().filter(file -> Objects.equals(file.id(), id)).findFirst();
  }

  /**
   * The file that a server really served: the one of the id that was asked for, else the only one
   * of that name, else the only one of that length; never one of another length. Nothing if more
   * than one can be meant: the hash of a neighbour is worse than none.
   *
   * @param fileId the id that was asked for, if one was
   * @param name by which the server called it; null if it did not
   * @param lengthBytes length of what it serves; null if it did not say
   */
  public Optional<File> served(
      @Nullable Long fileId, @Nullable String name, @Nullable Long lengthBytes) {
    List<File> possible =
        files().stream()
            .filter(file -> file.mayHaveLength(lengthBytes))
            .filter(file -> fileId == null || fileId.equals(file.id()))
            .toList();
    List<File> likely = possible;
    if (fileId == null && (name != null || lengthBytes != null)) {
      likely = possible.stream().filter(f -> name != null && name.equals(f.name())).toList();
      if (likely.isEmpty()) {
        likely = possible.stream().filter(file -> file.hasLength(lengthBytes)).toList();
      }
    }
    return likely.size() == 1 ? Optional.of(likely.get(0)) : Optional.empty();
  }

  private static @Nullable String text(JsonNode object, String member) {
    JsonNode value = object.path(member);
    return value.isTextual() ? value.textValue() : null;
  }
}
