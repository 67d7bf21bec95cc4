package io.anymatix.fetcher.cli;

import io.anymatix.fetcher.fetch.FetchResult;
import io.anymatix.fetcher.fetch.Progress;
import java.util.List;
import java.util.function.Supplier;

/** Shows what runs, again and again until it is closed: what a supplier tells at the moment. */
final class ProgressView implements AutoCloseable {
  private static final long TICK_MILLIS = 100;

  private final Screen screen;
  private final Supplier<List<String>> lines;
  private final Thread ticker;
  private boolean ended;

  private ProgressView(Screen screen, Supplier<List<String>> lines) {
    this.screen = screen;
    this.lines = lines;
    this.ticker = new Thread(this::tick, "progress");
    ticker.setDaemon(true);
  }

  /** Starts to show one download. */
  static ProgressView ofDownload(Screen screen, Supplier<Progress> snapshot) {
    return of(
        screen,
        () -> List.of(ProgressLine.of(snapshot.get(), screen.columns() - 1, screen.unicode())));
  }

  /**
   * Starts to show lines that are replaced.
   *
   * @param lines asked ten times a second, by one thread at a time
   */
  static ProgressView of(Screen screen, Supplier<List<String>> lines) {
    ProgressView view = new ProgressView(screen, lines);
    view.ticker.start();
    return view;
  }

  private void tick() {
    try {
      synchronized (this) {
        while (!ended) {
          wait(TICK_MILLIS);
          if (!ended) {
            screen.update(lines.get());
          }
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** Says how a download ended, in the place of its bar. */
  synchronized void completed(FetchResult result) {
    ended = true;
    screen.sentence("", screen.shortened(ProgressLine.ended(result)));
  }

  /** Ends it: what was shown last goes. */
  @Override
  public synchronized void close() {
    ended = true;
    notifyAll();
    screen.clear();
  }
}
