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
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Hashes what is stored, and fetches again what is corrupt if asked to. */
@Command(
    name = "verify",
    description = "Hashes stored models and reports what is corrupt.",
    mixinStandardHelpOptions = true)
@SuppressWarnings("NullAway.Init") // picocli fills the fields
final class VerifyCommand implements Callable<Integer> {
  @Spec CommandSpec spec;
  @Mixin OwnerOptions options;
  @Mixin PlaceOptions place;

  @Option(names = "--repair", description = "fetch again what is corrupt or missing")
  boolean repair;

  @Option(names = "--json", description = "print the result as JSON")
  boolean json;

  private final PrintWriter out;
  private final PrintWriter err;

  VerifyCommand(PrintWriter out, PrintWriter err) {
    this.out = out;
    this.err = err;
  }

  @Override
  public Integer call() throws Exception {
    Download download = new Download();
    try (Fetcher fetcher = place.open(options, spec.commandLine());
        Interrupt interrupt = Interrupt.onSignal(err, "", download::cancel)) {
      VerifyResult result = verify(new StoreKeeper(fetcher), download);
      if (json) {
        out.println(JsonLine.of(result));
      } else {
        try (Screen screen = Screen.ofOutput(out)) {
          show(result, screen);
        }
      }
      boolean isSound = result.corrupt().stream().allMatch(CorruptEntry::repaired);
      return interrupt.exitCode(isSound ? 0 : FailureKind.INTEGRITY.exitCode());
    }
  }

  @SuppressWarnings("try") // the view draws by itself
  private VerifyResult verify(StoreKeeper keeper, Download download) throws IOException {
    try (Screen screen = json ? Screen.none() : Screen.ofErrors(err)) {
      ProgressView view = ProgressView.ofDownload(screen, download::snapshot);
      try (view) {
        return keeper.verify(place.type, place.dir(), repair, download);
      }
    }
  }

  private void show(VerifyResult result, Screen screen) {
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
