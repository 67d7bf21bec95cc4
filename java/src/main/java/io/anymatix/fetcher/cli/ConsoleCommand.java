package io.anymatix.fetcher.cli;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.commons.cli.Option;
import org.apache.commons.cli.Options;
import org.jline.terminal.Terminal;
import org.jline.terminal.TerminalBuilder;

/** Lets a person, or a script, speak with a sidecar process. */
final class ConsoleCommand implements Command {
  private static final Option JSON = Command.flag("json", "print answers as raw JSON, one a line");

  private final InputStream stdin;
  private final PrintWriter out;
  private final PrintWriter err;

  ConsoleCommand(InputStream stdin, PrintWriter out, PrintWriter err) {
    this.stdin = stdin;
    this.out = out;
    this.err = err;
  }

  @Override
  public String name() {
    return "console";
  }

  @Override
  public String description() {
    return "Speaks with a sidecar process: requests in short form or JSON, or a script.";
  }

  @Override
  public Operands operands() {
    return new Operands(
        "-- COMMAND",
        "the sidecar process to start; default: serve, with the options given here",
        0,
        Integer.MAX_VALUE);
  }

  @Override
  public Options options() {
    return OwnerOptions.addTo(new Options().addOption(JSON));
  }

  @Override
  public int run(Arguments arguments) throws IOException {
    boolean json = arguments.flag(JSON);
    new OwnerOptions(arguments).toConfig(true); // tells a mistake now, and as this command's
    List<String> command = arguments.operands();
    List<String> child =
        command.isEmpty() ? ServeClient.ownCommand(serveFlags(arguments)) : command;
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
  static List<String> serveFlags(Arguments arguments) {
    List<String> flags = new ArrayList<>(List.of("--allow-http", "--allow-private-hosts"));
    boolean level = false;
    for (String word : arguments.optionWords()) {
      if (!word.equals("--json") && !flags.contains(word)) {
        flags.add(word);
        level |= word.startsWith("--log-level=");
      }
    }
    if (!level) {
      flags.add("--log-level=warn"); // what is well is told by the answers
    }
    return flags;
  }
}
