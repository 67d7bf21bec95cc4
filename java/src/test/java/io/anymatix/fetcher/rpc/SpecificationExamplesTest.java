package io.anymatix.fetcher.rpc;

import static io.anymatix.fetcher.rpc.Peer.json;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** The examples of section 7 of the JSON-RPC 2.0 specification, in both framings. */
class SpecificationExamplesTest {
  private static final String INVALID =
      "{'jsonrpc': '2.0', 'error': {'code': -32600, 'message': 'Invalid Request'}, 'id': null}";
  private static final String PARSE =
      "{'jsonrpc': '2.0', 'error': {'code': -32700, 'message': 'Parse error'}, 'id': null}";

  /** What is sent, and the one message that comes back; empty if none does. */
  private record Example(String name, String sent, String answer) {}

  private static final List<Example> EXAMPLES =
      List.of(
          new Example(
              "positional parameters",
              "{'jsonrpc': '2.0', 'method': 'subtract', 'params': [42, 23], 'id': 1}",
              "{'jsonrpc': '2.0', 'result': 19, 'id': 1}"),
          new Example(
              "positional parameters the other way round",
              "{'jsonrpc': '2.0', 'method': 'subtract', 'params': [23, 42], 'id': 2}",
              "{'jsonrpc': '2.0', 'result': -19, 'id': 2}"),
          new Example(
              "named parameters",
              "{'jsonrpc': '2.0', 'method': 'subtract',"
                  + " 'params': {'subtrahend': 23, 'minuend': 42}, 'id': 3}",
              "{'jsonrpc': '2.0', 'result': 19, 'id': 3}"),
          new Example(
              "named parameters in another order",
              "{'jsonrpc': '2.0', 'method': 'subtract',"
                  + " 'params': {'minuend': 42, 'subtrahend': 23}, 'id': 4}",
              "{'jsonrpc': '2.0', 'result': 19, 'id': 4}"),
          new Example(
              "a notification",
              "{'jsonrpc': '2.0', 'method': 'update', 'params': [1,2,3,4,5]}",
              ""),
          new Example(
              "a notification of an unknown method", "{'jsonrpc': '2.0', 'method': 'foobar'}", ""),
          new Example(
              "a call of an unknown method",
              "{'jsonrpc': '2.0', 'method': 'foobar', 'id': '1'}",
              "{'jsonrpc': '2.0', 'error': {'code': -32601, 'message': 'Method not found'},"
                  + " 'id': '1'}"),
          new Example(
              "invalid JSON",
              "{'jsonrpc': '2.0', 'method': 'foobar, 'params': 'bar', 'baz]",
              PARSE),
          new Example(
              "an invalid request", "{'jsonrpc': '2.0', 'method': 1, 'params': 'bar'}", INVALID),
          new Example(
              "a batch of invalid JSON",
              "[{'jsonrpc': '2.0', 'method': 'sum', 'params': [1,2,4], 'id': '1'},"
                  + "{'jsonrpc': '2.0', 'method'",
              PARSE),
          new Example("an empty batch", "[]", INVALID),
          new Example("an invalid batch that is not empty", "[1]", "[" + INVALID + "]"),
          new Example(
              "an invalid batch", "[1,2,3]", "[" + INVALID + "," + INVALID + "," + INVALID + "]"),
          new Example(
              "a batch of everything",
              "[{'jsonrpc': '2.0', 'method': 'sum', 'params': [1,2,4], 'id': '1'},"
                  + "{'jsonrpc': '2.0', 'method': 'notify_hello', 'params': [7]},"
                  + "{'jsonrpc': '2.0', 'method': 'subtract', 'params': [42,23], 'id': '2'},"
                  + "{'foo': 'boo'},"
                  + "{'jsonrpc': '2.0', 'method': 'foo.get', 'params': {'name': 'myself'},"
                  + " 'id': '5'},"
                  + "{'jsonrpc': '2.0', 'method': 'get_data', 'id': '9'}]",
              "[{'jsonrpc': '2.0', 'result': 7, 'id': '1'},"
                  + "{'jsonrpc': '2.0', 'result': 19, 'id': '2'},"
                  + INVALID
                  + ","
                  + "{'jsonrpc': '2.0', 'error': {'code': -32601, 'message': 'Method not found'},"
                  + " 'id': '5'},"
                  + "{'jsonrpc': '2.0', 'result': ['hello', 5], 'id': '9'}]"),
          new Example(
              "a batch of notifications",
              "[{'jsonrpc': '2.0', 'method': 'notify_sum', 'params': [1,2,4]},"
                  + "{'jsonrpc': '2.0', 'method': 'notify_hello', 'params': [7]}]",
              ""));

  static Stream<Arguments> examplesInBothFramings() {
    return Stream.of(Peer.Framing.values())
        .flatMap(framing -> EXAMPLES.stream().map(e -> Arguments.of(e.name(), framing, e)));
  }

  @ParameterizedTest(name = "{0}, {1}")
  @MethodSource("examplesInBothFramings")
  void isAnsweredAsTheSpecificationPrints(String name, Peer.Framing framing, Object example)
      throws Exception {
    Example expected = (Example) example;
    try (Peer peer =
        Peer.of(SpecificationMethods.class, new SpecificationMethods.Calculator(), framing)) {
      peer.send(expected.sent());
      if (!expected.answer().isEmpty()) {
        assertEquals(json(expected.answer()), peer.receive());
      }
      // The server goes on, and said nothing in between.
      assertEquals(
          json("{'jsonrpc': '2.0', 'result': 0, 'id': 'end'}"),
          peer.ask("{'jsonrpc': '2.0', 'method': 'sum', 'params': [], 'id': 'end'}"));
      assertEquals("", peer.endInput());
    }
  }
}
