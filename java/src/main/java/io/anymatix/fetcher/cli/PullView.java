package io.anymatix.fetcher.cli;

import io.anymatix.fetcher.cli.Screen.Style;
import io.anymatix.fetcher.cli.Table.Column;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.fetch.Batch;
import io.anymatix.fetcher.fetch.FetchRequest;
import io.anymatix.fetcher.fetch.FetchResult;
import io.anymatix.fetcher.fetch.Progress;
import java.util.ArrayList;
import java.util.List;

/**
 * Shows a batch on stderr: at a terminal a bar for each file that is being brought and one for all
 * together, which stay at the bottom; without one all together now and then. A file that has ended
 * gets a line that stays, unless it was there before.
 */
final class PullView implements AutoCloseable {
  private static final int WIDEST_NAME = 40;
  private static final int NARROWEST_NAME = 16;

  /** A longer table is cut to what failed. */
  private static final int MOST_ROWS = 60;

  private final Screen screen;
  private final Batch batch;
  private final List<Batch.Item> items;
  private final boolean[] told;
  private final ProgressView ticker;

  PullView(Screen screen, Batch batch, List<Batch.Item> items) {
    this.screen = screen;
    this.batch = batch;
    this.items = items;
    this.told = new boolean[items.size()];
    this.ticker = ProgressView.of(screen, this::lines);
  }

  private List<String> lines() {
    tellEnded();
    List<String> lines = new ArrayList<>();
    if (screen.isTerminal()) {
      List<Batch.Running> running = batch.running();
      int most = Math.max(1, screen.rows() - 2);
      running.stream().limit(most).map(this::bar).forEach(lines::add);
    }
    lines.add(bar("total: " + batch.endedFiles() + " of " + items.size(), batch.total()));
    return lines;
  }

  private void tellEnded() {
    for (int i = 0; i < told.length; i++) {
      Batch.Ending ending = told[i] ? null : batch.ending(i);
      if (ending != null) {
        told[i] = true;
        tell(ending);
      }
    }
  }

  private void tell(Batch.Ending ending) {
    FetchResult result = ending.result();
    if (result == null) {
      screen.sentence("", name(ending.item()) + " failed: " + reason(ending));
    } else if (result.outcome() != FetchResult.Outcome.PRESENT) {
      screen.sentence("", screen.shortened(ProgressLine.ended(result)));
    }
  }

  private String bar(Batch.Running file) {
    String name = file.progress().fileName();
    return bar(name.isEmpty() ? name(items.get(file.item())) : name, file.progress());
  }

  private String bar(String name, Progress progress) {
    int columns = screen.columns() - 1;
    int nameColumns = Math.max(NARROWEST_NAME, Math.min(WIDEST_NAME, columns / 3));
    String fitting = Table.withoutMiddle(name, nameColumns, screen.unicode());
    return fitting
        + " ".repeat(nameColumns + 1 - Table.columns(fitting))
        + ProgressLine.of(withoutName(progress), columns - nameColumns - 1, screen.unicode());
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
  @Override
  public void close() {
    ticker.close();
    tellEnded();
  }

  /** A table of how the files ended, and a last line with their numbers. */
  void summarise(Batch.Result result) {
    List<Batch.Ending> files = result.files();
    List<Batch.Ending> shown =
        files.size() > MOST_ROWS
            ? files.stream().filter(ending -> ending.result() == null).toList()
            : files;
    Table table = new Table(Column.TEXT, Column.NUMBER, Column.FLEXIBLE);
    shown.forEach(ending -> addRow(table, ending));
    List<String> rows = table.lines(screen.lineColumns(), screen.unicode());
    screen.line("");
    for (int i = 0; i < shown.size(); i++) {
      Batch.Ending ending = shown.get(i);
      boolean isBad = ending.result() == null && !ending.item().optional();
      screen.line(isBad ? screen.styled(Style.BAD, rows.get(i)) : rows.get(i));
      if (ending.result() == null) {
        screen.sentence("    ", reason(ending));
      }
    }
    screen.line(numbers(files));
  }

  private void addRow(Table table, Batch.Ending ending) {
    FetchResult file = ending.result();
    if (file != null) {
      table.row(
          file.outcome().wireName(),
          Table.bytes(file.fileSize()),
          screen.shortened(file.fileName()));
    } else {
      table.row(
          ending.item().optional() ? "left out" : "FAILED", kind(ending), name(ending.item()));
    }
  }

  private static String numbers(List<Batch.Ending> files) {
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
    }
    int failed = files.size() - there - leftOut;
    return there
        + " of "
        + files.size()
        + (files.size() == 1 ? " file is there, " : " files are there, ")
        + Table.bytes(bytes)
        + " received"
        + (leftOut > 0 ? "; " + leftOut + " optional left out" : "")
        + (failed > 0 ? "; " + failed + " failed" : "")
        + ".";
  }

  private static String kind(Batch.Ending ending) {
    return ending.failure() instanceof FetchException failure
        ? failure.kind().wireName()
        : "invalid";
  }

  /** What went wrong, and what to do about it. */
  private static String reason(Batch.Ending ending) {
    RuntimeException failure = ending.failure();
    String message = failure == null ? "" : String.valueOf(failure.getMessage());
    return failure instanceof FetchException fetch ? message + " " + fetch.hint() : message;
  }

  /** What the list calls the file: its name, else the last part of the link. */
  private static String name(Batch.Item item) {
    FetchRequest request = item.request();
    String name = request.name();
    if (name != null && !name.equals(FetchRequest.SOURCE_NAME)) {
      return name;
    }
    String url = request.shownUrl().replaceFirst("[?#].*", "");
    return url.endsWith("/") ? url : url.substring(url.lastIndexOf('/') + 1);
  }
}
