package io.anymatix.fetcher.cli;

import static io.anymatix.fetcher.testing.Content.KIB;
import static io.anymatix.fetcher.testing.Content.MIB;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.anymatix.fetcher.Main;
import io.anymatix.fetcher.cli.PullProcess.Run;
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.Gate;
import io.anymatix.fetcher.testing.Request;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** {@code pull} as a process of its own, without a terminal. */
@Timeout(120)
class PullTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  @SuppressWarnings("NullAway.Init") // set before each test
  private PullProcess pull;

  private final ByteRangeServer server = ByteRangeServer.start();

  @BeforeEach
  void makeModelsFolder(@TempDir Path home) throws IOException {
    pull = new PullProcess(home);
  }

  @AfterEach
  void close() {
    server.close();
  }

  private Path models() {
    return pull.models;
  }

  private Run run(String... arguments) throws Exception {
    return pull.run(arguments);
  }

  private String list(String... lines) throws IOException {
    return pull.list("list.txt", lines);
  }

  private String serve(String name, long lengthBytes) {
    return server.serve("/" + name, Content.safetensors(1, lengthBytes)).url();
  }

  @Test
  void pathsGoToStdoutAndTheTableToStderr() throws Exception {
    Run run =
        run(
            list(
                serve("a.safetensors", 20 * KIB) + " vae",
                serve("b.safetensors", 30 * KIB) + " loras b.safetensors"),
            "--marker",
            models().resolve("done").toString());
    assertEquals(0, run.exitCode(), run.err());
    assertEquals(2, run.out().size());
    assertTrue(Path.of(run.out().get(0)).startsWith(models().resolve("vae")), run.out()::toString);
    assertTrue(Files.exists(models().resolve("loras").resolve("b.safetensors")));
    assertTrue(Files.exists(models().resolve("done")));
    assertTrue(run.err().contains("2 of 2 files are there"), run.err());
    assertFalse(run.err().contains("\u001b"), "no control sequences without a terminal");
    int before = server.requests().size();
    Run again = run(list(serve("a.safetensors", 20 * KIB) + " vae"));
    assertEquals(0, again.exitCode(), again.err());
    assertEquals(before, server.requests().size());
  }

  @Test
  void aFailureIsToldWithItsReasonAndExitCodeAndTheOthersAreFetched() throws Exception {
    String list =
        list(
            server.url("/missing.safetensors") + " vae", serve("a.safetensors", 20 * KIB) + " vae");
    Run run = run(list, "--marker", models().resolve("done").toString());
    assertEquals(3, run.exitCode(), run.err());
    assertEquals(1, run.out().size());
    assertTrue(
        run.err().lines().anyMatch(line -> line.startsWith("FAILED") && line.contains("notFound")),
        run.err());
    assertTrue(run.err().contains("1 of 2 files are there"), run.err());
    assertFalse(Files.exists(models().resolve("done")));
  }

  @Test
  void programsGetOneObject() throws Exception {
    Run run =
        run(
            list(
                serve("a.safetensors", 20 * KIB) + " vae",
                server.url("/missing.safetensors") + " vae"),
            "--json");
    assertEquals(3, run.exitCode(), run.err());
    assertEquals(1, run.out().size());
    JsonNode whole = JSON.readTree(run.out().get(0));
    assertFalse(whole.path("ok").asBoolean());
    assertEquals("downloaded", whole.at("/results/0/outcome").asText());
    assertEquals("notFound", whole.at("/results/1/error/data/kind").asText());
    assertEquals("", run.err());
  }

  @Test
  void aListWithMistakesFetchesNothing() throws Exception {
    Run run =
        run(
            list(
                serve("a.safetensors", 20 * KIB) + " vae",
                server.url("/b.safetensors") + " nonsense",
                server.url("/c.safetensors") + " vae ../c.safetensors"));
    assertEquals(2, run.exitCode(), run.err());
    assertTrue(run.err().contains("list.txt:2: "), run.err());
    assertTrue(run.err().contains("list.txt:3: "), run.err());
    assertEquals(0, server.requests().size());
    assertEquals(List.of(), pull.files());
  }

  @Test
  void everyFileGetsItsPlainNameIfThatIsWanted() throws Exception {
    Run run = run(list(serve("a.safetensors", 20 * KIB) + " vae"), "--as-named");
    assertEquals(0, run.exitCode(), run.err());
    assertTrue(Files.isSameFile(models().resolve("vae/a.safetensors"), Path.of(run.out().get(0))));
  }

  @Test
  void aKilledPullGoesOnWhereItWas() throws Exception {
    Gate gate = new Gate();
    Content content = Content.safetensors(7, 24 * MIB);
    ByteRangeServer.Resource big =
        server
            .serve("/big.safetensors", content)
            .when(Request::isForContent, Fault.freezesAfter(900_000, gate));
    String list = list(serve("small.safetensors", 20 * KIB) + " vae", big.url() + " checkpoints");
    Process killed = pull.start(list, "--connections", "4");
    gate.awaitArrivals(4);
    awaitReceived(2 * MIB);
    killed.destroyForcibly().waitFor();
    gate.open();
    Run run = run(list, "--json");
    assertEquals(0, run.exitCode(), run.err());
    JsonNode results = JSON.readTree(run.out().get(0)).path("results");
    assertEquals("present", results.get(0).path("outcome").asText(), results.toString());
    assertEquals("resumed", results.get(1).path("outcome").asText(), results.toString());
    assertTrue(results.get(1).path("bytesReused").asLong() >= 2 * MIB, results.toString());
    assertEquals(-1, content.mismatch(Path.of(results.get(1).path("path").asText())));
  }

  /** Waits until the small file is there and the journal of the big one counts so many bytes. */
  private void awaitReceived(long bytes) throws IOException {
    long endNanos = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
    while (receivedBytes() < bytes || !isSmallFileThere()) {
      assertTrue(System.nanoTime() - endNanos < 0, "waited in vain");
      LockSupport.parkNanos(5_000_000);
    }
  }

  private boolean isSmallFileThere() throws IOException {
    return pull.files().stream().anyMatch(file -> file.toString().endsWith(".json"));
  }

  private long receivedBytes() throws IOException {
    long bytes = 0;
    for (Path file : pull.files()) {
      if (file.getFileName().toString().matches("big_.*[.]part[.]segments")) {
        String text = Files.readString(file);
        int written = text.indexOf("\"written\"");
        Matcher number = Pattern.compile("\\d+").matcher(text.substring(Math.max(0, written)));
        while (written >= 0 && number.find()) {
          bytes += Long.parseLong(number.group());
        }
      }
    }
    return bytes;
  }

  @Test
  void withoutAModelsFolderTheUsageIsTold() throws Exception {
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("java.class.path"),
                Main.class.getName(),
                "pull",
                list("https://models.test/a vae"))
            .redirectErrorStream(true)
            .redirectOutput(pull.home.resolve("out").toFile())
            .start();
    assertTrue(process.waitFor(60, TimeUnit.SECONDS));
    assertEquals(2, process.exitValue());
    assertTrue(Files.readString(pull.home.resolve("out")).contains("--models-dir"));
  }
}
