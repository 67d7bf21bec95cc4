package io.anymatix.fetcher.testing;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/**
 * A real file system of a few megabytes in memory, mounted for one test. That takes Linux and the
 * right to mount; without them the test is skipped, with the reason.
 */
public final class SmallVolume implements AutoCloseable {
  private final Path root;

  private SmallVolume(Path root) {
    this.root = root;
  }

  /**
   * Mounts one at a folder.
   *
   * @param options as for {@code mount -o}, such as {@code size=8m} or {@code nr_inodes=3}
   */
  public static SmallVolume mount(Path folder, String options) {
    String refusal;
    try {
      refusal = run("mount", "-t", "tmpfs", "-o", options, "tmpfs", folder.toString());
    } catch (IOException e) {
      refusal = String.valueOf(e.getMessage());
    }
    String reason = refusal;
    assumeTrue(reason.isEmpty(), () -> "no small volume can be mounted here: " + reason);
    return new SmallVolume(folder);
  }

  /**
   * Takes the right to write into a folder away until the result is closed; even the superuser's,
   * where the file system knows immutable folders.
   */
  public static AutoCloseable forbidWriting(Path folder) throws IOException {
    Path trial = folder.resolve("trial");
    AutoCloseable ban = () -> run("chattr", "-i", folder.toString());
    if (!run("chattr", "+i", folder.toString()).isEmpty()) {
      Set<PosixFilePermission> before = Files.getPosixFilePermissions(folder);
      Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("r-xr-xr-x"));
      ban = () -> Files.setPosixFilePermissions(folder, before);
    }
    assumeTrue(!canCreate(trial), "nothing keeps this user from writing to " + folder);
    return ban;
  }

  private static boolean canCreate(Path file) {
    try {
      Files.delete(Files.createFile(file));
      return true;
    } catch (IOException e) {
      return false;
    }
  }

  public Path root() {
    return root;
  }

  /** Bytes that it can still take. */
  public long freeBytes() throws IOException {
    return Files.getFileStore(root).getUsableSpace();
  }

  /** Takes all but this much with a file that another program might write. */
  public Path fillUpTo(long leftBytes) throws IOException {
    Path filler = root.resolve("another program's file");
    try (RandomAccessFile file = new RandomAccessFile(filler.toFile(), "rw")) {
      byte[] zeros = new byte[64 * 1024];
      file.seek(file.length());
      for (long over = freeBytes() - leftBytes; over > 0; over = freeBytes() - leftBytes) {
        file.write(zeros, 0, (int) Math.min(zeros.length, over));
      }
    } catch (IOException e) {
      // A download that writes meanwhile may have taken the last of it: it is full all the same.
      if (freeBytes() > leftBytes) {
        throw e;
      }
    }
    return filler;
  }

  /** Changes its options; nothing may be open for writing where it is to become read-only. */
  public void remount(String options) throws IOException {
    String refusal = run("mount", "-o", "remount," + options, root.toString());
    if (!refusal.isEmpty()) {
      throw new IOException(refusal);
    }
  }

  @Override
  public void close() {
    try {
      String refusal = run("umount", "-l", root.toString());
      if (!refusal.isEmpty()) {
        throw new AssertionError(refusal);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Runs a command; what it says if it fails, else nothing. */
  private static String run(String... words) throws IOException {
    Process process =
        new ProcessBuilder(new ArrayList<>(List.of(words))).redirectErrorStream(true).start();
    process.getOutputStream().close();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    try {
      int code = process.waitFor();
      return code == 0 ? "" : "exit code " + code + ": " + said.strip();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while a command ran", e);
    }
  }
}
