package io.anymatix.fetcher.config;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * The folder that keeps what outlives the process: console history, queue, metadata. What is made
 * in it nobody but the user can read (folders 0700, files 0600, where the file system knows such
 * permissions). Nothing is made before it is asked for. Methods may be called from any thread.
 *
 * @param path absolute; need not exist
 */
public record HomeFolder(Path path) {
  private static final String PRIVATE_FOLDER = "rwx------";
  private static final String PRIVATE_FILE = "rw-------";
  private static final long LOCK_POLL_NANOS = 10_000_000;

  /** One for each lock file that this process has used: a handful. */
  private static final Map<Path, ReentrantLock> LOCKS = new ConcurrentHashMap<>();

  /**
   * {@code ANYMATIX_HOME}, else a folder of ours where the platform keeps the state of programs.
   */
  public static HomeFolder of(Map<String, String> environment) {
    String home = environment.getOrDefault("ANYMATIX_HOME", "");
    Path path = home.isBlank() ? stateFolder(environment) : Path.of(home.strip());
    return new HomeFolder(path.toAbsolutePath().normalize());
  }

  private static Path stateFolder(Map<String, String> environment) {
    Path user = Path.of(System.getProperty("user.home"));
    String system = System.getProperty("os.name").toLowerCase(Locale.ROOT);
    String local = environment.getOrDefault("LOCALAPPDATA", "");
    String state = environment.getOrDefault("XDG_STATE_HOME", "");
    Path parent;
    if (system.startsWith("windows")) {
      parent = local.isBlank() ? user.resolve("AppData").resolve("Local") : Path.of(local);
    } else if (system.startsWith("mac")) {
      parent = user.resolve("Library").resolve("Application Support");
    } else {
      parent = state.isBlank() ? user.resolve(".local").resolve("state") : Path.of(state);
    }
    return parent.resolve("anymatix-fetcher");
  }

  /**
   * A folder in this one, made if it is missing.
   *
   * @param name one component
   * @throws IOException if there can be none
   */
  public HomeFolder folder(String name) throws IOException {
    HomeFolder folder = new HomeFolder(path.resolve(name));
    folder.make();
    return folder;
  }

  /**
   * A file in this folder, made empty if it is missing, and taken from others if they could read
   * it.
   *
   * @param name one component
   * @throws IOException if there can be none
   */
  public Path file(String name) throws IOException {
    make();
    Path file = path.resolve(name);
    try {
      if (!Files.exists(file)) {
        Files.createFile(file, privately(PRIVATE_FILE));
        return file;
      }
    } catch (FileAlreadyExistsException e) {
      // Another process was faster.
    }
    Set<PosixFilePermission> ours = PosixFilePermissions.fromString(PRIVATE_FILE);
    if (isPosix() && !Files.getPosixFilePermissions(file).equals(ours)) {
      Files.setPosixFilePermissions(file, ours);
    }
    return file;
  }

  /**
   * Puts {@code content} in the place of a file in this folder: a reader, or a power cut, sees the
   * old content or the new one.
   *
   * @param name one component
   */
  public void replace(String name, byte[] content) throws IOException {
    make();
    Path target = path.resolve(name);
    Path temporary = path.resolve(name + "." + UUID.randomUUID() + ".tmp");
    try {
      try (FileChannel channel =
          FileChannel.open(
              temporary,
              Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE),
              privately(PRIVATE_FILE))) {
        for (ByteBuffer bytes = ByteBuffer.wrap(content); bytes.hasRemaining(); ) {
          channel.write(bytes);
        }
        channel.force(true);
      }
      try {
        Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE);
      } catch (AtomicMoveNotSupportedException e) {
        Files.move(temporary, target, StandardCopyOption.REPLACE_EXISTING);
      }
    } finally {
      Files.deleteIfExists(temporary);
    }
  }

  /** Something that is done while a lock is held. */
  @FunctionalInterface
  public interface LockedWork<T extends @Nullable Object> {
    T run() throws IOException;
  }

  /**
   * Works while no other process and no other thread does under the same lock, which is made on a
   * file of this folder.
   *
   * @param name one component; the file stays
   * @throws IOException what {@code work} throws; or if the lock is held by somebody else for
   *     longer than {@code patience}, or the file system knows none: then nothing was done
   */
  public <T extends @Nullable Object> T locked(String name, Duration patience, LockedWork<T> work)
      throws IOException {
    Path file = file(name);
    ReentrantLock ours = LOCKS.computeIfAbsent(file, key -> new ReentrantLock());
    long endNanos = System.nanoTime() + patience.toNanos();
    // Within the process first: closing a second channel to a file drops the lock of the first.
    if (!tryLock(ours, patience)) {
      throw new IOException(file + " is held by another thread");
    }
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
      while (channel.tryLock() == null) {
        if (System.nanoTime() - endNanos > 0) {
          throw new IOException(file + " is held by another process");
        }
        LockSupport.parkNanos(LOCK_POLL_NANOS);
      }
      return work.run(); // closing the file lets go of it
    } finally {
      ours.unlock();
    }
  }

  private static boolean tryLock(ReentrantLock lock, Duration patience) {
    try {
      return lock.tryLock(patience.toNanos(), TimeUnit.NANOSECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return false;
    }
  }

  private void make() throws IOException {
    if (!Files.isDirectory(path)) {
      Files.createDirectories(path, privately(PRIVATE_FOLDER));
    }
  }

  private boolean isPosix() {
    return path.getFileSystem().supportedFileAttributeViews().contains("posix");
  }

  private FileAttribute<?>[] privately(String permissions) {
    return isPosix()
        ? new FileAttribute<?>[] {
          PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString(permissions))
        }
        : new FileAttribute<?>[0];
  }
}
