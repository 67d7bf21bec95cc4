package io.anymatix.fetcher.source;

import static com.github.tomakehurst.wiremock.client.WireMock.aResponse;
import static io.anymatix.fetcher.testing.Content.MIB;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.github.tomakehurst.wiremock.client.ResponseDefinitionBuilder;
import com.github.tomakehurst.wiremock.verification.LoggedRequest;
import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.content.RemoteFile;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.fetch.Download;
import io.anymatix.fetcher.fetch.FetchRequest;
import io.anymatix.fetcher.fetch.FetchResult;
import io.anymatix.fetcher.fetch.FetchResult.Outcome;
import io.anymatix.fetcher.fetch.FetchResult.Strategy;
import io.anymatix.fetcher.fetch.Fetcher;
import io.anymatix.fetcher.fetch.Progress;
import io.anymatix.fetcher.http.RemoteReader;
import io.anymatix.fetcher.http.RequestGate;
import io.anymatix.fetcher.store.EffectiveUrl;
import io.anymatix.fetcher.testing.ByteRangeServer.Resource;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.Gate;
import io.anymatix.fetcher.testing.Request;
import io.anymatix.fetcher.testing.SignedLinks;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BiFunction;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What every source keeps to, over a fake of its site ({@link FakeSites}).
 *
 * <p>To add a source: extend this class as {@code <Name>SourceTest}; name its hosts; let {@link
 * #offer} build the site's way to a file, from the link to the storage host, whose last hop demands
 * a signature; let {@link #answerLink} give one answer to the first request for that link; list in
 * {@link #refusals} each answer that the site is known for and what it means, after {@link
 * #httpRefusals} where plain statuses mean what they mean everywhere. What only this source does
 * gets tests of its own in that class. The site's facts are told in the source's own class.
 *
 * <p>Everything runs as in {@code serve}: https to public addresses only, the real host names.
 */
@Timeout(60)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
abstract class SourceContract {
  /** One token for each site, so that a token at the wrong site is seen. */
  static final Map<String, String> TOKENS =
      Map.of("HF_TOKEN", "hf_contractHUGGINGFACE", "CIVITAI_API_TOKEN", "contractCIVITAI");

  private static final Content LARGE = Content.safetensors(31, 12 * MIB + 345);
  private static final Content SMALL = Content.safetensors(32, 70_000);

  @SuppressWarnings("NullAway.Init") // set before each test
  @TempDir
  Path folder;

  /** The fake hosts, fresh for each test. */
  @SuppressWarnings("NullAway.Init") // set before each test
  FakeSites sites;

  /**
   * An answer of the site and what it means.
   *
   * @param answer what the site answers to the first request for the link
   * @param hintPart a part of the hint that the user gets
   */
  record Refusal(
      String name,
      ResponseDefinitionBuilder answer,
      FailureKind kind,
      boolean retryable,
      String hintPart) {
    @Override
    public String toString() {
      return name + " -> " + kind.wireName();
    }
  }

  /**
   * A file that the site gives away behind a storage host.
   *
   * @param stated what the site says of the file, where it states a hash or length
   * @param served what the storage host sends
   * @param links the signatures that the storage host demands
   * @param refusedWith status of its answer to a link that has ended
   */
  record Offer(Content stated, Content served, SignedLinks links, int refusedWith) {
    static Offer of(Content content) {
      return new Offer(content, content, SignedLinks.validUntilRevoked(), 403);
    }

    Offer served(Content other) {
      return new Offer(stated, other, links, refusedWith);
    }

    Offer links(SignedLinks other, int status) {
      return new Offer(stated, served, other, status);
    }
  }

  /** The name by which results call the source. */
  abstract String source();

  /** The hosts of the site itself. */
  abstract List<String> siteHosts();

  /** The hosts that its files come from. */
  abstract List<String> storageHosts();

  /** A link to a file, as users have it. */
  abstract String link();

  /** The name that the file has at the source. */
  abstract String fileName();

  /** The {@code Authorization} that the site shall see with {@link #TOKENS}; null for none. */
  abstract @Nullable String authorization();

  /** Requests for the source's files that may be open at a time, over all files. */
  abstract int mostConnections();

  /** Gives away a file at {@link #link}; returns what its storage host serves. */
  abstract Resource offer(Offer offer);

  /** Gives this answer, and no other, to the first request for {@link #link}. */
  abstract void answerLink(ResponseDefinitionBuilder answer);

  /** Every answer that the site is known for, and what it means. */
  abstract Stream<Refusal> refusals();

  /** What statuses mean wherever the site says nothing of its own. */
  static Stream<Refusal> httpRefusals() {
    return Stream.of(
        refusal("400", aResponse().withStatus(400), FailureKind.SERVER, "try again later"),
        refusal("401", aResponse().withStatus(401), FailureKind.AUTH, "access token"),
        refusal("403", aResponse().withStatus(403), FailureKind.FORBIDDEN, "your account"),
        refusal("404", aResponse().withStatus(404), FailureKind.NOT_FOUND, "Check the link"),
        refusal("410", aResponse().withStatus(410), FailureKind.GONE, "another source"),
        refusal("429", aResponse().withStatus(429), FailureKind.RATE_LIMITED, "Wait"),
        refusal("500", aResponse().withStatus(500), FailureKind.SERVER, "try again later"),
        refusal("503", aResponse().withStatus(503), FailureKind.SERVER, "try again later"),
        refusal("504", aResponse().withStatus(504), FailureKind.TIMEOUT, "try again later"));
  }

  static Refusal refusal(
      String name, ResponseDefinitionBuilder answer, FailureKind kind, String hintPart) {
    return new Refusal(name, answer, kind, kind.retryable(), hintPart);
  }

  @BeforeEach
  void startSites() {
    sites = FakeSites.start(siteHosts(), storageHosts());
  }

  @AfterEach
  void stopSites() {
    sites.close();
  }

  final Fetcher fetcher() {
    return new Fetcher(sites.config(folder), TOKENS);
  }

  final FetchRequest request(String url) {
    return new FetchRequest(url, null, folder.toString(), null, null, null, null, null, null);
  }

  final FetchResult fetch(String url) {
    try (Fetcher fetcher = fetcher()) {
      return fetcher.fetch(request(url), new Download());
    }
  }

  /** Works with the sources alone: no wait and no second attempt, unless they make one. */
  final <T> T ask(Map<String, String> environment, BiFunction<Sources, Cancellation, T> question) {
    HubSettings hub = HubSettings.of(environment);
    Config config = sites.config(folder);
    try (RemoteReader reader =
        new RemoteReader(config, Set.of(hub.endpoint()), new RequestGate())) {
      Credentials credentials = new Credentials(environment, hub);
      return question.apply(new Sources(reader, credentials, hub, config), new Cancellation());
    }
  }

  /** Asks the source where the bytes of a link are. */
  final RemoteFile resolve(String url, @Nullable String auth, Map<String, String> environment) {
    String effectiveUrl = EffectiveUrl.of(url, auth).text();
    return ask(
        environment, (sources, c) -> sources.resolve(Sources.Wish.of(url, effectiveUrl, auth), c));
  }

  final FetchException resolveFailure(String url) {
    return assertThrows(FetchException.class, () -> resolve(url, null, TOKENS));
  }

  static void assertHolds(Content content, FetchResult result) throws Exception {
    assertEquals(-1, content.mismatch(Path.of(result.path())), "first wrong byte");
    assertEquals(content.lengthBytes(), result.fileSize());
  }

  @Test
  void aWholeFileArrivesInRangesUnderTheNameOfTheSource() throws Exception {
    offer(Offer.of(LARGE));
    try (Fetcher fetcher = fetcher()) {
      FetchResult result = fetcher.fetch(request(link()), new Download());
      assertHolds(LARGE, result);
      assertNotEquals(Strategy.SINGLE, result.strategy());
      assertEquals(fileName(), fetcher.probe(link(), null).fileName());
      assertEquals(source(), fetcher.probe(link(), null).source());
    }
  }

  @Test
  void whatAnEndedDownloadReceivedIsContinued() throws Exception {
    offer(Offer.of(LARGE));
    sites.storage().limitRate(4 * MIB);
    try (Fetcher fetcher = fetcher()) {
      Download download = new Download();
      CompletableFuture<FetchResult> running =
          CompletableFuture.supplyAsync(() -> fetcher.fetch(request(link()), download));
      while (download.snapshot().receivedBytes() < 2 * MIB && !running.isDone()) {
        LockSupport.parkNanos(1_000_000);
      }
      download.cancel();
      ExecutionException end =
          assertThrows(ExecutionException.class, () -> running.get(5, TimeUnit.SECONDS));
      assertTrue(end.getCause() instanceof CancelledException, String.valueOf(end.getCause()));
    }
    sites.storage().limitRate(1024 * MIB);
    FetchResult result = fetch(link());
    assertHolds(LARGE, result);
    assertEquals(Outcome.RESUMED, result.outcome());
    assertTrue(result.bytesReused() >= MIB, result.bytesReused() + " bytes were reused");
  }

  @Test
  void allFilesTogetherHaveTheConnectionsThatTheSourceBears() throws Exception {
    Content content = Content.safetensors(33, (mostConnections() + 1) * MIB);
    Gate gate = new Gate();
    offer(Offer.of(content)).when(Request::isForMore, Fault.waitsFor(gate));
    try (Fetcher fetcher = fetcher()) {
      CompletableFuture<FetchResult> first = startInto("one", fetcher, 64, new Download());
      gate.awaitArrivals(mostConnections());
      Download waiting = new Download();
      CompletableFuture<FetchResult> second = startInto("other", fetcher, 64, waiting);
      while (waiting.snapshot().phase() != Progress.Phase.WAITING
          && gate.arrivals() == mostConnections()
          && !second.isDone()) {
        LockSupport.parkNanos(1_000_000);
      }
      assertEquals(mostConnections(), gate.arrivals(), "requests for bytes");
      String reason = String.valueOf(waiting.snapshot().reason());
      assertTrue(reason.contains(mostConnections() + " connections"), reason);
      gate.open();
      assertHolds(content, first.get(30, TimeUnit.SECONDS));
      assertHolds(content, second.get(30, TimeUnit.SECONDS));
    }
  }

  @Test
  void aFileInOneStreamAndWhatIsAskedBesideItCountAsWell() throws Exception {
    int inRanges = mostConnections() - 1;
    Content content = Content.safetensors(34, (inRanges + 1) * MIB);
    Gate gate = new Gate();
    offer(Offer.of(content))
        .when(Request::isForMore, Fault.waitsFor(gate))
        .when(request -> gate.arrivals() >= inRanges, Fault.ignoresRanges());
    try (Fetcher fetcher = fetcher()) {
      CompletableFuture<FetchResult> ranges =
          startInto("ranges", fetcher, inRanges, new Download());
      gate.awaitArrivals(inRanges);
      CompletableFuture<FetchResult> stream = startInto("stream", fetcher, 1, new Download());
      gate.awaitArrivals(mostConnections());
      int asked = sites.storage().requests().size();
      Download waiting = new Download();
      CompletableFuture<FetchResult> tooMany = startInto("too many", fetcher, 1, waiting);
      while (waiting.snapshot().phase() != Progress.Phase.WAITING
          && gate.arrivals() == mostConnections()
          && !tooMany.isDone()) {
        LockSupport.parkNanos(1_000_000);
      }
      assertEquals(mostConnections(), gate.arrivals(), "requests for bytes");
      assertEquals(asked, sites.storage().requests().size(), "requests in all");
      String reason = String.valueOf(waiting.snapshot().reason());
      assertTrue(reason.contains(mostConnections() + " connections"), reason);
      gate.open();
      for (CompletableFuture<FetchResult> each : List.of(ranges, stream, tooMany)) {
        assertHolds(content, each.get(30, TimeUnit.SECONDS));
      }
    }
  }

  /** Begins to fetch the link into a folder of its own. */
  private CompletableFuture<FetchResult> startInto(
      String name, Fetcher fetcher, int connections, Download download) {
    FetchRequest request =
        new FetchRequest(
            link(),
            null,
            folder.resolve(name).toString(),
            null,
            null,
            null,
            null,
            null,
            connections);
    return CompletableFuture.supplyAsync(() -> fetcher.fetch(request, download));
  }

  @ParameterizedTest
  @ValueSource(ints = {401, 403})
  void aSignedLinkThatHasEndedIsAskedForAgain(int refusedWith) throws Exception {
    SignedLinks links = SignedLinks.validForRequests(4);
    offer(Offer.of(LARGE).links(links, refusedWith));
    FetchResult result = fetch(link());
    assertHolds(LARGE, result);
    assertTrue(links.issued() >= 2, links.issued() + " links");
    assertNoCredentialsAtTheStorage();
  }

  @Test
  void aTokenIsShownToItsOwnSiteAlone() throws Exception {
    offer(Offer.of(SMALL));
    fetch(link());
    List<LoggedRequest> asked = sites.siteRequests();
    assertFalse(asked.isEmpty(), "the site was not asked");
    for (LoggedRequest request : asked) {
      assertEquals(authorization(), request.getHeader("Authorization"), request.getUrl());
    }
    assertNoCredentialsAtTheStorage();
  }

  private void assertNoCredentialsAtTheStorage() {
    List<Request> requests = sites.storage().requests();
    assertFalse(requests.isEmpty(), "the storage was not asked");
    for (Request request : requests) {
      assertNull(request.header("Authorization"), "a token left its site");
      assertNull(request.header("Cookie"), "a cookie left its site");
      TOKENS.values().forEach(token -> assertFalse(request.target().contains(token)));
    }
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("refusals")
  void aRefusalIsToldAsWhatItMeans(Refusal refusal) throws Exception {
    answerLink(refusal.answer());
    FetchException failure = resolveFailure(link());
    assertEquals(refusal.kind(), failure.kind(), failure.getMessage());
    assertEquals(refusal.retryable(), failure.retryable());
    assertTrue(failure.hint().contains(refusal.hintPart()), failure.hint());
    assertShowsNoSecret(failure);
    try (Stream<Path> files = Files.list(folder)) {
      assertEquals(List.of(), files.toList(), "a refusal leaves nothing behind");
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "https://169.254.169.254/latest/meta-data",
        "https://localhost/secret",
        "https://127.0.0.1/secret",
        "https://2130706433/secret",
        "https://[::ffff:127.0.0.1]/secret",
        "https://10.0.0.1/secret",
        "http://example.com/plain",
      })
  void aRedirectToAForbiddenAddressIsRefused(String location) {
    answerLink(aResponse().withStatus(302).withHeader("Location", location));
    FetchException failure = resolveFailure(link());
    assertEquals(FailureKind.POLICY, failure.kind(), failure.getMessage());
  }

  @Test
  void aPageInPlaceOfTheFileIsNotKept() {
    String page = "<!DOCTYPE html><html><body>" + "Sign in ".repeat(500) + "</body></html>";
    offer(Offer.of(SMALL).served(Content.text(page)));
    FetchException failure = assertThrows(FetchException.class, () -> fetch(link()));
    assertTrue(
        List.of(FailureKind.NOT_A_MODEL, FailureKind.INTEGRITY).contains(failure.kind()),
        failure.getMessage());
    assertShowsNoSecret(failure);
  }

  @Test
  void aStorageHostThatRefusesForGoodIsToldWithoutItsSignature() {
    offer(Offer.of(SMALL).links(SignedLinks.validForRequests(0), 403));
    FetchException failure = assertThrows(FetchException.class, () -> fetch(link()));
    assertEquals(FailureKind.FORBIDDEN, failure.kind(), failure.getMessage());
    assertShowsNoSecret(failure);
  }

  static void assertShowsNoSecret(FetchException failure) {
    String shown =
        failure.getMessage() + failure.redactedUrl() + failure.hint() + failure.facts().values();
    TOKENS.values().forEach(token -> assertFalse(shown.contains(token), shown));
    assertFalse(shown.matches("(?s).*signature=\\d.*"), shown);
  }
}
