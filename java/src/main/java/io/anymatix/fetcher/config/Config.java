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
 * @param connectTo which hosts are reached elsewhere; the first rule that matches counts
 * @param certificates files and folders of more trusted certificates in PEM, beside the platform's
 *     own
 * @param proxies which proxies the environment names
 * @param acceptAnyContent whether bytes are stored without a look at what they are
 * @param refusePickle whether pickle-based suffixes are refused
 * @param maxConnections connections for one file, at most; null for as many as pay
 * @param maxBytesPerSecond limit for all transfers together; null is no limit
 * @param stallTimeout a connection that is silent this long is dropped
 * @param offline whether nothing is requested
 * @param metadataTimeout a question about a model, beside its download, is given up after this
 * @param home where state is kept from one process to the next; null keeps none
 */
public record Config(
    @Nullable Path modelsDir,
    Map<String, List<Path>> folders,
    boolean allowHttp,
    boolean allowPrivateHosts,
    List<String> allowedHosts,
    List<ConnectTo> connectTo,
    List<Path> certificates,
    ProxyVariables proxies,
    boolean acceptAnyContent,
    boolean refusePickle,
    @Nullable Integer maxConnections,
    @Nullable Long maxBytesPerSecond,
    Duration stallTimeout,
    boolean offline,
    Duration metadataTimeout,
    @Nullable HomeFolder home) {

  /**
   * Files below this length, in bytes, take one connection: a second one costs more than it wins.
   */
  public static final long PARALLEL_MINIMUM_BYTES = 5L * 1024 * 1024;

  /** Connections for one file, unless the owner says otherwise or more of them pay. */
  public static final int DEFAULT_CONNECTIONS = 16;

  /** Silence that ends a connection unless the owner says otherwise. */
  public static final Duration DEFAULT_STALL_TIMEOUT = Duration.ofSeconds(20);

  /** The time for a question about a model unless the owner says otherwise. */
  public static final Duration DEFAULT_METADATA_TIMEOUT = Duration.ofSeconds(10);

  /** Starts from the settings of a process without any: https to public hosts only. */
  public static Builder builder() {
    return new Builder();
  }

  /** Gathers settings; each method is named after the component that it sets. */
  public static final class Builder {
    private @Nullable Path modelsDir;
    private Map<String, List<Path>> folders = Map.of();
    private boolean allowHttp;
    private boolean allowPrivateHosts;
    private List<String> allowedHosts = List.of();
    private List<ConnectTo> connectTo = List.of();
    private List<Path> certificates = List.of();
    private ProxyVariables proxies = ProxyVariables.NONE;
    private boolean acceptAnyContent;
    private boolean refusePickle;
    private @Nullable Integer maxConnections;
    private @Nullable Long maxBytesPerSecond;
    private Duration stallTimeout = DEFAULT_STALL_TIMEOUT;
    private boolean offline;
    private Duration metadataTimeout = DEFAULT_METADATA_TIMEOUT;
    private @Nullable HomeFolder home;

    private Builder() {}

    public Builder modelsDir(@Nullable Path modelsDir) {
      this.modelsDir = modelsDir;
      return this;
    }

    public Builder folders(Map<String, List<Path>> folders) {
      this.folders = folders;
      return this;
    }

    public Builder allowHttp(boolean allowHttp) {
      this.allowHttp = allowHttp;
      return this;
    }

    public Builder allowPrivateHosts(boolean allowPrivateHosts) {
      this.allowPrivateHosts = allowPrivateHosts;
      return this;
    }

    public Builder allowedHosts(List<String> allowedHosts) {
      this.allowedHosts = allowedHosts;
      return this;
    }

    /**
     * Reads the rules.
     *
     * @throws IllegalArgumentException for a text that is no {@code HOST1:PORT1:HOST2:PORT2} rule
     */
    public Builder connectTo(List<String> rules) {
      this.connectTo = rules.stream().map(ConnectTo::parse).toList();
      return this;
    }

    public Builder certificates(List<Path> certificates) {
      this.certificates = certificates;
      return this;
    }

    public Builder proxies(ProxyVariables proxies) {
      this.proxies = proxies;
      return this;
    }

    public Builder acceptAnyContent(boolean acceptAnyContent) {
      this.acceptAnyContent = acceptAnyContent;
      return this;
    }

    public Builder refusePickle(boolean refusePickle) {
      this.refusePickle = refusePickle;
      return this;
    }

    public Builder maxConnections(@Nullable Integer maxConnections) {
      this.maxConnections = maxConnections;
      return this;
    }

    public Builder maxBytesPerSecond(@Nullable Long maxBytesPerSecond) {
      this.maxBytesPerSecond = maxBytesPerSecond;
      return this;
    }

    public Builder stallTimeout(Duration stallTimeout) {
      this.stallTimeout = stallTimeout;
      return this;
    }

    public Builder offline(boolean offline) {
      this.offline = offline;
      return this;
    }

    public Builder metadataTimeout(Duration metadataTimeout) {
      this.metadataTimeout = metadataTimeout;
      return this;
    }

    public Builder home(@Nullable HomeFolder home) {
      this.home = home;
      return this;
    }

    public Config build() {
      return new Config(
          modelsDir,
          folders,
          allowHttp,
          allowPrivateHosts,
          allowedHosts,
          connectTo,
          certificates,
          proxies,
          acceptAnyContent,
          refusePickle,
          maxConnections,
          maxBytesPerSecond,
          stallTimeout,
          offline,
          metadataTimeout,
          home);
    }
  }
}
