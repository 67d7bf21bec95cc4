package io.anymatix.fetcher.rpc;

import static io.anymatix.fetcher.rpc.Peer.json;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** How params become what a method is called with. */
class ParamsTest {
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "{'url': 5}|\"url\" must be a string.",
        "{'url': 5.5}|\"url\" must be a string.",
        "{'url': true}|\"url\" must be a string.",
        "{'url': ['u']}|\"url\" must be a string.",
        "{'url': {}}|\"url\" must be a string.",
        "{'url': 'u', 'connections': '5'}|\"connections\" must be an integer.",
        "{'url': 'u', 'connections': 5.0}|\"connections\" must be an integer.",
        "{'url': 'u', 'connections': true}|\"connections\" must be an integer.",
        "{'url': 'u', 'connections': 99999999999}|\"connections\" must be an integer in range.",
        "{'url': 'u', 'bytes': 99999999999999999999}|\"bytes\" must be an integer in range.",
        "{'url': 'u', 'bytes': 1e999999999}|\"bytes\" must be an integer.",
        "{'url': 'u', 'bytes': ''}|\"bytes\" must be an integer.",
        "{'url': 'u', 'offline': 'true'}|\"offline\" must be true or false.",
        "{'url': 'u', 'offline': 1}|\"offline\" must be true or false.",
        "{'url': 'u', 'mirrors': 'm'}|\"mirrors\" must be an array.",
        "{'url': 'u', 'mirrors': ['m', 5]}|\"mirrors[1]\" must be a string.",
        "{'url': 'u', 'mirrors': ['m', null]}|\"mirrors[1]\" must be a string.",
        "{'url': 'u', 'folders': ['m']}|\"folders\" must be an object.",
        "{'url': 'u', 'folders': {'vae': 'm'}}|\"folders.vae\" must be an array.",
        "{'url': 'u', 'folders': {'vae': [1]}}|\"folders.vae[0]\" must be a string.",
        "{'url': 'u', 'folders': {'vae': null}}|\"folders.vae\" must be an array.",
        "{'url': 'u', 'nested': 'n'}|\"nested\" must be an object.",
        "{'url': 'u', 'nested': ''}|\"nested\" must be an object.",
        "{'url': 'u', 'nested': []}|\"nested\" must be an object.",
        "{'url': 'u', 'nested': {'text': 1}}|\"nested.text\" must be a string.",
        "{'url': 'u', 'items': [{}, {'text': 1}]}|\"items[1].text\" must be a string.",
        "{'url': 'u', 'progressToken': []}|\"progressToken\" must be a string or a number.",
        "['u', 'five']|\"connections\" must be an integer.",
        "{}|describe needs the param \"url\".",
        "[]|describe needs the param \"url\".",
        "{'url': null}|describe needs the param \"url\".",
        "{'url': ''}|\"url\" must not be empty.",
        "['']|\"url\" must not be empty.",
        "[1,2,3,4,5,6,7,8,9,10]|describe takes at most 9 params, not 10."
      })
  void whatDoesNotFitIsRefusedByName(String params, String message) throws Exception {
    try (Peer peer = Peer.of(WorkMethods.class, new WorkMethods.Worker())) {
      JsonNode error = describe(peer, params).get("error");
      assertEquals(message, error.get("message").textValue());
      assertEquals(-32602, error.get("code").intValue());
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "['u', 5, 6, true, ['m'], {'f': ['d']}]",
        "['u', 5, 6, true, ['m'], {'f': ['d']}, null, null, 'token']",
        "[{'folders': {'f': ['d']}, 'url': 'u', 'connections': 5, 'bytes': 6, 'offline': true,"
            + " 'mirrors': ['m']}]",
        "{'url': 'u', 'connections': 5, 'bytes': 6, 'offline': true, 'mirrors': ['m'],"
            + " 'folders': {'f': ['d']}, 'nested': null, 'unknown': 7, 'progressToken': null}"
      })
  void namedAndPositionalParamsMeanTheSame(String params) throws Exception {
    try (Peer peer = Peer.of(WorkMethods.class, new WorkMethods.Worker())) {
      assertEquals(
          "Described[url=u, connections=5, bytes=6, offline=true, mirrors=[m],"
              + " folders={f=[d]}, nested=null, items=null]",
          describe(peer, params).at("/result/described").textValue());
    }
  }

  @Test
  void aMethodWithoutParamsTakesNoneByPositionAndIgnoresNamedOnes() throws Exception {
    try (Peer peer = Peer.of(WorkMethods.class, new WorkMethods.Worker())) {
      String call = "{'jsonrpc': '2.0', 'method': 'prepared', 'id': 1, 'params': %s}";
      for (String params : List.of("[]", "{}", "null", "{'a': 1}", "[{'a': 1}]")) {
        assertEquals("", peer.ask(call.formatted(params)).get("result").textValue(), params);
      }
      assertEquals(
          "prepared takes at most 0 params, not 1.",
          peer.ask(call.formatted("[1]")).at("/error/message").textValue());
    }
  }

  @Test
  void noLogShowsParamsHoweverMuchIsLogged() throws Exception {
    Logger library = Logger.getLogger("com.googlecode.jsonrpc4j");
    Level before = library.getLevel();
    List<String> lines = new CopyOnWriteArrayList<>();
    Handler recorder = recorderInto(lines);
    library.addHandler(recorder);
    library.setLevel(Level.ALL);
    try (Peer peer = Peer.of(WorkMethods.class, new WorkMethods.Worker())) {
      describe(peer, "{'url': 'https://host.example/?token=hunter2', 'mirrors': [5, 'hunter2']}");
      describe(peer, "{'url': 'hunter2', 'progressToken': {'hunter2': 1}}");
      peer.ask("{'jsonrpc': '2.0', 'method': 'ping', 'id': 1, 'params': ['hunter2']}");
      peer.ask("{'jsonrpc': '2.0', 'method': 'fail', 'id': 1, 'params': ['hunter2']}");
      peer.ask("{'jsonrpc': '2.0', 'method': 'work', 'params': ['hunter2");
    } finally {
      library.setLevel(before);
      library.removeHandler(recorder);
    }
    assertTrue(lines.stream().anyMatch(line -> line.contains("Request: ")), "jsonrpc4j logs");
    assertFalse(lines.stream().anyMatch(line -> line.contains("hunter2")), lines::toString);
  }

  private static Handler recorderInto(List<String> lines) {
    return new Handler() {
      @Override
      public void publish(LogRecord event) {
        lines.add(event.getMessage());
      }

      @Override
      public void flush() {}

      @Override
      public void close() {}
    };
  }

  @Test
  void aContractThatTheWireCanNotExpressIsRefusedAtTheStart() {
    assertThrows(IllegalArgumentException.class, () -> Dispatcher.operations(TwoParams.class));
    assertThrows(IllegalArgumentException.class, () -> Dispatcher.operations(Overloaded.class));
  }

  /** Takes what is no record. */
  public interface TwoParams {
    @RpcMethod(summary = "Takes two texts.")
    void method(String first, String second);
  }

  /** Has one name for two methods. */
  public interface Overloaded {
    @RpcMethod(summary = "Takes nothing.")
    void method();

    @RpcMethod(summary = "Takes anything.")
    void method(JsonNode params);
  }

  private static JsonNode describe(Peer peer, String params) throws Exception {
    JsonNode answer =
        peer.ask("{'jsonrpc': '2.0', 'method': 'describe', 'id': 1, 'params': " + params + "}");
    while (answer.has("method")) {
      answer = peer.receive();
    }
    assertEquals(json("1"), answer.get("id"));
    return answer;
  }
}
