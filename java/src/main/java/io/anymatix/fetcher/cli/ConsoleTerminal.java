package io.anymatix.fetcher.cli;

import io.anymatix.fetcher.fetch.Progress;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jline.keymap.KeyMap;
import org.jline.reader.Binding;
import org.jline.reader.Candidate;
import org.jline.reader.Completer;
import org.jline.reader.EndOfFileException;
import org.jline.reader.LineReader;
import org.jline.reader.LineReaderBuilder;
import org.jline.reader.Reference;
import org.jline.reader.UserInterruptException;
import org.jline.reader.impl.DefaultParser;
import org.jline.terminal.Attributes;
import org.jline.terminal.Terminal;
import org.jline.utils.AttributedString;
import org.jline.utils.Status;
import org.jspecify.annotations.Nullable;

/**
 * The console at a terminal: lines are edited, completed and remembered; what comes is shown above
 * the prompt, and where the running requests are below it.
 */
final class ConsoleTerminal implements ConsoleSession.Output {
  private static final String INTERRUPT = "console-interrupt";
  private static final int PLAIN_COLUMNS = 80;
  private static final long PLAIN_PROGRESS_NANOS = 2_000_000_000L;

  private final Terminal terminal;
  private final boolean colours;
  private final boolean unicode;
  private final @Nullable Status status;
  private volatile MethodCatalog catalog = MethodCatalog.BASIC;
  private final LineReader reader;

  /** By label; guarded by this. */
  private final Map<String, String> progressLines = new LinkedHashMap<>();

  private int statusLines;
  private long plainProgressNanos = System.nanoTime() - PLAIN_PROGRESS_NANOS;

  /**
   * Prepares a terminal.
   *
   * @param historyFile keeps what is typed; null keeps it in memory
   */
  ConsoleTerminal(Terminal terminal, boolean colours, @Nullable Path historyFile) {
    this.terminal = terminal;
    boolean dumb = terminal.getType().startsWith(Terminal.TYPE_DUMB);
    this.colours = colours && !dumb;
    this.unicode = terminal.encoding().newEncoder().canEncode('█');
    this.status = dumb ? null : Status.getStatus(terminal);
    // Quotes and backslashes are the shorthand's own; a line that has them is complete as it is.
    DefaultParser parser = new DefaultParser().quoteChars(new char[0]).escapeChars(new char[0]);
    Completer completer =
        (lineReader, line, candidates) -> {
          for (String word : catalog.candidates(line.words().subList(0, line.wordIndex() + 1))) {
            boolean whole = !word.endsWith("=") && !word.endsWith("/");
            candidates.add(new Candidate(word, word, null, null, null, null, whole));
          }
        };
    LineReaderBuilder builder =
        LineReaderBuilder.builder()
            .terminal(terminal)
            .appName("anymatix-fetcher")
            .parser(parser)
            .completer(completer)
            .history(new ConsoleHistory())
            .option(LineReader.Option.DISABLE_EVENT_EXPANSION, true)
            .option(LineReader.Option.HISTORY_TIMESTAMPED, false);
    if (historyFile != null) {
      builder.variable(LineReader.HISTORY_FILE, historyFile);
    }
    this.reader = builder.build();
    reader.getWidgets().put(INTERRUPT, this::interrupt);
    for (KeyMap<Binding> keys : reader.getKeyMaps().values()) {
      keys.bind(new Reference(INTERRUPT), KeyMap.ctrl('C'));
    }
  }

  private boolean interrupt() {
    terminal.raise(Terminal.Signal.INT);
    return true;
  }

  /** Reads and executes lines until the end. */
  void run(ConsoleSession session) {
    Attributes before = terminal.getAttributes();
    Attributes without = new Attributes(before);
    // A signal would go to the sidecar process as well, and end it: Ctrl-C is to be a mere key.
    without.setLocalFlag(Attributes.LocalFlag.ISIG, false);
    terminal.setAttributes(without);
    try {
      converse(session);
    } finally {
      terminal.setAttributes(before);
    }
  }

  private void converse(ConsoleSession session) {
    show(
        styled(Screen.Style.TITLE, "AnymatixFetcher console") + ": requests to a sidecar process.");
    show("Type help for what can be typed, Tab to complete, quit to leave.");
    session.prepare();
    while (true) {
      catalog = session.catalog();
      String line;
      try {
        line = reader.readLine(styled(Screen.Style.NAME, "anymatix> "));
      } catch (UserInterruptException e) {
        int cancelled = session.cancelRunning();
        if (cancelled > 0) {
          show("Cancelling " + cancelled + (cancelled == 1 ? " request." : " requests."));
        } else if (e.getPartialLine().isBlank()) {
          return;
        }
        continue;
      } catch (EndOfFileException e) {
        return;
      }
      if (ConsoleSession.isQuit(line)) {
        return;
      }
      var unused = session.execute(line);
    }
  }

  @Override
  public void show(String block) {
    reader.printAbove(block);
  }

  @Override
  public void remark(String line) {
    reader.printAbove(line);
  }

  @Override
  public synchronized void progress(String label, @Nullable Progress progress) {
    if (progress == null) {
      if (progressLines.remove(label) == null) {
        return;
      }
    } else {
      String line =
          label + " " + ProgressLine.of(progress, columns() - label.length() - 2, unicode);
      progressLines.put(label, line);
    }
    if (status != null) {
      if (progressLines.size() != statusLines) {
        // Lines that move are not drawn again where they look as before.
        status.update(List.of());
        statusLines = progressLines.size();
      }
      status.update(progressLines.values().stream().map(AttributedString::new).toList());
    } else if (progress != null && System.nanoTime() - plainProgressNanos >= PLAIN_PROGRESS_NANOS) {
      plainProgressNanos = System.nanoTime();
      show(String.join("\n", List.copyOf(progressLines.values())));
    }
  }

  @Override
  public String styled(Screen.Style style, String text) {
    return colours ? style.apply(text) : text;
  }

  @Override
  public int columns() {
    return terminal.getWidth() > 0 ? terminal.getWidth() : PLAIN_COLUMNS;
  }
}
