package io.anymatix.fetcher.testing;

import java.util.HashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Links that end, as those of object stores do: one resource hands out addresses with a signature
 * of their own, another one honours each signature for so many requests or bytes. An answer under
 * way is not cut when its link ends. Safe from any thread.
 *
 * <pre>{@code
 * SignedLinks links = SignedLinks.validForBytes(10 * MIB);
 * server.serve("/api/1", Content.text("")).with(links.redirect(307, server.url("/blob")));
 * server.serve("/blob", content).with(links.demand(Reply.status(403)));
 * }</pre>
 */
public final class SignedLinks {
  private static final Pattern SIGNATURE = Pattern.compile("[?&]signature=(\\d+)");

  private final long maxRequests;
  private final long maxBytes;
  private final Map<Integer, Link> links = new HashMap<>();

  private static final class Link {
    private long requests;
    private long bytes;
    private boolean revoked;
  }

  private SignedLinks(long maxRequests, long maxBytes) {
    this.maxRequests = maxRequests;
    this.maxBytes = maxBytes;
  }

  /** Each link serves this many requests. */
  public static SignedLinks validForRequests(long count) {
    return new SignedLinks(count, Long.MAX_VALUE);
  }

  /** Each link serves requests until this many bytes of bodies were sent over it. */
  public static SignedLinks validForBytes(long count) {
    return new SignedLinks(Long.MAX_VALUE, count);
  }

  /** Links last until {@link #revokeAll}. */
  public static SignedLinks validUntilRevoked() {
    return new SignedLinks(Long.MAX_VALUE, Long.MAX_VALUE);
  }

  /** Ends every link handed out so far. */
  public synchronized void revokeAll() {
    links.values().forEach(link -> link.revoked = true);
  }

  /** How many links were handed out. */
  public synchronized int issued() {
    return links.size();
  }

  /** For the resource that resolves: redirects to {@code location} with a new signature. */
  public Fault redirect(int status, String location) {
    return Fault.replies(request -> Reply.redirect(status, sign(location)));
  }

  /** For the resource at the end: what comes without a valid signature gets {@code refusal}. */
  public Fault demand(Reply refusal) {
    return Fault.custom(
        "demands a signature",
        answer -> {
          Link link = admit(answer.request());
          if (link == null) {
            answer.replyWith(refusal);
          } else {
            answer.onBodyBytes(count -> charge(link, count));
          }
        });
  }

  /** The location with a new signature, for a resolver that is no {@link ByteRangeServer}. */
  public synchronized String sign(String location) {
    int signature = links.size() + 1;
    links.put(signature, new Link());
    return location + (location.indexOf('?') < 0 ? "?" : "&") + "signature=" + signature;
  }

  private synchronized @Nullable Link admit(Request request) {
    Matcher matcher = SIGNATURE.matcher(request.target());
    Link link = matcher.find() ? links.get(Integer.valueOf(matcher.group(1))) : null;
    if (link == null || link.revoked || link.requests >= maxRequests || link.bytes >= maxBytes) {
      return null;
    }
    link.requests++;
    return link;
  }

  private synchronized void charge(Link link, long count) {
    link.bytes += count;
  }
}
