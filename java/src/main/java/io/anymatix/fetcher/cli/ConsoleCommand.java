package io.anymatix.fetcher.cli;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.jline.terminal.Terminal;
import org.jline.terminal.TerminalBuilder;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Lets a person, or a script, speak with a sidecar process. */
@Command(
    name = "console",
    description = "Speaks with a sidecar process: requests in short form or JSON, or a script.",
    mixinStandardHelpOptions = true)
@SuppressWarnings("NullAway.Init") // picocli fills the fields
final class ConsoleCommand implements Callable<Integer> {
  @Spec CommandSpec spec;
  @Mixin OwnerOptions options;

  @Parameters(
      arity = "0..*",
      paramLabel = "-- COMMAND",
      description = "the sidecar process to start; default: serve, with the options given here")
  List<String> command = new ArrayList<>();

  @Option(names = "--json", description = "print answers as raw JSON, one a line")
  boolean json;

  private final InputStream stdin;
  private final PrintWriter out;
  private final PrintWriter err;

  ConsoleCommand(InputStream stdin, PrintWriter out, PrintWriter err) {
    this.stdin = stdin;
    this.out = out;
    this.err = err;
  }

  @Override
  public Integer call() throws IOException {
    options.toConfig(spec.commandLine(), true); // tells a mistake now, and as this command's
    List<String> child = command.isEmpty() ? ServeClient.ownCommand(serveFlags()) : command;
    if (Cli.isTerminal() && !json) {
      try (Terminal terminal = TerminalBuilder.builder().system(true).dumb(true).build()) {
        boolean colours = Screen.wantsColours(System.getenv());
        ConsoleTerminal console =
            new ConsoleTerminal(terminal, colours, ConsoleHistory.file(System.getenv()));
        try (ConsoleSession session = new ConsoleSession(child, console, false)) {
          console.run(session);
        }
      }
      return 0;
    }
    ConsoleScript script = new ConsoleScript(out, err);
    try (ConsoleSession session = new ConsoleSession(child, script, json);
        BufferedReader lines =
            new BufferedReader(new InputStreamReader(stdin, StandardCharsets.UTF_8))) {
      return script.run(lines, session) ? 0 : Cli.EXIT_DEFECT;
    }
  }

  /** The flags of this command that serve has too, as given; the person typing is the owner. */
  private List<String> serveFlags() {
    List<String> flags = new ArrayList<>(List.of("--allow-http", "--allow-private-hosts"));
    boolean level = false;
    for (OptionSpec option : spec.commandLine().getParseResult().matchedOptions()) {
      String name = option.longestName();
      if (option.userObject() == null || name.equals("--json") || flags.contains(name)) {
        continue;
      }
      level |= name.equals("--log-level");
      if (option.arity().max() == 0) {
        flags.add(name);
      } else {
        option.originalStringValues().forEach(value -> flags.add(name + "=" + value));
      }
    }
    if (!level) {
      flags.add("--log-level=warn"); // what is well is told by the answers
    }
    return flags;
  }
}
