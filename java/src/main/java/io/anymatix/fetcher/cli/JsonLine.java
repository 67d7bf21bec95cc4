package io.anymatix.fetcher.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;

/**
 * Results as JSON, one a line. On its own, so that a command that is not asked for JSON does not
 * load what writes it: that takes longer than all of its other work before the first request.
 */
final class JsonLine {
  private static final ObjectMapper MAPPER = new ObjectMapper();

  private JsonLine() {}

  /** The text of a result, without a line's end. */
  static String of(Object result) throws JsonProcessingException {
    return MAPPER.writeValueAsString(result);
  }
}
