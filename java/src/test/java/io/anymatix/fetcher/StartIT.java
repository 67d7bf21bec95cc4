package io.anymatix.fetcher;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.SidecarProcess;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What a start of the sidecar process loads: its time is in the number of classes. */
@Timeout(value = 60, unit = TimeUnit.SECONDS)
class StartIT {
  private static final Pattern LOADED = Pattern.compile(".*\\] (\\S+) source: (.*)");

  /** Of one site, of one command, or for speaking with servers. */
  private static final Pattern NOT_FOR_A_START =
      Pattern.compile(
          "(org\\.jline|org\\.jsoup|org\\.yaml|org\\.apache\\.hc"
              + "|com\\.fasterxml\\.jackson\\.dataformat|io\\.github\\.resilience4j"
              + "|sun\\.security\\.ssl|java\\.net\\.IDN"
              + "|io\\.anymatix\\.fetcher\\.source\\.\\w+Source"
              + "|io\\.anymatix\\.fetcher\\.http\\.Clients"
              + "|io\\.anymatix\\.fetcher\\.cli\\.(?!Cli|Command|ServeCommand|Arguments|OwnerOptions|UsageException|LogSetup|IdleHeap)"
              + ").*");

  /** By a tenth more than there are: Jackson's are half of them. */
  private static final int MOST_CLASSES_OF_THE_JAR = 900;

  @SuppressWarnings("NullAway.Init") // set by JUnit
  @TempDir
  Path home;

  @Test
  void itLoadsNothingOfASiteAnotherCommandOrTheHttpClient() throws Exception {
    Path log = home.resolve("classes.log");
    try (SidecarProcess sidecar =
        SidecarProcess.launch(home)
            .jvmFlags("-Xshare:auto", "-Xlog:class+load:file=" + log)
            .start()) {
      assertEquals("pong", sidecar.result("ping", Map.of()).asText());
      Path models = Files.createDirectories(home.resolve("models"));
      sidecar.result("initialize", Map.of("modelsDir", models.toString()));
    }
    List<String> ofTheJar = loaded(log, "anymatix-fetcher.jar");
    assertTrue(ofTheJar.contains("io.anymatix.fetcher.rpc.StdioServer"), "the log is readable");
    List<String> needless =
        ofTheJar.stream().filter(name -> NOT_FOR_A_START.matcher(name).matches()).toList();
    assertTrue(needless.isEmpty(), needless::toString);
    assertFalse(
        ofTheJar.size() > MOST_CLASSES_OF_THE_JAR,
        ofTheJar.size() + " classes of the jar are loaded");
  }

  /** Of what costs a young process tens of milliseconds each, and a fetch can do without. */
  @Test
  void aFetchThatPrintsNoJsonLoadsNoMapperAndLinksNoRecordAtRunTime() throws Exception {
    Path log = home.resolve("classes.log");
    try (ByteRangeServer server = ByteRangeServer.start()) {
      Content content = Content.random(1, 8 * Content.MIB);
      SidecarProcess.Launch launch =
          SidecarProcess.launch(home)
              .jvmFlags("-Xlog:class+load:file=" + log)
              .subcommand("fetch")
              .arguments(
                  server.serve("/m.bin", content).url(),
                  "--accept-any-content",
                  "--dir",
                  home.resolve("models").toString());
      try (SidecarProcess command = launch.start()) {
        assertEquals(0, command.awaitExit(Duration.ofSeconds(60)), command::stderr);
      }
    }
    List<String> all = loaded(log, "");
    assertTrue(all.contains("io.anymatix.fetcher.transfer.RangeTier"), "the log is readable");
    List<String> needless =
        all.stream()
            .filter(
                name ->
                    name.equals("com.fasterxml.jackson.databind.ObjectMapper")
                        || name.equals("java.lang.runtime.ObjectMethods"))
            .toList();
    assertTrue(needless.isEmpty(), needless::toString);
  }

  private static List<String> loaded(Path log, String source) throws IOException {
    try (Stream<String> lines = Files.lines(log)) {
      return lines
          .map(LOADED::matcher)
          .filter(Matcher::matches)
          .filter(loaded -> loaded.group(2).contains(source))
          .map(loaded -> loaded.group(1))
          .toList();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "--log-level=info"})
  void aVariableThatMakesNoSenseIsAMistakeOfUsage(String options) throws Exception {
    SidecarProcess.Launch launch =
        SidecarProcess.launch(home).environment("ANYMATIX_CONNECTIONS", "0");
    try (SidecarProcess sidecar =
        (options.isEmpty() ? launch : launch.arguments(options)).start()) {
      assertEquals(2, sidecar.awaitExit(Duration.ofSeconds(30)));
      assertTrue(sidecar.stderr().contains("--connections wants 1 to 64"), sidecar.stderr());
      assertEquals("", sidecar.stdout());
    }
  }
}
