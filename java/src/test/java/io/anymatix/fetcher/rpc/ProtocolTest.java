package io.anymatix.fetcher.rpc;

import static io.anymatix.fetcher.rpc.Peer.json;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.fetch.Fetcher;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The protocol's own methods, as far as they need no download. */
class ProtocolTest {
  private Peer peer;

  @BeforeEach
  void startServer() throws IOException {
    Fetcher fetcher = new Fetcher(Config.builder().build());
    peer = Peer.of(RpcMethods.class, new FetcherMethods(fetcher, "1.2.3"));
  }

  @AfterEach
  void stopServer() throws IOException {
    peer.close();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "fetch|{}|fetch needs the param \"url\".",
        "fetch|{'url': ''}|\"url\" must not be empty.",
        "fetch|{'url': 5}|\"url\" must be a string.",
        "fetch|['https://h.example/a', 5]|\"type\" must be a string.",
        "fetch|[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]|fetch takes at most 10 params, not 11.",
        "isChanged|{'type': 'vae'}|isChanged needs the param \"url\".",
        "delete|['']|\"url\" must not be empty.",
        "probe|{}|probe needs the param \"url\".",
        "probe|{'url': ''}|\"url\" must not be empty.",
        "probe|{'url': 'u', 'items': []}|probe takes either \"url\" or \"items\", not both.",
        "probe|{'items': [{'url': 'u'}, {}]}|probe needs the param \"items[1].url\".",
        "initialize|{'modelsDir': 5}|\"modelsDir\" must be a string.",
        "initialize|{'credentials': {'civitai': 5}}|\"credentials.civitai\" must be a string.",
        "initialize|{'options': {'offline': 'no'}}|\"options.offline\" must be true or false.",
        "setCredentials|{'huggingface': ['t']}|\"huggingface\" must be a string.",
        "setOptions|{'maxConnections': '5'}|\"maxConnections\" must be an integer."
      })
  void badParamsAreRefusedAlsoBeforeInitialize(String method, String params, String message)
      throws Exception {
    JsonNode error = ask(method, params).get("error");
    assertEquals(message, error.get("message").textValue());
    assertEquals(-32602, error.get("code").intValue());
  }

  @Test
  void credentialsTellNullFromAbsentAndShowNothing() throws Exception {
    RpcMethods.CredentialsParams bound =
        new JsonMapper().readValue("{\"civitai\": null}", RpcMethods.CredentialsParams.class);
    assertEquals("CredentialsParams[civitai=(none), huggingface=null]", bound.toString());
    bound =
        new JsonMapper()
            .readValue("{\"huggingface\": \"hunter2\"}", RpcMethods.CredentialsParams.class);
    assertEquals("CredentialsParams[civitai=null, huggingface=(hidden)]", bound.toString());
  }

  @Test
  void pingAnswersWhateverItIsSent() throws Exception {
    for (String params : List.of("{}", "[]", "[1, [2]]", "{'a': {'b': null}}", "null")) {
      assertEquals(json("'pong'"), ask("ping", params).get("result"));
    }
  }

  @Test
  void shutdownAnswersNullAndEndsTheServer() throws Exception {
    assertEquals(json("{'jsonrpc': '2.0', 'result': null, 'id': 1}"), ask("shutdown", "{}"));
    peer.awaitEnd();
  }

  @Test
  void discoverDescribesEveryMethod() throws Exception {
    JsonNode document = ask("rpc.discover", "{}").get("result");
    assertEquals("1.3.2", document.get("openrpc").textValue());
    assertEquals(json("{'title': 'anymatix-fetcher', 'version': '1.2.3'}"), document.get("info"));
    Set<String> names = new TreeSet<>();
    for (JsonNode method : document.get("methods")) {
      names.add(method.get("name").textValue());
      assertFalse(method.get("summary").textValue().isEmpty());
      assertNotNull(method.at("/result/schema"));
      for (JsonNode error : method.get("errors")) {
        String pointer = error.get("$ref").textValue().substring(1);
        assertTrue(document.at(pointer).has("code"), pointer);
      }
    }
    assertEquals(
        Set.of(
            "benchmark",
            "cancel",
            "delete",
            "enqueue",
            "fetch",
            "fetchAll",
            "gc",
            "history",
            "initialize",
            "isChanged",
            "list",
            "metadata",
            "move",
            "pause",
            "ping",
            "probe",
            "queue",
            "resume",
            "retry",
            "rpc.discover",
            "setCredentials",
            "setOptions",
            "shutdown",
            "status",
            "verify"),
        names);
  }

  @Test
  void discoverTellsTypesAndWhatIsRequired() throws Exception {
    JsonNode document = ask("rpc.discover", "{}").get("result");
    JsonNode fetch = method(document, "fetch");
    List<String> params = new ArrayList<>();
    fetch.get("params").forEach(param -> params.add(param.get("name").textValue()));
    assertEquals(
        List.of(
            "url",
            "type",
            "dir",
            "auth",
            "sha256",
            "name",
            "mirrors",
            "fileId",
            "connections",
            "progressToken"),
        params);
    assertEquals(json("true"), fetch.at("/params/0/required"));
    assertEquals(json("false"), fetch.at("/params/1/required"));
    assertEquals(
        json("{'type': ['array', 'null'], 'items': {'type': 'string'}}"),
        fetch.at("/params/6/schema"));
    assertEquals(
        json("{'type': 'string', 'enum': ['present', 'adopted', 'downloaded', 'resumed']}"),
        fetch.at("/result/schema/properties/outcome"));
    assertEquals(json("['string', 'null']"), fetch.at("/result/schema/properties/sha256/type"));
    assertEquals(2, method(document, "probe").at("/result/schema/oneOf").size());
    JsonNode progress = document.at("/components/schemas/Progress/properties");
    assertTrue(progress.has("rate") && progress.has("base_model"), progress::toString);
    assertTrue(document.at("/components/errors/FETCH_FAILED/data/kind").has("earlyAccess"));
    assertEquals(json("{'type': 'null'}"), method(document, "shutdown").at("/result/schema"));
  }

  private static JsonNode method(JsonNode document, String name) {
    for (JsonNode method : document.get("methods")) {
      if (method.get("name").textValue().equals(name)) {
        return method;
      }
    }
    throw new AssertionError("no method " + name);
  }

  private JsonNode ask(String method, String params) throws IOException {
    return peer.ask(
        "{'jsonrpc': '2.0', 'method': '%s', 'params': %s, 'id': 1}".formatted(method, params));
  }
}
