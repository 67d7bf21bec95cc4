package io.anymatix.fetcher.fetch;

import com.fasterxml.jackson.annotation.JsonProperty;
import io.anymatix.fetcher.fetch.FetchResult.Strategy;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What a benchmark measured, as the protocol names it.
 *
 * @param runs by HTTP version and number of connections
 * @param speedup the best rate of several connections, over that of the first run of one; null
 *     unless both could be measured
 */
public record BenchmarkResult(List<Run> runs, @Nullable Double speedup) {
  /**
   * One way to fetch.
   *
   * @param httpVersion {@code HTTP/1.1} or {@code HTTP/2}
   * @param bytes of the file that arrived
   * @param megabytesPerSecond in 10^6 bytes a second
   */
  public record Run(
      Strategy strategy,
      String httpVersion,
      int connections,
      long bytes,
      long elapsedMillis,
      @JsonProperty("rate") double megabytesPerSecond) {}

  static BenchmarkResult of(List<Run> runs) {
    BenchmarkResult rates = new BenchmarkResult(List.copyOf(runs), null);
    Double speedup =
        runs.stream()
            .filter(run -> run.connections() > 1)
            .map(rates::speedupOf)
            .filter(Double::isFinite)
            .max(Double::compare)
            .orElse(null);
    return new BenchmarkResult(rates.runs(), speedup);
  }

  /** A run's rate over that of the first run of one connection; not finite if there is none. */
  public double speedupOf(Run run) {
    double one =
        runs.stream()
            .filter(each -> each.connections() == 1)
            .findFirst()
            .map(Run::megabytesPerSecond)
            .orElse(Double.NaN);
    return one > 0 ? Math.round(100 * run.megabytesPerSecond() / one) / 100.0 : Double.NaN;
  }
}
