package io.anymatix.fetcher.cli;

import io.anymatix.fetcher.fetch.Progress;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/**
 * The console without a terminal: line after line, each when the one before has its answer, unless
 * that ended in {@code &}. Answers go to one stream, everything else to the other.
 */
final class ConsoleScript implements ConsoleSession.Output {
  private static final long PROGRESS_INTERVAL_NANOS = 2_000_000_000L;
  private static final int PROGRESS_COLUMNS = 100;

  private final PrintWriter out;
  private final PrintWriter err;

  /** When a request's progress was last shown; guarded by this. */
  private final Map<String, Long> shownNanos = new HashMap<>();

  ConsoleScript(PrintWriter out, PrintWriter err) {
    this.out = out;
    this.err = err;
  }

  /**
   * Runs to the end of the script, or to {@code quit}, and waits for all answers.
   *
   * @return whether no answer was an error
   */
  boolean run(BufferedReader script, ConsoleSession session) throws IOException {
    boolean allWell = true;
    List<CompletableFuture<Boolean>> unawaited = new ArrayList<>();
    for (String line = script.readLine(); line != null; line = script.readLine()) {
      if (ConsoleSession.isQuit(line)) {
        break;
      }
      String text = line.strip();
      if (text.endsWith(" &") && !text.startsWith("#")) {
        unawaited.add(session.execute(text.substring(0, text.length() - 1)));
      } else {
        allWell &= session.execute(line).join();
      }
    }
    for (CompletableFuture<Boolean> answer : unawaited) {
      allWell &= answer.join();
    }
    return allWell;
  }

  @Override
  public synchronized void show(String block) {
    out.println(block);
    out.flush();
  }

  @Override
  public synchronized void remark(String line) {
    err.println(line);
    err.flush();
  }

  @Override
  public synchronized void progress(String label, @Nullable Progress progress) {
    if (progress == null) {
      shownNanos.remove(label);
      return;
    }
    long now = System.nanoTime();
    Long last = shownNanos.get(label);
    if (last == null || now - last >= PROGRESS_INTERVAL_NANOS) {
      shownNanos.put(label, now);
      err.println(label + " " + ProgressLine.of(progress, PROGRESS_COLUMNS, false));
      err.flush();
    }
  }

  @Override
  public String styled(Screen.Style style, String text) {
    return text;
  }

  @Override
  public int columns() {
    return Integer.MAX_VALUE;
  }
}
