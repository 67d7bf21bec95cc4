package io.anymatix.fetcher.cli;

import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.fetch.Batch;
import io.anymatix.fetcher.fetch.Download;
import io.anymatix.fetcher.fetch.Fetcher;
import io.anymatix.fetcher.fetch.ModelList;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Fetches a list of models, several at a time; paths go to stdout, everything else to stderr. */
@Command(
    name = "pull",
    description = {
      "Fetches a list of models, or those of a ComfyUI workflow, several at a time.",
      "Run again, it fetches what is missing."
    },
    mixinStandardHelpOptions = true)
@SuppressWarnings("NullAway.Init") // picocli fills the fields
final class PullCommand implements Callable<Integer> {
  @Spec CommandSpec spec;
  @Mixin OwnerOptions options;

  @Parameters(
      paramLabel = "LIST|WORKFLOW.json",
      description = "lines \"url [type|folder] [name] [sha256]\", JSON, YAML, or a workflow")
  Path list;

  @Option(
      names = {"--type", "-t"},
      paramLabel = "T",
      description = "type or folder of entries that name none")
  @Nullable String type;

  @Option(
      names = "--marker",
      paramLabel = "F",
      description = "file to write when every file that is not optional is there")
  @Nullable Path marker;

  @Option(
      names = "--as-named",
      description = "lay each file's plain name beside the stored one, as a hard link")
  boolean asNamed;

  @Option(names = "--small-first", description = "small files first, instead of as listed")
  boolean smallFirst;

  @Option(names = "--parallel", paramLabel = "N", description = "files at a time; default 4")
  @Nullable Integer parallel;

  @Option(names = "--json", description = "print one JSON object with all results")
  boolean json;

  private final PrintWriter out;
  private final PrintWriter err;

  /** What Ctrl-C is to end at the moment. */
  private volatile Runnable cancel = () -> {};

  PullCommand(PrintWriter out, PrintWriter err) {
    this.out = out;
    this.err = err;
  }

  @Override
  public Integer call() throws Exception {
    Config config = options.toConfig(spec.commandLine(), true);
    if (config.modelsDir() == null && config.folders().isEmpty()) {
      throw new ParameterException(
          spec.commandLine(), "pull needs to know where models live: --models-dir or --folder.");
    }
    Download listing = new Download();
    cancel = listing::cancel;
    try (Fetcher fetcher = new Fetcher(config);
        Interrupt interrupt = Interrupt.onSignal(err, Interrupt.RESUMABLE, () -> cancel.run());
        Screen screen = json ? Screen.none() : Screen.ofErrors(err)) {
      List<Batch.Item> items = items(fetcher, listing);
      Batch batch = batch(fetcher, items);
      cancel = batch::cancel;
      interrupt.throwIfSignalled();
      PullView view = new PullView(screen, batch, items);
      Batch.Result result;
      try (view) {
        result = batch.run();
      }
      print(result, view);
      return interrupt.exitCode(exitCode(result));
    }
  }

  private List<Batch.Item> items(Fetcher fetcher, Download listing) {
    List<ModelList.Entry> entries = ModelList.read(list, type, asNamed, fetcher);
    return ModelList.expanded(entries, fetcher, listing).stream()
        .map(ModelList.Entry::item)
        .toList();
  }

  private Batch batch(Fetcher fetcher, List<Batch.Item> items) {
    String markerPath = marker == null ? null : marker.toAbsolutePath().normalize().toString();
    return new Batch(
        fetcher, items, new Batch.Options(markerPath, true, parallel, smallFirst, asNamed));
  }

  private void print(Batch.Result result, PullView view) throws Exception {
    if (json) {
      Map<String, Object> whole = new LinkedHashMap<>();
      whole.put("ok", result.ok());
      whole.put("results", result.files().stream().map(PullCommand::member).toList());
      out.println(JsonLine.of(whole));
      return;
    }
    for (Batch.Ending ending : result.files()) {
      if (ending.result() != null) {
        out.println(ending.result().path());
      }
    }
    view.summarise(result);
  }

  private static Object member(Batch.Ending ending) {
    RuntimeException failure = ending.failure();
    return failure != null ? Cli.errorMember(failure) : Objects.requireNonNull(ending.result());
  }

  /** That of the first file that is missing and is not optional. */
  private static int exitCode(Batch.Result result) {
    return result.files().stream()
        .filter(ending -> ending.failure() != null && !ending.item().optional())
        .findFirst()
        .map(
            ending ->
                ending.failure() instanceof FetchException failure
                    ? failure.kind().exitCode()
                    : Cli.EXIT_USAGE)
        .orElse(0);
  }
}
