package io.anymatix.fetcher.cli;

import io.anymatix.fetcher.cli.Table.Column;
import io.anymatix.fetcher.fetch.Fetcher;
import io.anymatix.fetcher.fetch.StoreKeeper;
import io.anymatix.fetcher.fetch.StoreKeeper.GcResult;
import java.io.PrintWriter;
import org.apache.commons.cli.Option;
import org.apache.commons.cli.Options;

/** Removes what nobody needs any more from the model folders; at first only tells. */
final class GcCommand implements Command {
  private static final Option REMOVE = Command.flag("remove", "remove them");
  private static final Option NO_DRY_RUN = Command.flag("no-dry-run", "the same as --remove");
  private static final Option DRY_RUN = Command.flag("dry-run", "only tell, which is the default");
  private static final Option OLDER_THAN =
      Command.valued(
          "older-than", "DAYS", "parts that were written to within this many days stay; default 7");
  private static final Option JSON = Command.flag("json", "print the result as JSON");

  private final PrintWriter out;

  GcCommand(PrintWriter out) {
    this.out = out;
  }

  @Override
  public String name() {
    return "gc";
  }

  @Override
  public String description() {
    return "Tells which files nobody needs any more: old parts that nobody downloads, temporary"
        + " files, sidecar files without a model. Removes them with --remove. Never touches a"
        + " model.";
  }

  @Override
  public Options options() {
    Options own = PlaceOptions.addTo(new Options());
    own.addOption(REMOVE).addOption(NO_DRY_RUN).addOption(DRY_RUN);
    return OwnerOptions.addTo(own.addOption(OLDER_THAN).addOption(JSON));
  }

  @Override
  public int run(Arguments arguments) throws Exception {
    PlaceOptions place = new PlaceOptions(arguments);
    boolean remove = arguments.flag(REMOVE) || arguments.flag(NO_DRY_RUN);
    boolean json = arguments.flag(JSON);
    Integer olderThanDays = arguments.integer(OLDER_THAN);
    if (remove && arguments.flag(DRY_RUN)) {
      throw new UsageException("Either --remove or --dry-run.");
    }
    try (Fetcher fetcher = place.open(new OwnerOptions(arguments))) {
      GcResult result =
          new StoreKeeper(fetcher).gc(place.type(), place.dir(), !remove, olderThanDays);
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
