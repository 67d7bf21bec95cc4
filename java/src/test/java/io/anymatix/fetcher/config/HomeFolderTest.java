package io.anymatix.fetcher.config;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class HomeFolderTest {
  @SuppressWarnings("NullAway.Init") // set before each test
  @TempDir
  Path scratch;

  @SuppressWarnings("NullAway.Init") // set before each test
  private HomeFolder home;

  @BeforeEach
  void name() {
    home = HomeFolder.of(Map.of("ANYMATIX_HOME", scratch.resolve("home").toString()));
  }

  @Test
  void theVariableDecidesAndOtherwiseThePlatform() {
    assertEquals(scratch.resolve("home").toAbsolutePath(), home.path());
    assertTrue(HomeFolder.of(Map.of("ANYMATIX_HOME", "here")).path().isAbsolute());
    Path platform = HomeFolder.of(Map.of("ANYMATIX_HOME", " ")).path();
    assertEquals("anymatix-fetcher", platform.getFileName().toString());
  }

  @Test
  void nothingIsMadeBeforeItIsAskedFor() {
    assertFalse(Files.exists(home.path()));
  }

  @Test
  void nobodyElseCanReadWhatIsMade() throws Exception {
    assumeTrue(scratch.getFileSystem().supportedFileAttributeViews().contains("posix"));
    HomeFolder inner = home.folder("inner");
    inner.replace("replaced", "x".getBytes(UTF_8));
    Path open = Files.createFile(inner.path().resolve("open"));
    Files.setPosixFilePermissions(open, PosixFilePermissions.fromString("rw-r--r--"));
    assertEquals("rwx------", permissions(home.path()));
    assertEquals("rwx------", permissions(inner.path()));
    assertEquals("rw-------", permissions(inner.path().resolve("replaced")));
    assertEquals("rw-------", permissions(inner.file("made")));
    assertEquals("rw-------", permissions(inner.file("open")));
  }

  private static String permissions(Path path) throws Exception {
    return PosixFilePermissions.toString(Files.getPosixFilePermissions(path));
  }

  @Test
  void aFileThatIsThereKeepsItsContent() throws Exception {
    home.replace("kept", "content".getBytes(UTF_8));
    assertEquals("content", Files.readString(home.file("kept")));
  }

  @Test
  void aReplacedFileHoldsTheNewContentAloneAndNothingElseIsLeft() throws Exception {
    home.replace("file", "a longer content".getBytes(UTF_8));
    home.replace("file", "new".getBytes(UTF_8));
    assertEquals("new", Files.readString(home.path().resolve("file")));
    try (Stream<Path> files = Files.list(home.path())) {
      assertEquals(1, files.count());
    }
  }
}
