package io.anymatix.fetcher.cli;

import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.fetch.Batch;
import io.anymatix.fetcher.fetch.FetchRequest;
import io.anymatix.fetcher.fetch.FetchResult;
import io.anymatix.fetcher.fetch.Progress;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * Shows running downloads on stderr: at a terminal a bar for each and one for all together, which
 * stay at the bottom; without one a line for each that has ended, and for all now and then.
 */
final class PullView {
  /** Fits a terminal of 80 columns: a longer line would wrap, and could not be replaced. */
  private static final int COLUMNS = 79;

  private static final int NAME_COLUMNS = 27;

  /** Bars of files, at most: the block must fit a terminal of 24 lines. */
  private static final int MOST_BARS = 16;

  /** A longer table is cut to what failed. */
  private static final int MOST_ROWS = 60;

  private static final long TERMINAL_TICK_MILLIS = 100;
  private static final long PLAIN_TICK_MILLIS = 250;
  private static final int PLAIN_TICKS_BETWEEN_TOTALS = 20;

  private final PrintWriter err;
  private final Batch batch;
  private final int files;
  private final boolean terminal;
  private final boolean[] told;
  private final Thread ticker;
  private int linesShown;
  private int ticks;
  private boolean ended;

  private PullView(PrintWriter err, Batch batch, int files, boolean terminal) {
    this.err = err;
    this.batch = batch;
    this.files = files;
    this.terminal = terminal;
    this.told = new boolean[files];
    this.ticker = new Thread(this::tick, "progress");
    ticker.setDaemon(true);
  }

  /** Starts to show; {@code silent} shows nothing at all, for programs. */
  static PullView start(PrintWriter err, Batch batch, int files, boolean silent) {
    PullView view = new PullView(err, batch, files, Cli.isTerminal());
    view.ended = silent;
    if (!silent) {
      view.ticker.start();
    }
    return view;
  }

  private void tick() {
    try {
      synchronized (this) {
        while (!ended) {
          wait(terminal ? TERMINAL_TICK_MILLIS : PLAIN_TICK_MILLIS);
          if (!ended) {
            show();
          }
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void show() {
    StringBuilder screen = new StringBuilder(eraseBars());
    endedSinceLastTime().forEach(line -> screen.append(line).append('\n'));
    if (terminal) {
      List<String> bars = bars();
      bars.forEach(line -> screen.append(line).append('\n'));
      linesShown = bars.size();
    } else if (++ticks % PLAIN_TICKS_BETWEEN_TOTALS == 0) {
      screen.append(totalLine()).append('\n');
    }
    err.print(screen);
    err.flush();
  }

  /** Goes up to the first bar and clears what is below. */
  private String eraseBars() {
    String erase = linesShown == 0 ? "" : "\u001b[" + linesShown + "A\u001b[J";
    linesShown = 0;
    return erase;
  }

  private List<String> endedSinceLastTime() {
    List<String> lines = new ArrayList<>();
    for (int i = 0; i < files; i++) {
      Batch.Ending ending = told[i] ? null : batch.ending(i);
      if (ending != null) {
        told[i] = true;
        lines.add(line(ending));
      }
    }
    return lines;
  }

  private static String line(Batch.Ending ending) {
    FetchResult result = ending.result();
    return result != null
        ? ProgressLine.ended(result)
        : name(ending) + " failed: " + reason(ending);
  }

  private List<String> bars() {
    List<String> lines = new ArrayList<>();
    List<Batch.Running> running = batch.running();
    for (Batch.Running file : running.subList(0, Math.min(MOST_BARS, running.size()))) {
      String name = file.progress().fileName();
      lines.add(bar(name.isEmpty() ? "file " + (file.item() + 1) : name, file.progress()));
    }
    lines.add(totalLine());
    return lines;
  }

  private String totalLine() {
    return bar("total: " + batch.endedFiles() + " of " + files + " files", batch.total());
  }

  private static String bar(String name, Progress progress) {
    String fitting =
        name.length() <= NAME_COLUMNS ? name : name.substring(0, NAME_COLUMNS - 2) + "..";
    String line = ProgressLine.of(withoutName(progress), COLUMNS - NAME_COLUMNS - 1, false);
    return String.format(Locale.ROOT, "%-" + NAME_COLUMNS + "s %s", fitting, line);
  }

  private static Progress withoutName(Progress progress) {
    return new Progress(
        progress.phase(),
        progress.status(),
        progress.progress(),
        progress.megabytesPerSecond(),
        progress.etaSeconds(),
        progress.receivedBytes(),
        progress.totalBytes(),
        0,
        "",
        progress.reason(),
        progress.untilEpochMillis(),
        null,
        null,
        null);
  }

  /** Shows the last of it; the bars are gone. */
  synchronized void close() {
    if (!ended) {
      ended = true;
      err.print(eraseBars());
      endedSinceLastTime().forEach(err::println);
      err.flush();
    }
    notifyAll();
  }

  /** A table of how the files ended, and a last line with their numbers. */
  static List<String> summary(Batch.Result result) {
    List<Batch.Ending> files = result.files();
    boolean onlyFailures = files.size() > MOST_ROWS;
    List<String> lines = new ArrayList<>();
    lines.add("");
    int there = 0;
    int leftOut = 0;
    long bytes = 0;
    for (Batch.Ending ending : files) {
      FetchResult file = ending.result();
      if (file != null) {
        there++;
        bytes += file.bytesTransferred();
      } else {
        leftOut += ending.item().optional() ? 1 : 0;
      }
      if (file == null || !onlyFailures) {
        lines.add(row(ending));
      }
    }
    int failed = files.size() - there - leftOut;
    lines.add(
        there
            + " of "
            + files.size()
            + (files.size() == 1 ? " file is there, " : " files are there, ")
            + ProgressLine.megabytes(bytes)
            + " received"
            + (leftOut > 0 ? "; " + leftOut + " optional left out" : "")
            + (failed > 0 ? "; " + failed + " failed" : "")
            + ".");
    return lines;
  }

  private static String row(Batch.Ending ending) {
    FetchResult file = ending.result();
    if (file != null) {
      return String.format(
          Locale.ROOT,
          "%-10s  %11s  %s",
          file.outcome().wireName(),
          ProgressLine.megabytes(file.fileSize()),
          file.fileName());
    }
    String outcome = ending.item().optional() ? "left out" : "FAILED";
    return String.format(
        Locale.ROOT, "%-10s  %11s  %s: %s", outcome, kind(ending), name(ending), reason(ending));
  }

  private static String kind(Batch.Ending ending) {
    return ending.failure() instanceof FetchException failure
        ? failure.kind().wireName()
        : "invalid";
  }

  private static String reason(Batch.Ending ending) {
    RuntimeException failure = ending.failure();
    return failure == null ? "" : String.valueOf(failure.getMessage());
  }

  /** What the list calls the file: its name, else the last part of the link. */
  private static String name(Batch.Ending ending) {
    FetchRequest request = ending.item().request();
    String name = request.name();
    if (name != null && !name.equals(FetchRequest.SOURCE_NAME)) {
      return name;
    }
    String url = request.shownUrl().replaceFirst("[?#].*", "");
    return url.substring(url.lastIndexOf('/') + 1);
  }
}
