package io.anymatix.fetcher.failure;

import java.time.Duration;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A download that failed, typed once near its cause.
 *
 * <p>The message is one sentence that names the file and the numbers and holds no secret: whoever
 * builds it passes every url through the redactor first. Facts are extra fields of the error's
 * {@code data}; their values are what JSON can hold.
 */
public final class FetchException extends RuntimeException {
  private final FailureKind kind;
  private final @Nullable Integer status;
  private final @Nullable String redactedUrl;
  private final @Nullable String hint;
  private final @Nullable Duration retryAfter;
  private final boolean retryable;
  private final Map<String, Object> facts;

  private FetchException(Builder builder) {
    super(builder.message, builder.cause);
    this.kind = builder.kind;
    this.status = builder.status;
    this.redactedUrl = builder.redactedUrl;
    this.hint = builder.hint;
    this.retryAfter = builder.retryAfter;
    this.retryable = builder.retryable;
    this.facts = Collections.unmodifiableMap(new LinkedHashMap<>(builder.facts));
  }

  /** A failure without further facts. */
  public static FetchException of(FailureKind kind, String message) {
    return because(kind, message).build();
  }

  /** Starts a failure that carries facts. */
  public static Builder because(FailureKind kind, String message) {
    return new Builder(kind, message);
  }

  public FailureKind kind() {
    return kind;
  }

  /** The HTTP status that caused it, if one did. */
  public @Nullable Integer status() {
    return status;
  }

  /** The url it happened at, without secrets. */
  public @Nullable String redactedUrl() {
    return redactedUrl;
  }

  /** One sentence on what to do now. */
  public String hint() {
    return hint != null ? hint : kind.hint();
  }

  /** How long the server asked to wait, if it did. */
  public @Nullable Duration retryAfter() {
    return retryAfter;
  }

  /** Whether the same request may succeed later without anybody changing anything. */
  public boolean retryable() {
    return retryable;
  }

  /** Further fields of the error's {@code data}, in order. */
  public Map<String, Object> facts() {
    return facts;
  }

  /** The same failure, told with the url it happened at. */
  public FetchException at(String redactedUrl) {
    if (this.redactedUrl != null) {
      return this;
    }
    return retold(kind, String.valueOf(getMessage())).url(redactedUrl).build();
  }

  /** Starts the same failure with all its facts, as somebody understands it who knows more. */
  public Builder retold(FailureKind kind, String message) {
    Builder builder = because(kind, message);
    builder.status = status;
    builder.redactedUrl = redactedUrl;
    builder.hint = hint;
    builder.retryAfter = retryAfter;
    builder.retryable = kind == this.kind ? retryable : kind.retryable();
    builder.facts.putAll(facts);
    builder.cause = getCause();
    return builder;
  }

  /** Collects the facts of one failure. */
  public static final class Builder {
    private final FailureKind kind;
    private final String message;
    private @Nullable Integer status;
    private @Nullable String redactedUrl;
    private @Nullable String hint;
    private @Nullable Duration retryAfter;
    private @Nullable Throwable cause;
    private boolean retryable;
    private final Map<String, Object> facts = new LinkedHashMap<>();

    private Builder(FailureKind kind, String message) {
      this.kind = kind;
      this.message = message;
      this.retryable = kind.retryable();
    }

    public Builder status(int status) {
      this.status = status;
      return this;
    }

    public Builder url(String redactedUrl) {
      this.redactedUrl = redactedUrl;
      return this;
    }

    public Builder hint(String hint) {
      this.hint = hint;
      return this;
    }

    public Builder retryAfter(@Nullable Duration retryAfter) {
      this.retryAfter = retryAfter;
      return this;
    }

    /** Says that asking again is of no use here, although it may be for others of this kind. */
    public Builder notRetryable() {
      retryable = false;
      return this;
    }

    public Builder fact(String name, Object value) {
      facts.put(name, value);
      return this;
    }

    public Builder cause(Throwable cause) {
      this.cause = cause;
      return this;
    }

    public FetchException build() {
      return new FetchException(this);
    }
  }
}
