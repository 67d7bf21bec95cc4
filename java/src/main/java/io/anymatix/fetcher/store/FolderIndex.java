package io.anymatix.fetcher.store;

import java.io.IOException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * Remembers which sidecar files of a folder store which url, so that a list of thousands of models
 * does not read every sidecar file for each of them.
 *
 * <p>A folder is listed again once its own time has changed, and then only new sidecar files are
 * read: one is named after its url, so whoever writes it again writes the same url. What has no url
 * yet, because another version is still writing it, is read again once its time or length differs.
 * The answer says where to look; what a file holds now, the caller reads.
 *
 * <p>Methods may be called from any thread; a folder is read by one at a time.
 */
final class FolderIndex {
  /** A folder's time may stand still for so long while it changes: FAT counts in two seconds. */
  private static final long COARSEST_TIME_MILLIS = 2_000;

  private final Map<Path, Folder> folders = new ConcurrentHashMap<>();

  /** The sidecar files of a folder that store a url, but for its credentials; by name. */
  List<Path> sidecarsOf(Path folder, String url) {
    return folders.computeIfAbsent(folder, Folder::new).sidecarsOf(EffectiveUrl.storedForm(url));
  }

  /**
   * The notes of a folder that say that a part is complete, as of the last time that its sidecar
   * files were asked for.
   */
  List<Path> completionNotes(Path folder) {
    return folders.computeIfAbsent(folder, Folder::new).completionNotes();
  }

  /** The parts of a folder, as of the same time. */
  List<Path> parts(Path folder) {
    return folders.computeIfAbsent(folder, Folder::new).parts();
  }

  /** By what a change of a file shows. */
  private record Stamp(FileTime modified, long lengthBytes) {
    static @Nullable Stamp of(Path file) {
      try {
        BasicFileAttributes attributes = Files.readAttributes(file, BasicFileAttributes.class);
        return new Stamp(attributes.lastModifiedTime(), attributes.size());
      } catch (IOException e) {
        return null;
      }
    }
  }

  /** One folder; guarded by itself. */
  private static final class Folder {
    private final Path path;
    private final Map<Path, String> urlOf = new HashMap<>();
    private final Map<String, Set<Path>> sidecarsOf = new HashMap<>();

    /** What looks like a sidecar file and stores no url; null where it could not be looked at. */
    private final Map<Path, @Nullable Stamp> withoutUrl = new HashMap<>();

    private List<Path> completionNotes = List.of();
    private List<Path> parts = List.of();

    /** The folder's own time at the last listing; null if it may have changed since. */
    private @Nullable FileTime listed;

    Folder(Path path) {
      this.path = path;
    }

    synchronized List<Path> sidecarsOf(String storedUrl) {
      refresh();
      return List.copyOf(sidecarsOf.getOrDefault(storedUrl, Set.of()));
    }

    synchronized List<Path> completionNotes() {
      return completionNotes;
    }

    synchronized List<Path> parts() {
      return parts;
    }

    private void refresh() {
      Stamp now = Stamp.of(path);
      if (now == null || !now.modified().equals(listed)) {
        long settledMillis = Instant.now().toEpochMilli() - COARSEST_TIME_MILLIS;
        list();
        listed = now != null && now.modified().toMillis() < settledMillis ? now.modified() : null;
      }
      for (Path file : List.copyOf(withoutUrl.keySet())) {
        Stamp stamp = Stamp.of(file);
        if (stamp == null || !stamp.equals(withoutUrl.get(file))) {
          read(file, stamp);
        }
      }
    }

    private void list() {
      List<Path> notes = new ArrayList<>();
      List<Path> begun = new ArrayList<>();
      Set<Path> gone = new HashSet<>(urlOf.keySet());
      Set<Path> unread = new HashSet<>();
      try (DirectoryStream<Path> entries = Files.newDirectoryStream(path)) {
        for (Path entry : entries) {
          String name = String.valueOf(entry.getFileName());
          if (name.endsWith(".json") && !gone.remove(entry)) {
            unread.add(entry);
          } else if (name.endsWith(ModelStore.COMPLETION_SUFFIX)) {
            notes.add(entry);
          } else if (name.endsWith(PartFile.SUFFIX)) {
            begun.add(entry);
          }
        }
      } catch (IOException | DirectoryIteratorException e) {
        // Nothing can be found in a folder that cannot be listed.
      }
      gone.forEach(this::forget);
      withoutUrl.keySet().retainAll(unread);
      unread.forEach(file -> withoutUrl.putIfAbsent(file, null));
      notes.sort(null);
      completionNotes = List.copyOf(notes);
      parts = List.copyOf(begun);
    }

    private void read(Path file, @Nullable Stamp stamp) {
      String url = Sidecar.readUnnoticed(file).map(Sidecar::url).orElse(null);
      if (url == null) {
        withoutUrl.put(file, stamp);
        return;
      }
      withoutUrl.remove(file);
      String storedUrl = EffectiveUrl.storedForm(url);
      urlOf.put(file, storedUrl);
      sidecarsOf.computeIfAbsent(storedUrl, u -> new TreeSet<>()).add(file);
    }

    private void forget(Path sidecar) {
      Set<Path> sidecars = sidecarsOf.get(urlOf.remove(sidecar));
      if (sidecars != null) {
        sidecars.remove(sidecar);
      }
    }
  }
}
