package io.anymatix.fetcher.http;

import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.content.ByteRange;
import io.anymatix.fetcher.content.HttpUrl;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.http.Proxies.Proxy;
import io.anymatix.fetcher.http.RequestGate.Site;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Function;
import javax.net.ssl.SSLException;
import org.apache.hc.client5.http.DnsResolver;
import org.apache.hc.client5.http.SystemDefaultDnsResolver;
import org.apache.hc.client5.http.classic.methods.HttpUriRequestBase;
import org.apache.hc.client5.http.impl.classic.CloseableHttpClient;
import org.apache.hc.client5.http.protocol.HttpClientContext;
import org.apache.hc.core5.http.ClassicHttpResponse;
import org.apache.hc.core5.http.ContentType;
import org.apache.hc.core5.http.Header;
import org.apache.hc.core5.http.HttpHost;
import org.apache.hc.core5.http.HttpRequest;
import org.apache.hc.core5.http.HttpResponse;
import org.apache.hc.core5.http.HttpStatus;
import org.apache.hc.core5.http.io.entity.StringEntity;
import org.apache.hc.core5.http.message.BasicHttpRequest;
import org.apache.hc.core5.net.URIAuthority;

/**
 * Reads from web servers; all use of the HTTP clients is here, and they are made in {@link
 * Clients}.
 *
 * <p>Redirects are followed by hand: every hop is judged by the network policy, and credentials
 * stay with the origin they were meant for (RFC 9110 section 15.4). Identity coding is asked for,
 * since ranges and lengths of a coded representation are of no use. Every hop passes the gate that
 * bounds how much a site gets at a time. Nothing is retried here. All methods may be called from
 * any thread.
 */
public final class RemoteReader implements AutoCloseable {
  /** An honest product name. CivitAI takes callers whose agent looks like a browser for one. */
  public static final String USER_AGENT = "AnymatixFetcher/1.0";

  private static final int MAX_REDIRECTS = 10;

  /** For a reader that nobody told what sites bear. */
  private static final int MOST_REQUESTS = 64;

  /** A redirect's or probe's content up to this length is read, so that its connection is kept. */
  private static final int DRAINED_BYTES = 16 * 1024;

  private final NetworkPolicy policy;
  private final Proxies proxies;
  private final Clients clients;
  private final RequestGate gate;
  private final Function<HttpUrl, Site> siteOf;

  /** Origins that refused HTTP/1.1. */
  private final Set<String> http2Alone;

  private final AtomicBoolean prefersHttp2;

  public RemoteReader(Config config) {
    this(config, Set.of(), new RequestGate());
  }

  /**
   * Prepares to read.
   *
   * @param trusted origins that the owner named in another way than by {@code config}: plain http
   *     and private addresses are allowed there
   * @param gate that of the process
   */
  public RemoteReader(Config config, Set<HttpUrl> trusted, RequestGate gate) {
    this(config, trusted, gate, SystemDefaultDnsResolver.INSTANCE);
  }

  /** With another way to look names up. */
  RemoteReader(Config config, Set<HttpUrl> trusted, RequestGate gate, DnsResolver names) {
    this.gate = gate;
    this.siteOf = url -> new Site(url.authority(), MOST_REQUESTS);
    this.http2Alone = ConcurrentHashMap.newKeySet();
    this.prefersHttp2 = new AtomicBoolean();
    this.policy = new NetworkPolicy(config, trusted, names);
    this.proxies = new Proxies(config.proxies());
    this.clients =
        new Clients(policy, names, new Trust(config.certificates()), config.stallTimeout());
  }

  private RemoteReader(RemoteReader whole, Function<HttpUrl, Site> siteOf) {
    this.policy = whole.policy;
    this.proxies = whole.proxies;
    this.clients = whole.clients;
    this.gate = whole.gate;
    this.siteOf = siteOf;
    this.http2Alone = whole.http2Alone;
    this.prefersHttp2 = whole.prefersHttp2;
  }

  /**
   * The same reader for requests of which a site bears so many at a time; all else is shared.
   *
   * @param siteOf whose a url is
   */
  public RemoteReader countingBy(Function<HttpUrl, Site> siteOf) {
    return new RemoteReader(this, siteOf);
  }

  /** Whose requests a url's count with. */
  public Site siteOf(HttpUrl url) {
    return siteOf.apply(url);
  }

  /**
   * Sends a request and follows redirects; an answer of any other status comes back as it is.
   *
   * @throws FetchException if no answer came, or the policy forbids a hop
   * @throws io.anymatix.fetcher.failure.CancelledException at the cancellation, at once
   */
  public Answer open(RemoteRequest request, Cancellation cancellation) {
    return open(request, cancellation, RetryPolicy.WaitListener.NOBODY);
  }

  private Answer open(
      RemoteRequest request, Cancellation cancellation, RetryPolicy.WaitListener listener) {
    List<Answer.Hop> hops = new ArrayList<>();
    RemoteRequest hop = request;
    while (true) {
      policy.check(hop.url());
      Answer answer = exchange(hop, List.copyOf(hops), cancellation, listener);
      boolean mayMove = isRedirect(answer.status()) && hop.json() == null;
      String location = mayMove ? answer.field("Location") : null;
      if (location == null) {
        return answer;
      }
      hops.add(new Answer.Hop(hop.url(), answer.status(), answer.fields()));
      HttpUrl next;
      try (answer) {
        next = hop.url().resolve(location);
        drainIfShort(answer);
      }
      if (hops.size() > MAX_REDIRECTS) {
        throw FetchException.because(
                FailureKind.SERVER,
                request.url().host() + " redirected more than " + MAX_REDIRECTS + " times.")
            .url(request.url().redacted())
            .build();
      }
      hop = hop.redirectedTo(next);
    }
  }

  /**
   * Sends a request and insists on success.
   *
   * @throws FetchException also for an answer that is no success (2xx)
   */
  public Answer openSuccessful(RemoteRequest request, Cancellation cancellation) {
    Answer answer = open(request, cancellation);
    if (answer.status() / 100 == 2) {
      return answer;
    }
    try (answer) {
      throw StatusKinds.ofStatus(answer);
    }
  }

  /** The failure that an answer's status stands for; for a status that is no success. */
  public static FetchException failureOf(Answer answer) {
    return StatusKinds.ofStatus(answer);
  }

  /**
   * Asks for the first byte alone: the one way to learn what a server really does with ranges.
   *
   * @throws FetchException if there is no answer, or none that describes a representation
   */
  public Probe probe(RemoteRequest request, Cancellation cancellation) {
    return probe(request, cancellation, RemoteReader::failureOf);
  }

  /**
   * The same for a site that says in its own way why it refuses.
   *
   * @param refusal makes the failure of an answer that describes no representation
   */
  public Probe probe(
      RemoteRequest request, Cancellation cancellation, Function<Answer, FetchException> refusal) {
    return probe(request, Opening.ofFirstByte(), cancellation, refusal);
  }

  /**
   * The same with a request that may bring the file, or its beginning.
   *
   * @param opening says what is asked for, and keeps the answer
   */
  public Probe probe(
      RemoteRequest request,
      Opening opening,
      Cancellation cancellation,
      Function<Answer, FetchException> refusal) {
    ByteRange asked = opening.asked();
    Answer answer =
        open(request.withRange(asked).withIfRange(null), cancellation, opening.listener());
    boolean kept = false;
    try {
      Probe probe = Probe.of(answer, asked);
      if (probe == null) {
        throw refusal.apply(answer);
      }
      kept = opening.keep(answer, probe);
      if (!kept) {
        drainIfShort(answer);
      }
      return probe;
    } finally {
      if (!kept) {
        answer.close();
      }
    }
  }

  /**
   * Asks for the first byte alone by a suffix of the path. What answers that with exactly one byte
   * takes ranges in this form; the length of the whole is not told.
   *
   * @throws FetchException also for an answer that is no success
   */
  public Probe probeInPath(RemoteRequest request, Cancellation cancellation) {
    RemoteRequest firstByte = request.withRangeInPath(new ByteRange(0, 0));
    try (Answer answer = openSuccessful(firstByte, cancellation)) {
      Probe probe = Probe.ofRangeInPath(answer);
      if (probe.rangesProven()) {
        drainIfShort(answer);
      }
      return probe;
    }
  }

  /**
   * Speaks HTTP/2 from now on wherever it is offered. By default it is spoken only where HTTP/1.1
   * is refused: one stream for each connection is all that a transfer needs, and HTTP/1.1 brings it
   * for less.
   */
  public void preferHttp2() {
    prefersHttp2.set(true);
  }

  @Override
  public void close() {
    clients.close();
  }

  private static boolean isRedirect(int status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
  }

  private static void drainIfShort(Answer answer) {
    Long length = answer.contentLengthBytes();
    if (length != null && length <= DRAINED_BYTES) {
      answer.drain(DRAINED_BYTES);
    }
  }

  private Answer exchange(
      RemoteRequest request,
      List<Answer.Hop> hops,
      Cancellation cancellation,
      RetryPolicy.WaitListener listener) {
    cancellation.throwIfCancelled();
    RequestGate.Pass pass = gate.enter(siteOf(request.url()), cancellation, listener);
    try {
      return exchange(request, hops, pass, cancellation);
    } catch (RuntimeException | Error e) {
      pass.close();
      throw e;
    }
  }

  private Answer exchange(
      RemoteRequest request,
      List<Answer.Hop> hops,
      RequestGate.Pass pass,
      Cancellation cancellation) {
    HttpUrl url = request.url();
    Optional<Proxy> proxy =
        policy.isConnectedElsewhere(url) ? Optional.empty() : proxies.forUrl(url);
    boolean mayNegotiate = url.isHttps() && request.json() == null;
    if (mayNegotiate && (prefersHttp2.get() || http2Alone.contains(url.authority()))) {
      Optional<NegotiatedClient> negotiated = clients.negotiated(proxy);
      if (negotiated.isPresent()) {
        return negotiate(negotiated.get(), proxy, request, hops, pass, cancellation);
      }
    }
    try {
      return exchange(clients.blocking(proxy), proxy, request, hops, pass, cancellation);
    } catch (FetchException failure) {
      if (mayNegotiate && refusesHttp1(failure) && http2Alone.add(url.authority())) {
        return exchange(request, hops, pass, cancellation);
      }
      throw failure;
    }
  }

  /** The answer to an offer of HTTP/1.1 alone by a server that speaks HTTP/2 alone (RFC 7301). */
  private static boolean refusesHttp1(FetchException failure) {
    return failure.getCause() instanceof SSLException refusal
        && TlsLibrary.isNoApplicationProtocol(refusal);
  }

  private static Answer exchange(
      CloseableHttpClient client,
      Optional<Proxy> proxy,
      RemoteRequest request,
      List<Answer.Hop> hops,
      RequestGate.Pass pass,
      Cancellation cancellation) {
    HttpUrl url = request.url();
    String method = request.json() == null ? "GET" : "POST";
    HttpUriRequestBase message = new HttpUriRequestBase(method, URI.create("/"));
    message.setScheme(url.scheme());
    message.setAuthority(authority(url));
    message.setPath(url.target());
    setFields(message, request);
    if (request.json() != null) {
      message.setEntity(new StringEntity(request.json(), ContentType.APPLICATION_JSON));
    }
    HttpClientContext context = Clients.context(proxy);
    Cancellation.Registration registration = cancellation.onCancel(message::abort);
    try {
      ClassicHttpResponse response = client.executeOpen(host(url), message, context);
      requireFromOrigin(url, proxy, response, context);
      InputStream content =
          response.getEntity() == null
              ? InputStream.nullInputStream()
              : response.getEntity().getContent();
      return new Answer(
          url,
          hops,
          "HTTP/1.1",
          response.getCode(),
          fields(response, request),
          content,
          message::abort,
          registration,
          pass);
    } catch (IOException | RuntimeException e) {
      registration.close();
      message.abort();
      cancellation.throwIfCancelled();
      throw StatusKinds.ofNoAnswer(e, url, proxy);
    }
  }

  private static Answer negotiate(
      NegotiatedClient client,
      Optional<Proxy> proxy,
      RemoteRequest request,
      List<Answer.Hop> hops,
      RequestGate.Pass pass,
      Cancellation cancellation) {
    HttpUrl url = request.url();
    BasicHttpRequest message = new BasicHttpRequest("GET", url.target());
    message.setScheme(url.scheme());
    message.setAuthority(authority(url));
    setFields(message, request);
    HttpClientContext context = Clients.context(proxy);
    NegotiatedClient.Exchange exchange = client.send(url, message, context);
    Cancellation.Registration registration = cancellation.onCancel(exchange::abort);
    try {
      HttpResponse response = exchange.awaitHead();
      requireFromOrigin(url, proxy, response, context);
      return new Answer(
          url,
          hops,
          exchange.httpVersion(),
          response.getCode(),
          fields(response, request),
          exchange.content(),
          exchange::abort,
          registration,
          pass);
    } catch (IOException | RuntimeException e) {
      registration.close();
      exchange.abort();
      cancellation.throwIfCancelled();
      throw StatusKinds.ofNoAnswer(e, url, proxy);
    }
  }

  /** The clients hand out a proxy's refusal of a tunnel as if the origin had answered. */
  private static void requireFromOrigin(
      HttpUrl url, Optional<Proxy> proxy, HttpResponse response, HttpClientContext context) {
    if (proxy.isPresent()
        && (response.getCode() == HttpStatus.SC_PROXY_AUTHENTICATION_REQUIRED
            || (url.isHttps() && context.getSSLSession() == null))) {
      throw StatusKinds.ofProxy(proxy.get(), response.getCode(), url);
    }
  }

  /** Hosts compare the {@code Host} field as text, so a default port is left out. */
  private static URIAuthority authority(HttpUrl url) {
    boolean isDefault = url.port() == (url.isHttps() ? 443 : 80);
    return new URIAuthority(url.host(), isDefault ? -1 : url.port());
  }

  private static HttpHost host(HttpUrl url) {
    return new HttpHost(url.scheme(), url.host(), url.port());
  }

  private static void setFields(HttpRequest message, RemoteRequest request) {
    message.setHeader("Accept", "*/*");
    message.setHeader("Accept-Encoding", "identity");
    if (request.cookies() != null) {
      request.cookies().fieldsFor(request.url()).forEach(message::setHeader);
    }
    request.credentials().forEach(message::setHeader);
    if (request.range() != null) {
      message.setHeader("Range", request.range().headerValue());
      if (request.ifRange() != null) {
        message.setHeader("If-Range", request.ifRange());
      }
    }
  }

  private static Map<String, String> fields(HttpResponse response, RemoteRequest request) {
    HttpUrl url = request.url();
    if (request.cookies() != null) {
      request.cookies().remember(url, response.getHeaders("Set-Cookie"));
    }
    Header[] headers = response.getHeaders();
    if (headers.length > Clients.MAX_HEADER_FIELDS) {
      throw FetchException.because(
              FailureKind.SERVER, url.host() + " sent " + headers.length + " header fields.")
          .url(url.redacted())
          .build();
    }
    Map<String, String> fields = new HashMap<>();
    for (Header header : headers) {
      fields.putIfAbsent(
          header.getName().toLowerCase(Locale.ROOT),
          header.getValue() == null ? "" : header.getValue());
    }
    return fields;
  }
}
