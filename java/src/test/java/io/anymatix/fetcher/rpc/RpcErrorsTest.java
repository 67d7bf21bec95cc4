package io.anymatix.fetcher.rpc;

import static io.anymatix.fetcher.rpc.Peer.json;
import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.JsonNode;
import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.failure.InvalidParamsException;
import io.anymatix.fetcher.failure.NotInitializedException;
import java.time.Duration;
import java.util.concurrent.CompletionException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class RpcErrorsTest {
  @Test
  void aFetchFailureTellsItsFactsInOrder() {
    FetchException failure =
        FetchException.because(FailureKind.RATE_LIMITED, "Too many requests for m.safetensors.")
            .status(429)
            .url("https://host.example/m.safetensors")
            .hint("Wait.")
            .retryAfter(Duration.ofSeconds(30))
            .fact("host", "host.example")
            .fact("kind", "must not replace the kind")
            .build();
    assertEquals(
        json("{'code': -32000, 'message': 'Too many requests for m.safetensors.', 'data':"
                + " {'kind': 'rateLimited', 'status': 429,"
                + " 'url': 'https://host.example/m.safetensors', 'retryable': true,"
                + " 'hint': 'Wait.', 'retryAfterMillis': 30000, 'host': 'host.example'}}")
            .toString(),
        error(failure).toString());
  }

  @ParameterizedTest
  @EnumSource
  void everyKindIsAFetchFailureWithAHint(FailureKind kind) {
    JsonNode data = error(FetchException.of(kind, "It failed.")).get("data");
    assertEquals(
        json(
            "{'kind': '%s', 'status': null, 'url': null, 'retryable': %s, 'hint': '%s'}"
                .formatted(kind.wireName(), kind.retryable(), kind.hint().replace("'", "\\u0027"))),
        data);
  }

  @Test
  void theOtherFailuresHaveTheirCodes() {
    assertEquals(-32602, error(new InvalidParamsException("x")).get("code").intValue());
    assertEquals(-32600, error(new NotInitializedException()).get("code").intValue());
    assertEquals(-32800, error(new CancelledException()).get("code").intValue());
    assertEquals(
        -32800, error(new CompletionException(new CancelledException())).get("code").intValue());
    assertEquals(
        json("{'code': -32603, 'message': 'Internal error'}"),
        error(new IllegalStateException("hunter2", new java.io.IOException("hunter2"))));
  }

  private static JsonNode error(Throwable thrown) {
    return json(JsonMessages.errorMember(RpcErrors.of(thrown)).toString().replace("'", "\\u0027"));
  }
}
