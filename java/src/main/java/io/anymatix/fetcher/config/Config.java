package io.anymatix.fetcher.config;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What the owner of the process decided when it was started; nothing on the wire can widen it.
 *
 * @param modelsDir the folder that holds the type folders, if named at start
 * @param folders ComfyUI's folder table as named at start: key to folders, first is the target
 * @param allowHttp whether plain {@code http:} may be reached
 * @param allowPrivateHosts whether loopback and private addresses may be reached
 * @param allowedHosts exact hosts, or suffixes after a dot; empty allows every public host
 * @param connectTo {@code HOST1:PORT1:HOST2:PORT2} rules in curl's form
 * @param caFile more trusted certificates in PEM, beside the platform's own
 * @param acceptAnyContent whether bytes are stored without a look at what they are
 * @param refusePickle whether pickle-based suffixes are refused
 * @param maxConnections connections for one file, at most
 * @param maxBytesPerSecond limit for all transfers together; null is no limit
 * @param stallTimeout a connection that is silent this long is dropped
 * @param offline whether nothing is requested
 * @param home where state is kept from one process to the next; null keeps none
 */
public record Config(
    @Nullable Path modelsDir,
    Map<String, List<Path>> folders,
    boolean allowHttp,
    boolean allowPrivateHosts,
    List<String> allowedHosts,
    List<String> connectTo,
    @Nullable Path caFile,
    boolean acceptAnyContent,
    boolean refusePickle,
    int maxConnections,
    @Nullable Long maxBytesPerSecond,
    Duration stallTimeout,
    boolean offline,
    @Nullable HomeFolder home) {

  /**
   * Files below this length, in bytes, take one connection: a second one costs more than it wins.
   */
  public static final long PARALLEL_MINIMUM_BYTES = 5L * 1024 * 1024;

  /** Connections for one file unless the owner says otherwise. */
  public static final int DEFAULT_CONNECTIONS = 16;

  /** Silence that ends a connection unless the owner says otherwise. */
  public static final Duration DEFAULT_STALL_TIMEOUT = Duration.ofSeconds(20);

  /** The settings of a process that was started without any: https to public hosts only. */
  public static Config defaults() {
    return new Config(
        null,
        Map.of(),
        false,
        false,
        List.of(),
        List.of(),
        null,
        false,
        false,
        DEFAULT_CONNECTIONS,
        null,
        DEFAULT_STALL_TIMEOUT,
        false,
        null);
  }
}
