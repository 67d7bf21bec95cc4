package io.anymatix.fetcher.source;

import io.anymatix.fetcher.config.HomeFolder;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What sites said about models in the last day, one file each below the home folder, so that it is
 * not asked again. It only saves requests: what can not be read is as if it were not there, what
 * can not be written is left out. Methods may be called from any thread, and by several processes.
 */
final class MetadataCache {
  private static final Logger log = LoggerFactory.getLogger(MetadataCache.class);

  private static final String FOLDER = "metadata";
  private static final Duration KEPT = Duration.ofDays(1);

  /** What all files together may be; beyond it the oldest go. */
  private static final int MOST_FILES = 300;

  private static final long MOST_BYTES = 64L << 20;

  private final @Nullable HomeFolder home;

  /**
   * @param home null to keep nothing
   */
  MetadataCache(@Nullable HomeFolder home) {
    this.home = home;
  }

  /**
   * What was kept under a name within the last day.
   *
   * @param name letters, digits and hyphens
   */
  Optional<String> get(String name) {
    if (home == null) {
      return Optional.empty();
    }
    Path file = home.path().resolve(FOLDER).resolve(name + ".json");
    try {
      return Files.size(file) <= CivitaiLookups.MOST_BODY_BYTES && isFresh(lastModified(file))
          ? Optional.of(Files.readString(file))
          : Optional.empty();
    } catch (IOException e) {
      return Optional.empty();
    }
  }

  /** Keeps a text for a day. */
  void put(String name, String json) {
    if (home == null) {
      return;
    }
    try {
      HomeFolder folder = home.folder(FOLDER);
      folder.replace(name + ".json", json.getBytes(StandardCharsets.UTF_8));
      prune(folder.path());
    } catch (IOException e) {
      log.debug("metadata is not kept: {}", e.toString());
    }
  }

  private static void prune(Path folder) throws IOException {
    List<Path> newestFirst;
    try (Stream<Path> files = Files.list(folder)) {
      newestFirst =
          files.sorted(Comparator.comparing(MetadataCache::lastModified).reversed()).toList();
    }
    int count = 0;
    long bytes = 0;
    for (Path file : newestFirst) {
      count++;
      bytes += Files.exists(file) ? Files.size(file) : 0;
      if (count > MOST_FILES || bytes > MOST_BYTES || !isFresh(lastModified(file))) {
        Files.deleteIfExists(file);
      }
    }
  }

  private static boolean isFresh(Instant modified) {
    Instant now = Instant.now();
    return modified.isAfter(now.minus(KEPT)) && modified.isBefore(now.plus(KEPT));
  }

  private static Instant lastModified(Path file) {
    try {
      return Files.getLastModifiedTime(file).toInstant();
    } catch (IOException e) {
      return FileTime.fromMillis(0).toInstant(); // removed meanwhile
    }
  }
}
