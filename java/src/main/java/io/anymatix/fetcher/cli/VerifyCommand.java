package io.anymatix.fetcher.cli;

import io.anymatix.fetcher.cli.Screen.Style;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.fetch.Download;
import io.anymatix.fetcher.fetch.Fetcher;
import io.anymatix.fetcher.fetch.StoreKeeper;
import io.anymatix.fetcher.fetch.StoreKeeper.CorruptEntry;
import io.anymatix.fetcher.fetch.StoreKeeper.VerifyResult;
import java.io.IOException;
import java.io.PrintWriter;
import org.apache.commons.cli.Option;
import org.apache.commons.cli.Options;

/** Hashes what is stored, and fetches again what is corrupt if asked to. */
final class VerifyCommand implements Command {
  private static final Option REPAIR =
      Command.flag("repair", "fetch again what is corrupt or missing");
  private static final Option JSON = Command.flag("json", "print the result as JSON");

  private final PrintWriter out;
  private final PrintWriter err;

  VerifyCommand(PrintWriter out, PrintWriter err) {
    this.out = out;
    this.err = err;
  }

  @Override
  public String name() {
    return "verify";
  }

  @Override
  public String description() {
    return "Hashes stored models and reports what is corrupt.";
  }

  @Override
  public Options options() {
    Options own = PlaceOptions.addTo(new Options());
    return OwnerOptions.addTo(own.addOption(REPAIR).addOption(JSON));
  }

  @Override
  public int run(Arguments arguments) throws Exception {
    PlaceOptions place = new PlaceOptions(arguments);
    boolean repair = arguments.flag(REPAIR);
    boolean json = arguments.flag(JSON);
    Download download = new Download();
    try (Fetcher fetcher = place.open(new OwnerOptions(arguments));
        Interrupt interrupt = Interrupt.onSignal(err, "", download::cancel)) {
      VerifyResult result;
      try (Screen screen = json ? Screen.none() : Screen.ofErrors(err)) {
        result = verified(new StoreKeeper(fetcher), place, repair, download, screen);
      }
      if (json) {
        out.println(JsonLine.of(result));
      } else {
        try (Screen screen = Screen.ofOutput(out)) {
          show(result, repair, screen);
        }
      }
      boolean isSound = result.corrupt().stream().allMatch(CorruptEntry::repaired);
      return interrupt.exitCode(isSound ? 0 : FailureKind.INTEGRITY.exitCode());
    }
  }

  @SuppressWarnings("try") // the view draws by itself
  private static VerifyResult verified(
      StoreKeeper keeper, PlaceOptions place, boolean repair, Download download, Screen screen)
      throws IOException {
    ProgressView view = ProgressView.ofDownload(screen, download::snapshot);
    try (view) {
      return keeper.verify(place.type(), place.dir(), repair, download);
    }
  }

  private static void show(VerifyResult result, boolean repair, Screen screen) {
    for (CorruptEntry entry : result.corrupt()) {
      boolean repaired = entry.repaired();
      String verdict =
          repaired ? "repaired" : entry.problem().equals("missing") ? "MISSING" : "BAD";
      screen.line(
          screen.styled(repaired ? Style.GOOD : Style.BAD, verdict)
              + "  "
              + screen.shortened(entry.path()));
      screen.sentence("  ", screen.shortened(entry.message()));
      if (!entry.referrers().isEmpty() && entry.referrers().get(0).url() != null) {
        screen.line("  from " + entry.referrers().get(0).url());
      }
      if (entry.repairError() != null) {
        screen.sentence("  ", "not repaired: " + entry.repairError());
      }
    }
    result
        .unproven()
        .forEach(
            entry -> screen.line("no hash is known of " + entry.path() + ": " + entry.sha256()));
    long bad = result.corrupt().stream().filter(entry -> !entry.repaired()).count();
    long repaired = result.corrupt().size() - bad;
    screen.sentence(
        "",
        "%d checked (%s), %d proven, %d without a known hash, %d corrupt or missing%s"
            .formatted(
                result.checkedFiles(),
                Table.bytes(result.checkedBytes()),
                result.proven(),
                result.unproven().size(),
                bad,
                repaired == 0 ? "" : ", " + repaired + " repaired"));
    if (bad > 0 && !repair) {
      screen.line("Run again with --repair to fetch them again.");
    }
  }
}
