package io.anymatix.fetcher.transfer;

import io.anymatix.fetcher.content.RemoteFile;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.http.Opening;
import io.anymatix.fetcher.http.RemoteReader;
import io.anymatix.fetcher.http.RetryPolicy;
import io.anymatix.fetcher.store.PartFile;
import io.anymatix.fetcher.transfer.SegmentWorker.UnusableAnswer;
import io.anymatix.fetcher.transfer.SegmentWorker.UnusableAnswer.Reason;
import io.anymatix.fetcher.transfer.Transfer.Mirror;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.Executor;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What all parts of one transfer share: its means, its places, and how its failures are told. */
final class Job {
  private static final Logger log = LoggerFactory.getLogger(Job.class);

  final PartFile part;
  final Counters counters;
  final Throttle.Share bandwidth;
  final ConnectionBudget.Share budget;
  final Cancellation cancellation;

  /** Runs workers; never queues. */
  final Executor executor;

  Replicas replicas;
  HeadLook headLook = HeadLook.none();
  private final Replica source;
  private @Nullable Opening opening;
  private boolean http2;

  Job(
      PartFile part,
      Counters counters,
      Throttle.Share bandwidth,
      ConnectionBudget.Share budget,
      Cancellation cancellation,
      Executor executor,
      Replica source) {
    this.part = part;
    this.counters = counters;
    this.bandwidth = bandwidth;
    this.budget = budget;
    this.cancellation = cancellation;
    this.executor = executor;
    this.replicas = replicasOf(source, List.of(), false);
    this.source = source;
  }

  /** Lets other links to the same bytes join; before the transfer begins. */
  void alsoFrom(List<Mirror> mirrors, boolean provable) {
    replicas = replicasOf(source, mirrors, provable);
  }

  /** Begins with what the request has brought that described the file. */
  void beginWith(Opening first) {
    opening = first;
  }

  /**
   * What the first request has brought of a segment that begins at an offset, for the first one to
   * begin; later ones find it out of date.
   */
  @Nullable Opening takeOpening(long position) {
    if (position > 0) {
      dropOpening();
    }
    Opening first = opening;
    opening = null;
    return first;
  }

  /** Ends the first request: nobody keeps a connection open without reading from it. */
  void dropOpening() {
    if (opening != null) {
      opening.close();
      opening = null;
    }
  }

  private Replicas replicasOf(Replica source, List<Mirror> mirrors, boolean provable) {
    return new Replicas(fileName(), source, mirrors, provable, cancellation, executor);
  }

  /** The file as the place describes it whose word counts. */
  RemoteFile remote() {
    return replicas.lead().remote();
  }

  /** Reads from that place. */
  RemoteReader reader() {
    return replicas.lead().reader();
  }

  /** The file's name, for the log. */
  String fileName() {
    return part.finalPath().getFileName().toString();
  }

  /** Notes what an answer came over. */
  void spoke(boolean http2) {
    this.http2 |= http2;
  }

  /** Whether any answer came over HTTP/2. */
  boolean spokeHttp2() {
    return http2;
  }

  /**
   * Gives up a place that failed for good, if another one can go on.
   *
   * @throws FetchException the failure, if no other can
   * @throws UnusableAnswer likewise, and if the content itself has changed
   */
  void goOnWithout(Replica replica, RuntimeException failure) {
    boolean isOtherContent =
        failure instanceof UnusableAnswer unusable
            && unusable.reason() == Reason.CONTENT_CHANGED
            && replica == replicas.lead();
    if (isOtherContent || !replicas.goesOnWithout(replica, failure)) {
      throw failure;
    }
  }

  /** Waits as long as is due after a failed stream; throws what is final. */
  void pauseAfter(FetchException failure, RetryPolicy retry) {
    cancellation.throwIfCancelled();
    log.debug("{}: {}", fileName(), failure.getMessage());
    counters.retries.incrementAndGet();
    if (replicas.lead().hasExpired(failure)) {
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

  /** A failure that ends the transfer, told with what was reached. */
  FetchException told(FetchException failure) {
    if (failure.kind() != FailureKind.STALLED && failure.kind() != FailureKind.NETWORK) {
      return failure;
    }
    FetchException.Builder told =
        FetchException.because(
            failure.kind(),
            fileName()
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
