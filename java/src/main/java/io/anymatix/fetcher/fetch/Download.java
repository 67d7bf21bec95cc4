package io.anymatix.fetcher.fetch;

/** A running download: its counters, its phase, and the way to end it early. */
@SuppressWarnings("DoNotCallSuggester")
public final class Download {
  /**
   * Asks for an end; the fetch then throws a cancellation within a second. Safe from any thread.
   */
  public void cancel() {
    throw new IllegalStateException("skeleton");
  }

  /** The state at this moment, without waiting. Safe from any thread. */
  public Progress snapshot() {
    throw new IllegalStateException("skeleton");
  }
}
