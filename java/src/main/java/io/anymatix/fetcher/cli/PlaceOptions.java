package io.anymatix.fetcher.cli;

import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.fetch.Fetcher;
import java.nio.file.Path;
import org.apache.commons.cli.Option;
import org.apache.commons.cli.Options;
import org.jspecify.annotations.Nullable;

/** Which model folders a command is about. */
final class PlaceOptions {
  private static final Option DIR =
      Command.valued(
          "d", "dir", "D", "folder to look in; default: all model folders, else this folder");
  private static final Option TYPE = Command.valued("t", "type", "T", "only folders of this type");

  private @Nullable Path dir;
  private final @Nullable String type;

  PlaceOptions(Arguments arguments) {
    this.dir = arguments.path(DIR);
    this.type = arguments.text(TYPE);
  }

  /** Adds them to those of a command. */
  static Options addTo(Options options) {
    return options.addOption(DIR).addOption(TYPE);
  }

  /** A fetcher on these folders; where none was named, {@link #dir} is this folder from now on. */
  Fetcher open(OwnerOptions options) {
    Config config = options.toConfig(true);
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

  /** The type, or null for all. */
  @Nullable String type() {
    return type;
  }
}
