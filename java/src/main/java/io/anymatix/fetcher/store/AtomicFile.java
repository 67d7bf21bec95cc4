package io.anymatix.fetcher.store;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.CopyOption;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Objects;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.locks.LockSupport;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Replacing whole files, so that a reader or a power cut sees the old content or the new one. */
final class AtomicFile {
  /** What the name of a {@linkplain #temporaryOf temporary file} has behind its target's. */
  static final String TEMPORARY_ENDING = "\\.[0-9a-z]+\\.tmp";

  /**
   * A virus scanner may hold a file that was just written (Windows); it lets go within a second.
   */
  private static final int MOVE_ATTEMPTS = 10;

  private static final long MOVE_PAUSE_NANOS = 100_000_000;

  private AtomicFile() {}

  /** What survives a power cut. */
  enum Forced {
    /** Anything may be left. */
    NOTHING,
    /** The old content or the new one. */
    CONTENT,
    /** The new content. */
    CONTENT_AND_NAME
  }

  /** Writes {@code text} as UTF-8 and puts it in the place of {@code target}, for good. */
  static void replace(Path target, String text) throws IOException {
    replace(target, text, Forced.CONTENT_AND_NAME);
  }

  /** The same, if that much is forced to the disk. */
  static void replace(Path target, String text, Forced forced) throws IOException {
    replace(target, text, forced, Files::move);
  }

  static void replace(Path target, String text, Forced forced, Mover mover) throws IOException {
    try {
      replaceOnce(target, text, forced, mover);
    } catch (NoSuchFileException e) {
      // Another process took it for what a dead one left; it has no reason to do so twice.
      replaceOnce(target, text, forced, mover);
    }
  }

  private static void replaceOnce(Path target, String text, Forced forced, Mover mover)
      throws IOException {
    Path temporary = temporaryOf(target);
    boolean isMoved = false;
    try {
      try (FileChannel channel =
          FileChannel.open(temporary, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
        write(channel, text);
        if (forced != Forced.NOTHING) {
          channel.force(true);
        }
      }
      move(temporary, target, mover);
      isMoved = true;
      if (forced == Forced.CONTENT_AND_NAME) {
        forceFolder(folderOf(target));
      }
    } finally {
      if (!isMoved) {
        Files.deleteIfExists(temporary);
      }
    }
  }

  /** Writes {@code text} as UTF-8 at the channel's position. */
  static void write(FileChannel channel, String text) throws IOException {
    for (ByteBuffer bytes = StandardCharsets.UTF_8.encode(text); bytes.hasRemaining(); ) {
      channel.write(bytes);
    }
  }

  /** Renames {@code source} over {@code target} in the same folder, for good. */
  static void publish(Path source, Path target) throws IOException {
    publish(source, target, true);
  }

  /** The same; with {@code forced} false a power cut may undo it. */
  static void publish(Path source, Path target, boolean forced) throws IOException {
    move(source, target, Files::move);
    if (forced) {
      forceFolder(folderOf(target));
    }
  }

  /**
   * Removes what a process that died left of {@linkplain #replace replacing} these files of one
   * folder. A living one that is about to rename notices, and writes again.
   */
  static void removeTemporariesOf(Path... targets) {
    Pattern name =
        Pattern.compile(
            Stream.of(targets)
                .map(target -> Pattern.quote(target.getFileName().toString()))
                .collect(Collectors.joining("|", "(?:", ")" + TEMPORARY_ENDING)));
    try (DirectoryStream<Path> entries = Files.newDirectoryStream(folderOf(targets[0]))) {
      for (Path entry : entries) {
        if (name.matcher(entry.getFileName().toString()).matches()) {
          Files.deleteIfExists(entry);
        }
      }
    } catch (IOException | DirectoryIteratorException e) {
      // Litter, which says nothing: what cannot be removed now is left to a clean-up.
    }
  }

  private static Path folderOf(Path file) {
    return Objects.requireNonNull(file.toAbsolutePath().getParent(), "a file lies in a folder");
  }

  /** Renames a file: {@link Files#move}, except in a test of what may hold it up. */
  @FunctionalInterface
  interface Mover {
    void move(Path source, Path target, CopyOption option) throws IOException;
  }

  /** Renames, as often as it takes until nobody else holds one of the two files any more. */
  static void move(Path source, Path target, Mover mover) throws IOException {
    for (int attempt = 1; ; attempt++) {
      try {
        mover.move(source, target, StandardCopyOption.ATOMIC_MOVE);
        break;
      } catch (AtomicMoveNotSupportedException e) {
        mover.move(source, target, StandardCopyOption.REPLACE_EXISTING);
        break;
      } catch (FileSystemException e) {
        if (attempt == MOVE_ATTEMPTS || !mayBeHeld(e)) {
          throw e;
        }
        LockSupport.parkNanos(MOVE_PAUSE_NANOS);
      }
    }
  }

  /**
   * Whether somebody may hold the file for a moment: Windows then denies the access, or reports a
   * sharing violation, which has no type of its own and is worded in the user's language.
   */
  private static boolean mayBeHeld(FileSystemException error) {
    return error instanceof AccessDeniedException || error.getClass() == FileSystemException.class;
  }

  /** Makes the names in a folder durable, where the platform can open one (not on Windows). */
  static void forceFolder(Path folder) {
    try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
      channel.force(true);
    } catch (IOException e) {
      // Windows and some network volumes cannot; their renames are as durable as they get.
    }
  }

  /** A name beside the file that nobody else uses, for what is to take its place. */
  static Path temporaryOf(Path target) {
    // Never a name that ends in .json: another program's scan must not take it for a sidecar file.
    String id = Long.toString(ThreadLocalRandom.current().nextLong(1L << 40), 36);
    return target.resolveSibling(target.getFileName() + "." + id + ".tmp");
  }
}
