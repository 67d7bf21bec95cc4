package io.anymatix.fetcher.http;

import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.content.HttpUrl;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import java.net.Inet4Address;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.hc.client5.http.DnsResolver;
import org.jspecify.annotations.Nullable;

/**
 * Which hosts may be reached, and at which addresses.
 *
 * <p>{@link #check} judges a url before every hop; as the clients' resolver this class judges each
 * address after the one look-up whose result is connected to, so that a name cannot change its mind
 * in between. Addresses that the owner gave as {@code --connect-to}, and origins that he named
 * otherwise, are exempt.
 */
final class NetworkPolicy implements DnsResolver {
  private final boolean allowHttp;
  private final boolean allowPrivateHosts;
  private final List<String> allowedHosts;
  private final List<ConnectTo> connectTo;
  private final Set<HttpUrl> trusted;

  NetworkPolicy(Config config, Set<HttpUrl> trusted) {
    this.trusted = Set.copyOf(trusted);
    this.allowHttp = config.allowHttp();
    this.allowPrivateHosts = config.allowPrivateHosts();
    this.allowedHosts = config.allowedHosts();
    this.connectTo = config.connectTo().stream().map(ConnectTo::parse).toList();
  }

  /**
   * Judges a url by its text alone.
   *
   * @throws FetchException {@code policy}
   */
  void check(HttpUrl url) {
    if (!url.isHttps()
        && !allowHttp
        && target(url.host(), url.port()) == null
        && trusted.stream().noneMatch(url::sameOrigin)) {
      throw FetchException.because(
              FailureKind.POLICY, "Plain http is not allowed here; " + url.host() + " was refused.")
          .url(url.redacted())
          .hint("Use an https link, or start the process with --allow-http.")
          .build();
    }
    if (!allowedHosts.isEmpty() && allowedHosts.stream().noneMatch(h -> covers(h, url.host()))) {
      throw FetchException.because(
              FailureKind.POLICY,
              "The host " + url.host() + " is not in the list of allowed hosts.")
          .url(url.redacted())
          .hint("Ask the owner to add it to --allowed-hosts.")
          .build();
    }
  }

  private static boolean covers(String allowed, String host) {
    return host.equalsIgnoreCase(allowed)
        || host.regionMatches(
            true, host.length() - allowed.length() - 1, "." + allowed, 0, allowed.length() + 1);
  }

  @Override
  public List<InetSocketAddress> resolve(String host, int port) throws UnknownHostException {
    ConnectTo rule = target(host, port);
    if (rule != null) {
      String actualHost = rule.toHost().isEmpty() ? host : rule.toHost();
      int actualPort = rule.toPort() < 0 ? port : rule.toPort();
      return withPort(InetAddress.getAllByName(actualHost), actualPort);
    }
    boolean isTrusted = trusted.stream().anyMatch(t -> t.host().equals(host) && t.port() == port);
    return withPort(isTrusted ? InetAddress.getAllByName(host) : resolve(host), port);
  }

  @Override
  public InetAddress[] resolve(String host) throws UnknownHostException {
    InetAddress[] addresses = InetAddress.getAllByName(host);
    if (!allowPrivateHosts) {
      for (InetAddress address : addresses) {
        if (isPrivate(address)) {
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

  private @Nullable ConnectTo target(String host, int port) {
    return connectTo.stream().filter(rule -> rule.matches(host, port)).findFirst().orElse(null);
  }

  private static List<InetSocketAddress> withPort(InetAddress[] addresses, int port) {
    return Arrays.stream(addresses).map(a -> new InetSocketAddress(a, port)).toList();
  }

  /** Whether an address lies in a network of the machine's own or its provider's. */
  static boolean isPrivate(InetAddress address) {
    if (address.isAnyLocalAddress()
        || address.isLoopbackAddress()
        || address.isLinkLocalAddress()
        || address.isSiteLocalAddress()
        || address.isMulticastAddress()) {
      return true;
    }
    byte[] b = address.getAddress();
    if (address instanceof Inet4Address) {
      int first = b[0] & 0xff;
      int second = b[1] & 0xff;
      boolean sharedSpace = first == 100 && (second & 0xc0) == 64;
      boolean protocolAssignments = first == 192 && second == 0 && b[2] == 0;
      return first == 0 || sharedSpace || protocolAssignments || first >= 240;
    }
    if (address instanceof Inet6Address) {
      boolean uniqueLocal = (b[0] & 0xfe) == 0xfc;
      return uniqueLocal || embeddedIpv4(b).stream().anyMatch(NetworkPolicy::isPrivate);
    }
    return true;
  }

  /** The IPv4 addresses that an IPv6 address may stand for: ::/96, NAT64 (RFC 6052), 6to4. */
  private static List<InetAddress> embeddedIpv4(byte[] b) {
    List<InetAddress> found = new ArrayList<>();
    boolean compatible = true;
    for (int i = 0; i < 12; i++) {
      compatible &= b[i] == 0;
    }
    boolean nat64 = b[0] == 0 && b[1] == 0x64 && (b[2] & 0xff) == 0xff && (b[3] & 0xff) == 0x9b;
    boolean sixToFour = b[0] == 0x20 && b[1] == 0x02;
    try {
      if (compatible || nat64) {
        found.add(InetAddress.getByAddress(Arrays.copyOfRange(b, 12, 16)));
      }
      if (sixToFour) {
        found.add(InetAddress.getByAddress(Arrays.copyOfRange(b, 2, 6)));
      }
    } catch (UnknownHostException e) {
      throw new AssertionError("four bytes are an address", e);
    }
    return found;
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
                      + ", which may not be reached from here.")
              .hint("If that is meant, start the process with --allow-private-hosts.")
              .build();
    }

    FetchException failure() {
      return failure;
    }
  }

  /** One {@code HOST1:PORT1:HOST2:PORT2} rule; an empty part matches, or keeps, anything. */
  private record ConnectTo(String fromHost, int fromPort, String toHost, int toPort) {
    private static final Pattern RULE =
        Pattern.compile("(\\[[^\\]]*\\]|[^:]*):(\\d*):(\\[[^\\]]*\\]|[^:]*):(\\d*)");

    static ConnectTo parse(String rule) {
      Matcher parts = RULE.matcher(rule.strip());
      if (!parts.matches()) {
        throw new IllegalArgumentException(
            "--connect-to wants HOST1:PORT1:HOST2:PORT2, not " + rule);
      }
      return new ConnectTo(
          bare(parts.group(1)), port(parts.group(2)), bare(parts.group(3)), port(parts.group(4)));
    }

    boolean matches(String host, int port) {
      return (fromHost.isEmpty() || fromHost.equalsIgnoreCase(host))
          && (fromPort < 0 || fromPort == port);
    }

    private static String bare(String host) {
      return host.startsWith("[") ? host.substring(1, host.length() - 1) : host;
    }

    private static int port(String digits) {
      return digits.isEmpty() ? -1 : Integer.parseInt(digits);
    }
  }
}
