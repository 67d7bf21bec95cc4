package io.anymatix.fetcher.transfer;

import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.http.RequestGate.Site;
import io.anymatix.fetcher.http.RetryPolicy;
import io.anymatix.fetcher.transfer.SegmentWorker.UnusableAnswer;
import io.anymatix.fetcher.transfer.SegmentWorker.UnusableAnswer.Reason;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The first tiers: hands out the missing segments to lanes, one connection each, and judges what
 * becomes of them. The coordinating thread's own.
 */
final class RangeTier {
  private static final Logger log = LoggerFactory.getLogger(RangeTier.class);

  static final long SMALLEST_SEGMENT_BYTES = 1L << 20;

  private static final long LARGEST_SEGMENT_BYTES = 64L << 20;

  /** A segment's length as long as no rate is known. */
  private static final long FIRST_SEGMENT_BYTES = 8L << 20;

  /** A segment is about this much work, so that requests are few and a hash can follow soon. */
  private static final double SEGMENT_SECONDS = 2;

  /** Waiting for its answer is to be a small part of a segment's time. */
  private static final int SEGMENT_LATENCIES = 8;

  /** How often the rate is looked at while it is found out how many connections pay. */
  private static final Duration TRIAL_INTERVAL = Duration.ofMillis(10);

  /** How often idle connections look whether a slow one can be relieved. */
  private static final Duration RELIEF_INTERVAL = Duration.ofMillis(100);

  /** A segment that ends within this time, or some answers' time, is not worth another request. */
  private static final double RELIEF_PATIENCE_SECONDS = 0.05;

  private static final int RELIEF_PATIENCE_LATENCIES = 4;

  /** After this many bytes a cut connection is opened again without a pause. */
  private static final long WORTHWHILE_BYTES = 256 * 1024;

  private final Job job;
  private final SegmentTable table;
  private final Checkpoints checkpoints;
  private final PrefixHasher hasher;
  private final ConnectionController controller;
  private final boolean parallel;
  private final List<Lane> lanes = new ArrayList<>();
  private final BlockingQueue<Lane> finished = new LinkedBlockingQueue<>();
  private @Nullable Reason rangesRefused;
  private int mostConnections;

  /** How long answers take to begin, smoothed. */
  private long latencyNanos;

  RangeTier(
      Job job,
      SegmentTable table,
      Checkpoints checkpoints,
      PrefixHasher hasher,
      Connections connections) {
    this.job = job;
    this.table = table;
    this.checkpoints = checkpoints;
    this.hasher = hasher;
    this.parallel = connections.most() > 1;
    this.controller =
        new ConnectionController(
            job.budget.found(), connections, RangeTier::processorNanos, System.nanoTime());
  }

  /** As the system counts it, some milliseconds at a time; zero where it does not. */
  private static long processorNanos() {
    Duration used = ProcessHandle.current().info().totalCpuDuration().orElse(Duration.ZERO);
    return used.toNanos() / Runtime.getRuntime().availableProcessors();
  }

  /** Connections that were at work at a time, at most. */
  int mostConnections() {
    return mostConnections;
  }

  /**
   * Fetches segments until all are there, or until no range is honoured any more.
   *
   * @return why no range is asked for any more; null if all is there
   */
  @Nullable Reason run() {
    job.budget.wish(controller.wanted());
    if (parallel) {
      job.part.spread(table.lengthBytes());
    }
    rangesRefused = null;
    lanes.clear();
    shareOut();
    Cancellation.Registration wake =
        job.cancellation.onCancel(() -> finished.add(new Lane(job.replicas.lead())));
    try {
      while (!table.isComplete() && rangesRefused == null) {
        job.cancellation.throwIfCancelled();
        boolean haveChanged = job.replicas.admit();
        haveChanged |= job.replicas.dropSlow(this::underWay, this::working);
        if (haveChanged) {
          shareOut();
        }
        assign();
        steer();
        checkpoints.takeIfDue();
        job.headLook.takeIfDue(table);
        Duration pause = controller.isTrying() ? TRIAL_INTERVAL : RELIEF_INTERVAL;
        Lane lane = finished.poll(pause.toMillis(), TimeUnit.MILLISECONDS);
        if (lane != null && lane.worker != null) {
          judge(lane, lane.worker);
        } else {
          flushSilent();
        }
      }
      return rangesRefused;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new CancelledException();
    } finally {
      wake.close();
      job.budget.remember(controller.finding());
      stop();
    }
  }

  /** What a connection brought before it fell silent counts as well. */
  private void flushSilent() {
    for (Lane lane : lanes) {
      if (lane.worker != null) {
        lane.worker.flush();
      }
    }
  }

  /** Looks at the rate, and opens more connections if they pay. */
  private void steer() {
    for (Lane lane : lanes) {
      long nanos = lane.takeLatencyNanos();
      if (nanos > 0) {
        latencyNanos = latencyNanos == 0 ? nanos : (3 * latencyNanos + nanos) / 4;
      }
    }
    int before = controller.wanted();
    long received = job.counters.transferredBytes();
    controller.sample(System.nanoTime(), received, working(), latencyNanos);
    if (controller.wanted() != before) {
      log.debug("{}: {} connections", job.fileName(), controller.wanted());
      job.budget.wish(controller.wanted());
      shareOut();
      assign();
    }
  }

  /**
   * Length of the next segment: some seconds' work, less towards the end, so that all connections
   * end together. Powers of two keep segments on the journal's grid.
   */
  private long segmentBytes() {
    double rate = controller.connectionRate();
    double latencySeconds = latencyNanos / 1e9;
    double work =
        rate == 0
            ? FIRST_SEGMENT_BYTES
            : rate * Math.max(SEGMENT_SECONDS, SEGMENT_LATENCIES * latencySeconds);
    double fairRest = table.unassignedBytes() / (2.0 * controller.wanted());
    double bytes = Math.max(Math.min(work, fairRest), rate * SEGMENT_LATENCIES * latencySeconds);
    long bounded = (long) Math.min(LARGEST_SEGMENT_BYTES, Math.max(SMALLEST_SEGMENT_BYTES, bytes));
    return Math.max(job.part.pieceBytes(), Long.highestOneBit(bounded));
  }

  private double reliefPatienceSeconds() {
    return Math.max(RELIEF_PATIENCE_SECONDS, RELIEF_PATIENCE_LATENCIES * latencyNanos / 1e9);
  }

  private void assign() {
    long now = System.nanoTime();
    int working = working();
    lanes.removeIf(lane -> lane.worker == null && !lane.changeSides());
    for (Lane lane : lanes) {
      if (lane.worker != null || lane.readyNanos > now) {
        continue;
      }
      if (working >= controller.wanted()) {
        return;
      }
      Site site = lane.replica.site();
      if (!job.budget.tryTake(site)) {
        job.dropOpening();
        return; // other files have the rest; asked again at the next look
      }
      SegmentTable.Segment segment = table.take(segmentBytes(), now);
      if (segment == null) {
        segment = table.relieve(reliefPatienceSeconds(), now);
      }
      if (segment == null) {
        job.budget.giveBack(site);
        return;
      }
      lane.start(segment, site, job, hasher, finished);
      mostConnections = Math.max(mostConnections, ++working);
    }
  }

  private int working() {
    return (int) lanes.stream().filter(lane -> lane.worker != null).count();
  }

  private void judge(Lane lane, SegmentWorker worker) {
    SegmentTable.Segment segment = worker.segment();
    SegmentTable.Segment rival = segment.rival();
    boolean broughtBytes = segment.receivedBytes() > 0;
    table.giveBack(segment);
    lane.worker = null;
    job.spoke(worker.isHttp2());
    if (broughtBytes) {
      lane.replica.received(segment.receivedBytes());
      lane.succeeded();
    }
    if (segment.remainingBytes() == 0 && rival != null) {
      abandon(rival);
    }
    Throwable failure = lane.failure;
    lane.failure = null;
    if (failure == null || worker.isAborted()) {
      return; // done, or its rival was faster
    }
    job.cancellation.throwIfCancelled();
    log.debug("{}: {}", job.fileName(), failure.getMessage());
    job.counters.retries.incrementAndGet();
    try {
      judge(lane, failure, segment.receivedBytes());
    } catch (FetchException | UnusableAnswer end) {
      job.goOnWithout(lane.replica, end);
      shareOut();
    }
  }

  private void judge(Lane lane, Throwable failure, long receivedBytes) {
    if (lane.replica.isDropped()) {
      return;
    }
    if (failure instanceof UnusableAnswer unusable) {
      judgeUnusable(lane, unusable);
    } else if (failure instanceof FetchException fetch) {
      judgeFailure(lane, fetch, receivedBytes);
    } else if (failure instanceof Error error) {
      throw error;
    } else {
      throw (RuntimeException) failure;
    }
  }

  private void judgeUnusable(Lane lane, UnusableAnswer failure) {
    boolean othersWork = isAtWork(lane.replica);
    if (failure.reason() == Reason.CONTENT_CHANGED) {
      judgeChange(lane, failure);
    } else if (!othersWork && job.replicas.live().size() > 1) {
      throw failure;
    } else if (!othersWork) {
      log.info("{}: {}", job.fileName(), failure.getMessage());
      rangesRefused = failure.reason();
    } else if (lane.rangesRefused < StreamTier.WARM_UP_PAUSES.size()) {
      waitFor(lane, StreamTier.WARM_UP_PAUSES.get(lane.rangesRefused++), failure);
    } else {
      // Some node of theirs does not know ranges; the others go on without this connection.
      lanes.remove(lane);
    }
  }

  /** Nodes may tag the same bytes differently: where the source states a hash, it decides. */
  private void judgeChange(Lane lane, UnusableAnswer failure) {
    Replica replica = lane.replica;
    if (replica.remote().sha256() == null) {
      throw failure;
    }
    // The others, too, may have asked before the source was last asked.
    if (lane.resolution == replica.resolutions()) {
      if (replica.tagsDisagree()) {
        throw failure;
      }
      replica.noteThatTagsDisagree();
      replica.resolve();
    }
  }

  private void judgeFailure(Lane lane, FetchException failure, long receivedBytes) {
    if (lane.replica.hasExpired(failure)) {
      // Once for all connections: the others fail with the address that they began with.
      if (lane.resolution == lane.replica.resolutions()) {
        lane.replica.resolve();
      }
      return;
    }
    boolean othersWork = isAtWork(lane.replica);
    if (RetryPolicy.isOverload(failure)) {
      judgeOverload(lane, failure, othersWork);
      return;
    }
    if (failure.kind() == FailureKind.NETWORK && receivedBytes >= WORTHWHILE_BYTES) {
      return;
    }
    Duration pause = lane.retry.pauseAfter(failure);
    if (pause != null) {
      waitFor(lane, pause, failure);
    } else if (othersWork && failure.retryable()) {
      lanes.remove(lane);
    } else {
      throw job.told(failure);
    }
  }

  /** Above the server's limit a connection rests, so that the others go on; alone, all wait. */
  private void judgeOverload(Lane lane, FetchException failure, boolean othersWork) {
    if (othersWork) {
      controller.refused(working(), System.nanoTime());
      lane.rest(failure);
      return;
    }
    Duration pause = lane.replica.overload().pauseAfter(failure);
    if (pause == null) {
      throw job.told(failure);
    }
    for (Lane each : lanes) {
      if (each.replica == lane.replica) {
        waitFor(each, pause, failure);
      }
    }
  }

  private boolean isAtWork(Replica replica) {
    return lanes.stream().anyMatch(lane -> lane.replica == replica && lane.worker != null);
  }

  private long working(Replica replica) {
    return lanes.stream().filter(lane -> lane.replica == replica && lane.worker != null).count();
  }

  private long underWay(Replica replica) {
    long bytes = 0;
    for (Lane lane : lanes) {
      if (lane.replica == replica && lane.worker != null) {
        bytes += lane.worker.segment().receivedBytes();
      }
    }
    return bytes;
  }

  /**
   * Deals the connections out evenly among the places. One that works for a place that was given
   * up, or that has too many, is ended: what it has received is kept, and the rest is fetched
   * elsewhere.
   */
  private void shareOut() {
    List<Replica> live = job.replicas.live();
    int wanted = controller.wanted();
    int fair = (wanted + live.size() - 1) / live.size();
    Map<Replica, Integer> dealt = new HashMap<>();
    for (Lane lane : lanes) {
      dealt.merge(lane.next, 1, Integer::sum);
      if (lane.replica.isDropped() && lane.worker != null) {
        lane.worker.abort();
      }
    }
    for (Replica replica : live) {
      int most = Math.min(fair, replica.maxConnections());
      for (int has = dealt.getOrDefault(replica, 0); has < most; has++) {
        Lane spare = spare(dealt, fair);
        if (spare != null) {
          dealt.merge(spare.next, -1, Integer::sum);
          spare.next = replica;
          if (spare.worker != null) {
            spare.worker.abort();
          }
        } else if (lanes.size() < wanted) {
          lanes.add(new Lane(replica));
        }
      }
    }
  }

  /** A connection of a place that was given up, or that has more than its fair share. */
  private @Nullable Lane spare(Map<Replica, Integer> dealt, int fair) {
    Lane spare = null;
    for (Lane lane : lanes) {
      if (lane.next.isDropped()) {
        return lane;
      }
      if (dealt.getOrDefault(lane.next, 0) > fair) {
        spare = lane;
      }
    }
    return spare;
  }

  private void abandon(SegmentTable.Segment segment) {
    for (Lane lane : lanes) {
      if (lane.worker != null && lane.worker.segment() == segment) {
        lane.worker.abort();
      }
    }
  }

  /** Ends all exchanges and waits until nobody writes any more. */
  private void stop() {
    for (Lane lane : lanes) {
      if (lane.worker != null) {
        lane.worker.abort();
      }
    }
    boolean interrupted = false;
    while (lanes.stream().anyMatch(lane -> lane.worker != null)) {
      try {
        Lane lane = finished.take();
        if (lane.worker != null) {
          lane.replica.received(lane.worker.segment().receivedBytes());
          table.giveBack(lane.worker.segment());
          lane.worker = null;
        }
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private void waitFor(Lane lane, Duration pause, RuntimeException failure) {
    lane.waitFor(pause);
    if (lanes.stream().noneMatch(each -> each.worker != null)) {
      job.counters.waiting(String.valueOf(failure.getMessage()), Instant.now().plus(pause));
    }
  }
}
