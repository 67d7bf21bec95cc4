package io.anymatix.fetcher.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.util.Locale;
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
      Path folder = stateFolder(environment);
      Path file = folder.resolve(FILE_NAME);
      boolean posix = folder.getFileSystem().supportedFileAttributeViews().contains("posix");
      if (!Files.isDirectory(folder)) {
        Files.createDirectories(folder, privately(posix, "rwx------"));
      }
      if (!Files.exists(file)) {
        Files.createFile(file, privately(posix, "rw-------"));
      } else if (posix) {
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-------"));
      }
      return file;
    } catch (IOException e) {
      return null;
    }
  }

  private static FileAttribute<?>[] privately(boolean posix, String permissions) {
    return posix
        ? new FileAttribute<?>[] {
          PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString(permissions))
        }
        : new FileAttribute<?>[0];
  }

  private static Path stateFolder(Map<String, String> environment) {
    String home = environment.getOrDefault("ANYMATIX_HOME", "");
    if (!home.isBlank()) {
      return Path.of(home);
    }
    Path user = Path.of(System.getProperty("user.home"));
    String system = System.getProperty("os.name").toLowerCase(Locale.ROOT);
    String local = environment.getOrDefault("LOCALAPPDATA", "");
    String state = environment.getOrDefault("XDG_STATE_HOME", "");
    Path parent;
    if (system.startsWith("windows")) {
      parent = local.isBlank() ? user.resolve("AppData").resolve("Local") : Path.of(local);
    } else if (system.startsWith("mac")) {
      parent = user.resolve("Library").resolve("Application Support");
    } else {
      parent = state.isBlank() ? user.resolve(".local").resolve("state") : Path.of(state);
    }
    return parent.resolve("anymatix-fetcher");
  }
}
