package io.anymatix.fetcher.source;

import static io.anymatix.fetcher.testing.Content.MIB;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.fetch.Download;
import io.anymatix.fetcher.fetch.FetchResult;
import io.anymatix.fetcher.fetch.FetchResult.Outcome;
import io.anymatix.fetcher.fetch.FetchResult.Strategy;
import io.anymatix.fetcher.fetch.Fetcher;
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.FakeMega;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.MegaFile;
import io.anymatix.fetcher.testing.Reply;
import io.anymatix.fetcher.testing.Request;
import io.anymatix.fetcher.testing.SignedLinks;
import io.anymatix.fetcher.transfer.Bench;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Mega's files: their links, and that only the right bytes are kept. */
@Timeout(60)
class MegaFileTest {
  private static final MegaFile SMALL = MegaFile.first();

  @SuppressWarnings("NullAway.Init") // set before each test
  @TempDir
  Path folder;

  @SuppressWarnings("NullAway.Init") // set before each test
  private FakeMega mega;

  @SuppressWarnings("NullAway.Init") // set before each test
  private ByteRangeServer storage;

  @SuppressWarnings("NullAway.Init") // set before each test
  private Bench bench;

  @BeforeEach
  void start() {
    mega = FakeMega.start();
    storage = ByteRangeServer.start();
    bench =
        Bench.withTls(
            folder, Duration.ofSeconds(20), FakeMega.CERTIFICATES.caFile(), mega.connectTo());
  }

  @AfterEach
  void stop() {
    bench.close();
    storage.close();
    mega.close();
  }

  /** Publishes a file whose bytes lie on the plain server, so that a script can spoil them. */
  private String publish(MegaFile file, ByteRangeServer.Resource resource) {
    resource.rangesInPath();
    return mega.publish(file, resource::url);
  }

  private static MegaFile large(long seed) {
    return MegaFile.of("large.safetensors", Content.random(seed, 12 * MIB + 7));
  }

  @Test
  void aFileThatOtherCodeHasEncryptedArrivesUnderItsName() throws Exception {
    FetchResult result = bench.fetch(mega.publish(SMALL));
    Bench.assertHolds(SMALL.plain(), result);
    assertTrue(result.fileName().startsWith("first model ü_"), result.fileName());
    assertTrue(result.fileName().endsWith(".safetensors"), result.fileName());
    assertEquals("{\"a\":\"g\",\"g\":1,\"ssl\":2,\"p\":\"File0000\"}", mega.questions().get(0));
  }

  static List<MegaFile> fixtures() {
    return MegaFile.fixtures();
  }

  @ParameterizedTest
  @MethodSource("fixtures")
  void everyFileOfTheFixtureArrives(MegaFile file) throws Exception {
    Bench.assertHolds(file.plain(), bench.fetch(mega.publish(file)));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "https://mega.nz/file/File0000#KEY",
        "https://www.mega.nz/file/File0000#KEY",
        "https://mega.co.nz/file/File0000#KEY",
        "https://mega.io/file/File0000#KEY",
        "https://mega.nz/embed/File0000#KEY",
        "https://mega.nz/#!File0000!KEY",
        "https://mega.co.nz/#!File0000!KEY",
        "https://mega.nz/#%21File0000%21KEY",
      })
  void everyFormOfLinkIsKnown(String form) throws Exception {
    mega.publish(SMALL);
    String link = form.replace("KEY", SMALL.linkKey());
    FetchResult result = bench.fetch(link);
    Bench.assertHolds(SMALL.plain(), result);
    assertEquals(64, result.urlHash().length());
    Path sidecar = Path.of(result.sidecarPath());
    assertFalse(Files.readString(sidecar).contains(SMALL.linkKey()), "the key is on the disk");
  }

  @ParameterizedTest
  @CsvSource({
    "https://mega.nz/folder/Abcd1234#KeyOfAFolderIsShorter, folders",
    "https://mega.nz/folder/Abcd1234#KeyOfAFolder/file/File0000, folders",
    "https://mega.nz/#F!Abcd1234!KeyOfAFolder, folders",
    "https://mega.nz/file/File0000, key",
    "https://mega.nz/file/File0000#tooshort, key",
    "https://mega.nz/, key",
  })
  void aLinkThatIsNotOneFilesIsUnsupported(String link, String why) {
    FetchException failure = bench.failure(link);
    assertEquals(FailureKind.UNSUPPORTED, failure.kind());
    assertTrue(String.valueOf(failure.getMessage()).contains(why), failure.getMessage());
    assertEquals(0, mega.questions().size());
  }

  @ParameterizedTest
  @ValueSource(strings = {"[-3]", "[-4]", "[-18]"})
  void aPassingErrorIsAskedAgain(String answer) throws Exception {
    String link = mega.publish(SMALL);
    mega.answerFirst(answer, answer);
    Bench.assertHolds(SMALL.plain(), bench.fetch(link));
    assertEquals(3, mega.questions().size());
  }

  @Test
  void theKeyOfAnotherFileIsNoticedBeforeAByteIsFetched() {
    String link = mega.publish(SMALL).replace(SMALL.linkKey(), large(61).linkKey());
    FetchException failure = bench.failure(link);
    assertEquals(FailureKind.AUTH, failure.kind());
    assertTrue(failure.hint().contains("#"), failure.hint());
  }

  @Test
  void rangesInThePathAreFetchedInParallel() throws Exception {
    MegaFile file = large(62);
    FetchResult result = bench.fetch(publish(file, storage.serve("/dl/a", file.encrypted())));
    Bench.assertHolds(file.plain(), result);
    assertEquals(Strategy.PARALLEL, result.strategy());
    assertTrue(storage.requests().stream().noneMatch(Request.withHeader("Range")));
    assertTrue(
        storage.requests().stream().allMatch(r -> r.path().matches("/dl/a/\\d+-\\d+")),
        storage.requests().toString());
  }

  @Test
  void aStorageWithoutRangesIsReadInOneStream() throws Exception {
    MegaFile file = large(63);
    String link =
        publish(file, storage.serve("/dl/a", file.encrypted()).with(Fault.ignoresRanges()));
    FetchResult result = bench.fetch(link);
    Bench.assertHolds(file.plain(), result);
    assertEquals(Strategy.SINGLE, result.strategy());
  }

  @Test
  void aFlippedByteIsSeenAndNothingIsKept() throws Exception {
    MegaFile file = large(64);
    String link = publish(file, storage.serve("/dl/a", file.encrypted().withFlippedByte(9 * MIB)));
    FetchException failure = bench.failure(link);
    assertEquals(FailureKind.INTEGRITY, failure.kind());
    assertTrue(
        String.valueOf(failure.getMessage()).contains("large.safetensors"), failure.getMessage());
    try (Stream<Path> files = Files.list(folder)) {
      assertEquals(List.of(), files.toList());
    }
  }

  @Test
  void aUsedUpTransferQuotaKeepsWhatWasReceived() throws Exception {
    MegaFile file = large(65);
    ByteRangeServer.Resource resource =
        storage
            .serve("/dl/a", file.encrypted())
            .when(Request.from(5), Fault.replies(Reply.status(509)));
    String link = publish(file, resource);
    FetchException failure = bench.failure(link);
    assertEquals(FailureKind.QUOTA, failure.kind());
    assertEquals(509, failure.status());
    assertTrue(failure.retryable());
    assertTrue(storage.requests().size() < 30, "it hammers: " + storage.requests().size());
    storage.serve("/dl/a", file.encrypted()).rangesInPath();
    FetchResult result = bench.fetch(link);
    Bench.assertHolds(file.plain(), result);
    assertEquals(Outcome.RESUMED, result.outcome());
    assertTrue(result.bytesReused() >= 2 * MIB, result.bytesReused() + " bytes were kept");
  }

  @ParameterizedTest
  @ValueSource(ints = {403, 404})
  void anAddressThatEndsIsAskedForAgainAndTheBytesAreKept(int status) throws Exception {
    MegaFile file = large(66);
    SignedLinks links = SignedLinks.validForBytes(7 * MIB);
    storage.limitRate(12 * MIB);
    storage
        .serve("/dl/a", file.encrypted())
        .rangesInPath()
        .with(links.demand(Reply.status(status)));
    String link = mega.publish(file, () -> links.sign(storage.url("/dl/a")));
    FetchResult result = bench.fetch(link, 2, new Download());
    Bench.assertHolds(file.plain(), result);
    assertEquals(2, links.issued());
    assertTrue(
        result.bytesTransferred() < file.plain().lengthBytes() + 8 * MIB,
        result.bytesTransferred() + " bytes for one file");
  }

  @Test
  void resumedBytesThatDoNotFitTheMacAreFetchedAgainOnce() throws Exception {
    MegaFile file = large(67);
    String link = publish(file, storage.serve("/dl/a", file.encrypted()));
    Path part = bench.part(link, "large", ".safetensors");
    Content.random(68, 3 * MIB).writeTo(part, 3 * MIB);
    Bench.assertHolds(file.plain(), bench.fetch(link));
  }

  @Test
  void aMegaLinkMayBeTheMirrorOfAPlainOne() throws Exception {
    MegaFile file = large(69);
    storage.limitRate(MIB);
    String plain = storage.serve("/large.safetensors", file.plain()).url();
    FetchResult result =
        bench.fetchMirrored(
            plain, file.plain().sha256(), List.of(mega.publish(file)), new Download());
    Bench.assertHolds(file.plain(), result);
    assertEquals("mega.nz", result.mirrors().get(1).host());
    assertTrue(result.mirrors().get(1).bytes() > 0, result.mirrors().toString());
  }

  @Test
  void theMacHoldsAPlainMirrorAndAMegaLinkTogether() throws Exception {
    MegaFile file = large(70);
    mega.server().limitRate(MIB);
    String plain = storage.serve("/copy.safetensors", file.plain()).url();
    FetchResult result =
        bench.fetchMirrored(mega.publish(file), null, List.of(plain), new Download());
    Bench.assertHolds(file.plain(), result);
    assertTrue(result.mirrors().get(1).bytes() > 0, result.mirrors().toString());
  }

  @Test
  void aPlainMirrorOfOtherBytesIsFoundOutByTheMac() throws Exception {
    MegaFile file = large(71);
    mega.server().limitRate(3 * MIB);
    String plain = storage.serve("/copy.safetensors", large(72).plain()).url();
    FetchResult result =
        bench.fetchMirrored(mega.publish(file), null, List.of(plain), new Download());
    Bench.assertHolds(file.plain(), result);
    assertTrue(result.startedOver());
  }

  @Test
  void theKeyAndTheStoragesAddressAreInNoErrorAndNoProbe() {
    String link = mega.publish(SMALL);
    Fetcher.ProbeResult probe = bench.fetcher().probe(link, null);
    assertEquals("mega", probe.source());
    assertEquals("first model ü.safetensors", probe.fileName());
    assertEquals(SMALL.plain().lengthBytes(), probe.fileSize());
    assertTrue(probe.acceptsRanges(), probe.rangeEvidence());
    assertFalse(probe.toString().contains(SMALL.linkKey()), probe.toString());
    assertFalse(probe.toString().contains("secret-address"), probe.toString());
    mega.server()
        .serve("gfs1.userstorage.mega.co.nz", "/dl/secret-address-0", Content.of())
        .with(Fault.replies(Reply.status(500)));
    FetchException failure = bench.failure(link);
    assertFalse(failure.toString().contains("secret-address"), failure.toString());
    assertFalse(String.valueOf(failure.redactedUrl()).contains("secret-address"));
    assertEquals(Map.of(), failure.facts());
  }
}
