package io.anymatix.fetcher.store;

import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileStore;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.ReadOnlyFileSystemException;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** What an error of the file system means for a download. */
final class StorageFailures {
  /** A volume with less than this left takes no buffer of data any more. */
  private static final long NEXT_TO_NOTHING_BYTES = 1 << 20;

  private static final long MEGABYTE = 1_000_000;

  private StorageFailures() {}

  /** The failure that an error at {@code path} stands for. */
  static FetchException of(IOException error, Path path) {
    return of(error, path, null);
  }

  /**
   * The failure that an error at {@code path} stands for; a full volume is told with its numbers.
   *
   * @param neededBytes what was still to be written, null if that is not known
   */
  static FetchException of(IOException error, Path path, @Nullable Long neededBytes) {
    String reason = reason(error);
    String lower = reason.toLowerCase(Locale.ROOT);
    String what = "Cannot write " + path + ": " + reason + ".";
    String hint = null;
    if (error instanceof AccessDeniedException
        || lower.contains("permission denied")
        || lower.contains("operation not permitted")) {
      what = "No permission to write " + path + ".";
    } else if (lower.contains("read-only")) {
      what = path + " is on a read-only volume.";
      hint = "Use a folder on another volume, or mount this one for writing.";
    } else if (lower.contains("name too long")) {
      what =
          "The volume of "
              + existingFolder(path)
              + " takes no name as long as that of "
              + path
              + ".";
      hint = "Use a folder on a volume that takes names of 255 bytes.";
    } else if (isFull(error, lower, path)) {
      return full(path, neededBytes, lower.contains("quota"), error);
    }
    FetchException.Builder failure =
        FetchException.because(FailureKind.STORAGE, what)
            .fact("path", path.toString())
            .cause(error);
    return hint == null ? failure.build() : failure.hint(hint).build();
  }

  /** Systems tell the reason in the user's language; then the free space has to tell it. */
  private static boolean isFull(IOException error, String lowerCaseReason, Path path) {
    if (lowerCaseReason.contains("no space left")
        || lowerCaseReason.contains("quota exceeded")
        || lowerCaseReason.contains("not enough space")) {
      return true;
    }
    boolean isUntyped =
        error.getClass() == IOException.class || error.getClass() == FileSystemException.class;
    Long freeBytes = isUntyped ? freeBytes(path) : null;
    return freeBytes != null && freeBytes < NEXT_TO_NOTHING_BYTES;
  }

  /** A write failed for want of space, of a quota, or of an entry for another file. */
  private static FetchException full(
      Path path, @Nullable Long neededBytes, boolean byQuota, IOException cause) {
    Path folder = existingFolder(path);
    Long freeBytes = freeBytes(folder);
    StringBuilder message =
        new StringBuilder(byQuota ? "Disk quota exceeded for " : "No space left on device for ")
            .append(path.getFileName());
    if (neededBytes != null) {
      message.append(": ").append(megabytes(neededBytes)).append(" MB still to be written");
    }
    if (freeBytes != null) {
      message.append(", ").append(freeBytes / MEGABYTE).append(" MB free");
      boolean roomIsLeft =
          freeBytes >= Math.max(NEXT_TO_NOTHING_BYTES, neededBytes == null ? 0 : neededBytes);
      if (roomIsLeft && !byQuota) {
        message.append("; the volume can hold no more files, or a quota is used up");
      }
    }
    return diskFull(message.append('.').toString(), folder, neededBytes, freeBytes)
        .hint("Free space on the volume of " + folder + ", then run again; nothing is lost.")
        .cause(cause)
        .build();
  }

  /**
   * The volume of {@code path} cannot take what is to be written.
   *
   * @param neededBytes what is to be written
   * @param freeBytes what the volume can still take
   * @param reservedBytes what other downloads will take of that
   */
  static FetchException diskFull(Path path, long neededBytes, long freeBytes, long reservedBytes) {
    Path folder = existingFolder(path);
    String numbers =
        "No space left on device for %s: %d MB needed, %d MB free"
            .formatted(path.getFileName(), megabytes(neededBytes), freeBytes / MEGABYTE);
    String others = ", of which other downloads will take " + megabytes(reservedBytes) + " MB";
    String then =
        reservedBytes == 0 ? ", then" : " or wait until the other downloads have ended, then";
    return diskFull(
            numbers + (reservedBytes == 0 ? "" : others) + ".", folder, neededBytes, freeBytes)
        .fact("reservedBytes", reservedBytes)
        .hint("Free space on the volume of " + folder + then + " run again; nothing is lost.")
        .build();
  }

  private static FetchException.Builder diskFull(
      String message, Path folder, @Nullable Long neededBytes, @Nullable Long freeBytes) {
    FetchException.Builder failure =
        FetchException.because(FailureKind.DISK_FULL, message).fact("volume", folder.toString());
    if (neededBytes != null) {
      failure.fact("neededBytes", neededBytes);
    }
    if (freeBytes != null) {
      failure.fact("freeBytes", freeBytes);
    }
    return failure;
  }

  /** Bytes that the volume of {@code path} can still take, or null if it does not say. */
  static @Nullable Long freeBytes(Path path) {
    try {
      return freeBytes(Files.getFileStore(existingFolder(path)));
    } catch (IOException e) {
      return null;
    }
  }

  /** Bytes that a volume can still take, or null if it does not say. */
  static @Nullable Long freeBytes(FileStore volume) {
    try {
      return volume.getUsableSpace();
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

  /** Whole megabytes that hold this much. */
  private static long megabytes(long bytes) {
    return (bytes + MEGABYTE - 1) / MEGABYTE;
  }

  /** What the system says, in a few words. */
  static String reason(IOException error) {
    if (error instanceof NoSuchFileException) {
      return "the folder is gone";
    }
    String reason =
        error instanceof FileSystemException file ? file.getReason() : error.getMessage();
    return reason == null ? error.getClass().getSimpleName() : reason;
  }
}
