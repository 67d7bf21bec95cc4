package io.anymatix.fetcher.fetch;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.failure.InvalidParamsException;
import io.anymatix.fetcher.fetch.Fetcher.SizedRequest;
import io.anymatix.fetcher.fetch.Fetcher.VolumeNeed;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a list of files would take of the disk. */
class VolumeNeedsTest {
  @SuppressWarnings("NullAway.Init") // set by JUnit
  @TempDir
  Path models;

  @Test
  void filesOfOneVolumeAreAddedUpAndPresentOnesTakeNothing() throws Exception {
    String present = "https://models.example.org/there.bin";
    Path folder = Files.createDirectories(models.resolve("vae"));
    Files.write(folder.resolve("there.bin"), new byte[5]);
    Files.writeString(
        folder.resolve(Sha256.ofUtf8(present).hex() + ".json"),
        "{\"url\": \"" + present + "\", \"file_name\": \"there.bin\", \"file_size\": 5}");
    try (Fetcher fetcher = fetcher()) {
      List<VolumeNeed> needs =
          fetcher.volumeNeeds(
              List.of(
                  sized("https://models.example.org/a.bin", "checkpoint", 1_000),
                  sized("https://models.example.org/b.bin", null, 20),
                  sized(present, "vae", 5)));
      assertEquals(1, needs.size(), needs::toString);
      assertEquals(1_020, needs.get(0).missingBytes());
      assertNotNull(needs.get(0).freeBytes());
    }
  }

  @Test
  void anUnknownTypeIsRefused() {
    try (Fetcher fetcher = fetcher()) {
      List<SizedRequest> files = List.of(sized("https://models.example.org/a.bin", "nonsense", 1));
      assertThrows(InvalidParamsException.class, () -> fetcher.volumeNeeds(files));
    }
  }

  private Fetcher fetcher() {
    Fetcher fetcher = new Fetcher(Config.builder().build());
    fetcher.setRoots(new Fetcher.RootsRequest(models.toString(), null, null));
    return fetcher;
  }

  private static SizedRequest sized(String url, @Nullable String type, long fileSize) {
    return new SizedRequest(
        new FetchRequest(url, type, null, null, null, null, null, null, null), fileSize);
  }
}
