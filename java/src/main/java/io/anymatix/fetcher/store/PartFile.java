package io.anymatix.fetcher.store;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.store.Journal.CoveredRange;
import io.anymatix.fetcher.store.Journal.Identity;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * A file that is being fetched: {@code <final name>.part}, held by one writer, with the notes
 * beside it that say which of its bytes count (store contract 3).
 *
 * <p>Invariants, so that every version that knows parts can go on from ours: a part shorter than
 * the file is a contiguous prefix; a part of full length counts only with a journal, with a
 * completion note, or with a hash that proves it. Writes and reads go to offsets and may come from
 * any thread; everything else is the one holder's.
 */
public final class PartFile implements AutoCloseable {
  static final String SUFFIX = ".part";

  /** See {@link #isCheap}. */
  private static final long SMALLEST_FORCED_BYTES = 5L << 20;

  /** A byte far behind any content: locks are mandatory on Windows and would block readers. */
  private static final long LOCK_POSITION = Long.MAX_VALUE - 1;

  /** Compared at a time. */
  private static final int COMPARED_BYTES = 16 * 1024;

  private static final Duration LOCK_POLL = Duration.ofMillis(250);

  /** Whoever works on a part changes it, or its journal, more often than this. */
  private static final Duration QUIET = Duration.ofSeconds(8);

  /**
   * Parts that this process holds. Looked at before a part is opened: closing a second channel to a
   * file drops the lock of the first one (POSIX).
   */
  private static final Set<Path> HELD = ConcurrentHashMap.newKeySet();

  private final Path finalPath;
  private final Path path;
  private final FileChannel channel;
  private final SpaceLedger.Reservation space;
  private @Nullable Journal journal;
  private final Object key;
  private boolean published;
  private volatile boolean takenOver;
  private boolean released;

  private PartFile(Path finalPath, FileChannel channel, Object key, SpaceLedger ledger) {
    this.finalPath = finalPath;
    this.path = partOf(finalPath);
    this.channel = channel;
    this.key = key;
    this.space = ledger.reserve(finalPath, 0);
  }

  /** Hears that another process holds the part. */
  @FunctionalInterface
  public interface HeldListener {
    /** Called once when the wait begins, with the moment at which it is given up. */
    void held(Instant until);
  }

  /**
   * Takes hold of the part of a final path, creating it empty if there is none, and waits while
   * another process holds it.
   *
   * @throws FetchException {@code busy} after {@code patience}; {@code storage} if it cannot be
   *     written
   */
  static PartFile open(
      Path finalPath,
      SpaceLedger ledger,
      Duration patience,
      Cancellation cancellation,
      HeldListener listener) {
    Path path = partOf(finalPath);
    Instant until = Instant.now().plus(patience);
    boolean told = false;
    while (true) {
      cancellation.throwIfCancelled();
      PartFile part = HELD.add(path) ? tryOpen(finalPath, path, ledger) : null;
      if (part != null) {
        return part;
      }
      if (Instant.now().isAfter(until)) {
        throw FetchException.of(
            FailureKind.BUSY,
            "Another download has been writing "
                + finalPath.getFileName()
                + " for more than "
                + patience.toMinutes()
                + " minutes.");
      }
      if (!told) {
        listener.held(until);
        told = true;
      }
      cancellation.sleep(LOCK_POLL);
    }
  }

  /** The part, locked; or null, and no longer marked as held, if another process has it. */
  private static @Nullable PartFile tryOpen(Path finalPath, Path path, SpaceLedger ledger) {
    FileChannel channel = null;
    boolean ours = false;
    try {
      create(path);
      Object before = key(path);
      channel = openChannel(path);
      // The former holder may have published the file between our look and our lock: then the
      // name is gone or another's, and what we hold is the finished model.
      if (before == null || !lock(channel) || !before.equals(key(path))) {
        return null;
      }
      ours = true;
      return new PartFile(finalPath, channel, before, ledger);
    } catch (IOException e) {
      throw StorageFailures.of(e, path);
    } finally {
      if (!ours) {
        closeQuietly(channel);
        HELD.remove(path);
      }
    }
  }

  private static void closeQuietly(@Nullable FileChannel channel) {
    try {
      if (channel != null) {
        channel.close();
      }
    } catch (IOException e) {
      // Nothing was written through it.
    }
  }

  /** Whether a part, or a note beside one, belongs to a download of this process. */
  static boolean isHeldWith(Path workingFile) {
    String name = workingFile.getFileName().toString();
    int end = name.lastIndexOf(".part");
    return end >= 0 && HELD.contains(workingFile.resolveSibling(name.substring(0, end) + ".part"));
  }

  /** Bytes that an earlier attempt left of a file, as far as a look without a lock can tell. */
  static long keptBytes(Path finalPath, long lengthBytes) {
    Path part = partOf(finalPath);
    try {
      if (!Files.exists(part)) {
        return 0;
      }
      long partBytes = Files.size(part);
      if (partBytes < lengthBytes) {
        return partBytes;
      }
      return Journal.read(journalOf(finalPath))
          .filter(found -> found.lengthBytes() == lengthBytes)
          .map(Journal.Found::trusted)
          .map(ranges -> ranges.stream().mapToLong(range -> range.end() - range.first()).sum())
          .orElse(0L);
    } catch (IOException e) {
      return 0; // there is none
    }
  }

  /** Whether a download of this process, or of another one, holds the part of a final path. */
  static boolean isHeld(Path finalPath) {
    Path path = partOf(finalPath);
    if (!HELD.add(path)) {
      return true;
    }
    try (FileChannel channel = openExisting(path)) {
      return channel != null && !lock(channel);
    } catch (IOException e) {
      return false; // Whoever writes it is not one of us: we could not.
    } finally {
      HELD.remove(path);
    }
  }

  /**
   * Removes files that belong to a part, the part itself last, unless a download holds it or any of
   * them has been written to since.
   *
   * @return whether they are gone
   */
  static boolean removeUnused(Path finalPath, List<Path> files, Instant since) throws IOException {
    Path path = partOf(finalPath);
    if (!HELD.add(path)) {
      return false;
    }
    // Held while it is removed: a download that begins now waits, and then makes a new one.
    try (FileChannel channel = openExisting(path)) {
      boolean isFree = channel == null || lock(channel);
      if (!isFree || Inventory.lastWritten(files).isAfter(since)) {
        return false;
      }
      for (Path file : files) {
        if (!file.equals(path)) {
          Files.deleteIfExists(file);
        }
      }
      if (files.contains(path)) {
        Files.deleteIfExists(path);
      }
      return true;
    } finally {
      HELD.remove(path);
    }
  }

  private static @Nullable FileChannel openExisting(Path path) throws IOException {
    return Files.isRegularFile(path)
        ? FileChannel.open(path, StandardOpenOption.READ, StandardOpenOption.WRITE)
        : null;
  }

  /**
   * How much of a part counts, as far as can be told without its source.
   *
   * @param receivedBytes null for a part of full length that nothing vouches for: it may have holes
   * @param totalBytes length of the whole, null if nothing states it
   * @param holdsSidecar whether the completion note has the text of the sidecar file
   */
  record Extent(@Nullable Long receivedBytes, @Nullable Long totalBytes, boolean holdsSidecar) {}

  /** Reads how much of a part counts; {@code statedBytes} is what a sidecar file says of it. */
  static Extent extentOf(Path finalPath, @Nullable Long statedBytes) {
    long present = lengthOf(partOf(finalPath));
    Optional<JsonNode> note = completionNoteOf(finalPath);
    boolean holdsSidecar = note.filter(json -> sidecarIn(json).has("file_name")).isPresent();
    Long completed = note.flatMap(PartFile::noted).orElse(null);
    if (completed != null && (completed == present || present < 0)) {
      return new Extent(completed, completed, holdsSidecar);
    }
    Optional<Journal.Found> journal = Journal.read(journalOf(finalPath));
    Long total = journal.map(Journal.Found::lengthBytes).orElse(statedBytes);
    if (total == null || present < total) {
      return new Extent(Math.max(0, present), total, holdsSidecar);
    }
    Long counted =
        journal
            .map(found -> found.trusted().stream().mapToLong(r -> r.end() - r.first()).sum())
            .orElse(null);
    return new Extent(counted, total, holdsSidecar);
  }

  private static long lengthOf(Path file) {
    try {
      return Files.size(file);
    } catch (IOException e) {
      return -1;
    }
  }

  private static Optional<JsonNode> completionNoteOf(Path finalPath) {
    Path note = completionNote(finalPath);
    try {
      return Files.isRegularFile(note)
          ? PythonJson.read(Files.readAllBytes(note))
          : Optional.empty();
    } catch (IOException e) {
      return Optional.empty();
    }
  }

  /**
   * The sidecar file that a completion note holds: that of a large file beside the keys that every
   * version knows, that of a small one itself, so that no third file is made for it.
   */
  static JsonNode sidecarIn(JsonNode completionNote) {
    JsonNode held = completionNote.path("sidecar");
    return held.isMissingNode() ? completionNote : held;
  }

  private static Optional<Long> noted(JsonNode completionNote) {
    JsonNode size = completionNote.path("size");
    return Optional.of(size.isMissingNode() ? completionNote.path("file_size") : size)
        .filter(JsonNode::isIntegralNumber)
        .map(JsonNode::asLong);
  }

  static Path partOf(Path finalPath) {
    return note(finalPath, SUFFIX);
  }

  static Path completionNote(Path finalPath) {
    return note(finalPath, ".part.complete");
  }

  static Path journalOf(Path finalPath) {
    return note(finalPath, ".part.segments");
  }

  private static Path note(Path finalPath, String suffix) {
    return finalPath.resolveSibling(finalPath.getFileName() + suffix);
  }

  private static void create(Path path) throws IOException {
    if (!Files.exists(path)) {
      // NTFS fills a file with zeros up to a late write unless it was created as sparse.
      try {
        FileChannel.open(
                path,
                StandardOpenOption.CREATE_NEW,
                StandardOpenOption.SPARSE,
                StandardOpenOption.WRITE)
            .close();
      } catch (FileAlreadyExistsException e) {
        // Another process was faster; take what it made.
      }
    }
  }

  private static FileChannel openChannel(Path path) throws IOException {
    return FileChannel.open(
        path, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
  }

  private static boolean lock(FileChannel channel) throws IOException {
    try {
      FileLock lock = channel.tryLock(LOCK_POSITION, 1, false);
      return lock != null;
    } catch (OverlappingFileLockException e) {
      return false;
    } catch (IOException e) {
      // A volume without locks: the rename and the hash are what guards the result.
      return true;
    }
  }

  /**
   * What tells one file from another of the same name; null if there is none. Opening the file a
   * second time to compare would not do: closing it would drop the lock (POSIX).
   */
  static @Nullable Object key(Path path) throws IOException {
    try {
      BasicFileAttributes attributes = Files.readAttributes(path, BasicFileAttributes.class);
      Object key = attributes.fileKey();
      return key != null ? key : attributes.creationTime();
    } catch (NoSuchFileException e) {
      return null;
    }
  }

  /** Where the file will be once it is complete. */
  public Path finalPath() {
    return finalPath;
  }

  public Path path() {
    return path;
  }

  /**
   * The bytes of an earlier attempt that belong to this representation, as far as that is known;
   * what does not is dropped.
   *
   * @param lengthBytes length of the representation, null if unknown
   */
  public List<CoveredRange> trusted(@Nullable Long lengthBytes, Identity identity) {
    try {
      if (channel.size() > 0) {
        AtomicFile.removeTemporariesOf(journalOf(finalPath), completionNote(finalPath));
      }
      List<CoveredRange> trusted =
          lengthBytes == null ? List.of() : trustedOf(lengthBytes, identity);
      if (trusted.isEmpty()) {
        discard();
      }
      return trusted;
    } catch (IOException e) {
      throw StorageFailures.of(e, path);
    }
  }

  private List<CoveredRange> trustedOf(long lengthBytes, Identity identity) throws IOException {
    long present = channel.size();
    if (present == 0 || present > lengthBytes) {
      return List.of();
    }
    Optional<Journal.Found> found =
        Journal.read(journalOf(finalPath)).filter(f -> f.lengthBytes() == lengthBytes);
    Identity origin = found.map(Journal.Found::identity).orElse(null);
    if (origin != null && !origin.mayBeSame(identity)) {
      return List.of();
    }
    boolean hashKnown = identity.sha256() != null;
    if (present == lengthBytes) {
      if (completionNoteOf(finalPath).flatMap(PartFile::noted).equals(Optional.of(lengthBytes))) {
        return List.of(new CoveredRange(0, lengthBytes));
      }
      if (found.isPresent()) {
        return found.get().trusted();
      }
      return hashKnown ? List.of(new CoveredRange(0, lengthBytes)) : List.of();
    }
    if (origin != null) {
      // A prefix of ours: as far as its journal vouches, since a power cut may have left a gap.
      return found.get().trusted().stream()
          .filter(range -> range.first() == 0)
          .map(range -> new CoveredRange(0, Math.min(present, range.end())))
          .toList();
    }
    // A journal that is torn, or speaks of another length, does not vouch for these bytes.
    boolean isUnvouched = found.isEmpty() && Files.exists(journalOf(finalPath));
    return isUnvouched ? List.of() : List.of(new CoveredRange(0, present));
  }

  /** Whether what {@link #trusted} finds is known to come from this very representation. */
  public boolean isFrom(Identity identity) {
    return Journal.read(journalOf(finalPath))
        .map(Journal.Found::identity)
        .filter(origin -> origin.isSame(identity))
        .isPresent();
  }

  /**
   * Begins, or goes on, to write a representation of known length.
   *
   * @param trusted what {@link #trusted} found; the journal starts with it
   */
  public void begin(long lengthBytes, Identity identity, List<CoveredRange> trusted) {
    try {
      Files.deleteIfExists(completionNote(finalPath));
      boolean forced = !isCheap(lengthBytes);
      if (forced && !trusted.isEmpty()) {
        channel.force(false);
      }
      closeJournal();
      journal = Journal.start(journalOf(finalPath), lengthBytes, identity, trusted, forced);
    } catch (IOException e) {
      throw StorageFailures.of(e, path);
    }
  }

  /** Gives the file its full length: from now on writes may come at any offset. */
  public void spread(long lengthBytes) {
    try {
      long addedBytes = lengthBytes - channel.size();
      if (addedBytes > 0) {
        Long freeBefore = StorageFailures.freeBytes(path);
        channel.write(ByteBuffer.wrap(new byte[1]), lengthBytes - 1);
        Long freeAfter = StorageFailures.freeBytes(path);
        // A file system that knows no holes takes the space at once.
        if (freeBefore != null && freeAfter != null && freeBefore - freeAfter > addedBytes / 2) {
          space.written(addedBytes);
        }
      }
    } catch (IOException e) {
      throw StorageFailures.of(e, path);
    }
  }

  /**
   * Checks, before a byte is written, that the volume can take what is still to come beside what
   * other downloads will write there, and reserves it until the part is closed.
   *
   * @throws FetchException {@code diskFull} with the numbers
   */
  public void requireSpace(long neededBytes) {
    space.require(neededBytes);
  }

  /** Length of the journal's pieces, in bytes: what starts at a piece is claimed at once. */
  public long pieceBytes() {
    Journal running = journal;
    return running == null ? 1 : running.pieceBytes();
  }

  /** Throws away every byte and note, to start over. */
  public void discard() {
    try {
      requireOurs();
      closeJournal();
      Files.deleteIfExists(journalOf(finalPath));
      Files.deleteIfExists(completionNote(finalPath));
      requireUnpublished();
      channel.truncate(0);
    } catch (IOException e) {
      throw StorageFailures.of(e, path);
    }
  }

  /**
   * Where locks are not kept, another process may have begun the same part: it has replaced our
   * journal then, and may have cut off what we wrote before. Whoever began last goes on.
   */
  private void requireOurs() throws IOException {
    Journal running = journal;
    if (running != null && !running.isOurs()) {
      throw takenOver();
    }
  }

  /** What to throw when bytes that were written are gone: somebody else has cut them off. */
  public TakenOverException takenOver() {
    takenOver = true;
    return new TakenOverException(finalPath);
  }

  /** Another process has begun to write the same part; nothing that was written here counts. */
  public static final class TakenOverException extends RuntimeException {
    private final transient Path finalPath;

    private TakenOverException(Path finalPath) {
      super("another process has begun to write the same part");
      this.finalPath = finalPath;
    }

    /** Waits until that process, as far as can be seen, does not write any more. */
    public void awaitQuiet(Cancellation cancellation) {
      PartFile.awaitQuiet(finalPath, cancellation);
    }
  }

  /**
   * Waits until nobody writes to the part of a final path any more: until it is gone, or has not
   * changed for a while.
   */
  private static void awaitQuiet(Path finalPath, Cancellation cancellation) {
    List<?> seen = List.of();
    Instant since = Instant.now();
    while (Files.exists(partOf(finalPath))) {
      List<?> now = List.of(lastChange(partOf(finalPath)), lastChange(journalOf(finalPath)));
      if (!now.equals(seen)) {
        seen = now;
        since = Instant.now();
      }
      if (Duration.between(since, Instant.now()).compareTo(QUIET) > 0) {
        return;
      }
      cancellation.sleep(LOCK_POLL);
    }
  }

  private static FileTime lastChange(Path file) {
    try {
      return Files.getLastModifiedTime(file);
    } catch (IOException e) {
      return FileTime.fromMillis(0); // gone
    }
  }

  /**
   * Where locks are not kept, another process may have given this very file its final name: then
   * nothing of it may be taken away any more.
   */
  private void requireUnpublished() throws IOException {
    if (key.equals(key(finalPath))) {
      throw FetchException.because(
              FailureKind.BUSY,
              "Another process has completed " + finalPath.getFileName() + " meanwhile.")
          .hint("Run again: the file is there.")
          .fact("path", finalPath.toString())
          .build();
    }
  }

  /**
   * Writes all remaining bytes at the end of the file. Without a journal its length alone tells
   * that another process writes to it, too.
   *
   * @param end where the file ends if it has what was appended so far, and nothing else
   */
  public void append(ByteBuffer source, long end) {
    requireLength(end);
    write(source, end);
  }

  private void requireLength(long expectedBytes) {
    if (lengthBytes() != expectedBytes) {
      throw takenOver();
    }
  }

  /** Writes all remaining bytes at an offset, and notes them in the journal. Any thread. */
  public void write(ByteBuffer source, long offset) {
    long position = offset;
    try {
      while (source.hasRemaining()) {
        int count = channel.write(source, position);
        space.written(count);
        position += count;
      }
      Journal running = journal;
      if (running != null) {
        running.written(offset, position);
      }
    } catch (IOException e) {
      throw StorageFailures.of(e, path, space.bytesToCome());
    }
  }

  /** Reads up to the remaining space of {@code target} at an offset; -1 at the end. Any thread. */
  public int read(ByteBuffer target, long offset) {
    try {
      return channel.read(target, offset);
    } catch (IOException e) {
      throw StorageFailures.of(e, path);
    }
  }

  /** Whether exactly these bytes are there at an offset. Any thread. */
  public boolean holds(ByteBuffer bytes, long offset) {
    int length = bytes.remaining();
    ByteBuffer there = ByteBuffer.allocate(Math.min(COMPARED_BYTES, length));
    for (int at = 0; at < length; ) {
      there.clear().limit(Math.min(COMPARED_BYTES, length - at));
      int count = read(there, offset + at);
      if (count < 0 || !there.flip().equals(bytes.slice(bytes.position() + at, count))) {
        return false;
      }
      at += count;
    }
    return true;
  }

  /**
   * Whether a file of this length is fetched again more cheaply than its notes and names are forced
   * to the disk. What is claimed of it is true after a power cut, too; it may only be gone.
   */
  static boolean isCheap(long lengthBytes) {
    return lengthBytes < SMALLEST_FORCED_BYTES;
  }

  /** Current length, in bytes. */
  public long lengthBytes() {
    try {
      return channel.size();
    } catch (IOException e) {
      throw StorageFailures.of(e, path);
    }
  }

  /** Forces all data to the disk, and claims nothing. Any thread. */
  public void flush() {
    try {
      channel.force(false);
    } catch (IOException e) {
      throw StorageFailures.of(e, path);
    }
  }

  /** Forces all data to the disk, then claims {@code covered}. Any thread. */
  public void checkpoint(List<CoveredRange> covered) {
    try {
      channel.force(false);
      requireOurs();
      Journal running = journal;
      if (running != null) {
        running.checkpoint(covered);
      }
    } catch (IOException e) {
      throw StorageFailures.of(e, path);
    }
  }

  /**
   * Gives the complete part its final name: data forced, completion noted, renamed. The sidecar
   * file that follows is the commit mark; until it is there the note says how to write it, or, for
   * a small file, is it already but for its name. The lock is kept until {@link #close}, so that
   * whoever waits for it finds the sidecar file.
   */
  void publish(long lengthBytes, Sha256 sha256, Sidecar sidecar) {
    try {
      channel.force(true);
      requireOurs();
      requireLength(lengthBytes);
      writeCompletionNote(lengthBytes, sha256, sidecar);
      closeJournal();
      rename(!isCheap(lengthBytes));
      published = true;
    } catch (IOException e) {
      throw StorageFailures.of(e, finalPath);
    }
  }

  /** Gives the complete part its final name, and leaves nothing beside it. */
  void publishPlain(long lengthBytes) {
    try {
      channel.force(true);
      requireOurs();
      requireLength(lengthBytes);
      closeJournal();
      rename(true);
      published = true;
      removeNotes(finalPath);
    } catch (IOException e) {
      throw StorageFailures.of(e, finalPath);
    }
  }

  private void rename(boolean forced) throws IOException {
    try {
      AtomicFile.publish(path, finalPath, forced);
    } catch (NoSuchFileException e) {
      // Whoever finds our completion note may finish this for us, and may have done so just now.
      if (!key.equals(key(finalPath))) {
        throw e;
      }
    }
  }

  private void writeCompletionNote(long lengthBytes, Sha256 sha256, Sidecar sidecar)
      throws IOException {
    if (isCheap(lengthBytes)) {
      sidecar.writeAhead(completionNote(finalPath));
      return;
    }
    ObjectNode note = JsonNodeFactory.instance.objectNode();
    note.put("size", lengthBytes);
    note.put("completed_at", System.currentTimeMillis() / 1000.0);
    note.put("sha256", sha256.hex());
    note.set("sidecar", sidecar.toNote());
    AtomicFile.replace(completionNote(finalPath), PythonJson.writeLine(note));
  }

  /** Removes the notes once the sidecar file is written. */
  static void removeNotes(Path finalPath) throws IOException {
    Files.deleteIfExists(journalOf(finalPath));
    Files.deleteIfExists(completionNote(finalPath));
  }

  /** Lets go of the part; its bytes and notes stay for a resume, if there are any bytes. */
  @Override
  public void close() {
    try {
      if (channel.isOpen() && !published && !takenOver && channel.size() == 0) {
        delete();
        return;
      }
      closeJournal();
      channel.close();
    } catch (IOException e) {
      throw StorageFailures.of(e, path);
    } finally {
      space.close();
      if (!released) {
        released = true;
        HELD.remove(path);
      }
    }
  }

  /** Removes the part and its notes; it is let go of by {@link #close}. */
  public void delete() {
    try {
      closeJournal();
      if (channel.isOpen()) {
        removeNotes(finalPath);
        Files.deleteIfExists(path);
        channel.close();
      }
    } catch (IOException e) {
      throw StorageFailures.of(e, path);
    }
  }

  private void closeJournal() throws IOException {
    if (journal != null) {
      journal.close();
      journal = null;
    }
  }
}
