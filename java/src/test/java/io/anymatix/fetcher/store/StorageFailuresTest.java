package io.anymatix.fetcher.store;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.testing.SmallVolume;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

class StorageFailuresTest {
  @SuppressWarnings("NullAway.Init") // set by JUnit
  @TempDir
  Path folder;

  @Test
  @EnabledOnOs(value = OS.LINUX, disabledReason = "the system's own sentence is tested")
  void aNameThatTheVolumeDoesNotTakeIsToldAsSuch() {
    Path file = folder.resolve("n".repeat(300));
    IOException error = assertThrows(IOException.class, () -> Files.createFile(file));
    FetchException failure = StorageFailures.of(error, file);
    assertEquals(FailureKind.STORAGE, failure.kind());
    assertTrue(message(failure).startsWith("The volume of " + folder + " takes no name"));
    assertTrue(failure.hint().contains("255 bytes"), failure.hint());
  }

  @Test
  void aDeniedPermissionIsToldAsSuch() {
    Path file = folder.resolve("m");
    for (IOException error :
        new IOException[] {
          new AccessDeniedException("m"),
          new FileSystemException("m", null, "Operation not permitted"),
          new IOException("Permission denied")
        }) {
      FetchException failure = StorageFailures.of(error, file);
      assertEquals(FailureKind.STORAGE, failure.kind());
      assertEquals("No permission to write " + file + ".", message(failure));
    }
  }

  @Test
  void anExhaustedQuotaIsAFullVolume() {
    FetchException failure =
        StorageFailures.of(new IOException("Disk quota exceeded"), folder.resolve("m"), 5_000_000L);
    assertEquals(FailureKind.DISK_FULL, failure.kind());
    assertTrue(
        message(failure).startsWith("Disk quota exceeded for m: 5 MB still to be written, "),
        message(failure));
    assertEquals(5_000_000L, failure.facts().get("neededBytes"));
  }

  @Test
  void aFullVolumeIsKnownInAnyLanguage() throws IOException {
    IOException error =
        new IOException("Auf dem Ger\u00e4t ist kein Speicherplatz mehr verf\u00fcgbar");
    try (SmallVolume volume = SmallVolume.mount(folder, "size=1m")) {
      volume.fillUpTo(0);
      FetchException failure = StorageFailures.of(error, volume.root().resolve("m"));
      assertEquals(FailureKind.DISK_FULL, failure.kind());
      assertEquals(0L, failure.facts().get("freeBytes"));
    }
    assertEquals(FailureKind.STORAGE, StorageFailures.of(error, folder.resolve("m")).kind());
  }

  private static String message(FetchException failure) {
    return String.valueOf(failure.getMessage());
  }
}
