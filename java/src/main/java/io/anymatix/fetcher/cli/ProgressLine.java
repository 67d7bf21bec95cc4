package io.anymatix.fetcher.cli;

import io.anymatix.fetcher.fetch.FetchResult;
import io.anymatix.fetcher.fetch.Progress;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** Tells in one line where a download is. */
final class ProgressLine {
  private static final int WIDEST_BAR_CELLS = 28;
  private static final int NARROWEST_BAR_CELLS = 8;

  /** Columns that the text behind a bar takes when every number is long. */
  private static final int TEXT_COLUMNS = 51;

  private ProgressLine() {}

  /**
   * A line of no more than {@code columns} columns; what matters least is left out first.
   *
   * @param unicode whether the reader's character set has block characters
   */
  static String of(Progress progress, int columns, boolean unicode) {
    StringBuilder line = new StringBuilder();
    Double share = progress.progress();
    if (share != null) {
      int cells =
          Math.max(NARROWEST_BAR_CELLS, Math.min(WIDEST_BAR_CELLS, columns - TEXT_COLUMNS - 8));
      int full = (int) Math.floor(Math.min(1, Math.max(0, share)) * cells);
      line.append(unicode ? "" : "[")
          .append((unicode ? "█" : "#").repeat(full))
          .append((unicode ? "░" : ".").repeat(cells - full))
          .append(unicode ? " " : "] ")
          .append(String.format(Locale.ROOT, "%3.0f%%  ", Math.floor(share * 100)));
    }
    if (progress.reason() != null) {
      line.append("waiting: ").append(progress.reason());
      return cut(line, columns);
    }
    if (progress.phase() != Progress.Phase.FETCHING) {
      line.append(progress.phase().wireName()).append(' ');
    }
    if (progress.totalBytes() != null || progress.receivedBytes() > 0) {
      line.append(megabytes(progress.receivedBytes()));
      line.append(String.format(Locale.ROOT, ", %.1f MB/s", progress.megabytesPerSecond()));
    }
    if (progress.etaSeconds() != null) {
      line.append(String.format(Locale.ROOT, ", %.0f s left", Math.ceil(progress.etaSeconds())));
    }
    if (progress.connections() > 0) {
      line.append(", ").append(progress.connections());
      line.append(progress.connections() == 1 ? " connection" : " connections");
    }
    String fileName = progress.fileName();
    if (fileName != null && line.length() + 2 + Table.columns(fileName) <= columns) {
      line.append("  ").append(fileName);
    }
    return cut(line, columns);
  }

  /** How a download ended. */
  static String ended(FetchResult result) {
    double seconds = Math.max(0.001, result.elapsedMillis() / 1000.0);
    String how =
        switch (result.outcome()) {
          case PRESENT -> "is present";
          case ADOPTED -> "was found on this disk, proven by its hash";
          case DOWNLOADED, RESUMED ->
              String.format(
                  Locale.ROOT,
                  "%s %s in %.1f s (%.1f MB/s)%s",
                  result.outcome().wireName(),
                  Table.bytes(result.bytesTransferred()),
                  seconds,
                  result.bytesTransferred() / 1e6 / seconds,
                  result.bytesReused() > 0
                      ? ", " + Table.bytes(result.bytesReused()) + " kept"
                      : "");
        };
    return result.fileName() + " " + how;
  }

  /** Tells what a model is, from a value of the status {@code metadata}. */
  static String model(Progress progress) {
    String baseModel = progress.baseModel();
    String words = progress.trainedWords();
    List<String> facts = new ArrayList<>();
    if (baseModel != null && !baseModel.isEmpty()) {
      facts.add("base model " + baseModel);
    }
    if (words != null && !words.isEmpty()) {
      facts.add("trained words: " + words);
    }
    // Anybody can publish a model: nothing of it may steer the terminal.
    return String.join("; ", facts).replaceAll("\\p{Cntrl}", " ");
  }

  /** Bytes in units of 10^6. */
  static String megabytes(long bytes) {
    return String.format(Locale.ROOT, "%.1f MB", bytes / 1e6);
  }

  private static String cut(StringBuilder line, int columns) {
    return Table.head(line.toString(), columns).stripTrailing();
  }
}
