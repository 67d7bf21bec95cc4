package io.anymatix.fetcher.fetch;

import com.fasterxml.jackson.databind.JsonNode;
import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.content.ModelMetadata;
import io.anymatix.fetcher.content.Redactor;
import io.anymatix.fetcher.content.RemoteFile;
import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.fetch.Download.Work;
import io.anymatix.fetcher.fetch.FetchResult.Outcome;
import io.anymatix.fetcher.fetch.FetchResult.Strategy;
import io.anymatix.fetcher.fetch.FetchResult.Verification;
import io.anymatix.fetcher.fetch.Progress.Phase;
import io.anymatix.fetcher.http.Opening;
import io.anymatix.fetcher.http.RemoteReader;
import io.anymatix.fetcher.http.RequestGate.Site;
import io.anymatix.fetcher.source.Sources;
import io.anymatix.fetcher.store.ContentCheck;
import io.anymatix.fetcher.store.ModelFileName;
import io.anymatix.fetcher.store.ModelFolders;
import io.anymatix.fetcher.store.ModelStore;
import io.anymatix.fetcher.store.ModelStore.Stored;
import io.anymatix.fetcher.store.PartFile;
import io.anymatix.fetcher.transfer.ConnectionBudget;
import io.anymatix.fetcher.transfer.Connections;
import io.anymatix.fetcher.transfer.SmallFiles;
import io.anymatix.fetcher.transfer.SmallFiles.SmallFile;
import io.anymatix.fetcher.transfer.Throttle;
import io.anymatix.fetcher.transfer.Transfer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.function.LongConsumer;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One fetch of one file. {@link #run} is the main path, in the order in which it happens: look on
 * the disk, ask the source, look for the same bytes under another name, transfer, prove, publish.
 * One object is run once, on one thread.
 */
final class FileFetch {
  private static final Logger log = LoggerFactory.getLogger(FileFetch.class);

  /** Another process that downloads the same file is waited for this long. */
  private static final Duration BUSY_PATIENCE = Duration.ofMinutes(30);

  /**
   * What a source may tell of the hash is waited for this long before a file is looked for by it.
   */
  private static final Duration HASH_PATIENCE = Duration.ofSeconds(2);

  /** An address that was found out longer ago may have expired. */
  private static final Duration LONGEST_FORESIGHT = Duration.ofMinutes(10);

  /** Downloads of bytes that do not have the hash that a source merely tells. */
  private static final int MOST_REFUTED_DOWNLOADS = 3;

  private final Means means;
  private final ModelStore store;
  private final Order order;
  private final Work work;
  private final long startedNanos = System.nanoTime();

  /** What all fetches of a process have in common. */
  record Means(
      Config config,
      Supplier<Fetcher.Options> options,
      Supplier<RemoteReader> reader,
      ModelStore store,
      Throttle throttle,
      ConnectionBudget connections,
      SmallFiles smallFiles,
      Slots awaited,
      Executor executor) {}

  /**
   * A request, understood: where it goes and under which names it may be there.
   *
   * @param replacesName whether a plain name that is another file's is taken over
   * @param plainFile where the file lies if it is stored under its plain name alone
   * @param found what was found out before; null if nothing was
   */
  record Order(
      FetchRequest request,
      ModelStore.Key key,
      ModelFolders.Place place,
      ModelStore.Elsewhere elsewhere,
      @Nullable Sha256 wanted,
      @Nullable String plainName,
      Links links,
      boolean replacesName,
      @Nullable Path plainFile,
      @Nullable Found found) {
    /** Whether the file is in memory already. */
    boolean holdsFile() {
      return found != null && found.content() != null;
    }

    /** The same, with what was found out of it before. */
    Order with(Found earlier) {
      return new Order(
          request,
          key,
          place,
          elsewhere,
          wanted,
          plainName,
          links,
          replacesName,
          plainFile,
          earlier);
    }
  }

  /**
   * What was found out of a file before it is fetched, so that its source is not asked twice.
   *
   * @param content the file itself, if it came with the answer; whoever looked ahead closes it
   */
  record Found(RemoteFile remote, @Nullable SmallFile content, long atNanos) {
    boolean isRecent() {
      return System.nanoTime() - atNanos < LONGEST_FORESIGHT.toNanos();
    }
  }

  /**
   * What a source says of a file, as far as that is known by now.
   *
   * @param certain whether the hash belongs to these bytes beyond doubt, and is not merely told of
   *     them by somebody who may be wrong
   * @param data what it tells about the model
   */
  record Statement(@Nullable Sha256 sha256, boolean certain, @Nullable JsonNode data) {
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

  FileFetch(Means means, Order order, Work work) {
    this.means = means;
    this.store = means.store();
    this.order = order;
    this.work = work;
  }

  /** One fetch from the first look to the last byte; again if another process got in between. */
  FetchResult run() {
    while (true) {
      try {
        return bring();
      } catch (PartFile.TakenOverException e) {
        log.warn("{}: {}, although it was locked; waiting for it", work.fileName, e.getMessage());
        work.counters.waiting("Another process is downloading this file.", null);
        e.awaitQuiet(work.cancellation);
        work.counters.waiting(null, null);
      }
    }
  }

  private FetchResult bring() {
    if (order.plainFile() != null) {
      return bringPlain(order.plainFile());
    }
    Optional<Sha256> contentHash = order.key().contentHash();
    if (contentHash.isPresent()) {
      return uploaded(contentHash.get());
    }
    Outcome outcome = Outcome.PRESENT;
    Optional<Stored> present = found() == null ? present() : Optional.empty();
    if (present.isEmpty() && found() == null) {
      outcome = Outcome.ADOPTED;
      work.phase = Phase.ADOPTING;
      present = store.adoptUnmeasured(order.key(), order.place(), work.cancellation, hashed());
    }
    if (present.isPresent()) {
      return result(present.get(), outcome, null);
    }
    if (means.options().get().offline()) {
      return offline();
    }
    if (work.inLine) {
      return bringFromSource();
    }
    means.awaited().take(work.cancellation, this::sayItWaits);
    try {
      work.counters.waiting(null, null);
      return bringFromSource();
    } finally {
      means.awaited().giveBack();
    }
  }

  private void sayItWaits() {
    work.counters.waiting(means.awaited().most() + " other downloads are running.", null);
  }

  private FetchResult bringFromSource() {
    Found found = found();
    if (found != null) {
      return bringFrom(found.remote(), found.content(), Opening.ofFirstByte());
    }
    try (Opening opening = opening(order, means)) {
      return bringFrom(resolved(opening), null, opening);
    }
  }

  /** What was found out beforehand; it was missing then, and that was not long ago. */
  private @Nullable Found found() {
    Found found = order.found();
    return found != null && found.isRecent() ? found : null;
  }

  private RemoteFile resolved(Opening opening) {
    work.phase = Phase.RESOLVING;
    return order.links().resolveAny(opening, work.cancellation, work.counters::waiting);
  }

  /**
   * The first request for a file's bytes: for the first one alone where a longer piece would come
   * in vain, since mirrors are to be compared first, or an earlier attempt has left bytes.
   */
  static Opening opening(Order order, Means means) {
    boolean inVain =
        order.links().areMirrored() || means.store().isBegun(order.key(), order.place());
    return inVain ? Opening.ofFirstByte() : means.smallFiles().opening();
  }

  private FetchResult bringFrom(RemoteFile remote, @Nullable SmallFile content, Opening opening) {
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
      Optional<Stored> adopted = adopt(origin, wanted, remote.lengthBytes());
      if (adopted.isPresent()) {
        return result(adopted.get(), Outcome.ADOPTED, null);
      }
    }
    return download(remote, name, content, opening);
  }

  /** The wanted bytes from elsewhere on this machine, if it is known what they are. */
  private Optional<Stored> adopt(
      ModelStore.Origin origin, @Nullable Sha256 wanted, @Nullable Long lengthBytes) {
    if (wanted == null) {
      return Optional.empty();
    }
    work.phase = Phase.ADOPTING;
    order.place().requireUnmoved();
    return store.adopt(
        origin, wanted, lengthBytes, order.place(), order.elsewhere(), work.cancellation, hashed());
  }

  /** Without the network a hash of the caller's may still lead to the file, its url to a name. */
  private FetchResult offline() {
    ModelFileName name = ModelFileName.of(null, order.key().effective());
    if (!name.extension().isEmpty()) {
      ModelStore.Origin origin = new ModelStore.Origin(order.key(), name, null, null);
      Optional<Stored> adopted = adopt(origin, order.wanted(), null);
      if (adopted.isPresent()) {
        return result(adopted.get(), Outcome.ADOPTED, null);
      }
    }
    throw missingOffline();
  }

  private FetchException missingOffline() {
    return FetchException.because(
            FailureKind.OFFLINE, "Offline, and the file is not on this disk yet.")
        .url(Redactor.url(order.key().base()))
        .build();
  }

  /** A file that was uploaded under its hash: found by name, never asked for, no sidecar file. */
  private FetchResult uploaded(Sha256 hash) {
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
    if (wanted != null && !store.hasHash(file, wanted, work.cancellation, hashed())) {
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
  private FetchResult bringPlain(Path file) {
    ModelFileName name =
        ModelFileName.ofUntrusted(file.getFileName().toString(), order.key().urlHash());
    work.fileName = name.original();
    if (isPlainPresent(file)) {
      return plainResult(file, Outcome.PRESENT, null);
    }
    if (means.options().get().offline()) {
      throw missingOffline();
    }
    RemoteFile remote = resolved(Opening.ofFirstByte());
    refusePickle(name, remote);
    work.totalBytes = remote.lengthBytes();
    try (PartFile part = store.openPart(file, BUSY_PATIENCE, work.cancellation, held());
        ConnectionBudget.Share budget = connections(remote)) {
      work.counters.waiting(null, null);
      if (isPlainPresent(file)) {
        part.delete();
        return plainResult(file, Outcome.PRESENT, null);
      }
      Transfer.Result transferred =
          transferProven(remote, part, name, null, Opening.ofFirstByte(), budget).transferred();
      Outcome outcome = work.counters.reusedBytes() > 0 ? Outcome.RESUMED : Outcome.DOWNLOADED;
      order.place().requireUnmoved();
      store.publishPlain(part, transferred.lengthBytes());
      return plainResult(file, outcome, transferred);
    }
  }

  private boolean isPlainPresent(Path file) {
    if (!Files.isRegularFile(file) || order.wanted() == null) {
      return Files.isRegularFile(file);
    }
    work.phase = Phase.VERIFYING;
    return store.hasHash(file, order.wanted(), work.cancellation, hashed());
  }

  private PartFile.HeldListener held() {
    return until -> work.counters.waiting("Another process is downloading this file.", until);
  }

  /**
   * The file on the disk, if it is whole and, where the caller states a hash, proven to have it.
   */
  private Optional<Stored> present() {
    return asWanted(store.find(order.key(), order.place()));
  }

  private Optional<Stored> asWanted(Optional<Stored> found) {
    Optional<Stored> present =
        found.filter(stored -> isWantedFile(stored, order.request().fileId()));
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
    return present.filter(s -> store.prove(s, wanted, work.cancellation, hashed()));
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

  private LongConsumer hashed() {
    return work.counters::hashed;
  }

  /**
   * What the file is called: by the source, by the server that sends it, by what is told of the
   * model; only where all are silent by the url, which may lack the extension that says what the
   * file is.
   */
  static ModelFileName name(RemoteFile remote, ModelStore.Key key, Cancellation cancellation) {
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
    refusePickle(name, remote, means);
  }

  /** Refuses what would run code when it is loaded, where the owner wants that. */
  static void refusePickle(ModelFileName name, RemoteFile remote, Means means) {
    if (means.config().refusePickle() && ModelStore.isPickle(name)) {
      throw FetchException.because(
              FailureKind.POLICY,
              name.original() + " is a pickle, which runs code when it is loaded; it was refused.")
          .hint("Look for the same model as .safetensors.")
          .url(remote.location().redacted())
          .build();
    }
  }

  private FetchResult download(
      RemoteFile remote, ModelFileName name, @Nullable SmallFile found, Opening opening) {
    PartFile.HeldListener held =
        until -> {
          opening.close(); // nobody keeps a connection open for that long
          held().held(until);
        };
    PartFile part = store.openPart(name, order.place(), BUSY_PATIENCE, work.cancellation, held);
    work.counters.waiting(null, null);
    try (part;
        ConnectionBudget.Share budget = connections(remote)) {
      Optional<Stored> byAnotherProcess =
          asWanted(store.findAgain(order.key(), order.place(), part.finalPath()));
      if (byAnotherProcess.isPresent()) {
        part.delete();
        return result(byAnotherProcess.get(), Outcome.PRESENT, null);
      }
      boolean isBegun = part.lengthBytes() > 0;
      Proven proven = bringProven(remote, part, name, found, opening, budget);
      // What an answer left that ended early counts as reused, too, but is of this download.
      boolean isResumed = isBegun && work.counters.reusedBytes() > 0;
      Outcome outcome = isResumed ? Outcome.RESUMED : Outcome.DOWNLOADED;
      Transfer.Result transferred = proven.transferred();
      order.place().requireUnmoved();
      Stored stored =
          store.publish(
              part,
              proven.stated().origin(order.key(), name, transferred.sha256()),
              transferred.lengthBytes(),
              transferred.sha256());
      return result(stored, outcome, transferred);
    }
  }

  /** The same bytes from memory or from the first answer, if they are there. */
  private Proven bringProven(
      RemoteFile remote,
      PartFile part,
      ModelFileName name,
      @Nullable SmallFile found,
      Opening opening,
      ConnectionBudget.Share budget) {
    work.phase = Phase.FETCHING;
    if (found != null) {
      return transferProven(remote, part, name, found, opening, budget);
    }
    try (SmallFile received =
        means
            .smallFiles()
            .receive(opening, remote, part, budget, work.counters, work.cancellation)) {
      return transferProven(remote, part, name, received, opening, budget);
    }
  }

  /** All bytes, in the part file, with the length, hash and content that they must have. */
  private Proven transferProven(
      RemoteFile remote,
      PartFile part,
      ModelFileName name,
      @Nullable SmallFile content,
      Opening opening,
      ConnectionBudget.Share budget) {
    work.phase = Phase.FETCHING;
    Transfer.Result transferred = content == null ? null : content.writeTo(part, work.counters);
    if (transferred == null) {
      List<Transfer.Mirror> mirrors = mirrors();
      Transfer transfer =
          transfer(remote, part, budget)
              .alsoFrom(mirrors, order.wanted() != null || remote.sha256() != null)
              .beginningWith(opening);
      if (mirrors.isEmpty()) {
        lookAtHead(transfer, part, name, remote);
      }
      transferred = transfer.run();
    }
    work.phase = Phase.VERIFYING;
    work.totalBytes = transferred.lengthBytes();
    Optional<ModelMetadata> told = remote.metadata().await(work.cancellation);
    Statement stated = Statement.of(remote, name, transferred.lengthBytes(), told);
    Sha256 refuted = null;
    for (int downloads = 1;
        isWorthAnotherDownload(stated, transferred, refuted) && downloads < MOST_REFUTED_DOWNLOADS;
        downloads++) {
      log.info("{}: the bytes do not have the promised hash, starting over", name.original());
      refuted = transferred.sha256();
      part.discard();
      work.phase = Phase.FETCHING;
      RemoteFile afresh = order.links().resolve(work.cancellation, work.counters::waiting);
      transferred = transfer(afresh, part, budget).run().afterStartingOver(transferred);
      work.phase = Phase.VERIFYING;
    }
    verify(part, name, remote, stated, transferred);
    return new Proven(transferred, stated);
  }

  /**
   * Ends a long download early if its first bytes speak against it. Where the source may vouch for
   * any bytes the end decides.
   */
  private void lookAtHead(Transfer transfer, PartFile part, ModelFileName name, RemoteFile remote) {
    Long length = remote.lengthBytes();
    if (length == null
        || remote.sha256() != null
        || remote.metadata().mayBeTold()
        || means.config().acceptAnyContent()) {
      return;
    }
    transfer.lookingAtHead(
        ContentCheck.HEAD_BYTES,
        () -> {
          try {
            ContentCheck.checkHead(part, name, length);
          } catch (FetchException e) {
            throw e.at(remote.location().redacted());
          }
        });
  }

  /**
   * Whether bytes that do not have the promised hash may come out right another time: what an
   * earlier attempt left, or a mirror sent, may have been of other content, and of a hash that is
   * merely told the bytes count as the better witness only once they were the same twice.
   */
  private boolean isWorthAnotherDownload(
      Statement stated, Transfer.Result transferred, @Nullable Sha256 refuted) {
    Sha256 wanted = stated.wanted(order);
    if (fits(transferred, wanted)) {
      return false;
    }
    boolean isPatchwork = work.counters.reusedBytes() > 0 || transferred.isFromMirrors();
    boolean isClaim = transferred.authentic() && order.wanted() == null && !stated.certain();
    return isPatchwork || (isClaim && !transferred.sha256().equals(refuted));
  }

  private Transfer transfer(RemoteFile remote, PartFile part, ConnectionBudget.Share budget) {
    return new Transfer(
        reader(remote, means),
        remote,
        () -> order.links().resolveAgain(work.cancellation),
        part,
        connectionsFor(remote),
        work.counters,
        means.throttle().share(),
        budget,
        work.cancellation,
        means.executor());
  }

  private List<Transfer.Mirror> mirrors() {
    return order
        .links()
        .others(
            remote -> new Transfer.Access(reader(remote, means), connectionsFor(remote).most()));
  }

  private ConnectionBudget.Share connections(RemoteFile remote) {
    return connections(remote, means, work);
  }

  /** A file's part of the connections of the process and of its site. */
  static ConnectionBudget.Share connections(RemoteFile remote, Means means, Work work) {
    Site site = reader(remote, means).siteOf(remote.location());
    return means.connections().join(site, work.counters::waiting);
  }

  private static RemoteReader reader(RemoteFile remote, Means means) {
    return Sources.counted(means.reader().get(), remote.source());
  }

  /** What the call says exactly; else what pays, up to what the owner and the source allow. */
  private Connections connectionsFor(RemoteFile remote) {
    int ceiling = Sources.maxConnections(remote.source());
    Integer asked = order.request().connections();
    if (asked != null) {
      return Connections.fixed(Math.min(ceiling, asked));
    }
    Fetcher.Options options = means.options().get();
    int usual = options.maxConnections();
    return Connections.upTo(
        usual, options.mayAddConnections() ? ceiling : Math.min(ceiling, usual));
  }

  private static boolean fits(Transfer.Result transferred, @Nullable Sha256 wanted) {
    return transferred.authentic() && (wanted == null || wanted.equals(transferred.sha256()));
  }

  /** Nothing gets a final name before this: length and hash as promised, and a model's content. */
  private void verify(
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
          part, name, transferred.lengthBytes(), !vouchedFor && !means.config().acceptAnyContent());
    } catch (FetchException e) {
      part.delete();
      throw e.at(remote.location().redacted());
    }
  }

  private FetchResult result(
      Stored stored, Outcome outcome, Transfer.@Nullable Result transferred) {
    Path named = named(stored);
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
        verification(stored),
        work.counters.transferredBytes(),
        outcome == Outcome.RESUMED ? work.counters.reusedBytes() : 0,
        TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - startedNanos),
        work.counters.retries(),
        transferred != null && transferred.startedOver(),
        shares(transferred),
        stored.data());
  }

  private List<FetchResult.MirrorShare> shares(Transfer.@Nullable Result transferred) {
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
  private Path named(Stored stored) {
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
      Path file, Outcome outcome, Transfer.@Nullable Result transferred) {
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
        shares(transferred),
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

  private Verification verification(Stored stored) {
    if (stored.provenSha256().isEmpty()) {
      return Verification.SIZE;
    }
    if (order.wanted() != null) {
      return Verification.SHA256_CALLER;
    }
    return stored.isSourceProven() ? Verification.SHA256_SOURCE : Verification.SHA256_COMPUTED;
  }
}
