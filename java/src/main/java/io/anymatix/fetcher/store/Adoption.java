package io.anymatix.fetcher.store;

import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.FetchException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.channels.FileChannel;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.LongConsumer;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Finds bytes that are on this machine already, and gives them a second name (store contract 4.3
 * and 11.6).
 *
 * <p>Names, lengths and other programs' notes only say where to look; what counts is the hash,
 * computed here. Nothing that is found is changed. A second name is a hard link where the two
 * places allow one, else a copy; the copy shares its blocks with the original where both the
 * platform's {@code transferTo} and the file system can do that.
 */
final class Adoption {
  /** Files that are hashed for one adoption, at most. */
  private static final int MOST_HASHED = 4;

  /** Entries that are looked at below one folder, at most: some trees are no model folders. */
  private static final int MOST_ENTRIES = 20_000;

  private static final int DEEPEST = 8;

  /** Trees may hold any number of other programs' JSON files; these are ours. */
  private static final Pattern SIDECAR_NAME = Pattern.compile("[0-9a-f]{64}\\.json");

  private static final int HASH_BUFFER_BYTES = 1 << 20;

  /** Copied between two looks at the cancellation; a multiple of every file system's block. */
  private static final long COPIED_AT_ONCE_BYTES = 64L << 20;

  /**
   * Where bytes may be found.
   *
   * @param first folders that are looked through before all others
   * @param trees folders that are looked through with what is below them
   * @param hubCache the cache of Hugging Face's own client; null for none
   */
  record Places(List<Path> first, List<Path> trees, @Nullable Path hubCache) {}

  private final Sha256 wanted;
  private final @Nullable Long lengthBytes;
  private final String extension;
  private final SpaceLedger space;
  private final Cancellation cancellation;
  private final LongConsumer hashedBytes;

  private final Set<Path> byName = new LinkedHashSet<>();
  private final Set<Path> byNote = new LinkedHashSet<>();
  private final Set<Path> byLength = new LinkedHashSet<>();
  private final Set<Path> disproven = new LinkedHashSet<>();

  /**
   * @param lengthBytes what the file's length must be; null if nobody says
   * @param extension of the file's name; a file of the same length counts only with this one
   * @param space where a copy reserves its room
   * @param hashedBytes hears how many bytes of a candidate have been hashed
   */
  Adoption(
      Sha256 wanted,
      @Nullable Long lengthBytes,
      String extension,
      SpaceLedger space,
      Cancellation cancellation,
      LongConsumer hashedBytes) {
    this.wanted = wanted;
    this.lengthBytes = lengthBytes;
    this.extension = extension;
    this.space = space;
    this.cancellation = cancellation;
    this.hashedBytes = hashedBytes;
  }

  /** A file that has the wanted hash, by its real path; the likeliest are hashed first. */
  Optional<Path> find(Places places) {
    lookIntoHubCache(places.hubCache());
    places.first().forEach(this::lookInto);
    Optional<Path> found = firstProven();
    if (found.isEmpty()) {
      places.trees().forEach(this::lookBelow);
      found = firstProven();
    }
    return found;
  }

  /** The cache calls large files by their hash: {@code <repository>/blobs/<sha256>}. */
  private void lookIntoHubCache(@Nullable Path cache) {
    if (cache != null) {
      for (Path repository : Sidecar.list(cache)) {
        consider(repository.resolve("blobs").resolve(wanted.hex()));
      }
    }
  }

  private void lookInto(Path folder) {
    Sidecar.list(folder).forEach(this::consider);
  }

  private void lookBelow(Path folder) {
    try {
      Path root = folder.toRealPath();
      Files.walkFileTree(root, Set.of(), DEEPEST, new Visitor(root));
    } catch (IOException e) {
      // Gone or unreadable: there is nothing to be found there.
    }
  }

  private final class Visitor extends SimpleFileVisitor<Path> {
    private final Path root;
    private int entries;

    private Visitor(Path root) {
      this.root = root;
    }

    @Override
    public FileVisitResult preVisitDirectory(Path folder, BasicFileAttributes attributes) {
      Path name = folder.getFileName();
      boolean isHidden = name != null && name.toString().startsWith(".");
      if (!folder.equals(root) && (isHidden || ModelFolders.isCodeFolder(folder))) {
        return FileVisitResult.SKIP_SUBTREE;
      }
      cancellation.throwIfCancelled();
      return FileVisitResult.CONTINUE;
    }

    @Override
    public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
      consider(file);
      return ++entries < MOST_ENTRIES ? FileVisitResult.CONTINUE : FileVisitResult.TERMINATE;
    }

    @Override
    public FileVisitResult visitFileFailed(Path file, IOException failure) {
      return FileVisitResult.CONTINUE;
    }
  }

  private void consider(Path file) {
    Path fileName = file.getFileName();
    String name = fileName == null ? "" : fileName.toString();
    if (SIDECAR_NAME.matcher(name).matches()) {
      Sidecar.readUnnoticed(file).ifPresent(this::considerNamedBy);
    } else if (name.endsWith(".json") || ModelStore.isWorkingName(name)) {
      return;
    } else if (name.contains(wanted.hex())) {
      add(file, byName);
    } else if (lengthBytes != null && name.endsWith("." + extension)) {
      add(file, byLength);
    }
  }

  private void considerNamedBy(Sidecar sidecar) {
    if (wanted.equals(sidecar.claimedSha256()) || wanted.equals(sidecar.sourceSha256())) {
      sidecar.file().ifPresent(file -> add(file, byNote));
    }
  }

  private void add(Path file, Set<Path> candidates) {
    try {
      if (Files.isRegularFile(file) && (lengthBytes == null || Files.size(file) == lengthBytes)) {
        // The hub's cache holds links to its blobs, and a hard link to a link is a link.
        candidates.add(file.toRealPath());
      }
    } catch (IOException e) {
      // Gone meanwhile.
    }
  }

  private Optional<Path> firstProven() {
    Set<Path> candidates = new LinkedHashSet<>(byName);
    candidates.addAll(byNote);
    candidates.addAll(byLength);
    List<Path> likeliest = new ArrayList<>(candidates);
    likeliest.removeAll(disproven);
    for (Path candidate : likeliest) {
      if (disproven.size() == MOST_HASHED) {
        break;
      }
      try {
        if (hash(candidate, cancellation, hashedBytes).equals(wanted)) {
          return Optional.of(candidate);
        }
      } catch (IOException e) {
        // Unreadable: as good as not there.
      }
      disproven.add(candidate);
    }
    return Optional.empty();
  }

  /**
   * Gives a proven file a second name, in the place of whatever has it.
   *
   * @return the target; the file itself if it lies beside it on a volume without hard links
   * @throws FetchException {@code diskFull} if the volume cannot take a copy
   * @throws IOException also if the copy does not have the wanted hash
   */
  Path giveName(Path proven, Path target) throws IOException {
    if (linkOver(proven, target)) {
      return target;
    }
    if (proven.getParent() != null
        && target.getParent() != null
        && Files.isSameFile(proven.getParent(), target.getParent())) {
      return proven;
    }
    Path temporary = AtomicFile.temporaryOf(target);
    try {
      copy(proven, temporary);
      if (!hash(temporary, cancellation, hashedBytes).equals(wanted)) {
        throw new IOException("the copy differs from " + proven);
      }
      AtomicFile.publish(temporary, target);
    } finally {
      Files.deleteIfExists(temporary);
    }
    return target;
  }

  /** Whether {@code target} now is another name of {@code file}; false without hard links. */
  static boolean linkOver(Path file, Path target) throws IOException {
    if (Files.exists(target) && Files.isSameFile(file, target)) {
      return true;
    }
    Path temporary = AtomicFile.temporaryOf(target);
    try {
      Files.createLink(temporary, file);
    } catch (IOException | UnsupportedOperationException e) {
      return false;
    }
    try {
      AtomicFile.publish(temporary, target);
      return true;
    } finally {
      Files.deleteIfExists(temporary);
    }
  }

  private void copy(Path from, Path to) throws IOException {
    try (FileChannel in = FileChannel.open(from, StandardOpenOption.READ);
        FileChannel out =
            FileChannel.open(to, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      long size = in.size();
      try (SpaceLedger.Reservation room = space.reserve(to, size)) {
        for (long at = 0; at < size; ) {
          cancellation.throwIfCancelled();
          long n = in.transferTo(at, Math.min(COPIED_AT_ONCE_BYTES, size - at), out);
          if (n <= 0) {
            throw new IOException(from + " became shorter");
          }
          room.written(n);
          at += n;
        }
        out.force(true);
      }
    }
  }

  /** The hash of a file's content. */
  static Sha256 hash(Path file, Cancellation cancellation, LongConsumer hashedBytes)
      throws IOException {
    MessageDigest digest = Sha256.newDigest();
    byte[] buffer = new byte[HASH_BUFFER_BYTES];
    long total = 0;
    try (InputStream in = Files.newInputStream(file)) {
      for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
        cancellation.throwIfCancelled();
        digest.update(buffer, 0, n);
        total += n;
        hashedBytes.accept(total);
      }
    }
    return Sha256.finish(digest);
  }
}
