package io.anymatix.fetcher.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import io.anymatix.fetcher.failure.CancelledException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * Holds a sidecar process to a {@link Transcript}: says what was said, and looks whether the
 * answers are those that were recorded. Answers may come in another order.
 */
final class Replay {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final long PATIENCE_SECONDS = 30;

  private final Sender sender;
  private final BlockingQueue<JsonNode> arrived = new LinkedBlockingQueue<>();
  private final List<JsonNode> unclaimed = new ArrayList<>();
  private final Map<JsonNode, JsonNode> lastProgress = new HashMap<>();

  private volatile boolean cancelled;

  /** Says a line to the process. */
  interface Sender {
    void send(String line) throws IOException;
  }

  /** What came of one step. */
  record Outcome(Transcript.Step step, String what, List<String> differences) {
    boolean isAsRecorded() {
      return differences.isEmpty();
    }
  }

  Replay(Sender sender) {
    this.sender = sender;
  }

  /** Takes a line that came from the process; any thread. */
  void received(String line) {
    try {
      arrived.add(JSON.readTree(line));
    } catch (JsonProcessingException e) {
      arrived.add(JsonNodeFactory.instance.textNode(line));
    }
  }

  /** Ends it at the answer that is being waited for; any thread. */
  void cancel() {
    cancelled = true;
    arrived.add(JsonNodeFactory.instance.nullNode());
  }

  /**
   * Does one step.
   *
   * @param models stands for {@code <models>}
   * @throws IOException if the process takes nothing any more
   * @throws CancelledException after {@link #cancel}
   */
  Outcome run(Transcript.Step step, Path models) throws IOException {
    JsonNode content = withModels(step.content(), models);
    return switch (step.kind()) {
      case "send" -> {
        JsonNode message = Transcript.sendable(content);
        sender.send(message.toString());
        yield new Outcome(step, what(message), List.of());
      }
      case "sendText" -> {
        sender.send(content.asText());
        yield new Outcome(step, "text", List.of());
      }
      case "expect" -> expect(step, content);
      default -> expectLastProgress(step, content);
    };
  }

  private Outcome expect(Transcript.Step step, JsonNode expected) {
    JsonNode answer = claim(expected);
    return new Outcome(
        step,
        "answer",
        answer == null
            ? List.of("no answer came within " + PATIENCE_SECONDS + " s")
            : Transcript.differences(expected, answer));
  }

  private Outcome expectLastProgress(Transcript.Step step, JsonNode expected) {
    JsonNode value = lastProgress.get(expected.path("token"));
    return new Outcome(
        step,
        "progress",
        value == null
            ? List.of("no progress came with this token")
            : Transcript.differences(expected.path("value"), value));
  }

  /** The answer to the same request; null if none comes. */
  private @Nullable JsonNode claim(JsonNode expected) {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS);
    while (true) {
      for (JsonNode answer : unclaimed) {
        if (answers(answer, expected)) {
          unclaimed.remove(answer);
          return answer;
        }
      }
      JsonNode next = next(deadline);
      if (next == null) {
        return unclaimed.isEmpty() ? null : unclaimed.remove(0);
      }
      if (!Transcript.isNotification(next)) {
        unclaimed.add(next);
      } else if (next.path("method").asText().equals("$/progress")) {
        lastProgress.put(next.at("/params/token"), next.at("/params/value"));
      }
    }
  }

  private @Nullable JsonNode next(long deadlineNanos) {
    try {
      JsonNode next = arrived.poll(deadlineNanos - System.nanoTime(), TimeUnit.NANOSECONDS);
      if (cancelled) {
        throw new CancelledException();
      }
      return next;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new CancelledException();
    }
  }

  private static boolean answers(JsonNode answer, JsonNode expected) {
    return answer.isArray()
        ? expected.isArray()
        : answer.path("id").equals(expected.path("id")) && !expected.isArray();
  }

  private static String what(JsonNode message) {
    return message.isArray() ? "batch" : message.path("method").asText("message");
  }

  private static JsonNode withModels(JsonNode content, Path models) {
    try {
      String path = JSON.writeValueAsString(models.toString());
      return JSON.readTree(
          content.toString().replace("<models>", path.substring(1, path.length() - 1)));
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("JSON that was written can be read.", e);
    }
  }
}
