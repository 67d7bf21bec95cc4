package io.anymatix.fetcher.rpc;

import com.googlecode.jsonrpc4j.ErrorResolver.JsonError;
import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.failure.InvalidParamsException;
import io.anymatix.fetcher.failure.NotInitializedException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Turns what a method threw into the {@code error} of its answer. */
final class RpcErrors {
  private static final Logger log = LoggerFactory.getLogger(RpcErrors.class);

  private RpcErrors() {}

  /**
   * The error to answer with. Only texts that were written for the caller are passed on: of any
   * other exception the caller learns nothing but that it happened, and the log gets the rest.
   */
  static JsonError of(Throwable thrown) {
    Throwable failure = unwrapped(thrown);
    if (failure instanceof FetchException fetchFailure) {
      return error(RpcErrorCode.FETCH_FAILED, fetchFailure.getMessage(), data(fetchFailure));
    }
    if (failure instanceof InvalidParamsException) {
      return error(RpcErrorCode.INVALID_PARAMS, failure.getMessage(), null);
    }
    if (failure instanceof NotInitializedException) {
      return error(RpcErrorCode.INVALID_REQUEST, failure.getMessage(), null);
    }
    if (failure instanceof CancelledException) {
      return error(RpcErrorCode.REQUEST_CANCELLED, failure.getMessage(), null);
    }
    log.error("A request failed because of a defect in this program.", failure);
    return error(RpcErrorCode.INTERNAL_ERROR, null, null);
  }

  /** An error of this code; without a message it says the code's phrase. */
  static JsonError error(RpcErrorCode code, @Nullable String message, @Nullable Object data) {
    return new JsonError(code.code(), message == null ? code.phrase() : message, data);
  }

  private static Map<String, @Nullable Object> data(FetchException failure) {
    Map<String, @Nullable Object> data = new LinkedHashMap<>();
    data.put("kind", failure.kind().wireName());
    data.put("status", failure.status());
    data.put("url", failure.redactedUrl());
    data.put("retryable", failure.retryable());
    data.put("hint", failure.hint());
    if (failure.retryAfter() != null) {
      data.put("retryAfterMillis", failure.retryAfter().toMillis());
    }
    // Not putIfAbsent: it would replace a null status or url by a fact of that name.
    failure
        .facts()
        .forEach(
            (name, value) -> {
              if (!data.containsKey(name)) {
                data.put(name, value);
              }
            });
    return data;
  }

  private static Throwable unwrapped(Throwable thrown) {
    Throwable failure = thrown;
    while (failure instanceof CompletionException || failure instanceof ExecutionException) {
      Throwable cause = failure.getCause();
      if (cause == null) {
        break;
      }
      failure = cause;
    }
    return failure;
  }
}
