package io.anymatix.fetcher.fetch;

import io.anymatix.fetcher.config.Config;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Fetches models; one object serves the whole process. All methods may be called from any thread.
 */
@SuppressWarnings("DoNotCallSuggester")
public final class Fetcher implements AutoCloseable {
  public Fetcher(Config config) {}

  /** Replaces the model folders; running downloads go on. */
  public void setRoots(RootsRequest roots) {
    throw new IllegalStateException("skeleton");
  }

  /** Brings one file to disk, or finds it there. Blocks until it is there, or throws. */
  public FetchResult fetch(FetchRequest request, Download download) {
    throw new IllegalStateException("skeleton");
  }

  /** The url hash if the file is present and whole, else null. No network, no hashing. */
  public @Nullable String fingerprint(FetchRequest request) {
    throw new IllegalStateException("skeleton");
  }

  /** What the server says about a url, without downloading it. */
  public ProbeResult probe(String url, @Nullable String auth) {
    throw new IllegalStateException("skeleton");
  }

  /** Removes what a url left in the store. */
  public DeleteResult delete(String url, @Nullable String type, @Nullable String dir) {
    throw new IllegalStateException("skeleton");
  }

  /** Holds a token in memory; null leaves it as it is, an empty text clears it. */
  public CredentialsHeld setCredentials(CredentialsRequest credentials) {
    throw new IllegalStateException("skeleton");
  }

  /** Changes what may be changed while running; null leaves a value as it is. */
  public Options setOptions(OptionsRequest options) {
    throw new IllegalStateException("skeleton");
  }

  /** Downloads that run, and callers that wait for a download of the same file. */
  public Activity activity() {
    throw new IllegalStateException("skeleton");
  }

  /** Cancels every download, waits at most a second until part files are resumable. */
  @Override
  public void close() {
    throw new IllegalStateException("skeleton");
  }

  /** Model folders as {@code initialize} names them; absolute paths. */
  public record RootsRequest(
      @Nullable String modelsDir,
      java.util.@Nullable Map<String, List<String>> folders,
      @Nullable List<String> adoptDirs) {}

  /** The result of a probe, as the protocol names it. */
  public record ProbeResult(
      String source,
      String finalUrl,
      String fileName,
      @Nullable Long fileSize,
      boolean acceptsRanges,
      String rangeEvidence,
      String httpVersion,
      @Nullable String etag,
      @Nullable String lastModified,
      @Nullable String sha256) {}

  /** The result of a delete, as the protocol names it. */
  public record DeleteResult(List<String> deleted, List<Kept> kept) {
    /** A file that was left, and why. */
    public record Kept(String path, String reason) {}
  }

  /** Tokens to hold. */
  public record CredentialsRequest(
      @Nullable String civitai,
      boolean setCivitai,
      @Nullable String huggingface,
      boolean setHuggingface) {}

  /** Which tokens are held; never their values. */
  public record CredentialsHeld(boolean civitai, boolean huggingface) {}

  /** Options that may change while running. */
  public record OptionsRequest(
      @Nullable Long maxBytesPerSecond,
      @Nullable Integer maxConnections,
      @Nullable Integer maxParallelFiles,
      @Nullable Boolean offline) {}

  /** The options in force. */
  public record Options(
      @Nullable Long maxBytesPerSecond,
      int maxConnections,
      int maxParallelFiles,
      boolean offline) {}

  /** Counts for {@code status}. */
  public record Activity(int active, int waiting) {}
}
