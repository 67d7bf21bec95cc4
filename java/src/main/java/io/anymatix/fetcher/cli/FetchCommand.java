package io.anymatix.fetcher.cli;

import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.fetch.Download;
import io.anymatix.fetcher.fetch.FetchRequest;
import io.anymatix.fetcher.fetch.FetchResult;
import io.anymatix.fetcher.fetch.Fetcher;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Fetches urls one after the other; paths go to stdout, progress to stderr. */
@Command(
    name = "fetch",
    description = "Fetches urls into a folder or into the folder of a model type.",
    mixinStandardHelpOptions = true)
@SuppressWarnings("NullAway.Init") // picocli fills the fields
final class FetchCommand implements Callable<Integer> {
  @Spec CommandSpec spec;
  @Mixin OwnerOptions options;

  @Parameters(arity = "1..*", paramLabel = "URL", description = "what to fetch")
  List<String> urls;

  @Option(
      names = {"--dir", "-d"},
      paramLabel = "D",
      description = "folder to write to; default: this folder, unless --type is given")
  @Nullable Path dir;

  @Option(
      names = {"--type", "-t"},
      paramLabel = "T",
      description = "model type, such as checkpoint or lora; needs --models-dir or --folder")
  @Nullable String type;

  @Option(names = "--sha256", paramLabel = "HEX", description = "hash that the file must have")
  @Nullable String sha256;

  @Option(names = "--name", paramLabel = "N", description = "plain name to lay beside the file")
  @Nullable String name;

  @Option(names = "--json", description = "print results as JSON, one a line")
  boolean json;

  private final PrintWriter out;
  private final PrintWriter err;

  FetchCommand(PrintWriter out, PrintWriter err) {
    this.out = out;
    this.err = err;
  }

  @Override
  public Integer call() throws Exception {
    if (urls.size() > 1 && (sha256 != null || name != null)) {
      throw new ParameterException(
          spec.commandLine(), "--sha256 and --name go with one URL, not with several.");
    }
    Config config = options.toConfig(spec.commandLine(), true);
    Path folder = null;
    if (dir != null || type == null) {
      folder = (dir == null ? Path.of("") : dir).toAbsolutePath().normalize();
      Files.createDirectories(folder);
    }
    Download[] current = {new Download()};
    try (Fetcher fetcher = new Fetcher(config);
        Interrupt interrupt =
            Interrupt.onSignal(err, Interrupt.RESUMABLE, () -> current[0].cancel());
        Screen screen = json ? Screen.none() : Screen.ofErrors(err)) {
      if (folder != null) {
        fetcher.setRoots(new Fetcher.RootsRequest(folder.toString(), null, null));
      }
      int worst = 0;
      List<String> failed = new ArrayList<>();
      for (String url : urls) {
        current[0] = new Download();
        try {
          FetchResult result = one(fetcher, request(url, folder), current[0], screen);
          out.println(json ? JsonLine.of(result) : result.path());
        } catch (FetchException e) {
          failed.add(url);
          if (json) {
            out.println(JsonLine.of(Cli.errorMember(e)));
          }
          int code = Cli.tell(e, err);
          worst = worst == 0 ? code : worst;
        }
      }
      if (urls.size() > 1 && !failed.isEmpty()) {
        err.println(failed.size() + " of " + urls.size() + " could not be fetched.");
      }
      return interrupt.exitCode(worst);
    }
  }

  private static FetchResult one(
      Fetcher fetcher, FetchRequest request, Download download, Screen screen) {
    try (ProgressView view = ProgressView.ofDownload(screen, download::snapshot)) {
      download.onMetadata(told -> screen.line(ProgressLine.model(told)));
      FetchResult result = fetcher.fetch(request, download);
      view.completed(result);
      return result;
    }
  }

  private FetchRequest request(String url, @Nullable Path folder) {
    return new FetchRequest(
        url,
        folder == null ? type : null,
        folder == null ? null : folder.toString(),
        null,
        sha256,
        name,
        null,
        null,
        null);
  }
}
