package io.anymatix.fetcher.store;

import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.ReadOnlyFileSystemException;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** What an error of the file system means for a download. */
final class StorageFailures {
  private StorageFailures() {}

  /**
   * The failure that an error at {@code path} stands for; a full volume is told with its numbers.
   */
  static FetchException of(IOException error, Path path) {
    String reason = reason(error);
    String lower = reason.toLowerCase(Locale.ROOT);
    if (lower.contains("no space left")
        || lower.contains("quota exceeded")
        || lower.contains("not enough space")) {
      return diskFull(path, null, error);
    }
    String what =
        error instanceof AccessDeniedException || lower.contains("permission denied")
            ? "No permission to write " + path + "."
            : lower.contains("read-only") ? path + " is on a read-only volume." : null;
    return FetchException.because(
            FailureKind.STORAGE, what != null ? what : "Cannot write " + path + ": " + reason + ".")
        .fact("path", path.toString())
        .cause(error)
        .build();
  }

  /** The volume of {@code path} cannot take {@code neededBytes} (null if that is not known). */
  static FetchException diskFull(
      Path path, @Nullable Long neededBytes, @Nullable IOException cause) {
    Path folder = existingFolder(path);
    Long freeBytes = freeBytes(folder);
    StringBuilder message = new StringBuilder("No space left on device for " + path.getFileName());
    if (neededBytes != null && freeBytes != null) {
      message.append(": ").append(megabytes(neededBytes)).append(" MB needed, ");
      message.append(megabytes(freeBytes)).append(" MB free");
    }
    FetchException.Builder failure =
        FetchException.because(FailureKind.DISK_FULL, message.append('.').toString())
            .hint("Free space on the volume of " + folder + ", then run again; nothing is lost.")
            .fact("volume", folder.toString());
    if (neededBytes != null) {
      failure.fact("neededBytes", neededBytes);
    }
    if (freeBytes != null) {
      failure.fact("freeBytes", freeBytes);
    }
    if (cause != null) {
      failure.cause(cause);
    }
    return failure.build();
  }

  /** Bytes that the volume of {@code path} can still take, or null if it does not say. */
  static @Nullable Long freeBytes(Path path) {
    try {
      return Files.getFileStore(existingFolder(path)).getUsableSpace();
    } catch (IOException | ReadOnlyFileSystemException e) {
      return null;
    }
  }

  /** The nearest folder above a path that is there. */
  static Path existingFolder(Path path) {
    Path folder = path;
    while (!Files.isDirectory(folder) && folder.getParent() != null) {
      folder = folder.getParent();
    }
    return folder;
  }

  private static long megabytes(long bytes) {
    return (bytes + 999_999) / 1_000_000;
  }

  private static String reason(IOException error) {
    if (error instanceof NoSuchFileException) {
      return "the folder is gone";
    }
    String reason =
        error instanceof FileSystemException file ? file.getReason() : error.getMessage();
    return reason == null ? error.getClass().getSimpleName() : reason;
  }
}
