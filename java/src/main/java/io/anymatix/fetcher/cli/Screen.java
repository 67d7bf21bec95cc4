package io.anymatix.fetcher.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.Map;
import org.jline.terminal.Terminal;
import org.jline.terminal.TerminalBuilder;
import org.jspecify.annotations.Nullable;

/**
 * Where a command shows lines of text, the last of which may be replaced while work goes on: a
 * terminal with colours, or a plain stream, to which a replaced line goes now and then only. Safe
 * from any thread.
 */
final class Screen implements AutoCloseable {
  private static final long PLAIN_UPDATE_NANOS = 2_000_000_000L;
  private static final int PLAIN_COLUMNS = 80;

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
  private boolean replaceable;
  private long lastUpdateNanos = System.nanoTime() - PLAIN_UPDATE_NANOS;

  private Screen(PrintWriter out, @Nullable Terminal terminal, boolean colours) {
    this.out = out;
    this.terminal = terminal;
    this.colours = terminal != null && colours;
    Charset charset = terminal == null ? StandardCharsets.US_ASCII : terminal.encoding();
    this.unicode = charset.newEncoder().canEncode('█');
  }

  /** The terminal of this process, or {@code out} if there is none or it can do nothing. */
  static Screen open(PrintWriter out) {
    Terminal terminal = Cli.isTerminal() ? systemTerminal() : null;
    return terminal == null
        ? plain(out)
        : new Screen(terminal.writer(), terminal, wantsColours(System.getenv()));
  }

  /** A plain stream. */
  static Screen plain(PrintWriter out) {
    return new Screen(out, null, false);
  }

  /** Whether the environment leaves colours on: see no-color.org. */
  static boolean wantsColours(Map<String, String> environment) {
    return environment.getOrDefault("NO_COLOR", "").isEmpty();
  }

  private static @Nullable Terminal systemTerminal() {
    try {
      Terminal terminal = TerminalBuilder.builder().system(true).dumb(false).build();
      if (!terminal.getType().toLowerCase(Locale.ROOT).startsWith("dumb")) {
        return terminal;
      }
      terminal.close();
      return null;
    } catch (IOException | IllegalStateException e) {
      return null; // No terminal that could be driven: plain lines serve as well.
    }
  }

  /** Columns of a line. */
  int columns() {
    int columns = terminal == null ? 0 : terminal.getWidth();
    return columns > 0 ? columns : PLAIN_COLUMNS;
  }

  /** Characters that a line of a table may have: as many as it needs, where nothing wraps. */
  int lineColumns() {
    return terminal == null ? Integer.MAX_VALUE : columns();
  }

  /** Whether block characters can be shown. */
  boolean unicode() {
    return unicode;
  }

  /** The text in a style, where there are colours. */
  String styled(Style style, String text) {
    return colours ? style.apply(text) : text;
  }

  /** Shows a line that stays, in place of a replaceable one. */
  synchronized void line(String text) {
    out.println((replaceable ? "\r\u001b[K" : "") + text);
    out.flush();
    replaceable = false;
  }

  /** Shows a line, of at most {@link #columns} - 1 characters, that the next one replaces. */
  synchronized void update(String text) {
    if (terminal != null) {
      out.print("\r\u001b[K" + text);
      replaceable = true;
    } else if (System.nanoTime() - lastUpdateNanos >= PLAIN_UPDATE_NANOS) {
      lastUpdateNanos = System.nanoTime();
      out.println(text);
    }
    out.flush();
  }

  @Override
  public void close() throws IOException {
    if (terminal != null) {
      terminal.close();
    }
  }
}
