package io.anymatix.fetcher.transfer;

import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.http.RequestGate.Site;
import io.anymatix.fetcher.http.RetryPolicy;
import java.time.Duration;
import java.util.Queue;
import org.jspecify.annotations.Nullable;

/**
 * One connection's worth of work: what it does now, and how it has fared. The coordinating thread's
 * own, but for {@code failure}, which its worker sets before it posts the lane as finished.
 */
final class Lane {
  /** What a connection above a server's limit rests at first; doubled each time. */
  private static final Duration FIRST_REST = Duration.ofSeconds(2);

  private static final int MOST_REST_DOUBLINGS = 5;

  RetryPolicy retry = new RetryPolicy();

  /** Where it fetches from, and from where next. */
  Replica replica;

  Replica next;
  @Nullable SegmentWorker worker;
  @Nullable Throwable failure;
  int resolution;
  int rangesRefused;
  int rests;
  long readyNanos = System.nanoTime();
  private boolean latencyTaken;

  /** What this lane's worker reads into, one worker after the other. */
  private byte @Nullable [] chunk;

  Lane(Replica replica) {
    this.replica = replica;
    this.next = replica;
  }

  /** Goes on elsewhere, if that was decided; returns false if there is nowhere to go on. */
  boolean changeSides() {
    if (next != replica) {
      replica = next;
      retry = new RetryPolicy();
      succeeded();
      readyNanos = System.nanoTime();
    }
    return !replica.isDropped();
  }

  /**
   * Sets a worker on a segment, in the background; the lane is in {@code finished} when it is done.
   *
   * @param site where its connection counts; given back when it has ended
   */
  void start(
      SegmentTable.Segment segment, Site site, Job job, PrefixHasher hasher, Queue<Lane> finished) {
    SegmentWorker started =
        new SegmentWorker(
            replica.reader(),
            replica.remote(),
            !replica.tagsDisagree(),
            job.part,
            hasher,
            segment,
            job.counters,
            job.bandwidth,
            job.takeOpening(segment.position()));
    resolution = replica.resolutions();
    latencyTaken = false;
    job.counters.waiting(null, null);
    job.executor.execute(
        () -> {
          try {
            started.run(chunk());
          } catch (RuntimeException | Error e) {
            failure = e;
          } finally {
            job.budget.giveBack(site);
            finished.add(this);
          }
        });
    // Only now, since nobody ends a worker that was refused.
    worker = started;
  }

  private byte[] chunk() {
    byte[] mine = chunk;
    if (mine == null) {
      mine = new byte[SegmentWorker.CHUNK_BYTES];
      chunk = mine;
    }
    return mine;
  }

  /** How long the running answer took to begin, once; zero if it has not, or was told already. */
  long takeLatencyNanos() {
    long nanos = worker == null || latencyTaken ? 0 : worker.latencyNanos();
    latencyTaken |= nanos > 0;
    return nanos;
  }

  /** Something arrived: earlier failures no longer count. */
  void succeeded() {
    retry.succeeded();
    rangesRefused = 0;
    rests = 0;
  }

  /** Rests for as long as the server said, or longer each time in a row. */
  void rest(FetchException failure) {
    Duration rest = FIRST_REST.multipliedBy(1L << Math.min(rests++, MOST_REST_DOUBLINGS));
    Duration told = failure.retryAfter();
    waitFor(told != null && told.compareTo(rest) > 0 ? told : rest);
  }

  void waitFor(Duration pause) {
    long ready = System.nanoTime() + pause.toNanos();
    readyNanos = ready - readyNanos > 0 ? ready : readyNanos;
  }
}
