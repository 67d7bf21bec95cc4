package io.anymatix.fetcher.cli;

import io.anymatix.fetcher.cli.Table.Column;
import io.anymatix.fetcher.fetch.BenchmarkResult;
import io.anymatix.fetcher.fetch.Download;
import io.anymatix.fetcher.fetch.Fetcher;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Measures what several connections win at a url. */
@Command(
    name = "benchmark",
    description = "Measures one connection against several at a url. Leaves no file.",
    mixinStandardHelpOptions = true)
@SuppressWarnings("NullAway.Init") // picocli fills the fields
final class BenchmarkCommand implements Callable<Integer> {
  @Spec CommandSpec spec;
  @Mixin OwnerOptions options;

  @Parameters(paramLabel = "URL", description = "what to measure; best a large file")
  String url;

  @Option(
      names = "--try",
      paramLabel = "N",
      split = ",",
      description = "numbers of connections to try; default 1, 4 and --connections")
  @Nullable List<Integer> counts;

  @Option(
      names = "--seconds",
      paramLabel = "S",
      description = "how long to measure each; default 10, or to the end of the file")
  @Nullable Double seconds;

  @Option(names = "--json", description = "print the result as JSON")
  boolean json;

  private final PrintWriter out;
  private final PrintWriter err;

  BenchmarkCommand(PrintWriter out, PrintWriter err) {
    this.out = out;
    this.err = err;
  }

  @Override
  public Integer call() throws Exception {
    Download download = new Download();
    try (Fetcher fetcher = new Fetcher(options.toConfig(spec.commandLine(), true));
        Interrupt interrupt = Interrupt.onSignal(err, "No file is left.", download::cancel)) {
      BenchmarkResult result = measure(fetcher, download);
      if (json) {
        out.println(JsonLine.of(result));
      } else {
        show(result);
      }
      return interrupt.exitCode(0);
    }
  }

  @SuppressWarnings("try") // the view draws by itself
  private BenchmarkResult measure(Fetcher fetcher, Download download) throws IOException {
    try (Screen screen = json ? Screen.none() : Screen.ofErrors(err)) {
      ProgressView view = ProgressView.ofDownload(screen, download::snapshot);
      try (view) {
        return fetcher.benchmark(
            url,
            counts,
            seconds,
            download,
            run -> screen.line(connections(run) + ": " + rate(run)));
      }
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
