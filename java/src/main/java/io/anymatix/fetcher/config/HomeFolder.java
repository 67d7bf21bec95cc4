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
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.UUID;

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
      Files.createFile(file, privately(PRIVATE_FILE));
    } catch (FileAlreadyExistsException e) {
      if (isPosix()) {
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString(PRIVATE_FILE));
      }
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
