package io.anymatix.fetcher.store;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.content.Validator;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.testing.Content;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What is found in model folders, and what of it is litter. */
class InventoryTest {
  private static final Content MODEL = Content.safetensors(20_261_121, 4096);
  private static final String URL = "https://models.example.org/m.safetensors";
  private static final String HASH = Sha256.ofUtf8(URL).hex();
  private static final Duration WEEK = Duration.ofDays(7);

  private final FileTime longAgo = FileTime.from(Instant.now().minus(Duration.ofDays(8)));

  @SuppressWarnings("NullAway.Init") // set by JUnit
  @TempDir
  Path root;

  @SuppressWarnings("NullAway.Init") // set before each test
  private Path folder;

  @BeforeEach
  void makeTheFolder() throws IOException {
    folder = Files.createDirectories(root.resolve("models/loras"));
  }

  @Test
  void aFolderThatIsReachedInThreeWaysIsLookedAtOnce() throws Exception {
    model("m_" + HASH + ".safetensors");
    Files.createSymbolicLink(root.resolve("models/link"), folder);
    Inventory inventory = Inventory.of(List.of(folder, root.resolve("models"), folder));
    assertEquals(1, inventory.models().size());
  }

  @Test
  void aFolderThatLinksToItselfIsNoEndlessTree() throws Exception {
    model("m_" + HASH + ".safetensors");
    Files.createSymbolicLink(folder.resolve("again"), root.resolve("models"));
    assertEquals(1, inventory().models().size());
  }

  @Test
  void aModelsOwnJsonIsNoSidecarFileWhateverItHolds() throws Exception {
    model("config_" + HASH + ".json");
    Files.writeString(folder.resolve("index.json"), "{\"url\": 1, \"file_name\": \"gone.bin\"}");
    Inventory inventory = inventory();
    assertEquals(1, inventory.models().size());
    assertEquals(List.of(), inventory.missing());
    assertEquals(List.of(), inventory.brokenSidecars());
  }

  @Test
  void aModelWithoutASidecarFileIsListedAndNeverLitter() throws Exception {
    Path users = Files.writeString(folder.resolve("mine.SAFETENSORS"), "the user's own");
    Files.writeString(folder.resolve("put_loras_here"), "");
    Files.setLastModifiedTime(users, longAgo);
    Inventory inventory = inventory();
    assertEquals(List.of(users), inventory.withoutSidecar().stream().map(f -> f.path()).toList());
    assertEquals(List.of(), collect(inventory).items());
  }

  @Test
  void aModelThatIsCalledLikeAPartIsAModel() throws Exception {
    Path model = model("m_" + HASH + ".part");
    Files.setLastModifiedTime(model, longAgo);
    Inventory inventory = inventory();
    assertEquals(List.of(model), inventory.models().stream().map(m -> m.path()).toList());
    assertEquals(List.of(), inventory.parts());
    assertEquals(List.of(), collect(inventory).items());
    assertTrue(Files.exists(model));
  }

  @Test
  void aPlainNameIsNotListedAsTheUsersOwn() throws Exception {
    Path model = model("m_" + HASH + ".safetensors");
    Files.createLink(folder.resolve("plain.safetensors"), model);
    Sidecar sidecar = Sidecar.read(folder.resolve(HASH + ".json")).orElseThrow();
    sidecar.addLinkedName("plain.safetensors");
    sidecar.write();
    assertEquals(List.of(), inventory().withoutSidecar());
  }

  @Test
  void aCutSidecarFileIsBrokenAndStays() throws Exception {
    Path cut = Files.writeString(folder.resolve(HASH + ".json"), "{\"url\": \"https://mod");
    Files.setLastModifiedTime(cut, longAgo);
    Inventory inventory = inventory();
    assertEquals(List.of(cut), inventory.brokenSidecars());
    assertEquals(List.of(), collect(inventory).items());
  }

  @Test
  void accessTimesOfSidecarFilesStay() throws Exception {
    model("m_" + HASH + ".safetensors");
    Path sidecar = folder.resolve(HASH + ".json");
    Files.setAttribute(sidecar, "lastAccessTime", longAgo);
    inventory();
    assertEquals(longAgo, Files.getAttribute(sidecar, "lastAccessTime"));
  }

  @Test
  void aPartTellsHowMuchOfItCounts() throws Exception {
    Path part = folder.resolve("m_" + HASH + ".safetensors.part");
    Files.write(part, new byte[1000]);
    assertEquals(1000, inventory().parts().get(0).receivedBytes());
    assertNull(inventory().parts().get(0).totalBytes());

    Files.writeString(
        folder.resolve(HASH + ".json"),
        "{\"url\": \"%s\", \"file_name\": \"m_%s.safetensors\", \"file_size\": 4000}"
            .formatted(URL, HASH));
    assertEquals(4000, inventory().parts().get(0).totalBytes());
    assertEquals(List.of(), inventory().missing(), "it is coming");

    Files.write(part, new byte[4000]);
    assertNull(inventory().parts().get(0).receivedBytes(), "it may be full of holes");

    Files.writeString(
        folder.resolve("m_" + HASH + ".safetensors.part.segments"),
        "{\"size\": 4000, \"segment_size\": 2000, \"done\": {\"0\": 500, \"1\": 2000}}");
    assertEquals(2500, inventory().parts().get(0).receivedBytes());
  }

  @Test
  void aCopyStaysAsLongAsAPart() throws Exception {
    Path copy = folder.resolve("m_" + HASH + ".safetensors.1z9.tmp");
    Path sidecar = folder.resolve(HASH + ".json.1z9.tmp");
    for (Path file : List.of(copy, sidecar)) {
      Files.writeString(file, "{}");
      Files.setLastModifiedTime(file, FileTime.from(Instant.now().minus(Duration.ofDays(1))));
    }
    assertEquals(
        List.of(sidecar), collect(inventory()).items().stream().map(i -> i.path()).toList());
    assertTrue(Files.exists(copy), "it may be being hashed");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "m_H.safetensors.part",
        "m_H.safetensors.part.complete",
        "m_H.safetensors.part.segments",
        "m_H.safetensors.part.segments.tmp",
        "m_H.safetensors.part.part",
        "m_H.safetensors.part.segment_3",
        "m_H.safetensors.segment_12",
        "m_H.safetensors.part.segments.1z9.tmp",
        "H.json.1z9.tmp",
        "m_H.safetensors.1z9.tmp",
        "H.1z9.tmp",
      })
  void oldLeftoversOfAnyVersionAreLitter(String name) throws Exception {
    Path file = folder.resolve(name.replace("H", HASH));
    Files.writeString(file, "{}");
    assertEquals(List.of(), collect(inventory()).items(), "it is new");
    Files.setLastModifiedTime(file, longAgo);

    Litter wouldBe = Litter.collect(inventory(), WEEK, Instant.now(), true);
    assertEquals(List.of(file), wouldBe.items().stream().map(i -> i.path()).toList());
    assertEquals(2, wouldBe.items().get(0).lengthBytes());
    assertTrue(Files.exists(file), "a dry run removes nothing");

    assertEquals(wouldBe.items(), collect(inventory()).items());
    assertFalse(Files.exists(file));
  }

  @ParameterizedTest
  @ValueSource(strings = {"notes.tmp", "m.safetensors.tmp", "model.corrupt", "a.segment", "x.json"})
  void otherFilesAreNotOursToRemove(String name) throws Exception {
    Path file = Files.writeString(folder.resolve(name), "{}");
    Files.setLastModifiedTime(file, longAgo);
    assertEquals(List.of(), collect(inventory()).items());
    assertTrue(Files.exists(file));
  }

  @Test
  void aFreshNoteKeepsItsOldPart() throws Exception {
    Path part = Files.write(folder.resolve("m.bin.part"), new byte[10]);
    Files.setLastModifiedTime(part, longAgo);
    Files.writeString(folder.resolve("m.bin.part.segments"), "{}");
    Litter litter = collect(inventory());
    assertEquals(List.of(), litter.items());
    assertEquals(part, litter.kept().get(0).path());
  }

  @Test
  void aPartOfARunningDownloadIsNeverTouched() throws Exception {
    ModelStore.Key key = ModelStore.Key.of(URL, null);
    ModelFileName name = ModelFileName.of(null, key.effective());
    ModelFolders.Place place =
        new ModelFolders(root.resolve("models"), Map.of(), List.of()).place("lora", null);
    try (PartFile part =
        new ModelStore()
            .openPart(name, place, Duration.ofSeconds(1), new Cancellation(), until -> {})) {
      part.begin(10, new Journal.Identity(new Validator(null, null), null), List.of());
      part.write(ByteBuffer.wrap(new byte[5]), 0);
      age(folder);
      Inventory inventory = inventory();
      assertTrue(inventory.parts().get(0).held());
      assertEquals(List.of(), collect(inventory).items());
      assertEquals("it is being downloaded", collect(inventory).kept().get(0).reason());
      assertTrue(Files.exists(part.path()));
    }
    age(folder);
    assertEquals(2, collect(inventory()).items().size(), "the part and its journal");
  }

  @Test
  void aPartThatIsTakenBetweenLookAndRemovalStays() throws Exception {
    Path part = Files.write(folder.resolve("m.bin.part"), new byte[10]);
    age(folder);
    Inventory inventory = inventory();
    try (FileChannel other = FileChannel.open(part, StandardOpenOption.WRITE)) {
      other.lock(Long.MAX_VALUE - 1, 1, false);
      assertEquals(List.of(), collect(inventory).items());
    }
    Files.setLastModifiedTime(part, FileTime.from(Instant.now()));
    Litter litter = collect(inventory);
    assertEquals(List.of(), litter.items());
    assertEquals("it has come into use", litter.kept().get(0).reason());
    assertTrue(Files.exists(part));
  }

  /** The note of a large file holds its sidecar file, that of a small one is it. */
  @ParameterizedTest
  @ValueSource(strings = {"{\"size\": 4096, \"sidecar\": %s}", "%s"})
  void theNoteOfAFileThatWaitsForItsSidecarFileStays(String format) throws Exception {
    Path model = model("m_" + HASH + ".safetensors");
    Path sidecar = folder.resolve(HASH + ".json");
    Path note = PartFile.completionNote(model);
    Files.writeString(note, format.formatted(Files.readString(sidecar)));
    Files.delete(sidecar);
    age(folder);
    assertEquals(List.of(), collect(inventory()).items());

    model("m_" + HASH + ".safetensors");
    age(folder);
    assertEquals(List.of(note), collect(inventory()).items().stream().map(i -> i.path()).toList());
    assertTrue(Files.exists(model));
  }

  @Test
  void aSidecarFileGoesWithItsModel() throws Exception {
    Path model = model("m_" + HASH + ".safetensors");
    Path sidecar = folder.resolve(HASH + ".json");
    assertEquals(List.of(), collect(inventory()).items());
    Files.delete(model);
    assertEquals(
        List.of(sidecar), collect(inventory()).items().stream().map(i -> i.path()).toList());
    assertFalse(Files.exists(sidecar));
  }

  @Test
  void aSidecarFileThatAnotherProgramWritesAheadIsLeftForAWhile() throws Exception {
    Path sidecar =
        Files.writeString(
            folder.resolve(HASH + ".json"),
            "{\"url\": \"%s\", \"file_name\": \"m_%s.bin\", \"file_size\": 9}"
                .formatted(URL, HASH));
    assertEquals(List.of(), collect(inventory()).items());
    Files.setLastModifiedTime(sidecar, longAgo);
    assertEquals(1, collect(inventory()).items().size());
  }

  @Test
  void aModelOnAVolumeThatIsNotMountedIsNotGone() throws Exception {
    Path model = model("m_" + HASH + ".safetensors");
    Files.delete(model);
    Files.createSymbolicLink(model, root.resolve("unmounted/m.safetensors"));
    Litter litter = collect(inventory());
    assertEquals(List.of(), litter.items());
    assertEquals(
        Verifier.Problem.UNREADABLE, Verifier.missing(inventory().missing().get(0)).problem());
  }

  private Inventory inventory() {
    return Inventory.of(List.of(root.resolve("models")));
  }

  private static Litter collect(Inventory inventory) {
    return Litter.collect(inventory, WEEK, Instant.now(), false);
  }

  private void age(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      for (Path file : files.toList()) {
        Files.setLastModifiedTime(file, longAgo);
      }
    }
  }

  private Path model(String name) throws IOException {
    Path file = folder.resolve(name);
    MODEL.writeTo(file, MODEL.lengthBytes());
    Sidecar.proven(
            folder.resolve(HASH + ".json"),
            URL,
            file,
            MODEL.lengthBytes(),
            null,
            "m.safetensors",
            null,
            new Sha256(MODEL.sha256()))
        .write();
    return file;
  }
}
