package io.anymatix.fetcher.fetch;

import io.anymatix.fetcher.content.HttpUrl;
import io.anymatix.fetcher.content.Redactor;
import io.anymatix.fetcher.content.RemoteFile;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.http.Opening;
import io.anymatix.fetcher.http.RetryPolicy;
import io.anymatix.fetcher.source.Sources;
import io.anymatix.fetcher.transfer.ConnectionBudget;
import io.anymatix.fetcher.transfer.Transfer;
import io.anymatix.fetcher.transfer.Transfer.Access;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The links of one fetch: the caller's own, which names the file, and mirrors of the same bytes.
 * Each is resolved by its own source, with that source's credentials alone; the caller's query tail
 * goes with the caller's own link only. A mirror stands in for the own link where that can not be
 * resolved. For the coordinator of one fetch; {@link #others} may be resolved by any thread.
 */
final class Links {
  private static final Logger log = LoggerFactory.getLogger(Links.class);

  private final Sources sources;
  private final ConnectionBudget connections;
  private final Link own;
  private final List<Link> mirrors;
  private Link used;

  /** A link as a caller gave it. */
  private static final class Link {
    private final Sources.Wish wish;

    Link(Sources.Wish wish) {
      this.wish = wish;
    }

    /** What may be shown of it: the host, or the redacted text of what is no url. */
    String host() {
      try {
        return HttpUrl.parse(wish.url()).host();
      } catch (FetchException e) {
        return Redactor.url(wish.url());
      }
    }
  }

  Links(Sources sources, ConnectionBudget connections, Sources.Wish own, List<String> mirrorUrls) {
    this.sources = sources;
    this.connections = connections;
    this.own = new Link(own);
    this.mirrors = mirrorUrls.stream().map(m -> new Link(Sources.Wish.of(m, m, null))).toList();
    this.used = this.own;
  }

  /** Whether there are mirrors. */
  boolean areMirrored() {
    return !mirrors.isEmpty();
  }

  /** The host of the link that was resolved last. */
  String usedHost() {
    return used.host();
  }

  /**
   * Resolves the own link, with retries.
   *
   * @throws FetchException as its source means
   */
  RemoteFile resolve(Cancellation cancellation, RetryPolicy.WaitListener listener) {
    return resolve(Opening.ofFirstByte(), cancellation, listener);
  }

  private RemoteFile resolve(
      Opening opening, Cancellation cancellation, RetryPolicy.WaitListener listener) {
    RemoteFile remote =
        RetryPolicy.run(() -> ask(own, opening, cancellation, listener), cancellation, listener);
    used = own;
    return remote;
  }

  /**
   * Resolves the link that was resolved last once more, without retries.
   *
   * @throws FetchException as its source means
   */
  RemoteFile resolveAgain(Cancellation cancellation) {
    return resolve(used, cancellation);
  }

  /**
   * Resolves the own link, or else the first mirror that can be.
   *
   * @param opening the first request for the own link's bytes; it may bring the file
   * @throws FetchException as the own link's source means, with what became of the mirrors
   */
  RemoteFile resolveAny(
      Opening opening, Cancellation cancellation, RetryPolicy.WaitListener listener) {
    try {
      return resolve(opening, cancellation, listener);
    } catch (FetchException failure) {
      opening.close();
      if (mirrors.isEmpty() || failure.kind() == FailureKind.OFFLINE) {
        throw failure;
      }
      List<String> reasons = new ArrayList<>();
      for (Link mirror : mirrors) {
        try {
          RemoteFile remote = resolve(mirror, cancellation);
          log.warn("{} stands in for {}: {}", mirror.host(), own.host(), failure.getMessage());
          used = mirror;
          return remote;
        } catch (FetchException e) {
          reasons.add(mirror.host() + ": " + e.getMessage());
        }
      }
      throw failure
          .retold(
              failure.kind(),
              failure.getMessage() + " No mirror helped: " + String.join("; ", reasons))
          .fact("mirrors", reasons)
          .build();
    }
  }

  /**
   * All links but the one that was resolved last.
   *
   * @param access how what a link leads to is read
   */
  List<Transfer.Mirror> others(Function<RemoteFile, Access> access) {
    List<Transfer.Mirror> others = new ArrayList<>();
    for (Link link : mirrors) {
      if (!link.equals(used)) {
        others.add(mirror(link, access));
      }
    }
    if (!used.equals(own)) {
      others.add(mirror(own, access));
    }
    return others;
  }

  private Transfer.Mirror mirror(Link link, Function<RemoteFile, Access> access) {
    return new Transfer.Mirror(link.host(), cancellation -> resolve(link, cancellation), access);
  }

  private RemoteFile resolve(Link link, Cancellation cancellation) {
    return ask(link, Opening.ofFirstByte(), cancellation, RetryPolicy.WaitListener.NOBODY);
  }

  /** Takes a connection like any other request, so that it is told who has them all. */
  private RemoteFile ask(
      Link link, Opening opening, Cancellation cancellation, RetryPolicy.WaitListener listener) {
    try (ConnectionBudget.Share visit = connections.join(sources.siteOf(link.wish), listener)) {
      return visit.withOnly(
          visit.site(),
          cancellation,
          () -> sources.resolve(link.wish, opening.telling(listener), cancellation));
    }
  }
}
