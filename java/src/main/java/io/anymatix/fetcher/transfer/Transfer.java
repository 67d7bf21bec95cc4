package io.anymatix.fetcher.transfer;

import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.content.ByteRange;
import io.anymatix.fetcher.content.ContentDigest;
import io.anymatix.fetcher.content.ContentKey;
import io.anymatix.fetcher.content.ContentRange;
import io.anymatix.fetcher.content.RemoteFile;
import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.http.Answer;
import io.anymatix.fetcher.http.Opening;
import io.anymatix.fetcher.http.RemoteReader;
import io.anymatix.fetcher.http.RemoteRequest;
import io.anymatix.fetcher.http.RetryPolicy;
import io.anymatix.fetcher.store.Journal.CoveredRange;
import io.anymatix.fetcher.store.PartFile;
import io.anymatix.fetcher.transfer.SegmentWorker.UnusableAnswer;
import io.anymatix.fetcher.transfer.SegmentWorker.UnusableAnswer.Reason;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Function;
import java.util.function.LongSupplier;
import java.util.function.Supplier;
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

  /** What is read again of an earlier attempt's bytes that nothing else identifies. */
  private static final int CHECKED_BYTES = 64 * 1024;

  private final Job job;
  private final Replica source;
  private final Connections connections;
  private boolean droppedFoundBytes;
  private boolean startedOver;
  private boolean keepsChanging;

  /**
   * Another link to the same bytes.
   *
   * @param host the link's host
   * @param resolve asks its source
   * @param access how what it leads to is read
   */
  public record Mirror(
      String host,
      Function<Cancellation, RemoteFile> resolve,
      Function<RemoteFile, Access> access) {}

  /**
   * How a file is read from one place.
   *
   * @param reader counts the requests with those of the place's site
   * @param maxConnections for this file, at most
   */
  public record Access(RemoteReader reader, int maxConnections) {}

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
   * @param reader counts its requests with those of the file's site
   * @param remote the file as resolved
   * @param resolveAgain resolves the same file anew, for when its address has expired
   * @param connections how many there may be
   * @param bandwidth this file's part of the limit
   * @param budget this file's part of all connections
   * @param executor runs workers; must never queue
   */
  public Transfer(
      RemoteReader reader,
      RemoteFile remote,
      Supplier<RemoteFile> resolveAgain,
      PartFile part,
      Connections connections,
      Counters counters,
      Throttle.Share bandwidth,
      ConnectionBudget.Share budget,
      Cancellation cancellation,
      Executor executor) {
    this.connections = connections;
    this.source =
        new Replica(
            remote.location().host(),
            remote,
            () -> RetryPolicy.run(resolveAgain, cancellation, counters::waiting),
            new Access(reader, connections.most()));
    this.job = new Job(part, counters, bandwidth, budget, cancellation, executor, source);
  }

  /**
   * Lets ranges come from other links to the same bytes as well. Each is tried without holding up
   * the others, and given up if it is wrong, far slower than the others, or fails.
   *
   * @param provable whether a hash is known that the whole will be held against
   */
  public Transfer alsoFrom(List<Mirror> mirrors, boolean provable) {
    job.alsoFrom(mirrors, provable);
    return this;
  }

  /**
   * Begins with what the request has brought that described the file.
   *
   * @param opening closed by the caller after the transfer
   */
  public Transfer beginningWith(Opening opening) {
    job.beginWith(opening);
    return this;
  }

  /**
   * Has the first bytes looked at as soon as they are there; not if any byte is an earlier
   * attempt's, or the length is unknown.
   *
   * @param headBytes how many the look wants
   * @param look throws if they speak against the whole: that ends the transfer, and nothing of it
   *     is kept
   */
  public Transfer lookingAtHead(int headBytes, Runnable look) {
    job.headLook = new HeadLook(headBytes, look);
    return this;
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
    } catch (FetchException failure) {
      if (job.headLook.hasRefused()) {
        job.part.discard();
      }
      throw failure;
    } finally {
      job.replicas.close();
    }
  }

  private Result untilComplete() {
    while (true) {
      try {
        Long length = job.remote().lengthBytes();
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
    job.part.discard();
    if (startedOver) {
      // It changes all the time: one answer is consistent with itself, two need not be.
      keepsChanging = true;
    } else {
      startedOver = true;
      job.replicas.lead().askSource();
    }
  }

  /** A file of known length: its bytes come in any order, from several answers. */
  private Result inSegments(long length) {
    List<CoveredRange> trusted = trusted(length);
    if (!trusted.isEmpty()) {
      job.headLook.leaveOut();
    }
    SegmentTable table = new SegmentTable(length, trusted);
    job.part.requireSpace(table.missingBytes());
    job.part.begin(length, job.replicas.lead().identity(), trusted);
    job.counters.begin(length - table.missingBytes(), () -> length - table.missingBytes());
    PrefixHasher hasher = hasher(length, table::contiguousPrefixBytes);
    try {
      job.replicas.ask();
      int used = fill(table, hasher);
      return result(length, hasher.await(), used);
    } catch (FetchException failure) {
      throw job.replicas.told(failure);
    } finally {
      hasher.abandon();
    }
  }

  /**
   * Goes from ranges to one stream where no range is honoured, and back once one is.
   *
   * @return connections that were used
   */
  private int fill(SegmentTable table, PrefixHasher hasher) {
    Checkpoints checkpoints = new Checkpoints(job, table);
    RangeTier ranges =
        new RangeTier(job, table, checkpoints, hasher, connectionsFor(table.lengthBytes()));
    StreamTier stream = new StreamTier(job, table, checkpoints, hasher);
    try {
      int used = 0;
      Reason rangesRefused = null;
      boolean inRanges = job.remote().rangesProven();
      while (!table.isComplete()) {
        if (inRanges) {
          rangesRefused = ranges.run();
          used = Math.max(used, ranges.mostConnections());
        } else {
          used = Math.max(used, 1);
          stream.run(rangesRefused);
        }
        inRanges = !inRanges;
      }
      return used;
    } finally {
      job.counters.waiting(null, null);
      checkpoints.leaveInOrder();
    }
  }

  /** Not more than there are segments; a small file is not worth a second one. */
  private Connections connectionsFor(long length) {
    boolean isSmall = length < Config.PARALLEL_MINIMUM_BYTES;
    return isSmall
        ? Connections.fixed(1)
        : connections.atMost(Math.toIntExact(length / RangeTier.SMALLEST_SEGMENT_BYTES));
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
        job.spokeHttp2(),
        startedOver || droppedFoundBytes,
        job.replicas.shares());
  }

  /**
   * The bytes of an earlier attempt that count. Where no hash will prove the whole, and no tag that
   * was noted with them is the server's, their last block is read again.
   */
  private List<CoveredRange> trusted(long length) {
    boolean foundBytes = job.part.lengthBytes() > 0;
    List<CoveredRange> trusted = job.part.trusted(length, job.replicas.lead().identity());
    droppedFoundBytes |= foundBytes && trusted.isEmpty();
    boolean identified =
        job.remote().sha256() != null
            || job.remote().delivery().key() != null
            || job.part.isFrom(job.replicas.lead().identity());
    if (trusted.isEmpty() || identified || !job.remote().rangesProven()) {
      return trusted;
    }
    job.dropOpening(); // its place at the site is wanted for this request
    CoveredRange first = trusted.get(0);
    ByteRange block =
        new ByteRange(Math.max(first.first(), first.end() - CHECKED_BYTES), first.end() - 1);
    boolean same = RetryPolicy.run(() -> isOnDisk(block), job.cancellation, job.counters::waiting);
    if (same) {
      return trusted;
    }
    log.info("{}: what is there is of other content", job.fileName());
    job.part.discard();
    droppedFoundBytes = true;
    return List.of();
  }

  /** Whether the server has the same bytes there; an answer that does not tell is no objection. */
  private boolean isOnDisk(ByteRange block) {
    try (Answer answer =
        job.reader()
            .open(
                new RemoteRequest(job.remote().location(), job.remote().credentials(), block, null),
                job.cancellation)) {
      ContentRange range = answer.contentRange();
      if (answer.status() != 206 || range == null || !block.equals(range.range())) {
        return true;
      }
      byte[] there = new byte[(int) block.lengthBytes()];
      int filled = 0;
      for (int n = 0; n >= 0 && filled < there.length; filled += Math.max(n, 0)) {
        n = answer.read(there, filled, there.length - filled);
      }
      job.counters.transferredBytes.add(filled);
      return job.part.holds(ByteBuffer.wrap(there, 0, filled), block.first());
    }
  }

  /** Content of unknown length, or that changes all the time: only one answer fits together. */
  private Result inOneAnswer() {
    WholeStream stream = new WholeStream(job);
    RetryPolicy retry = new RetryPolicy();
    while (true) {
      job.part.discard();
      Long known = job.remote().lengthBytes();
      if (known != null) {
        job.part.requireSpace(known);
      }
      AtomicLong received = new AtomicLong();
      job.counters.begin(0, received::get);
      PrefixHasher hasher = hasher(PrefixHasher.UNKNOWN_LENGTH, received::get);
      try {
        long length =
            stream.read(
                job.remote(),
                keepsChanging,
                (buffer, bytes, position) -> {
                  ByteBuffer written = BufferPool.take().put(buffer, 0, bytes).flip();
                  job.part.append(written, position);
                  received.set(position + bytes);
                  BufferPool.giveBack(hasher.exchange(written.flip(), position));
                },
                job.cancellation);
        return result(length, hasher.await(length), 1);
      } catch (FetchException failure) {
        job.pauseAfter(failure, retry);
      } finally {
        hasher.abandon();
      }
    }
  }

  private PrefixHasher hasher(long length, LongSupplier contiguousBytes) {
    return new PrefixHasher(
        job.part,
        length,
        proofKey(),
        contiguousBytes,
        job.counters,
        job.cancellation,
        job.executor);
  }
}
