package io.anymatix.fetcher.cli;

import io.anymatix.fetcher.cli.Screen.Style;
import io.anymatix.fetcher.content.Redactor;
import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.failure.InvalidParamsException;
import io.anymatix.fetcher.failure.NotInitializedException;
import java.io.Console;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** The command line: its sub-commands, its exit codes, and how it tells what went wrong. */
public final class Cli {
  /** What the program is called in its texts. */
  static final String NAME = "anymatix-fetcher";

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

  private final InputStream stdin;
  private final OutputStream stdout;
  private final PrintWriter out;
  private final PrintWriter err;

  private Cli(InputStream stdin, OutputStream stdout, OutputStream stderr) {
    this.stdin = stdin;
    this.stdout = stdout;
    this.out = new PrintWriter(stdout, true, StandardCharsets.UTF_8);
    this.err = new PrintWriter(stderr, true, StandardCharsets.UTF_8);
  }

  /**
   * Runs a command line.
   *
   * @param stdout the process's real standard output
   * @param stderr where progress and errors are told
   * @return the exit code
   */
  public static int run(
      String[] args, InputStream stdin, OutputStream stdout, OutputStream stderr) {
    boolean piped = args.length == 0 && !isTerminal();
    return new Cli(stdin, stdout, stderr).run(piped ? new String[] {"serve"} : args);
  }

  private int run(String[] words) {
    Command command = words.length > 0 && COMMANDS.contains(words[0]) ? command(words[0]) : null;
    try {
      if (asks(words, "-h", "--help")) {
        try (Screen screen = Screen.ofOutput(out)) {
          help(command).showOn(screen);
        }
        return 0;
      }
      if (asks(words, "-V", "--version")) {
        out.println(NAME + " " + version() + ", Java " + System.getProperty("java.version"));
        return 0;
      }
      if (command == null) {
        throw withoutCommand(words);
      }
      String[] rest = Arrays.copyOfRange(words, 1, words.length);
      return command.run(Arguments.parse(command.options(), command.operands(), rest));
    } catch (UsageException e) {
      return tellMistake(e, command);
    } catch (Exception e) {
      return tell(e, err);
    }
  }

  private Command command(String name) {
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

  /** Whether an option of every command was typed, even if other words make no sense. */
  private static boolean asks(String[] words, String letter, String name) {
    for (String word : words) {
      if (word.equals("--")) {
        break;
      }
      if (word.equals(letter) || word.equals(name)) {
        return true;
      }
    }
    return false;
  }

  private static UsageException withoutCommand(String[] words) {
    if (words.length == 0) {
      return new UsageException("Which command?");
    }
    return words[0].startsWith("-")
        ? UsageException.unknown("option", words[0], List.of("--help", "--version"))
        : UsageException.unknown("command", words[0], COMMANDS);
  }

  /** How to use a command, or all of them if it is null. */
  private Help help(@Nullable Command command) {
    if (command != null) {
      return Help.of(command);
    }
    List<Command> commands = new ArrayList<>();
    for (String name : COMMANDS) {
      commands.add(command(name));
    }
    return Help.of(commands);
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

  /** What is wrong with the words that were typed, which may hold secrets, and what is right. */
  private int tellMistake(UsageException mistake, @Nullable Command command) {
    try (Screen screen = Screen.ofErrors(err)) {
      screen.line(screen.styled(Style.BAD, Redactor.text(String.valueOf(mistake.getMessage()))));
      if (mistake.suggests()) {
        screen.line(help(command).synopsis());
      } else {
        help(command).showOn(screen);
      }
    } catch (IOException e) {
      return tell(e, err);
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

  /** The version of this build. */
  static String version() {
    String version = Cli.class.getPackage().getImplementationVersion();
    return version == null ? "development" : version;
  }
}
