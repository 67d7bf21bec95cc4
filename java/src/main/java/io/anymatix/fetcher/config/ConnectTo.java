package io.anymatix.fetcher.config;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * One {@code HOST1:PORT1:HOST2:PORT2} rule in curl's form: requests to the first pair are sent to
 * the second.
 *
 * @param fromHost without brackets; empty matches every host
 * @param fromPort negative matches every port
 * @param toHost without brackets; empty keeps the host
 * @param toPort negative keeps the port
 */
public record ConnectTo(String fromHost, int fromPort, String toHost, int toPort) {
  private static final Pattern RULE =
      Pattern.compile("(\\[[^\\]]*\\]|[^:\\[]*):(\\d{0,5}):(\\[[^\\]]*\\]|[^:\\[]*):(\\d{0,5})");

  /**
   * Reads a rule.
   *
   * @throws IllegalArgumentException if it is none
   */
  public static ConnectTo parse(String rule) {
    Matcher parts = RULE.matcher(rule.strip());
    if (!parts.matches()) {
      throw refused(rule);
    }
    return new ConnectTo(
        bare(parts.group(1)),
        port(parts.group(2), rule),
        bare(parts.group(3)),
        port(parts.group(4), rule));
  }

  public boolean matches(String host, int port) {
    return (fromHost.isEmpty() || fromHost.equalsIgnoreCase(host))
        && (fromPort < 0 || fromPort == port);
  }

  /** Whether the owner spoke of one host, and not of the ports of all. */
  public boolean namesHost() {
    return !fromHost.isEmpty() || !toHost.isEmpty();
  }

  private static String bare(String host) {
    return host.startsWith("[") ? host.substring(1, host.length() - 1) : host;
  }

  private static int port(String digits, String rule) {
    int port = digits.isEmpty() ? -1 : Integer.parseInt(digits);
    if (port > 65_535) {
      throw refused(rule);
    }
    return port;
  }

  private static IllegalArgumentException refused(String rule) {
    return new IllegalArgumentException(
        "--connect-to wants HOST1:PORT1:HOST2:PORT2, not " + rule.strip());
  }
}
