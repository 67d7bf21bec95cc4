package io.anymatix.fetcher.http;

import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.Arrays;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** IP addresses: which texts stand for one, and which of them are reached from anywhere. */
final class IpAddress {
  private static final Pattern DOTTED_DECIMAL =
      Pattern.compile(
          "(?:(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)\\.){3}"
              + "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)");

  /** What resolvers may take for an IPv4 address: the last label is a number (WHATWG URL 3.5). */
  private static final Pattern NUMERIC_LAST_LABEL =
      Pattern.compile("(?:.*\\.)?(?:\\d+|0[xX][0-9a-fA-F]*)");

  /** Azure's virtual machines reach their platform here, although it looks public. */
  private static final byte[] AZURE_PLATFORM = {(byte) 168, 63, (byte) 129, 16};

  private IpAddress() {}

  /**
   * The address that a host's text is; never asks a name server.
   *
   * @param host without brackets
   * @return null if it is a name
   * @throws IllegalArgumentException if it is an address in another spelling than four decimal
   *     numbers or RFC 4291: resolvers disagree on {@code 127.1}, {@code 0x7f.0.0.1}, {@code
   *     2130706433} and the like
   */
  static @Nullable InetAddress parse(String host) {
    boolean isIpv6 = host.indexOf(':') >= 0;
    if (!isIpv6 && !NUMERIC_LAST_LABEL.matcher(host).matches()) {
      return null;
    }
    if (!isIpv6 && !DOTTED_DECIMAL.matcher(host).matches()) {
      throw new IllegalArgumentException(host);
    }
    try {
      return InetAddress.getByName(host);
    } catch (UnknownHostException e) {
      throw new IllegalArgumentException(host, e);
    }
  }

  /**
   * Whether an address is one that everybody may reach, and not one of the machine's own network or
   * of its provider's (RFC 6890). 198.18.0.0/15 counts as public: local proxies resolve every name
   * to an address in it.
   */
  static boolean isPublic(InetAddress address) {
    byte[] b = address.getAddress();
    return address instanceof Inet4Address ? isPublicIpv4(b) : isPublicIpv6(b);
  }

  private static boolean isPublicIpv4(byte[] b) {
    int first = b[0] & 0xff;
    int second = b[1] & 0xff;
    boolean thisNetwork = first == 0;
    boolean privateUse =
        first == 10 || (first == 172 && (second & 0xf0) == 16) || (first == 192 && second == 168);
    boolean sharedSpace = first == 100 && (second & 0xc0) == 64;
    boolean loopback = first == 127;
    boolean linkLocal = first == 169 && second == 254;
    boolean protocolAssignments = first == 192 && second == 0 && b[2] == 0;
    boolean multicastOrReserved = first >= 224;
    return !(thisNetwork
        || privateUse
        || sharedSpace
        || loopback
        || linkLocal
        || protocolAssignments
        || multicastOrReserved
        || Arrays.equals(b, AZURE_PLATFORM));
  }

  /**
   * Global unicast is 2000::/3 (RFC 4291 section 2.4) and, translated to IPv4, 64:ff9b::/96 (RFC
   * 6052); an address that carries an IPv4 address is judged by that one. The rest is loopback,
   * link-local, unique local, multicast, IPv4-compatible or unassigned.
   */
  private static boolean isPublicIpv6(byte[] b) {
    if (startsWith(b, 0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0)) {
      return isPublicIpv4(Arrays.copyOfRange(b, 12, 16));
    }
    if (startsWith(b, 0x20, 0x02)) { // 6to4
      return isPublicIpv4(Arrays.copyOfRange(b, 2, 6));
    }
    boolean teredo = startsWith(b, 0x20, 0x01, 0, 0);
    boolean isatap = (b[8] & 0xfd) == 0 && b[9] == 0 && b[10] == 0x5e && (b[11] & 0xff) == 0xfe;
    return (b[0] & 0xe0) == 0x20 && !teredo && !isatap;
  }

  private static boolean startsWith(byte[] address, int... prefix) {
    for (int i = 0; i < prefix.length; i++) {
      if ((address[i] & 0xff) != prefix[i]) {
        return false;
      }
    }
    return true;
  }
}
