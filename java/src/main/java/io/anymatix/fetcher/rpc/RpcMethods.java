package io.anymatix.fetcher.rpc;

import static io.anymatix.fetcher.rpc.RpcErrorCode.FETCH_FAILED;
import static io.anymatix.fetcher.rpc.RpcErrorCode.INVALID_PARAMS;
import static io.anymatix.fetcher.rpc.RpcErrorCode.INVALID_REQUEST;
import static io.anymatix.fetcher.rpc.RpcErrorCode.REQUEST_CANCELLED;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.DeserializationContext;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.annotation.JsonDeserialize;
import com.fasterxml.jackson.databind.deser.std.StdDeserializer;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.googlecode.jsonrpc4j.JsonRpcMethod;
import io.anymatix.fetcher.fetch.FetchRequest;
import io.anymatix.fetcher.fetch.FetchResult;
import io.anymatix.fetcher.fetch.Fetcher;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The protocol, version {@value #PROTOCOL_VERSION}: what a client can ask the sidecar process for.
 *
 * <p>Record components are the names on the wire, their order is that of positional params, and
 * {@code @Nullable} marks what may be absent. A method is added by adding it here.
 */
public interface RpcMethods {
  /** Grows when a client of the version before could misunderstand an answer. */
  int PROTOCOL_VERSION = 1;

  /** Names the model folders, and may set credentials and options. */
  @RpcMethod(
      summary = "Names the model folders; may be repeated, running transfers go on.",
      order = RpcMethod.Order.ORDERED,
      errors = INVALID_PARAMS)
  InitializeResult initialize(InitializeParams params);

  /** Brings one file to disk, or finds it there. */
  @RpcMethod(
      summary = "Brings one model file to disk, or finds it there, and tells where it is.",
      required = "url",
      progress = true,
      errors = {INVALID_PARAMS, INVALID_REQUEST, FETCH_FAILED, REQUEST_CANCELLED})
  FetchResult fetch(FetchRequest params, Call call);

  /** Whether a fetch would have something to do; no network, no hashing. */
  @RpcMethod(
      summary = "Tells without network or hashing whether a file is present and whole.",
      required = "url",
      errors = {INVALID_PARAMS, INVALID_REQUEST, FETCH_FAILED})
  IsChangedResult isChanged(IsChangedParams params);

  /** What servers say about one url, or about several. */
  @RpcMethod(
      summary = "Asks the server about a url, or several, without downloading.",
      results = {Fetcher.ProbeResult.class, ProbesResult.class},
      errors = {INVALID_PARAMS, FETCH_FAILED, REQUEST_CANCELLED})
  Object probe(ProbeParams params, Call call);

  /** Removes what a url left in the store. */
  @RpcMethod(
      summary = "Removes the files that a url left in the store.",
      required = "url",
      errors = {INVALID_PARAMS, INVALID_REQUEST, FETCH_FAILED})
  Fetcher.DeleteResult delete(DeleteParams params);

  /** Holds or clears access tokens, in memory only. */
  @RpcMethod(
      summary = "Holds access tokens in memory; null or an empty text clears one.",
      order = RpcMethod.Order.ORDERED,
      errors = INVALID_PARAMS)
  Fetcher.CredentialsHeld setCredentials(CredentialsParams params);

  /** Changes what may be changed while running. */
  @RpcMethod(
      summary = "Changes options of the running process and tells which are in force.",
      order = RpcMethod.Order.ORDERED,
      errors = INVALID_PARAMS)
  Fetcher.Options setOptions(Fetcher.OptionsRequest params);

  /** How the process is. */
  @RpcMethod(summary = "Tells how the process is.", order = RpcMethod.Order.IMMEDIATE)
  StatusResult status();

  /** Answers whatever it is sent. */
  @RpcMethod(summary = "Answers \"pong\", whatever the params.", order = RpcMethod.Order.IMMEDIATE)
  String ping(JsonNode params);

  /** Ends the process after the answer. */
  @RpcMethod(
      summary = "Stops transfers, leaves them resumable, answers null and ends the process.",
      order = RpcMethod.Order.IMMEDIATE)
  void shutdown(Call call);

  /** This interface as a document. */
  @JsonRpcMethod(value = "rpc.discover", required = true)
  @RpcMethod(
      summary = "Describes these methods as an OpenRPC document.",
      order = RpcMethod.Order.IMMEDIATE)
  ObjectNode discover();

  /**
   * Where models live, and what else a client knows at the start.
   *
   * @param clientInfo whatever the client says about itself
   * @param modelsDir absolute path of the folder that holds the type folders
   * @param folders ComfyUI's folder table: key to absolute paths, the first is the target
   * @param adoptDirs absolute paths of folders to link models from
   */
  record InitializeParams(
      @Nullable ObjectNode clientInfo,
      @Nullable String modelsDir,
      @Nullable Map<String, List<String>> folders,
      @Nullable List<String> adoptDirs,
      @Nullable CredentialsParams credentials,
      Fetcher.@Nullable OptionsRequest options) {}

  /** What was initialized. */
  record InitializeResult(int protocolVersion, ServerInfo serverInfo, Capabilities capabilities) {}

  /** Who answers. */
  record ServerInfo(String name, String version, String javaVersion) {}

  /**
   * What a client can count on.
   *
   * @param methods names on the wire
   * @param maxMessageBytes the largest request that is read
   * @param maxRunningRequests requests that run at the same time; more wait
   */
  record Capabilities(
      List<String> methods,
      List<String> framings,
      boolean batch,
      boolean cancel,
      boolean progress,
      int maxMessageBytes,
      int maxRunningRequests) {}

  /** Which file; as in {@code fetch}. */
  record IsChangedParams(
      String url, @Nullable String type, @Nullable String dir, @Nullable String auth) {}

  /**
   * Whether the file is there, told by a value that is the same as long as it is.
   *
   * @param fingerprint the url's hash; null if it must be fetched again
   */
  record IsChangedResult(@Nullable String fingerprint) {}

  /** Either one url or items. */
  record ProbeParams(
      @Nullable String url, @Nullable String auth, @Nullable List<ProbeItem> items) {}

  /** One of several urls, and where its file would go. */
  record ProbeItem(
      @Nullable String url, @Nullable String auth, @Nullable String type, @Nullable String dir) {}

  /**
   * What servers say about several urls.
   *
   * @param items in the order asked: each a {@link Fetcher.ProbeResult}, or an {@code error} in the
   *     form in which a single probe would answer it
   * @param volumes what the described files would still take, by volume
   */
  record ProbesResult(List<Object> items, List<Fetcher.VolumeNeed> volumes) {}

  /** Which file; as in {@code fetch}. */
  record DeleteParams(String url, @Nullable String type, @Nullable String dir) {}

  /** Tokens to hold; an absent one stays as it is. */
  record CredentialsParams(@Nullable Secret civitai, @Nullable Secret huggingface) {}

  /**
   * A text that is shown nowhere.
   *
   * @param value empty to clear what is held, as null on the wire does too
   */
  @JsonDeserialize(using = Secret.Reader.class)
  record Secret(String value) {
    @Override
    public String toString() {
      return value.isEmpty() ? "(none)" : "(hidden)";
    }

    /** Tells null from absent, which a string could not. */
    static final class Reader extends StdDeserializer<Secret> {
      private static final long serialVersionUID = 1;

      Reader() {
        super(Secret.class);
      }

      @Override
      public Secret deserialize(JsonParser parser, DeserializationContext context)
          throws IOException {
        if (!parser.hasToken(JsonToken.VALUE_STRING)) {
          return (Secret) context.handleUnexpectedToken(String.class, parser);
        }
        return new Secret(parser.getText());
      }

      @Override
      public Secret getNullValue(DeserializationContext context) {
        return new Secret("");
      }

      @Override
      public @Nullable Object getAbsentValue(DeserializationContext context) {
        return null;
      }
    }
  }

  /**
   * How the process is.
   *
   * @param active downloads that run
   * @param waiting callers that wait for one of them
   * @param heapBytes Java heap in use
   */
  record StatusResult(
      long uptimeMillis,
      int active,
      int waiting,
      long heapBytes,
      String version,
      int protocolVersion,
      long pid) {}
}
