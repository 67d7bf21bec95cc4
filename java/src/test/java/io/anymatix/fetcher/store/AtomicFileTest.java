package io.anymatix.fetcher.store;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.CopyOption;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class AtomicFileTest {
  @SuppressWarnings("NullAway.Init") // set by JUnit
  @TempDir
  Path folder;

  @SuppressWarnings("NullAway.Init") // set before each test
  private Path source;

  @SuppressWarnings("NullAway.Init") // set before each test
  private Path target;

  @BeforeEach
  void writeBoth() throws IOException {
    source = Files.writeString(folder.resolve("m.part"), "new");
    target = Files.writeString(folder.resolve("m"), "old");
  }

  /** Fails with the given error a number of times, as while a virus scanner holds the file. */
  private static final class Scanner implements AtomicFile.Mover {
    private final IOException error;
    private int failuresLeft;
    private int moves;

    Scanner(IOException error, int failures) {
      this.error = error;
      this.failuresLeft = failures;
    }

    @Override
    public void move(Path from, Path to, CopyOption option) throws IOException {
      moves++;
      if (failuresLeft-- > 0) {
        throw error;
      }
      Files.move(from, to, option);
    }
  }

  private static List<IOException> errorsOfAHeldFile() {
    return List.of(
        new AccessDeniedException("m.part"),
        new FileSystemException(
            "m.part", "m", "Der Prozess kann nicht auf die Datei zugreifen, sie wird verwendet"));
  }

  @ParameterizedTest
  @MethodSource("errorsOfAHeldFile")
  void aFileThatAScannerHoldsIsRenamedOnceItIsLetGo(IOException error) throws IOException {
    Scanner scanner = new Scanner(error, 2);
    AtomicFile.move(source, target, scanner);
    assertEquals("new", Files.readString(target));
    assertEquals(3, scanner.moves);
  }

  @Test
  void aFileThatIsHeldForGoodIsGivenUpWithItsErrorAndKept() throws IOException {
    AccessDeniedException error = new AccessDeniedException("m.part");
    Scanner scanner = new Scanner(error, Integer.MAX_VALUE);
    assertSame(
        error, assertThrows(IOException.class, () -> AtomicFile.move(source, target, scanner)));
    assertEquals(10, scanner.moves);
    assertEquals("new", Files.readString(source));
    assertEquals("old", Files.readString(target));
  }

  @Test
  void aFileThatIsGoneIsNotWaitedFor() {
    Scanner scanner = new Scanner(new NoSuchFileException("m.part"), 1);
    assertThrows(NoSuchFileException.class, () -> AtomicFile.move(source, target, scanner));
    assertEquals(1, scanner.moves);
  }

  @Test
  void aVolumeThatCanNotRenameAtOnceStillReplaces() throws IOException {
    AtomicFile.Mover mover =
        (from, to, option) -> {
          if (option == StandardCopyOption.ATOMIC_MOVE) {
            throw new AtomicMoveNotSupportedException("m.part", "m", "not here");
          }
          Files.move(from, to, option);
        };
    AtomicFile.move(source, target, mover);
    assertEquals("new", Files.readString(target));
    assertFalse(Files.exists(source));
  }

  @Test
  void aTextThatIsTakenForADeadProcesssLitterBeforeItsRenameIsWrittenAgain() throws IOException {
    AtomicBoolean isFirst = new AtomicBoolean(true);
    AtomicFile.Mover mover =
        (from, to, option) -> {
          if (isFirst.getAndSet(false)) {
            AtomicFile.removeTemporariesOf(target);
          }
          Files.move(from, to, option);
        };
    AtomicFile.replace(target, "newer", AtomicFile.Forced.CONTENT, mover);
    assertEquals("newer", Files.readString(target));
    assertEquals(Set.of("m", "m.part"), names());
  }

  @Test
  void aFolderThatIsGoneIsTold() {
    Path gone = folder.resolve("gone").resolve("m");
    assertThrows(NoSuchFileException.class, () -> AtomicFile.replace(gone, "newer"));
  }

  @Test
  void onlyTheTemporariesOfTheNamedFilesAreRemoved() throws IOException {
    Files.writeString(folder.resolve("m.1z9.tmp"), "torn");
    Files.writeString(folder.resolve("m.part.0.tmp"), "torn");
    Set<String> others = Set.of("m.tmp", "m.1-9.tmp", "m.1z9.tmp.bak", "n.1z9.tmp", "m.a.b.tmp");
    for (String other : others) {
      Files.writeString(folder.resolve(other), "a user's");
    }
    AtomicFile.removeTemporariesOf(target, source);
    Set<String> expected = new HashSet<>(others);
    expected.addAll(Set.of("m", "m.part"));
    assertEquals(expected, names());
  }

  private Set<String> names() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(file -> file.getFileName().toString()).collect(Collectors.toSet());
    }
  }
}
