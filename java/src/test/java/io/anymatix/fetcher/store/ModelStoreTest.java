package io.anymatix.fetcher.store;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.testing.Content;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What the store does with files that are already there. */
class ModelStoreTest {
  private static final Content MODEL = Content.safetensors(20_261_121, 4096);
  private static final Sha256 HASH = new Sha256(MODEL.sha256());
  private static final String URL = "https://models.example.org/m.safetensors";

  private final ModelStore store = new ModelStore();

  @SuppressWarnings("NullAway.Init") // set by JUnit
  @TempDir
  Path root;

  @SuppressWarnings("NullAway.Init") // set before each test
  private ModelFolders.Place place;

  @BeforeEach
  void nameTheFolders() throws IOException {
    Files.createDirectories(root.resolve("models/loras"));
    place = new ModelFolders(root.resolve("models"), Map.of(), List.of()).place("lora", null);
  }

  @Test
  void aFileOfTheWantedHashInAnAdoptDirIsLinkedNotCopied() throws Exception {
    Path other = Files.createDirectories(root.resolve("elsewhere")).resolve("x.safetensors");
    MODEL.writeTo(other, MODEL.lengthBytes());
    ModelStore.Stored stored = adopt(URL).orElseThrow();
    assertTrue(Files.isSameFile(other, stored.file()));
    assertEquals(place.target(), stored.file().getParent());
    assertEquals(Optional.of(HASH), stored.provenSha256());
    assertTrue(store.isPresent(ModelStore.Key.of(URL, null), place));
  }

  @Test
  void aFileOfTheWantedLengthButAnotherHashIsNotAdopted() throws Exception {
    Path other = Files.createDirectories(root.resolve("elsewhere")).resolve("x.safetensors");
    MODEL.withFlippedByte(4000).writeTo(other, MODEL.lengthBytes());
    assertEquals(Optional.empty(), adopt(URL));
    assertEquals(List.of(), Sidecar.list(place.target()));
  }

  @Test
  void aPlainNameNeverReplacesAFileOfTheUser() throws Exception {
    ModelStore.Stored stored = adoptCopy();
    Path users = Files.writeString(place.target().resolve("mine.safetensors"), "the user's own");
    FetchException failure =
        assertThrows(FetchException.class, () -> store.linkPlainName(stored, "mine.safetensors"));
    assertEquals(FailureKind.STORAGE, failure.kind());
    assertEquals("the user's own", Files.readString(users));
  }

  @Test
  void aDeleteTakesThePlainNameAlongAndLeavesTheUsersFiles() throws Exception {
    ModelStore.Stored stored = adoptCopy();
    Path link = store.linkPlainName(stored, "plain.safetensors");
    assertTrue(Files.isSameFile(link, stored.file()));
    Path users = Files.writeString(place.target().resolve("mine.safetensors"), "the user's own");
    store.delete(URL, place.searched());
    assertEquals(List.of(users), Sidecar.list(place.target()));
  }

  @Test
  void aDeleteLeavesAModelThatAnotherSidecarFileNames() throws Exception {
    ModelStore.Stored stored = adoptCopy();
    String text =
        Files.readString(stored.sidecarPath()).replace(URL, "https://other.example.org/m");
    Path other =
        Files.writeString(
            Sidecar.pathIn(place.target(), Sha256.ofUtf8("https://other.example.org/m")), text);
    ModelStore.Deletion deletion = store.delete(URL, place.searched());
    assertEquals(List.of(stored.sidecarPath()), deletion.deleted());
    assertTrue(deletion.kept().containsKey(stored.file()), deletion::toString);
    assertTrue(Files.exists(stored.file()) && Files.exists(other));
  }

  @Test
  void aDeleteLeavesAPartThatIsBeingDownloaded() {
    ModelStore.Key key = ModelStore.Key.of(URL, null);
    ModelFileName name = ModelFileName.of(null, key.effective());
    try (PartFile part =
        store.openPart(name, place, Duration.ofSeconds(1), new Cancellation(), until -> {})) {
      part.write(ByteBuffer.wrap(new byte[10]), 0);
      ModelStore.Deletion deletion = store.delete(URL, place.searched());
      assertEquals(List.of(), deletion.deleted());
      assertEquals(Map.of(part.path(), "it is being downloaded"), deletion.kept());
    }
    Path part = PartFile.partOf(place.target().resolve(name.stored()));
    assertEquals(List.of(part), store.delete(URL, place.searched()).deleted());
  }

  @Test
  void aSecondRequestOfTheProcessWaitsForThePart() {
    ModelFileName name = ModelFileName.of(null, ModelStore.Key.of(URL, null).effective());
    try (PartFile part =
        store.openPart(name, place, Duration.ofSeconds(1), new Cancellation(), until -> {})) {
      part.write(ByteBuffer.wrap(new byte[10]), 0);
      FetchException failure =
          assertThrows(
              FetchException.class,
              () -> store.openPart(name, place, Duration.ZERO, new Cancellation(), until -> {}));
      assertEquals(FailureKind.BUSY, failure.kind());
      assertEquals(10, part.lengthBytes());
    }
  }

  /** The note of a large file holds its sidecar file, that of a small one is it. */
  @ParameterizedTest
  @ValueSource(strings = {"{\"size\": 4096, \"completed_at\": 1.5, \"sidecar\": %s}", "%s"})
  void aPublishThatWasInterruptedBeforeItsSidecarFileIsFinishedByTheNextLook(String format)
      throws Exception {
    ModelStore.Stored stored = adoptCopy();
    String text = Files.readString(stored.sidecarPath());
    Files.delete(stored.sidecarPath());
    Path note = PartFile.completionNote(stored.file());
    Files.writeString(note, format.formatted(text));
    Path part = PartFile.partOf(stored.file());
    Files.move(stored.file(), part);
    for (Path unfinished : List.of(stored.sidecarPath(), note, PartFile.journalOf(stored.file()))) {
      Files.writeString(unfinished.resolveSibling(unfinished.getFileName() + ".1z9.tmp"), "{");
    }
    assertTrue(store.find(ModelStore.Key.of(URL, null), place).isPresent());
    assertEquals(text, Files.readString(stored.sidecarPath()));
    assertEquals(-1, MODEL.mismatch(stored.file()));
    assertEquals(
        Set.of(stored.file(), stored.sidecarPath()), Set.copyOf(Sidecar.list(place.target())));
  }

  @Test
  void aNoteThatIsCutOffVouchesForNothing() throws Exception {
    ModelStore.Stored stored = adoptCopy();
    String text = Files.readString(stored.sidecarPath());
    Files.delete(stored.sidecarPath());
    Path note = PartFile.completionNote(stored.file());
    for (int length = 0; length < text.length() - 1; length += 20) {
      Files.writeString(note, text.substring(0, length));
      assertTrue(store.find(ModelStore.Key.of(URL, null), place).isEmpty(), "of " + length);
    }
  }

  @Test
  void aPublishThatAnotherProcessFinishesMeanwhileSucceeds() throws Exception {
    try (PartFile part = completePart()) {
      Files.move(part.path(), part.finalPath());
      ModelStore.Stored stored = store.publish(part, origin(URL), MODEL.lengthBytes(), HASH);
      assertEquals(Optional.of(HASH), stored.provenSha256());
      assertTrue(Files.exists(stored.sidecarPath()));
    }
    assertEquals(2, Sidecar.list(place.target()).size(), "the model and its sidecar file");
  }

  @Test
  void aPartThatIsGoneIsNotTakenForPublished() throws Exception {
    try (PartFile part = completePart()) {
      Files.delete(part.path());
      MODEL.writeTo(part.finalPath(), MODEL.lengthBytes());
      assertThrows(
          FetchException.class, () -> store.publish(part, origin(URL), MODEL.lengthBytes(), HASH));
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {-1, 1})
  void aPartThatAnotherProcessHasCutOffOrContinuedIsNotPublished(long addedBytes) throws Exception {
    try (PartFile part = completePart()) {
      try (FileChannel other = FileChannel.open(part.path(), StandardOpenOption.WRITE)) {
        other.truncate(MODEL.lengthBytes() - 1);
        other.write(ByteBuffer.allocate((int) (addedBytes + 1)), other.size());
      }
      assertThrows(
          PartFile.TakenOverException.class,
          () -> store.publish(part, origin(URL), MODEL.lengthBytes(), HASH));
    }
    assertEquals(1, Sidecar.list(place.target()).size(), "the part");
  }

  @Test
  void aFileThatAnotherProcessHasPublishedIsNotCutOff() throws Exception {
    try (PartFile part = completePart()) {
      Files.move(part.path(), part.finalPath());
      FetchException failure = assertThrows(FetchException.class, part::discard);
      assertEquals(FailureKind.BUSY, failure.kind());
      assertEquals(-1, MODEL.mismatch(part.finalPath()));
    }
  }

  @Test
  void theLockIsKeptUntilTheSidecarFileIsWritten() throws Exception {
    try (PartFile part = completePart()) {
      store.publish(part, origin(URL), MODEL.lengthBytes(), HASH);
      try (FileChannel other = FileChannel.open(part.finalPath(), StandardOpenOption.WRITE)) {
        assertThrows(OverlappingFileLockException.class, other::tryLock);
      }
    }
  }

  private PartFile completePart() {
    PartFile part =
        store.openPart(
            origin(URL).name(), place, Duration.ofSeconds(1), new Cancellation(), until -> {});
    part.write(ByteBuffer.wrap(MODEL.bytes()), 0);
    return part;
  }

  @Test
  void whatAnotherWriterNotedInASidecarFileIsKept() throws Exception {
    ModelStore.Stored stored = adoptCopy();
    String text = Files.readString(stored.sidecarPath());
    Files.writeString(
        stored.sidecarPath(), text.replace("\n}", ",\n    \"rating\": [\n        5\n    ]\n}"));
    String kept = Files.readString(adopt(URL).orElseThrow().sidecarPath());
    assertEquals(text.replace("\n}", ",\n    \"rating\": [\n        5\n    ]\n}"), kept);
  }

  private ModelStore.Stored adoptCopy() throws IOException {
    Path other = Files.createDirectories(root.resolve("elsewhere")).resolve("x.safetensors");
    MODEL.writeTo(other, MODEL.lengthBytes());
    return adopt(URL).orElseThrow();
  }

  private Optional<ModelStore.Stored> adopt(String url) {
    return store.adopt(
        origin(url),
        HASH,
        MODEL.lengthBytes(),
        place,
        new ModelStore.Elsewhere(List.of(root.resolve("elsewhere")), null),
        new Cancellation(),
        bytes -> {});
  }

  private static ModelStore.Origin origin(String url) {
    ModelStore.Key key = ModelStore.Key.of(url, null);
    return new ModelStore.Origin(key, ModelFileName.of(null, key.effective()), HASH, null);
  }
}
