package io.anymatix.fetcher.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.fetch.Fetcher;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Removes what urls left in the store. */
@Command(
    name = "delete",
    description = "Removes the files that a url left, unless another url refers to them.",
    mixinStandardHelpOptions = true)
@SuppressWarnings("NullAway.Init") // picocli fills the fields
final class DeleteCommand implements Callable<Integer> {
  private static final ObjectMapper JSON = new ObjectMapper();

  @Spec CommandSpec spec;
  @Mixin OwnerOptions options;

  @Parameters(arity = "1..*", paramLabel = "URL", description = "whose files to remove")
  List<String> urls;

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

  @Option(names = "--json", description = "print JSON, one result a line")
  boolean json;

  private final PrintWriter out;

  DeleteCommand(PrintWriter out) {
    this.out = out;
  }

  @Override
  public Integer call() throws Exception {
    Config config = options.toConfig(spec.commandLine(), true);
    boolean noRoots = config.modelsDir() == null && config.folders().isEmpty();
    Path folder = null;
    if (dir != null || noRoots) {
      folder = (dir == null ? Path.of("") : dir).toAbsolutePath().normalize();
    }
    try (Fetcher fetcher = new Fetcher(config)) {
      if (folder != null) {
        fetcher.setRoots(new Fetcher.RootsRequest(folder.toString(), null, null));
      }
      for (String url : urls) {
        Fetcher.DeleteResult result =
            fetcher.delete(url, type, folder == null ? null : folder.toString());
        if (json) {
          out.println(JSON.writeValueAsString(result));
        } else {
          result.deleted().forEach(path -> out.println("deleted " + path));
          result.kept().forEach(kept -> out.println("kept " + kept.path() + ": " + kept.reason()));
        }
      }
      return 0;
    }
  }
}
