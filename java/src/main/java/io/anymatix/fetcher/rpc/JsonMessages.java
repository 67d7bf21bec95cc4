package io.anymatix.fetcher.rpc;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParseException;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.json.JsonWriteFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.cfg.JsonNodeFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.NullNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.POJONode;
import com.fasterxml.jackson.databind.util.RawValue;
import com.googlecode.jsonrpc4j.ErrorResolver.JsonError;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.Reader;
import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import org.jspecify.annotations.Nullable;

/** JSON-RPC 2.0 messages as JSON trees: reading, building, and what an id is. */
final class JsonMessages {
  /** Deeper JSON is refused: no method has params anywhere near it. */
  static final int MAX_DEPTH = 200;

  /**
   * Reads and writes trees. Numbers keep their digits. Everything beyond ASCII is written escaped,
   * which is valid UTF-8 whatever it contains, also half a surrogate pair that a client sent.
   */
  static final JsonMapper MAPPER =
      JsonMapper.builder(
              JsonFactory.builder()
                  .streamReadConstraints(
                      StreamReadConstraints.builder().maxNestingDepth(MAX_DEPTH).build())
                  .build())
          .enable(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS)
          .disable(JsonNodeFeature.STRIP_TRAILING_BIGDECIMAL_ZEROES)
          .enable(JsonWriteFeature.ESCAPE_NON_ASCII)
          .build();

  private static final String VERSION = "2.0";

  private JsonMessages() {}

  /**
   * The tree of one message, where a numeric {@code id} is kept as it was written.
   *
   * @throws com.fasterxml.jackson.core.exc.StreamConstraintsException if it is nested too deeply,
   *     or has a longer name or number than anybody needs
   * @throws IOException if it is not JSON in UTF-8
   */
  static JsonNode read(ByteBuffer message) throws IOException {
    // A decoder of our own: Jackson would guess UTF-16 from the first bytes, and lets some
    // malformed UTF-8 pass.
    Reader text =
        new InputStreamReader(
            new ByteArrayInputStream(
                message.array(), message.arrayOffset() + message.position(), message.remaining()),
            StandardCharsets.UTF_8
                .newDecoder()
                .onMalformedInput(CodingErrorAction.REPORT)
                .onUnmappableCharacter(CodingErrorAction.REPORT));
    try (JsonParser parser = MAPPER.createParser(text)) {
      JsonToken first = parser.nextToken();
      if (first == null) {
        throw new JsonParseException(parser, "no JSON value");
      }
      JsonNode tree = first == JsonToken.START_ARRAY ? readBatch(parser) : readEntry(parser);
      if (parser.nextToken() != null) {
        throw new JsonParseException(parser, "more than one JSON value");
      }
      return tree;
    } catch (NumberFormatException e) { // Jackson lets it through for an exponent of ten digits
      throw new JsonParseException(null, "a number that no decimal can hold", e);
    }
  }

  private static ArrayNode readBatch(JsonParser parser) throws IOException {
    ArrayNode batch = MAPPER.createArrayNode();
    while (parser.nextToken() != JsonToken.END_ARRAY) {
      batch.add(readEntry(parser));
    }
    return batch;
  }

  private static JsonNode readEntry(JsonParser parser) throws IOException {
    if (parser.currentToken() != JsonToken.START_OBJECT) {
      return MAPPER.readTree(parser);
    }
    ObjectNode entry = MAPPER.createObjectNode();
    while (parser.nextToken() != JsonToken.END_OBJECT) {
      String name = parser.currentName();
      JsonToken value = parser.nextToken();
      entry.set(
          name,
          name.equals("id") && value.isNumeric() ? verbatim(parser) : MAPPER.readTree(parser));
    }
    return entry;
  }

  private static JsonNode verbatim(JsonParser parser) throws IOException {
    String digits = parser.getText();
    parser.getDecimalValue(); // refuses an exponent that no decimal can have
    return JsonNodeFactory.instance.rawValueNode(new RawValue(digits));
  }

  /** Whether this can be the id of a request: a string, a number or null. */
  static boolean isId(JsonNode id) {
    return id.isTextual() || id.isNull() || number(id) != null;
  }

  /** What two ids have in common when they are the same: type and value, not spelling. */
  static Object idKey(JsonNode id) {
    BigDecimal number = number(id);
    return number != null ? number.stripTrailingZeros() : id;
  }

  private static @Nullable BigDecimal number(JsonNode id) {
    if (id.isNumber()) {
      return id.decimalValue();
    }
    if (id instanceof POJONode pojo && pojo.getPojo() instanceof RawValue raw) {
      return new BigDecimal(String.valueOf(raw.rawValue()));
    }
    return null;
  }

  /** An answer with a result, members in the order in which the specification prints them. */
  static ObjectNode result(JsonNode result, JsonNode id) {
    ObjectNode answer = message();
    answer.set("result", result);
    answer.set("id", id);
    return answer;
  }

  /** An answer with an error; a real null is the id where none could be read. */
  static ObjectNode error(JsonError error, @Nullable JsonNode id) {
    ObjectNode answer = message();
    answer.set("error", errorMember(error));
    answer.set("id", id == null ? NullNode.getInstance() : id);
    return answer;
  }

  /** An error as the member of an answer. */
  static ObjectNode errorMember(JsonError error) {
    ObjectNode member = MAPPER.createObjectNode();
    member.put("code", error.code);
    member.put("message", error.message);
    if (error.data != null) {
      member.set("data", MAPPER.valueToTree(error.data));
    }
    return member;
  }

  static ObjectNode notification(String method, JsonNode params) {
    ObjectNode notification = message();
    notification.put("method", method);
    notification.set("params", params);
    return notification;
  }

  private static ObjectNode message() {
    return MAPPER.createObjectNode().put("jsonrpc", VERSION);
  }

  /**
   * A request or notification whose envelope is sound.
   *
   * @param id as sent; null marks a notification, which is not the same as a request whose id is
   *     JSON's null
   * @param params an array, an object, or null if there are none
   */
  record Request(String method, @Nullable JsonNode params, @Nullable JsonNode id) {

    boolean isNotification() {
      return id == null;
    }

    /**
     * Reads an envelope (JSON-RPC 2.0, section 4).
     *
     * @throws InvalidRequestException with the error to answer with
     */
    static Request of(JsonNode message) throws InvalidRequestException {
      JsonNode id = message.get("id");
      JsonNode usableId = id != null && isId(id) ? id : null;
      JsonNode method = message.get("method");
      if (method == null || !method.isTextual()) {
        throw new InvalidRequestException(RpcErrorCode.INVALID_REQUEST.phrase(), usableId);
      }
      JsonNode version = message.get("jsonrpc");
      if (version == null || !version.isTextual() || !version.textValue().equals(VERSION)) {
        throw new InvalidRequestException(
            "Invalid Request: \"jsonrpc\" must be \"2.0\".", usableId);
      }
      if (id != null && usableId == null) {
        throw new InvalidRequestException(
            "Invalid Request: \"id\" must be a string, a number or null.", null);
      }
      JsonNode params = message.get("params");
      // Some clients write null where they have no params.
      if (params != null && !params.isContainerNode() && !params.isNull()) {
        throw new InvalidRequestException(
            "Invalid Request: \"params\" must be an array or an object.", usableId);
      }
      return new Request(method.textValue(), params == null || params.isNull() ? null : params, id);
    }
  }

  /** A JSON value that is no request; the message is what to answer. */
  static final class InvalidRequestException extends Exception {
    private static final long serialVersionUID = 1;

    private final transient @Nullable JsonNode id;

    InvalidRequestException(String message, @Nullable JsonNode id) {
      super(message);
      this.id = id;
    }

    ObjectNode answer() {
      return error(RpcErrors.error(RpcErrorCode.INVALID_REQUEST, getMessage(), null), id);
    }
  }
}
