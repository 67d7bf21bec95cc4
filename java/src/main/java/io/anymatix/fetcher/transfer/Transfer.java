package io.anymatix.fetcher.transfer;

import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.content.ByteRange;
import io.anymatix.fetcher.content.ContentDigest;
import io.anymatix.fetcher.content.ContentKey;
import io.anymatix.fetcher.content.ContentRange;
import io.anymatix.fetcher.content.HttpUrl;
import io.anymatix.fetcher.content.RemoteFile;
import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.http.Answer;
import io.anymatix.fetcher.http.Probe;
import io.anymatix.fetcher.http.RemoteReader;
import io.anymatix.fetcher.http.RemoteRequest;
import io.anymatix.fetcher.http.RetryPolicy;
import io.anymatix.fetcher.store.Journal.CoveredRange;
import io.anymatix.fetcher.store.Journal.Identity;
import io.anymatix.fetcher.store.PartFile;
import io.anymatix.fetcher.transfer.SegmentWorker.UnusableAnswer;
import io.anymatix.fetcher.transfer.SegmentWorker.UnusableAnswer.Reason;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Executor;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.function.ToIntFunction;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Brings a remote file into a part file, and hashes it.
 *
 * <p>Three tiers, with descent from one to the next: ranges over several HTTP/2 connections, where
 * the server offers it; ranges over several HTTP/1.1 connections; one stream. A stream fills what
 * is missing, and gives way to ranges once they are honoured, so that no byte is lost on the way
 * down or up. The calling thread coordinates: it alone hands out segments and judges failures,
 * workers post what became of theirs. One object brings one file once.
 */
public final class Transfer {
  private static final Logger log = LoggerFactory.getLogger(Transfer.class);

  /**
   * What one worker is given at a time, in bytes: several round trips' worth, and hashable soon.
   */
  private static final long LARGEST_SEGMENT_BYTES = 16L << 20;

  private static final long SMALLEST_SEGMENT_BYTES = 1L << 20;

  private static final Duration CHECKPOINT_INTERVAL = Duration.ofSeconds(5);

  /** How often idle connections look whether a slow one can be relieved. */
  private static final Duration RELIEF_INTERVAL = Duration.ofMillis(100);

  /** A segment that ends within this time is not worth another request. */
  private static final double RELIEF_PATIENCE_SECONDS = 0.3;

  /** Cold files at some storage hosts answer their first ranges with the whole file. */
  private static final List<Duration> WARM_UP_PAUSES =
      List.of(1, 2, 3, 5, 8).stream().map(Duration::ofSeconds).toList();

  /** A source is asked again this often in a row without a byte in between. */
  private static final int MOST_FRUITLESS_RESOLUTIONS = 10;

  /** After this many bytes a cut connection is opened again without a pause. */
  private static final long WORTHWHILE_BYTES = 256 * 1024;

  /** What a connection above a server's limit rests at first; doubled each time. */
  private static final Duration FIRST_REST = Duration.ofSeconds(2);

  private static final int MOST_REST_DOUBLINGS = 5;

  /** What is read again of an earlier attempt's bytes that nothing else identifies. */
  private static final int CHECKED_BYTES = 64 * 1024;

  private final RemoteReader reader;
  private final PartFile part;
  private final int maxConnections;
  private final Counters counters;
  private final Throttle.Share bandwidth;
  private final ConnectionBudget.Share budget;
  private final Cancellation cancellation;
  private final Executor executor;

  private final Replica source;
  private Replicas replicas;
  private boolean droppedFoundBytes;
  private boolean startedOver;
  private boolean keepsChanging;
  private boolean sawHttp2;

  /**
   * Another link to the same bytes.
   *
   * @param host the link's host
   * @param resolve asks its source
   * @param maxConnections connections at most, once it is known what it leads to
   */
  public record Mirror(
      String host,
      Function<Cancellation, RemoteFile> resolve,
      ToIntFunction<RemoteFile> maxConnections) {}

  /**
   * What came from one host.
   *
   * @param droppedBecause why it was given up; null if it was not
   */
  public record Share(String host, long bytes, @Nullable String droppedBecause) {}

  /**
   * What a transfer ended with.
   *
   * @param authentic false if the key of an encrypted file says that these are other bytes
   * @param connections connections that were used at a time, at most; 0 if every byte was there
   * @param http2 whether they spoke HTTP/2
   * @param startedOver whether bytes that were there were dropped, since the content had changed or
   *     nothing proved them
   * @param shares what came from which host, the source's first; empty without mirrors
   */
  public record Result(
      long lengthBytes,
      Sha256 sha256,
      boolean authentic,
      int connections,
      boolean http2,
      boolean startedOver,
      List<Share> shares) {

    /** Whether bytes came from elsewhere than from the source. */
    public boolean isFromMirrors() {
      return shares.stream().skip(1).anyMatch(share -> share.bytes() > 0);
    }

    /** The same, after bytes put together before had turned out not to fit. */
    public Result afterStartingOver(Result before) {
      List<Share> told = new ArrayList<>();
      for (Share share : before.shares) {
        boolean isSource = told.isEmpty();
        boolean isSuspect = !isSource && share.droppedBecause() == null;
        told.add(
            new Share(
                share.host(),
                isSource ? lengthBytes : 0,
                isSuspect
                    ? "put together with its bytes the file was wrong"
                    : isSource ? null : share.droppedBecause()));
      }
      return new Result(lengthBytes, sha256, authentic, connections, http2, true, told);
    }
  }

  /**
   * Prepares a transfer.
   *
   * @param remote the file as resolved
   * @param resolveAgain resolves the same file anew, for when its address has expired
   * @param maxConnections connections at most
   * @param bandwidth this file's part of the limit
   * @param budget this file's part of all connections
   * @param executor runs workers; must never queue
   */
  public Transfer(
      RemoteReader reader,
      RemoteFile remote,
      Supplier<RemoteFile> resolveAgain,
      PartFile part,
      int maxConnections,
      Counters counters,
      Throttle.Share bandwidth,
      ConnectionBudget.Share budget,
      Cancellation cancellation,
      Executor executor) {
    this.reader = reader;
    this.part = part;
    this.maxConnections = maxConnections;
    this.counters = counters;
    this.bandwidth = bandwidth;
    this.budget = budget;
    this.cancellation = cancellation;
    this.executor = executor;
    this.source =
        new Replica(
            remote.location().host(),
            remote,
            () -> RetryPolicy.run(resolveAgain, cancellation, counters::waiting),
            maxConnections);
    this.replicas = replicas(List.of(), false);
  }

  /**
   * Lets ranges come from other links to the same bytes as well. Each is tried without holding up
   * the others, and given up if it is wrong, far slower than the others, or fails.
   *
   * @param provable whether a hash is known that the whole will be held against
   */
  public Transfer alsoFrom(List<Mirror> mirrors, boolean provable) {
    replicas = replicas(mirrors, provable);
    return this;
  }

  private Replicas replicas(List<Mirror> mirrors, boolean provable) {
    String name = part.finalPath().getFileName().toString();
    return new Replicas(name, source, mirrors, provable, cancellation, executor);
  }

  private RemoteFile remote() {
    return replicas.lead().remote();
  }

  /**
   * Runs until the part file holds every byte.
   *
   * @throws FetchException if it can't be brought; what was received is kept for a resume
   * @throws CancelledException at the cancellation; likewise
   */
  public Result run() {
    try {
      return untilComplete();
    } finally {
      replicas.close();
    }
  }

  private Result untilComplete() {
    while (true) {
      try {
        Long length = remote().lengthBytes();
        return length == null || length == 0 || keepsChanging ? inOneAnswer() : inSegments(length);
      } catch (UnusableAnswer e) {
        startOver();
      } catch (RejectedExecutionException e) {
        throw new CancelledException(); // the process is ending
      }
    }
  }

  /** Drops the bytes of another content, and asks the source what it serves now. */
  private void startOver() {
    part.discard();
    if (startedOver) {
      // It changes all the time: one answer is consistent with itself, two need not be.
      keepsChanging = true;
    } else {
      startedOver = true;
      replicas.lead().askSource();
    }
  }

  /** A file of known length: its bytes come in any order, from several answers. */
  private Result inSegments(long length) {
    List<CoveredRange> trusted = trusted(length);
    int connections =
        length < Config.PARALLEL_MINIMUM_BYTES
            ? 1
            : (int) Math.min(maxConnections, Math.max(1, length / SMALLEST_SEGMENT_BYTES));
    SegmentTable table = new SegmentTable(length, trusted);
    part.requireSpace(table.missingBytes());
    part.begin(length, replicas.lead().identity(), trusted);
    counters.begin(length - table.missingBytes(), () -> length - table.missingBytes());
    PrefixHasher hasher =
        new PrefixHasher(
            part,
            length,
            proofKey(),
            table::contiguousPrefixBytes,
            counters,
            cancellation,
            executor);
    try {
      replicas.ask();
      int used = new Coordinator(table, length, connections).run();
      return result(length, hasher.await(), used);
    } catch (FetchException failure) {
      throw replicas.told(failure);
    } finally {
      hasher.abandon();
    }
  }

  /** What proves the whole beside its hash: the key of the link that was asked for. */
  private @Nullable ContentKey proofKey() {
    return source.remote().delivery().key();
  }

  private Result result(long lengthBytes, ContentDigest.Result digest, int connections) {
    return new Result(
        lengthBytes,
        digest.sha256(),
        digest.authentic(),
        connections,
        sawHttp2,
        startedOver || droppedFoundBytes,
        replicas.shares());
  }

  /**
   * The bytes of an earlier attempt that count. Where neither a hash nor a strong validator ties
   * them to what the server has now, their last block is read again.
   */
  private List<CoveredRange> trusted(long length) {
    boolean foundBytes = part.lengthBytes() > 0;
    List<CoveredRange> trusted = part.trusted(length, replicas.lead().identity());
    droppedFoundBytes |= foundBytes && trusted.isEmpty();
    boolean identified =
        remote().sha256() != null
            || remote().delivery().key() != null
            || remote().validator().isStrong();
    if (trusted.isEmpty() || identified || !remote().rangesProven()) {
      return trusted;
    }
    CoveredRange first = trusted.get(0);
    ByteRange block =
        new ByteRange(Math.max(first.first(), first.end() - CHECKED_BYTES), first.end() - 1);
    boolean same = RetryPolicy.run(() -> isOnDisk(block), cancellation, counters::waiting);
    if (same) {
      return trusted;
    }
    log.info("{}: what is there is of other content", part.finalPath().getFileName());
    part.discard();
    droppedFoundBytes = true;
    return List.of();
  }

  /** Whether the server has the same bytes there; an answer that does not tell is no objection. */
  private boolean isOnDisk(ByteRange block) {
    try (Answer answer =
        reader.open(
            new RemoteRequest(remote().location(), remote().credentials(), block, null),
            cancellation)) {
      ContentRange range = answer.contentRange();
      if (answer.status() != 206 || range == null || !block.equals(range.range())) {
        return true;
      }
      byte[] there = new byte[(int) block.lengthBytes()];
      int filled = 0;
      for (int n = 0; n >= 0 && filled < there.length; filled += Math.max(n, 0)) {
        n = answer.read(there, filled, there.length - filled);
      }
      counters.transferredBytes.add(filled);
      return isOnDisk(there, filled, block.first());
    }
  }

  private boolean isOnDisk(byte[] bytes, int length, long position) {
    ByteBuffer there = ByteBuffer.allocate(length);
    while (there.hasRemaining()) {
      if (part.read(there, position + there.position()) < 0) {
        return false;
      }
    }
    return Arrays.equals(bytes, 0, length, there.array(), 0, length);
  }

  /**
   * Fills the table: hands out segments to lanes, one connection each, and where no range is
   * honoured reads the whole in one stream.
   */
  private final class Coordinator {
    private final SegmentTable table;
    private final long segmentBytes;
    private final List<Lane> lanes = new ArrayList<>();
    private final BlockingQueue<Lane> finished = new LinkedBlockingQueue<>();
    private final long length;
    private final int connections;

    /** Why ranges are no longer asked for; null as long as they are. */
    private volatile @Nullable Reason rangesRefused;

    private int rangesAskedAgain;
    private final RetryPolicy streamRetry = new RetryPolicy();
    private long missingBytesBefore;
    private long nextCheckpointNanos = System.nanoTime() + CHECKPOINT_INTERVAL.toNanos();
    private CompletableFuture<Void> checkpoint = CompletableFuture.completedFuture(null);

    Coordinator(SegmentTable table, long lengthBytes, int connections) {
      this.table = table;
      this.length = lengthBytes;
      this.connections = connections;
      this.missingBytesBefore = table.missingBytes();
      long wanted =
          Math.min(
              LARGEST_SEGMENT_BYTES,
              Math.max(SMALLEST_SEGMENT_BYTES, lengthBytes / (2L * connections)));
      long piece = part.pieceBytes();
      this.segmentBytes = (wanted + piece - 1) / piece * piece;
    }

    /** Returns the number of connections that were used. */
    int run() {
      int used = 0;
      try {
        boolean inRanges = remote().rangesProven();
        while (!table.isComplete()) {
          used = Math.max(used, inRanges ? connections : 1);
          if (inRanges) {
            inRanges();
          } else {
            inStreamOrElsewhere();
          }
          inRanges = !inRanges;
        }
        return used;
      } finally {
        counters.waiting(null, null);
        leaveInOrder();
      }
    }

    /** Fetches segments until all are there, or until no range is honoured any more. */
    private void inRanges() {
      budget.wish(connections);
      if (connections > 1) {
        part.spread(length);
      }
      rangesRefused = null;
      lanes.clear();
      shareOut();
      Cancellation.Registration wake =
          cancellation.onCancel(() -> finished.add(new Lane(replicas.lead())));
      try {
        while (!table.isComplete() && rangesRefused == null) {
          cancellation.throwIfCancelled();
          boolean haveChanged = replicas.admit();
          haveChanged |= replicas.dropSlow(this::underWay, this::working);
          if (haveChanged) {
            shareOut();
          }
          assign();
          checkpointIfDue();
          Lane lane = finished.poll(RELIEF_INTERVAL.toMillis(), TimeUnit.MILLISECONDS);
          if (lane != null && lane.worker != null) {
            judge(lane, lane.worker);
          }
        }
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new CancelledException();
      } finally {
        wake.close();
        stop();
      }
    }

    /** Reads the whole; if that fails for good, returns if a mirror can go on in ranges. */
    private void inStreamOrElsewhere() {
      try {
        inStream();
      } catch (FetchException failure) {
        goOnWithout(replicas.lead(), failure);
      }
    }

    /**
     * Reads the whole and keeps what was missing, while it is asked in the background whether
     * ranges are honoured by now; ends when they are, or when all is there.
     */
    private void inStream() {
      budget.wish(1);
      WholeStream stream = new WholeStream(reader, counters, bandwidth);
      while (true) {
        RangeWatch watch = new RangeWatch();
        try (watch) {
          stream.read(remote(), false, this::keep, watch.untilHonoured);
          return;
        } catch (CancelledException e) {
          cancellation.throwIfCancelled();
          return;
        } catch (FetchException failure) {
          if (watch.honoured) {
            return;
          }
          if (table.missingBytes() < missingBytesBefore) {
            streamRetry.succeeded();
          }
          missingBytesBefore = table.missingBytes();
          pauseAfter(failure, streamRetry);
        } finally {
          sawHttp2 |= stream.isHttp2();
        }
        if (areRangesHonoured(cancellation)) {
          return;
        }
      }
    }

    /** Keeps what is missing of a stream's bytes; the others must be what is there already. */
    private void keep(byte[] buffer, int length, long position) {
      long checked = position;
      for (CoveredRange missing : table.missingWithin(position, position + length)) {
        requireOnDisk(buffer, position, checked, missing.first());
        int offset = (int) (missing.first() - position);
        int bytes = (int) (missing.end() - missing.first());
        part.write(ByteBuffer.wrap(buffer, offset, bytes), missing.first());
        replicas.lead().received(bytes);
        checked = missing.end();
      }
      requireOnDisk(buffer, position, checked, position + length);
      table.cover(position, position + length);
      checkpointIfDue();
    }

    private void requireOnDisk(byte[] buffer, long position, long first, long end) {
      int from = (int) (first - position);
      int to = (int) (end - position);
      if (from < to && !isOnDisk(Arrays.copyOfRange(buffer, from, to), to - from, first)) {
        throw UnusableAnswer.contentChanged(remote());
      }
    }

    /** Whether the server now answers a range with exactly those bytes of the same content. */
    private boolean areRangesHonoured(Cancellation until) {
      RemoteFile asked = remote();
      RemoteRequest request = new RemoteRequest(asked.location(), asked.credentials(), null, null);
      try {
        if (asked.delivery().rangesInPath()) {
          return reader.probeInPath(request, until).rangesProven();
        }
        Probe probe = reader.probe(request, until);
        Identity now = new Identity(probe.validator(), asked.sha256());
        return probe.rangesProven()
            && asked.lengthBytes() != null
            && asked.lengthBytes().equals(probe.lengthBytes())
            && now.mayBeSame(new Identity(asked.validator(), asked.sha256()));
      } catch (FetchException e) {
        return false;
      }
    }

    /** Asks again and again whether ranges are honoured, and ends the stream once they are. */
    private final class RangeWatch implements AutoCloseable {
      private final Cancellation untilHonoured = new Cancellation();
      private final Cancellation.Registration link = cancellation.onCancel(untilHonoured::cancel);
      private final CompletableFuture<Void> watching =
          CompletableFuture.runAsync(this::watch, executor);
      private volatile boolean honoured;

      private void watch() {
        // Who sends wrong ranges will not learn better; who ignored them may only be cold.
        boolean mayBeCold = rangesRefused == null || rangesRefused == Reason.RANGE_IGNORED;
        while (mayBeCold && rangesAskedAgain < WARM_UP_PAUSES.size()) {
          untilHonoured.sleep(WARM_UP_PAUSES.get(rangesAskedAgain++));
          if (areRangesHonoured(untilHonoured)) {
            honoured = true;
            untilHonoured.cancel();
          }
        }
      }

      @Override
      public void close() {
        link.close();
        untilHonoured.cancel();
        watching.handle((nothing, error) -> true).join();
      }
    }

    private void assign() {
      long now = System.nanoTime();
      lanes.removeIf(lane -> lane.worker == null && !lane.changeSides());
      for (Lane lane : lanes) {
        if (lane.worker != null || lane.readyNanos > now) {
          continue;
        }
        if (!budget.tryTake()) {
          return; // other files have the rest; asked again at the next look
        }
        SegmentTable.Segment segment = table.take(segmentBytes, now);
        if (segment == null) {
          segment = table.relieve(RELIEF_PATIENCE_SECONDS, now);
        }
        if (segment == null) {
          budget.giveBack();
          return;
        }
        lane.start(segment);
      }
    }

    private void judge(Lane lane, SegmentWorker worker) {
      SegmentTable.Segment segment = worker.segment();
      SegmentTable.Segment rival = segment.rival();
      boolean broughtBytes = segment.receivedBytes() > 0;
      table.giveBack(segment);
      lane.worker = null;
      sawHttp2 |= worker.isHttp2();
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
      cancellation.throwIfCancelled();
      log.debug("{}: {}", part.finalPath().getFileName(), failure.getMessage());
      counters.retries.incrementAndGet();
      try {
        judge(lane, failure, segment.receivedBytes());
      } catch (FetchException | UnusableAnswer end) {
        goOnWithout(lane.replica, end);
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
      } else if (!othersWork && replicas.live().size() > 1) {
        throw failure;
      } else if (!othersWork) {
        log.info("{}: {}", part.finalPath().getFileName(), failure.getMessage());
        rangesRefused = failure.reason();
      } else if (lane.rangesRefused < WARM_UP_PAUSES.size()) {
        lane.waitFor(WARM_UP_PAUSES.get(lane.rangesRefused++), failure.getMessage());
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
      if (isExpiredLink(lane.replica, failure)) {
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
      // A single reset may befall anyone; twice in a row without a byte is a reason to descend.
      boolean isBroken = failure.retryable() && failure.status() == null;
      HttpUrl location = lane.replica.remote().location();
      if (isBroken && receivedBytes == 0 && ++lane.fruitless > 1 && location.isHttps()) {
        reader.avoidHttp2(location);
      }
      Duration pause = lane.retry.pauseAfter(failure);
      if (pause != null) {
        lane.waitFor(pause, failure.getMessage());
      } else if (othersWork && failure.retryable()) {
        lanes.remove(lane);
      } else {
        throw told(failure);
      }
    }

    /** Above the server's limit a connection rests, so that the others go on; alone, all wait. */
    private void judgeOverload(Lane lane, FetchException failure, boolean othersWork) {
      if (othersWork) {
        lane.rest(failure);
        return;
      }
      Duration pause = lane.replica.overload().pauseAfter(failure);
      if (pause == null) {
        throw told(failure);
      }
      for (Lane each : lanes) {
        if (each.replica == lane.replica) {
          each.waitFor(pause, failure.getMessage());
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
      List<Replica> live = replicas.live();
      int fair = (connections + live.size() - 1) / live.size();
      Map<Replica, Integer> dealt = new HashMap<>();
      for (Lane lane : lanes) {
        dealt.merge(lane.next, 1, Integer::sum);
        if (lane.replica.isDropped() && lane.worker != null) {
          lane.worker.abort();
        }
      }
      for (Replica replica : live) {
        int wanted = Math.min(fair, replica.maxConnections());
        for (int has = dealt.getOrDefault(replica, 0); has < wanted; has++) {
          Lane spare = spare(dealt, fair);
          if (spare != null) {
            dealt.merge(spare.next, -1, Integer::sum);
            spare.next = replica;
            if (spare.worker != null) {
              spare.worker.abort();
            }
          } else if (lanes.size() < connections) {
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

    /**
     * Gives up a place that failed for good, if another one can go on.
     *
     * @throws FetchException the failure, if no other can
     * @throws UnusableAnswer likewise, and if the content itself has changed
     */
    private void goOnWithout(Replica replica, RuntimeException failure) {
      boolean isOtherContent =
          failure instanceof UnusableAnswer unusable
              && unusable.reason() == Reason.CONTENT_CHANGED
              && replica == replicas.lead();
      if (isOtherContent || !replicas.goesOnWithout(replica, failure)) {
        throw failure;
      }
      shareOut();
    }

    private void abandon(SegmentTable.Segment segment) {
      for (Lane lane : lanes) {
        if (lane.worker != null && lane.worker.segment() == segment) {
          lane.worker.abort();
        }
      }
    }

    /** Forces what has arrived in the background, so that a power cut costs little. */
    private void checkpointIfDue() {
      long now = System.nanoTime();
      if (!checkpoint.isDone() || now < nextCheckpointNanos) {
        return;
      }
      awaitCheckpoint();
      nextCheckpointNanos = now + CHECKPOINT_INTERVAL.toNanos();
      checkpoint = CompletableFuture.runAsync(() -> part.checkpoint(table.covered()), executor);
    }

    private void awaitCheckpoint() {
      try {
        checkpoint.join();
      } catch (CompletionException e) {
        throw e.getCause() instanceof RuntimeException cause ? cause : e;
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

    /** What is there is claimed for the next attempt; a part without a byte is nothing to keep. */
    private void leaveInOrder() {
      try {
        awaitCheckpoint();
        if (table.covered().isEmpty()) {
          part.discard();
        } else if (!table.isComplete()) {
          part.checkpoint(table.covered());
        }
      } catch (FetchException e) {
        // The failure that led here counts; on this boot the journal's other counts are as good.
        log.warn("{}: {}", part.finalPath().getFileName(), e.getMessage());
      }
    }

    /** One connection's worth of work: what it does now, and how it has fared. */
    private final class Lane {
      private RetryPolicy retry = new RetryPolicy();

      /** Where it fetches from, and from where next. */
      private Replica replica;

      private Replica next;
      private @Nullable SegmentWorker worker;
      private @Nullable Throwable failure;
      private int resolution;
      private int rangesRefused;
      private int rests;
      private int fruitless;
      private long readyNanos = System.nanoTime();

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

      void start(SegmentTable.Segment segment) {
        SegmentWorker started =
            new SegmentWorker(
                reader,
                replica.remote(),
                !replica.tagsDisagree(),
                part,
                segment,
                counters,
                bandwidth);
        resolution = replica.resolutions();
        counters.waiting(null, null);
        executor.execute(
            () -> {
              try {
                started.run();
              } catch (RuntimeException | Error e) {
                failure = e;
              } finally {
                budget.giveBack();
                finished.add(this);
              }
            });
        // Only now, since nobody ends a worker that was refused.
        worker = started;
      }

      /** Something arrived: earlier failures no longer count. */
      void succeeded() {
        retry.succeeded();
        rangesRefused = 0;
        rests = 0;
        fruitless = 0;
      }

      void rest(FetchException failure) {
        Duration rest = FIRST_REST.multipliedBy(1L << Math.min(rests++, MOST_REST_DOUBLINGS));
        Duration told = failure.retryAfter();
        waitFor(told != null && told.compareTo(rest) > 0 ? told : rest, failure.getMessage());
      }

      void waitFor(Duration pause, @Nullable String reason) {
        long ready = System.nanoTime() + pause.toNanos();
        readyNanos = ready - readyNanos > 0 ? ready : readyNanos;
        if (lanes.stream().noneMatch(lane -> lane.worker != null)) {
          counters.waiting(String.valueOf(reason), Instant.now().plus(pause));
        }
      }
    }
  }

  /** Content of unknown length, or that changes all the time: only one answer fits together. */
  private Result inOneAnswer() {
    WholeStream stream = new WholeStream(reader, counters, bandwidth);
    RetryPolicy retry = new RetryPolicy();
    budget.wish(1);
    while (true) {
      part.discard();
      Long known = remote().lengthBytes();
      if (known != null) {
        part.requireSpace(known);
      }
      ContentDigest digest = new ContentDigest(proofKey());
      AtomicLong received = new AtomicLong();
      counters.begin(0, received::get);
      try {
        long length =
            stream.read(
                remote(),
                keepsChanging,
                (buffer, bytes, position) -> {
                  part.write(ByteBuffer.wrap(buffer, 0, bytes), position);
                  digest.update(buffer, 0, bytes);
                  received.set(position + bytes);
                  counters.hashed(position + bytes);
                },
                cancellation);
        sawHttp2 |= stream.isHttp2();
        ContentDigest.Result sent = digest.finish();
        // No journal tells here whether another process has cut off what was written.
        if (!onDisk(length).equals(sent)) {
          throw part.takenOver();
        }
        return result(length, sent, 1);
      } catch (FetchException failure) {
        pauseAfter(failure, retry);
      }
    }
  }

  private ContentDigest.Result onDisk(long length) {
    PrefixHasher hasher =
        new PrefixHasher(part, length, proofKey(), () -> length, counters, cancellation, executor);
    try {
      return hasher.await();
    } finally {
      hasher.abandon();
    }
  }

  /** Waits as long as is due after a failed stream; throws what is final. */
  private void pauseAfter(FetchException failure, RetryPolicy retry) {
    cancellation.throwIfCancelled();
    log.debug("{}: {}", part.finalPath().getFileName(), failure.getMessage());
    counters.retries.incrementAndGet();
    if (isExpiredLink(replicas.lead(), failure)) {
      replicas.lead().resolve();
      return;
    }
    Duration pause = retry.pauseAfter(failure);
    if (pause == null) {
      throw told(failure);
    }
    counters.waiting(failure.getMessage(), Instant.now().plus(pause));
    cancellation.sleep(pause);
    counters.waiting(null, null);
  }

  /** A signed address answers 401 or 403 once it has expired; the source may give a new one. */
  private static boolean isExpiredLink(Replica replica, FetchException failure) {
    boolean refused =
        switch (failure.kind()) {
          case AUTH, FORBIDDEN -> true;
          case NOT_FOUND, GONE -> replica.remote().delivery().isPassing();
          default -> false;
        };
    return refused && replica.fruitlessResolutions() < MOST_FRUITLESS_RESOLUTIONS;
  }

  /** A failure that ends the transfer, told with what was reached. */
  private FetchException told(FetchException failure) {
    if (failure.kind() != FailureKind.STALLED && failure.kind() != FailureKind.NETWORK) {
      return failure;
    }
    FetchException.Builder told =
        FetchException.because(
            failure.kind(),
            part.finalPath().getFileName()
                + ": "
                + failure.getMessage()
                + " "
                + counters.presentBytes()
                + " of "
                + (remote().lengthBytes() == null ? "unknown" : remote().lengthBytes())
                + " bytes are there, after "
                + counters.retries()
                + " failed attempts.");
    if (failure.redactedUrl() != null) {
      told.url(failure.redactedUrl());
    }
    return told.fact("receivedBytes", counters.presentBytes())
        .fact("attempts", counters.retries())
        .cause(failure)
        .build();
  }
}
