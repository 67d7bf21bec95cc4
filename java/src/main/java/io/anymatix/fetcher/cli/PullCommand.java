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
import org.apache.commons.cli.Option;
import org.apache.commons.cli.Options;

/** Fetches a list of models, several at a time; paths go to stdout, everything else to stderr. */
final class PullCommand implements Command {
  private static final Option TYPE =
      Command.valued("t", "type", "T", "type or folder of entries that name none");
  private static final Option MARKER =
      Command.valued("marker", "F", "file to write when every file that is not optional is there");
  private static final Option AS_NAMED =
      Command.flag("as-named", "lay each file's plain name beside the stored one, as a hard link");
  private static final Option SMALL_FIRST =
      Command.flag("small-first", "small files first, instead of as listed");
  private static final Option PARALLEL =
      Command.valued("parallel", "N", "files at a time; default 4");
  private static final Option JSON = Command.flag("json", "print one JSON object with all results");

  private final PrintWriter out;
  private final PrintWriter err;

  /** What Ctrl-C is to end at the moment. */
  private volatile Runnable cancel = () -> {};

  PullCommand(PrintWriter out, PrintWriter err) {
    this.out = out;
    this.err = err;
  }

  @Override
  public String name() {
    return "pull";
  }

  @Override
  public String description() {
    return "Fetches a list of models, or those of a ComfyUI workflow, several at a time. Run again,"
        + " it fetches what is missing.";
  }

  @Override
  public Operands operands() {
    return Operands.one(
        "LIST|WORKFLOW.json",
        "lines \"url [type|folder] [name] [sha256]\", JSON, YAML, or a workflow");
  }

  @Override
  public Options options() {
    Options own = new Options();
    own.addOption(TYPE).addOption(MARKER).addOption(AS_NAMED);
    own.addOption(SMALL_FIRST).addOption(PARALLEL).addOption(JSON);
    return OwnerOptions.addTo(own);
  }

  @Override
  public int run(Arguments arguments) throws Exception {
    Path list = arguments.operandPath();
    String type = arguments.text(TYPE);
    boolean asNamed = arguments.flag(AS_NAMED);
    boolean json = arguments.flag(JSON);
    Batch.Options options = batchOptions(arguments);
    Config config = new OwnerOptions(arguments).toConfig(true);
    if (config.modelsDir() == null && config.folders().isEmpty()) {
      throw new UsageException("pull needs to know where models live: --models-dir or --folder.");
    }
    Download listing = new Download();
    cancel = listing::cancel;
    try (Fetcher fetcher = new Fetcher(config);
        Interrupt interrupt = Interrupt.onSignal(err, Interrupt.RESUMABLE, () -> cancel.run());
        Screen screen = json ? Screen.none() : Screen.ofErrors(err)) {
      List<Batch.Item> items =
          ModelList.expanded(ModelList.read(list, type, asNamed, fetcher), fetcher, listing)
              .stream()
              .map(ModelList.Entry::item)
              .toList();
      Batch batch = new Batch(fetcher, items, options);
      cancel = batch::cancel;
      interrupt.throwIfSignalled();
      PullView view = new PullView(screen, batch, items);
      Batch.Result result;
      try (view) {
        result = batch.run();
      }
      print(result, json, view);
      return interrupt.exitCode(exitCode(result));
    }
  }

  private static Batch.Options batchOptions(Arguments arguments) {
    Path marker = arguments.path(MARKER);
    return new Batch.Options(
        marker == null ? null : marker.toAbsolutePath().normalize().toString(),
        true,
        arguments.integer(PARALLEL),
        arguments.flag(SMALL_FIRST),
        arguments.flag(AS_NAMED));
  }

  private void print(Batch.Result result, boolean json, PullView view) throws Exception {
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
