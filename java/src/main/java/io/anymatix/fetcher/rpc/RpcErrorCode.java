package io.anymatix.fetcher.rpc;

/** Every code that an answer's {@code error} can carry. Numbers are never reused. */
public enum RpcErrorCode {
  /** The message is not JSON (JSON-RPC 2.0, section 5.1). */
  PARSE_ERROR(-32700, "Parse error"),
  /** JSON, but no request; or a request before any model folder is known. */
  INVALID_REQUEST(-32600, "Invalid Request"),
  /** A request for a method that this server does not have. */
  METHOD_NOT_FOUND(-32601, "Method not found"),
  /** A parameter is missing, has the wrong type, or makes no sense. */
  INVALID_PARAMS(-32602, "Invalid params"),
  /** A defect of this program; the details are in its log only. */
  INTERNAL_ERROR(-32603, "Internal error"),
  /** The client cancelled the request (LSP 3.17, {@code RequestCancelled}). */
  REQUEST_CANCELLED(-32800, "Request cancelled"),
  /** The download went wrong; {@code data.kind} says how. */
  FETCH_FAILED(-32000, "Fetch failed");

  private final int code;
  private final String phrase;

  RpcErrorCode(int code, String phrase) {
    this.code = code;
    this.phrase = phrase;
  }

  /** The number on the wire. */
  public int code() {
    return code;
  }

  /** The {@code message} where there is nothing more precise to say. */
  public String phrase() {
    return phrase;
  }
}
