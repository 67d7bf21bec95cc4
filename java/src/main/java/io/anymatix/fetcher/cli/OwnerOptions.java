package io.anymatix.fetcher.cli;

import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.config.HomeFolder;
import io.anymatix.fetcher.config.ProxyVariables;
import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.commons.cli.Option;
import org.apache.commons.cli.Options;
import org.jspecify.annotations.Nullable;

/** The flags that every sub-command takes, and the environment variables behind them. */
final class OwnerOptions {
  private static final Option MODELS_DIR =
      Command.valued("models-dir", "D", "folder that holds the type folders (ANYMATIX_MODELS_DIR)");
  private static final Option FOLDER =
      Command.valued(
          "folder",
          "NAME=D",
          "a folder of ComfyUI's table; repeat for more, the first is written to");
  private static final Option ALLOW_HTTP =
      Command.flag("allow-http", "reach plain http (ANYMATIX_ALLOW_HTTP=1)");
  private static final Option ALLOW_PRIVATE_HOSTS =
      Command.flag(
          "allow-private-hosts",
          "reach loopback and private addresses (ANYMATIX_ALLOW_PRIVATE_HOSTS=1)");
  private static final Option ALLOWED_HOSTS =
      Command.valued(
          "allowed-hosts", "a,b", "only these hosts, exact or dot-suffix (ANYMATIX_ALLOWED_HOSTS)");
  private static final Option CONNECT_TO =
      Command.valued(
          "connect-to",
          "HOST1:PORT1:HOST2:PORT2",
          "as curl's option of this name; repeat for more (ANYMATIX_CONNECT_TO)");
  private static final Option CA_FILE =
      Command.valued(
          "ca-file",
          "F",
          "more trusted certificates, PEM"
              + " (SSL_CERT_FILE, SSL_CERT_DIR, REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE)");
  private static final Option ACCEPT_ANY_CONTENT =
      Command.flag(
          "accept-any-content",
          "store bytes without looking at them (ANYMATIX_ACCEPT_ANY_CONTENT=1)");
  private static final Option REFUSE_PICKLE =
      Command.flag("refuse-pickle", "refuse .ckpt .pt .pth .bin .pkl (ANYMATIX_REFUSE_PICKLE=1)");
  private static final Option CONNECTIONS =
      Command.valued(
          "connections",
          "N",
          "connections for one file at most, 1 to 64; default: as many as pay"
              + " (ANYMATIX_CONNECTIONS)");
  private static final Option LIMIT_RATE =
      Command.valued(
          "limit-rate",
          "R",
          "bytes a second for all transfers; K, M, G = 1024^n (ANYMATIX_LIMIT_RATE)");
  private static final Option STALL_TIMEOUT =
      Command.valued(
          "stall-timeout",
          "S",
          "seconds of silence that end a connection; default 20 (ANYMATIX_STALL_TIMEOUT)");
  private static final Option OFFLINE =
      Command.flag("offline", "request nothing (ANYMATIX_OFFLINE=1)");
  private static final Option LOG_LEVEL =
      Command.valued(
          "log-level", "L", "error, warn, info, debug or trace; default info (ANYMATIX_LOG_LEVEL)");

  private final Arguments arguments;

  OwnerOptions(Arguments arguments) {
    this.arguments = arguments;
  }

  /** Adds them to those of a command. */
  static Options addTo(Options options) {
    return options
        .addOption(MODELS_DIR)
        .addOption(FOLDER)
        .addOption(ALLOW_HTTP)
        .addOption(ALLOW_PRIVATE_HOSTS)
        .addOption(ALLOWED_HOSTS)
        .addOption(CONNECT_TO)
        .addOption(CA_FILE)
        .addOption(ACCEPT_ANY_CONTENT)
        .addOption(REFUSE_PICKLE)
        .addOption(CONNECTIONS)
        .addOption(LIMIT_RATE)
        .addOption(STALL_TIMEOUT)
        .addOption(OFFLINE)
        .addOption(LOG_LEVEL);
  }

  /**
   * The settings that flags and this process's environment give together.
   *
   * @param typedByOwner at a terminal whoever types is the owner: http and private hosts are on
   * @throws UsageException if a value makes no sense, with what is expected
   */
  Config toConfig(boolean typedByOwner) {
    try {
      return toConfig(System.getenv(), typedByOwner);
    } catch (IllegalArgumentException e) {
      throw new UsageException(String.valueOf(e.getMessage()));
    }
  }

  /**
   * The settings that flags and environment give together; a flag wins.
   *
   * @param typedByOwner at a terminal whoever types is the owner: http and private hosts are on
   * @throws IllegalArgumentException if a value makes no sense, with what is expected
   */
  Config toConfig(Map<String, String> environment, boolean typedByOwner) {
    Environment env = new Environment(environment);
    String level = arguments.text(LOG_LEVEL);
    LogSetup.setLevel(level != null ? level : env.text("ANYMATIX_LOG_LEVEL", "info"));
    Path modelsDir = arguments.path(MODELS_DIR);
    Path models = modelsDir != null ? modelsDir : env.path("ANYMATIX_MODELS_DIR");
    List<String> hosts = arguments.items(ALLOWED_HOSTS);
    List<String> connectTo = arguments.texts(CONNECT_TO);
    String limitRate = arguments.text(LIMIT_RATE);
    String rate = limitRate != null ? limitRate : env.text("ANYMATIX_LIMIT_RATE", "");
    return Config.builder()
        .modelsDir(models == null ? null : models.toAbsolutePath().normalize())
        .folders(folderTable())
        .allowHttp(arguments.flag(ALLOW_HTTP) || typedByOwner || env.isOn("ANYMATIX_ALLOW_HTTP"))
        .allowPrivateHosts(
            arguments.flag(ALLOW_PRIVATE_HOSTS)
                || typedByOwner
                || env.isOn("ANYMATIX_ALLOW_PRIVATE_HOSTS"))
        .allowedHosts(hosts.isEmpty() ? env.list("ANYMATIX_ALLOWED_HOSTS") : hosts)
        .connectTo(connectTo.isEmpty() ? env.list("ANYMATIX_CONNECT_TO") : connectTo)
        .certificates(certificates(env))
        .proxies(ProxyVariables.of(environment))
        .acceptAnyContent(
            arguments.flag(ACCEPT_ANY_CONTENT) || env.isOn("ANYMATIX_ACCEPT_ANY_CONTENT"))
        .refusePickle(arguments.flag(REFUSE_PICKLE) || env.isOn("ANYMATIX_REFUSE_PICKLE"))
        .maxConnections(connections(env))
        .maxBytesPerSecond(rate.isEmpty() || rate.equals("0") ? null : bytesPerSecond(rate))
        .stallTimeout(stallTimeout(env))
        .offline(arguments.flag(OFFLINE) || env.isOn("ANYMATIX_OFFLINE"))
        .home(HomeFolder.of(environment))
        .build();
  }

  private Map<String, List<Path>> folderTable() {
    Map<String, List<Path>> table = new LinkedHashMap<>();
    for (String folder : arguments.texts(FOLDER)) {
      int equals = folder.indexOf('=');
      if (equals < 1) {
        throw new IllegalArgumentException("--folder wants NAME=D, not " + folder);
      }
      Path path = Path.of(folder.substring(equals + 1)).toAbsolutePath().normalize();
      table.computeIfAbsent(folder.substring(0, equals), key -> new ArrayList<>()).add(path);
    }
    return table;
  }

  /** The flag's file, which must be there; else whatever the variables name and is there. */
  private List<Path> certificates(Environment env) {
    Path caFile = arguments.path(CA_FILE);
    if (caFile != null) {
      if (!Files.isReadable(caFile)) {
        throw new IllegalArgumentException("--ca-file names no readable file: " + caFile);
      }
      return List.of(caFile);
    }
    List<Path> named = new ArrayList<>(env.paths("SSL_CERT_FILE"));
    named.addAll(env.paths("SSL_CERT_DIR"));
    named.addAll(env.paths("REQUESTS_CA_BUNDLE"));
    named.addAll(env.paths("CURL_CA_BUNDLE"));
    List<Path> readable = new ArrayList<>();
    for (Path path : named) {
      if (Files.isReadable(path) && !readable.contains(path)) {
        readable.add(path);
      }
    }
    return readable;
  }

  private @Nullable Integer connections(Environment env) {
    Integer count = arguments.integer(CONNECTIONS);
    double ofEnvironment = env.number("ANYMATIX_CONNECTIONS", Double.NaN);
    if (count == null && !Double.isNaN(ofEnvironment)) {
      count = (int) ofEnvironment;
    }
    if (count != null && (count < 1 || count > 64)) {
      throw new IllegalArgumentException("--connections wants 1 to 64, not " + count);
    }
    return count;
  }

  private Duration stallTimeout(Environment env) {
    Double typed = arguments.decimal(STALL_TIMEOUT);
    double seconds =
        typed != null
            ? typed
            : env.number(
                "ANYMATIX_STALL_TIMEOUT", (double) Config.DEFAULT_STALL_TIMEOUT.toSeconds());
    if (!(seconds >= 0.1 && seconds <= 3600)) {
      throw new IllegalArgumentException("--stall-timeout wants 0.1 to 3600 seconds");
    }
    return Duration.ofMillis(Math.round(seconds * 1000));
  }

  private static long bytesPerSecond(String text) {
    Matcher rate =
        Pattern.compile("(\\d{1,12})\\s*([KMG]?)", Pattern.CASE_INSENSITIVE).matcher(text.strip());
    if (!rate.matches()) {
      throw new IllegalArgumentException("--limit-rate wants bytes a second, such as 20M");
    }
    int power = "KMG".indexOf(rate.group(2).toUpperCase(Locale.ROOT)) + 1;
    return Long.parseLong(rate.group(1)) << (rate.group(2).isEmpty() ? 0 : 10 * power);
  }

  /** Environment variables, an empty one like an absent one. */
  private record Environment(Map<String, String> variables) {
    String text(String name, String otherwise) {
      String value = variables.get(name);
      return value == null || value.isBlank() ? otherwise : value.strip();
    }

    boolean isOn(String name) {
      return List.of("1", "true", "yes", "on").contains(text(name, "").toLowerCase(Locale.ROOT));
    }

    List<String> list(String name) {
      return list(name, ',');
    }

    private List<String> list(String name, char separator) {
      List<String> items = new ArrayList<>();
      String text = text(name, "");
      for (int start = 0, end; start < text.length(); start = end + 1) {
        end = text.indexOf(separator, start);
        end = end < 0 ? text.length() : end;
        String item = text.substring(start, end).strip();
        if (!item.isEmpty()) {
          items.add(item);
        }
      }
      return items;
    }

    /** Paths between the platform's path separators. */
    List<Path> paths(String name) {
      List<Path> paths = new ArrayList<>();
      for (String item : list(name, File.pathSeparatorChar)) {
        paths.add(Path.of(item));
      }
      return paths;
    }

    @Nullable Path path(String name) {
      String text = text(name, "");
      return text.isEmpty() ? null : Path.of(text);
    }

    double number(String name, double otherwise) {
      String text = text(name, "");
      try {
        return text.isEmpty() ? otherwise : Double.parseDouble(text);
      } catch (NumberFormatException e) {
        throw new IllegalArgumentException(name + " is no number: " + text, e);
      }
    }
  }
}
