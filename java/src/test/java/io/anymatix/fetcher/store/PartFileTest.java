package io.anymatix.fetcher.store;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.content.Validator;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.store.Journal.CoveredRange;
import io.anymatix.fetcher.store.Journal.Identity;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Which bytes of an earlier attempt are continued. */
class PartFileTest {
  private static final long LENGTH_BYTES = 3 << 20;
  private static final int PREFIX_BYTES = 1_500_000;
  private static final Identity FIRST = new Identity(new Validator("\"v1\"", null), null);
  private static final Identity SECOND = new Identity(new Validator("\"v2\"", null), null);

  @SuppressWarnings("NullAway.Init") // set by JUnit
  @TempDir
  Path folder;

  @Test
  void aPrefixOfTheSameContentIsContinued() throws IOException {
    leavePrefix();
    assertEquals(List.of(new CoveredRange(0, PREFIX_BYTES)), trusted(LENGTH_BYTES, FIRST));
  }

  @Test
  void aPrefixOfAnotherContentIsNot() throws IOException {
    leavePrefix();
    assertEquals(List.of(), trusted(LENGTH_BYTES, SECOND));
  }

  @Test
  void aPrefixOfAContentOfAnotherLengthIsNot() throws IOException {
    leavePrefix();
    assertEquals(List.of(), trusted(LENGTH_BYTES + 1, SECOND));
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 20, 60})
  void aPrefixWhoseJournalIsTornIsNot(int keptBytes) throws IOException {
    leavePrefix();
    Path journal = PartFile.journalOf(finalPath());
    Files.write(journal, Arrays.copyOf(Files.readAllBytes(journal), keptBytes));
    assertEquals(List.of(), trusted(LENGTH_BYTES, FIRST));
    assertEquals(false, Files.exists(journal), "the torn journal");
  }

  @Test
  void aPartOfFullLengthWhoseJournalIsTornCountsOnlyIfAHashCanProveIt() throws IOException {
    for (Sha256 hash : new Sha256[] {null, Sha256.ofUtf8("content")}) {
      leavePrefix();
      try (PartFile part = open()) {
        part.spread(LENGTH_BYTES);
      }
      Files.writeString(PartFile.journalOf(finalPath()), "{\"size\": ");
      assertEquals(
          hash == null ? List.of() : List.of(new CoveredRange(0, LENGTH_BYTES)),
          trusted(LENGTH_BYTES, new Identity(new Validator(null, null), hash)));
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {LENGTH_BYTES, LENGTH_BYTES + 1})
  void aResumeRemovesTheNotesThatADeadProcessWasWriting(long lengthBytes) throws IOException {
    leavePrefix();
    Path journal = PartFile.journalOf(finalPath());
    for (Path unfinished : List.of(journal, PartFile.completionNote(finalPath()))) {
      Files.writeString(folder.resolve(unfinished.getFileName() + ".1z9.tmp"), "{\"size\": ");
    }
    trusted(lengthBytes, FIRST);
    boolean isContinued = lengthBytes == LENGTH_BYTES;
    Path part = PartFile.partOf(finalPath());
    assertEquals(isContinued ? List.of(part, journal) : List.of(), Sidecar.list(folder));
  }

  private void leavePrefix() {
    try (PartFile part = open()) {
      part.begin(LENGTH_BYTES, FIRST, List.of());
      part.write(ByteBuffer.wrap(new byte[PREFIX_BYTES]), 0);
    }
  }

  private List<CoveredRange> trusted(long lengthBytes, Identity identity) {
    try (PartFile part = open()) {
      return part.trusted(lengthBytes, identity);
    }
  }

  private PartFile open() {
    return PartFile.open(
        finalPath(), new SpaceLedger(), Duration.ofSeconds(1), new Cancellation(), until -> {});
  }

  private Path finalPath() {
    return folder.resolve("m.bin");
  }
}
