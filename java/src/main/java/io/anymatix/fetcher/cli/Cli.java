package io.anymatix.fetcher.cli;

import io.anymatix.fetcher.content.Redactor;
import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.failure.InvalidParamsException;
import io.anymatix.fetcher.failure.NotInitializedException;
import java.io.Console;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.IVersionProvider;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import picocli.CommandLine.UnmatchedArgumentException;

/** The command line: its sub-commands, its exit codes, and how it tells what went wrong. */
@Command(
    name = "anymatix-fetcher",
    description = "Fetches models for ComfyUI over many connections, resumable and verified.",
    mixinStandardHelpOptions = true,
    versionProvider = Cli.Version.class,
    synopsisSubcommandLabel = "COMMAND",
    usageHelpAutoWidth = true)
@SuppressWarnings("NullAway.Init") // picocli fills the fields
public final class Cli implements Runnable {
  /** The process was asked to stop by a signal from its terminal. */
  static final int EXIT_INTERRUPTED = 130;

  static final int EXIT_USAGE = 2;
  static final int EXIT_DEFECT = 1;

  /** Sub-commands in the order in which the help lists them. */
  private static final List<String> COMMANDS =
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
          "demo");

  private static final int FETCH_FAILED = -32000;
  private static final int INVALID_PARAMS = -32602;

  @Spec CommandSpec spec;

  private Cli() {}

  /**
   * Runs a command line.
   *
   * @param stdout the process's real standard output
   * @param stderr where progress and errors are told
   * @return the exit code
   */
  public static int run(
      String[] args, InputStream stdin, OutputStream stdout, OutputStream stderr) {
    PrintWriter out = new PrintWriter(stdout, true, StandardCharsets.UTF_8);
    PrintWriter err = new PrintWriter(stderr, true, StandardCharsets.UTF_8);
    boolean piped = args.length == 0 && !isTerminal();
    if (piped || (args.length == 1 && args[0].equals("serve"))) {
      return ServeCommand.serveWithoutOptions(stdin, stdout, err);
    }
    CommandLine commandLine = new CommandLine(new Cli());
    // To describe all commands takes longer than all the rest of the start of serve.
    boolean isNamed = args.length > 0 && COMMANDS.contains(args[0]);
    for (String name : isNamed ? List.of(args[0]) : COMMANDS) {
      commandLine.addSubcommand(command(name, stdin, stdout, out, err));
    }
    return commandLine
        .setOut(out)
        .setErr(err)
        .setExecutionExceptionHandler((error, command, parsed) -> tell(error, err))
        .setParameterExceptionHandler((mistake, arguments) -> tellMistake(mistake, err))
        .execute(args);
  }

  private static Object command(
      String name, InputStream stdin, OutputStream stdout, PrintWriter out, PrintWriter err) {
    return switch (name) {
      case "serve" -> new ServeCommand(stdin, stdout);
      case "fetch" -> new FetchCommand(out, err);
      case "pull" -> new PullCommand(out, err);
      case "probe" -> new ProbeCommand(out);
      case "delete" -> new DeleteCommand(out);
      case "list" -> new ListCommand(out);
      case "verify" -> new VerifyCommand(out, err);
      case "gc" -> new GcCommand(out);
      case "benchmark" -> new BenchmarkCommand(out, err);
      case "console" -> new ConsoleCommand(stdin, out, err);
      case "demo" -> new DemoCommand(out);
      default -> throw new IllegalArgumentException(name);
    };
  }

  /** Whether a person sits at the standard streams. */
  @SuppressWarnings("SystemConsoleNull") // newer platforms are asked below
  static boolean isTerminal() {
    Console console = System.console();
    if (console == null) {
      return false;
    }
    try {
      // From Java 22 on there is always a console, and it says what it is.
      return (Boolean) Console.class.getMethod("isTerminal").invoke(console);
    } catch (ReflectiveOperationException e) {
      return true;
    }
  }

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "Which command?");
  }

  /** What is wrong with the words of the command line, which may hold secrets. */
  private static int tellMistake(ParameterException mistake, PrintWriter err) {
    CommandLine command = mistake.getCommandLine();
    String message = Redactor.text(String.valueOf(mistake.getMessage()));
    err.println(command.getColorScheme().errorText(message));
    if (!UnmatchedArgumentException.printSuggestions(mistake, err)) {
      command.usage(err);
    }
    return EXIT_USAGE;
  }

  /** One sentence for what went wrong, one for what to do, and the exit code of its kind. */
  static int tell(Exception error, PrintWriter err) {
    if (error instanceof FetchException failure) {
      err.println("error: " + failure.getMessage());
      err.println("       " + failure.hint());
      return failure.kind().exitCode();
    }
    if (error instanceof InvalidParamsException || error instanceof NotInitializedException) {
      err.println("error: " + error.getMessage());
      return EXIT_USAGE;
    }
    if (error instanceof CancelledException) {
      return EXIT_INTERRUPTED;
    }
    err.println("error: this is a defect of the program: " + Redactor.text(error.toString()));
    return EXIT_DEFECT;
  }

  /** A failure in the shape in which the RPC tells it. */
  static Map<String, Object> errorMember(RuntimeException failure) {
    Map<String, Object> error = new LinkedHashMap<>();
    error.put("code", failure instanceof FetchException ? FETCH_FAILED : INVALID_PARAMS);
    error.put("message", String.valueOf(failure.getMessage()));
    if (failure instanceof FetchException fetch) {
      Map<String, Object> data = new LinkedHashMap<>();
      data.put("kind", fetch.kind().wireName());
      data.put("retryable", fetch.retryable());
      data.put("hint", fetch.hint());
      if (fetch.redactedUrl() != null) {
        data.put("url", fetch.redactedUrl());
      }
      data.putAll(fetch.facts());
      error.put("data", data);
    }
    return Map.of("error", error);
  }

  /** What {@code --version} prints. */
  static final class Version implements IVersionProvider {
    /** The version of this build. */
    static String number() {
      String version = Cli.class.getPackage().getImplementationVersion();
      return version == null ? "development" : version;
    }

    @Override
    public String[] getVersion() {
      return new String[] {
        "anymatix-fetcher " + number() + ", Java " + System.getProperty("java.version")
      };
    }
  }
}
