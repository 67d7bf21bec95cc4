package io.anymatix.fetcher.failure;

/**
 * Every way a download can fail, by the name that travels in the error's {@code data.kind}.
 *
 * <p>The kind decides the exit code of the command line and whether the same request may succeed
 * later. Names and exit codes are part of the protocol and are never reused.
 */
public enum FailureKind {
  /** The owner's rules forbid it: folder, host, scheme, file name. */
  POLICY("policy", 4, false, "Ask the owner of this machine to allow it, or use another link."),
  /** A scheme or link form that no source knows. */
  UNSUPPORTED("unsupported", 4, false, "Use an http(s) link that downloads a file."),
  /** 401. */
  AUTH("auth", 4, false, "Sign in: set the site's access token, then run again."),
  /** 403. */
  FORBIDDEN("forbidden", 4, false, "Check that your account may download this file."),
  /** The source says that conditions must be accepted first. */
  GATED("gated", 4, false, "Open the model's page, accept its conditions, then run again."),
  /** The source says that only early supporters may download, with a deadline. */
  EARLY_ACCESS("earlyAccess", 4, false, "Wait until the early access ends, or buy access."),
  /** 404. */
  NOT_FOUND("notFound", 3, false, "Check the link; the file may have been renamed or removed."),
  /** 410. */
  GONE("gone", 3, false, "The file was removed for good; look for another source."),
  /** 429, after waiting as told. */
  RATE_LIMITED("rateLimited", 3, true, "Wait a few minutes, then run again."),
  /** The source's transfer quota is used up. */
  QUOTA("quota", 3, true, "Wait until the quota is renewed, usually within a day."),
  /** Unresolvable, refused, or reset for good. */
  NETWORK("network", 3, true, "Check the network connection and the host name, then run again."),
  /** No answer in time. */
  TIMEOUT("timeout", 3, true, "The server did not answer; try again later."),
  /** Silent in the middle of a transfer. */
  STALLED("stalled", 3, true, "Run again: what was received is kept and continued."),
  /** Handshake or trust. */
  TLS("tls", 3, false, "Check the clock and the trusted certificates (--ca-file)."),
  /** 5xx after retries, or 400. */
  SERVER("server", 3, true, "The server has a problem; try again later."),
  /** The volume cannot hold the file. */
  DISK_FULL("diskFull", 6, false, "Free space on that volume, then run again."),
  /** Any other file error. */
  STORAGE("storage", 6, false, "Check the folder and its permissions."),
  /** Another process holds the file longer than the wait. */
  BUSY("busy", 6, true, "Wait until the other download of this file ends."),
  /** Hash or length disagrees with what was promised. */
  INTEGRITY("integrity", 5, false, "The file was not kept; check the source, then run again."),
  /** A page or garbage where a model should be. */
  NOT_A_MODEL("notAModel", 5, false, "Check that the link leads to the file, not to a page."),
  /** The offline switch is on and the file is not present. */
  OFFLINE("offline", 3, false, "Switch offline mode off, or put the file in place yourself.");

  private final String wireName;
  private final int exitCode;
  private final boolean retryable;
  private final String hint;

  FailureKind(String wireName, int exitCode, boolean retryable, String hint) {
    this.wireName = wireName;
    this.exitCode = exitCode;
    this.retryable = retryable;
    this.hint = hint;
  }

  /** The protocol's name of this kind, such as {@code notFound}. */
  public String wireName() {
    return wireName;
  }

  /** The command line's exit code for this kind. */
  public int exitCode() {
    return exitCode;
  }

  /** Whether the same request may succeed later without anybody changing anything. */
  public boolean retryable() {
    return retryable;
  }

  /** What a user can do, where the place that failed knows nothing better. */
  public String hint() {
    return hint;
  }
}
