package io.anymatix.fetcher.cli;

import io.anymatix.fetcher.cli.Screen.Style;
import io.anymatix.fetcher.cli.Table.Column;
import io.anymatix.fetcher.fetch.Fetcher;
import io.anymatix.fetcher.fetch.StoreKeeper;
import io.anymatix.fetcher.fetch.StoreKeeper.Listing;
import io.anymatix.fetcher.fetch.StoreKeeper.ModelEntry;
import io.anymatix.fetcher.fetch.StoreKeeper.PartEntry;
import io.anymatix.fetcher.fetch.StoreKeeper.ReferrerEntry;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import org.apache.commons.cli.Option;
import org.apache.commons.cli.Options;
import org.jspecify.annotations.Nullable;

/** Shows what the model folders hold. */
final class ListCommand implements Command {
  private static final Option JSON = Command.flag("json", "print the whole list as JSON");

  private final PrintWriter out;

  ListCommand(PrintWriter out) {
    this.out = out;
  }

  @Override
  public String name() {
    return "list";
  }

  @Override
  public String description() {
    return "Lists what the model folders hold, and how it was proven. Changes nothing.";
  }

  @Override
  public Options options() {
    return OwnerOptions.addTo(PlaceOptions.addTo(new Options()).addOption(JSON));
  }

  @Override
  public int run(Arguments arguments) throws Exception {
    PlaceOptions place = new PlaceOptions(arguments);
    boolean json = arguments.flag(JSON);
    try (Fetcher fetcher = place.open(new OwnerOptions(arguments))) {
      Listing listing = new StoreKeeper(fetcher).list(place.type(), place.dir());
      if (json) {
        out.println(JsonLine.of(listing));
        return 0;
      }
      try (Screen screen = Screen.ofOutput(out)) {
        show(listing, screen);
      }
      return 0;
    }
  }

  private static void show(Listing listing, Screen screen) {
    Map<String, Table> byFolder = new LinkedHashMap<>();
    for (ModelEntry model : listing.models()) {
      byFolder
          .computeIfAbsent(
              folder(model.path()),
              f -> new Table(Column.NUMBER, Column.TEXT, Column.FLEXIBLE, Column.FLEXIBLE))
          .row(
              "  " + Table.bytes(model.fileSize()),
              proof(model),
              name(screen, model.path()),
              from(model));
    }
    byFolder.forEach((folder, table) -> section(screen, folder, table));

    Table parts = new Table(Column.NUMBER, Column.NUMBER, Column.FLEXIBLE, Column.TEXT);
    for (PartEntry part : listing.parts()) {
      Long received = part.receivedBytes();
      parts.row(
          "  " + (received == null ? "?" : Table.bytes(received)),
          percentage(part),
          screen.shortened(part.path()),
          part.held() ? "being downloaded" : "");
    }
    section(screen, "Not complete", parts);

    Table missing = new Table(Column.FLEXIBLE, Column.FLEXIBLE);
    for (StoreKeeper.MissingEntry entry : listing.missing()) {
      missing.row("  " + screen.shortened(entry.path()), url(entry.referrers()));
    }
    section(screen, "Named by a sidecar file, and not there", missing);

    section(screen, "Set aside as corrupt", files(screen, listing.setAside()));
    section(screen, "Without a sidecar file: your own", files(screen, listing.withoutSidecar()));

    Table broken = new Table(Column.FLEXIBLE);
    listing.brokenSidecars().forEach(path -> broken.row("  " + path));
    section(screen, "Sidecar files that can not be read", broken);

    int count = listing.models().size();
    screen.line((count == 1 ? "1 model, " : count + " models, ") + Table.bytes(listing.bytes()));
  }

  private static void section(Screen screen, String title, Table table) {
    if (!table.isEmpty()) {
      screen.line(screen.styled(Style.TITLE, title));
      table.lines(screen.lineColumns(), screen.unicode()).forEach(screen::line);
      screen.line("");
    }
  }

  private static Table files(Screen screen, List<StoreKeeper.FileEntry> files) {
    Table table = new Table(Column.NUMBER, Column.FLEXIBLE);
    files.forEach(
        file -> table.row("  " + Table.bytes(file.fileSize()), screen.shortened(file.path())));
    return table;
  }

  private static String proof(ModelEntry model) {
    if (!model.whole()) {
      return "WRONG LENGTH";
    }
    return model.verification() == null ? "unproven" : model.verification().wireName();
  }

  private static String from(ModelEntry model) {
    int others = model.referrers().size() - 1;
    return Objects.requireNonNullElse(model.url(), "")
        + (others == 0 ? "" : " (and " + others + " more)");
  }

  private static @Nullable String url(List<ReferrerEntry> referrers) {
    return referrers.get(0).url();
  }

  private static String percentage(PartEntry part) {
    Double progress = part.progress();
    return progress == null ? "" : String.format(Locale.ROOT, "%.1f %%", 100 * progress);
  }

  private static String folder(String path) {
    return String.valueOf(Path.of(path).getParent());
  }

  private static String name(Screen screen, String path) {
    return screen.shortened(String.valueOf(Path.of(path).getFileName()));
  }
}
