package io.anymatix.fetcher.http;

import io.anymatix.fetcher.config.ProxyVariables;
import io.anymatix.fetcher.content.HttpUrl;
import io.anymatix.fetcher.content.Redactor;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import java.net.InetAddress;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Which proxy leads to a url: the environment's variables, read as curl reads them. A variable that
 * makes no sense fails the requests it applies to, rather than sending them around the proxy.
 */
final class Proxies {
  private static final Pattern PROXY =
      Pattern.compile(
          "(?:(?<scheme>[A-Za-z][A-Za-z0-9+.-]*)://)?(?:(?<user>[^@/]*)@)?"
              + "(?<host>\\[[0-9A-Fa-f:.]+\\]|[^:/@\\[\\]\\s]+)(?::(?<port>\\d{1,5}))?/*");

  private static final Pattern NETWORK = Pattern.compile("([0-9a-f.:]+)/(\\d{1,3})");
  private static final Pattern NAME_AND_PORT = Pattern.compile("([^:]+):(\\d{1,5})");

  private final ProxyVariables variables;
  private final List<String> noProxy;

  /** How a proxy is spoken to. */
  enum Kind {
    HTTP(80),
    /** TLS to the proxy itself. */
    HTTPS(443),
    /** Names are looked up here. */
    SOCKS5(1080),
    /** Names are looked up by the proxy. */
    SOCKS5H(1080);

    private final int defaultPort;

    Kind(int defaultPort) {
      this.defaultPort = defaultPort;
    }

    boolean isSocks() {
      return this == SOCKS5 || this == SOCKS5H;
    }
  }

  /**
   * One proxy.
   *
   * @param host without brackets
   * @param user null if it asks for none
   * @param variable where it was named
   */
  record Proxy(
      Kind kind,
      String host,
      int port,
      @Nullable String user,
      @Nullable String password,
      String variable) {
    /** The proxy as it may be shown. */
    @Override
    public String toString() {
      return host + ":" + port + " (" + variable + ")";
    }
  }

  Proxies(ProxyVariables variables) {
    this.variables = variables;
    this.noProxy =
        Arrays.stream(variables.noProxy().split("[,\\s]+"))
            .map(item -> item.toLowerCase(Locale.ROOT))
            .filter(item -> !item.isEmpty())
            .toList();
  }

  /**
   * The proxy for a url, if there is one.
   *
   * @throws FetchException {@code unsupported} if the variable names none that can be used
   */
  Optional<Proxy> forUrl(HttpUrl url) {
    ProxyVariables.Variable variable = url.isHttps() ? variables.forHttps() : variables.forHttp();
    return variable == null || isExcepted(url.host(), url.port())
        ? Optional.empty()
        : Optional.of(parse(variable));
  }

  private static Proxy parse(ProxyVariables.Variable variable) {
    Matcher parts = PROXY.matcher(variable.value());
    if (!parts.matches()) {
      throw unusable(variable, "holds no proxy's address");
    }
    String scheme = parts.group("scheme") == null ? "http" : parts.group("scheme");
    Kind kind =
        switch (scheme.toLowerCase(Locale.ROOT)) {
          case "http" -> Kind.HTTP;
          case "https" -> Kind.HTTPS;
          case "socks5", "socks" -> Kind.SOCKS5;
          case "socks5h" -> Kind.SOCKS5H;
          default -> throw unusable(variable, "names a proxy of the kind " + scheme);
        };
    String host = parts.group("host");
    String port = parts.group("port");
    if (port != null && Integer.parseInt(port) > 65_535) {
      throw unusable(variable, "names a port above 65535");
    }
    String userInfo = parts.group("user");
    int colon = userInfo == null ? -1 : userInfo.indexOf(':');
    String password = userInfo == null || colon < 0 ? null : userInfo.substring(colon + 1);
    String user = userInfo == null || colon < 0 ? userInfo : userInfo.substring(0, colon);
    Proxy proxy =
        new Proxy(
            kind,
            host.startsWith("[") ? host.substring(1, host.length() - 1) : host,
            port == null ? kind.defaultPort : Integer.parseInt(port),
            user == null ? null : unescaped(user),
            password == null ? null : unescaped(password),
            variable.name());
    if (userInfo != null) {
      learn(userInfo, proxy);
    }
    return proxy;
  }

  /** In every form in which a library or a server might repeat it. */
  private static void learn(String userInfo, Proxy proxy) {
    String pair = proxy.user() + ":" + (proxy.password() == null ? "" : proxy.password());
    Redactor.learn(userInfo);
    Redactor.learn(userInfo.substring(userInfo.indexOf(':') + 1));
    Redactor.learn(pair);
    Redactor.learn(Base64.getEncoder().encodeToString(pair.getBytes(StandardCharsets.UTF_8)));
    if (proxy.password() != null) {
      Redactor.learn(proxy.password());
    }
  }

  private static String unescaped(String text) {
    try {
      return URLDecoder.decode(text.replace("+", "%2B"), StandardCharsets.UTF_8);
    } catch (IllegalArgumentException e) {
      return text; // a stray percent sign stands for itself
    }
  }

  private static FetchException unusable(ProxyVariables.Variable variable, String why) {
    return FetchException.because(
            FailureKind.UNSUPPORTED,
            "The variable " + variable.name() + " " + why + ", which cannot be used.")
        .hint(
            "Set "
                + variable.name()
                + " to http://HOST:PORT, https://… or socks5h://…, or unset it.")
        .build();
  }

  /**
   * Whether {@code NO_PROXY} names a host: itself or a domain above it, with or without a leading
   * dot; an address, or a network of addresses; a name with a port; or all of them, by a star.
   */
  private boolean isExcepted(String host, int port) {
    String name = withoutFinalDot(host.toLowerCase(Locale.ROOT));
    InetAddress address = address(name);
    return noProxy.stream()
        .anyMatch(
            item ->
                item.equals("*")
                    || (address == null
                        ? coversName(item, name, port)
                        : coversAddress(item, address)));
  }

  private static boolean coversName(String item, String name, int port) {
    Matcher withPort = NAME_AND_PORT.matcher(item);
    if (withPort.matches()) {
      return Integer.parseInt(withPort.group(2)) == port
          && coversName(withPort.group(1), name, port);
    }
    String domain = withoutFinalDot(item.replaceFirst("^\\*?\\.", ""));
    return name.equals(domain) || (!domain.isEmpty() && name.endsWith("." + domain));
  }

  private static boolean coversAddress(String item, InetAddress address) {
    Matcher network = NETWORK.matcher(item);
    boolean isNetwork = network.matches();
    InetAddress base =
        address(isNetwork ? network.group(1) : item.replace("[", "").replace("]", ""));
    if (base == null) {
      return false;
    }
    byte[] wanted = base.getAddress();
    byte[] actual = address.getAddress();
    int bits = isNetwork ? Integer.parseInt(network.group(2)) : 8 * wanted.length;
    if (wanted.length != actual.length || bits > 8 * wanted.length) {
      return false;
    }
    for (int i = 0; i < bits; i++) {
      int mask = 0x80 >> (i % 8);
      if (((wanted[i / 8] ^ actual[i / 8]) & mask) != 0) {
        return false;
      }
    }
    return true;
  }

  private static @Nullable InetAddress address(String text) {
    try {
      return IpAddress.parse(text);
    } catch (IllegalArgumentException e) {
      return null; // neither an address nor a name that could match one
    }
  }

  private static String withoutFinalDot(String name) {
    return name.endsWith(".") ? name.substring(0, name.length() - 1) : name;
  }
}
