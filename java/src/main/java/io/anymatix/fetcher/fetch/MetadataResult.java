package io.anymatix.fetcher.fetch;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.anymatix.fetcher.content.ModelMetadata;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What a source tells about a model, as the protocol's {@code metadata} result names it; null where
 * it does not say.
 *
 * @param trainedWords the words that call what the model was trained on
 * @param files of the version, in the source's order
 * @param raw all that the source tells, as received
 */
public record MetadataResult(
    String source,
    @Nullable String modelName,
    @Nullable String versionName,
    @Nullable String baseModel,
    List<String> trainedWords,
    List<File> files,
    @Nullable ObjectNode raw) {

  /**
   * One file.
   *
   * @param id the source's own, as {@code fileId} of a fetch takes it
   */
  public record File(
      @Nullable Long id,
      @Nullable String name,
      @Nullable Long sizeBytes,
      @Nullable String sha256) {}

  static MetadataResult of(String source, ModelMetadata told) {
    return new MetadataResult(
        source,
        told.modelName(),
        told.versionName(),
        told.baseModel(),
        told.trainedWords(),
        told.files().stream()
            .map(
                file ->
                    new File(
                        file.id(),
                        file.name(),
                        file.sizeBytes(),
                        file.sha256() == null ? null : file.sha256().hex()))
            .toList(),
        told.raw());
  }

  /** Of a source that tells nothing about models: what its server says of the file. */
  static MetadataResult of(Fetcher.ProbeResult probe) {
    return new MetadataResult(
        probe.source(),
        null,
        null,
        null,
        List.of(),
        List.of(new File(null, probe.fileName(), probe.fileSize(), probe.sha256())),
        null);
  }
}
