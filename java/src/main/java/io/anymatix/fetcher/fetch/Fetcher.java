package io.anymatix.fetcher.fetch;

import com.fasterxml.jackson.annotation.JsonIgnore;
import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.config.HomeFolder;
import io.anymatix.fetcher.content.HttpUrl;
import io.anymatix.fetcher.content.ListedFile;
import io.anymatix.fetcher.content.ModelMetadata;
import io.anymatix.fetcher.content.Redactor;
import io.anymatix.fetcher.content.RemoteFile;
import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.failure.InvalidParamsException;
import io.anymatix.fetcher.fetch.Download.Work;
import io.anymatix.fetcher.fetch.FetchResult.Outcome;
import io.anymatix.fetcher.fetch.FileFetch.Order;
import io.anymatix.fetcher.http.Opening;
import io.anymatix.fetcher.http.RemoteReader;
import io.anymatix.fetcher.http.RequestGate;
import io.anymatix.fetcher.http.RetryPolicy;
import io.anymatix.fetcher.source.Credentials;
import io.anymatix.fetcher.source.HubSettings;
import io.anymatix.fetcher.source.Sources;
import io.anymatix.fetcher.store.ModelFileName;
import io.anymatix.fetcher.store.ModelFolders;
import io.anymatix.fetcher.store.ModelStore;
import io.anymatix.fetcher.store.SpaceLedger;
import io.anymatix.fetcher.transfer.BufferPool;
import io.anymatix.fetcher.transfer.ConnectionBudget;
import io.anymatix.fetcher.transfer.SmallFiles;
import io.anymatix.fetcher.transfer.SmallFiles.SmallFile;
import io.anymatix.fetcher.transfer.Throttle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Fetches models; one object serves the whole process. All methods may be called from any thread.
 *
 * <p>{@link #fetch} understands a request and lets equal ones join; what happens then is told by
 * {@link FileFetch}. The rest answers what can be asked about models without fetching them.
 */
public final class Fetcher implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(Fetcher.class);

  private static final Duration CLOSE_PATIENCE = Duration.ofMillis(1500);
  private static final int DEFAULT_PARALLEL_FILES = 4;

  private static final int MOST_MIRRORS = 16;

  /** Downloads at a time that a caller waits for; more wait for one of them. */
  private static final int MOST_AWAITED = 16;

  /** Connections for all files together; more for one file than any server likes. */
  private static final int MOST_CONNECTIONS = 64;

  private final Config config;
  private final HubSettings hub;
  private final Credentials credentials;
  private final ModelStore store = new ModelStore();
  private final VirtualTypes virtualTypes;
  private final Throttle throttle = new Throttle();
  private final RequestGate gate = new RequestGate();
  private final ConnectionBudget connections = new ConnectionBudget(MOST_CONNECTIONS);
  private final Slots awaited = new Slots(MOST_AWAITED);
  private final History history;
  private final ExecutorService executor = Executors.newCachedThreadPool(Fetcher::thread);
  private final SmallFiles smallFiles = new SmallFiles(throttle, executor);
  private final Map<Object, Shared> running = new ConcurrentHashMap<>();

  private final FileFetch.Means means;

  /** What speaks with servers: null until the first request needs it; guarded by this. */
  private @Nullable Network network;

  private volatile ModelFolders folders;
  private volatile Options options;

  /** A fetch that runs, for all callers who want exactly this. */
  private record Shared(Work work, CompletableFuture<FetchResult> result) {}

  /** A reader, and the sources that read with it. */
  private record Network(RemoteReader reader, Sources sources) {}

  public Fetcher(Config config) {
    this(config, System.getenv());
  }

  /**
   * Prepares to fetch.
   *
   * @param environment where users keep what sites want to know of them, such as access tokens
   */
  public Fetcher(Config config, Map<String, String> environment) {
    this.config = config;
    this.hub = HubSettings.of(environment);
    this.history = new History(config.home());
    this.credentials = new Credentials(environment, hub);
    this.virtualTypes = new VirtualTypes(environment, hub);
    this.folders = new ModelFolders(config.modelsDir(), config.folders(), List.of());
    this.options =
        new Options(
            config.maxBytesPerSecond(),
            config.maxConnections() == null ? Config.DEFAULT_CONNECTIONS : config.maxConnections(),
            config.maxConnections() == null,
            DEFAULT_PARALLEL_FILES,
            config.offline());
    throttle.limit(config.maxBytesPerSecond());
    this.means =
        new FileFetch.Means(
            config,
            this::options,
            () -> network().reader(),
            store,
            throttle,
            connections,
            smallFiles,
            awaited,
            executor);
  }

  private synchronized Network network() {
    Network made = network;
    if (made == null) {
      RemoteReader reader = newReader();
      made = new Network(reader, sources(reader));
      network = made;
    }
    return made;
  }

  private RemoteReader newReader() {
    return new RemoteReader(config, Set.of(hub.endpoint()), gate);
  }

  private Sources sources(RemoteReader reader) {
    return new Sources(reader, credentials, hub, config);
  }

  private static Thread thread(Runnable task) {
    Thread thread = new Thread(task, "fetch");
    thread.setDaemon(true);
    return thread;
  }

  /**
   * Replaces the model folders; running downloads go on. A request that names no folder at all
   * leaves those of the process's start.
   *
   * @throws InvalidParamsException for a folder that is relative or may hold code
   */
  public void setRoots(RootsRequest roots) {
    Path modelsDir =
        roots.modelsDir() == null ? null : ModelFolders.absolute(roots.modelsDir(), "modelsDir");
    Map<String, List<Path>> table =
        roots.folders() == null ? Map.of() : ModelFolders.table(roots.folders());
    List<Path> adoptDirs =
        roots.adoptDirs() == null
            ? List.of()
            : roots.adoptDirs().stream().map(d -> ModelFolders.absolute(d, "adoptDirs")).toList();
    folders =
        modelsDir == null && table.isEmpty()
            ? new ModelFolders(config.modelsDir(), config.folders(), adoptDirs)
            : new ModelFolders(modelsDir, table, adoptDirs);
  }

  /**
   * Brings one file to disk, or finds it there. Blocks until it is there; callers who want the same
   * file at the same time share one transfer, which goes on until the last of them gives up.
   *
   * @throws InvalidParamsException if the request makes no sense
   * @throws FetchException if the file can't be had; what was received is kept for a resume
   * @throws CancelledException after {@link Download#cancel}
   */
  public FetchResult fetch(FetchRequest request, Download download) {
    String id = newId();
    long startedNanos = System.nanoTime();
    try {
      FetchResult result = fetch(request, download, false);
      if (result.outcome() != Outcome.PRESENT) {
        history.succeeded(id, request, result);
      }
      return result;
    } catch (FetchException | CancelledException e) {
      history.ended(id, request, e, Duration.ofNanos(System.nanoTime() - startedNanos));
      throw e;
    }
  }

  /** The same for a line that has its own number of files at a time and its own notes. */
  FetchResult fetchInLine(FetchRequest request, Download download) {
    return fetch(request, download, true);
  }

  /** The same for a file of which {@link #outlook} has told, so that its source is not asked. */
  FetchResult fetchInLine(FetchRequest request, Outlook outlook, Download download) {
    return outlook.order() == null
        ? fetch(request, download, true)
        : fetchFile(outlook.order(), download, true);
  }

  /** An id that no other download has, in this process or another. */
  static String newId() {
    return Long.toString(ThreadLocalRandom.current().nextLong(1L << 48, 1L << 52), 36);
  }

  /** The same into a folder in which a model was found, however that is reached. */
  FetchResult fetchInto(Path folder, FetchRequest request, Download download) {
    return fetchFile(
        order(request, folders, new ModelFolders.Place(folder, List.of(folder), List.of()), false),
        download,
        false);
  }

  private FetchResult fetch(FetchRequest request, Download download, boolean inLine) {
    requireUrl(request.url());
    Optional<VirtualTypes.Pack> pack = virtualTypes.pack(request, folders);
    return pack.isPresent()
        ? fetchPack(pack.get(), request, download, inLine)
        : fetchFile(order(request, false), download, inLine);
  }

  /** One file after the other, as their loader needs them all. */
  private FetchResult fetchPack(
      VirtualTypes.Pack pack, FetchRequest request, Download download, boolean inLine) {
    List<FetchResult> files = new ArrayList<>();
    for (FetchRequest file : pack.files()) {
      files.add(fetchFile(order(file, true), download, inLine));
    }
    String urlHash = Sha256.ofUtf8(requireUrl(request.url())).hex();
    return FetchResult.ofPack(pack.folder().toString(), pack.name(), urlHash, files);
  }

  private FetchResult fetchFile(Order order, Download download, boolean inLine) {
    Object sameWish = List.of(order.place().target(), order.request());
    while (true) {
      Shared shared =
          running.computeIfAbsent(
              sameWish, w -> new Shared(new Work(inLine), new CompletableFuture<>()));
      if (!shared.work().join()) {
        running.remove(sameWish, shared);
        continue;
      }
      download.shows(shared.work());
      if (!shared.result().isDone()) {
        startOnce(sameWish, shared, order);
      }
      return await(shared, download);
    }
  }

  private void startOnce(Object sameWish, Shared shared, Order order) {
    if (!shared.work().claim()) {
      return;
    }
    executor.execute(
        () -> {
          try {
            FetchResult result = new FileFetch(means, order, shared.work()).run();
            running.remove(sameWish, shared);
            shared.result().complete(result);
          } catch (RuntimeException | Error e) {
            running.remove(sameWish, shared);
            shared.result().completeExceptionally(e);
          }
        });
  }

  private static FetchResult await(Shared shared, Download download) {
    CompletableFuture<FetchResult> mine = shared.result().copy();
    var registration =
        download
            .cancellation()
            .onCancel(() -> mine.completeExceptionally(new CancelledException()));
    try {
      return mine.join();
    } catch (CompletionException e) {
      if (e.getCause() instanceof RuntimeException cause) {
        throw cause;
      }
      throw e;
    } finally {
      registration.close();
      shared.work().leave();
      if (download.cancellation().isCancelled()) {
        awaitQuietly(shared);
      }
    }
  }

  /** Gives a cancelled transfer a moment to leave its part file in order. */
  private static void awaitQuietly(Shared shared) {
    if (shared.work().cancellation.isCancelled()) {
      shared
          .result()
          .handle((result, error) -> true)
          .completeOnTimeout(true, 800, TimeUnit.MILLISECONDS)
          .join();
    }
  }

  private Order order(FetchRequest request, boolean replacesName) {
    requireUrl(request.url());
    ModelFolders known = folders;
    return order(request, known, place(request, known), replacesName);
  }

  private Order order(
      FetchRequest request, ModelFolders known, ModelFolders.Place place, boolean replacesName) {
    String url = requireUrl(request.url());
    Sha256 wanted = Sha256.parse(request.sha256());
    if (wanted == null && request.sha256() != null && !request.sha256().isEmpty()) {
      throw new InvalidParamsException("\"sha256\" is not 64 hexadecimal digits.");
    }
    if (request.connections() != null && request.connections() < 1) {
      throw new InvalidParamsException("\"connections\" must be at least 1.");
    }
    String plainName =
        request.name() == null || request.name().isEmpty()
            ? null
            : request.name().equals(FetchRequest.SOURCE_NAME)
                ? request.name()
                : ModelFileName.requirePlain(request.name());
    if (request.auth() != null) {
      Redactor.learnTail(request.auth());
    }
    ModelStore.Key key = ModelStore.Key.of(url, request.auth());
    return new Order(
        request,
        key,
        place,
        new ModelStore.Elsewhere(known.trees(), hub.cacheFolder()),
        wanted,
        plainName,
        new Links(
            network().sources(),
            connections,
            new Sources.Wish(url, key.effective().text(), request.auth(), request.fileId(), wanted),
            mirrors(request)),
        replacesName,
        virtualTypes.annotatorFile(request, known).orElse(null),
        null);
  }

  private static List<String> mirrors(FetchRequest request) {
    List<String> mirrors = request.mirrors() == null ? List.of() : request.mirrors();
    if (mirrors.size() > MOST_MIRRORS || mirrors.stream().anyMatch(String::isBlank)) {
      throw new InvalidParamsException(
          "\"mirrors\" must be at most " + MOST_MIRRORS + " urls, none of them empty.");
    }
    return mirrors;
  }

  /** The values of a query tail are secrets, whatever they are called. */
  private static String requireUrl(@Nullable String url) {
    if (url == null || url.isBlank()) {
      throw new InvalidParamsException("\"url\" is missing or empty.");
    }
    Redactor.learnFrom(url);
    return url;
  }

  /**
   * The url hash if the file is present and whole, else null; for a pack the hash of its url if all
   * of its files are. No network, no hashing.
   *
   * @throws InvalidParamsException if the request makes no sense
   */
  public @Nullable String fingerprint(FetchRequest request) {
    ModelStore.Key key = ModelStore.Key.of(requireUrl(request.url()), request.auth());
    boolean isPack = virtualTypes.pack(request, folders).isPresent();
    Sha256 hash = isPack ? Sha256.ofUtf8(key.base()) : key.urlHash();
    return isPresent(request, folders) ? hash.hex() : null;
  }

  private boolean isPresent(FetchRequest request, ModelFolders known) {
    Optional<VirtualTypes.Pack> pack = virtualTypes.pack(request, known);
    if (pack.isPresent()) {
      return pack.get().files().stream()
          .allMatch(file -> isPresent(file, known) && pack.get().isNamed(file));
    }
    ModelStore.Key key = ModelStore.Key.of(requireUrl(request.url()), request.auth());
    Path plainFile = virtualTypes.annotatorFile(request, known).orElse(null);
    return isPresent(key, place(request, known), plainFile);
  }

  private boolean isPresent(
      ModelStore.Key key, ModelFolders.Place place, @Nullable Path plainFile) {
    if (plainFile != null) {
      return Files.isRegularFile(plainFile);
    }
    return key.contentHash()
        .map(hash -> store.findByName(hash, place).isPresent())
        .orElseGet(() -> store.isPresent(key, place));
  }

  /** Where a request's file, or each of its files, goes. */
  private ModelFolders.Place place(FetchRequest request, ModelFolders known) {
    return virtualTypes
        .pack(request, known)
        .map(VirtualTypes.Pack::folder)
        .map(folder -> known.place(null, folder.toString()))
        .or(() -> virtualTypes.annotatorFile(request, known).map(ModelFolders.Place::of))
        .orElseGet(() -> known.place(request.type(), request.dir()));
  }

  /**
   * What the server says about a url, without downloading it.
   *
   * @throws FetchException if it says nothing useful
   */
  public ProbeResult probe(String url, @Nullable String auth) {
    requireUrl(url);
    ModelStore.Key key = ModelStore.Key.of(url, auth);
    if (auth != null) {
      Redactor.learnTail(auth);
    }
    requireOnline(url);
    Work work = new Work(true);
    Sources.Wish wish = Sources.Wish.of(url, key.effective().text(), auth);
    RemoteFile remote =
        RetryPolicy.run(
            () -> network().sources().resolve(wish, work.cancellation),
            work.cancellation,
            work.counters::waiting);
    HttpUrl location = remote.location();
    ModelFileName name = FileFetch.name(remote, key, work.cancellation);
    Sha256 stated =
        FileFetch.Statement.of(
                remote, name, remote.lengthBytes(), remote.metadata().await(work.cancellation))
            .sha256();
    return new ProbeResult(
        remote.source(),
        location.redacted(),
        name.original(),
        remote.lengthBytes(),
        remote.rangesProven(),
        remote.rangeEvidence(),
        remote.httpVersion(),
        remote.validator().entityTag(),
        remote.validator().lastModified(),
        stated == null ? null : stated.hex());
  }

  /**
   * What the source of a url tells about the model, asked once; where it tells nothing, what its
   * server says of the file.
   *
   * @throws FetchException if nobody says anything
   */
  public MetadataResult metadata(String url, Cancellation cancellation) {
    requireUrl(url);
    Sources.Wish wish = Sources.Wish.of(url, url, null);
    Sources sources = network().sources();
    Optional<ModelMetadata> told = sources.knownMetadata(wish);
    if (told.isEmpty()) {
      requireOnline(url);
      told = sources.metadata(wish, cancellation);
    }
    return told.map(metadata -> MetadataResult.of(sources.nameOf(wish), metadata))
        .orElseGet(() -> MetadataResult.of(probe(url, null)));
  }

  private void requireOnline(String url) {
    if (options.offline()) {
      throw FetchException.because(FailureKind.OFFLINE, "Offline: no server can be asked.")
          .url(Redactor.url(url))
          .build();
    }
  }

  /**
   * The files that a link stands for: of a folder, of a pattern, of a model in shards. Blocks while
   * the site is asked.
   *
   * @param download shows waits that the site asks for, and cancels
   * @return in the site's order; empty if the link stands for one file, or nobody can tell
   * @throws InvalidParamsException if there is no url
   * @throws FetchException if the site can not be asked, or refuses
   * @throws CancelledException after {@link Download#cancel}
   */
  public List<ListedFile> expand(String url, @Nullable String auth, Download download) {
    ModelStore.Key key = ModelStore.Key.of(requireUrl(url), auth);
    if (auth != null) {
      Redactor.learnTail(auth);
    }
    if (key.contentHash().isPresent()) {
      return List.of();
    }
    requireOnline(url);
    Work work = new Work(true);
    download.shows(work);
    return network()
        .sources()
        .expand(
            Sources.Wish.of(url, key.effective().text(), auth),
            work.counters::waiting,
            download.cancellation());
  }

  /**
   * Measures a url over one connection and over several. Leaves no file.
   *
   * @param connections how many to try; null for one, four, and what a fetch would use
   * @param seconds how long to measure each, at most; null is 10
   * @param each hears of each measurement as it ends
   * @throws InvalidParamsException for a number out of range
   * @throws FetchException if the url can not be fetched
   * @throws CancelledException after {@link Download#cancel}
   */
  public BenchmarkResult benchmark(
      String url,
      @Nullable List<Integer> connections,
      @Nullable Double seconds,
      Download download,
      Consumer<BenchmarkResult.Run> each) {
    requireUrl(url);
    requireOnline(url);
    return new Benchmark(
            this::newReader, this::sources, store, throttle, this.connections, executor, folders)
        .run(url, connections, seconds, options.maxConnections(), download, each);
  }

  /**
   * What several files would still take, by the volumes that they would be written to. A file that
   * is present takes nothing; one without type and folder is counted to the models folder.
   *
   * @throws InvalidParamsException if a request makes no sense
   */
  public List<VolumeNeed> volumeNeeds(List<SizedRequest> files) {
    ModelFolders known = folders;
    Map<Object, VolumeNeed> needs = new LinkedHashMap<>();
    for (SizedRequest file : files) {
      FetchRequest request = file.request();
      Path target = known.modelsDir();
      long missingBytes = file.fileSize();
      if (request.type() != null || request.dir() != null) {
        target = place(request, known).target();
        missingBytes = isPresent(request, known) ? 0 : missingBytes;
      }
      if (target != null) {
        ModelStore.Volume volume = ModelStore.Volume.of(target);
        needs.merge(
            volume.identity(),
            new VolumeNeed(volume.folder().toString(), missingBytes, volume.freeBytes()),
            VolumeNeed::plus);
      }
    }
    return List.copyOf(needs.values());
  }

  /**
   * Removes what a url left in the store: in the folders of a type, in one folder, or in all.
   *
   * @throws InvalidParamsException if the request makes no sense
   */
  public DeleteResult delete(String url, @Nullable String type, @Nullable String dir) {
    requireUrl(url);
    boolean anywhere = (type == null || type.isEmpty()) && (dir == null || dir.isEmpty());
    ModelFolders known = folders;
    FetchRequest request = new FetchRequest(url, type, dir, null, null, null, null, null, null);
    List<Path> searched = anywhere ? known.all() : place(request, known).searched();
    List<FetchRequest> files =
        virtualTypes.pack(request, known).map(VirtualTypes.Pack::files).orElse(List.of(request));
    ModelStore.Deletion deletion =
        new ModelStore.Deletion(new ArrayList<>(), new LinkedHashMap<>());
    for (FetchRequest file : files) {
      ModelStore.Deletion done = store.delete(requireUrl(file.url()), searched);
      deletion.deleted().addAll(done.deleted());
      deletion.kept().putAll(done.kept());
    }
    virtualTypes
        .annotatorFile(request, known)
        .filter(Files::exists)
        .ifPresent(file -> deletion.kept().put(file, "no sidecar file says that it is ours"));
    return new DeleteResult(
        deletion.deleted().stream().map(Path::toString).toList(),
        deletion.kept().entrySet().stream()
            .map(kept -> new DeleteResult.Kept(kept.getKey().toString(), kept.getValue()))
            .toList());
  }

  /** Holds tokens in memory, or clears them. */
  public CredentialsHeld setCredentials(CredentialsRequest request) {
    if (request.setCivitai()) {
      credentials.set(Credentials.Site.CIVITAI, request.civitai());
    }
    if (request.setHuggingface()) {
      credentials.set(Credentials.Site.HUGGING_FACE, request.huggingface());
    }
    return new CredentialsHeld(
        credentials.isHeld(Credentials.Site.CIVITAI),
        credentials.isHeld(Credentials.Site.HUGGING_FACE));
  }

  /**
   * Changes what may be changed while running; null leaves a value as it is, a limit of 0 lifts it.
   *
   * @throws InvalidParamsException for a value out of range
   */
  public synchronized Options setOptions(OptionsRequest request) {
    Options before = options;
    Long limit = before.maxBytesPerSecond();
    if (request.maxBytesPerSecond() != null) {
      requireRange(request.maxBytesPerSecond(), 0, Long.MAX_VALUE, "maxBytesPerSecond");
      limit = request.maxBytesPerSecond() == 0 ? null : request.maxBytesPerSecond();
    }
    int connections = before.maxConnections();
    boolean mayAddConnections = before.mayAddConnections();
    if (request.maxConnections() != null) {
      requireRange(request.maxConnections(), 1, MOST_CONNECTIONS, "maxConnections");
      connections = request.maxConnections();
      mayAddConnections = false;
    }
    int files = before.maxParallelFiles();
    if (request.maxParallelFiles() != null) {
      requireRange(request.maxParallelFiles(), 1, MOST_CONNECTIONS, "maxParallelFiles");
      files = request.maxParallelFiles();
    }
    boolean offline = request.offline() != null ? request.offline() : before.offline();
    options = new Options(limit, connections, mayAddConnections, files, offline);
    throttle.limit(limit);
    return options;
  }

  private static void requireRange(long value, long least, long most, String name) {
    if (value < least || value > most) {
      throw new InvalidParamsException(
          "\"" + name + "\" must be from " + least + " to " + most + ", not " + value + ".");
    }
  }

  /** What was downloaded, by whichever way. */
  public History history() {
    return history;
  }

  /** Where state is kept; null keeps none. */
  @Nullable HomeFolder home() {
    return config.home();
  }

  /** Runs what has to do with downloads; never queues. */
  Executor executor() {
    return executor;
  }

  /** The options in force. */
  public Options options() {
    return options;
  }

  /**
   * Checks a request as {@link #fetch} does before it asks anybody.
   *
   * @return the folder that it would be written to
   */
  Path target(FetchRequest request) {
    return order(request, false).place().target();
  }

  /**
   * What the source says of a file before it is fetched.
   *
   * @param lengthBytes its length; null if nobody knows it
   * @param name what it will be called; null if it is on the disk, or nobody was asked
   * @param order with what the fetch needs not ask for again; null if nobody was asked
   */
  record Outlook(@Nullable Long lengthBytes, @Nullable ModelFileName name, @Nullable Order order)
      implements AutoCloseable {
    static final Outlook UNKNOWN = new Outlook(null, null, null);

    /** Whether the file itself came with the answer, and is held in memory until it is closed. */
    boolean holdsFile() {
      return order != null && order.holdsFile();
    }

    @Override
    public void close() {
      if (order != null && order.found() != null && order.found().content() != null) {
        order.found().content().close();
      }
    }

    /** Where it stands among others by length: what is there or unknown comes first. */
    long sortBytes() {
      return lengthBytes == null ? 0 : lengthBytes;
    }
  }

  /**
   * Looks on the disk.
   *
   * @return what its source is to be asked about; null if there is nothing to ask beforehand
   * @throws InvalidParamsException if the request makes no sense
   * @throws FetchException {@code policy}
   */
  @Nullable Order missing(FetchRequest request) {
    Order order = order(request, false);
    boolean isNothingToAsk =
        options.offline()
            || order.key().contentHash().isPresent()
            || virtualTypes.pack(request, folders).isPresent()
            || isPresent(order.key(), order.place(), order.plainFile());
    return isNothingToAsk ? null : order;
  }

  /**
   * Asks the source about what is {@linkplain #missing missing}.
   *
   * @param patience how long a small file may take that comes with the answer; zero for none
   * @throws FetchException as the source's answer means
   */
  Outlook outlook(Order order, Duration patience, Cancellation cancellation) {
    Work work = new Work(true);
    var registration = cancellation.onCancel(work.cancellation::cancel);
    boolean mayHold = !patience.isZero() && order.plainFile() == null && !smallFiles.isLimited();
    try (Opening opening = mayHold ? FileFetch.opening(order, means) : Opening.ofFirstByte()) {
      RemoteFile remote =
          order.links().resolveAny(opening, work.cancellation, work.counters::waiting);
      ModelFileName name = FileFetch.name(remote, order.key(), work.cancellation);
      FileFetch.refusePickle(name, remote, means);
      SmallFile content = null;
      if (opening.holdsFile()) {
        try (ConnectionBudget.Share budget = FileFetch.connections(remote, means, work)) {
          content = smallFiles.receive(opening, patience, budget, work.counters, work.cancellation);
        }
      }
      FileFetch.Found found = new FileFetch.Found(remote, content, System.nanoTime());
      return new Outlook(remote.lengthBytes(), name, order.with(found));
    } finally {
      registration.close();
    }
  }

  /**
   * Reserves room for a file, so that no other download counts on it.
   *
   * @return to be closed before the file is fetched, which reserves for itself; null if nothing is
   *     known to be needed
   * @throws FetchException {@code diskFull} with the numbers
   */
  SpaceLedger.@Nullable Reservation reserve(Outlook outlook) {
    return outlook.lengthBytes() == null || outlook.name() == null || outlook.order() == null
        ? null
        : store.reserve(outlook.name(), outlook.order().place(), outlook.lengthBytes());
  }

  /**
   * The path of a batch's marker.
   *
   * @throws InvalidParamsException for a relative path
   * @throws FetchException {@code policy} for one outside the roots, or that looks like a model or
   *     like a file of the store
   */
  Path markerPath(String path, boolean anywhere) {
    Path marker = ModelFolders.absolute(path, "marker");
    if (!anywhere) {
      folders.requireInsideRoots(marker, "marker");
    }
    Path name = marker.getFileName();
    if (name == null || Files.isDirectory(marker) || !ModelFileName.mayBeMarker(name.toString())) {
      throw FetchException.because(
              FailureKind.POLICY, "\"marker\" can't be written under this name: " + marker + ".")
          .hint("Name a file such as .anymatix-done, not a model or a folder.")
          .build();
    }
    return marker;
  }

  /** The model folders as they are named now. */
  ModelFolders folders() {
    return folders;
  }

  /** What may stand for a type, with the folders that are named now. */
  public List<String> knownTypes() {
    return List.copyOf(folders.knownTypes());
  }

  /** Whether nothing may be requested at the moment. */
  boolean isOffline() {
    return options.offline();
  }

  /** Leaves to the collector what only the next download would need; to be called when idle. */
  public void dropBuffers() {
    BufferPool.drop();
    smallFiles.dropSpare();
  }

  /** Downloads that run. */
  public Activity activity() {
    int waiting =
        (int) running.values().stream().filter(s -> s.work().counters.waiting() != null).count();
    return new Activity(running.size() - waiting, waiting);
  }

  /**
   * Cancels every download and waits, a second and a half at most, until all parts are resumable.
   */
  @Override
  public void close() {
    running.values().forEach(shared -> shared.work().cancellation.cancel());
    executor.shutdown();
    try {
      if (!executor.awaitTermination(CLOSE_PATIENCE.toMillis(), TimeUnit.MILLISECONDS)) {
        log.warn("a download did not end in time; its part file is resumable all the same");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    synchronized (this) {
      if (network != null) {
        network.reader().close();
      }
    }
  }

  /** Model folders as {@code initialize} names them; absolute paths. */
  public record RootsRequest(
      @Nullable String modelsDir,
      @Nullable Map<String, List<String>> folders,
      @Nullable List<String> adoptDirs) {}

  /** The result of a probe, as the protocol names it. */
  public record ProbeResult(
      String source,
      String finalUrl,
      String fileName,
      @Nullable Long fileSize,
      boolean acceptsRanges,
      String rangeEvidence,
      String httpVersion,
      @Nullable String etag,
      @Nullable String lastModified,
      @Nullable String sha256) {}

  /** A file that a server has described. */
  public record SizedRequest(FetchRequest request, long fileSize) {}

  /**
   * What is missing on a volume, against what is free there.
   *
   * @param path a folder on that volume
   */
  public record VolumeNeed(String path, long missingBytes, @Nullable Long freeBytes) {
    private VolumeNeed plus(VolumeNeed other) {
      return new VolumeNeed(path, missingBytes + other.missingBytes, freeBytes);
    }
  }

  /** The result of a delete, as the protocol names it. */
  public record DeleteResult(List<String> deleted, List<Kept> kept) {
    /** A file that was left, and why. */
    public record Kept(String path, String reason) {}
  }

  /** Tokens to hold. */
  public record CredentialsRequest(
      @Nullable String civitai,
      boolean setCivitai,
      @Nullable String huggingface,
      boolean setHuggingface) {}

  /** Which tokens are held; never their values. */
  public record CredentialsHeld(boolean civitai, boolean huggingface) {}

  /** Options that may change while running. */
  public record OptionsRequest(
      @Nullable Long maxBytesPerSecond,
      @Nullable Integer maxConnections,
      @Nullable Integer maxParallelFiles,
      @Nullable Boolean offline) {}

  /**
   * The options in force.
   *
   * @param mayAddConnections whether a file may have more than {@code maxConnections} where they
   *     pay, since nobody chose that number
   */
  public record Options(
      @Nullable Long maxBytesPerSecond,
      int maxConnections,
      @JsonIgnore boolean mayAddConnections,
      int maxParallelFiles,
      boolean offline) {}

  /** Counts for {@code status}. */
  public record Activity(int active, int waiting) {
    public static final Activity NONE = new Activity(0, 0);
  }
}
