package io.anymatix.fetcher.store;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Objects;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/** The recorded inputs and outputs in {@code golden/vectors.json}. */
final class GoldenVectors {
  private GoldenVectors() {}

  static Stream<JsonNode> of(String name) {
    try (InputStream file = GoldenVectors.class.getResourceAsStream("/golden/vectors.json")) {
      JsonNode vectors = new ObjectMapper().readTree(Objects.requireNonNull(file)).required(name);
      return StreamSupport.stream(vectors.spliterator(), false);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
