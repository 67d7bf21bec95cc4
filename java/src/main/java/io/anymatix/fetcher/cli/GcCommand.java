package io.anymatix.fetcher.cli;

import io.anymatix.fetcher.cli.Table.Column;
import io.anymatix.fetcher.fetch.Fetcher;
import io.anymatix.fetcher.fetch.StoreKeeper;
import io.anymatix.fetcher.fetch.StoreKeeper.GcResult;
import java.io.PrintWriter;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Removes what nobody needs any more from the model folders; at first only tells. */
@Command(
    name = "gc",
    description = {
      "Tells which files nobody needs any more: old parts that nobody downloads, temporary files,"
          + " sidecar files without a model. Removes them with --remove. Never touches a model."
    },
    mixinStandardHelpOptions = true)
@SuppressWarnings("NullAway.Init") // picocli fills the fields
final class GcCommand implements Callable<Integer> {
  @Spec CommandSpec spec;
  @Mixin OwnerOptions options;
  @Mixin PlaceOptions place;

  @Option(
      names = {"--remove", "--no-dry-run"},
      description = "remove them")
  boolean remove;

  @Option(names = "--dry-run", description = "only tell, which is the default")
  boolean dryRun;

  @Option(
      names = "--older-than",
      paramLabel = "DAYS",
      description = "parts that were written to within this many days stay; default 7")
  @Nullable Integer olderThanDays;

  @Option(names = "--json", description = "print the result as JSON")
  boolean json;

  private final PrintWriter out;

  GcCommand(PrintWriter out) {
    this.out = out;
  }

  @Override
  public Integer call() throws Exception {
    if (remove && dryRun) {
      throw new ParameterException(spec.commandLine(), "Either --remove or --dry-run.");
    }
    try (Fetcher fetcher = place.open(options, spec.commandLine())) {
      GcResult result =
          new StoreKeeper(fetcher).gc(place.type, place.dir(), !remove, olderThanDays);
      if (json) {
        out.println(JsonLine.of(result));
      } else {
        try (Screen screen = Screen.ofOutput(out)) {
          show(result, screen);
        }
      }
      return 0;
    }
  }

  private static void show(GcResult result, Screen screen) {
    String verb = result.dryRun() ? "would remove" : "removed";
    Table table = new Table(Column.TEXT, Column.NUMBER, Column.FLEXIBLE, Column.TEXT);
    for (GcResult.Removed file : result.removed()) {
      table.row(verb, Table.bytes(file.bytes()), screen.shortened(file.path()), file.reason());
    }
    table.lines(screen.lineColumns(), screen.unicode()).forEach(screen::line);
    for (GcResult.Kept kept : result.kept()) {
      screen.line("kept " + screen.shortened(kept.path()) + ": " + kept.reason());
    }
    int count = result.removed().size();
    screen.line(
        count == 0
            ? "Nothing to remove."
            : "%s %s, %s%s"
                .formatted(
                    result.dryRun() ? "Would remove" : "Removed",
                    count == 1 ? "1 file" : count + " files",
                    Table.bytes(result.bytes()),
                    result.dryRun() ? "; run again with --remove to do so" : ""));
  }
}
