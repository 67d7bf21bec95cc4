package io.anymatix.fetcher.rpc;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.failure.InvalidParamsException;
import io.anymatix.fetcher.fetch.Batch;
import io.anymatix.fetcher.fetch.BenchmarkResult;
import io.anymatix.fetcher.fetch.Download;
import io.anymatix.fetcher.fetch.DownloadQueue;
import io.anymatix.fetcher.fetch.FetchRequest;
import io.anymatix.fetcher.fetch.FetchResult;
import io.anymatix.fetcher.fetch.Fetcher;
import io.anymatix.fetcher.fetch.MetadataResult;
import io.anymatix.fetcher.fetch.StoreKeeper;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** The protocol's methods, done by a {@link Fetcher}. */
public final class FetcherMethods implements RpcMethods, AutoCloseable {
  /** What this server calls itself. */
  public static final String SERVER_NAME = "anymatix-fetcher";

  private static final Duration QUEUE_EVENT_INTERVAL = Duration.ofMillis(500);
  private static final int DEFAULT_HISTORY = 100;

  private final Fetcher fetcher;
  private final DownloadQueue queue;
  private final StoreKeeper storeKeeper;
  private final String version;
  private final long startNanos = System.nanoTime();

  /**
   * @param fetcher does the work; the caller closes it, after this
   * @param version of this program
   */
  public FetcherMethods(Fetcher fetcher, String version) {
    this.fetcher = fetcher;
    this.queue = new DownloadQueue(fetcher);
    this.storeKeeper = new StoreKeeper(fetcher);
    this.version = version;
  }

  @Override
  public InitializeResult initialize(InitializeParams params, Call call) {
    // What can be refused comes first, so that a refused initialize changes little.
    InitializeOptions options = params.options();
    if (options != null) {
      setOptions(options.request());
    }
    fetcher.setRoots(
        new Fetcher.RootsRequest(params.modelsDir(), params.folders(), params.adoptDirs()));
    if (params.credentials() != null) {
      setCredentials(params.credentials());
    }
    queue.takeUp();
    if (options != null && options.queueEvents() != null) {
      call.announce("$/queue", QUEUE_EVENT_INTERVAL, options.queueEvents() ? queue::state : null);
    }
    return new InitializeResult(
        PROTOCOL_VERSION,
        new ServerInfo(SERVER_NAME, version, System.getProperty("java.version", "")),
        new Capabilities(
            List.copyOf(Dispatcher.operations(RpcMethods.class).keySet()),
            List.of("newline", "content-length"),
            true,
            true,
            true,
            MessageReader.MAX_MESSAGE_BYTES,
            StdioServer.MAX_RUNNING));
  }

  @Override
  public FetchResult fetch(FetchRequest params, Call call) {
    Download download = new Download();
    call.onCancel(download::cancel);
    call.reportProgress(download::snapshot);
    download.onMetadata(call::reportValue);
    return fetcher.fetch(params, download);
  }

  @Override
  public FetchAllResult fetchAll(FetchAllParams params, Call call) {
    if (params.items().isEmpty()) {
      throw new InvalidParamsException("\"items\" is empty.");
    }
    List<Batch.Item> asked =
        params.items().stream()
            .map(item -> new Batch.Item(item.request(), Boolean.TRUE.equals(item.optional())))
            .toList();
    Download listing = new Download();
    call.onCancel(listing::cancel);
    List<Batch.Item> files = new ArrayList<>();
    for (int i = 0; i < asked.size(); i++) {
      files.addAll(asked.get(i).files(i, fetcher, listing));
    }
    Batch batch =
        new Batch(
            fetcher,
            files,
            new Batch.Options(
                params.marker(),
                false,
                params.maxParallelFiles(),
                Boolean.TRUE.equals(params.smallFirst()),
                Boolean.TRUE.equals(params.asNamed())));
    call.onCancel(batch::cancel);
    call.reportProgress(batch::report);
    Batch.Result result = batch.run();
    batch.untold().forEach(call::reportValue);
    return new FetchAllResult(
        result.ok(), result.asked(asked).stream().map(FetcherMethods::answered).toList());
  }

  private static Object answered(Batch.Ending ending) {
    return ending.failure() == null
        ? Objects.requireNonNull(ending.result())
        : Map.of("error", JsonMessages.errorMember(RpcErrors.of(ending.failure())));
  }

  @Override
  public QueueId enqueue(EnqueueParams params) {
    return new QueueId(
        queue.enqueue(params.request(), params.priority() == null ? 0 : params.priority()));
  }

  @Override
  public DownloadQueue.State queue() {
    return queue.state();
  }

  @Override
  public QueueIds pause(QueueIdParams params) {
    return new QueueIds(queue.pause(params.id()));
  }

  @Override
  public QueueIds resume(QueueIdParams params) {
    return new QueueIds(queue.resume(params.id()));
  }

  @Override
  public QueueIds cancel(QueueId params) {
    return new QueueIds(queue.cancel(params.id()));
  }

  @Override
  public QueueIds move(MoveParams params) {
    return new QueueIds(queue.move(params.id(), params.to()));
  }

  @Override
  public HistoryResult history(HistoryParams params) {
    int limit = params.limit() == null ? DEFAULT_HISTORY : params.limit();
    if (limit < 1) {
      throw new InvalidParamsException("\"limit\" must be at least 1, not " + limit + ".");
    }
    return new HistoryResult(fetcher.history().newest(limit));
  }

  @Override
  public QueueId retry(QueueId params) {
    return new QueueId(queue.retry(params.id()));
  }

  @Override
  public IsChangedResult isChanged(IsChangedParams params) {
    FetchRequest request =
        new FetchRequest(
            params.url(), params.type(), params.dir(), params.auth(), null, null, null, null, null);
    return new IsChangedResult(fetcher.fingerprint(request));
  }

  @Override
  public Object probe(ProbeParams params, Call call) {
    List<ProbeItem> items = params.items();
    if (items == null) {
      return fetcher.probe(requireUrl(params.url(), "url"), params.auth());
    }
    if (params.url() != null) {
      throw new InvalidParamsException("probe takes either \"url\" or \"items\", not both.");
    }
    for (int i = 0; i < items.size(); i++) {
      requireUrl(items.get(i).url(), "items[" + i + "].url");
    }
    List<Object> results = new ArrayList<>();
    List<Fetcher.SizedRequest> described = new ArrayList<>();
    for (ProbeItem item : items) {
      if (call.isCancelled()) {
        throw new CancelledException();
      }
      Object result = probeItem(item);
      results.add(result);
      if (result instanceof Fetcher.ProbeResult probe && probe.fileSize() != null) {
        described.add(new Fetcher.SizedRequest(request(item), probe.fileSize()));
      }
    }
    return new ProbesResult(results, fetcher.volumeNeeds(described));
  }

  private static FetchRequest request(ProbeItem item) {
    return new FetchRequest(
        item.url(), item.type(), item.dir(), item.auth(), null, null, null, null, null);
  }

  private Object probeItem(ProbeItem item) {
    try {
      return fetcher.probe(requireUrl(item.url(), "url"), item.auth());
    } catch (RuntimeException e) {
      // One bad link says nothing about the others.
      return Map.of("error", JsonMessages.errorMember(RpcErrors.of(e)));
    }
  }

  @Override
  public MetadataResult metadata(MetadataParams params, Call call) {
    Cancellation cancellation = new Cancellation();
    call.onCancel(cancellation::cancel);
    return fetcher.metadata(params.url(), cancellation);
  }

  @Override
  public Fetcher.DeleteResult delete(DeleteParams params) {
    return fetcher.delete(params.url(), params.type(), params.dir());
  }

  @Override
  public StoreKeeper.Listing list(StoreParams params) {
    return storeKeeper.list(params.type(), params.dir());
  }

  @Override
  public StoreKeeper.VerifyResult verify(VerifyParams params, Call call) {
    Download download = new Download();
    call.onCancel(download::cancel);
    call.reportProgress(download::snapshot);
    boolean repair = Boolean.TRUE.equals(params.repair());
    return storeKeeper.verify(params.type(), params.dir(), repair, download);
  }

  @Override
  public StoreKeeper.GcResult gc(GcParams params) {
    boolean dryRun = !Boolean.FALSE.equals(params.dryRun());
    return storeKeeper.gc(params.type(), params.dir(), dryRun, params.olderThanDays());
  }

  @Override
  public BenchmarkResult benchmark(BenchmarkParams params, Call call) {
    Download download = new Download();
    call.onCancel(download::cancel);
    call.reportProgress(download::snapshot);
    return fetcher.benchmark(
        params.url(), params.connections(), params.seconds(), download, run -> {});
  }

  @Override
  public Fetcher.CredentialsHeld setCredentials(CredentialsParams params) {
    Secret civitai = params.civitai();
    Secret huggingface = params.huggingface();
    return fetcher.setCredentials(
        new Fetcher.CredentialsRequest(
            civitai == null ? null : civitai.value(),
            civitai != null,
            huggingface == null ? null : huggingface.value(),
            huggingface != null));
  }

  @Override
  public Fetcher.Options setOptions(Fetcher.OptionsRequest params) {
    Fetcher.Options inForce = fetcher.setOptions(params);
    queue.optionsChanged();
    return inForce;
  }

  @Override
  public StatusResult status() {
    Fetcher.Activity activity = fetcher.activity();
    Runtime runtime = Runtime.getRuntime();
    return new StatusResult(
        (System.nanoTime() - startNanos) / 1_000_000,
        activity.active(),
        activity.waiting() + queue.state().waiting().size(),
        runtime.totalMemory() - runtime.freeMemory(),
        version,
        PROTOCOL_VERSION,
        ProcessHandle.current().pid());
  }

  @Override
  public String ping(JsonNode params) {
    return "pong";
  }

  @Override
  public void shutdown(Call call) {
    call.stopServer();
  }

  @Override
  public ObjectNode discover() {
    return OpenRpc.document(
        RpcMethods.class, SERVER_NAME, version, Map.of("type", fetcher.knownTypes()));
  }

  /** Stops the queue, which goes on with the next process. Before the fetcher is closed. */
  @Override
  public void close() {
    queue.close();
  }

  private static String requireUrl(@Nullable String url, String name) {
    if (url == null) {
      throw new InvalidParamsException("probe needs the param \"" + name + "\".");
    }
    if (url.isEmpty()) {
      throw new InvalidParamsException("\"" + name + "\" must not be empty.");
    }
    return url;
  }
}
