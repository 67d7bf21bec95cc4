package io.anymatix.fetcher.cli;

import io.anymatix.fetcher.config.HomeFolder;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Map;
import org.jline.reader.impl.history.DefaultHistory;
import org.jspecify.annotations.Nullable;

/** What was typed at the console, without the lines that look as if they held a secret. */
final class ConsoleHistory extends DefaultHistory {
  private static final String FILE_NAME = "console-history";

  @Override
  public void add(Instant time, String line) {
    if (!Secrets.suspects(line)) {
      super.add(time, line);
    }
  }

  /**
   * The file that keeps the history, made so that nobody else can read it; null if there can be
   * none, and then nothing is kept.
   */
  static @Nullable Path file(Map<String, String> environment) {
    try {
      return HomeFolder.of(environment).file(FILE_NAME);
    } catch (IOException e) {
      return null;
    }
  }
}
