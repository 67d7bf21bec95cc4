package io.anymatix.fetcher.rpc;

import static io.anymatix.fetcher.rpc.Peer.json;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.channels.Channels;
import java.nio.channels.Pipe;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(60)
class StdioServerTest {
  private final WorkMethods.Worker worker = new WorkMethods.Worker();
  private Peer peer;

  @BeforeEach
  void startServer() throws IOException {
    peer = Peer.of(WorkMethods.class, worker);
  }

  @AfterEach
  void stopServer() throws IOException {
    worker.release.countDown();
    worker.releasePrepare.countDown();
    peer.close();
  }

  // What jsonrpc4j 1.7 gets wrong.

  @Test
  void answersTheSecondOfTwoMessagesThatArriveInOnePacket() throws Exception {
    peer.sendBytes(
        (request("ping", "{}", "1") + "\n" + request("ping", "{}", "2") + "\n")
            .getBytes(StandardCharsets.UTF_8));
    assertEquals(Set.of(json("1"), json("2")), ids(peer.receive(), peer.receive()));
  }

  @Test
  void flushesEachAnswerWithoutWaitingForMore() throws Exception {
    try (Peer buffered = Peer.buffered(WorkMethods.class, worker)) {
      assertEquals("pong", buffered.ask(request("ping", "{}", "1")).get("result").textValue());
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"fetch", "params", "early", "defect", "overflow", "cancelled"})
  void neverAnswersANotificationThatFails(String failure) throws Exception {
    peer.send("{'jsonrpc': '2.0', 'method': 'fail', 'params': ['" + failure + "']}");
    peer.send("{'jsonrpc': '2.0', 'method': 'fail', 'params': [1, 2, 3]}");
    assertSilenceBeforeNextAnswer();
  }

  @Test
  void answersAParseErrorWithARealNullAsId() throws Exception {
    assertEquals(
        "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32700,\"message\":\"Parse error\"},\"id\":null}",
        askText("{"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"defect", "overflow"})
  void tellsNothingAboutAnUnexpectedException(String failure) throws Exception {
    assertEquals(
        json("{'jsonrpc': '2.0', 'error': {'code': -32603, 'message': 'Internal error'}, 'id': 1}"),
        peer.ask(request("fail", "['" + failure + "']", "1")));
  }

  @Test
  void runsRequestsBesideEachOtherAndAnswersAsTheyEnd() throws Exception {
    peer.send(request("work", "['slow']", "'slow'"));
    worker.awaitStart();
    assertEquals(json("'quick'"), peer.ask(request("prepared", "[]", "'quick'")).get("id"));
    worker.release.countDown();
    assertEquals(json("{'jsonrpc': '2.0', 'result': 'slow', 'id': 'slow'}"), peer.receive());
  }

  @Test
  void answersABatchWithOneArrayAlsoWhenEntriesFail() throws Exception {
    JsonNode answers =
        peer.ask(
            "["
                + request("ping", "{}", "1")
                + ", 7, "
                + request("fail", "['params']", "2")
                + ", {'jsonrpc': '2.0', 'method': 'fail', 'params': ['defect']},"
                + " {'jsonrpc': '2.0', 'method': 'ping', 'id': {}}]");
    List<JsonNode> codes = new ArrayList<>();
    answers.forEach(answer -> codes.add(answer.at("/error/code")));
    assertEquals(4, answers.size());
    assertEquals("pong", answers.at("/0/result").textValue());
    assertEquals("[, -32600, -32602, -32600]", codes.toString());
  }

  @Test
  void runsTheEntriesOfABatchBesideEachOther() throws Exception {
    peer.send("[" + request("work", "['a']", "1") + "," + request("work", "['b']", "2") + "]");
    assertEquals(
        Set.of("a", "b"), new HashSet<>(List.of(worker.awaitStart(), worker.awaitStart())));
    worker.release.countDown();
    assertEquals(2, peer.receive().size());
  }

  // Envelopes.

  @ParameterizedTest
  @ValueSource(
      strings = {
        "1",
        "\"1\"",
        "0",
        "-0",
        "-7",
        "1.0",
        "1.50",
        "1e2",
        "1E-7",
        "12345678901234567890123",
        "0.1000000000000000055511151231257827",
        "\"\"",
        "\"null\"",
        "\"\\uD800 half a pair\"",
        "null"
      })
  void sendsAnIdBackAsItWasSent(String id) throws Exception {
    assertEquals(
        "{\"jsonrpc\":\"2.0\",\"result\":\"pong\",\"id\":" + id + "}",
        askText("{\"jsonrpc\":\"2.0\",\"method\":\"ping\",\"id\":" + id + "}"));
  }

  @Test
  void sendsAnIdBeyondAsciiBackAsTheSameText() throws Exception {
    assertEquals(
        json("'\u00e9\ud83d\ude80'"),
        peer.ask(request("ping", "{}", "'\u00e9\ud83d\ude80'")).get("id"));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "{'method': 'ping', 'id': 5}|5",
        "{'jsonrpc': '1.0', 'method': 'ping', 'id': 5}|5",
        "{'jsonrpc': 2.0, 'method': 'ping', 'id': 'a'}|'a'",
        "{'jsonrpc': '2.0', 'id': 5}|5",
        "{'jsonrpc': '2.0', 'method': null, 'id': 5}|5",
        "{'jsonrpc': '2.0', 'method': ['ping'], 'id': 5}|5",
        "{'jsonrpc': '2.0', 'method': 'ping', 'id': {}}|null",
        "{'jsonrpc': '2.0', 'method': 'ping', 'id': [1]}|null",
        "{'jsonrpc': '2.0', 'method': 'ping', 'id': true}|null",
        "{'jsonrpc': '2.0', 'method': 'ping', 'params': 'x', 'id': 5}|5",
        "{'jsonrpc': '2.0', 'method': 'ping', 'params': 1}|null",
        "'ping'|null",
        "null|null",
        "{}|null"
      })
  void refusesWhatIsNoRequest(String message, String id) throws Exception {
    JsonNode answer = peer.ask(message);
    assertEquals(-32600, answer.at("/error/code").intValue());
    assertTrue(answer.has("id"));
    assertEquals(json(id), answer.get("id"));
  }

  @Test
  void takesNullForNoParamsAndTheLastOfEqualKeys() throws Exception {
    assertEquals(
        json("{'jsonrpc': '2.0', 'result': 'pong', 'id': 2}"),
        peer.ask(
            "{'jsonrpc': '2.0', 'method': 'x', 'method': 'ping', 'params': null, 'id': 1, 'id': 2}"));
  }

  @Test
  void ignoresDollarNotificationsAndRefusesDollarRequests() throws Exception {
    peer.send("{'jsonrpc': '2.0', 'method': '$/setTrace', 'params': {'value': 'off'}}");
    peer.send("{'jsonrpc': '2.0', 'method': '$/cancelRequest'}");
    peer.send("{'jsonrpc': '2.0', 'method': '$/cancelRequest', 'params': {'id': {}}}");
    peer.send("{'jsonrpc': '2.0', 'method': '$/cancelRequest', 'params': {'id': 99}}");
    assertEquals(-32601, peer.ask(request("$/setTrace", "{}", "1")).at("/error/code").intValue());
  }

  @Test
  void methodsOfTheLanguageCanNotBeCalled() throws Exception {
    for (String name : List.of("hashCode", "getClass", "toString", "notify", "")) {
      assertEquals(-32601, peer.ask(request(name, "[]", "1")).at("/error/code").intValue());
    }
  }

  // Bad bytes.

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{'jsonrpc': '2.0'",
        "}",
        "{'jsonrpc': '2.0', 'method': 'ping', 'id': 1} x",
        "{'jsonrpc': '2.0', 'method': 'ping', 'id': 1}{}",
        "{'jsonrpc': '2.0', 'method': 'ping', 'id': 01}",
        "{'jsonrpc': '2.0', 'method': 'ping', 'id': NaN}",
        "{'jsonrpc': '2.0', 'method': 'ping', 'id': 1e99999999999}",
        "Content of no known kind"
      })
  void answersWhatIsNotJsonWithAParseErrorAndGoesOn(String text) throws Exception {
    assertEquals(
        json("{'jsonrpc': '2.0', 'error': {'code': -32700, 'message': 'Parse error'}, 'id': null}"),
        peer.ask(text));
    assertEquals("pong", peer.ask(request("ping", "{}", "1")).get("result").textValue());
  }

  @Test
  void answersInvalidUtf8WithAParseErrorAndGoesOn() throws Exception {
    byte[][] malformed = {
      {(byte) 0xff},
      {(byte) 0xc3},
      {(byte) 0xc0, (byte) 0x80},
      {(byte) 0xed, (byte) 0xa0, (byte) 0x80}
    };
    for (byte[] bytes : malformed) {
      peer.sendBytes(
          "{\"jsonrpc\":\"2.0\",\"method\":\"ping\",\"id\":\"".getBytes(StandardCharsets.UTF_8));
      peer.sendBytes(bytes);
      peer.sendBytes("\"}\n".getBytes(StandardCharsets.UTF_8));
      assertEquals(-32700, peer.receive().at("/error/code").intValue());
    }
    assertEquals("pong", peer.ask(request("ping", "{}", "1")).get("result").textValue());
  }

  @Test
  void answersDeeplyNestedJsonWithACleanErrorAndGoesOn() throws Exception {
    for (int depth : new int[] {1_000, 100_000}) {
      peer.sendText("[".repeat(depth));
      assertEquals(-32600, peer.receive().at("/error/code").intValue());
      peer.sendText(
          "{\"jsonrpc\":\"2.0\",\"method\":\"ping\",\"id\":1,\"params\":"
              + "{\"a\":".repeat(depth)
              + "1"
              + "}".repeat(depth)
              + "}");
      assertEquals(-32600, peer.receive().at("/error/code").intValue());
    }
    String allowed = "[".repeat(100) + "]".repeat(100);
    assertEquals("pong", peer.ask(request("ping", allowed, "1")).get("result").textValue());
  }

  @Test
  void acceptsAMessageOfSixteenMebibytesAndRefusesALargerOne() throws Exception {
    String head = "{\"jsonrpc\":\"2.0\",\"method\":\"ping\",\"id\":1,\"params\":[\"";
    String tail = "\"]}";
    int room = 16 * 1024 * 1024 - head.length() - tail.length();
    peer.sendText(head + "a".repeat(room) + tail);
    assertEquals("pong", peer.receive().get("result").textValue());
    peer.sendText(head + "a".repeat(room + 1) + tail);
    assertEquals(
        json(
            "{'jsonrpc': '2.0', 'error': {'code': -32600, 'message':"
                + " 'Invalid Request: a message is at most 16777216 bytes.'}, 'id': null}"),
        peer.receive());
    assertEquals("pong", peer.ask(request("ping", "{}", "1")).get("result").textValue());
  }

  // Cancelling.

  @ParameterizedTest
  @ValueSource(strings = {"{'id': 7}", "[7]", "[{'id': 7}]", "{'id': 7.0}"})
  void answersACancelledRequestAsCancelled(String params) throws Exception {
    peer.send(request("work", "['a']", "7"));
    worker.awaitStart();
    assertEquals(-32800, cancelAndReceive(params).at("/error/code").intValue());
    assertEquals(1, worker.cancels.get());
  }

  @Test
  void answersACancelledRequestWithinASecondAlsoWhenItsMethodGoesOn() throws Exception {
    peer.send(request("stubbornWork", "['a']", "7"));
    worker.awaitStart();
    long startNanos = System.nanoTime();
    JsonNode answer = cancelAndReceive("{'id': 7}");
    Duration elapsed = Duration.ofNanos(System.nanoTime() - startNanos);
    assertEquals(-32800, answer.at("/error/code").intValue());
    assertTrue(Call.CANCEL_GRACE.compareTo(Duration.ofSeconds(1)) < 0);
    assertTrue(elapsed.compareTo(Duration.ofSeconds(5)) < 0, elapsed::toString);
    worker.release.countDown();
    assertSilenceBeforeNextAnswer();
  }

  @Test
  void answersACancelledRequestThatHasNotBegun() throws Exception {
    peer.send(request("prepare", "['first']", "1"));
    worker.awaitStart();
    peer.send(request("work", "['second']", "7"));
    assertEquals(-32800, cancelAndReceive("{'id': 7}").at("/error/code").intValue());
    worker.releasePrepare.countDown();
    assertEquals(json("1"), peer.receive().get("id"));
    assertSilenceBeforeNextAnswer();
    assertTrue(worker.started.isEmpty(), "the cancelled request was begun");
  }

  @Test
  void cancelsNothingButTheRequestOfThatTypeAndValue() throws Exception {
    peer.send(request("work", "['a']", "'7'"));
    peer.send(request("work", "['b']", "70"));
    worker.awaitStart();
    worker.awaitStart();
    peer.send("{'jsonrpc': '2.0', 'method': '$/cancelRequest', 'params': {'id': 7}}");
    assertSilenceBeforeNextAnswer();
    assertEquals(0, worker.cancels.get());
  }

  @Test
  void aCancelAfterTheAnswerIsIgnored() throws Exception {
    peer.ask(request("ping", "{}", "7"));
    peer.send("{'jsonrpc': '2.0', 'method': '$/cancelRequest', 'params': {'id': 7}}");
    assertSilenceBeforeNextAnswer();
  }

  @Test
  void pingAndCancelAreServedWhileEveryWorkerIsBusy() throws Exception {
    for (int i = 0; i < StdioServer.MAX_RUNNING; i++) {
      peer.send(request("work", "['busy']", String.valueOf(i)));
      worker.awaitStart();
    }
    peer.send(request("work", "['waits']", "'waits'"));
    assertEquals("pong", peer.ask(request("ping", "{}", "'ping'")).get("result").textValue());
    assertEquals(json("'waits'"), cancelAndReceive("{'id': 'waits'}").get("id"));
    assertEquals(json("17"), cancelAndReceive("{'id': 17}").get("id"));
    worker.release.countDown();
    Set<JsonNode> others = new HashSet<>();
    for (int i = 1; i < StdioServer.MAX_RUNNING; i++) {
      others.add(peer.receive().get("id"));
    }
    assertEquals(StdioServer.MAX_RUNNING - 1, others.size());
  }

  @Test
  void laterRequestsWaitForAnOrderedOne() throws Exception {
    peer.send(request("prepare", "['done']", "1"));
    peer.send(request("prepared", "[]", "2"));
    worker.awaitStart();
    assertEquals(json("3"), peer.ask(request("ping", "{}", "3")).get("id"));
    worker.releasePrepare.countDown();
    List<JsonNode> answers = List.of(peer.receive(), peer.receive());
    assertTrue(
        answers.contains(json("{'jsonrpc': '2.0', 'result': 'done', 'id': 2}")), answers::toString);
  }

  @Test
  void whatWaitedForAnOrderedRequestBeginsAsItCame() throws Exception {
    peer.send(request("prepare", "['0']", "0"));
    worker.awaitStart();
    for (int i = 1; i <= 20; i++) {
      peer.send(request("prepare", "['" + i + "']", String.valueOf(i)));
    }
    worker.releasePrepare.countDown();
    for (int i = 0; i <= 20; i++) {
      assertEquals(json(String.valueOf(i)), peer.receive().get("id"));
    }
  }

  @Test
  void refusesWhatIsTooMuchAtOnceAndServesTheOthers() throws Exception {
    peer.send(request("prepare", "['first']", "0"));
    for (int i = 1; i <= StdioServer.MAX_ACCEPTED; i++) {
      peer.send(request("prepared", "[]", String.valueOf(i)));
    }
    JsonNode refused = peer.receive();
    assertEquals(json(String.valueOf(StdioServer.MAX_ACCEPTED)), refused.get("id"));
    assertEquals(-32603, refused.at("/error/code").intValue());
    worker.releasePrepare.countDown();
    for (int i = 0; i < StdioServer.MAX_ACCEPTED; i++) {
      assertTrue(peer.receive().has("result"));
    }
    peer.sendText("[" + "1,".repeat(StdioServer.MAX_ACCEPTED) + "1]");
    assertEquals(
        "Invalid Request: a batch has at most 10000 entries.",
        peer.receive().at("/error/message").textValue());
  }

  // Progress.

  @Test
  void reportsFirstAndLastProgressAndNothingAfterTheAnswer() throws Exception {
    peer.send(request("work", "{'name': 'a', 'progressToken': 'T'}", "1"));
    worker.awaitStart();
    assertEquals(
        json(
            "{'jsonrpc': '2.0', 'method': '$/progress', 'params':"
                + " {'token': 'T', 'value': {'status': 'progress', 'sample': 1}}}"),
        peer.receive());
    worker.release.countDown();
    List<JsonNode> values = new ArrayList<>();
    JsonNode message = peer.receive();
    while (message.has("method")) {
      values.add(message.at("/params/value/status"));
      message = peer.receive();
    }
    assertEquals(json("1"), message.get("id"));
    assertEquals(json("'completed'"), values.get(values.size() - 1));
    assertFalse(values.subList(0, values.size() - 1).contains(json("'completed'")));
    assertSilenceBeforeNextAnswer();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{'name': 'defect', 'progressToken': 1.50}",
        "[{'name': 'params', 'progressToken': 1.50}]"
      })
  void theLastProgressOfAFailureSaysSo(String params) throws Exception {
    peer.send(request("fail", params, "1"));
    String first = peer.receiveText();
    assertTrue(first.contains("\"token\":1.50,"), first);
    assertEquals(json("'error'"), peer.receive().at("/params/value/status"));
    assertTrue(peer.receive().has("error"));
  }

  @Test
  void aCancelledRequestEndsItsProgressBeforeTheAnswerAlsoWhenItsMethodGoesOn() throws Exception {
    peer.send(request("stubbornWork", "['a', 5]", "7"));
    worker.awaitStart();
    peer.receive();
    peer.send("{'jsonrpc': '2.0', 'method': '$/cancelRequest', 'params': {'id': 7}}");
    assertEquals(json("{'token': 5, 'value': {'status': 'error'}}"), peer.receive().get("params"));
    assertEquals(-32800, peer.receive().at("/error/code").intValue());
    assertSilenceBeforeNextAnswer();
  }

  // The end.

  @Test
  void endOfInputCancelsWhatRunsAndAnswersIt() throws Exception {
    peer.send(request("work", "['a']", "1"));
    worker.awaitStart();
    String rest = peer.endInput();
    assertTrue(rest.contains("-32800"), rest);
    assertEquals(1, worker.cancels.get());
  }

  @Test
  void endOfInputLeavesTimeForTheAnswersToWhatWasJustAsked() throws Exception {
    peer.ask(request("prepared", "[]", "0")); // loads what answers take: the end waits not for that
    peer.send(request("prepared", "[]", "1"));
    peer.sendBytes(request("ping", "{}", "2").getBytes(StandardCharsets.UTF_8)); // no line end
    String rest = peer.endInput();
    assertTrue(rest.contains("\"id\":1}") && rest.contains("\"id\":2}"), rest);
  }

  @Test
  void endOfInputDoesNotWaitLongForAMethodThatGoesOn() throws Exception {
    peer.send(request("stubbornWork", "['a']", "1"));
    worker.awaitStart();
    long startNanos = System.nanoTime();
    assertEquals("", peer.endInput());
    Duration elapsed = Duration.ofNanos(System.nanoTime() - startNanos);
    assertTrue(StdioServer.DRAIN.compareTo(Duration.ofSeconds(1)) < 0);
    assertTrue(elapsed.compareTo(Duration.ofSeconds(5)) < 0, elapsed::toString);
  }

  @Test
  void aMethodThatEndsTheServerIsAnsweredBeforeTheEnd() throws Exception {
    assertEquals(
        json("{'jsonrpc': '2.0', 'result': null, 'id': 1}"), peer.ask(request("end", "{}", "1")));
    peer.awaitEnd();
  }

  @Test
  void anOutputThatNobodyReadsEndsTheServer() throws Exception {
    Pipe requests = Pipe.open();
    Pipe answers = Pipe.open();
    StdioServer server =
        new StdioServer(
            Channels.newInputStream(requests.source()),
            Channels.newOutputStream(answers.sink()),
            WorkMethods.class,
            worker);
    CompletableFuture<Void> ended = CompletableFuture.runAsync(() -> run(server));
    OutputStream client = Channels.newOutputStream(requests.sink());
    client.write((request("work", "['a']", "1") + "\n").getBytes(StandardCharsets.UTF_8));
    worker.awaitStart();
    answers.source().close();
    client.write((request("ping", "[]", "2") + "\n").getBytes(StandardCharsets.UTF_8));
    ended.orTimeout(20, TimeUnit.SECONDS).join();
    assertEquals(1, worker.cancels.get());
  }

  private static void run(StdioServer server) {
    try {
      server.run();
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  private static String request(String method, String params, String id) {
    return "{'jsonrpc': '2.0', 'method': '%s', 'params': %s, 'id': %s}"
        .formatted(method, params, id)
        .replace('\'', '"');
  }

  private String askText(String message) throws IOException {
    peer.sendText(message);
    return peer.receiveText();
  }

  private JsonNode cancelAndReceive(String params) throws IOException {
    return peer.ask("{'jsonrpc': '2.0', 'method': '$/cancelRequest', 'params': " + params + "}");
  }

  /** Whatever was sent before had no answer if the next message is the answer to a ping. */
  private void assertSilenceBeforeNextAnswer() throws IOException {
    peer.send(request("prepared", "[]", "'silence'"));
    assertEquals(json("'silence'"), peer.receive().get("id"));
  }

  private static Set<JsonNode> ids(JsonNode... answers) {
    Set<JsonNode> ids = new HashSet<>();
    for (JsonNode answer : answers) {
      ids.add(answer.get("id"));
    }
    return ids;
  }
}
