package io.anymatix.fetcher.cli;

import io.anymatix.fetcher.fetch.FetchResult;
import io.anymatix.fetcher.fetch.Progress;
import java.io.PrintWriter;
import java.util.function.Supplier;

/** Shows a running download on stderr: a bar at a terminal, a line now and then without one. */
final class ProgressView implements AutoCloseable {
  /** Fits a terminal of 80 columns: a longer line would wrap, and could not be replaced. */
  private static final int COLUMNS = 79;

  private static final long TERMINAL_TICK_MILLIS = 100;
  private static final long PLAIN_TICK_MILLIS = 5_000;

  private final PrintWriter err;
  private final Supplier<Progress> snapshot;
  private final boolean terminal;
  private final boolean silent;
  private final Thread ticker;
  private boolean ended;

  private ProgressView(
      PrintWriter err, Supplier<Progress> snapshot, boolean terminal, boolean silent) {
    this.err = err;
    this.snapshot = snapshot;
    this.terminal = terminal;
    this.silent = silent;
    this.ticker = new Thread(this::tick, "progress");
    ticker.setDaemon(true);
  }

  /** Starts to show; {@code silent} shows nothing at all, for programs. */
  static ProgressView start(PrintWriter err, Supplier<Progress> snapshot, boolean silent) {
    ProgressView view = new ProgressView(err, snapshot, Cli.isTerminal(), silent);
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
            show(ProgressLine.of(snapshot.get(), COLUMNS, false));
          }
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void show(String line) {
    if (terminal) {
      err.print("\r\u001b[K" + line);
      err.flush();
    } else {
      err.println(line);
    }
  }

  /** Says what the model is. */
  synchronized void model(Progress progress) {
    if (!silent) {
      err.println((terminal ? "\r\u001b[K" : "") + ProgressLine.model(progress));
    }
  }

  /** Says how a download ended. */
  synchronized void completed(FetchResult result) {
    ended(ProgressLine.ended(result));
  }

  /** Shows a line that stays, above the bar. */
  synchronized void remark(String line) {
    if (!silent) {
      err.println((terminal ? "\r\u001b[K" : "") + line);
    }
  }

  /** Puts a last line in the place of the bar; none if it is empty. */
  synchronized void ended(String line) {
    ended = true;
    if (!silent) {
      err.print(terminal ? "\r\u001b[K" : "");
      err.print(line.isEmpty() ? "" : line + System.lineSeparator());
      err.flush();
    }
  }

  @Override
  public synchronized void close() {
    if (!ended && terminal && !silent) {
      err.println();
    }
    ended = true;
    notifyAll();
  }
}
