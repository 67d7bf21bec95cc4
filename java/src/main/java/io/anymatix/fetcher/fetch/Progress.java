package io.anymatix.fetcher.fetch;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonValue;
import io.anymatix.fetcher.content.ModelMetadata;
import org.jspecify.annotations.Nullable;

/**
 * One moment of a download: the {@code value} of a {@code $/progress} notification.
 *
 * @param progress share received, 0 to 1; null while the length is unknown
 * @param megabytesPerSecond current rate in 10^6 bytes a second
 * @param etaSeconds seconds to the end at this rate; null if unknown
 * @param reason why it waits
 * @param untilEpochMillis until when it waits
 * @param baseModel base model, in a {@code metadata} status only
 * @param trainedWords trained words joined by ", ", in a {@code metadata} status only
 * @param item which file of several, counted from 0; null for one alone, and for all together
 */
@JsonInclude(JsonInclude.Include.ALWAYS)
public record Progress(
    Phase phase,
    Status status,
    @Nullable Double progress,
    @JsonProperty("rate") double megabytesPerSecond,
    @JsonProperty("eta") @Nullable Double etaSeconds,
    long receivedBytes,
    @Nullable Long totalBytes,
    int connections,
    String fileName,
    @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable String reason,
    @JsonInclude(JsonInclude.Include.NON_NULL) @JsonProperty("until")
        @Nullable Long untilEpochMillis,
    @JsonInclude(JsonInclude.Include.NON_NULL) @JsonProperty("base_model")
        @Nullable String baseModel,
    @JsonInclude(JsonInclude.Include.NON_NULL) @JsonProperty("trained_words")
        @Nullable String trainedWords,
    @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Integer item) {

  /** The same, of one file of several. */
  Progress of(int item, Status status) {
    return new Progress(
        phase,
        status,
        progress,
        megabytesPerSecond,
        etaSeconds,
        receivedBytes,
        totalBytes,
        connections,
        fileName,
        reason,
        untilEpochMillis,
        baseModel,
        trainedWords,
        item);
  }

  /** The same moment, telling what the model is. */
  Progress with(ModelMetadata told) {
    return new Progress(
        phase,
        Status.METADATA,
        progress,
        megabytesPerSecond,
        etaSeconds,
        receivedBytes,
        totalBytes,
        connections,
        fileName,
        reason,
        untilEpochMillis,
        told.baseModel() == null ? "" : told.baseModel(),
        String.join(", ", told.trainedWords()),
        item);
  }

  /** What the download is doing. */
  public enum Phase {
    WAITING("waiting"),
    RESOLVING("resolving"),
    FETCHING("fetching"),
    VERIFYING("verifying"),
    ADOPTING("adopting");

    private final String wireName;

    Phase(String wireName) {
      this.wireName = wireName;
    }

    @JsonValue
    public String wireName() {
      return wireName;
    }
  }

  /** What kind of message this is. */
  public enum Status {
    PROGRESS("progress"),
    METADATA("metadata"),
    INFO("info"),
    COMPLETED("completed"),
    ERROR("error");

    private final String wireName;

    Status(String wireName) {
      this.wireName = wireName;
    }

    @JsonValue
    public String wireName() {
      return wireName;
    }
  }
}
