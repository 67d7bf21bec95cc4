package io.anymatix.fetcher.http;

import io.anymatix.fetcher.http.Proxies.Kind;
import io.anymatix.fetcher.http.Proxies.Proxy;
import java.net.Authenticator;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.PasswordAuthentication;
import java.net.UnknownHostException;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.hc.client5.http.DnsResolver;
import org.apache.hc.client5.http.HttpRoute;
import org.apache.hc.client5.http.auth.UsernamePasswordCredentials;
import org.apache.hc.client5.http.config.ConnectionConfig;
import org.apache.hc.client5.http.config.RequestConfig;
import org.apache.hc.client5.http.impl.auth.BasicScheme;
import org.apache.hc.client5.http.impl.classic.CloseableHttpClient;
import org.apache.hc.client5.http.impl.classic.HttpClients;
import org.apache.hc.client5.http.impl.io.ManagedHttpClientConnectionFactory;
import org.apache.hc.client5.http.impl.io.PoolingHttpClientConnectionManagerBuilder;
import org.apache.hc.client5.http.protocol.HttpClientContext;
import org.apache.hc.client5.http.routing.HttpRoutePlanner;
import org.apache.hc.core5.http.HttpHost;
import org.apache.hc.core5.http.config.Http1Config;
import org.apache.hc.core5.http.io.SocketConfig;
import org.apache.hc.core5.io.CloseMode;
import org.apache.hc.core5.util.TimeValue;
import org.apache.hc.core5.util.Timeout;
import org.jspecify.annotations.Nullable;

/**
 * The HTTP clients of the process: those that connect directly, which look names up under the
 * network policy, and those that connect through a proxy, which look up the proxy's name alone.
 *
 * <p>Each is made when it is first needed. Through a tunnel of a plain proxy HTTP/2 is negotiated
 * as on a direct connection; the event-driven client can not make TLS inside of TLS, nor speak
 * SOCKS to some hosts and not to others, so behind such proxies HTTP/1.1 is spoken. Methods may be
 * called from any thread.
 */
final class Clients implements AutoCloseable {
  private static final Timeout CONNECT_TIMEOUT = Timeout.ofSeconds(15);

  /** Connections to one host, over all files of the process. */
  private static final int MAX_CONNECTIONS_PER_HOST = 64;

  /** Most header fields of an answer. */
  static final int MAX_HEADER_FIELDS = 200;

  /** Longest field line, and over HTTP/2 the longest header section. */
  static final int MAX_HEADER_LINE_BYTES = 64 * 1024;

  private final NetworkPolicy policy;
  private final DnsResolver names;
  private final Trust trust;
  private final Duration silence;
  private final ConnectionConfig connectionConfig;
  private final RequestConfig requestConfig;
  private final Map<Optional<Proxy>, CloseableHttpClient> blocking = new HashMap<>();
  private final Map<Optional<Proxy>, NegotiatedClient> negotiated = new HashMap<>();
  private boolean closed;

  /**
   * @param policy judges what direct connections look up
   * @param names looks up proxies, which are the owner's word
   * @param silence ends a connection
   */
  Clients(NetworkPolicy policy, DnsResolver names, Trust trust, Duration silence) {
    this.policy = policy;
    this.names = names;
    this.trust = trust;
    this.silence = silence;
    this.connectionConfig =
        ConnectionConfig.custom()
            .setConnectTimeout(CONNECT_TIMEOUT)
            .setSocketTimeout(Timeout.of(silence))
            .setValidateAfterInactivity(TimeValue.ofSeconds(2))
            .build();
    this.requestConfig =
        RequestConfig.custom()
            .setResponseTimeout(Timeout.of(silence))
            .setConnectionRequestTimeout(Timeout.ofSeconds(60))
            .build();
  }

  /** The client for HTTP/1.1. */
  synchronized CloseableHttpClient blocking(Optional<Proxy> proxy) {
    requireOpen();
    return blocking.computeIfAbsent(proxy, this::newBlocking);
  }

  /** The client that offers HTTP/2, if there is one that can go that way. */
  synchronized Optional<NegotiatedClient> negotiated(Optional<Proxy> proxy) {
    requireOpen();
    return proxy.isPresent() && proxy.get().kind() != Kind.HTTP
        ? Optional.empty()
        : Optional.of(negotiated.computeIfAbsent(proxy, this::newNegotiated));
  }

  /**
   * The state of one exchange. It offers the proxy's password unasked, to the proxy alone: waiting
   * for a challenge would cost every connection another round trip.
   */
  static HttpClientContext context(Optional<Proxy> proxy) {
    HttpClientContext context = HttpClientContext.create();
    proxy
        .filter(p -> p.user() != null && !p.kind().isSocks())
        .ifPresent(
            p -> {
              BasicScheme basic = new BasicScheme();
              basic.initPreemptive(
                  new UsernamePasswordCredentials(String.valueOf(p.user()), password(p)));
              context.resetAuthExchange(httpHost(p), basic);
            });
    return context;
  }

  private void requireOpen() {
    if (closed) {
      throw new IllegalStateException("the clients are closed");
    }
  }

  @Override
  public synchronized void close() {
    closed = true;
    blocking.values().forEach(client -> client.close(CloseMode.IMMEDIATE));
    negotiated.values().forEach(NegotiatedClient::close);
  }

  private CloseableHttpClient newBlocking(Optional<Proxy> proxy) {
    SocketConfig.Builder sockets =
        SocketConfig.custom().setTcpNoDelay(true).setSoTimeout(Timeout.of(silence));
    proxy
        .filter(p -> p.kind().isSocks())
        .ifPresent(
            p -> {
              sockets.setSocksProxyAddress(InetSocketAddress.createUnresolved(p.host(), p.port()));
              if (p.user() != null) {
                Authenticator.setDefault(new SocksPassword(p));
              }
            });
    return HttpClients.custom()
        .setRoutePlanner(proxy.filter(p -> !p.kind().isSocks()).map(Clients::routes).orElse(null))
        .setConnectionManager(
            PoolingHttpClientConnectionManagerBuilder.create()
                .setConnectionFactory(
                    ManagedHttpClientConnectionFactory.builder()
                        .http1Config(
                            Http1Config.custom()
                                .setMaxHeaderCount(MAX_HEADER_FIELDS)
                                .setMaxLineLength(MAX_HEADER_LINE_BYTES)
                                .build())
                        .build())
                .setDnsResolver(namesFor(proxy))
                .setTlsSocketStrategy(
                    (socket, target, port, attachment, context) ->
                        trust.strategy().upgrade(socket, target, port, attachment, context))
                .setDefaultConnectionConfig(connectionConfig)
                .setDefaultSocketConfig(sockets.build())
                .setMaxConnPerRoute(MAX_CONNECTIONS_PER_HOST)
                .setMaxConnTotal(4 * MAX_CONNECTIONS_PER_HOST)
                .build())
        .setDefaultRequestConfig(requestConfig)
        .setUserAgent(RemoteReader.USER_AGENT)
        .disableRedirectHandling()
        .disableAutomaticRetries()
        .disableContentCompression()
        .disableCookieManagement()
        .disableAuthCaching()
        .build();
  }

  private NegotiatedClient newNegotiated(Optional<Proxy> proxy) {
    return new NegotiatedClient(
        namesFor(proxy),
        trust.strategy(),
        proxy.map(Clients::routes).orElse(null),
        connectionConfig,
        requestConfig,
        CONNECT_TIMEOUT.toDuration(),
        silence,
        MAX_CONNECTIONS_PER_HOST);
  }

  private DnsResolver namesFor(Optional<Proxy> proxy) {
    if (proxy.isEmpty() || proxy.get().kind() == Kind.SOCKS5) {
      return policy;
    }
    return proxy.get().kind() == Kind.SOCKS5H ? new NamesLeftToTheProxy() : names;
  }

  private static HttpHost httpHost(Proxy proxy) {
    String scheme = proxy.kind() == Kind.HTTPS ? "https" : "http";
    return new HttpHost(scheme, proxy.host(), proxy.port());
  }

  /**
   * The library's own planner would have a proxy's certificate compared with the name of the target
   * where the request states that name.
   */
  private static HttpRoutePlanner routes(Proxy proxy) {
    HttpHost hop = httpHost(proxy);
    return (target, context) ->
        new HttpRoute(target, null, hop, target.getSchemeName().equals("https"));
  }

  private static char[] password(Proxy proxy) {
    return proxy.password() == null ? new char[0] : proxy.password().toCharArray();
  }

  /** Hands names to the SOCKS proxy as they are (RFC 1928 section 4, address type 3). */
  private static final class NamesLeftToTheProxy implements DnsResolver {
    @Override
    public List<InetSocketAddress> resolve(String host, int port) {
      return List.of(InetSocketAddress.createUnresolved(host, port));
    }

    @Override
    public InetAddress[] resolve(String host) throws UnknownHostException {
      throw new UnknownHostException(host);
    }

    @Override
    public String resolveCanonicalHostname(String host) {
      return host;
    }
  }

  /** Java asks its process-wide authenticator alone for the password of a SOCKS proxy. */
  private static final class SocksPassword extends Authenticator {
    private final Proxy proxy;

    SocksPassword(Proxy proxy) {
      this.proxy = proxy;
    }

    @Override
    protected @Nullable PasswordAuthentication getPasswordAuthentication() {
      boolean isProxys =
          "SOCKS5".equals(getRequestingProtocol())
              && proxy.host().equals(getRequestingHost())
              && proxy.port() == getRequestingPort();
      return isProxys
          ? new PasswordAuthentication(String.valueOf(proxy.user()), password(proxy))
          : null;
    }
  }
}
