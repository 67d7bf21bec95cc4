package io.anymatix.fetcher.transfer;

import io.anymatix.fetcher.content.ByteRange;
import io.anymatix.fetcher.content.ContentKey;
import io.anymatix.fetcher.content.ContentRange;
import io.anymatix.fetcher.content.RemoteFile;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.http.Answer;
import io.anymatix.fetcher.http.Opening;
import io.anymatix.fetcher.http.RemoteReader;
import io.anymatix.fetcher.http.RemoteRequest;
import io.anymatix.fetcher.store.PartFile;
import io.anymatix.fetcher.transfer.SegmentWorker.UnusableAnswer.Reason;
import java.nio.ByteBuffer;
import java.util.Locale;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Fetches one segment with one range request: every answer is checked against what was asked, its
 * bytes go straight to their offset. Runs on a thread of its own and never touches the table.
 */
final class SegmentWorker {
  /** What is read at a time, at most; it is to stay in the processor's cache until it is copied. */
  static final int CHUNK_BYTES = 128 * 1024;

  /** A read that brings less than this, which is a full TLS record, found the connection empty. */
  private static final int FLOWING_BYTES = 16 * 1024;

  /** What a slow connection brings is written, and so shown and kept, this often at least. */
  private static final long LONGEST_GATHERING_NANOS = 200_000_000;

  private final RemoteReader reader;
  private final RemoteFile remote;
  private final boolean tagsIdentify;
  private final PartFile part;
  private final PrefixHasher hasher;
  private final SegmentTable.Segment segment;
  private final Counters counters;
  private final Throttle.Share bandwidth;
  private final @Nullable Opening opening;
  private final Cancellation cancellation = new Cancellation();

  /** What was read and may not be written yet, while an answer is read; guarded by this. */
  private @Nullable ByteBuffer gathered;

  private volatile boolean http2;
  private volatile long latencyNanos;

  /** Why an answer to a range request is of no use. */
  static final class UnusableAnswer extends RuntimeException {
    private final Reason reason;

    enum Reason {
      /** The whole representation came instead; some storage hosts do so while a file is cold. */
      RANGE_IGNORED,
      /** Something else than was asked for came. */
      RANGE_WRONG,
      /** The representation is another one than before. */
      CONTENT_CHANGED
    }

    private UnusableAnswer(Reason reason, String message) {
      super(message);
      this.reason = reason;
    }

    static UnusableAnswer contentChanged(RemoteFile remote) {
      return new UnusableAnswer(
          Reason.CONTENT_CHANGED,
          remote.location().host() + " now serves other content than before");
    }

    Reason reason() {
      return reason;
    }
  }

  /**
   * Prepares to fetch a segment.
   *
   * @param tagsIdentify whether another entity tag means another content
   * @param opening has the segment's first bytes; null if they have to be asked for
   */
  SegmentWorker(
      RemoteReader reader,
      RemoteFile remote,
      boolean tagsIdentify,
      PartFile part,
      PrefixHasher hasher,
      SegmentTable.Segment segment,
      Counters counters,
      Throttle.Share bandwidth,
      @Nullable Opening opening) {
    this.reader = reader;
    this.remote = remote;
    this.tagsIdentify = tagsIdentify;
    this.part = part;
    this.hasher = hasher;
    this.segment = segment;
    this.counters = counters;
    this.bandwidth = bandwidth;
    this.opening = opening;
  }

  SegmentTable.Segment segment() {
    return segment;
  }

  /** Whether the answer came over HTTP/2. */
  boolean isHttp2() {
    return http2;
  }

  /** How long the answer took to begin; zero as long as it has not. */
  long latencyNanos() {
    return latencyNanos;
  }

  /** Ends the exchange at once. Any thread. */
  void abort() {
    cancellation.cancel();
  }

  /** Whether it was ended by {@link #abort}; its failure then means nothing. */
  boolean isAborted() {
    return cancellation.isCancelled();
  }

  /**
   * Fetches the segment, or as much of it as the server sends.
   *
   * @param chunk what is read into, {@link #CHUNK_BYTES} long; this worker's own for the time
   * @throws FetchException if the exchange failed, also if the answer ended early
   * @throws UnusableAnswer if the answer is not what was asked for
   */
  void run(byte[] chunk) {
    receiveOpening(chunk);
    long end = segment.end();
    if (segment.position() >= end) {
      return; // its rival was faster than this thread's start
    }
    ByteRange wanted = new ByteRange(segment.position(), end - 1);
    counters.connections.incrementAndGet();
    long askedNanos = System.nanoTime();
    try (Answer answer = reader.open(request(wanted), cancellation)) {
      latencyNanos = System.nanoTime() - askedNanos;
      http2 = answer.isHttp2();
      long last = checked(answer, wanted);
      receive(answer, last, chunk);
    } finally {
      counters.connections.decrementAndGet();
    }
  }

  /** Reads what the first request has brought already. */
  private void receiveOpening(byte[] chunk) {
    Opening begun = opening;
    Answer answer = begun == null ? null : begun.take();
    if (begun == null || answer == null) {
      return;
    }
    counters.connections.incrementAndGet();
    Cancellation.Registration registration = cancellation.onCancel(answer::close);
    try (answer) {
      http2 = answer.isHttp2();
      receive(answer, begun.endBytes() - 1, chunk);
    } finally {
      registration.close();
      counters.connections.decrementAndGet();
    }
  }

  private RemoteRequest request(ByteRange wanted) {
    RemoteRequest whole = new RemoteRequest(remote.location(), remote.credentials(), null, null);
    return remote.delivery().rangesInPath()
        ? whole.withRangeInPath(wanted)
        : whole
            .withRange(wanted)
            .withIfRange(tagsIdentify ? remote.validator().ifRangeValue() : null);
  }

  /** The offset of the last byte that the answer holds. */
  private long checked(Answer answer, ByteRange wanted) {
    int status = answer.status();
    requireNoPage(answer, remote);
    if (status == 200 && remote.delivery().rangesInPath()) {
      return checkedByLength(answer, wanted);
    }
    if (status == 200) {
      Long length = answer.contentLengthBytes();
      boolean changed =
          (length != null && !length.equals(remote.lengthBytes()))
              || (tagsIdentify
                  && differs(answer.validator().entityTag(), remote.validator().entityTag()));
      throw changed ? UnusableAnswer.contentChanged(remote) : unusable(Reason.RANGE_IGNORED, "200");
    }
    if (status == 416) {
      ContentRange range = answer.contentRange();
      boolean changed =
          range != null
              && range.completeLengthBytes() != null
              && !range.completeLengthBytes().equals(remote.lengthBytes());
      throw changed ? UnusableAnswer.contentChanged(remote) : rangeWrong("416");
    }
    if (status != 206) {
      throw RemoteReader.failureOf(answer);
    }
    if (answer.isCoded()) {
      throw rangeWrong("coded content");
    }
    String contentType = answer.field("Content-Type");
    if (contentType != null
        && contentType.toLowerCase(Locale.ROOT).startsWith("multipart/byteranges")) {
      throw rangeWrong("several parts");
    }
    if (answer.field("Content-Range") == null) {
      Long length = answer.contentLengthBytes();
      if (length == null || length != wanted.lengthBytes()) {
        throw rangeWrong("206 without Content-Range");
      }
      return wanted.last();
    }
    ContentRange range = answer.contentRange();
    if (range == null || range.range() == null) {
      throw rangeWrong("Content-Range: " + answer.field("Content-Range"));
    }
    if (range.completeLengthBytes() != null
        && !range.completeLengthBytes().equals(remote.lengthBytes())) {
      throw UnusableAnswer.contentChanged(remote);
    }
    if (range.range().first() != wanted.first() || range.range().last() > wanted.last()) {
      throw rangeWrong("Content-Range: " + answer.field("Content-Range"));
    }
    requireSameTag(answer, remote);
    return range.range().last();
  }

  /** Without a hash to identify the content, another entity tag means another content. */
  static void requireSameTag(Answer answer, RemoteFile remote) {
    if (remote.sha256() == null
        && differs(answer.validator().entityTag(), remote.validator().entityTag())) {
      throw UnusableAnswer.contentChanged(remote);
    }
  }

  /** What was asked for in the path looks like a whole file: its length alone tells. */
  private long checkedByLength(Answer answer, ByteRange wanted) {
    Long length = answer.contentLengthBytes();
    if (answer.isCoded() || length == null || length != wanted.lengthBytes()) {
      throw unusable(
          Reason.RANGE_IGNORED, "200 and " + length + " bytes for " + wanted.lengthBytes());
    }
    return wanted.last();
  }

  /**
   * Takes a page, unless it is as long as the file, for what it means at an address that was made
   * for one download: its time is over.
   */
  static void requireNoPage(Answer answer, RemoteFile remote) {
    String contentType = answer.field("Content-Type");
    if (remote.delivery().isPassing()
        && answer.status() == 200
        && contentType != null
        && contentType.toLowerCase(Locale.ROOT).startsWith("text/html")
        && !Objects.equals(answer.contentLengthBytes(), remote.lengthBytes())) {
      throw FetchException.because(
              FailureKind.FORBIDDEN,
              remote.location().host() + " sent a page in place of the file: the address is over.")
          .url(remote.location().redacted())
          .build();
    }
  }

  private void receive(Answer answer, long lastByte, byte[] chunk) {
    ContentKey key = remote.delivery().key();
    ContentKey.Decryptor decryptor = key == null ? null : key.decryptorAt(segment.position());
    begin();
    long writtenNanos = System.nanoTime();
    try {
      while (true) {
        int room = room(lastByte);
        if (room <= 0) {
          break;
        }
        int n = bandwidth.read(room, cancellation, most -> answer.read(chunk, 0, most));
        if (n < 0) {
          throw endedEarly();
        }
        if (decryptor != null) {
          decryptor.decrypt(chunk, 0, n);
        }
        boolean isFull = gather(chunk, n);
        counters.transferredBytes.add(n);
        // What comes in drops is written at once; what flows is gathered.
        boolean isDrop = n < FLOWING_BYTES && !answer.hasMore();
        long now = System.nanoTime();
        if (isFull || isDrop || now - writtenNanos > LONGEST_GATHERING_NANOS) {
          flush();
          writtenNanos = now;
        }
      }
    } finally {
      end();
    }
    if (segment.position() > lastByte) {
      drain(answer);
    }
  }

  /** Reads the end of a content that is all there, so that its connection is kept. */
  private static void drain(Answer answer) {
    try {
      answer.drain(0);
    } catch (FetchException e) {
      // Only the connection is lost.
    }
  }

  private synchronized void begin() {
    gathered = BufferPool.take();
  }

  /** How much to read next; zero at the end. */
  private synchronized int room(long lastByte) {
    ByteBuffer buffer = Objects.requireNonNull(gathered);
    long end = Math.min(segment.end(), lastByte + 1);
    long missing = end - segment.position() - buffer.position();
    return (int) Math.min(Math.min(CHUNK_BYTES, buffer.remaining()), missing);
  }

  private synchronized boolean gather(byte[] chunk, int length) {
    return !Objects.requireNonNull(gathered).put(chunk, 0, length).hasRemaining();
  }

  /** Writes what waits for more to come, while the connection may be silent. Any thread. */
  synchronized void flush() {
    ByteBuffer buffer = gathered;
    if (buffer == null) {
      return;
    }
    buffer.flip();
    // What lies behind the end is somebody else's by now, and perhaps hashed already.
    int wanted = (int) Math.min(buffer.remaining(), segment.remainingBytes());
    if (wanted > 0) {
      long position = segment.position();
      part.write(buffer.limit(wanted), position);
      segment.advance(wanted);
      gathered = hasher.exchange(buffer.flip(), position);
    } else {
      buffer.clear();
    }
  }

  private synchronized void end() {
    try {
      flush();
    } finally {
      BufferPool.giveBack(Objects.requireNonNull(gathered).clear());
      gathered = null;
    }
  }

  private FetchException endedEarly() {
    return FetchException.because(
            FailureKind.NETWORK,
            remote.location().host() + " ended its answer before the last byte that it promised.")
        .url(remote.location().redacted())
        .build();
  }

  private static boolean differs(@Nullable String entityTag, @Nullable String other) {
    return entityTag != null && other != null && !entityTag.equals(other);
  }

  private UnusableAnswer rangeWrong(String what) {
    return unusable(Reason.RANGE_WRONG, what);
  }

  private UnusableAnswer unusable(Reason reason, String what) {
    return new UnusableAnswer(
        reason, remote.location().host() + " answered a range request with " + what);
  }
}
