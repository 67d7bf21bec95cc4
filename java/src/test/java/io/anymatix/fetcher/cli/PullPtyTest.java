package io.anymatix.fetcher.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.Gate;
import io.anymatix.fetcher.testing.Request;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** {@code pull} at a pseudo terminal of the operating system. */
@Timeout(90)
@DisabledOnOs(value = OS.WINDOWS, disabledReason = "Python has no pseudo terminals there")
class PullPtyTest {
  private static final String CTRL_C = "\u0003";

  @TempDir
  @SuppressWarnings("NullAway.Init") // JUnit fills it
  Path folder;

  private final ByteRangeServer server = ByteRangeServer.start();

  @AfterEach
  void stop() {
    server.close();
  }

  private PtyProcess pull(String... more) throws Exception {
    Path models = Files.createDirectories(folder.resolve("models"));
    return PtyProcess.start(
        folder,
        Stream.concat(
                Stream.of("pull", folder.resolve("list").toString(), "--models-dir=" + models),
                Stream.of(more))
            .toArray(String[]::new));
  }

  private void list(String... lines) throws Exception {
    Files.write(folder.resolve("list"), List.of(lines));
  }

  private String serve(String name, long bytes) {
    return server.serve("/" + name, Content.safetensors(name.length(), bytes)).url();
  }

  @Test
  void aBarForEachFileAndForAllIsShownAndFailuresAreRed() throws Exception {
    server.limitRate(2 * Content.MIB);
    list(
        serve("first.safetensors", 4 * Content.MIB) + " vae",
        serve("other-one.safetensors", 4 * Content.MIB) + " loras",
        server.url("/missing.safetensors") + " loras");
    try (PtyProcess pull = pull()) {
      pull.await("missing.safetensors failed: ");
      pull.await("first.safetensors");
      pull.await("█");
      pull.await("other-one.safetensors");
      pull.await("total: ");
      pull.await("FAILED");
      pull.await("2 of 3 files are there");
      assertEquals(3, pull.exitCode(), pull.written());
      String written = pull.written();
      assertTrue(written.contains(Screen.Style.BAD.apply("").substring(0, 7) + "FAILED"), written);
      String drawn = PtyProcess.plain(written);
      assertFalse(
          drawn.lines().anyMatch(line -> line.contains("total: ") && Table.columns(line) > 100),
          drawn);
    }
  }

  @Test
  void controlCEndsItSoonAndTheSameCommandGoesOn() throws Exception {
    Gate gate = new Gate();
    String url =
        server
            .serve("/m.safetensors", Content.safetensors(1, 12 * Content.MIB))
            .when(Request::isForContent, Fault.freezesAfter(900_000, gate))
            .url();
    list(url + " vae");
    try (PtyProcess pull = pull("--connections=4")) {
      pull.await("░  28%"); // and there it stops
      pull.type(CTRL_C);
      pull.await("Interrupted. What arrived is kept");
      assertEquals(130, pull.exitCode(), pull.written());
    }
    gate.open();
    try (PtyProcess pull = pull()) {
      pull.await("resumed");
      pull.await("1 of 1 file is there");
      assertEquals(0, pull.exitCode(), pull.written());
    }
  }
}
