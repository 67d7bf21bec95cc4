package io.anymatix.fetcher.fetch;

import io.anymatix.fetcher.content.ListedFile;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.failure.InvalidParamsException;
import io.anymatix.fetcher.failure.NotInitializedException;
import io.anymatix.fetcher.fetch.Fetcher.Outlook;
import io.anymatix.fetcher.fetch.FileFetch.Order;
import io.anymatix.fetcher.fetch.Lineup.Job;
import io.anymatix.fetcher.fetch.Progress.Phase;
import io.anymatix.fetcher.fetch.Progress.Status;
import io.anymatix.fetcher.store.ModelStore;
import io.anymatix.fetcher.store.SpaceLedger;
import io.anymatix.fetcher.transfer.SmallFiles;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Several files that one caller waits for; one object brings them once.
 *
 * <p>In this order: what is on the disk, and how long the rest is; whether all of it fits; then the
 * files, several at a time. Only where many small ones and nothing else came with the answers that
 * tell the lengths, further ones are stored as they come. One that fails stops no other. At the
 * end, if every file is there that is not optional, the marker. Progress may be looked at from any
 * thread.
 */
public final class Batch {
  /** Files at most: each is held in memory. */
  public static final int MOST_FILES = 10_000;

  /** Files at a time that are looked for, or asked about, before any is brought. */
  private static final int LOOKS_AT_A_TIME = 32;

  /** Files at a time of which each takes one short request at most, if the caller states none. */
  private static final int LIGHT_FILES_AT_A_TIME = 32;

  /** What a small file may take to come with the answer that describes it. */
  private static final Duration SMALL_FILE_PATIENCE = Duration.ofSeconds(1);

  private static final int MOST_PARALLEL_FILES = 64;
  private static final Duration FIRST_PAUSE = Duration.ofSeconds(1);

  private final Fetcher fetcher;
  private final List<Item> items;
  private final Options options;
  private final Duration smallFilePatience;
  private final Cancellation cancellation = new Cancellation();
  private final Ending[] endings;
  private final @Nullable Long[] lengths;

  /** What was found out beforehand: each is written once, before its file is brought. */
  private final Outlook[] outlooks;

  private final CompletableFuture<Void> allEnded = new CompletableFuture<>();
  private final AtomicInteger left;
  private volatile @Nullable Lineup line;
  private volatile Phase phase = Phase.RESOLVING;
  private volatile boolean finished;

  /** Then whoever waits for all lengths waits for too long, and a stop would lose too much. */
  private volatile boolean smallFilesComeSlowly;

  /** Whether there is a file whose length is not known, or takes more than a little room. */
  private volatile boolean mayNotFit;

  /** How many files came whole with the answer that describes them. */
  private final AtomicInteger held = new AtomicInteger();

  /** Which of them were stored before all lengths were known; each is written by one thread. */
  private final boolean[] storedAtOnce;

  /** Guarded by this: ended files that no report has told of yet, and whose turn it is. */
  private final Deque<Integer> untold = new ArrayDeque<>();

  private boolean totalIsNext = true;
  private int lastShown = -1;

  /**
   * One of the files.
   *
   * @param optional whether the batch is in order without it
   * @param number of what was asked for, where that may stand for several files; else null
   * @param unlisted why it is not known whether it stands for several; null if it was listed
   */
  public record Item(
      FetchRequest request,
      boolean optional,
      @Nullable Integer number,
      @Nullable FetchException unlisted) {
    public Item(FetchRequest request, boolean optional) {
      this(request, optional, null, null);
    }

    private Item asNamed() {
      return request.name() == null
          ? new Item(request.withName(FetchRequest.SOURCE_NAME), optional, number, unlisted)
          : this;
    }

    /**
     * The files that it stands for: those of a folder, of a pattern, of a model in shards; else
     * itself. Asks the site for its listing. What can't be listed stays, and is fetched like any
     * other; if that shows that it stands for several, it fails with what kept it from being
     * listed.
     *
     * @param asked the number that they get
     */
    public List<Item> files(@Nullable Integer asked, Fetcher fetcher, Download download) {
      try {
        List<ListedFile> files =
            fetcher.expand(String.valueOf(request.url()), request.auth(), download);
        if (!files.isEmpty()) {
          return files.stream()
              .map(file -> new Item(request.forListed(file), optional, asked, null))
              .toList();
        }
      } catch (FetchException e) {
        return List.of(new Item(request, optional, asked, e));
      }
      return List.of(new Item(request, optional, asked, null));
    }

    /** What a fetch ended with, as the caller should know it. */
    private @Nullable RuntimeException failure(@Nullable RuntimeException failure) {
      boolean standsForSeveral =
          failure instanceof FetchException fetch && fetch.kind() == FailureKind.UNSUPPORTED;
      return standsForSeveral && unlisted != null ? unlisted : failure;
    }
  }

  /**
   * How they are brought.
   *
   * @param marker absolute path of a file that is written when all are there
   * @param markerAnywhere whether the marker may lie outside the roots, because the owner of the
   *     machine named it
   * @param maxParallelFiles files at a time; null for the process's option
   * @param smallFirst whether small files come first, instead of in the order given
   * @param asNamed whether each file also gets its plain name beside the stored one
   */
  public record Options(
      @Nullable String marker,
      boolean markerAnywhere,
      @Nullable Integer maxParallelFiles,
      boolean smallFirst,
      boolean asNamed) {}

  /** How one file ended: one of the two is null. */
  public record Ending(
      Item item, @Nullable FetchResult result, @Nullable RuntimeException failure) {}

  /**
   * How all ended.
   *
   * @param ok whether every file that is not optional is there
   * @param files in the order asked
   */
  public record Result(boolean ok, List<Ending> files) {
    /**
     * One ending for each item that was asked for and numbered, also if it stood for several files:
     * the first failure among them, else a result of them all.
     *
     * @param asked in the order of their numbers
     */
    public List<Ending> asked(List<Item> asked) {
      Map<Integer, List<Ending>> byNumber =
          files.stream()
              .collect(
                  Collectors.groupingBy(ending -> Objects.requireNonNull(ending.item().number())));
      return IntStream.range(0, asked.size())
          .mapToObj(i -> together(asked.get(i), byNumber.getOrDefault(i, List.of())))
          .toList();
    }

    private static Ending together(Item asked, List<Ending> endings) {
      if (endings.size() == 1) {
        return endings.get(0);
      }
      List<FetchResult> results = new ArrayList<>();
      for (Ending ending : endings) {
        FetchResult result = ending.result();
        if (result == null) {
          return ending;
        }
        results.add(result);
      }
      return new Ending(asked, FetchResult.ofListed(asked.request(), results), null);
    }
  }

  /** A file that is being brought. */
  public record Running(int item, Progress progress) {}

  /**
   * Prepares to bring files.
   *
   * @throws InvalidParamsException if there are none, or too many
   */
  public Batch(Fetcher fetcher, List<Item> items, Options options) {
    this(fetcher, items, options, SMALL_FILE_PATIENCE);
  }

  /** With another patience for small files, so that what they cost does not depend on time. */
  Batch(Fetcher fetcher, List<Item> items, Options options, Duration smallFilePatience) {
    this.fetcher = fetcher;
    this.items =
        options.asNamed() ? items.stream().map(Item::asNamed).toList() : List.copyOf(items);
    this.options = options;
    this.smallFilePatience = smallFilePatience;
    this.endings = new Ending[items.size()];
    this.lengths = new Long[items.size()];
    this.outlooks = new Outlook[items.size()];
    Arrays.fill(outlooks, Outlook.UNKNOWN);
    this.storedAtOnce = new boolean[items.size()];
    this.left = new AtomicInteger(items.size());
    if (items.isEmpty() || items.size() > MOST_FILES) {
      throw new InvalidParamsException(
          "A batch has from 1 to " + MOST_FILES + " files, not " + items.size() + ".");
    }
    Integer most = options.maxParallelFiles();
    if (most != null && (most < 1 || most > MOST_PARALLEL_FILES)) {
      throw new InvalidParamsException(
          "\"maxParallelFiles\" must be from 1 to " + MOST_PARALLEL_FILES + ", not " + most + ".");
    }
  }

  /** Asks for an early end; {@link #run} then throws a cancellation within a second. */
  public void cancel() {
    cancellation.cancel();
  }

  /**
   * Brings the files; blocks until each has ended.
   *
   * @throws InvalidParamsException if the marker's path makes no sense
   * @throws NotInitializedException if no model folder is known
   * @throws FetchException {@code policy} for a marker outside the roots, {@code diskFull} if what
   *     is missing does not fit, {@code storage} if the marker can't be written; what was received
   *     is kept
   * @throws CancelledException after {@link #cancel}
   */
  public Result run() {
    String markerPath = options.marker();
    Marker marker =
        markerPath == null
            ? null
            : Marker.at(fetcher.markerPath(markerPath, options.markerAnywhere()));
    Map<Integer, ModelStore.Aside> changed = new ConcurrentHashMap<>();
    SpaceLedger.@Nullable Reservation[] reserved = new SpaceLedger.Reservation[items.size()];
    Lineup files = lineup(reserved);
    line = files;
    try {
      askAhead(files, missing(marker, changed));
      reserveSpace(reserved);
      phase = Phase.FETCHING;
      files.add(jobs());
      cancellation.await(allEnded);
    } finally {
      files.close();
      finished = true;
      Stream.of(outlooks).forEach(Outlook::close);
      Stream.of(reserved).filter(Objects::nonNull).forEach(SpaceLedger.Reservation::close);
      changed.forEach((i, aside) -> aside.end(endings[i] != null && endings[i].result() != null));
    }
    List<Ending> ended = List.of(endings);
    boolean ok =
        ended.stream().allMatch(ending -> ending.failure() == null || ending.item().optional());
    if (ok && marker != null) {
      phase = Phase.VERIFYING;
      marker.write(ended.stream().filter(ending -> ending.result() != null).toList(), cancellation);
    }
    return new Result(ok, ended);
  }

  /**
   * What has to be asked for. All of it is looked for before the first request: once files are
   * stored, each look would read their folder again.
   */
  private @Nullable Order[] missing(
      @Nullable Marker marker, Map<Integer, ModelStore.Aside> changed) {
    @Nullable Order[] missing = new Order[items.size()];
    forEachFile(
        (i, worker) -> {
          FetchRequest request = items.get(i).request();
          if (marker != null) {
            marker
                .putAsideIfChanged(request, cancellation)
                .ifPresent(aside -> changed.put(i, aside));
          }
          missing[i] = fetcher.missing(request);
        });
    return missing;
  }

  /**
   * Finds out how long the files are. Of a batch that seems to have small files alone, which come
   * with the answer, it stores them meanwhile: to do so afterwards would take as long again. As
   * many as are asked for at a time tell whether it is one.
   */
  private void askAhead(Lineup files, @Nullable Order[] missing) {
    forEachFile(
        (i, worker) -> {
          Order order = missing[i];
          if (order == null || endings[i] != null) {
            return;
          }
          boolean mayReceive = worker < mostReceived() && !smallFilesComeSlowly;
          long startedNanos = System.nanoTime();
          Outlook outlook =
              fetcher.outlook(order, mayReceive ? smallFilePatience : Duration.ZERO, cancellation);
          boolean tookLong = System.nanoTime() - startedNanos > smallFilePatience.toNanos();
          if (tookLong && isSmall(outlook) && !outlook.holdsFile()) {
            smallFilesComeSlowly = true;
          }
          outlooks[i] = outlook;
          lengths[i] = outlook.lengthBytes();
          if (!outlook.holdsFile()) {
            mayNotFit = true;
          } else if (held.incrementAndGet() > LOOKS_AT_A_TIME
              && !mayNotFit
              && !items.get(i).optional()) {
            storedAtOnce[i] = true;
            files.add(List.of(job(i)));
          }
        });
  }

  /** How many small files are received at a time; the caller's number is meant for them, too. */
  private int mostReceived() {
    Integer stated = options.maxParallelFiles();
    return stated == null ? LIGHT_FILES_AT_A_TIME : stated;
  }

  /** What is done to a file by the one of several workers that has come to it. */
  @FunctionalInterface
  private interface Look {
    void at(int i, int worker);
  }

  /** Does something to each file, several at a time; what fails for good has ended with this. */
  private void forEachFile(Look look) {
    AtomicInteger next = new AtomicInteger();
    List<CompletableFuture<Void>> workers = new ArrayList<>();
    try {
      for (int n = 0; n < Math.min(LOOKS_AT_A_TIME, items.size()); n++) {
        int worker = n;
        Runnable work =
            () -> {
              for (int i = next.getAndIncrement();
                  i < items.size() && !cancellation.isCancelled();
                  i = next.getAndIncrement()) {
                look(look, i, worker);
              }
            };
        workers.add(CompletableFuture.runAsync(work, fetcher.executor()));
      }
      CompletableFuture.allOf(workers.toArray(CompletableFuture<?>[]::new)).join();
    } catch (RejectedExecutionException e) {
      throw new CancelledException(); // the process is ending
    } catch (CompletionException e) {
      throw e.getCause() instanceof RuntimeException cause ? cause : e;
    }
    cancellation.throwIfCancelled();
  }

  private void look(Look look, int i, int worker) {
    try {
      look.at(i, worker);
    } catch (FetchException e) {
      if (e.retryable()) {
        mayNotFit = true;
      } else {
        fetcher.history().ended(Fetcher.newId(), items.get(i).request(), e, Duration.ZERO);
        end(i, null, e);
      }
    } catch (InvalidParamsException e) {
      end(i, null, e);
    }
  }

  /**
   * Room for all that is needed is reserved, so that it fits beside each other and beside other
   * downloads; what is optional and does not fit is left out.
   */
  private void reserveSpace(SpaceLedger.@Nullable Reservation[] reserved) {
    for (boolean optional : List.of(false, true)) {
      for (int i = 0; i < items.size(); i++) {
        if (isToBring(i) && items.get(i).optional() == optional) {
          try {
            reserved[i] = fetcher.reserve(outlooks[i]);
          } catch (FetchException e) {
            if (!optional) {
              throw e;
            }
            end(i, null, e);
          }
        }
      }
    }
  }

  /** Whether a file has neither ended nor been stored as it came. */
  private boolean isToBring(int i) {
    return endings[i] == null && !storedAtOnce[i];
  }

  private Lineup lineup(SpaceLedger.@Nullable Reservation[] reserved) {
    return new Lineup(
        fetcher.executor(),
        (job, download) -> bring(Integer.parseInt(job.id), reserved, download),
        () ->
            options.maxParallelFiles() != null
                ? options.maxParallelFiles()
                : fetcher.options().maxParallelFiles(),
        LIGHT_FILES_AT_A_TIME,
        FIRST_PAUSE,
        this::ended);
  }

  private List<Job> jobs() {
    return IntStream.range(0, items.size())
        .filter(this::isToBring)
        .boxed()
        .sorted(
            options.smallFirst()
                ? Comparator.comparingLong((Integer i) -> outlooks[i].sortBytes())
                : Comparator.naturalOrder())
        .map(this::job)
        .toList();
  }

  private Job job(int i) {
    Outlook outlook = outlooks[i];
    boolean isLight =
        outlook.holdsFile() || (isSmall(outlook) && options.maxParallelFiles() == null);
    return new Job(Integer.toString(i), items.get(i).request(), 0, false, isLight);
  }

  private static boolean isSmall(Outlook outlook) {
    Long length = outlook.lengthBytes();
    return length != null && length <= SmallFiles.LONGEST_BYTES;
  }

  private FetchResult bring(
      int i, SpaceLedger.@Nullable Reservation[] reserved, Download download) {
    SpaceLedger.Reservation reservation = reserved[i];
    if (reservation != null) {
      reservation.close(); // the download reserves for itself what it needs
    }
    return fetcher.fetchInLine(items.get(i).request(), outlooks[i], download);
  }

  private void ended(Job job, @Nullable FetchResult result, @Nullable RuntimeException failure) {
    int i = Integer.parseInt(job.id);
    outlooks[i].close();
    FetchRequest request = items.get(i).request();
    String id = Fetcher.newId();
    if (result == null) {
      fetcher
          .history()
          .ended(id, request, failure == null ? new CancelledException() : failure, job.age());
    } else if (result.outcome() != FetchResult.Outcome.PRESENT) {
      fetcher.history().succeeded(id, request, result);
    }
    end(i, result, failure);
  }

  private void end(int i, @Nullable FetchResult result, @Nullable RuntimeException failure) {
    endings[i] = new Ending(items.get(i), result, items.get(i).failure(failure));
    if (result != null) {
      lengths[i] = result.fileSize();
    }
    synchronized (this) {
      untold.add(i);
    }
    if (left.decrementAndGet() == 0) {
      allEnded.complete(null);
    }
  }

  /** The files that are being brought now. */
  public List<Running> running() {
    Lineup files = line;
    return files == null
        ? List.of()
        : files.states().stream()
            .filter(Lineup.State::isActive)
            .map(
                state ->
                    new Running(
                        Integer.parseInt(state.id()), Objects.requireNonNull(state.progress())))
            .toList();
  }

  /** Files that have ended, well or not. */
  public int endedFiles() {
    return items.size() - left.get();
  }

  /** How a file ended; null while it has not. */
  public @Nullable Ending ending(int item) {
    return endings[item];
  }

  /** All files together, at this moment. */
  public Progress total() {
    return total(running());
  }

  private Progress total(List<Running> running) {
    long received = 0;
    long known = 0;
    boolean allKnown = true;
    for (int i = 0; i < endings.length; i++) {
      Ending ending = endings[i];
      Long length = lengths[i];
      if (ending != null) {
        received += ending.result() == null ? 0 : ending.result().fileSize();
        known += ending.result() == null ? 0 : ending.result().fileSize();
      } else if (length != null) {
        known += length;
      } else {
        allKnown = false;
      }
    }
    double rate = 0;
    int connections = 0;
    for (Running file : running) {
      Progress progress = file.progress();
      received += progress.phase() == Phase.FETCHING ? progress.receivedBytes() : 0;
      rate += progress.phase() == Phase.FETCHING ? progress.megabytesPerSecond() : 0;
      connections += progress.connections();
    }
    Double share =
        !allKnown
            ? null
            : known == 0 ? Double.valueOf(1) : Math.min(1.0, (double) received / known);
    Double eta = !allKnown || rate <= 0 ? null : Math.max(0, known - received) / (rate * 1e6);
    String waitingFor = running.isEmpty() ? whyNothingRuns() : null;
    return new Progress(
        waitingFor == null ? phase : Phase.WAITING,
        Status.PROGRESS,
        share,
        Math.round(rate * 1000) / 1000.0,
        eta == null ? null : Math.round(eta * 1000) / 1000.0,
        received,
        allKnown ? known : null,
        connections,
        "",
        waitingFor,
        null,
        null,
        null,
        null);
  }

  /** What a file failed with that is tried again after a pause; null if none pauses. */
  private @Nullable String whyNothingRuns() {
    Lineup files = line;
    return files == null
        ? null
        : files.states().stream()
            .map(Lineup.State::reason)
            .filter(Objects::nonNull)
            .findFirst()
            .orElse(null);
  }

  /**
   * What to tell a client next: all files together, and in turn with that one file, ended ones
   * first. At the end it is all files together.
   */
  public synchronized Progress report() {
    List<Running> running = running();
    if (finished || totalIsNext) {
      totalIsNext = false;
      return total(running);
    }
    totalIsNext = true;
    Integer ended = untold.poll();
    if (ended != null) {
      return progressOfEnded(ended);
    }
    if (running.isEmpty()) {
      return total(running);
    }
    Running shown =
        running.stream()
            .filter(file -> file.item() > lastShown)
            .min(Comparator.comparingInt(Running::item))
            .orElse(running.get(0));
    lastShown = shown.item();
    return shown.progress().of(numberOf(shown.item()), Status.PROGRESS);
  }

  /** What a client knows a file by. */
  private int numberOf(int i) {
    Integer number = items.get(i).number();
    return number == null ? i : number;
  }

  /** Ended files that no report has told of. */
  public synchronized List<Progress> untold() {
    List<Progress> values = untold.stream().map(this::progressOfEnded).toList();
    untold.clear();
    return values;
  }

  private Progress progressOfEnded(int i) {
    Ending ending = endings[i];
    FetchResult result = ending.result();
    Long length = lengths[i];
    return new Progress(
        Phase.VERIFYING,
        result == null ? Status.ERROR : Status.COMPLETED,
        result == null ? null : 1.0,
        0,
        null,
        result == null ? 0 : result.fileSize(),
        length,
        0,
        result == null ? "" : result.fileName(),
        ending.failure() == null ? null : ending.failure().getMessage(),
        null,
        null,
        null,
        numberOf(i));
  }
}
