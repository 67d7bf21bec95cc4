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
import io.anymatix.fetcher.fetch.BenchmarkResult;
import io.anymatix.fetcher.fetch.DownloadQueue;
import io.anymatix.fetcher.fetch.FetchRequest;
import io.anymatix.fetcher.fetch.FetchResult;
import io.anymatix.fetcher.fetch.Fetcher;
import io.anymatix.fetcher.fetch.History;
import io.anymatix.fetcher.fetch.MetadataResult;
import io.anymatix.fetcher.fetch.StoreKeeper;
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
  InitializeResult initialize(InitializeParams params, Call call);

  /** Brings one file to disk, or finds it there. */
  @RpcMethod(
      summary = "Brings one model file to disk, or finds it there, and tells where it is.",
      required = "url",
      progress = true,
      errors = {INVALID_PARAMS, INVALID_REQUEST, FETCH_FAILED, REQUEST_CANCELLED})
  FetchResult fetch(FetchRequest params, Call call);

  /** Brings several files to disk; the failure of one stops no other. */
  @RpcMethod(
      summary = "Brings several model files to disk, several at a time, and tells of each.",
      required = "items",
      progress = true,
      errors = {INVALID_PARAMS, INVALID_REQUEST, FETCH_FAILED, REQUEST_CANCELLED})
  FetchAllResult fetchAll(FetchAllParams params, Call call);

  /** Adds a download that nobody waits for. */
  @RpcMethod(
      summary = "Adds a download to the queue, which survives a restart.",
      order = RpcMethod.Order.ORDERED,
      required = "url",
      errors = {INVALID_PARAMS, INVALID_REQUEST, FETCH_FAILED})
  QueueId enqueue(EnqueueParams params);

  /** What runs and waits in the queue. */
  @RpcMethod(summary = "Tells what the queue is downloading and what waits in it.")
  DownloadQueue.State queue();

  /** Stops entries of the queue for a while. */
  @RpcMethod(
      summary = "Stops an entry of the queue, or all; what was received is kept.",
      order = RpcMethod.Order.ORDERED,
      errors = INVALID_PARAMS)
  QueueIds pause(QueueIdParams params);

  /** Lets paused entries go on. */
  @RpcMethod(
      summary = "Lets a paused entry of the queue go on, or all.",
      order = RpcMethod.Order.ORDERED,
      errors = INVALID_PARAMS)
  QueueIds resume(QueueIdParams params);

  /** Takes an entry out of the queue. */
  @RpcMethod(
      summary = "Takes an entry out of the queue; what was received is kept on disk.",
      order = RpcMethod.Order.ORDERED,
      required = "id",
      errors = INVALID_PARAMS)
  QueueIds cancel(QueueId params);

  /** Changes the order of the queue. */
  @RpcMethod(
      summary = "Moves an entry of the queue: top, up, down or bottom.",
      order = RpcMethod.Order.ORDERED,
      required = {"id", "to"},
      errors = INVALID_PARAMS)
  QueueIds move(MoveParams params);

  /** How downloads ended. */
  @RpcMethod(
      summary = "Lists how downloads ended, the newest first; it survives a restart.",
      errors = INVALID_PARAMS)
  HistoryResult history(HistoryParams params);

  /** Adds a failed download again. */
  @RpcMethod(
      summary = "Adds a failed or cancelled download of the history to the queue again.",
      order = RpcMethod.Order.ORDERED,
      required = "id",
      errors = {INVALID_PARAMS, INVALID_REQUEST, FETCH_FAILED})
  QueueId retry(QueueId params);

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

  /** What a source tells about a model. */
  @RpcMethod(
      summary = "Asks the source what a model is: its names, base model, trained words and files.",
      required = "url",
      errors = {INVALID_PARAMS, FETCH_FAILED, REQUEST_CANCELLED})
  MetadataResult metadata(MetadataParams params, Call call);

  /** Removes what a url left in the store. */
  @RpcMethod(
      summary = "Removes the files that a url left in the store.",
      required = "url",
      errors = {INVALID_PARAMS, INVALID_REQUEST, FETCH_FAILED})
  Fetcher.DeleteResult delete(DeleteParams params);

  /** What the store holds. */
  @RpcMethod(
      summary = "Lists models, how they were proven, who refers to them, and unfinished downloads.",
      errors = {INVALID_PARAMS, INVALID_REQUEST, FETCH_FAILED})
  StoreKeeper.Listing list(StoreParams params);

  /** Whether what is stored is what it was. */
  @RpcMethod(
      summary = "Hashes stored models, reports what is corrupt, and fetches it again if asked to.",
      progress = true,
      errors = {INVALID_PARAMS, INVALID_REQUEST, FETCH_FAILED, REQUEST_CANCELLED})
  StoreKeeper.VerifyResult verify(VerifyParams params, Call call);

  /** Removes what nobody needs any more. */
  @RpcMethod(
      summary = "Removes old parts and orphaned sidecar files, never a model; at first only tells.",
      errors = {INVALID_PARAMS, INVALID_REQUEST, FETCH_FAILED})
  StoreKeeper.GcResult gc(GcParams params);

  /** What several connections win at a url. */
  @RpcMethod(
      summary = "Measures one connection against several at a url; leaves no file.",
      required = "url",
      progress = true,
      errors = {INVALID_PARAMS, FETCH_FAILED, REQUEST_CANCELLED})
  BenchmarkResult benchmark(BenchmarkParams params, Call call);

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
      @Nullable InitializeOptions options) {}

  /**
   * The params of {@code setOptions}, and what only a client of this connection can want.
   *
   * @param queueEvents whether {@code $/queue} notifications are sent; absent leaves it as it is
   */
  record InitializeOptions(
      @Nullable Long maxBytesPerSecond,
      @Nullable Integer maxConnections,
      @Nullable Integer maxParallelFiles,
      @Nullable Boolean offline,
      @Nullable Boolean queueEvents) {
    Fetcher.OptionsRequest request() {
      return new Fetcher.OptionsRequest(
          maxBytesPerSecond, maxConnections, maxParallelFiles, offline);
    }
  }

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

  /**
   * Files to bring.
   *
   * @param items the params of {@code fetch} for each, in the order of the results
   * @param marker absolute path, inside a root, of a file that is written when all are there
   * @param maxParallelFiles at a time; the option of that name if absent
   * @param smallFirst whether small files come first, instead of in the order given
   * @param asNamed whether each file also gets its plain name beside the stored one
   */
  record FetchAllParams(
      List<FetchAllItem> items,
      @Nullable String marker,
      @Nullable Integer maxParallelFiles,
      @Nullable Boolean smallFirst,
      @Nullable Boolean asNamed) {}

  /**
   * One of several files: the params of {@code fetch}.
   *
   * @param optional whether the whole is in order without it
   */
  record FetchAllItem(
      @Nullable String url,
      @Nullable String type,
      @Nullable String dir,
      @Nullable String auth,
      @Nullable String sha256,
      @Nullable String name,
      @Nullable List<String> mirrors,
      @Nullable String fileId,
      @Nullable Integer connections,
      @Nullable Boolean optional) {
    FetchRequest request() {
      return new FetchRequest(url, type, dir, auth, sha256, name, mirrors, fileId, connections);
    }
  }

  /**
   * How several files ended.
   *
   * @param ok whether every file that is not optional is there
   * @param results in the order asked: each a {@link FetchResult}, or an {@code error} in the form
   *     in which a single fetch would answer it
   */
  record FetchAllResult(boolean ok, List<Object> results) {}

  /** The params of {@code fetch}, and where it stands in the queue. */
  record EnqueueParams(
      String url,
      @Nullable String type,
      @Nullable String dir,
      @Nullable String auth,
      @Nullable String sha256,
      @Nullable String name,
      @Nullable List<String> mirrors,
      @Nullable String fileId,
      @Nullable Integer connections,
      @Nullable Integer priority) {
    FetchRequest request() {
      return new FetchRequest(url, type, dir, auth, sha256, name, mirrors, fileId, connections);
    }
  }

  /** An entry of the queue or of the history. */
  record QueueId(String id) {}

  /**
   * An entry of the queue.
   *
   * @param id absent for all
   */
  record QueueIdParams(@Nullable String id) {}

  /** Entries that were changed. */
  record QueueIds(List<String> ids) {}

  /**
   * A new place for an entry.
   *
   * @param to {@code top}, {@code up}, {@code down} or {@code bottom}
   */
  record MoveParams(String id, String to) {}

  /**
   * How much of the history.
   *
   * @param limit entries at most; 100 if absent
   */
  record HistoryParams(@Nullable Integer limit) {}

  /** The newest entries first. */
  record HistoryResult(List<History.Entry> entries) {}

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
  record MetadataParams(String url) {}

  /** Which file; as in {@code fetch}. */
  record DeleteParams(String url, @Nullable String type, @Nullable String dir) {}

  /** Which folders: those of a type, one folder, or all. */
  record StoreParams(@Nullable String type, @Nullable String dir) {}

  /**
   * What to check.
   *
   * @param repair whether to fetch again what is corrupt or missing
   */
  record VerifyParams(@Nullable String type, @Nullable String dir, @Nullable Boolean repair) {}

  /**
   * What to clear.
   *
   * @param dryRun whether only to tell, which is so unless it is false
   * @param olderThanDays parts that were written to within this many days stay; 7
   */
  record GcParams(
      @Nullable String type,
      @Nullable String dir,
      @Nullable Boolean dryRun,
      @Nullable Integer olderThanDays) {}

  /**
   * What to measure.
   *
   * @param connections how many to try
   * @param seconds how long to measure each, at most
   */
  record BenchmarkParams(
      String url, @Nullable List<Integer> connections, @Nullable Double seconds) {}

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
