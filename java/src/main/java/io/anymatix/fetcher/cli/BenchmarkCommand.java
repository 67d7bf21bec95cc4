package io.anymatix.fetcher.cli;

import io.anymatix.fetcher.cli.Table.Column;
import io.anymatix.fetcher.fetch.BenchmarkResult;
import io.anymatix.fetcher.fetch.Download;
import io.anymatix.fetcher.fetch.Fetcher;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.List;
import java.util.Locale;
import org.apache.commons.cli.Option;
import org.apache.commons.cli.Options;

/** Measures what several connections win at a url. */
final class BenchmarkCommand implements Command {
  private static final Option TRY =
      Command.valued("try", "N,N", "numbers of connections to try; default 1, 4 and --connections");
  private static final Option SECONDS =
      Command.valued(
          "seconds", "S", "how long to measure each; default 10, or to the end of the file");
  private static final Option JSON = Command.flag("json", "print the result as JSON");

  private final PrintWriter out;
  private final PrintWriter err;

  BenchmarkCommand(PrintWriter out, PrintWriter err) {
    this.out = out;
    this.err = err;
  }

  @Override
  public String name() {
    return "benchmark";
  }

  @Override
  public String description() {
    return "Measures one connection against several at a url. Leaves no file.";
  }

  @Override
  public Operands operands() {
    return Operands.one("URL", "what to measure; best a large file");
  }

  @Override
  public Options options() {
    return OwnerOptions.addTo(new Options().addOption(TRY).addOption(SECONDS).addOption(JSON));
  }

  @Override
  public int run(Arguments arguments) throws Exception {
    boolean json = arguments.flag(JSON);
    Download download = new Download();
    try (Fetcher fetcher = new Fetcher(new OwnerOptions(arguments).toConfig(true));
        Interrupt interrupt = Interrupt.onSignal(err, "No file is left.", download::cancel)) {
      BenchmarkResult result;
      try (Screen screen = json ? Screen.none() : Screen.ofErrors(err)) {
        result = measured(fetcher, arguments, download, screen);
      }
      if (json) {
        out.println(JsonLine.of(result));
      } else {
        show(result);
      }
      return interrupt.exitCode(0);
    }
  }

  @SuppressWarnings("try") // the view draws by itself
  private static BenchmarkResult measured(
      Fetcher fetcher, Arguments arguments, Download download, Screen screen) throws IOException {
    List<Integer> counts = arguments.integers(TRY);
    ProgressView view = ProgressView.ofDownload(screen, download::snapshot);
    try (view) {
      return fetcher.benchmark(
          arguments.operand(),
          counts.isEmpty() ? null : counts,
          arguments.decimal(SECONDS),
          download,
          run -> screen.line(connections(run) + ": " + rate(run)));
    }
  }

  private void show(BenchmarkResult result) {
    Table table =
        new Table(
            Column.TEXT,
            Column.TEXT,
            Column.NUMBER,
            Column.NUMBER,
            Column.NUMBER,
            Column.NUMBER,
            Column.NUMBER);
    table.row("strategy", "protocol", "connections", "received", "time", "rate", "speed-up");
    for (BenchmarkResult.Run run : result.runs()) {
      table.row(
          run.strategy().wireName(),
          run.httpVersion(),
          Integer.toString(run.connections()),
          Table.bytes(run.bytes()),
          String.format(Locale.ROOT, "%.1f s", run.elapsedMillis() / 1000.0),
          rate(run),
          String.format(Locale.ROOT, "%.2f", result.speedupOf(run)));
    }
    table.lines(Integer.MAX_VALUE, false).forEach(out::println);
    out.println();
    out.println(
        result.speedup() == null
            ? "There is nothing to compare: the file is short, or the server knows no ranges."
            : String.format(
                Locale.ROOT,
                "Several connections are %.2f times as fast as one.",
                result.speedup()));
  }

  private static String connections(BenchmarkResult.Run run) {
    return run.httpVersion()
        + ", "
        + run.connections()
        + (run.connections() == 1 ? " connection" : " connections");
  }

  private static String rate(BenchmarkResult.Run run) {
    return String.format(Locale.ROOT, "%.1f MB/s", run.megabytesPerSecond());
  }
}
