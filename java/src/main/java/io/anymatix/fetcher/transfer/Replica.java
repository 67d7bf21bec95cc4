package io.anymatix.fetcher.transfer;

import io.anymatix.fetcher.content.RemoteFile;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.http.RemoteReader;
import io.anymatix.fetcher.http.RequestGate.Site;
import io.anymatix.fetcher.http.RetryPolicy;
import io.anymatix.fetcher.store.Journal.Identity;
import io.anymatix.fetcher.transfer.Transfer.Access;
import java.util.Objects;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * One place where a file's bytes are to be had, and how it fares: the address that a source has
 * resolved, or that of a mirror. The coordinator's own, except for {@link #remote}.
 */
final class Replica {
  /** A source is asked again this often in a row without a byte in between. */
  private static final int MOST_FRUITLESS_RESOLUTIONS = 10;

  private final String host;
  private final Supplier<RemoteFile> resolveAgain;
  private final Access access;
  private final RetryPolicy overload = new RetryPolicy();
  private volatile RemoteFile remote;
  private int resolutions;
  private int fruitlessResolutions;
  private boolean tagsDisagree;
  private long receivedBytes;
  private @Nullable String droppedBecause;

  /**
   * Describes a place.
   *
   * @param host the host of the link that led there
   * @param resolveAgain resolves the link anew, for when the address has expired
   */
  Replica(String host, RemoteFile remote, Supplier<RemoteFile> resolveAgain, Access access) {
    this.host = host;
    this.remote = remote;
    this.resolveAgain = resolveAgain;
    this.access = access;
  }

  String host() {
    return host;
  }

  /** The file as last resolved. Any thread. */
  RemoteFile remote() {
    return remote;
  }

  int maxConnections() {
    return access.maxConnections();
  }

  /** Reads from there. */
  RemoteReader reader() {
    return access.reader();
  }

  /** Whose connections those to it count with. */
  Site site() {
    return reader().siteOf(remote.location());
  }

  /** What identifies the content there. */
  Identity identity() {
    return new Identity(remote.validator(), remote.sha256());
  }

  /** Asks the source again, whatever it has now. */
  RemoteFile askSource() {
    resolutions++;
    fruitlessResolutions++;
    remote = resolveAgain.get();
    return remote;
  }

  /**
   * Asks the source for a fresh address of the same content.
   *
   * @throws SegmentWorker.UnusableAnswer if the content is another one now
   */
  void resolve() {
    Identity before = identity();
    Long lengthBefore = remote.lengthBytes();
    askSource();
    if (!Objects.equals(remote.lengthBytes(), lengthBefore) || !identity().mayBeSame(before)) {
      throw SegmentWorker.UnusableAnswer.contentChanged(remote);
    }
  }

  /** How often the source was asked again. */
  int resolutions() {
    return resolutions;
  }

  /** Whether it refuses like a signed address whose time is over; the source may give a new one. */
  boolean hasExpired(FetchException failure) {
    boolean refused =
        switch (failure.kind()) {
          case AUTH, FORBIDDEN -> true;
          case NOT_FOUND, GONE -> remote.delivery().isPassing();
          default -> false;
        };
    return refused && fruitlessResolutions < MOST_FRUITLESS_RESOLUTIONS;
  }

  /** How often it may be asked again after it has had too much. */
  RetryPolicy overload() {
    return overload;
  }

  /** Notes that bytes came from here. */
  void received(long bytes) {
    if (bytes > 0) {
      receivedBytes += bytes;
      fruitlessResolutions = 0;
      overload.succeeded();
    }
  }

  /** Bytes that came from here, of segments that are over. */
  long receivedBytes() {
    return receivedBytes;
  }

  /** Whether entity tags have turned out to differ for one content. */
  boolean tagsDisagree() {
    return tagsDisagree;
  }

  void noteThatTagsDisagree() {
    tagsDisagree = true;
  }

  /** Gives the place up for this transfer. */
  void drop(String reason) {
    droppedBecause = reason;
  }

  boolean isDropped() {
    return droppedBecause != null;
  }

  /** Why it was given up; null if it was not. */
  @Nullable String droppedBecause() {
    return droppedBecause;
  }
}
