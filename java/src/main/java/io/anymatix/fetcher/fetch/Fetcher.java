package io.anymatix.fetcher.fetch;

import com.fasterxml.jackson.databind.JsonNode;
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
import io.anymatix.fetcher.fetch.FetchResult.Strategy;
import io.anymatix.fetcher.fetch.FetchResult.Verification;
import io.anymatix.fetcher.fetch.Progress.Phase;
import io.anymatix.fetcher.http.RemoteReader;
import io.anymatix.fetcher.http.RetryPolicy;
import io.anymatix.fetcher.source.Credentials;
import io.anymatix.fetcher.source.HubSettings;
import io.anymatix.fetcher.source.Sources;
import io.anymatix.fetcher.store.ContentCheck;
import io.anymatix.fetcher.store.ModelFileName;
import io.anymatix.fetcher.store.ModelFolders;
import io.anymatix.fetcher.store.ModelStore;
import io.anymatix.fetcher.store.ModelStore.Stored;
import io.anymatix.fetcher.store.PartFile;
import io.anymatix.fetcher.store.SpaceLedger;
import io.anymatix.fetcher.transfer.ConnectionBudget;
import io.anymatix.fetcher.transfer.Throttle;
import io.anymatix.fetcher.transfer.Transfer;
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
import java.util.function.LongConsumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Fetches models; one object serves the whole process. All methods may be called from any thread.
 *
 * <p>{@link #bring} is the main path, in the order in which it happens: look on the disk, ask the
 * source, look for the same bytes under another name, transfer, prove, publish.
 */
public final class Fetcher implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(Fetcher.class);

  /** Another process that downloads the same file is waited for this long. */
  private static final Duration BUSY_PATIENCE = Duration.ofMinutes(30);

  /**
   * What a source may tell of the hash is waited for this long before a file is looked for by it.
   */
  private static final Duration HASH_PATIENCE = Duration.ofSeconds(2);

  /** Downloads of bytes that do not have the hash that a source merely tells. */
  private static final int MOST_REFUTED_DOWNLOADS = 3;

  private static final Duration CLOSE_PATIENCE = Duration.ofMillis(1500);
  private static final int DEFAULT_PARALLEL_FILES = 4;

  private static final int MOST_MIRRORS = 16;

  /** Downloads at a time that a caller waits for; more wait for one of them. */
  private static final int MOST_AWAITED = 16;

  /** Connections for all files together; more for one file than any server likes. */
  private static final int MOST_CONNECTIONS = 64;

  private final Config config;
  private final HubSettings hub;
  private final RemoteReader reader;
  private final Credentials credentials;
  private final Sources sources;
  private final ModelStore store = new ModelStore();
  private final VirtualTypes virtualTypes;
  private final Throttle throttle = new Throttle();
  private final ConnectionBudget connections = new ConnectionBudget(MOST_CONNECTIONS);
  private final Slots awaited = new Slots(MOST_AWAITED);
  private final History history;
  private final ExecutorService executor = Executors.newCachedThreadPool(Fetcher::thread);
  private final Map<Object, Shared> running = new ConcurrentHashMap<>();

  private volatile ModelFolders folders;
  private volatile Options options;

  /** A fetch that runs, for all callers who want exactly this. */
  private record Shared(Work work, CompletableFuture<FetchResult> result) {}

  /**
   * A request, understood: where it goes and under which names it may be there.
   *
   * @param replacesName whether a plain name that is another file's is taken over
   * @param plainFile where the file lies if it is stored under its plain name alone
   */
  private record Order(
      FetchRequest request,
      ModelStore.Key key,
      ModelFolders.Place place,
      ModelStore.Elsewhere elsewhere,
      @Nullable Sha256 wanted,
      @Nullable String plainName,
      Links links,
      boolean replacesName,
      @Nullable Path plainFile) {}

  /**
   * What a source says of a file, as far as that is known by now.
   *
   * @param certain whether the hash belongs to these bytes beyond doubt, and is not merely told of
   *     them by somebody who may be wrong
   * @param data what it tells about the model
   */
  private record Statement(@Nullable Sha256 sha256, boolean certain, @Nullable JsonNode data) {
    static Statement of(
        RemoteFile remote,
        ModelFileName name,
        @Nullable Long lengthBytes,
        Optional<ModelMetadata> told) {
      JsonNode data = told.map(ModelMetadata::raw).orElse(null);
      if (remote.sha256() != null) {
        return new Statement(remote.sha256(), true, data);
      }
      Sha256 claimed =
          told.flatMap(m -> m.served(remote.metadata().fileId(), name.original(), lengthBytes))
              .flatMap(file -> Optional.ofNullable(file.sha256()))
              .orElse(null);
      return new Statement(claimed, false, data);
    }

    /** What is to be written down of a file with this hash; a claim that is wrong is not. */
    ModelStore.Origin origin(ModelStore.Key key, ModelFileName name, Sha256 actual) {
      boolean holds = certain || actual.equals(sha256);
      return new ModelStore.Origin(key, name, holds ? sha256 : null, data);
    }

    /** The hash that the file must have; the caller's word goes before the source's. */
    @Nullable Sha256 wanted(Order order) {
      return order.wanted() != null ? order.wanted() : sha256;
    }
  }

  /** Bytes that are what they should be, and what the source says of them. */
  private record Proven(Transfer.Result transferred, Statement stated) {}

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
    this.reader = newReader();
    this.history = new History(config.home());
    this.credentials = new Credentials(environment, hub);
    this.virtualTypes = new VirtualTypes(environment);
    this.sources = sources(reader);
    this.folders = new ModelFolders(config.modelsDir(), config.folders(), List.of());
    this.options =
        new Options(
            config.maxBytesPerSecond(),
            config.maxConnections(),
            DEFAULT_PARALLEL_FILES,
            config.offline());
    throttle.limit(config.maxBytesPerSecond());
  }

  private RemoteReader newReader() {
    return new RemoteReader(config, Set.of(hub.endpoint()));
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
    Optional<VirtualTypes.Pack> pack = VirtualTypes.pack(request, folders);
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
            FetchResult result = bring(order, shared.work());
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
      learnSecrets(request.auth());
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
            sources,
            new Sources.Wish(url, key.effective().text(), request.auth(), request.fileId(), wanted),
            mirrors(request)),
        replacesName,
        virtualTypes.annotatorFile(request, known).orElse(null));
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
  private static void learnSecrets(String auth) {
    for (String pair : auth.split("&", -1)) {
      Redactor.learn(pair.substring(pair.indexOf('=') + 1));
    }
  }

  private static String requireUrl(@Nullable String url) {
    if (url == null || url.isBlank()) {
      throw new InvalidParamsException("\"url\" is missing or empty.");
    }
    Redactor.learnFrom(url);
    return url;
  }

  /** One fetch from the first look to the last byte. */
  private FetchResult bring(Order order, Work work) {
    if (order.plainFile() != null) {
      return bringPlain(order, order.plainFile(), work);
    }
    long startedNanos = System.nanoTime();
    Optional<Sha256> contentHash = order.key().contentHash();
    if (contentHash.isPresent()) {
      return uploaded(order, work, contentHash.get(), startedNanos);
    }
    Outcome outcome = Outcome.PRESENT;
    Optional<Stored> present = present(order, work);
    if (present.isEmpty()) {
      outcome = Outcome.ADOPTED;
      work.phase = Phase.ADOPTING;
      present = store.adoptUnmeasured(order.key(), order.place(), work.cancellation, hashed(work));
    }
    if (present.isPresent()) {
      return result(order, work, present.get(), outcome, null, startedNanos);
    }
    if (options.offline()) {
      return offline(order, work, startedNanos);
    }
    if (work.inLine) {
      return bringFromSource(order, work, startedNanos);
    }
    awaited.take(work.cancellation, () -> saysItWaits(work));
    try {
      work.counters.waiting(null, null);
      return bringFromSource(order, work, startedNanos);
    } finally {
      awaited.giveBack();
    }
  }

  private static void saysItWaits(Work work) {
    work.counters.waiting(MOST_AWAITED + " other downloads are running.", null);
  }

  private FetchResult bringFromSource(Order order, Work work, long startedNanos) {
    work.phase = Phase.RESOLVING;
    RemoteFile remote = order.links().resolveAny(work.cancellation, work.counters::waiting);
    remote.metadata().whenTold(work::tell);
    ModelFileName name = name(remote, order.key(), work.cancellation);
    refusePickle(name, remote);
    work.fileName = name.original();
    work.totalBytes = remote.lengthBytes();

    Optional<ModelMetadata> told = remote.metadata().await(HASH_PATIENCE, work.cancellation);
    Statement stated = Statement.of(remote, name, remote.lengthBytes(), told);
    Sha256 wanted = stated.wanted(order);
    if (wanted != null) {
      ModelStore.Origin origin = stated.origin(order.key(), name, wanted);
      Optional<Stored> adopted = adopt(order, work, origin, wanted, remote.lengthBytes());
      if (adopted.isPresent()) {
        return result(order, work, adopted.get(), Outcome.ADOPTED, null, startedNanos);
      }
    }
    return download(order, work, remote, name, startedNanos);
  }

  /** The wanted bytes from elsewhere on this machine, if it is known what they are. */
  private Optional<Stored> adopt(
      Order order,
      Work work,
      ModelStore.Origin origin,
      @Nullable Sha256 wanted,
      @Nullable Long lengthBytes) {
    if (wanted == null) {
      return Optional.empty();
    }
    work.phase = Phase.ADOPTING;
    return store.adopt(
        origin,
        wanted,
        lengthBytes,
        order.place(),
        order.elsewhere(),
        work.cancellation,
        hashed(work));
  }

  /** Without the network a hash of the caller's may still lead to the file, its url to a name. */
  private FetchResult offline(Order order, Work work, long startedNanos) {
    ModelFileName name = ModelFileName.of(null, order.key().effective());
    if (!name.extension().isEmpty()) {
      ModelStore.Origin origin = new ModelStore.Origin(order.key(), name, null, null);
      Optional<Stored> adopted = adopt(order, work, origin, order.wanted(), null);
      if (adopted.isPresent()) {
        return result(order, work, adopted.get(), Outcome.ADOPTED, null, startedNanos);
      }
    }
    throw missingOffline(order);
  }

  private static FetchException missingOffline(Order order) {
    return FetchException.because(
            FailureKind.OFFLINE, "Offline, and the file is not on this disk yet.")
        .url(Redactor.url(order.key().base()))
        .build();
  }

  /** A file that was uploaded under its hash: found by name, never asked for, no sidecar file. */
  private FetchResult uploaded(Order order, Work work, Sha256 hash, long startedNanos) {
    Path file =
        store
            .findByName(hash, order.place())
            .orElseThrow(
                () ->
                    FetchException.because(
                            FailureKind.NOT_FOUND,
                            "No uploaded file is called " + hash + " in the folders of its type.")
                        .url(order.key().base())
                        .hint("Upload the file again, or check the type.")
                        .build());
    Sha256 wanted = order.wanted();
    work.phase = Phase.VERIFYING;
    if (wanted != null && !store.hasHash(file, wanted, work.cancellation, hashed(work))) {
      throw FetchException.because(
              FailureKind.INTEGRITY, file + " does not have the SHA-256 " + wanted + ".")
          .url(order.key().base())
          .hint("Upload the file again; the one that is there was left alone.")
          .fact("expectedSha256", wanted.hex())
          .build();
    }
    String name = file.getFileName().toString();
    work.fileName = name;
    return new FetchResult(
        file.toString(),
        name,
        order.place().relativeName(file),
        ModelStore.lengthBytes(file),
        wanted == null ? null : wanted.hex(),
        null,
        order.key().urlHash().hex(),
        Outcome.PRESENT,
        Strategy.NONE,
        wanted == null ? Verification.SIZE : Verification.SHA256_CALLER,
        0,
        0,
        TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - startedNanos),
        0,
        false,
        List.of(),
        null);
  }

  /**
   * A file that another program looks for under its plain name: without a sidecar file, so that
   * what is there is taken as it is unless the caller states its hash.
   */
  private FetchResult bringPlain(Order order, Path file, Work work) {
    long startedNanos = System.nanoTime();
    ModelFileName name =
        ModelFileName.ofUntrusted(file.getFileName().toString(), order.key().urlHash());
    work.fileName = name.original();
    if (isPlainPresent(order, file, work)) {
      return plainResult(order, file, work, Outcome.PRESENT, null, startedNanos);
    }
    if (options.offline()) {
      throw missingOffline(order);
    }
    work.phase = Phase.RESOLVING;
    RemoteFile remote = order.links().resolveAny(work.cancellation, work.counters::waiting);
    refusePickle(name, remote);
    work.totalBytes = remote.lengthBytes();
    try (PartFile part = store.openPart(file, BUSY_PATIENCE, work.cancellation, held(work));
        ConnectionBudget.Share budget = connections.join()) {
      work.counters.waiting(null, null);
      if (isPlainPresent(order, file, work)) {
        part.delete();
        return plainResult(order, file, work, Outcome.PRESENT, null, startedNanos);
      }
      Transfer.Result transferred =
          transferProven(order, work, remote, part, name, budget).transferred();
      Outcome outcome = work.counters.reusedBytes() > 0 ? Outcome.RESUMED : Outcome.DOWNLOADED;
      store.publishPlain(part);
      return plainResult(order, file, work, outcome, transferred, startedNanos);
    }
  }

  private boolean isPlainPresent(Order order, Path file, Work work) {
    if (!Files.isRegularFile(file) || order.wanted() == null) {
      return Files.isRegularFile(file);
    }
    work.phase = Phase.VERIFYING;
    return store.hasHash(file, order.wanted(), work.cancellation, hashed(work));
  }

  private static PartFile.HeldListener held(Work work) {
    return until -> work.counters.waiting("Another process is downloading this file.", until);
  }

  /**
   * The file on the disk, if it is whole and, where the caller states a hash, proven to have it.
   */
  private Optional<Stored> present(Order order, Work work) {
    Optional<Stored> present =
        store
            .find(order.key(), order.place())
            .filter(stored -> isWantedFile(stored, order.request().fileId()));
    Sha256 wanted = order.wanted();
    if (present.isEmpty() || wanted == null) {
      return present;
    }
    Stored stored = present.get();
    if (stored.provenSha256().filter(wanted::equals).isPresent()) {
      return present;
    }
    work.phase = Phase.VERIFYING;
    work.totalBytes = stored.lengthBytes();
    return present.filter(s -> store.prove(s, wanted, work.cancellation, hashed(work)));
  }

  /** Whether a stored file is, as far as is known of it, the one of this id among a version's. */
  private static boolean isWantedFile(Stored stored, @Nullable String fileId) {
    if (fileId == null || !fileId.matches("\\d{1,18}")) {
      return true;
    }
    Optional<ModelMetadata.File> file =
        ModelMetadata.of(stored.data()).flatMap(told -> told.file(Long.parseLong(fileId)));
    Sha256 sha256 = file.isEmpty() ? null : file.get().sha256();
    return sha256 == null || stored.provenSha256().filter(h -> !h.equals(sha256)).isEmpty();
  }

  private static LongConsumer hashed(Work work) {
    return work.counters::hashed;
  }

  /**
   * What the file is called: by the source, by the server that sends it, by what is told of the
   * model; only where all are silent by the url, which may lack the extension that says what the
   * file is.
   */
  private static ModelFileName name(
      RemoteFile remote, ModelStore.Key key, Cancellation cancellation) {
    if (remote.fileName() != null) {
      return ModelFileName.ofUntrusted(remote.fileName(), key.urlHash());
    }
    if (ModelFileName.isGivenBy(remote.contentDisposition())) {
      return ModelFileName.of(remote.contentDisposition(), key.effective());
    }
    return remote
        .metadata()
        .await(cancellation)
        .flatMap(told -> told.served(remote.metadata().fileId(), null, remote.lengthBytes()))
        .flatMap(file -> Optional.ofNullable(file.name()))
        .map(stated -> ModelFileName.ofUntrusted(stated, key.urlHash()))
        .orElseGet(() -> ModelFileName.of(null, key.effective()));
  }

  private void refusePickle(ModelFileName name, RemoteFile remote) {
    if (config.refusePickle() && ModelStore.isPickle(name)) {
      throw FetchException.because(
              FailureKind.POLICY,
              name.original() + " is a pickle, which runs code when it is loaded; it was refused.")
          .hint("Look for the same model as .safetensors.")
          .url(remote.location().redacted())
          .build();
    }
  }

  private FetchResult download(
      Order order, Work work, RemoteFile remote, ModelFileName name, long startedNanos) {
    PartFile part =
        store.openPart(name, order.place(), BUSY_PATIENCE, work.cancellation, held(work));
    work.counters.waiting(null, null);
    try (part;
        ConnectionBudget.Share budget = connections.join()) {
      Optional<Stored> byAnotherProcess = present(order, work);
      if (byAnotherProcess.isPresent()) {
        part.delete();
        return result(order, work, byAnotherProcess.get(), Outcome.PRESENT, null, startedNanos);
      }
      Proven proven = transferProven(order, work, remote, part, name, budget);
      Outcome outcome = work.counters.reusedBytes() > 0 ? Outcome.RESUMED : Outcome.DOWNLOADED;
      Transfer.Result transferred = proven.transferred();
      Stored stored =
          store.publish(
              part,
              proven.stated().origin(order.key(), name, transferred.sha256()),
              transferred.lengthBytes(),
              transferred.sha256());
      return result(order, work, stored, outcome, transferred, startedNanos);
    }
  }

  /** All bytes, in the part file, with the length, hash and content that they must have. */
  private Proven transferProven(
      Order order,
      Work work,
      RemoteFile remote,
      PartFile part,
      ModelFileName name,
      ConnectionBudget.Share budget) {
    work.phase = Phase.FETCHING;
    Transfer.Result transferred =
        transfer(order, work, remote, part, budget)
            .alsoFrom(mirrors(order), order.wanted() != null || remote.sha256() != null)
            .run();
    work.phase = Phase.VERIFYING;
    work.totalBytes = transferred.lengthBytes();
    Optional<ModelMetadata> told = remote.metadata().await(work.cancellation);
    Statement stated = Statement.of(remote, name, transferred.lengthBytes(), told);
    Sha256 refuted = null;
    for (int downloads = 1;
        isWorthAnotherDownload(order, work, stated, transferred, refuted)
            && downloads < MOST_REFUTED_DOWNLOADS;
        downloads++) {
      log.info("{}: the bytes do not have the promised hash, starting over", name.original());
      refuted = transferred.sha256();
      part.discard();
      work.phase = Phase.FETCHING;
      RemoteFile afresh = order.links().resolve(work.cancellation, work.counters::waiting);
      transferred =
          transfer(order, work, afresh, part, budget).run().afterStartingOver(transferred);
      work.phase = Phase.VERIFYING;
    }
    verify(order, part, name, remote, stated, transferred);
    return new Proven(transferred, stated);
  }

  /**
   * Whether bytes that do not have the promised hash may come out right another time: what an
   * earlier attempt left, or a mirror sent, may have been of other content, and of a hash that is
   * merely told the bytes count as the better witness only once they were the same twice.
   */
  private static boolean isWorthAnotherDownload(
      Order order,
      Work work,
      Statement stated,
      Transfer.Result transferred,
      @Nullable Sha256 refuted) {
    Sha256 wanted = stated.wanted(order);
    if (fits(transferred, wanted)) {
      return false;
    }
    boolean isPatchwork = work.counters.reusedBytes() > 0 || transferred.isFromMirrors();
    boolean isClaim = transferred.authentic() && order.wanted() == null && !stated.certain();
    return isPatchwork || (isClaim && !transferred.sha256().equals(refuted));
  }

  private Transfer transfer(
      Order order, Work work, RemoteFile remote, PartFile part, ConnectionBudget.Share budget) {
    return new Transfer(
        reader,
        remote,
        () -> order.links().resolveAgain(work.cancellation),
        part,
        maxConnections(order, remote),
        work.counters,
        throttle.share(),
        budget,
        work.cancellation,
        executor);
  }

  private List<Transfer.Mirror> mirrors(Order order) {
    return order.links().others(remote -> maxConnections(order, remote));
  }

  private int maxConnections(Order order, RemoteFile remote) {
    Integer asked = order.request().connections();
    return Math.min(
        Sources.maxConnections(remote.source()), asked != null ? asked : options.maxConnections());
  }

  private static boolean fits(Transfer.Result transferred, @Nullable Sha256 wanted) {
    return transferred.authentic() && (wanted == null || wanted.equals(transferred.sha256()));
  }

  /** Nothing gets a final name before this: length and hash as promised, and a model's content. */
  private void verify(
      Order order,
      PartFile part,
      ModelFileName name,
      RemoteFile remote,
      Statement stated,
      Transfer.Result transferred) {
    Sha256 wanted = stated.wanted(order);
    Sha256 actual = transferred.sha256();
    if (!transferred.authentic()) {
      part.delete();
      throw FetchException.because(
              FailureKind.INTEGRITY,
              name.original()
                  + ", "
                  + transferred.lengthBytes()
                  + " bytes, does not have the check sum that its link promises.")
          .url(remote.location().redacted())
          .fact("actualSha256", actual.hex())
          .build();
    }
    if (wanted != null && !wanted.equals(actual)) {
      part.delete();
      FetchException.Builder failure =
          FetchException.because(
                  FailureKind.INTEGRITY,
                  name.original()
                      + " has the SHA-256 "
                      + actual
                      + ", but "
                      + wanted
                      + " was promised.")
              .url(remote.location().redacted())
              .fact("expectedSha256", wanted.hex())
              .fact("actualSha256", actual.hex());
      if (order.wanted() == null && !stated.certain()) {
        failure.hint(
            "The source tells the SHA-256 "
                + wanted
                + ", but what it serves has "
                + actual
                + "; its word may be wrong: a \"sha256\" in the call decides which one is right.");
      }
      throw failure.build();
    }
    boolean vouchedFor = actual.equals(stated.sha256());
    try {
      ContentCheck.check(
          part, name, transferred.lengthBytes(), !vouchedFor && !config.acceptAnyContent());
    } catch (FetchException e) {
      part.delete();
      throw e.at(remote.location().redacted());
    }
  }

  private FetchResult result(
      Order order,
      Work work,
      Stored stored,
      Outcome outcome,
      Transfer.@Nullable Result transferred,
      long startedNanos) {
    Path named = named(order, stored);
    work.fileName = stored.file().getFileName().toString();
    ModelMetadata.of(stored.data()).ifPresent(work::tell);
    return new FetchResult(
        stored.file().toString(),
        stored.file().getFileName().toString(),
        order.place().relativeName(named),
        stored.lengthBytes(),
        stored.provenSha256().map(Sha256::hex).orElse(null),
        stored.sidecarPath().toString(),
        order.key().urlHash().hex(),
        outcome,
        strategy(transferred),
        verification(order, stored),
        work.counters.transferredBytes(),
        outcome == Outcome.RESUMED ? work.counters.reusedBytes() : 0,
        TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - startedNanos),
        work.counters.retries(),
        transferred != null && transferred.startedOver(),
        shares(order, transferred),
        stored.data());
  }

  private static List<FetchResult.MirrorShare> shares(
      Order order, Transfer.@Nullable Result transferred) {
    List<FetchResult.MirrorShare> shares = new ArrayList<>();
    if (transferred != null) {
      for (Transfer.Share share : transferred.shares()) {
        String host = shares.isEmpty() ? order.links().usedHost() : share.host();
        shares.add(new FetchResult.MirrorShare(host, share.bytes(), share.droppedBecause()));
      }
    }
    return shares;
  }

  /** The file under the name that a loader is told. */
  private Path named(Order order, Stored stored) {
    String name = order.plainName();
    if (FetchRequest.SOURCE_NAME.equals(name)) {
      name = stored.plainName().isEmpty() ? null : ModelFileName.requirePlain(stored.plainName());
    }
    if (name == null) {
      return stored.file();
    }
    return order.replacesName()
        ? store.takePlainName(stored, name)
        : store.linkPlainName(stored, name);
  }

  private FetchResult plainResult(
      Order order,
      Path file,
      Work work,
      Outcome outcome,
      Transfer.@Nullable Result transferred,
      long startedNanos) {
    Sha256 proven = transferred != null ? transferred.sha256() : order.wanted();
    Verification verification =
        proven == null
            ? Verification.SIZE
            : order.wanted() != null ? Verification.SHA256_CALLER : Verification.SHA256_COMPUTED;
    return new FetchResult(
        file.toString(),
        file.getFileName().toString(),
        order.place().relativeName(file),
        transferred != null ? transferred.lengthBytes() : ModelStore.lengthBytes(file),
        proven == null ? null : proven.hex(),
        null,
        order.key().urlHash().hex(),
        outcome,
        strategy(transferred),
        verification,
        work.counters.transferredBytes(),
        outcome == Outcome.RESUMED ? work.counters.reusedBytes() : 0,
        TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - startedNanos),
        work.counters.retries(),
        transferred != null && transferred.startedOver(),
        shares(order, transferred),
        null);
  }

  private static Strategy strategy(Transfer.@Nullable Result transferred) {
    if (transferred == null || transferred.connections() == 0) {
      return Strategy.NONE;
    }
    if (transferred.connections() <= 1) {
      return Strategy.SINGLE;
    }
    return transferred.http2() ? Strategy.PARALLEL_H2 : Strategy.PARALLEL;
  }

  private static Verification verification(Order order, Stored stored) {
    if (stored.provenSha256().isEmpty()) {
      return Verification.SIZE;
    }
    if (order.wanted() != null) {
      return Verification.SHA256_CALLER;
    }
    return stored.isSourceProven() ? Verification.SHA256_SOURCE : Verification.SHA256_COMPUTED;
  }

  /**
   * The url hash if the file is present and whole, else null; for a pack the hash of its url if all
   * of its files are. No network, no hashing.
   *
   * @throws InvalidParamsException if the request makes no sense
   */
  public @Nullable String fingerprint(FetchRequest request) {
    ModelStore.Key key = ModelStore.Key.of(requireUrl(request.url()), request.auth());
    boolean isPack = VirtualTypes.pack(request, folders).isPresent();
    Sha256 hash = isPack ? Sha256.ofUtf8(key.base()) : key.urlHash();
    return isPresent(request, folders) ? hash.hex() : null;
  }

  private boolean isPresent(FetchRequest request, ModelFolders known) {
    Optional<VirtualTypes.Pack> pack = VirtualTypes.pack(request, known);
    if (pack.isPresent()) {
      return pack.get().files().stream()
          .allMatch(file -> isPresent(file, known) && pack.get().isNamed(file));
    }
    Optional<Path> plainFile = virtualTypes.annotatorFile(request, known);
    if (plainFile.isPresent()) {
      return Files.isRegularFile(plainFile.get());
    }
    ModelStore.Key key = ModelStore.Key.of(requireUrl(request.url()), request.auth());
    ModelFolders.Place place = known.place(request.type(), request.dir());
    return key.contentHash()
        .map(hash -> store.findByName(hash, place).isPresent())
        .orElseGet(() -> store.isPresent(key, place));
  }

  /** Where a request's file, or each of its files, goes. */
  private ModelFolders.Place place(FetchRequest request, ModelFolders known) {
    return VirtualTypes.pack(request, known)
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
      learnSecrets(auth);
    }
    requireOnline(url);
    Work work = new Work(true);
    Sources.Wish wish = Sources.Wish.of(url, key.effective().text(), auth);
    RemoteFile remote =
        RetryPolicy.run(
            () -> sources.resolve(wish, work.cancellation),
            work.cancellation,
            work.counters::waiting);
    HttpUrl location = remote.location();
    ModelFileName name = name(remote, key, work.cancellation);
    Sha256 stated =
        Statement.of(remote, name, remote.lengthBytes(), remote.metadata().await(work.cancellation))
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
      learnSecrets(auth);
    }
    if (key.contentHash().isPresent()) {
      return List.of();
    }
    requireOnline(url);
    Work work = new Work(true);
    download.shows(work);
    return sources.expand(
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
        VirtualTypes.pack(request, known).map(VirtualTypes.Pack::files).orElse(List.of(request));
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
    if (request.maxConnections() != null) {
      requireRange(request.maxConnections(), 1, MOST_CONNECTIONS, "maxConnections");
      connections = request.maxConnections();
    }
    int files = before.maxParallelFiles();
    if (request.maxParallelFiles() != null) {
      requireRange(request.maxParallelFiles(), 1, MOST_CONNECTIONS, "maxParallelFiles");
      files = request.maxParallelFiles();
    }
    boolean offline = request.offline() != null ? request.offline() : before.offline();
    options = new Options(limit, connections, files, offline);
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
   */
  record Outlook(@Nullable Long lengthBytes, @Nullable ModelFileName name) {
    static final Outlook UNKNOWN = new Outlook(null, null);

    /** Where it stands among others by length: what is there or unknown comes first. */
    long sortBytes() {
      return lengthBytes == null ? 0 : lengthBytes;
    }
  }

  /**
   * Looks on the disk, and asks the source about what is missing.
   *
   * @throws InvalidParamsException if the request makes no sense
   * @throws FetchException as the source's answer means
   */
  Outlook outlook(FetchRequest request, Cancellation cancellation) {
    Order order = order(request, false);
    ModelFolders known = folders;
    if (options.offline()
        || order.key().contentHash().isPresent()
        || VirtualTypes.pack(request, known).isPresent()
        || isPresent(request, known)) {
      return Outlook.UNKNOWN;
    }
    Work work = new Work(true);
    var registration = cancellation.onCancel(work.cancellation::cancel);
    try {
      RemoteFile remote = order.links().resolveAny(work.cancellation, work.counters::waiting);
      return new Outlook(remote.lengthBytes(), name(remote, order.key(), work.cancellation));
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
  SpaceLedger.@Nullable Reservation reserve(FetchRequest request, Outlook outlook) {
    return outlook.lengthBytes() == null || outlook.name() == null
        ? null
        : store.reserve(outlook.name(), order(request, false).place(), outlook.lengthBytes());
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
    reader.close();
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

  /** The options in force. */
  public record Options(
      @Nullable Long maxBytesPerSecond,
      int maxConnections,
      int maxParallelFiles,
      boolean offline) {}

  /** Counts for {@code status}. */
  public record Activity(int active, int waiting) {}
}
