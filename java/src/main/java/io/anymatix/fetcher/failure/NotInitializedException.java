package io.anymatix.fetcher.failure;

/** A request that needs a model folder before any was named (JSON-RPC -32600). */
public final class NotInitializedException extends RuntimeException {
  public NotInitializedException() {
    super("initialize first: no model folder is known yet (initialize, or --models-dir)");
  }
}
