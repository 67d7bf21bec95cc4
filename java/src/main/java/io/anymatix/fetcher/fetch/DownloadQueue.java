package io.anymatix.fetcher.fetch;

import com.fasterxml.jackson.annotation.JsonInclude;
import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.failure.InvalidParamsException;
import io.anymatix.fetcher.failure.NotInitializedException;
import io.anymatix.fetcher.fetch.Lineup.Job;
import io.anymatix.fetcher.fetch.Lineup.Move;
import io.anymatix.fetcher.fetch.Progress.Phase;
import io.anymatix.fetcher.fetch.QueueFile.Entry;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Downloads that nobody waits for: in order, several at a time, and still there after a restart.
 *
 * <p>What is waiting or running is written to the home folder before the caller hears of it, and
 * goes on after the next {@code initialize} of a process that has the same folders. What must not
 * be written down (a query tail, a token in a link, a Mega key) lives in memory alone; after a
 * restart such an entry is a failed one in the history. How an entry ended is told by the {@link
 * History}. Methods may be called from any thread.
 */
public final class DownloadQueue implements AutoCloseable {
  /** Entries at a time: each is written again with every change. */
  private static final int MOST_ENTRIES = 10_000;

  private static final Duration FIRST_PAUSE = Duration.ofSeconds(2);

  private final Fetcher fetcher;
  private final History history;
  private final Lineup line;
  private final QueueFile file;

  /** The folder that each entry is written to, by its id. */
  private final Map<String, Path> targets = new ConcurrentHashMap<>();

  private volatile boolean closed;

  /**
   * The queue at a moment.
   *
   * @param active in the order in which they were started
   * @param waiting in the order in which they will start, paused ones among them
   */
  public record State(List<Item> active, List<Item> waiting) {}

  /**
   * An entry at a moment.
   *
   * @param url redacted
   * @param fileName empty until the source has told it
   * @param receivedBytes for an entry that waits, what it had received when it was stopped
   * @param rate in 10^6 bytes a second
   * @param eta seconds to the end; null if unknown
   * @param reason why it waits, where there is a reason besides its place
   */
  public record Item(
      String id,
      String url,
      String fileName,
      Phase phase,
      long receivedBytes,
      @Nullable Long totalBytes,
      double rate,
      @Nullable Double eta,
      int priority,
      boolean paused,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable String reason) {}

  /** The queue of this process; closes before the fetcher. */
  public DownloadQueue(Fetcher fetcher) {
    this.fetcher = fetcher;
    this.history = fetcher.history();
    this.file = new QueueFile(fetcher.home());
    this.line =
        new Lineup(
            fetcher.executor(),
            (job, download) -> fetcher.fetchInLine(job.request, download),
            () -> fetcher.options().maxParallelFiles(),
            0,
            FIRST_PAUSE,
            this::ended);
  }

  /**
   * Goes on with what this process or an earlier one has left: what belongs to the present model
   * folders and to no process that still runs.
   */
  public void takeUp() {
    file.claim(this::belongsHere, this::add);
    write();
  }

  private void add(List<Entry> entries) {
    List<Job> jobs = new ArrayList<>();
    for (Entry entry : entries) {
      FetchRequest request = entry.request();
      if (request == null) {
        history.ended(entry.id(), shown(entry), linkIsGone(entry.url()), Duration.ZERO);
        continue;
      }
      Path target = Path.of(entry.target());
      targets.put(entry.id(), target);
      FetchRequest fitting =
          target.equals(targetNow(request)) ? request : request.withDir(entry.target());
      jobs.add(new Job(entry.id(), fitting, entry.priority(), entry.paused()));
    }
    line.add(jobs);
  }

  private boolean belongsHere(Entry entry) {
    FetchRequest request = entry.request();
    if (request == null) {
      return true;
    }
    try {
      Path target = Path.of(entry.target());
      return target.equals(targetNow(request))
          || target.equals(fetcher.target(request.withDir(entry.target())));
    } catch (RuntimeException e) {
      return false; // outside the folders of this process
    }
  }

  private @Nullable Path targetNow(FetchRequest request) {
    try {
      return fetcher.target(request);
    } catch (InvalidParamsException | NotInitializedException | FetchException e) {
      return null;
    }
  }

  private static FetchRequest shown(Entry entry) {
    return new FetchRequest(entry.url(), null, null, null, null, null, null, null, null);
  }

  private static FetchException linkIsGone(String url) {
    return FetchException.because(
            FailureKind.AUTH,
            "The process was restarted, and the link of this download held a secret, which is"
                + " never written down.")
        .hint("Add the link again.")
        .url(url)
        .build();
  }

  /**
   * Adds a download; one that is in the queue already is not added twice.
   *
   * @param priority entries of a higher one start first; 0 is ordinary
   * @return its id
   * @throws InvalidParamsException if the request makes no sense
   * @throws FetchException {@code policy} for a folder outside the roots
   */
  public String enqueue(FetchRequest request, int priority) {
    Path target = fetcher.target(request);
    synchronized (this) {
      for (Lineup.State state : line.states()) {
        if (state.request().equals(request) && target.equals(targets.get(state.id()))) {
          return state.id();
        }
      }
      if (line.size() >= MOST_ENTRIES) {
        throw new InvalidParamsException(
            "The queue holds " + MOST_ENTRIES + " downloads; add more when some are done.");
      }
      String id = Fetcher.newId();
      targets.put(id, target);
      line.add(List.of(new Job(id, request, priority, false)));
      write();
      return id;
    }
  }

  /**
   * Adds a download again that failed or was cancelled.
   *
   * @throws InvalidParamsException if there is none, or its link held a secret that is gone
   */
  public String retry(String id) {
    FetchRequest request =
        history
            .requestOf(id)
            .orElseThrow(
                () ->
                    new InvalidParamsException(
                        history.contains(id)
                            ? "\""
                                + id
                                + "\" can't be repeated: it has not failed, or its link held a"
                                + " secret; add the link again."
                            : "No download \"" + id + "\" is in the history."));
    return enqueue(request, 0);
  }

  /** Stops entries, keeping what they have received; null means all. */
  public List<String> pause(@Nullable String id) {
    return change(id, line::pause);
  }

  /** Lets paused entries go on; null means all. */
  public List<String> resume(@Nullable String id) {
    return change(id, line::resume);
  }

  /** Takes an entry out of the queue; the history tells that it was cancelled. */
  public List<String> cancel(String id) {
    return change(id, line::cancel);
  }

  /**
   * Changes the place of an entry.
   *
   * @param to {@code top}, {@code up}, {@code down} or {@code bottom}
   */
  public List<String> move(String id, String to) {
    Move move;
    try {
      move = Move.valueOf(to.toUpperCase(Locale.ROOT));
    } catch (IllegalArgumentException e) {
      throw new InvalidParamsException(
          "\"to\" must be one of top, up, down and bottom, not \"" + to + "\".");
    }
    return change(id, each -> line.move(each, move));
  }

  private List<String> change(@Nullable String id, Function<String, Boolean> change) {
    List<String> asked =
        id != null ? List.of(id) : line.states().stream().map(Lineup.State::id).toList();
    List<String> changed = asked.stream().filter(change::apply).toList();
    if (id != null && changed.isEmpty()) {
      throw new InvalidParamsException("No download \"" + id + "\" is in the queue.");
    }
    write();
    return changed;
  }

  /** To be called when the number of files at a time has changed. */
  public void optionsChanged() {
    line.startDue();
  }

  /** The queue at this moment, without waiting. */
  public State state() {
    List<Item> active = new ArrayList<>();
    List<Item> waiting = new ArrayList<>();
    for (Lineup.State state : line.states()) {
      (state.isActive() ? active : waiting).add(item(state));
    }
    return new State(active, waiting);
  }

  private static Item item(Lineup.State state) {
    Progress progress = state.progress();
    if (progress == null) {
      Progress left = state.left();
      return new Item(
          state.id(),
          state.request().shownUrl(),
          left == null ? "" : left.fileName(),
          Phase.WAITING,
          left == null ? 0 : left.receivedBytes(),
          left == null ? null : left.totalBytes(),
          0,
          null,
          state.priority(),
          state.paused(),
          state.paused() ? "paused" : state.reason());
    }
    return new Item(
        state.id(),
        state.request().shownUrl(),
        progress.fileName(),
        progress.phase(),
        progress.receivedBytes(),
        progress.totalBytes(),
        progress.megabytesPerSecond(),
        progress.etaSeconds(),
        state.priority(),
        state.paused(),
        progress.reason());
  }

  private void ended(Job job, @Nullable FetchResult result, @Nullable RuntimeException failure) {
    if (result != null) {
      history.succeeded(job.id, job.request, result);
    } else {
      history.ended(
          job.id, job.request, failure == null ? new CancelledException() : failure, job.age());
    }
    targets.remove(job.id);
    write();
  }

  private void write() {
    if (!closed) {
      file.write(this::entries);
    }
  }

  private List<Entry> entries() {
    List<Entry> entries = new ArrayList<>();
    for (Lineup.State state : line.states()) {
      Path target = targets.get(state.id());
      if (target != null) {
        FetchRequest request = state.request();
        entries.add(
            new Entry(
                state.id(),
                file.owner(),
                target.toString(),
                request.shownUrl(),
                state.priority(),
                state.paused(),
                request.holdsSecret() ? null : request));
      }
    }
    return entries;
  }

  /** Stops what runs; everything stays for the next process. */
  @Override
  public void close() {
    closed = true;
    line.close();
    file.close();
  }
}
