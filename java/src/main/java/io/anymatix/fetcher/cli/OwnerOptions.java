package io.anymatix.fetcher.cli;

import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.config.HomeFolder;
import io.anymatix.fetcher.config.ProxyVariables;
import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/** The flags that every sub-command takes, and the environment variables behind them. */
@SuppressWarnings("NullAway.Init") // picocli fills the fields
final class OwnerOptions {
  private static final Pattern RATE =
      Pattern.compile("(\\d{1,12})\\s*([KMG]?)", Pattern.CASE_INSENSITIVE);

  @Option(
      names = "--models-dir",
      paramLabel = "D",
      description = "folder that holds the type folders (ANYMATIX_MODELS_DIR)")
  @Nullable Path modelsDir;

  @Option(
      names = "--folder",
      paramLabel = "NAME=D",
      description = "a folder of ComfyUI's table; repeat for more, the first is written to")
  List<String> folders = new ArrayList<>();

  @Option(names = "--allow-http", description = "reach plain http (ANYMATIX_ALLOW_HTTP=1)")
  boolean allowHttp;

  @Option(
      names = "--allow-private-hosts",
      description = "reach loopback and private addresses (ANYMATIX_ALLOW_PRIVATE_HOSTS=1)")
  boolean allowPrivateHosts;

  @Option(
      names = "--allowed-hosts",
      paramLabel = "a,b",
      split = ",",
      description = "only these hosts, exact or dot-suffix (ANYMATIX_ALLOWED_HOSTS)")
  List<String> allowedHosts = new ArrayList<>();

  @Option(
      names = "--connect-to",
      paramLabel = "HOST1:PORT1:HOST2:PORT2",
      description = "as curl's option of this name; repeat for more (ANYMATIX_CONNECT_TO)")
  List<String> connectTo = new ArrayList<>();

  @Option(
      names = "--ca-file",
      paramLabel = "F",
      description =
          "more trusted certificates, PEM"
              + " (SSL_CERT_FILE, SSL_CERT_DIR, REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE)")
  @Nullable Path caFile;

  @Option(
      names = "--accept-any-content",
      description = "store bytes without looking at them (ANYMATIX_ACCEPT_ANY_CONTENT=1)")
  boolean acceptAnyContent;

  @Option(
      names = "--refuse-pickle",
      description = "refuse .ckpt .pt .pth .bin .pkl (ANYMATIX_REFUSE_PICKLE=1)")
  boolean refusePickle;

  @Option(
      names = "--connections",
      paramLabel = "N",
      description =
          "connections for one file at most, 1 to 64; default: as many as pay"
              + " (ANYMATIX_CONNECTIONS)")
  @Nullable Integer connections;

  @Option(
      names = "--limit-rate",
      paramLabel = "R",
      description = "bytes a second for all transfers; K, M, G = 1024^n (ANYMATIX_LIMIT_RATE)")
  @Nullable String limitRate;

  @Option(
      names = "--stall-timeout",
      paramLabel = "S",
      description = "seconds of silence that end a connection; default 20 (ANYMATIX_STALL_TIMEOUT)")
  @Nullable Double stallTimeoutSeconds;

  @Option(names = "--offline", description = "request nothing (ANYMATIX_OFFLINE=1)")
  boolean offline;

  @Option(
      names = "--log-level",
      paramLabel = "L",
      description = "error, warn, info, debug or trace; default info (ANYMATIX_LOG_LEVEL)")
  @Nullable String logLevel;

  /**
   * The settings that flags and environment give together; a flag wins.
   *
   * @param typedByOwner at a terminal whoever types is the owner: http and private hosts are on
   * @throws IllegalArgumentException if a value makes no sense, with what is expected
   */
  Config toConfig(Map<String, String> environment, boolean typedByOwner) {
    Environment env = new Environment(environment);
    LogSetup.setLevel(logLevel != null ? logLevel : env.text("ANYMATIX_LOG_LEVEL", "info"));
    Path models = modelsDir != null ? modelsDir : env.path("ANYMATIX_MODELS_DIR");
    String rate = limitRate != null ? limitRate : env.text("ANYMATIX_LIMIT_RATE", "");
    return Config.builder()
        .modelsDir(models == null ? null : models.toAbsolutePath().normalize())
        .folders(folderTable())
        .allowHttp(typedByOwner || allowHttp || env.isOn("ANYMATIX_ALLOW_HTTP"))
        .allowPrivateHosts(
            typedByOwner || allowPrivateHosts || env.isOn("ANYMATIX_ALLOW_PRIVATE_HOSTS"))
        .allowedHosts(allowedHosts.isEmpty() ? env.list("ANYMATIX_ALLOWED_HOSTS") : allowedHosts)
        .connectTo(connectTo.isEmpty() ? env.list("ANYMATIX_CONNECT_TO") : connectTo)
        .certificates(certificates(env))
        .proxies(ProxyVariables.of(environment))
        .acceptAnyContent(acceptAnyContent || env.isOn("ANYMATIX_ACCEPT_ANY_CONTENT"))
        .refusePickle(refusePickle || env.isOn("ANYMATIX_REFUSE_PICKLE"))
        .maxConnections(connections(env))
        .maxBytesPerSecond(rate.isEmpty() || rate.equals("0") ? null : bytesPerSecond(rate))
        .stallTimeout(stallTimeout(env))
        .offline(offline || env.isOn("ANYMATIX_OFFLINE"))
        .home(HomeFolder.of(environment))
        .build();
  }

  private Map<String, List<Path>> folderTable() {
    Map<String, List<Path>> table = new LinkedHashMap<>();
    for (String folder : folders) {
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
    return named.stream().filter(Files::isReadable).distinct().toList();
  }

  private @Nullable Integer connections(Environment env) {
    double ofEnvironment = env.number("ANYMATIX_CONNECTIONS", Double.NaN);
    Integer count =
        connections != null || Double.isNaN(ofEnvironment)
            ? connections
            : Integer.valueOf((int) ofEnvironment);
    if (count != null && (count < 1 || count > 64)) {
      throw new IllegalArgumentException("--connections wants 1 to 64, not " + count);
    }
    return count;
  }

  private Duration stallTimeout(Environment env) {
    double seconds =
        stallTimeoutSeconds != null
            ? stallTimeoutSeconds
            : env.number(
                "ANYMATIX_STALL_TIMEOUT", (double) Config.DEFAULT_STALL_TIMEOUT.toSeconds());
    if (!(seconds >= 0.1 && seconds <= 3600)) {
      throw new IllegalArgumentException("--stall-timeout wants 0.1 to 3600 seconds");
    }
    return Duration.ofMillis(Math.round(seconds * 1000));
  }

  private static long bytesPerSecond(String text) {
    Matcher rate = RATE.matcher(text.strip());
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
      return Arrays.stream(text(name, "").split(",", -1))
          .map(String::strip)
          .filter(item -> !item.isEmpty())
          .toList();
    }

    /** Paths between the platform's path separators. */
    List<Path> paths(String name) {
      return Arrays.stream(text(name, "").split(Pattern.quote(File.pathSeparator), -1))
          .map(String::strip)
          .filter(item -> !item.isEmpty())
          .map(Path::of)
          .toList();
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

  /** The same, with a mistake told as one of the command line's usage. */
  Config toConfig(picocli.CommandLine command, boolean typedByOwner) {
    try {
      return toConfig(System.getenv(), typedByOwner);
    } catch (IllegalArgumentException e) {
      throw new ParameterException(command, String.valueOf(e.getMessage()));
    }
  }
}
