package io.anymatix.fetcher.http;

import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.config.ConnectTo;
import io.anymatix.fetcher.content.HttpUrl;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import org.apache.hc.client5.http.DnsResolver;
import org.jspecify.annotations.Nullable;

/**
 * Which hosts may be reached, and at which addresses.
 *
 * <p>{@link #check} judges a url's text before every hop; as the direct clients' resolver this
 * class judges each address after the one look-up whose result is connected to, so that a name
 * cannot change its mind in between. Behind a proxy it is the proxy that looks names up, and the
 * text is all that can be judged. Hosts that the owner named, in a {@code --connect-to} rule or
 * otherwise, are exempt from the rules on http and private addresses.
 */
final class NetworkPolicy implements DnsResolver {
  /** Below these no public host has a name (RFC 6761, RFC 6762, RFC 8375, and by custom). */
  private static final List<String> LOCAL_SUFFIXES =
      List.of("localhost", "local", "internal", "home.arpa", "lan", "home", "corp");

  private static final String PRIVATE_REFUSED = ", which may not be reached from here.";
  private static final String PRIVATE_HINT =
      "If that is meant, start the process with --allow-private-hosts.";

  private final boolean allowHttp;
  private final boolean allowPrivateHosts;
  private final List<String> allowedHosts;
  private final List<ConnectTo> connectTo;
  private final Set<HttpUrl> trusted;
  private final DnsResolver names;

  /**
   * @param trusted origins that the owner named otherwise than by {@code config}
   * @param names looks names up, without any judgement
   */
  NetworkPolicy(Config config, Set<HttpUrl> trusted, DnsResolver names) {
    this.allowHttp = config.allowHttp();
    this.allowPrivateHosts = config.allowPrivateHosts();
    this.allowedHosts =
        config.allowedHosts().stream().map(host -> host.replaceFirst("^\\*?\\.", "")).toList();
    this.connectTo = config.connectTo();
    this.trusted = Set.copyOf(trusted);
    this.names = names;
  }

  /**
   * Judges a url by its text alone.
   *
   * @throws FetchException {@code policy}
   */
  void check(HttpUrl url) {
    String host = url.host();
    if (host.endsWith(".")) {
      throw refused(url, "The host name " + host + " ends in a dot.", "Leave that dot out.");
    }
    InetAddress literal = literal(url);
    if (!allowedHosts.isEmpty() && allowedHosts.stream().noneMatch(h -> isAtOrBelow(host, h))) {
      throw refused(
          url,
          "The host " + host + " is not in the list of allowed hosts.",
          "Ask the owner to add it to --allowed-hosts.");
    }
    if (isNamedByOwner(host, url.port()) || trusted.stream().anyMatch(url::sameOrigin)) {
      return;
    }
    if (!url.isHttps() && !allowHttp) {
      throw refused(
          url,
          "Plain http is not allowed here; " + host + " was refused.",
          "Use an https link, or start the process with --allow-http.");
    }
    if (!allowPrivateHosts
        && (literal == null ? isLocalName(host) : !IpAddress.isPublic(literal))) {
      throw refused(url, "The host " + host + " is a private one" + PRIVATE_REFUSED, PRIVATE_HINT);
    }
  }

  /** Whether the owner sent this host elsewhere; then that is where it is, proxy or not. */
  boolean isConnectedElsewhere(HttpUrl url) {
    return rule(url.host(), url.port()) != null;
  }

  private static @Nullable InetAddress literal(HttpUrl url) {
    try {
      return IpAddress.parse(url.host());
    } catch (IllegalArgumentException e) {
      throw refused(
          url,
          "The host " + url.host() + " is an address in an unusual spelling.",
          "Write it as four decimal numbers, or in brackets if it is an IPv6 address.");
    }
  }

  private static boolean isLocalName(String host) {
    return host.indexOf('.') < 0 || LOCAL_SUFFIXES.stream().anyMatch(s -> isAtOrBelow(host, s));
  }

  private static boolean isAtOrBelow(String host, String domain) {
    return host.equalsIgnoreCase(domain)
        || host.regionMatches(
            true, host.length() - domain.length() - 1, "." + domain, 0, domain.length() + 1);
  }

  private static FetchException refused(HttpUrl url, String message, String hint) {
    return FetchException.because(FailureKind.POLICY, message)
        .url(url.redacted())
        .hint(hint)
        .build();
  }

  @Override
  public List<InetSocketAddress> resolve(String host, int port) throws UnknownHostException {
    ConnectTo rule = rule(host, port);
    if (rule == null) {
      boolean isTrusted = trusted.stream().anyMatch(t -> t.host().equals(host) && t.port() == port);
      return withPort(isTrusted ? names.resolve(host) : resolve(host), port);
    }
    String actualHost = rule.toHost().isEmpty() ? host : rule.toHost();
    int actualPort = rule.toPort() < 0 ? port : rule.toPort();
    return withPort(rule.namesHost() ? names.resolve(actualHost) : resolve(actualHost), actualPort);
  }

  @Override
  public InetAddress[] resolve(String host) throws UnknownHostException {
    InetAddress[] addresses = names.resolve(host);
    if (!allowPrivateHosts) {
      for (InetAddress address : addresses) {
        if (!IpAddress.isPublic(address)) {
          throw new Refusal(host, address);
        }
      }
    }
    return addresses;
  }

  @Override
  public String resolveCanonicalHostname(String host) {
    return host;
  }

  private @Nullable ConnectTo rule(String host, int port) {
    return connectTo.stream().filter(rule -> rule.matches(host, port)).findFirst().orElse(null);
  }

  private boolean isNamedByOwner(String host, int port) {
    ConnectTo rule = rule(host, port);
    return rule != null && rule.namesHost();
  }

  private static List<InetSocketAddress> withPort(InetAddress[] addresses, int port) {
    return Arrays.stream(addresses).map(a -> new InetSocketAddress(a, port)).toList();
  }

  /** A look-up that ended at an address which may not be reached. */
  static final class Refusal extends UnknownHostException {
    private final transient FetchException failure;

    Refusal(String host, InetAddress address) {
      super(host);
      this.failure =
          FetchException.because(
                  FailureKind.POLICY,
                  "The host "
                      + host
                      + " is at the private address "
                      + address.getHostAddress()
                      + PRIVATE_REFUSED)
              .hint(PRIVATE_HINT)
              .build();
    }

    FetchException failure() {
      return failure;
    }
  }
}
