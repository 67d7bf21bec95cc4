package io.anymatix.fetcher.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.PrintWriter;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What the command line answers before any command does its work. */
class CliTest {
  private static final String OWNER_OPTIONS =
      "models-dir folder allow-http allow-private-hosts allowed-hosts connect-to ca-file"
          + " accept-any-content refuse-pickle connections limit-rate stall-timeout offline"
          + " log-level";

  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final ByteArrayOutputStream err = new ByteArrayOutputStream();

  private int run(String... words) {
    out.reset();
    err.reset();
    return Cli.run(words, InputStream.nullInputStream(), out, err);
  }

  private String out() {
    return out.toString(StandardCharsets.UTF_8);
  }

  private String err() {
    return err.toString(StandardCharsets.UTF_8);
  }

  @ParameterizedTest
  @CsvSource({
    "serve, '', ''",
    "fetch, URL..., dir type sha256 name json",
    "pull, LIST|WORKFLOW.json, type marker as-named small-first parallel json",
    "probe, URL..., json",
    "delete, URL..., dir type json",
    "list, '', dir type json",
    "verify, '', dir type repair json",
    "gc, '', dir type remove no-dry-run dry-run older-than json",
    "benchmark, URL, try seconds json",
    "console, [-- COMMAND...], json",
  })
  void theHelpOfACommandListsWhatMayFollowIt(String command, String operands, String options) {
    assertEquals(0, run(command, "--help"), err());
    assertEquals("", err());
    String synopsis = ("Usage: anymatix-fetcher " + command + " [OPTIONS] " + operands).strip();
    assertEquals(synopsis, out().lines().findFirst().orElseThrow());
    List<String> expected =
        new ArrayList<>(List.of((options + " " + OWNER_OPTIONS).split(" ", -1)));
    expected.removeIf(String::isEmpty);
    expected.addAll(List.of("help", "version"));
    assertEquals(expected, listedOptions());
  }

  @Test
  void theDemonstrationTakesNoOptionsOfTheOwner() {
    assertEquals(0, run("demo", "-h"), err());
    assertEquals(List.of("keep", "help", "version"), listedOptions());
  }

  private List<String> listedOptions() {
    return out()
        .lines()
        .filter(line -> line.matches(" {2}(-\\w, | {4})--.*"))
        .map(line -> line.substring(8).split("[= ]", 2)[0])
        .toList();
  }

  @Test
  void theHelpOfTheWholeListsEveryCommand() {
    for (String[] words : new String[][] {{"--help"}, {"-h"}, {"--help", "fetch"}}) {
      assertEquals(0, run(words), err());
      List<String> listed =
          out()
              .lines()
              .filter(line -> line.matches(" {2}[a-z]+ .*"))
              .map(line -> line.strip().split(" ", 2)[0])
              .toList();
      assertEquals(
          List.of(
              "serve",
              "fetch",
              "pull",
              "probe",
              "delete",
              "list",
              "verify",
              "gc",
              "benchmark",
              "console",
              "demo"),
          listed);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"fetch --unknown -h", "fetch --connections x --help", "zebra --help"})
  void helpIsGivenWhateverElseIsWrong(String line) {
    assertEquals(0, run(line.split(" ", -1)), err());
    assertTrue(out().startsWith("Usage: "), out());
  }

  @ParameterizedTest
  @ValueSource(ints = {62, 66, 80, 100})
  void helpFitsItsWidthWithBothColumnsAligned(int width) {
    PrintWriter nobody = new PrintWriter(Writer.nullWriter());
    List<String> lines = Help.of(new FetchCommand(nobody, nobody)).lines(width);
    for (String line : lines) {
      assertTrue(line.length() <= width, line);
      assertEquals(line.stripTrailing(), line);
    }
    int column =
        lines.stream().filter(l -> l.contains("hash that")).toList().get(0).indexOf("hash");
    assertTrue(column > 0, lines.toString());
    for (String line : lines.subList(lines.indexOf("Options:") + 1, lines.size())) {
      assertFalse(line.startsWith(" ", column), line);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"--version", "-V", "fetch --version", "gc -V"})
  void theVersionIsTold(String line) {
    assertEquals(0, run(line.split(" ", -1)), err());
    assertTrue(out().matches("anymatix-fetcher \\S+, Java \\S+\\R"), out());
  }

  @ParameterizedTest
  @CsvSource({
    "fetch, URL is missing., fetch",
    "fetch http://h/ --zebra, Unknown option: --zebra, fetch",
    "fetch --connections x http://h/, '--connections wants a whole number, not x', fetch",
    "fetch --connections -1 http://h/, '--connections wants 1 to 64, not -1', fetch",
    "fetch --stall-timeout=x http://h/, '--stall-timeout wants a number, not x', fetch",
    "fetch --folder loras http://h/, '--folder wants NAME=D, not loras', fetch",
    "fetch --name n http://a/ http://b/, '--sha256 and --name go with one URL', fetch",
    "pull a b, 'b' is one word too many., pull",
    "pull a, --models-dir or --folder, pull",
    "gc --remove --dry-run, Either --remove or --dry-run., gc",
    "gc --older-than=1.5, '--older-than wants a whole number, not 1.5', gc",
    "benchmark --try 1;x http://h/, '--try wants a whole number, not 1;x', benchmark",
    "serve word, 'word' is one word too many., serve",
    "serve --connections 0, '--connections wants 1 to 64, not 0', serve",
    "console --connections 0 -- child, '--connections wants 1 to 64, not 0', console",
    "zebra, Unknown command: zebra, COMMAND",
    "--zebra, Unknown option: --zebra, COMMAND",
  })
  void aMistakeIsToldWithHowToUseTheCommand(String line, String sentence, String used) {
    assertEquals(2, run(line.split(" ", -1)), err());
    assertEquals("", out());
    assertTrue(err().lines().findFirst().orElseThrow().contains(sentence), err());
    assertTrue(err().contains("Usage: anymatix-fetcher " + used), err());
    assertTrue(err().contains("--version"), err());
  }

  @ParameterizedTest
  @CsvSource({
    "fetc, Unknown command: fetc. Did you mean fetch?",
    "Verify, Unknown command: Verify. Did you mean verify?",
    "benchmrak, Unknown command: benchmrak. Did you mean benchmark?",
    "--vers, Unknown option: --vers. Did you mean --version?",
    "fetch --conections 3 u, Unknown option: --conections. Did you mean --connections?",
    "fetch --limitrate=3 u, Unknown option: --limitrate. Did you mean --limit-rate?",
    "gc --dryrun, Unknown option: --dryrun. Did you mean --dry-run?",
  })
  void aNameThatIsNearlyRightIsToldInAShortAnswer(String line, String sentence) {
    assertEquals(2, run(line.split(" ", -1)), err());
    List<String> lines = err().lines().toList();
    assertEquals(sentence, lines.get(0));
    assertTrue(lines.get(1).startsWith("Usage: anymatix-fetcher "), err());
    assertEquals(2, lines.size(), err());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "list https://h/m?token=zeta-secret",
        "fetch --tokn=zeta-secret u",
        "--tokn=zeta-secret",
        "fetch --connections https://h/m?token=zeta-secret u",
        "https://h/m?token=zeta-secret",
      })
  void aMistakeRepeatsNoSecret(String line) {
    assertEquals(2, run(line.split(" ", -1)));
    assertFalse(err().contains("zeta-secret"), err());
  }

  @Test
  void theConsoleHandsTheOwnersOptionsToItsChild() {
    assertEquals(
        List.of("--allow-http", "--allow-private-hosts", "--log-level=warn"), serveFlags());
    assertEquals(
        List.of(
            "--allow-http",
            "--allow-private-hosts",
            "--folder=a=b",
            "--folder=c=d",
            "--allowed-hosts=x,y",
            "--offline",
            "--log-level=debug"),
        serveFlags(
            "--json",
            "--folder",
            "a=b",
            "--folder=c=d",
            "--allow-http",
            "--allowed-hosts",
            "x,y",
            "--offline",
            "--log-level=debug"));
  }

  private static List<String> serveFlags(String... words) {
    PrintWriter nobody = new PrintWriter(Writer.nullWriter());
    Command console = new ConsoleCommand(InputStream.nullInputStream(), nobody, nobody);
    return ConsoleCommand.serveFlags(Arguments.parse(console.options(), console.operands(), words));
  }
}
