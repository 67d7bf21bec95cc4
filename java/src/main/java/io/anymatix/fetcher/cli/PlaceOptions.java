package io.anymatix.fetcher.cli;

import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.fetch.Fetcher;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Option;

/** Which model folders a command is about. */
@SuppressWarnings("NullAway.Init") // picocli fills the fields
final class PlaceOptions {
  @Option(
      names = {"--dir", "-d"},
      paramLabel = "D",
      description = "folder to look in; default: all model folders, else this folder")
  @Nullable Path dir;

  @Option(
      names = {"--type", "-t"},
      paramLabel = "T",
      description = "only folders of this type")
  @Nullable String type;

  /** A fetcher on these folders; where none was named, {@link #dir} is set to this folder. */
  Fetcher open(OwnerOptions options, CommandLine command) {
    Config config = options.toConfig(command, true);
    boolean noRoots = config.modelsDir() == null && config.folders().isEmpty();
    if (dir != null || noRoots) {
      dir = (dir == null ? Path.of("") : dir).toAbsolutePath().normalize();
    }
    Fetcher fetcher = new Fetcher(config);
    if (dir != null) {
      fetcher.setRoots(new Fetcher.RootsRequest(dir.toString(), null, null));
    }
    return fetcher;
  }

  /** The folder as the fetcher takes it. */
  @Nullable String dir() {
    return dir == null ? null : dir.toString();
  }
}
