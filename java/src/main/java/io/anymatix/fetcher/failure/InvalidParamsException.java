package io.anymatix.fetcher.failure;

/** A request whose parameters make no sense, whatever the network does (JSON-RPC -32602). */
public final class InvalidParamsException extends RuntimeException {
  public InvalidParamsException(String message) {
    super(message);
  }
}
