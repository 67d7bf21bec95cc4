package io.anymatix.fetcher.fetch;

import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import java.net.UnknownHostException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.IntSupplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * An ordered line of files, of which several are brought at a time: what the queue and a batch have
 * in common. One that fails for a while steps back and is tried again, while others go on.
 *
 * <p>Requests are tried again below this, by {@code RetryPolicy}, five times in a row without a
 * byte. What that takes for final although it passes, such as a name that can't be resolved yet
 * when a container starts, is tried {@value #MOST_REPEATS} more times here.
 *
 * <p>Methods may be called from any thread. The listener is called without a lock.
 */
final class Lineup {
  /** How often a file is tried again. */
  static final int MOST_REPEATS = 5;

  private static final Logger log = LoggerFactory.getLogger(Lineup.class);

  private final Executor executor;
  private final Bringer bringer;
  private final IntSupplier mostActive;
  private final int mostLight;
  private final Duration firstPause;
  private final Listener listener;
  private final Clock clock;

  /** Guarded by this: active ones among them, in order. */
  private final List<Job> jobs = new ArrayList<>();

  private int active;
  private int light;
  private boolean closed;

  /** When somebody comes back for those that pause; null before the first pause. */
  private @Nullable Long wakeNanos;

  /** Brings a file of the line; called again for one that has stepped back. */
  @FunctionalInterface
  interface Bringer {
    /** Blocks until the file is there. */
    FetchResult bring(Job job, Download download);
  }

  /** Hears of the ends. */
  @FunctionalInterface
  interface Listener {
    /**
     * A file has left the line.
     *
     * @param result null if it failed
     * @param failure null if it did not; a {@link CancelledException} if it was cancelled
     */
    void ended(Job job, @Nullable FetchResult result, @Nullable RuntimeException failure);
  }

  /** What pauses are measured by. */
  interface Clock {
    /** A time that only grows. */
    long nanos();

    /** Runs something later, on a thread of the executor. */
    void after(long nanos, Runnable action, Executor executor);

    /** The time that passes. */
    Clock REAL =
        new Clock() {
          @Override
          public long nanos() {
            return System.nanoTime();
          }

          @Override
          public void after(long nanos, Runnable action, Executor executor) {
            CompletableFuture.delayedExecutor(nanos, TimeUnit.NANOSECONDS, executor)
                .execute(action);
          }
        };
  }

  /** One file of the line. Its changing fields are guarded by the line. */
  static final class Job {
    final String id;
    final FetchRequest request;
    final long startedNanos = System.nanoTime();
    private int priority;
    private boolean paused;
    private boolean cancelled;
    private int repeats;
    private long readyNanos;
    private final boolean isLight;
    private @Nullable Download download;
    private @Nullable Progress left;
    private volatile @Nullable String reason;

    Job(String id, FetchRequest request, int priority, boolean paused) {
      this(id, request, priority, paused, false);
    }

    /**
     * @param isLight whether one request at most brings it, so that many may be brought at a time
     */
    Job(String id, FetchRequest request, int priority, boolean paused, boolean isLight) {
      this.isLight = isLight;
      this.id = id;
      this.request = request;
      this.priority = priority;
      this.paused = paused;
    }

    Duration age() {
      return Duration.ofNanos(System.nanoTime() - startedNanos);
    }
  }

  /**
   * One file of the line, at a moment.
   *
   * @param progress null while it is not being brought
   * @param left how far it came when it was last brought; null if it never was
   * @param reason why it waits, where there is a reason besides its place
   */
  record State(
      String id,
      FetchRequest request,
      int priority,
      boolean paused,
      @Nullable Progress progress,
      @Nullable Progress left,
      @Nullable String reason) {
    boolean isActive() {
      return progress != null;
    }
  }

  /** Where a file is moved to. */
  enum Move {
    TOP,
    UP,
    DOWN,
    BOTTOM
  }

  /**
   * @param executor brings the files; must never queue
   * @param mostActive files at a time; asked whenever one could start
   * @param mostLight light files at a time, beside the others
   * @param firstPause before a failed file is tried again; doubled each time
   */
  Lineup(
      Executor executor,
      Bringer bringer,
      IntSupplier mostActive,
      int mostLight,
      Duration firstPause,
      Listener listener) {
    this(executor, bringer, mostActive, mostLight, firstPause, listener, Clock.REAL);
  }

  /** With another clock, for tests that drive it by hand. */
  Lineup(
      Executor executor,
      Bringer bringer,
      IntSupplier mostActive,
      int mostLight,
      Duration firstPause,
      Listener listener,
      Clock clock) {
    this.clock = clock;
    this.executor = executor;
    this.bringer = bringer;
    this.mostActive = mostActive;
    this.mostLight = mostLight;
    this.firstPause = firstPause;
    this.listener = listener;
  }

  /** Adds files behind the last one of at least their priority. */
  void add(Collection<Job> added) {
    synchronized (this) {
      for (Job job : added) {
        job.readyNanos = clock.nanos();
        int at = jobs.size();
        while (at > 0 && jobs.get(at - 1).priority < job.priority) {
          at--;
        }
        jobs.add(at, job);
      }
    }
    startDue();
  }

  synchronized List<State> states() {
    return jobs.stream()
        .map(
            job ->
                new State(
                    job.id,
                    job.request,
                    job.priority,
                    job.paused,
                    job.download == null ? null : job.download.snapshot(),
                    job.left,
                    job.reason))
        .toList();
  }

  synchronized boolean isEmpty() {
    return jobs.isEmpty();
  }

  synchronized int size() {
    return jobs.size();
  }

  synchronized int active() {
    return active + light;
  }

  /** Starts what may start: after a change that this class can't see, such as of the options. */
  void startDue() {
    List<Job> starting = new ArrayList<>();
    synchronized (this) {
      long now = clock.nanos();
      long shortestPauseNanos = Long.MAX_VALUE;
      for (Job job : jobs) {
        boolean isFull = active >= Math.max(1, mostActive.getAsInt());
        boolean isLightFull = light >= mostLight;
        if (closed || (isFull && isLightFull)) {
          break;
        }
        if (job.isLight ? isLightFull : isFull) {
          continue;
        }
        if (job.download != null || job.paused || job.cancelled) {
          continue;
        }
        if (job.readyNanos - now > 0) {
          shortestPauseNanos = Math.min(shortestPauseNanos, job.readyNanos - now);
          continue;
        }
        job.download = new Download();
        count(job, 1);
        starting.add(job);
      }
      wakeAfter(shortestPauseNanos, now);
    }
    for (Job job : starting) {
      try {
        executor.execute(() -> run(job));
      } catch (RejectedExecutionException e) {
        return; // the process is ending
      }
    }
  }

  /** With the lock: comes back at the end of a pause, unless that is arranged. */
  private void wakeAfter(long pauseNanos, long now) {
    Long arranged = wakeNanos;
    if (pauseNanos == Long.MAX_VALUE
        || (arranged != null && arranged - now > 0 && arranged - now <= pauseNanos)) {
      return;
    }
    wakeNanos = now + pauseNanos;
    clock.after(pauseNanos, this::startDue, executor);
  }

  private void run(Job job) {
    Download download;
    synchronized (this) {
      download = job.download;
    }
    if (download == null) {
      return;
    }
    FetchResult result = null;
    RuntimeException failure = null;
    try {
      result = bringer.bring(job, download);
    } catch (RuntimeException e) {
      failure = e;
    }
    boolean ended;
    synchronized (this) {
      job.download = null;
      job.left = download.snapshot();
      count(job, -1);
      ended = !closed && (result != null || job.cancelled || !staysInLine(job, failure));
      if (ended) {
        jobs.remove(job);
      }
    }
    if (ended) {
      tell(job, result, result == null && job.cancelled ? new CancelledException() : failure);
    }
    startDue();
  }

  /** With the lock. */
  private void count(Job job, int change) {
    if (job.isLight) {
      light += change;
    } else {
      active += change;
    }
  }

  private void tell(Job job, @Nullable FetchResult result, @Nullable RuntimeException failure) {
    try {
      listener.ended(job, result, failure);
    } catch (RuntimeException e) {
      log.error("An end could not be told.", e);
    }
  }

  /** With the lock: whether a file that was not brought waits for another turn. */
  private boolean staysInLine(Job job, @Nullable RuntimeException failure) {
    if (job.paused) {
      return true;
    }
    if (failure instanceof CancelledException) {
      job.readyNanos = clock.nanos() + firstPause.toNanos();
      return true; // by nobody's wish: the process is ending
    }
    if (failure instanceof FetchException fetch && passes(fetch) && job.repeats < MOST_REPEATS) {
      Duration pause = firstPause.multipliedBy(1L << job.repeats++);
      job.readyNanos = clock.nanos() + pause.toNanos();
      job.reason = fetch.getMessage();
      return true;
    }
    return false;
  }

  /** Whether a failure that was not tried again below may pass by itself. */
  private static boolean passes(FetchException failure) {
    return failure.kind() == FailureKind.NETWORK
        && failure.getCause() instanceof UnknownHostException;
  }

  /** Stops a file, or keeps it from starting; what it has received is kept. */
  boolean pause(String id) {
    Download running;
    synchronized (this) {
      Job job = find(id);
      if (job == null || job.cancelled) {
        return false;
      }
      job.paused = true;
      running = job.download;
    }
    if (running != null) {
      running.cancel();
    }
    return true;
  }

  boolean resume(String id) {
    synchronized (this) {
      Job job = find(id);
      if (job == null || job.cancelled) {
        return false;
      }
      job.paused = false;
      job.readyNanos = clock.nanos();
    }
    startDue();
    return true;
  }

  /** Takes a file out of the line, also while it is being brought. */
  boolean cancel(String id) {
    Job job;
    Download running;
    synchronized (this) {
      job = find(id);
      if (job == null || job.cancelled) {
        return false;
      }
      job.cancelled = true;
      running = job.download;
      if (running == null) {
        jobs.remove(job);
      }
    }
    if (running != null) {
      running.cancel();
    } else {
      tell(job, null, new CancelledException());
    }
    return true;
  }

  /** Changes the place of a file among those that wait; one that runs goes on. */
  synchronized boolean move(String id, Move move) {
    Job job = find(id);
    if (job == null) {
      return false;
    }
    int from = jobs.indexOf(job);
    int to =
        switch (move) {
          case TOP -> 0;
          case UP -> nextWaiting(from, -1);
          case DOWN -> nextWaiting(from, 1);
          case BOTTOM -> jobs.size() - 1;
        };
    jobs.remove(from);
    jobs.add(to, job);
    // So that whatever is added later finds the line in order of priority.
    if (to < from) {
      job.priority = Math.max(job.priority, jobs.get(to + 1).priority);
    } else if (to > from) {
      job.priority = Math.min(job.priority, jobs.get(to - 1).priority);
    }
    return true;
  }

  /** With the lock: the place of the next one in a direction that does not run. */
  private int nextWaiting(int from, int step) {
    for (int at = from + step; at >= 0 && at < jobs.size(); at += step) {
      if (jobs.get(at).download == null) {
        return at;
      }
    }
    return from;
  }

  private @Nullable Job find(String id) {
    return jobs.stream().filter(job -> job.id.equals(id)).findFirst().orElse(null);
  }

  /** Starts nothing any more and stops what runs; nothing is told of what had not ended. */
  void close() {
    List<Download> running = new ArrayList<>();
    synchronized (this) {
      closed = true;
      for (Job job : jobs) {
        if (job.download != null) {
          running.add(job.download);
        }
      }
    }
    running.forEach(Download::cancel);
  }
}
