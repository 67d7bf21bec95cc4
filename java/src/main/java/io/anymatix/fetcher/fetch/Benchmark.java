package io.anymatix.fetcher.fetch;

import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.content.RemoteFile;
import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.failure.InvalidParamsException;
import io.anymatix.fetcher.fetch.Download.Work;
import io.anymatix.fetcher.fetch.FetchResult.Strategy;
import io.anymatix.fetcher.fetch.Progress.Phase;
import io.anymatix.fetcher.http.RemoteReader;
import io.anymatix.fetcher.http.RetryPolicy;
import io.anymatix.fetcher.source.Sources;
import io.anymatix.fetcher.store.ModelFileName;
import io.anymatix.fetcher.store.ModelFolders;
import io.anymatix.fetcher.store.ModelStore;
import io.anymatix.fetcher.store.PartFile;
import io.anymatix.fetcher.transfer.ConnectionBudget;
import io.anymatix.fetcher.transfer.Connections;
import io.anymatix.fetcher.transfer.Throttle;
import io.anymatix.fetcher.transfer.Transfer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Measures what one url gives over one connection and over several, by the code that fetches, onto
 * the volume of the models folder: what is measured is what a user gets. The owner's rules and the
 * bandwidth limit hold; other downloads go on and share the line.
 *
 * <p>Every run has connections of its own. Those with the most connections come first: whatever a
 * cache on the way has learnt by then helps the fewer, so that a speed-up is never flattered.
 */
final class Benchmark {
  private static final double DEFAULT_SECONDS = 10;
  private static final double LONGEST_SECONDS = 600;
  private static final double WARM_UP_SECONDS = 1;
  private static final int MOST_CONNECTIONS = 64;
  private static final int MOST_RUNS = 16;

  /** Below this length a further connection is not opened: see {@link Transfer}. */
  private static final long BYTES_PER_CONNECTION = 1L << 20;

  private static final Duration NO_PATIENCE = Duration.ZERO;

  private final Supplier<RemoteReader> readers;
  private final Function<RemoteReader, Sources> sources;
  private final ModelStore store;
  private final Throttle throttle;
  private final ConnectionBudget budget;
  private final Executor executor;
  private final Path folder;

  /**
   * Prepares to measure.
   *
   * @param readers makes a reader without connections
   * @param sources the sources that read with one
   * @param executor runs workers; must never queue
   */
  Benchmark(
      Supplier<RemoteReader> readers,
      Function<RemoteReader, Sources> sources,
      ModelStore store,
      Throttle throttle,
      ConnectionBudget budget,
      Executor executor,
      ModelFolders folders) {
    this.readers = readers;
    this.sources = sources;
    this.store = store;
    this.throttle = throttle;
    this.budget = budget;
    this.executor = executor;
    this.folder = scratchFolder(folders);
  }

  /** On the volume that models are written to, if there is one yet. */
  private static Path scratchFolder(ModelFolders folders) {
    Stream<Path> candidates =
        Stream.concat(
            Stream.ofNullable(folders.modelsDir()),
            folders.folders().values().stream().flatMap(List::stream));
    return candidates
        .filter(Files::isDirectory)
        .findFirst()
        .orElseGet(() -> Path.of(System.getProperty("java.io.tmpdir")).toAbsolutePath());
  }

  /** One thing to be measured. */
  private record Plan(int connections, boolean http2) {}

  /**
   * Measures; leaves no file, however it ends.
   *
   * @param defaultConnections what a fetch would use
   * @param each hears of each run as it ends
   */
  BenchmarkResult run(
      String url,
      @Nullable List<Integer> connections,
      @Nullable Double seconds,
      int defaultConnections,
      Download download,
      Consumer<BenchmarkResult.Run> each) {
    Set<Integer> counts = counts(connections, defaultConnections);
    double limitSeconds = seconds == null ? DEFAULT_SECONDS : seconds;
    if (!(limitSeconds >= 0.1 && limitSeconds <= LONGEST_SECONDS)) {
      throw new InvalidParamsException("\"seconds\" must be from 0.1 to 600, not " + seconds + ".");
    }
    List<Plan> plans = plans(url, counts, download);
    if (plans.size() > 1) {
      warmUp(url, plans.get(0), Math.min(WARM_UP_SECONDS, limitSeconds / 4), download);
    }
    List<BenchmarkResult.Run> runs = new ArrayList<>();
    FetchException firstFailure = null;
    for (Plan plan : plans) {
      try {
        BenchmarkResult.Run run = measure(url, plan, limitSeconds, download);
        runs.add(run);
        each.accept(run);
      } catch (FetchException e) {
        // Some servers speak HTTP/2 alone, or refuse many connections: the others still compare.
        firstFailure = firstFailure == null ? e : firstFailure;
      }
    }
    if (runs.isEmpty() && firstFailure != null) {
      throw firstFailure;
    }
    runs.sort(
        Comparator.comparing(BenchmarkResult.Run::httpVersion)
            .thenComparing(BenchmarkResult.Run::connections));
    return BenchmarkResult.of(runs);
  }

  /** A process that has just started is slow at first, which only the first run would feel. */
  private void warmUp(String url, Plan plan, double seconds, Download download) {
    try {
      measure(url, plan, seconds, download);
    } catch (FetchException e) {
      // Whether that is so at full length, the run itself shows.
    }
  }

  private static Set<Integer> counts(@Nullable List<Integer> asked, int defaultConnections) {
    Set<Integer> counts =
        new TreeSet<>(
            asked != null
                ? asked
                : List.of(1, Math.min(4, defaultConnections), defaultConnections));
    for (int count : counts) {
      if (count < 1 || count > MOST_CONNECTIONS) {
        throw new InvalidParamsException(
            "\"connections\" must be from 1 to " + MOST_CONNECTIONS + ", not " + count + ".");
      }
    }
    if (counts.size() > MOST_RUNS) {
      throw new InvalidParamsException(
          "\"connections\" has " + counts.size() + " numbers; " + MOST_RUNS + " at most.");
    }
    counts.add(1); // what all others are compared with
    return counts;
  }

  /** What can be measured: what the server does not offer, a fetch would not use. */
  private List<Plan> plans(String url, Set<Integer> counts, Download download) {
    RemoteFile remote;
    boolean offersHttp2;
    try (RemoteReader reader = readers.get()) {
      remote = resolve(reader, url, download.cancellation());
      reader.preferHttp2();
      offersHttp2 = speaksHttp2(resolve(reader, url, download.cancellation()));
    }
    long length = remote.lengthBytes() == null ? 0 : remote.lengthBytes();
    boolean isParallel = remote.rangesProven() && length >= Config.PARALLEL_MINIMUM_BYTES;
    long most =
        isParallel
            ? Math.min(length / BYTES_PER_CONNECTION, Sources.maxConnections(remote.source()))
            : 1;
    List<Plan> plans = new ArrayList<>();
    for (int count : new TreeSet<>(counts).descendingSet()) {
      if (count <= most) {
        if (!speaksHttp2(remote)) {
          plans.add(new Plan(count, false));
        }
        if (offersHttp2) {
          plans.add(new Plan(count, true));
        }
      }
    }
    return plans;
  }

  private static boolean speaksHttp2(RemoteFile remote) {
    return remote.httpVersion().equals("HTTP/2");
  }

  private RemoteFile resolve(RemoteReader reader, String url, Cancellation cancellation) {
    Sources own = sources.apply(reader);
    return RetryPolicy.run(
        () -> own.resolve(Sources.Wish.of(url, url, null), cancellation),
        cancellation,
        RetryPolicy.WaitListener.NOBODY);
  }

  private BenchmarkResult.Run measure(String url, Plan plan, double seconds, Download download) {
    download.cancellation().throwIfCancelled();
    Work work = new Work(true);
    download.shows(work);
    Cancellation cut = new Cancellation();
    Cancellation.Registration link = download.cancellation().onCancel(cut::cancel);
    // Named like a part, so that what a killed process leaves is known for what it is.
    Sha256 token = Sha256.ofUtf8(UUID.randomUUID().toString());
    ModelFileName name = ModelFileName.ofUntrusted("benchmark", token);
    ModelFolders.Place place = new ModelFolders.Place(folder, List.of(folder), List.of());
    try (RemoteReader reader = readers.get();
        PartFile part = store.openPart(name, place, NO_PATIENCE, cut, until -> {})) {
      try {
        return transfer(reader, url, plan, seconds, part, work, cut);
      } finally {
        part.delete();
      }
    } catch (CancelledException e) {
      download.cancellation().throwIfCancelled();
      throw e;
    } finally {
      link.close();
    }
  }

  private BenchmarkResult.Run transfer(
      RemoteReader reader,
      String url,
      Plan plan,
      double seconds,
      PartFile part,
      Work work,
      Cancellation cut) {
    RemoteFile remote = resolveFor(plan, reader, url, cut);
    work.totalBytes = remote.lengthBytes();
    work.phase = Phase.FETCHING;
    AtomicReference<BenchmarkResult.@Nullable Run> reached = new AtomicReference<>();
    long startNanos = System.nanoTime();
    Runnable sample =
        () -> reached.compareAndSet(null, run(plan, work.counters.presentBytes(), startNanos));
    CompletableFuture<Void> timer =
        CompletableFuture.runAsync(
            () -> {
              sample.run();
              cut.cancel();
            },
            CompletableFuture.delayedExecutor(
                Math.round(seconds * 1000), TimeUnit.MILLISECONDS, executor));
    RemoteReader counted = Sources.counted(reader, remote.source());
    try (ConnectionBudget.Share connections =
        budget.join(counted.siteOf(remote.location()), work.counters::waiting)) {
      new Transfer(
              counted,
              remote,
              () -> resolveFor(plan, reader, url, cut),
              part,
              Connections.fixed(plan.connections()),
              work.counters,
              throttle.share(),
              connections,
              cut,
              executor)
          .run();
      sample.run();
    } catch (CancelledException e) {
      if (reached.get() == null) {
        throw e;
      }
    } finally {
      timer.cancel(false);
    }
    BenchmarkResult.Run run = reached.get();
    if (run == null || run.bytes() == 0) {
      throw FetchException.because(
              FailureKind.TIMEOUT,
              remote.location().host() + " sent nothing within " + seconds + " seconds.")
          .url(remote.location().redacted())
          .build();
    }
    return run;
  }

  private RemoteFile resolveFor(Plan plan, RemoteReader reader, String url, Cancellation cut) {
    if (plan.http2()) {
      reader.preferHttp2();
    }
    return resolve(reader, url, cut);
  }

  private static BenchmarkResult.Run run(Plan plan, long bytes, long startNanos) {
    double elapsedSeconds = Math.max(1e-6, (System.nanoTime() - startNanos) / 1e9);
    Strategy several = plan.http2() ? Strategy.PARALLEL_H2 : Strategy.PARALLEL;
    return new BenchmarkResult.Run(
        plan.connections() == 1 ? Strategy.SINGLE : several,
        plan.http2() ? "HTTP/2" : "HTTP/1.1",
        plan.connections(),
        bytes,
        Math.round(elapsedSeconds * 1000),
        Math.round(bytes / elapsedSeconds / 1000) / 1000.0);
  }
}
