package io.anymatix.fetcher.fetch;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonValue;
import io.anymatix.fetcher.content.Sha256;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * What a fetch ended with, as the protocol's {@code fetch} result names it.
 *
 * @param path absolute path of the stored file; of the folder for a pack of files
 * @param fileName its stored name
 * @param relativeName what a ComfyUI loader takes: relative to the folder that holds it; for a pack
 *     its name
 * @param fileSize length in bytes
 * @param sha256 measured or proven hash; null only for a file that was satisfied by size alone
 * @param sidecarPath absolute path of the JSON sidecar file; null for what has none or several
 * @param urlHash SHA-256 of the effective url
 * @param bytesTransferred bytes received for this result
 * @param bytesReused bytes of an earlier attempt that were kept
 * @param retries requests that had to be repeated
 * @param startedOver whether bytes that were there were dropped: the content had changed, or
 *     nothing proved them
 * @param mirrors bytes by host, the source's first; empty if no mirrors were named
 * @param metadata what the source tells about the model
 */
public record FetchResult(
    String path,
    String fileName,
    String relativeName,
    long fileSize,
    @Nullable String sha256,
    @Nullable String sidecarPath,
    String urlHash,
    Outcome outcome,
    Strategy strategy,
    Verification verification,
    long bytesTransferred,
    long bytesReused,
    long elapsedMillis,
    int retries,
    boolean startedOver,
    List<MirrorShare> mirrors,
    @Nullable Object metadata) {

  /** Several files that one link stood for; the path is that of their folder. */
  static FetchResult ofListed(FetchRequest request, List<FetchResult> files) {
    Path folder = Objects.requireNonNull(Path.of(files.get(0).path()).getParent());
    String urlHash = Sha256.ofUtf8(String.valueOf(request.url())).hex();
    return ofPack(folder.toString(), String.valueOf(folder.getFileName()), urlHash, files);
  }

  /**
   * What the fetches of a pack's files ended with, as one: sums, and of each kind of answer the one
   * that promises least.
   */
  static FetchResult ofPack(String folder, String name, String urlHash, List<FetchResult> files) {
    return new FetchResult(
        folder,
        name,
        name,
        files.stream().mapToLong(FetchResult::fileSize).sum(),
        null,
        null,
        urlHash,
        Collections.max(files.stream().map(FetchResult::outcome).toList()),
        Collections.min(files.stream().map(FetchResult::strategy).toList()),
        Collections.max(files.stream().map(FetchResult::verification).toList()),
        files.stream().mapToLong(FetchResult::bytesTransferred).sum(),
        files.stream().mapToLong(FetchResult::bytesReused).sum(),
        files.stream().mapToLong(FetchResult::elapsedMillis).sum(),
        files.stream().mapToInt(FetchResult::retries).sum(),
        files.stream().anyMatch(FetchResult::startedOver),
        List.of(),
        null);
  }

  /** How the file came to be there. */
  public enum Outcome {
    /** Satisfied from disk without a request or hashing. */
    PRESENT("present"),
    /** Proven by hashing and linked. */
    ADOPTED("adopted"),
    DOWNLOADED("downloaded"),
    /** Downloaded on top of what an earlier attempt had left. */
    RESUMED("resumed");

    private final String wireName;

    Outcome(String wireName) {
      this.wireName = wireName;
    }

    @JsonValue
    public String wireName() {
      return wireName;
    }
  }

  /** Which tier carried the bytes. */
  public enum Strategy {
    PARALLEL_H2("parallel-h2"),
    PARALLEL("parallel"),
    SINGLE("single"),
    NONE("none");

    private final String wireName;

    Strategy(String wireName) {
      this.wireName = wireName;
    }

    @JsonValue
    public String wireName() {
      return wireName;
    }
  }

  /** Who promised the hash that was checked, strongest first; or that only the length was. */
  public enum Verification {
    SHA256_SOURCE("sha256-source"),
    SHA256_CALLER("sha256-caller"),
    SHA256_COMPUTED("sha256-computed"),
    SIZE("size");

    private final String wireName;

    Verification(String wireName) {
      this.wireName = wireName;
    }

    @JsonValue
    public String wireName() {
      return wireName;
    }
  }

  /**
   * Bytes that one host contributed.
   *
   * @param dropped why it was given up; null, and left out, if it was not
   */
  public record MirrorShare(
      String host,
      long bytes,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable String dropped) {}
}
