package io.anymatix.fetcher.transfer;

import io.anymatix.fetcher.content.ContentKey;
import io.anymatix.fetcher.content.RemoteFile;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.http.Answer;
import io.anymatix.fetcher.http.RemoteRequest;
import io.anymatix.fetcher.transfer.SegmentWorker.UnusableAnswer;
import org.jspecify.annotations.Nullable;

/**
 * Reads a whole representation in one answer, on the calling thread: for servers without ranges,
 * and for content of unknown length.
 */
final class WholeStream {
  private static final int BUFFER_BYTES = 256 * 1024;

  private final Job job;

  /** Takes bytes in the order of the representation, from its first one on. */
  @FunctionalInterface
  interface Sink {
    /** Takes the first {@code length} bytes of {@code buffer}, which begin at {@code position}. */
    void accept(byte[] buffer, int length, long position);
  }

  WholeStream(Job job) {
    this.job = job;
  }

  /**
   * Reads one answer to its end.
   *
   * @param asItComes whether another representation than the source described is taken, too
   * @return the length of the content, in bytes
   * @throws FetchException if the exchange failed, also if the answer ended early or was too long
   * @throws UnusableAnswer if it is another representation than the source described
   */
  long read(RemoteFile remote, boolean asItComes, Sink sink, Cancellation cancellation) {
    RemoteRequest request = new RemoteRequest(remote.location(), remote.credentials(), null, null);
    job.dropOpening();
    return job.budget.withOnly(
        job.replicas.lead().site(),
        cancellation,
        () -> readAlone(request, remote, asItComes, sink, cancellation));
  }

  private long readAlone(
      RemoteRequest request,
      RemoteFile remote,
      boolean asItComes,
      Sink sink,
      Cancellation cancellation) {
    job.counters.connections.incrementAndGet();
    try (Answer answer = job.reader().openSuccessful(request, cancellation)) {
      job.spoke(answer.isHttp2());
      SegmentWorker.requireNoPage(answer, remote);
      if (!asItComes) {
        SegmentWorker.requireSameTag(answer, remote);
      }
      return receive(answer, promised(answer, remote, asItComes), remote, sink, cancellation);
    } finally {
      job.counters.connections.decrementAndGet();
    }
  }

  /** The length that the answer must have; null if nobody knows. */
  private static @Nullable Long promised(Answer answer, RemoteFile remote, boolean asItComes) {
    if (answer.isCoded()) {
      throw FetchException.because(
              FailureKind.SERVER,
              remote.location().host()
                  + " sent compressed content although none was asked for; its length proves"
                  + " nothing.")
          .status(answer.status())
          .url(remote.location().redacted())
          .build();
    }
    Long stated = answer.contentLengthBytes();
    Long known = remote.lengthBytes();
    if (stated != null && known != null && !stated.equals(known) && !asItComes) {
      throw UnusableAnswer.contentChanged(remote);
    }
    return stated != null ? stated : known;
  }

  private long receive(
      Answer answer,
      @Nullable Long promisedBytes,
      RemoteFile remote,
      Sink sink,
      Cancellation cancellation) {
    ContentKey key = remote.delivery().key();
    ContentKey.Decryptor decryptor = key == null ? null : key.decryptorAt(0);
    byte[] buffer = new byte[BUFFER_BYTES];
    long position = 0;
    while (true) {
      int n = job.bandwidth.read(buffer.length, cancellation, most -> answer.read(buffer, 0, most));
      if (n < 0) {
        break;
      }
      job.counters.transferredBytes.add(n);
      if (promisedBytes != null && position + n > promisedBytes) {
        throw tooLong(promisedBytes, remote);
      }
      if (decryptor != null) {
        decryptor.decrypt(buffer, 0, n);
      }
      sink.accept(buffer, n, position);
      position += n;
    }
    if (promisedBytes != null && position < promisedBytes) {
      throw endedEarly(position, promisedBytes, remote);
    }
    return position;
  }

  private static FetchException tooLong(long promisedBytes, RemoteFile remote) {
    return FetchException.because(
            FailureKind.INTEGRITY,
            remote.location().host()
                + " sent more than the "
                + promisedBytes
                + " bytes that it promised.")
        .url(remote.location().redacted())
        .build();
  }

  private static FetchException endedEarly(
      long receivedBytes, long promisedBytes, RemoteFile remote) {
    return FetchException.because(
            FailureKind.NETWORK,
            "The connection to "
                + remote.location().host()
                + " ended after "
                + receivedBytes
                + " of "
                + promisedBytes
                + " bytes.")
        .url(remote.location().redacted())
        .build();
  }
}
