package io.anymatix.fetcher.failure;

/** The caller asked for an end; what was received is kept for a resume (JSON-RPC -32800). */
public final class CancelledException extends RuntimeException {
  public CancelledException() {
    super("Cancelled; what was received is kept for a resume.");
  }
}
