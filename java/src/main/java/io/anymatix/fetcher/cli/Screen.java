package io.anymatix.fetcher.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.Writer;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Pattern;
import org.jline.terminal.Terminal;
import org.jline.terminal.TerminalBuilder;
import org.jline.terminal.TerminalBuilder.SystemOutput;
import org.jspecify.annotations.Nullable;

/**
 * Where a command shows lines of text, the last of which may be replaced while work goes on: a
 * terminal with colours, or a plain stream, to which a replaced line goes now and then only. Safe
 * from any thread.
 *
 * <p>The process has one terminal: a screen is closed before another one is opened.
 */
final class Screen implements AutoCloseable {
  private static final long PLAIN_UPDATE_NANOS = 5_000_000_000L;
  private static final Pattern HASH = Pattern.compile("([0-9a-f]{8})[0-9a-f]{56}");
  private static final int PLAIN_COLUMNS = 80;
  private static final int PLAIN_ROWS = 24;

  /** How a piece of text stands out. */
  enum Style {
    TITLE("1"),
    GOOD("32"),
    BAD("1;31"),
    QUIET("2"),
    NAME("36");

    private final String parameters;

    Style(String parameters) {
      this.parameters = parameters;
    }

    /** The text between the control sequences (ECMA-48, SGR) for this style. */
    String apply(String text) {
      return "\u001b[" + parameters + "m" + text + "\u001b[0m";
    }
  }

  private final PrintWriter out;
  private final @Nullable Terminal terminal;
  private final boolean colours;
  private final boolean unicode;
  private int replaceableLines;
  private boolean closed;
  private long lastUpdateNanos = System.nanoTime();

  private Screen(PrintWriter out, @Nullable Terminal terminal, boolean colours) {
    this.out = out;
    this.terminal = terminal;
    this.colours = terminal != null && colours;
    Charset charset = terminal == null ? StandardCharsets.US_ASCII : terminal.encoding();
    this.unicode = charset.newEncoder().canEncode('█');
  }

  /** Standard output if it is a terminal, or {@code out} if it is none or can do nothing. */
  static Screen ofOutput(PrintWriter out) {
    return of(SystemOutput.SysOut, out);
  }

  /** Standard error if it is a terminal, or {@code err} if it is none or can do nothing. */
  static Screen ofErrors(PrintWriter err) {
    return of(SystemOutput.SysErr, err);
  }

  private static Screen of(SystemOutput stream, PrintWriter out) {
    Terminal terminal = systemTerminal(stream);
    return terminal == null
        ? plain(out)
        : new Screen(terminal.writer(), terminal, wantsColours(System.getenv()));
  }

  /** A plain stream. */
  static Screen plain(PrintWriter out) {
    return new Screen(out, null, false);
  }

  /** Shows nothing to anybody. */
  static Screen none() {
    return plain(new PrintWriter(Writer.nullWriter()));
  }

  /** Whether the environment leaves colours on: see no-color.org. */
  static boolean wantsColours(Map<String, String> environment) {
    return environment.getOrDefault("NO_COLOR", "").isEmpty();
  }

  private static @Nullable Terminal systemTerminal(SystemOutput stream) {
    if (!mayBeTerminal(stream)) {
      return null;
    }
    try {
      Terminal terminal =
          TerminalBuilder.builder()
              .system(true)
              .systemOutput(stream)
              .dumb(false)
              .nativeSignals(false) // else Ctrl-C would kill the process, without its hooks
              .build();
      if (!terminal.getType().toLowerCase(Locale.ROOT).startsWith("dumb")) {
        return terminal;
      }
      terminal.close();
      return null;
    } catch (IOException | IllegalStateException e) {
      return null; // No terminal that could be driven: plain lines serve as well.
    }
  }

  /** Spares a process in a script the search for a terminal, which takes some time. */
  private static boolean mayBeTerminal(SystemOutput stream) {
    if (Cli.isTerminal()) {
      return true;
    }
    Path descriptor = Path.of("/proc/self/fd", stream == SystemOutput.SysErr ? "2" : "1");
    try {
      Path target = Files.readSymbolicLink(descriptor);
      return target.startsWith("/dev") && !target.endsWith("null");
    } catch (IOException | UnsupportedOperationException e) {
      return System.getenv("TERM") != null; // No Linux.
    }
  }

  /** Whether a person looks at it, and lines can be replaced. */
  boolean isTerminal() {
    return terminal != null;
  }

  /** Columns of a line. */
  int columns() {
    int columns = terminal == null ? 0 : terminal.getWidth();
    return columns > 0 ? columns : PLAIN_COLUMNS;
  }

  /** Lines that are seen at once. */
  int rows() {
    int rows = terminal == null ? 0 : terminal.getHeight();
    return rows > 0 ? rows : PLAIN_ROWS;
  }

  /** Characters that a line of a table may have: as many as it needs, where nothing wraps. */
  int lineColumns() {
    return terminal == null ? Integer.MAX_VALUE : columns();
  }

  /** Whether block characters can be shown. */
  boolean unicode() {
    return unicode;
  }

  /** Hashes tell a reader nothing that their first digits do not; a program gets them whole. */
  String shortened(String text) {
    return terminal == null ? text : HASH.matcher(text).replaceAll("$1");
  }

  /** The text in a style, where there are colours. */
  String styled(Style style, String text) {
    return colours ? style.apply(text) : text;
  }

  /** Shows a line that stays, in place of the replaceable ones. */
  synchronized void line(String text) {
    out.println(erase() + text);
    out.flush();
  }

  /** Shows a sentence that stays, broken between words where the terminal ends. */
  void sentence(String indent, String text) {
    int room = lineColumns() - indent.length();
    Table.wrapped(text, room).forEach(line -> line(indent + line));
  }

  /** Shows a line that the next one replaces. */
  void update(String line) {
    update(List.of(line));
  }

  /**
   * Shows lines, each of at most {@link #columns} - 1 characters, that whatever comes next
   * replaces.
   */
  synchronized void update(List<String> lines) {
    if (closed) {
      return;
    }
    if (terminal != null) {
      out.print(erase() + String.join("\n", lines));
      replaceableLines = lines.size();
    } else if (System.nanoTime() - lastUpdateNanos >= PLAIN_UPDATE_NANOS) {
      lastUpdateNanos = System.nanoTime();
      lines.forEach(out::println);
    }
    out.flush();
  }

  /** Takes the replaceable lines away. */
  synchronized void clear() {
    out.print(erase());
    out.flush();
  }

  /** Goes to the first replaceable line and clears what is from there on. */
  private String erase() {
    int up = replaceableLines - 1;
    replaceableLines = 0;
    return up < 0 ? "" : "\r" + (up == 0 ? "" : "\u001b[" + up + "A") + "\u001b[J";
  }

  /** Leaves the terminal as it was; what was replaceable stays, and nothing is shown below it. */
  @Override
  public synchronized void close() throws IOException {
    if (closed) {
      return;
    }
    closed = true;
    if (replaceableLines > 0) {
      out.println();
    }
    out.flush();
    if (terminal != null) {
      terminal.close();
    }
  }
}
