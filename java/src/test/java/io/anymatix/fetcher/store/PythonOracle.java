package io.anymatix.fetcher.store;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.OutputStream;
import java.util.List;

/** Asks the Python that the build needs anyway what it would have written. */
final class PythonOracle {
  private static final ObjectMapper MAPPER = new ObjectMapper();

  private PythonOracle() {}

  /**
   * The answers of a Python expression over {@code x}, one for each input.
   *
   * @param imports what the expression needs, as one statement
   */
  static List<String> answers(String imports, String expression, List<String> inputs)
      throws IOException, InterruptedException {
    String program =
        imports
            + "\nimport json, sys\n"
            + "answers = ["
            + expression
            + " for x in json.load(sys.stdin.buffer)]\n"
            + "sys.stdout.write(json.dumps(answers))\n";
    Process python =
        new ProcessBuilder(System.getProperty("python", "python3"), "-c", program)
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    try (OutputStream stdin = python.getOutputStream()) {
      stdin.write(MAPPER.writeValueAsBytes(inputs));
    }
    JsonNode answers = MAPPER.readTree(python.getInputStream().readAllBytes());
    if (python.waitFor() != 0 || answers.size() != inputs.size()) {
      throw new IOException("python answered " + answers.size() + " of " + inputs.size());
    }
    return MAPPER.convertValue(
        answers, MAPPER.getTypeFactory().constructCollectionType(List.class, String.class));
  }
}
