package io.anymatix.fetcher.transfer;

import io.anymatix.fetcher.content.RemoteFile;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.http.Probe;
import io.anymatix.fetcher.http.RemoteRequest;
import io.anymatix.fetcher.http.RetryPolicy;
import io.anymatix.fetcher.store.Journal.CoveredRange;
import io.anymatix.fetcher.store.Journal.Identity;
import io.anymatix.fetcher.transfer.SegmentWorker.UnusableAnswer;
import io.anymatix.fetcher.transfer.SegmentWorker.UnusableAnswer.Reason;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/**
 * The last tier: reads the whole in one answer and keeps what is missing, while it is asked in the
 * background whether ranges are honoured by now.
 */
final class StreamTier {
  /** Cold files at some storage hosts answer their first ranges with the whole file. */
  static final List<Duration> WARM_UP_PAUSES =
      List.of(1, 2, 3, 5, 8).stream().map(Duration::ofSeconds).toList();

  private final Job job;
  private final SegmentTable table;
  private final Checkpoints checkpoints;
  private final PrefixHasher hasher;
  private final RetryPolicy retry = new RetryPolicy();
  private long missingBytesBefore;
  private int rangesAskedAgain;
  private boolean mayBeCold = true;

  StreamTier(Job job, SegmentTable table, Checkpoints checkpoints, PrefixHasher hasher) {
    this.job = job;
    this.table = table;
    this.checkpoints = checkpoints;
    this.hasher = hasher;
    this.missingBytesBefore = table.missingBytes();
  }

  /**
   * Reads until ranges are honoured, or all is there; if that fails for good, until a mirror can go
   * on in ranges.
   *
   * @param rangesRefused why ranges were given up; null if there never were any
   */
  void run(@Nullable Reason rangesRefused) {
    // Who sends wrong ranges will not learn better; who ignored them may only be cold.
    mayBeCold = rangesRefused == null || rangesRefused == Reason.RANGE_IGNORED;
    try {
      read();
    } catch (FetchException failure) {
      job.goOnWithout(job.replicas.lead(), failure);
    }
  }

  private void read() {
    WholeStream stream = new WholeStream(job);
    while (true) {
      RangeWatch watch = new RangeWatch();
      try (watch) {
        stream.read(job.remote(), false, this::keep, watch.untilHonoured);
        return;
      } catch (CancelledException e) {
        job.cancellation.throwIfCancelled();
        return;
      } catch (FetchException failure) {
        if (watch.honoured) {
          return;
        }
        if (table.missingBytes() < missingBytesBefore) {
          retry.succeeded();
        }
        missingBytesBefore = table.missingBytes();
        job.pauseAfter(failure, retry);
      }
      if (areRangesHonoured(job.cancellation)) {
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
      ByteBuffer written = BufferPool.take().put(buffer, offset, bytes).flip();
      job.part.write(written, missing.first());
      BufferPool.giveBack(hasher.exchange(written.flip(), missing.first()));
      job.replicas.lead().received(bytes);
      checked = missing.end();
    }
    requireOnDisk(buffer, position, checked, position + length);
    table.cover(position, position + length);
    checkpoints.takeIfDue();
    job.headLook.takeIfDue(table);
  }

  private void requireOnDisk(byte[] buffer, long position, long first, long end) {
    int from = (int) (first - position);
    int to = (int) (end - position);
    if (from < to && !job.part.holds(ByteBuffer.wrap(buffer, from, to - from), first)) {
      throw UnusableAnswer.contentChanged(job.remote());
    }
  }

  /** Whether the server now answers a range with exactly those bytes of the same content. */
  private boolean areRangesHonoured(Cancellation until) {
    RemoteFile asked = job.remote();
    RemoteRequest request = new RemoteRequest(asked.location(), asked.credentials(), null, null);
    try {
      if (asked.delivery().rangesInPath()) {
        return job.reader().probeInPath(request, until).rangesProven();
      }
      Probe probe = job.reader().probe(request, until);
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
    private final Cancellation.Registration link = job.cancellation.onCancel(untilHonoured::cancel);
    private final CompletableFuture<Void> watching =
        CompletableFuture.runAsync(this::watch, job.executor);
    private volatile boolean honoured;

    private void watch() {
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
}
