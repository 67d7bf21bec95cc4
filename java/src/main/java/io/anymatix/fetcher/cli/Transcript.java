package io.anymatix.fetcher.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import io.anymatix.fetcher.content.Redactor;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * What was said in a conversation with a sidecar process, in the form of {@code examples/rpc}: one
 * JSON object a line, of one member: {@code send} and {@code sendText} for what goes to the
 * process, {@code expect} for an answer, {@code expectLastProgress} for where a request was last.
 *
 * <p>Secrets are masked, and what differs from run to run stands as {@code "<number>"} or {@code
 * "<text>"}. Methods may be called from any thread.
 */
final class Transcript {
  private static final ObjectMapper JSON = new ObjectMapper();

  /** More than anybody reads; what is older is forgotten. */
  private static final int MOST_STEPS = 10_000;

  /** Members whose values are those of one run alone. */
  private static final Set<String> VARYING =
      Set.of(
          "active",
          "bytesTransferred",
          "elapsedMillis",
          "freeBytes",
          "heapBytes",
          "javaVersion",
          "lastWrittenMillis",
          "pid",
          "rate",
          "retries",
          "uptimeMillis",
          "version",
          "waiting");

  private final Deque<ObjectNode> steps = new ArrayDeque<>();

  /**
   * One step that was read from a file.
   *
   * @param kind the name of its member
   */
  record Step(int lineNumber, String kind, JsonNode content) {}

  /** Notes a line that goes to the process. */
  void sent(String line) {
    try {
      add("send", Secrets.masked(JSON.readTree(line)));
    } catch (JsonProcessingException e) {
      add("sendText", TextNode.valueOf(Redactor.text(line)));
    }
  }

  /** Notes a line that came from the process; notifications are left out. */
  void received(String line) {
    try {
      JsonNode message = JSON.readTree(line);
      if (!isNotification(message)) {
        add("expect", steady(Secrets.masked(message)));
      }
    } catch (JsonProcessingException e) {
      // It is no answer, so nothing can be expected of it.
    }
  }

  private synchronized void add(String kind, JsonNode content) {
    if (steps.size() == MOST_STEPS) {
      steps.removeFirst();
    }
    steps.add(JsonNodeFactory.instance.objectNode().set(kind, content));
  }

  /**
   * Writes what was noted so far to a new file.
   *
   * @return how many steps that are
   * @throws IOException also if there is such a file already
   */
  synchronized int save(Path file) throws IOException {
    List<String> lines = steps.stream().map(ObjectNode::toString).toList();
    Files.write(file, lines, StandardCharsets.UTF_8, StandardOpenOption.CREATE_NEW);
    return lines.size();
  }

  /**
   * Reads a file of this form.
   *
   * @throws IllegalArgumentException for one that is not, with the line
   */
  static List<Step> load(Path file) throws IOException {
    List<Step> steps = new ArrayList<>();
    int lineNumber = 0;
    for (String line : Files.readAllLines(file, StandardCharsets.UTF_8)) {
      lineNumber++;
      if (line.isBlank()) {
        continue;
      }
      JsonNode step;
      try {
        step = JSON.readTree(line);
      } catch (JsonProcessingException e) {
        step = JsonNodeFactory.instance.nullNode();
      }
      String kind = step.size() == 1 && step.isObject() ? step.fieldNames().next() : "";
      if (!Set.of("send", "sendText", "expect", "expectLastProgress").contains(kind)) {
        throw new IllegalArgumentException(
            file + " line " + lineNumber + " is no step of a transcript.");
      }
      steps.add(new Step(lineNumber, kind, step.path(kind)));
    }
    return steps;
  }

  static boolean isNotification(JsonNode message) {
    return message.has("method");
  }

  /** A message without the members whose secrets were masked: they can not be sent again. */
  static JsonNode sendable(JsonNode message) {
    if (message.isObject()) {
      ObjectNode sent = JsonNodeFactory.instance.objectNode();
      for (Map.Entry<String, JsonNode> member : message.properties()) {
        if (!member.getValue().asText().equals(Secrets.MASK)) {
          sent.set(member.getKey(), sendable(member.getValue()));
        }
      }
      return sent;
    }
    if (message.isArray()) {
      ArrayNode sent = JsonNodeFactory.instance.arrayNode();
      message.forEach(element -> sent.add(sendable(element)));
      return sent;
    }
    return message;
  }

  private static JsonNode steady(JsonNode value) {
    if (value.isObject()) {
      ObjectNode steady = JsonNodeFactory.instance.objectNode();
      for (Map.Entry<String, JsonNode> member : value.properties()) {
        JsonNode content = member.getValue();
        boolean varies = VARYING.contains(member.getKey()) && content.isValueNode();
        String placeholder = content.isNumber() ? "<number>" : content.isTextual() ? "<text>" : "";
        steady.set(
            member.getKey(),
            varies && !placeholder.isEmpty() ? TextNode.valueOf(placeholder) : steady(content));
      }
      return steady;
    }
    if (value.isArray()) {
      ArrayNode steady = JsonNodeFactory.instance.arrayNode();
      value.forEach(element -> steady.add(steady(element)));
      return steady;
    }
    return value;
  }

  /** Where a message is not as recorded, as JSON pointers with what came; empty if nowhere. */
  static List<String> differences(JsonNode expected, JsonNode actual) {
    List<String> differences = new ArrayList<>();
    compare("", expected, actual, differences);
    return differences;
  }

  private static void compare(
      String at, JsonNode expected, @Nullable JsonNode actual, List<String> differences) {
    if (actual == null) {
      differences.add(at + " is missing");
    } else if (expected.isObject() && actual.isObject()) {
      Set<String> names = new TreeSet<>();
      expected.fieldNames().forEachRemaining(names::add);
      actual.fieldNames().forEachRemaining(names::add);
      for (String name : names) {
        if (expected.has(name)) {
          compare(at + "/" + name, expected.get(name), actual.get(name), differences);
        } else {
          differences.add(at + "/" + name + " is not recorded");
        }
      }
    } else if (expected.isArray() && actual.isArray() && expected.size() == actual.size()) {
      Iterator<JsonNode> others = actual.iterator();
      int i = 0;
      for (JsonNode item : expected) {
        compare(at + "/" + i++, item, others.next(), differences);
      }
    } else if (!fits(expected, actual)) {
      differences.add((at.isEmpty() ? "the whole" : at) + " is " + Secrets.masked(actual));
    }
  }

  private static boolean fits(JsonNode expected, JsonNode actual) {
    return switch (expected.asText()) {
      case "<number>" -> actual.isNumber();
      case "<text>" -> actual.isTextual();
      case "<any>", Secrets.MASK -> true;
      default -> expected.equals(actual);
    };
  }
}
