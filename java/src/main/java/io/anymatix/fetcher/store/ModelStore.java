package io.anymatix.fetcher.store;

import com.fasterxml.jackson.databind.JsonNode;
import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import java.io.IOException;
import java.nio.file.FileStore;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.LongConsumer;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Finds, opens, publishes and deletes stored models: hash-named files, each with the sidecar files
 * of the urls that led to it (store contract 4, 6 and 11).
 *
 * <p>A model exists once its sidecar file names it and its length agrees. Nothing is written before
 * the bytes are complete, nothing of anybody else's is rewritten just to read it. Methods may be
 * called from any thread; what must not happen twice at a time is guarded by the part file.
 */
public final class ModelStore {
  private static final String CONTENT_SCHEME = "sha256://";

  /** What uploads are called (store contract 4.6). */
  private static final Set<String> UPLOAD_EXTENSIONS =
      Set.of("safetensors", "ckpt", "pt", "pth", "pt2", "bin", "onnx", "gguf", "pkl", "sft");

  /** Of the note that says that a part is complete. */
  static final String COMPLETION_SUFFIX = ".part.complete";

  /** Suffixes of files that are being written, or that say something about such a file. */
  private static final List<String> WORKING_SUFFIXES =
      List.of(
          ".part",
          COMPLETION_SUFFIX,
          ".part.segments",
          ".part.segments.tmp",
          ".part.part",
          Inventory.SET_ASIDE_SUFFIX);

  private final SpaceLedger space = new SpaceLedger();
  private final FolderIndex index = new FolderIndex();

  /**
   * A stored file as a caller sees it.
   *
   * @param file the stored file
   * @param sidecar its sidecar file under the caller's own url hash
   */
  public record Stored(Path file, Sidecar sidecar) {
    public long lengthBytes() {
      Long stated = sidecar.statedBytes();
      return stated == null ? 0 : stated;
    }

    /** The hash that was measured, if it was. */
    public Optional<Sha256> provenSha256() {
      return sidecar.provenSha256();
    }

    /** What the source calls the file; empty if it gave no name. */
    public String plainName() {
      return sidecar.name();
    }

    /** Whether the source itself stated the proven hash. */
    public boolean isSourceProven() {
      return provenSha256().isPresent() && provenSha256().get().equals(sidecar.sourceSha256());
    }

    public Path sidecarPath() {
      return sidecar.path();
    }

    /** What the source told about the model, or null. */
    public @Nullable JsonNode data() {
      return sidecar.data();
    }
  }

  /**
   * Under which names a url may be in the store.
   *
   * @param effective the url with the caller's query tail
   * @param base the url as the caller wrote it
   */
  public record Key(EffectiveUrl effective, String base) {
    public static Key of(String url, @Nullable String auth) {
      return new Key(EffectiveUrl.of(url, auth), url);
    }

    public Sha256 urlHash() {
      return effective.urlHash();
    }

    String storedUrl() {
      return EffectiveUrl.storedForm(base);
    }

    /** The hash that a {@code sha256://} url consists of; empty for any other url. */
    public Optional<Sha256> contentHash() {
      boolean isContentUrl =
          base.regionMatches(true, 0, CONTENT_SCHEME, 0, CONTENT_SCHEME.length());
      return Optional.ofNullable(
          isContentUrl ? Sha256.parse(base.substring(CONTENT_SCHEME.length()).strip()) : null);
    }
  }

  /** What is told of a file when it is published. */
  public record Origin(
      Key key, ModelFileName name, @Nullable Sha256 sourceSha256, @Nullable JsonNode data) {}

  /**
   * The stored file of a url, if it is there and whole: no request, no hashing (store contract
   * 11.1).
   *
   * <p>Where another version, another token or an interrupted publish left it, our own sidecar file
   * is written.
   */
  public Optional<Stored> find(Key key, ModelFolders.Place place) {
    return sidecarsOf(key, place)
        .filter(Sidecar::isSatisfied)
        .findFirst()
        .map(found -> ownSidecar(found, key))
        .or(() -> finishInterrupted(key, place))
        .map(ModelStore::used);
  }

  /**
   * The same after a look that has found nothing: what another process has stored since then has
   * our own names, so that no other sidecar file is read.
   *
   * @param finalPath where the file would be
   */
  public Optional<Stored> findAgain(Key key, ModelFolders.Place place, Path finalPath) {
    return namedSidecarsOf(key, place)
        .filter(Sidecar::isSatisfied)
        .findFirst()
        .map(found -> ownSidecar(found, key))
        .or(() -> finishInterrupted(key, place, PartFile.completionNote(finalPath)))
        .map(ModelStore::used);
  }

  /**
   * Whether an earlier attempt has left a part of a url's file, as far as a name tells, and as of
   * the last look for the file.
   */
  public boolean isBegun(Key key, ModelFolders.Place place) {
    String hash = key.urlHash().hex();
    return index.parts(place.target()).stream()
        .anyMatch(part -> part.getFileName().toString().contains(hash));
  }

  /**
   * Proves the file of a sidecar that states a hash but no length: it is hashed, keeps its name,
   * and its sidecar file is completed (store contract 2.4 and 11.6).
   */
  public Optional<Stored> adoptUnmeasured(
      Key key, ModelFolders.Place place, Cancellation cancellation, LongConsumer hashedBytes) {
    List<Sidecar> unmeasured =
        sidecarsOf(key, place)
            .filter(s -> s.statedBytes() == null && s.provenSha256().isPresent())
            .filter(Sidecar::isUncontradicted)
            .toList();
    for (Sidecar sidecar : unmeasured) {
      Path file = sidecar.file().orElseThrow();
      Sha256 claimed = sidecar.provenSha256().orElseThrow();
      try {
        if (Adoption.hash(file, cancellation, hashedBytes).equals(claimed)) {
          String name =
              sidecar.name().isEmpty() ? key.effective().lastPathSegment() : sidecar.name();
          Sidecar complete =
              Sidecar.proven(
                  Sidecar.pathIn(sidecar.folder(), key.urlHash()),
                  key.storedUrl(),
                  file,
                  Files.size(file),
                  sidecar.sourceSha256(),
                  name,
                  sidecar.data(),
                  claimed);
          complete.keepUnknownKeysOf(sidecar);
          writeSidecar(complete);
          return Optional.of(new Stored(file, complete));
        }
      } catch (IOException e) {
        // Gone or unreadable: the next one, or the download.
      }
    }
    return Optional.empty();
  }

  /**
   * Whether a url's file is there, as far as a look can tell; changes nothing. A sidecar file that
   * states no length is believed here, and hashed by {@link #adoptUnmeasured} when it counts.
   */
  public boolean isPresent(Key key, ModelFolders.Place place) {
    return sidecarsOf(key, place).anyMatch(Sidecar::isUncontradicted);
  }

  /** All sidecar files that may speak for a url, our own first; read as they are looked at. */
  private Stream<Sidecar> sidecarsOf(Key key, ModelFolders.Place place) {
    Stream<Sidecar> ofSameUrl =
        place.searched().stream()
            .flatMap(folder -> index.sidecarsOf(folder, key.base()).stream())
            .flatMap(sidecar -> Sidecar.readUnnoticed(sidecar).stream())
            .filter(
                s -> s.url() != null && EffectiveUrl.sameButForCredentials(s.url(), key.base()));
    return Stream.of(namedSidecarsOf(key, place), ofSameUrl).flatMap(sidecars -> sidecars);
  }

  private static Stream<Sidecar> namedSidecarsOf(Key key, ModelFolders.Place place) {
    return Stream.of(key.urlHash(), Sha256.ofUtf8(key.base()))
        .distinct()
        .flatMap(hash -> place.searched().stream().map(folder -> Sidecar.pathIn(folder, hash)))
        .map(Sidecar::read)
        .flatMap(Optional::stream);
  }

  /** The sidecar file of a file that was found under another name of the same url. */
  private static Sidecar ownSidecar(Sidecar found, Key key) {
    Path own = Sidecar.pathIn(found.folder(), key.urlHash());
    if (own.equals(found.path())) {
      return found;
    }
    Path file = found.file().orElseThrow();
    String formerHash = found.path().getFileName().toString().replace(".json", "");
    String ownName = file.getFileName().toString().replace(formerHash, key.urlHash().hex());
    try {
      Path ownFile = linkedBeside(file, file.resolveSibling(ownName));
      Sidecar sidecar = found.copyFor(own, key.storedUrl(), ownFile);
      fillFileSize(sidecar);
      writeSidecar(sidecar);
      return sidecar;
    } catch (IOException e) {
      throw StorageFailures.of(e, own);
    }
  }

  private static Stored used(Sidecar sidecar) {
    Path file = sidecar.file().orElseThrow();
    try {
      // Storage pruning of other versions goes by the last use.
      Files.setLastModifiedTime(file, FileTime.from(Instant.now()));
    } catch (IOException e) {
      // A read-only volume: the file is there all the same.
    }
    return new Stored(file, sidecar);
  }

  private static void fillFileSize(Sidecar sidecar) {
    if (!sidecar.hasFileSize()) {
      try {
        sidecar.setFileSize(Files.size(sidecar.file().orElseThrow()));
      } catch (IOException e) {
        throw StorageFailures.of(e, sidecar.path());
      }
    }
  }

  /** Takes hold of the part file of a name; see {@link PartFile#open}. */
  public PartFile openPart(
      ModelFileName name,
      ModelFolders.Place place,
      Duration patience,
      Cancellation cancellation,
      PartFile.HeldListener listener) {
    return openPart(named(place.target(), name.stored()), patience, cancellation, listener);
  }

  /** Takes hold of the part file of a final path; see {@link PartFile#open}. */
  public PartFile openPart(
      Path finalPath,
      Duration patience,
      Cancellation cancellation,
      PartFile.HeldListener listener) {
    Path folder = folderOf(finalPath);
    try {
      if (!Files.isDirectory(folder)) {
        Files.createDirectories(folder);
      }
    } catch (IOException e) {
      throw StorageFailures.of(e, folder);
    }
    return PartFile.open(finalPath, space, patience, cancellation, listener);
  }

  /**
   * The volume that a folder lies on, or will lie on.
   *
   * @param identity equal for two folders of one volume
   * @param folder the nearest folder that is there
   */
  public record Volume(Object identity, Path folder) {
    /** Looks it up; what cannot be asked is taken for a volume of its own. */
    public static Volume of(Path folder) {
      Path existing = StorageFailures.existingFolder(folder);
      try {
        return new Volume(Files.getFileStore(existing), existing);
      } catch (IOException e) {
        return new Volume(existing, existing);
      }
    }

    /** What it can still take at this moment, in bytes; null if it does not say. */
    public @Nullable Long freeBytes() {
      return identity instanceof FileStore store ? StorageFailures.freeBytes(store) : null;
    }
  }

  /**
   * Reserves room for what is missing of a file that will be fetched; see {@link
   * SpaceLedger#reserve}. What an earlier attempt has left of it is looked at without a lock.
   *
   * @param lengthBytes the file's whole length
   */
  public SpaceLedger.Reservation reserve(
      ModelFileName name, ModelFolders.Place place, long lengthBytes) {
    Path file = named(place.target(), name.stored());
    return space.reserve(file, lengthBytes - PartFile.keptBytes(file, lengthBytes));
  }

  /** Measures the hash of any file. */
  public static Sha256 measure(Path file, Cancellation cancellation) throws IOException {
    return Adoption.hash(file, cancellation, bytes -> {});
  }

  /** Puts a text in the place of a file, whole or not at all, and makes its folder. */
  public static void replaceFile(Path file, String text) throws IOException {
    Files.createDirectories(folderOf(file.toAbsolutePath()));
    AtomicFile.replace(file, text);
  }

  /** Forces to the disk which files a folder holds: those of small files are not forced singly. */
  public static void forceNames(Path folder) {
    AtomicFile.forceFolder(folder);
  }

  /** What a failed access to a file means. */
  public static FetchException storageFailure(IOException error, Path file) {
    return StorageFailures.of(error, file);
  }

  /** A file that is not what it was, out of the way until a new one is in its place. */
  public static final class Aside {
    private final Path file;
    private final Path aside;

    private Aside(Path file) {
      this.file = file;
      this.aside = file.resolveSibling(file.getFileName() + ".corrupt");
    }

    /** Removes it if there is a new one, and puts it back otherwise. */
    public void end(boolean isReplaced) {
      try {
        if (isReplaced) {
          Files.deleteIfExists(aside);
        } else if (!Files.exists(file)) {
          Files.move(aside, file, StandardCopyOption.ATOMIC_MOVE);
        }
      } catch (IOException e) {
        throw StorageFailures.of(e, aside);
      }
    }
  }

  /**
   * Renames a corrupt file to {@code <name>.corrupt} (store contract 11.9), and its plain names.
   */
  public static Aside putAside(Path file) throws IOException {
    Aside aside = new Aside(file);
    for (Sidecar sidecar : Sidecar.scan(folderOf(file))) {
      if (sidecar.file().filter(file::equals).isPresent()) {
        for (String name : sidecar.linkedNames()) {
          Path link = named(folderOf(file), name);
          if (Files.exists(link) && Files.isSameFile(link, file)) {
            Files.delete(link);
          }
        }
      }
    }
    Files.move(file, aside.aside, StandardCopyOption.REPLACE_EXISTING);
    return aside;
  }

  /** Gives a complete and proven part its final name and its sidecar file. */
  public Stored publish(PartFile part, Origin origin, long lengthBytes, Sha256 sha256) {
    Path file = part.finalPath();
    Sidecar sidecar = provenSidecar(origin, file, lengthBytes, sha256);
    Optional<Path> replaced = Sidecar.read(sidecar.path()).flatMap(Sidecar::file);
    part.publish(lengthBytes, sha256, sidecar);
    commit(sidecar, file, PartFile.isCheap(lengthBytes));
    replaced.filter(old -> !old.equals(file)).ifPresent(ModelStore::dropUnlessNamed);
    return new Stored(file, sidecar);
  }

  /**
   * Gives a complete and proven part its final name without a sidecar file: for what another
   * program looks for under that name, and this one does not manage.
   *
   * @param lengthBytes its whole length
   */
  public void publishPlain(PartFile part, long lengthBytes) {
    part.publishPlain(lengthBytes);
  }

  private static Sidecar provenSidecar(Origin origin, Path file, long lengthBytes, Sha256 sha256) {
    Path path = Sidecar.pathIn(folderOf(file), origin.key().urlHash());
    Sidecar sidecar =
        Sidecar.proven(
            path,
            origin.key().storedUrl(),
            file,
            lengthBytes,
            origin.sourceSha256(),
            origin.name().original(),
            origin.data(),
            sha256);
    Sidecar.read(path).ifPresent(sidecar::keepUnknownKeysOf);
    return sidecar;
  }

  /** Removes what a sidecar file named before it was replaced: an incomplete or outdated file. */
  private static void dropUnlessNamed(Path file) {
    boolean named =
        Sidecar.scan(folderOf(file)).stream().anyMatch(s -> s.file().equals(Optional.of(file)));
    if (!named) {
      try {
        Files.deleteIfExists(file);
      } catch (IOException e) {
        // It stays as litter; the new file is in place all the same.
      }
    }
  }

  /**
   * Writes the sidecar file of a published file, and removes the notes beside it.
   *
   * @param isNoted whether the completion note is it
   */
  private static void commit(Sidecar sidecar, Path file, boolean isNoted) {
    try {
      if (isNoted) {
        sidecar.publish(PartFile.completionNote(file));
      } else {
        sidecar.write();
      }
    } catch (IOException e) {
      throw StorageFailures.of(e, sidecar.path());
    }
    try {
      PartFile.removeNotes(file);
    } catch (IOException e) {
      throw StorageFailures.of(e, file);
    }
  }

  private static void writeSidecar(Sidecar sidecar) {
    try {
      sidecar.write();
    } catch (IOException e) {
      throw StorageFailures.of(e, sidecar.path());
    }
  }

  /**
   * Finishes what a crash interrupted between the last byte and the sidecar file: the completion
   * note of ours holds the sidecar's text.
   */
  private Optional<Sidecar> finishInterrupted(Key key, ModelFolders.Place place) {
    return index.completionNotes(place.target()).stream()
        .filter(note -> note.getFileName().toString().contains(key.urlHash().hex()))
        .flatMap(note -> finishInterrupted(key, place, note).stream())
        .findFirst();
  }

  private static Optional<Sidecar> finishInterrupted(Key key, ModelFolders.Place place, Path note) {
    String name = note.getFileName().toString();
    Path file = note.resolveSibling(name.substring(0, name.length() - COMPLETION_SUFFIX.length()));
    try {
      if (!Files.exists(note)) {
        return Optional.empty();
      }
      Optional<JsonNode> noted = PythonJson.read(Files.readAllBytes(note));
      Optional<Sidecar> sidecar =
          noted.flatMap(
              json ->
                  Sidecar.ofNote(
                      Sidecar.pathIn(place.target(), key.urlHash()), PartFile.sidecarIn(json)));
      Path part = PartFile.partOf(file);
      if (sidecar.isEmpty() || !sidecar.get().file().equals(Optional.of(file))) {
        return Optional.empty();
      }
      if (!Files.exists(file)
          && Files.exists(part)
          && Long.valueOf(Files.size(part)).equals(sidecar.get().statedBytes())) {
        AtomicFile.publish(part, file);
      }
      if (sidecar.get().isSatisfied()) {
        commit(sidecar.get(), file, false);
        AtomicFile.removeTemporariesOf(
            sidecar.get().path(), PartFile.completionNote(file), PartFile.journalOf(file));
        return sidecar;
      }
    } catch (IOException e) {
      // Unreadable or somebody else's work in progress: the fetch goes its ordinary way.
    }
    return Optional.empty();
  }

  /**
   * Where bytes may be that are on this machine already.
   *
   * @param trees folders that are looked through with everything below them
   * @param hubCache the cache of Hugging Face's own client, whose files are only read; null for
   *     none
   */
  public record Elsewhere(List<Path> trees, @Nullable Path hubCache) {}

  /**
   * Finds a file with the wanted hash, proves it by hashing, and links it under our own name, or
   * copies it where no link is possible (store contract 4.3 and 11.6).
   *
   * @param hashedBytes hears how many bytes of a candidate have been hashed
   * @throws FetchException {@code diskFull} if the volume can not take a copy that is needed
   */
  public Optional<Stored> adopt(
      Origin origin,
      Sha256 wanted,
      @Nullable Long lengthBytes,
      ModelFolders.Place place,
      Elsewhere elsewhere,
      Cancellation cancellation,
      LongConsumer hashedBytes) {
    Adoption adoption =
        new Adoption(
            wanted, lengthBytes, origin.name().extension(), space, cancellation, hashedBytes);
    Optional<Path> found =
        adoption.find(
            new Adoption.Places(place.searched(), elsewhere.trees(), elsewhere.hubCache()));
    if (found.isEmpty()) {
      return Optional.empty();
    }
    try {
      Files.createDirectories(place.target());
      Path file = adoption.giveName(found.get(), named(place.target(), origin.name().stored()));
      Sidecar sidecar = provenSidecar(origin, file, Files.size(file), wanted);
      writeSidecar(sidecar);
      return Optional.of(new Stored(file, sidecar));
    } catch (IOException e) {
      return Optional.empty(); // gone meanwhile, or a volume that fails: the download tells
    }
  }

  /**
   * The file that a hash names by its own name: an upload without a sidecar file (store contract
   * 4.6). It is believed by its name.
   */
  public Optional<Path> findByName(Sha256 stem, ModelFolders.Place place) {
    return place.searched().stream()
        .flatMap(folder -> Sidecar.list(folder).stream())
        .filter(file -> isUploadOf(stem, file.getFileName().toString()))
        .filter(Files::isRegularFile)
        .findFirst();
  }

  private static boolean isUploadOf(Sha256 stem, String name) {
    int dot = name.lastIndexOf('.');
    return dot > 0
        && name.substring(0, dot).equalsIgnoreCase(stem.hex())
        && UPLOAD_EXTENSIONS.contains(name.substring(dot + 1).toLowerCase(Locale.ROOT));
  }

  /** A file's length. */
  public static long lengthBytes(Path file) {
    try {
      return Files.size(file);
    } catch (IOException e) {
      throw StorageFailures.of(e, file);
    }
  }

  /** Whether a file has a hash. */
  public boolean hasHash(
      Path file, Sha256 wanted, Cancellation cancellation, LongConsumer hashedBytes) {
    try {
      return Adoption.hash(file, cancellation, hashedBytes).equals(wanted);
    } catch (IOException e) {
      throw StorageFailures.of(e, file);
    }
  }

  static boolean isWorkingName(String fileName) {
    return fileName.contains(".segment_") || WORKING_SUFFIXES.stream().anyMatch(fileName::endsWith);
  }

  /** A hard link under our name; else the file itself, which lies beside it. */
  private static Path linkedBeside(Path existing, Path target) throws IOException {
    return Adoption.linkOver(existing, target) ? target : existing;
  }

  /**
   * Hashes a stored file that was not proven to have a hash, and records the result.
   *
   * @return whether it has that hash
   */
  public boolean prove(
      Stored stored, Sha256 wanted, Cancellation cancellation, LongConsumer hashedBytes) {
    try {
      Sha256 measured = Adoption.hash(stored.file(), cancellation, hashedBytes);
      if (!measured.equals(wanted)) {
        return false;
      }
      stored.sidecar().prove(measured, Files.size(stored.file()));
      writeSidecar(stored.sidecar());
      return true;
    } catch (IOException e) {
      throw StorageFailures.of(e, stored.file());
    }
  }

  /**
   * Lays a plain name beside a stored file: a hard link, else a relative symbolic link, else a
   * copy.
   *
   * @return the path of the plain name
   * @throws FetchException {@code storage} if another file has that name
   */
  public Path linkPlainName(Stored stored, String plainName) {
    return linkPlainName(stored, plainName, false);
  }

  /** The same, but takes the name over where another file has it. */
  public Path takePlainName(Stored stored, String plainName) {
    return linkPlainName(stored, plainName, true);
  }

  private static Path linkPlainName(Stored stored, String plainName, boolean replaces) {
    Path link = named(folderOf(stored.file()), plainName);
    try {
      boolean isOurs = stored.sidecar().linkedNames().contains(plainName);
      boolean isTaken = Files.exists(link) && !hasSameContent(link, stored, isOurs && !replaces);
      if (isTaken && !isOurs && !replaces) {
        throw FetchException.because(
                FailureKind.STORAGE, "Another file is already called " + link + ".")
            .hint("Choose another name, or move that file away.")
            .fact("path", link.toString())
            .build();
      }
      if (isTaken || !Files.exists(link)) {
        Files.deleteIfExists(link);
        link(stored.file(), link);
      }
      if (!isOurs) {
        stored.sidecar().addLinkedName(plainName);
        stored.sidecar().write();
      }
      return link;
    } catch (IOException e) {
      throw StorageFailures.of(e, link);
    }
  }

  /**
   * Whether a plain name leads to a stored file, or to a copy of it where volumes know no links.
   *
   * @param trustsLength whether a copy is known by its length; else it is compared
   */
  private static boolean hasSameContent(Path link, Stored stored, boolean trustsLength)
      throws IOException {
    if (Files.isSameFile(link, stored.file())) {
      return true;
    }
    return Files.size(link) == Files.size(stored.file())
        && (trustsLength || Files.mismatch(link, stored.file()) < 0);
  }

  /**
   * Another name for a file, in the same folder: a hard link, else a relative link, else a copy.
   */
  static void link(Path file, Path link) throws IOException {
    try {
      Files.createLink(link, file);
    } catch (IOException | UnsupportedOperationException noHardLinks) {
      try {
        Files.createSymbolicLink(link, file.getFileName());
      } catch (IOException | UnsupportedOperationException noLinks) {
        Files.copy(file, link);
      }
    }
  }

  /** What a delete did: removed files, and files that were left with the reason. */
  public record Deletion(List<Path> deleted, Map<Path, String> kept) {}

  /**
   * Removes what a url left in these folders: every sidecar file that is named after it or stores
   * it, and the models that no other sidecar file names (store contract 11.8).
   */
  public Deletion delete(String url, List<Path> folders) {
    Deletion result = new Deletion(new ArrayList<>(), new LinkedHashMap<>());
    for (Path folder : folders) {
      deleteIn(folder, url, result);
    }
    return result;
  }

  private static void deleteIn(Path folder, String url, Deletion result) {
    String urlHash = Sha256.ofUtf8(url).hex();
    List<Sidecar> doomed = new ArrayList<>();
    Set<String> survivingNames = new LinkedHashSet<>();
    for (Sidecar sidecar : Sidecar.scan(folder)) {
      String stored = sidecar.url();
      if (sidecar.path().getFileName().toString().equals(urlHash + ".json")
          || (stored != null && EffectiveUrl.sameButForCredentials(stored, url))) {
        doomed.add(sidecar);
      } else {
        sidecar.file().ifPresent(file -> survivingNames.add(file.getFileName().toString()));
        survivingNames.addAll(sidecar.linkedNames());
      }
    }
    Set<Path> models = new LinkedHashSet<>();
    for (Sidecar sidecar : doomed) {
      sidecar.linkedNames().forEach(name -> Sidecar.child(folder, name).ifPresent(models::add));
      sidecar.file().ifPresent(models::add);
    }
    Set<String> hashes = new LinkedHashSet<>(Set.of(urlHash));
    doomed.forEach(s -> hashes.add(s.path().getFileName().toString().replace(".json", "")));
    boolean modelKept = false;
    for (Path file : Sidecar.list(folder)) {
      String name = file.getFileName().toString();
      boolean isDoomedModel = models.contains(file);
      boolean isWorkingFile =
          models.stream().anyMatch(model -> isWorkingFileOf(name, model.getFileName().toString()));
      boolean carriesHash = !name.endsWith(".json") && hashes.stream().anyMatch(name::contains);
      if (!isDoomedModel && !isWorkingFile && !carriesHash) {
        continue;
      }
      if (survivingNames.contains(name)) {
        result.kept().put(file, "another sidecar file names it");
      } else if (isWorkingName(name) && PartFile.isHeldWith(file)) {
        result.kept().put(file, "it is being downloaded");
      } else {
        modelKept |= !remove(file, result) && isDoomedModel;
      }
    }
    for (Sidecar sidecar : doomed) {
      if (modelKept) {
        result.kept().put(sidecar.path(), "its model could not be removed");
      } else {
        remove(sidecar.path(), result);
      }
    }
    Path unreadable = folder.resolve(urlHash + ".json");
    if (Files.exists(unreadable) && !modelKept) {
      remove(unreadable, result);
    }
  }

  private static boolean isWorkingFileOf(String name, String model) {
    return name.startsWith(model + ".") && isWorkingName(name);
  }

  private static boolean remove(Path file, Deletion result) {
    try {
      if (Files.isDirectory(file)) {
        return true;
      }
      if (Files.deleteIfExists(file)) {
        result.deleted().add(file);
      }
      return true;
    } catch (IOException e) {
      result.kept().put(file, String.valueOf(StorageFailures.of(e, file).getMessage()));
      return false;
    }
  }

  /**
   * A file's path in a folder.
   *
   * @throws FetchException {@code storage} for a name that the platform can not form, such as one
   *     beyond ASCII where the process was started in the C locale
   */
  private static Path named(Path folder, String name) {
    try {
      return folder.resolve(name);
    } catch (InvalidPathException e) {
      throw FetchException.because(
              FailureKind.STORAGE,
              "The file name " + name + " can not be formed in the character set of this process.")
          .hint("Start the process in a UTF-8 locale, for instance with LC_ALL=C.UTF-8.")
          .fact("path", folder.toString())
          .cause(e)
          .build();
    }
  }

  private static Path folderOf(Path file) {
    Path folder = file.getParent();
    if (folder == null) {
      throw new IllegalArgumentException("not a file in a folder: " + file);
    }
    return folder;
  }

  /** Whether a file of this suffix is a pickle, which runs code when it is loaded. */
  public static boolean isPickle(ModelFileName name) {
    return Set.of("ckpt", "pt", "pth", "bin", "pkl")
        .contains(name.extension().toLowerCase(Locale.ROOT));
  }
}
