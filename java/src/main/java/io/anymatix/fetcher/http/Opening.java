package io.anymatix.fetcher.http;

import io.anymatix.fetcher.content.ByteRange;
import io.anymatix.fetcher.content.ContentRange;
import org.jspecify.annotations.Nullable;

/**
 * The first request for a file, which is to describe it, and the content of its answer.
 *
 * <p>It asks for a first piece instead of the first byte, and its answer stays open: a short file
 * is whole with it, and a longer one has begun. An answer that is of no use, such as a long one
 * without a range, is dropped when its header section is there. One thread at a time, but for
 * {@link #abort}.
 */
public final class Opening implements AutoCloseable {
  private final ByteRange asked;
  private RetryPolicy.WaitListener listener = RetryPolicy.WaitListener.NOBODY;
  private @Nullable Answer answer;
  private volatile @Nullable Answer kept;
  private long endBytes;
  private boolean whole;

  private Opening(ByteRange asked) {
    this.asked = asked;
  }

  /** One that asks for the first byte alone and keeps nothing. */
  public static Opening ofFirstByte() {
    return new Opening(new ByteRange(0, 0));
  }

  /** One that asks for so many bytes. */
  public static Opening ofFirstPiece(int bytes) {
    return new Opening(ByteRange.ofLength(0, Math.max(1, bytes)));
  }

  /** Tells of waits for other requests; returns this. */
  public Opening telling(RetryPolicy.WaitListener listener) {
    this.listener = listener;
    return this;
  }

  ByteRange asked() {
    return asked;
  }

  RetryPolicy.WaitListener listener() {
    return listener;
  }

  /** Keeps an answer that holds the first bytes; returns whether it is this object's now. */
  boolean keep(Answer described, Probe probe) {
    close();
    Long length = probe.lengthBytes();
    long end = endBytes(described, probe);
    Long sent = described.contentLengthBytes();
    boolean isUseless = end == 0 || (sent != null && sent != end);
    if (length == null || isUseless || asked.lengthBytes() == 1) {
      return false;
    }
    answer = described;
    kept = described;
    endBytes = end;
    whole = length == end;
    return true;
  }

  /** One past the last byte that an answer brings if it begins with the first; else zero. */
  private long endBytes(Answer described, Probe probe) {
    Long length = probe.lengthBytes();
    if (described.status() == 200) {
      return length != null && length <= asked.lengthBytes() ? length : 0;
    }
    ContentRange range = described.contentRange();
    return probe.rangesProven() && range != null && range.range() != null
        ? range.range().last() + 1
        : 0;
  }

  /** Whether the whole file can be read from the answer. */
  public boolean holdsFile() {
    return answer != null && whole;
  }

  /** One past the last byte of the file that can be read from the answer. */
  public long endBytes() {
    return endBytes;
  }

  /** The answer, which the caller closes from now on; null if there is none, or no longer. */
  public @Nullable Answer take() {
    Answer taken = answer;
    answer = null;
    return taken;
  }

  /** Ends the exchange at once, also while somebody reads the answer. Any thread. */
  public void abort() {
    Answer reading = kept;
    if (reading != null) {
      reading.close();
    }
  }

  /** Ends the exchange, unless the answer was taken. */
  @Override
  public void close() {
    Answer left = take();
    if (left != null) {
      left.close();
    }
  }
}
