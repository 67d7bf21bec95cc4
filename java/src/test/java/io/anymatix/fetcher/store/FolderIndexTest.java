package io.anymatix.fetcher.store;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What is remembered of a folder's sidecar files, and what is not. */
class FolderIndexTest {
  private static final String URL = "https://models.test/m.safetensors";
  private static final FileTime LONG_AGO = FileTime.from(Instant.parse("2024-01-02T03:04:05Z"));

  @SuppressWarnings("NullAway.Init") // set before each test
  private Path folder;

  private final FolderIndex index = new FolderIndex();

  @BeforeEach
  void open(@TempDir Path folder) {
    this.folder = folder;
  }

  private Path write(String name, String text) throws IOException {
    return Files.writeString(folder.resolve(name), text);
  }

  private Path sidecar(String name, String url) throws IOException {
    return write(name + ".json", "{\"url\": \"" + url + "\", \"file_name\": \"" + name + "\"}");
  }

  /** As if nothing had happened in the folder for a long time. */
  private void settle() throws IOException {
    Files.setLastModifiedTime(folder, LONG_AGO);
  }

  @Test
  void theSidecarFilesOfAUrlAreFoundWhateverItsCredentials() throws Exception {
    Path second = sidecar("b", URL + "?token=s3cr3t");
    Path first = sidecar("a", URL);
    sidecar("c", URL + "?v=2");
    assertEquals(List.of(first, second), index.sidecarsOf(folder, URL + "?token=other"));
    assertEquals(List.of(), index.sidecarsOf(folder, "https://models.test/other"));
  }

  @Test
  void whatComesAndGoesIsNoticed() throws Exception {
    for (boolean settled : new boolean[] {false, true}) {
      Path first = sidecar("a", URL);
      assertEquals(List.of(first), index.sidecarsOf(folder, URL));
      if (settled) {
        settle();
        assertEquals(List.of(first), index.sidecarsOf(folder, URL));
      }
      Path second = sidecar("b", URL);
      assertEquals(List.of(first, second), index.sidecarsOf(folder, URL));
      Files.delete(first);
      assertEquals(List.of(second), index.sidecarsOf(folder, URL));
      Files.delete(second);
      assertEquals(List.of(), index.sidecarsOf(folder, URL));
    }
  }

  @Test
  void aFolderThatHasNotChangedIsNotListedAgain() throws Exception {
    sidecar("a", "https://models.test/other");
    settle();
    assertEquals(List.of(), index.sidecarsOf(folder, URL));
    Path unnoticed = sidecar("b", URL);
    settle();
    assertEquals(List.of(), index.sidecarsOf(folder, URL));
    Files.setLastModifiedTime(folder, FileTime.from(Instant.now()));
    assertEquals(List.of(unnoticed), index.sidecarsOf(folder, URL));
  }

  @Test
  void aSidecarFileThatAnotherVersionIsWritingIsFoundOnceItIsWhole() throws Exception {
    Path cut = write("a.json", "{\"url\": \"" + URL.substring(0, 9));
    settle();
    assertEquals(List.of(), index.sidecarsOf(folder, URL));
    assertEquals(List.of(), index.sidecarsOf(folder, URL));
    sidecar("a", URL); // in place, so that the folder's time stays as it is
    settle();
    assertEquals(List.of(cut), index.sidecarsOf(folder, URL));
  }

  @Test
  void aFolderMayComeLaterAndGoAgain() throws Exception {
    Path later = folder.resolve("later");
    assertEquals(List.of(), index.sidecarsOf(later, URL));
    Files.createDirectory(later);
    Path sidecar = Files.writeString(later.resolve("a.json"), "{\"url\": \"" + URL + "\"}");
    assertEquals(List.of(sidecar), index.sidecarsOf(later, URL));
    Files.delete(sidecar);
    Files.delete(later);
    assertEquals(List.of(), index.sidecarsOf(later, URL));
  }

  @Test
  void completionNotesAreToldBesideTheSidecarFiles() throws Exception {
    Path sidecar = sidecar("a", URL);
    Path note = write("m.safetensors" + ModelStore.COMPLETION_SUFFIX, "{}");
    assertEquals(List.of(sidecar), index.sidecarsOf(folder, URL));
    assertEquals(List.of(note), index.completionNotes(folder));
    Files.delete(note);
    assertEquals(List.of(sidecar), index.sidecarsOf(folder, URL));
    assertEquals(List.of(), index.completionNotes(folder));
  }

  @Test
  @Timeout(value = 20, unit = TimeUnit.SECONDS)
  void tenThousandModelsAreLookedUpSoonAmongThousands() throws Exception {
    for (int i = 0; i < 3000; i++) {
      sidecar("s" + i, "https://models.test/present/" + i);
    }
    settle();
    for (int i = 0; i < 10_000; i++) {
      assertEquals(List.of(), index.sidecarsOf(folder, "https://models.test/missing/" + i));
    }
  }
}
