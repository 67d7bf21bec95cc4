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
import org.apache.commons.cli.Option;
import org.apache.commons.cli.Options;

/** Fetches urls one after the other; paths go to stdout, progress to stderr. */
final class FetchCommand implements Command {
  private static final Option DIR =
      Command.valued(
          "d", "dir", "D", "folder to write to; default: this folder, unless --type is given");
  private static final Option TYPE =
      Command.valued(
          "t",
          "type",
          "T",
          "model type, such as checkpoint or lora; needs --models-dir or --folder");
  private static final Option SHA256 =
      Command.valued("sha256", "HEX", "hash that the file must have");
  private static final Option NAME =
      Command.valued("name", "N", "plain name to lay beside the file");
  private static final Option JSON = Command.flag("json", "print results as JSON, one a line");

  private final PrintWriter out;
  private final PrintWriter err;

  FetchCommand(PrintWriter out, PrintWriter err) {
    this.out = out;
    this.err = err;
  }

  @Override
  public String name() {
    return "fetch";
  }

  @Override
  public String description() {
    return "Fetches urls into a folder or into the folder of a model type.";
  }

  @Override
  public Operands operands() {
    return Operands.several("URL", "what to fetch");
  }

  @Override
  public Options options() {
    Options own = new Options();
    own.addOption(DIR).addOption(TYPE).addOption(SHA256).addOption(NAME).addOption(JSON);
    return OwnerOptions.addTo(own);
  }

  @Override
  public int run(Arguments arguments) throws Exception {
    List<String> urls = arguments.operands();
    Path dir = arguments.path(DIR);
    String type = arguments.text(TYPE);
    String sha256 = arguments.text(SHA256);
    String name = arguments.text(NAME);
    boolean json = arguments.flag(JSON);
    if (urls.size() > 1 && (sha256 != null || name != null)) {
      throw new UsageException("--sha256 and --name go with one URL, not with several.");
    }
    Config config = new OwnerOptions(arguments).toConfig(true);
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
        FetchRequest request =
            new FetchRequest(
                url,
                folder == null ? type : null,
                folder == null ? null : folder.toString(),
                null,
                sha256,
                name,
                null,
                null,
                null);
        current[0] = new Download();
        try {
          FetchResult result = one(fetcher, request, current[0], screen);
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
}
