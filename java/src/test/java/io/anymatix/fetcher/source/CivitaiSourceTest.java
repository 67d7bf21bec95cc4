package io.anymatix.fetcher.source;

import static com.github.tomakehurst.wiremock.client.WireMock.aResponse;
import static com.github.tomakehurst.wiremock.client.WireMock.get;
import static com.github.tomakehurst.wiremock.client.WireMock.getRequestedFor;
import static com.github.tomakehurst.wiremock.client.WireMock.okJson;
import static com.github.tomakehurst.wiremock.client.WireMock.urlPathEqualTo;
import static io.anymatix.fetcher.testing.Content.KIB;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.github.tomakehurst.wiremock.client.ResponseDefinitionBuilder;
import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.config.HomeFolder;
import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.fetch.Download;
import io.anymatix.fetcher.fetch.FetchRequest;
import io.anymatix.fetcher.fetch.FetchResult;
import io.anymatix.fetcher.fetch.FetchResult.Outcome;
import io.anymatix.fetcher.fetch.FetchResult.Verification;
import io.anymatix.fetcher.fetch.Fetcher;
import io.anymatix.fetcher.fetch.MetadataResult;
import io.anymatix.fetcher.fetch.Progress;
import io.anymatix.fetcher.http.RemoteReader;
import io.anymatix.fetcher.testing.ByteRangeServer.Resource;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.Reply;
import io.anymatix.fetcher.testing.SignedLinks;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * CivitAI: a download link leads to a signed address of an object store; the API tells about the
 * version. The fake answers as the site does: 307 with {@code no-store}, errors in JSON for honest
 * agents and a page for browsers; its storage answers 400 to a request that carries a token.
 */
class CivitaiSourceTest extends SourceContract {
  private static final String R2 = "civitai-delivery.1a2b.r2.cloudflarestorage.com";
  private static final String B2 = "b2.civitai-files.backblazeb2.com";
  private static final String DOWNLOAD = "/api/download/models/128713";
  private static final String ABOUT = "/api/v1/model-versions/128713";
  private static final String NAME = "Dream Shaper.safetensors";
  private static final Content FILE = Content.safetensors(41, 70 * KIB);
  private static final Content OTHER = Content.safetensors(42, 50 * KIB);
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String BROWSER = ".*(mozilla|chrome|safari|firefox|opera|edge).*";

  private static final String WRONG = "ab".repeat(32);
  private static final Duration SHORT = Duration.ofMillis(400);

  @Override
  String source() {
    return "civitai";
  }

  @Override
  List<String> siteHosts() {
    return List.of("civitai.com", "civitai.red", "civitai.green");
  }

  @Override
  List<String> storageHosts() {
    return List.of(R2, B2);
  }

  @Override
  String link() {
    return "https://civitai.com" + DOWNLOAD;
  }

  @Override
  String fileName() {
    return NAME;
  }

  @Override
  String authorization() {
    return "Bearer " + TOKENS.get("CIVITAI_API_TOKEN");
  }

  @Override
  int mostConnections() {
    return 16;
  }

  @Override
  Resource offer(Offer offer) {
    offer(offer, R2, DOWNLOAD);
    about(version(file(1, NAME, offer.stated(), offer.stated().sha256())));
    return sites
        .storage()
        .serve(R2, "/blob", offer.served())
        .with(
            offer.links().demand(Reply.status(offer.refusedWith())),
            refusesTokens(),
            Fault.header("Content-Disposition", "attachment; filename=\"" + NAME + "\""));
  }

  private void offer(Offer offer, String host, String path) {
    sites.answer(
        get(urlPathEqualTo(path)),
        request ->
            request.getHeader("User-Agent").toLowerCase(Locale.ROOT).matches(BROWSER)
                ? aResponse().withStatus(302).withHeader("Location", "/login?returnUrl=/")
                : aResponse()
                    .withStatus(307)
                    .withHeader("Cache-Control", "no-store")
                    .withHeader("Location", offer.links().sign("https://" + host + "/blob")));
  }

  private static Fault refusesTokens() {
    return Fault.replies(
        request -> request.header("Authorization") == null ? null : Reply.status(400));
  }

  /** Serves {@link #FILE}, by whatever the version tells. */
  private void offerWith(ObjectNode version) {
    offer(Offer.of(FILE));
    about(version);
  }

  private void about(ObjectNode version) {
    about(okJson(version.toString()));
  }

  private void about(ResponseDefinitionBuilder answer) {
    sites.site().stubFor(get(urlPathEqualTo(ABOUT)).willReturn(answer));
  }

  @Override
  void answerLink(ResponseDefinitionBuilder answer) {
    about(json(404, "{\"error\":\"No version with that id\"}"));
    sites
        .site()
        .stubFor(
            get(urlPathEqualTo("/login"))
                .willReturn(
                    aResponse()
                        .withHeader("Content-Type", "text/html; charset=utf-8")
                        .withBody("<!DOCTYPE html><title>Sign in</title>")));
    sites.site().stubFor(get(urlPathEqualTo(DOWNLOAD)).willReturn(answer));
  }

  @Override
  Stream<Refusal> refusals() {
    String deadline = "2026-12-24T10:00:00.000Z";
    return Stream.of(
        refusal(
            "bad id",
            json(400, "{\"error\":\"Bad Request\"}"),
            FailureKind.SERVER,
            "try again later"),
        refusal(
            "login needed",
            json(401, "{\"error\":\"Unauthorized\",\"message\":\"You have to log in\"}"),
            FailureKind.AUTH,
            "API key"),
        refusal(
            "downloads disabled",
            json(
                401,
                "{\"error\":\"Unauthorized\",\"message\":\"The creator has disabled downloads\"}"),
            FailureKind.FORBIDDEN,
            "another source"),
        refusal(
            "early access",
            json(403, "{\"error\":\"Early Access\",\"deadline\":\"" + deadline + "\"}"),
            FailureKind.EARLY_ACCESS,
            deadline),
        refusal(
            "plain forbidden",
            json(403, "{\"error\":\"Forbidden\"}"),
            FailureKind.FORBIDDEN,
            "your account"),
        refusal(
            "not found",
            json(404, "{\"error\":\"File not found\"}"),
            FailureKind.NOT_FOUND,
            "fileId"),
        refusal(
            "archived",
            json(410, "{\"error\":\"Gone\",\"message\":\"Archived\"}"),
            FailureKind.GONE,
            "another version"),
        refusal(
            "too much",
            aResponse()
                .withStatus(429)
                .withHeader("Content-Type", "text/plain")
                .withBody("We have noticed an unusual amount of downloading"),
            FailureKind.RATE_LIMITED,
            "Wait"),
        refusal(
            "a page for browsers",
            aResponse().withStatus(302).withHeader("Location", "/login?returnUrl=%2Fmodels%2F1"),
            FailureKind.AUTH,
            "API key"),
        refusal(
            "another page",
            aResponse().withHeader("Content-Type", "text/html").withBody("<!DOCTYPE html>"),
            FailureKind.NOT_A_MODEL,
            "not to a page"),
        refusal("500", aResponse().withStatus(500), FailureKind.SERVER, "try again later"),
        refusal("503", aResponse().withStatus(503), FailureKind.SERVER, "try again later"));
  }

  private static ResponseDefinitionBuilder json(int status, String body) {
    return aResponse()
        .withStatus(status)
        .withHeader("Content-Type", "application/json")
        .withBody(body);
  }

  private static ObjectNode version(ObjectNode... files) {
    ObjectNode version = JSON.createObjectNode();
    version.put("id", 128713).put("modelId", 4384).put("name", "8").put("baseModel", "SD 1.5");
    version.putArray("trainedWords").add("dreamy").add("shaper style");
    version.putObject("model").put("name", "DreamShaper").put("type", "Checkpoint");
    version.putArray("files").addAll(List.of(files));
    version.put("earlyAccessEndsAt", (String) null).put("nsfwLevel", 1e3);
    return version;
  }

  private static ObjectNode file(int id, String name, Content content, @Nullable String sha256) {
    ObjectNode file = JSON.createObjectNode();
    file.put("id", id).put("sizeKB", content.lengthBytes() / 1024.0).put("name", name);
    file.put("type", "Model");
    file.putObject("metadata").put("format", "SafeTensor").put("size", "pruned").put("fp", "fp16");
    ObjectNode hashes = file.putObject("hashes").put("AutoV2", "879DB523C3");
    if (sha256 != null) {
      hashes.put("SHA256", sha256.toUpperCase(Locale.ROOT));
    }
    return file;
  }

  private FetchRequest request(
      String url, @Nullable String auth, @Nullable String sha256, @Nullable String fileId) {
    return new FetchRequest(url, null, folder.toString(), auth, sha256, null, null, fileId, null);
  }

  private FetchResult fetch(FetchRequest request) {
    try (Fetcher fetcher = fetcher()) {
      return fetcher.fetch(request, new Download());
    }
  }

  /** Gives up metadata soon. */
  private Fetcher impatient() {
    return new Fetcher(config().metadataTimeout(SHORT).build(), TOKENS);
  }

  /** Keeps its state in a folder. */
  private Fetcher withHome(Path home) {
    return new Fetcher(config().home(new HomeFolder(home)).build(), TOKENS);
  }

  private Config.Builder config() {
    return sites.settings(folder);
  }

  private int asked(String path) {
    return sites.site().findAll(getRequestedFor(urlPathEqualTo(path))).size();
  }

  /** How often the file itself was sent: its probes take a byte each. */
  private long downloads() {
    long sent = sites.storage().bytesSent();
    return Math.round((double) sent / FILE.lengthBytes());
  }

  private static JsonNode sidecar(FetchResult result) throws Exception {
    return JSON.readTree(Path.of(result.sidecarPath()).toFile());
  }

  // What the site tells

  @Test
  void whatIsToldOfTheVersionIsKeptAsReceivedAndTold() throws Exception {
    ObjectNode version = version(file(1, NAME, FILE, FILE.sha256()));
    offerWith(version);
    BlockingQueue<Progress> told = new LinkedBlockingQueue<>();
    Download download = new Download();
    download.onMetadata(told::add);
    try (Fetcher fetcher = fetcher()) {
      FetchResult result = fetcher.fetch(request(link()), download);
      assertEquals(version.toString(), String.valueOf(result.metadata()));
      assertEquals(version.toString(), sidecar(result).get("data").toString());
      assertEquals(Verification.SHA256_SOURCE, result.verification());
      assertEquals(FILE.sha256(), sidecar(result).get("remote_sha256").asText());
    }
    Progress first = told.poll(30, TimeUnit.SECONDS);
    assertNotNull(first);
    assertEquals(Progress.Status.METADATA, first.status());
    assertEquals("SD 1.5", first.baseModel());
    assertEquals("dreamy, shaper style", first.trainedWords());
    assertEquals(List.of(), List.copyOf(told), "told once");
  }

  @Test
  void aPresentFileIsToldOfFromItsSidecarFileWithoutARequest() {
    offer(Offer.of(FILE));
    fetch(link());
    int requests = sites.siteRequests().size();
    List<Progress> told = new ArrayList<>();
    Download download = new Download();
    download.onMetadata(told::add);
    try (Fetcher fetcher = fetcher()) {
      FetchResult result = fetcher.fetch(request(link()), download);
      assertEquals(Outcome.PRESENT, result.outcome());
      assertNotNull(result.metadata());
    }
    assertEquals(List.of("SD 1.5"), told.stream().map(Progress::baseModel).toList());
    assertEquals(requests, sites.siteRequests().size());
  }

  @Test
  void anErrorThatAnEarlierVersionStoredAsMetadataIsNotToldOf() throws Exception {
    offer(Offer.of(FILE));
    about(aResponse().withStatus(404));
    FetchResult result = fetch(link());
    Path sidecar = Path.of(result.sidecarPath());
    String text = Files.readString(sidecar);
    Files.writeString(sidecar, text.replaceFirst("\\{", "{\"data\":{\"error\":\"Not found\"},"));
    List<Progress> told = new ArrayList<>();
    Download download = new Download();
    download.onMetadata(told::add);
    try (Fetcher fetcher = fetcher()) {
      assertEquals(Outcome.PRESENT, fetcher.fetch(request(link()), download).outcome());
    }
    assertEquals(List.of(), told);
  }

  static Stream<ResponseDefinitionBuilder> uselessAnswers() {
    return Stream.of(
        json(404, "{\"error\":\"No version with that id\"}"),
        json(500, "oops"),
        aResponse().withHeader("Content-Type", "text/html").withBody("<html>maintenance</html>"),
        json(200, ""),
        json(200, "[]"),
        json(200, "{\"id\":128713"),
        json(200, "{\"a\":".repeat(100_000) + "1" + "}".repeat(100_000)),
        json(200, "{\"a\":" + "[".repeat(60) + "0" + ",0".repeat(1 << 20) + "]".repeat(60) + "}"),
        json(200, "{\"description\":\"" + "x".repeat(9 << 20) + "\"}"),
        aResponse().withFault(com.github.tomakehurst.wiremock.http.Fault.CONNECTION_RESET_BY_PEER),
        aResponse().withFault(com.github.tomakehurst.wiremock.http.Fault.MALFORMED_RESPONSE_CHUNK));
  }

  @ParameterizedTest
  @MethodSource("uselessAnswers")
  void metadataThatCanNotBeUsedCostsNothingButItself(ResponseDefinitionBuilder answer)
      throws Exception {
    offer(Offer.of(FILE));
    about(answer);
    FetchResult result = fetch(link());
    assertHolds(FILE, result);
    assertNull(result.metadata());
    assertFalse(sidecar(result).has("data"));
    assertEquals(Verification.SHA256_COMPUTED, result.verification());
  }

  @Test
  void metadataThatDoesNotComeIsGivenUpAfterItsOwnTimeBesideTheDownload() throws Exception {
    offer(Offer.of(FILE));
    about(okJson(version().toString()).withFixedDelay(20_000));
    long begin = System.nanoTime();
    try (Fetcher fetcher = impatient()) {
      FetchResult result = fetcher.fetch(request(link()), new Download());
      assertHolds(FILE, result);
      assertNull(result.metadata());
    }
    long millis = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - begin);
    assertTrue(millis >= SHORT.toMillis() && millis < 8000, millis + " ms");
  }

  @Test
  void metadataThatDripsForEverIsGivenUpToo() throws Exception {
    offer(Offer.of(FILE));
    about(okJson(version().toString()).withChunkedDribbleDelay(100, 20_000));
    try (Fetcher fetcher = impatient()) {
      FetchResult result = fetcher.fetch(request(link()), new Download());
      assertHolds(FILE, result);
      assertNull(result.metadata());
    }
  }

  @Test
  void lateMetadataStillProvesTheFileAndGoesIntoTheSidecarFile() throws Exception {
    offer(Offer.of(FILE));
    ObjectNode version = version(file(1, NAME, FILE, FILE.sha256()));
    about(okJson(version.toString()).withFixedDelay(2600));
    FetchResult result = fetch(link());
    assertEquals(Verification.SHA256_SOURCE, result.verification());
    assertTrue(sidecar(result).has("data"));
  }

  @Test
  void aVersionThatThisHostHidesIsLookedUpByTheHashThatTheCallerStates() {
    offer(Offer.of(FILE));
    about(json(404, "{\"error\":\"No version with that id\"}"));
    sites
        .site()
        .stubFor(
            get(urlPathEqualTo("/api/v1/model-versions/by-hash/" + FILE.sha256()))
                .willReturn(okJson(version().toString())));
    FetchResult result = fetch(request(link(), null, FILE.sha256(), null));
    assertNotNull(result.metadata());
    assertEquals(Verification.SHA256_CALLER, result.verification());
  }

  @Test
  void aFileThatIsHereUnderAnotherUrlIsFoundByTheHashThatTheSiteTells() {
    offer(Offer.of(FILE));
    // Kept there, what the site tells is known at once; a slow answer is not waited for for long.
    try (Fetcher fetcher = withHome(folder.resolve("home"))) {
      fetcher.fetch(request(link()), new Download());
      long sent = sites.storage().bytesSent();
      FetchResult result =
          fetcher.fetch(request(link() + "?type=Model&format=SafeTensor"), new Download());
      assertEquals(Outcome.ADOPTED, result.outcome());
      assertTrue(sites.storage().bytesSent() - sent < 100, "only a probe");
      assertNotNull(result.metadata());
    }
  }

  // Which file is served, and whether its hash is right

  @Test
  void ofTwoFilesOfOneNameTheOneOfTheServedLengthIsMeant() throws Exception {
    offerWith(version(file(7, NAME, OTHER, OTHER.sha256()), file(8, NAME, FILE, FILE.sha256())));
    FetchResult result = fetch(link());
    assertEquals(Verification.SHA256_SOURCE, result.verification());
    assertEquals(FILE.sha256(), sidecar(result).get("remote_sha256").asText());
  }

  @Test
  void whereTwoFilesMayBeMeantNoHashIsUsed() {
    offerWith(version(file(7, NAME, FILE, WRONG), file(8, NAME, FILE, FILE.sha256())));
    assertEquals(Verification.SHA256_COMPUTED, fetch(link()).verification());
  }

  @Test
  void aFileWithoutAHashIsMeasured() {
    offerWith(version(file(7, NAME, FILE, null), file(8, "a.bin", OTHER, OTHER.sha256())));
    assertEquals(Verification.SHA256_COMPUTED, fetch(link()).verification());
  }

  @Test
  void aWrongHashIsToldOfAfterTheSameBytesHaveComeTwice() {
    offerWith(version(file(1, NAME, FILE, WRONG)));
    FetchException failure = assertThrows(FetchException.class, () -> fetch(link()));
    assertEquals(FailureKind.INTEGRITY, failure.kind());
    assertEquals(2, downloads(), "downloads");
    assertTrue(failure.hint().contains(WRONG), failure.hint());
    assertTrue(failure.hint().contains(FILE.sha256()), failure.hint());
    assertTrue(failure.hint().contains("\"sha256\" in the call"), failure.hint());
    assertEquals(Map.of("expectedSha256", WRONG, "actualSha256", FILE.sha256()), failure.facts());
  }

  @Test
  void aHashInTheCallDecidesAgainstTheSite() throws Exception {
    offerWith(version(file(1, NAME, FILE, WRONG)));
    FetchResult result = fetch(request(link(), null, FILE.sha256(), null));
    assertHolds(FILE, result);
    assertEquals(1, downloads(), "downloads");
    assertEquals(Verification.SHA256_CALLER, result.verification());
    assertTrue(sidecar(result).get("remote_sha256").isNull(), "a wrong word is not kept");
  }

  @Test
  void bytesThatComeWrongOnceAreFetchedAgain() throws Exception {
    Content broken = Content.safetensors(43, FILE.lengthBytes());
    offerWith(version(file(1, NAME, FILE, FILE.sha256())));
    AtomicInteger bodies = new AtomicInteger();
    sites
        .storage()
        .serve(R2, "/blob", FILE)
        .with(Fault.header("Content-Disposition", "attachment; filename=\"" + NAME + "\""))
        .when(r -> isBody(r) && bodies.getAndIncrement() == 0, Fault.serves(broken));
    FetchResult result = fetch(link());
    assertHolds(FILE, result);
    assertTrue(result.startedOver());
    assertEquals(2, downloads(), "downloads");
  }

  private static boolean isBody(io.anymatix.fetcher.testing.Request request) {
    return !"bytes=0-0".equals(request.header("Range"));
  }

  // Link forms

  @ParameterizedTest
  @CsvSource({
    "https://civitai.com/models/4384?modelVersionId=128713",
    "https://civitai.com/models/4384/dreamshaper?modelVersionId=128713",
    "https://www.civitai.com/models/4384/dreamshaper?modelVersionId=128713",
    "https://civitai.red/models/4384/dreamshaper?modelVersionId=128713",
    "https://civitai.green/models/4384?modelVersionId=128713#gallery",
    "https://civitai.com/models/4384/dreamshaper",
    "https://civitai.com/de/models/4384",
    "https://civitai.com/model-versions/128713",
    "https://civitai.com/api/v1/model-versions/128713",
    "https://civitai.com/api/v1/model-versions/by-hash/879DB523C3",
  })
  void aPageIsAsGoodAsTheDownloadLink(String url) throws Exception {
    offer(Offer.of(FILE));
    sites
        .site()
        .stubFor(
            get(urlPathEqualTo("/api/v1/model-versions/by-hash/879DB523C3"))
                .willReturn(okJson(version(file(1, NAME, FILE, FILE.sha256())).toString())));
    sites
        .site()
        .stubFor(
            get(urlPathEqualTo("/api/v1/models/4384"))
                .willReturn(
                    okJson(
                        """
                        {"id": 4384, "modelVersions": [
                          {"id": 5, "publishedAt": "2023-07-30T01:00:00Z", "status": "Published"},
                          {"id": 7, "publishedAt": null, "status": "Draft"},
                          {"id": 128713, "publishedAt": "2023-07-30T02:00:00.000Z"},
                          {"id": 6, "publishedAt": "2022-07-30T03:00:00.000Z"}]}
                        """)));
    FetchResult result = fetch(url);
    assertHolds(FILE, result);
    assertEquals(Sha256.ofUtf8(url).hex(), result.urlHash(), "named after what the caller wrote");
    assertEquals(url, sidecar(result).get("url").asText());
    assertEquals("Dream Shaper_" + result.urlHash() + ".safetensors", result.fileName());
    assertEquals(Verification.SHA256_SOURCE, result.verification());
    assertNotNull(result.metadata());
  }

  @ParameterizedTest
  @ValueSource(strings = {"https://civitai.com/", "https://civitai.com/user/somebody/models"})
  void anotherPageIsNoModel(String url) {
    assertEquals(FailureKind.UNSUPPORTED, resolveFailure(url).kind());
  }

  @Test
  void aModelWithoutAPublishedVersionIsNotFound() {
    sites
        .site()
        .stubFor(
            get(urlPathEqualTo("/api/v1/models/9")).willReturn(okJson("{\"modelVersions\":[]}")));
    assertEquals(FailureKind.NOT_FOUND, resolveFailure("https://civitai.com/models/9").kind());
  }

  @Test
  void theFileThatTheCallerNamesIsAskedFor() throws Exception {
    offerWith(version(file(7, NAME, FILE, WRONG), file(8, NAME, FILE, FILE.sha256())));
    FetchResult result = fetch(request(link() + "?type=Model", null, null, "8"));
    assertEquals(Verification.SHA256_SOURCE, result.verification());
    assertTrue(
        sites.siteRequests().stream().anyMatch(r -> r.getUrl().equals(DOWNLOAD + "?fileId=8")),
        sites.siteRequests().toString());
    assertEquals(
        Outcome.PRESENT, fetch(request(link() + "?type=Model", null, null, "8")).outcome());
    FetchException another =
        assertThrows(
            FetchException.class,
            () -> fetch(request(link() + "?type=Model", null, null, "7")),
            "the file that is there is another one of the version");
    assertEquals(FailureKind.INTEGRITY, another.kind());
  }

  @Test
  void aVariantThatTheSiteDoesNotFindIsAskedForByItsFileId() throws Exception {
    ObjectNode full = file(7, "full.safetensors", OTHER, OTHER.sha256());
    ((ObjectNode) full.get("metadata")).put("size", "full").put("fp", "fp32");
    offerWith(version(full, file(8, NAME, FILE, FILE.sha256())));
    SignedLinks links = SignedLinks.validUntilRevoked();
    sites.answer(
        get(urlPathEqualTo(DOWNLOAD)),
        request ->
            request.queryParameter("fileId").isPresent()
                ? aResponse()
                    .withStatus(307)
                    .withHeader("Location", links.sign("https://" + R2 + "/blob"))
                : json(404, "{\"error\":\"File not found\"}"));
    sites
        .storage()
        .serve(R2, "/blob", FILE)
        .with(
            links.demand(Reply.status(403)),
            Fault.header("Content-Disposition", "attachment; filename=\"" + NAME + "\""));
    FetchResult result = fetch(link() + "?type=Model&format=safetensor&size=pruned&fp=FP16");
    assertHolds(FILE, result);
    assertTrue(
        sites.siteRequests().stream().anyMatch(r -> r.getUrl().equals(DOWNLOAD + "?fileId=8")));
  }

  @Test
  void aLapseOfTheSitesStorageIsWaitedOut() throws Exception {
    offer(Offer.of(FILE));
    SignedLinks links = SignedLinks.validUntilRevoked();
    AtomicInteger requests = new AtomicInteger();
    sites.answer(
        get(urlPathEqualTo(DOWNLOAD)),
        request ->
            requests.getAndIncrement() < 2
                ? json(404, "{\"error\":\"File not found\"}")
                    .withHeader("Cache-Control", "private, no-store")
                : aResponse()
                    .withStatus(307)
                    .withHeader("Location", "https://" + R2 + "/blob?signature=1"));
    links.sign("https://" + R2 + "/blob");
    sites.storage().serve(R2, "/blob", FILE);
    assertHolds(FILE, fetch(link()));
  }

  @Test
  void aFileThatTheStorageDoesNotNameIsCalledAsTheVersionTells() {
    offer(Offer.of(FILE), B2, DOWNLOAD);
    sites.storage().serve(B2, "/blob", FILE);
    about(version(file(7, "other.ckpt", OTHER, null), file(8, "../told.safetensors", FILE, null)));
    FetchResult result = fetch(link());
    assertEquals("told_" + result.urlHash() + ".safetensors", result.fileName());
  }

  @Test
  void aThrottledDownloadWaitsAndSaysWhy() throws Exception {
    offer(Offer.of(FILE));
    SignedLinks links = SignedLinks.validUntilRevoked();
    AtomicInteger requests = new AtomicInteger();
    sites.answer(
        get(urlPathEqualTo(DOWNLOAD)),
        request ->
            requests.getAndIncrement() < 2
                ? aResponse().withStatus(429).withBody("unusual download volume")
                : aResponse()
                    .withStatus(307)
                    .withHeader("Location", links.sign("https://" + R2 + "/blob")));
    sites.storage().serve(R2, "/blob", FILE).with(links.demand(Reply.status(403)));
    Download download = new Download();
    try (Fetcher fetcher = fetcher()) {
      CompletableFuture<FetchResult> running =
          CompletableFuture.supplyAsync(() -> fetcher.fetch(request(link()), download));
      Progress seen = download.snapshot();
      while (seen.phase() != Progress.Phase.WAITING && !running.isDone()) {
        LockSupport.parkNanos(1_000_000);
        seen = download.snapshot();
      }
      assertTrue(String.valueOf(seen.reason()).contains("unusual download volume"), "" + seen);
      assertNotNull(seen.untilEpochMillis());
      assertHolds(FILE, running.get(30, TimeUnit.SECONDS));
    }
  }

  // Who asks

  @Test
  void theAgentIsNoBrowser() {
    assertFalse(RemoteReader.USER_AGENT.toLowerCase(Locale.ROOT).matches(BROWSER));
  }

  @Test
  void aTokenOfTheCallersTravelsWhereHePutIt() throws Exception {
    offer(Offer.of(FILE));
    FetchResult result = fetch(request(link(), "token=callersTOKEN", null, null));
    assertEquals(
        Sha256.ofUtf8(link() + "?token=callersTOKEN").hex(), result.urlHash(), "in the hash");
    assertEquals(link(), sidecar(result).get("url").asText());
    assertTokenOnly("callersTOKEN", result);
  }

  @Test
  void aTokenInTheUrlStaysInTheHashAndIsNotStored() throws Exception {
    offer(Offer.of(FILE));
    String url = link() + "?type=Model&token=urlsTOKEN";
    FetchResult result = fetch(url);
    assertEquals(Sha256.ofUtf8(url).hex(), result.urlHash());
    assertEquals(link() + "?type=Model", sidecar(result).get("url").asText());
    assertTokenOnly("urlsTOKEN", result);
  }

  private void assertTokenOnly(String token, FetchResult result) throws Exception {
    sites
        .siteRequests()
        .forEach(
            r -> {
              boolean download = r.getUrl().startsWith(DOWNLOAD);
              assertEquals(download, r.getUrl().contains(token), r.getUrl());
              String bearer = r.getHeader("Authorization");
              assertEquals(download ? null : "Bearer " + token, bearer, r.getUrl());
            });
    sites.storage().requests().forEach(r -> assertFalse(r.target().contains(token), r.target()));
    assertFalse(Files.readString(Path.of(result.sidecarPath())).contains(token));
  }

  // The method metadata

  private MetadataResult metadata(String url) {
    try (Fetcher fetcher = fetcher()) {
      return fetcher.metadata(url, new Cancellation());
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "https://civitai.com/api/download/models/128713?type=Model",
        "https://civitai.com/models/4384/dreamshaper?modelVersionId=128713",
        "https://civitai.com/api/v1/model-versions/by-hash/879DB523C3"
      })
  void metadataTellsWhatTheVersionIs(String url) {
    ObjectNode version = version(file(1, NAME, FILE, FILE.sha256()), file(2, "b", OTHER, null));
    about(version);
    sites
        .site()
        .stubFor(
            get(urlPathEqualTo("/api/v1/model-versions/by-hash/879DB523C3"))
                .willReturn(okJson(version.toString())));
    MetadataResult told = metadata(url);
    assertEquals("civitai", told.source());
    assertEquals("DreamShaper", told.modelName());
    assertEquals("8", told.versionName());
    assertEquals("SD 1.5", told.baseModel());
    assertEquals(List.of("dreamy", "shaper style"), told.trainedWords());
    assertEquals(
        List.of(
            new MetadataResult.File(1L, NAME, FILE.lengthBytes(), FILE.sha256()),
            new MetadataResult.File(2L, "b", OTHER.lengthBytes(), null)),
        told.files());
    assertEquals(version.toString(), String.valueOf(told.raw()));
  }

  @Test
  void anArchivedVersionHasNoFiles() {
    about(version());
    assertEquals(List.of(), metadata(link()).files());
  }

  @Test
  void metadataThatCanNotBeHadIsAFailure() {
    about(json(404, "{\"error\":\"No version with that id\"}"));
    assertEquals(
        FailureKind.NOT_FOUND, assertThrows(FetchException.class, () -> metadata(link())).kind());
    about(okJson("{}").withFixedDelay(20_000));
    try (Fetcher fetcher = impatient()) {
      FetchException late =
          assertThrows(FetchException.class, () -> fetcher.metadata(link(), new Cancellation()));
      assertEquals(FailureKind.TIMEOUT, late.kind());
    }
  }

  // The cache

  @Test
  void whatIsKnownOfAVersionIsNotAskedAgainForADay() throws Exception {
    about(version(file(1, NAME, FILE, FILE.sha256())));
    Path home = folder.resolve("home");
    try (Fetcher fetcher = withHome(home)) {
      fetcher.metadata(link(), new Cancellation());
    }
    try (Fetcher fetcher = withHome(home)) {
      String red = "https://civitai.red/models/1?modelVersionId=128713";
      fetcher.setOptions(new Fetcher.OptionsRequest(null, null, null, true));
      assertEquals("SD 1.5", fetcher.metadata(red, new Cancellation()).baseModel());
    }
    assertEquals(1, asked(ABOUT));
    Path kept = onlyFile(home.resolve("metadata"));
    assertEquals("rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(kept)));
    Files.setLastModifiedTime(kept, FileTime.from(Instant.now().minus(Duration.ofHours(25))));
    try (Fetcher fetcher = withHome(home)) {
      fetcher.metadata(link(), new Cancellation());
    }
    assertEquals(2, asked(ABOUT), "a day later");
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "{", "[1]", "\u0000"})
  void aBrokenCacheHarmsNothing(String content) throws Exception {
    about(version());
    Path home = folder.resolve("home");
    try (Fetcher fetcher = withHome(home)) {
      fetcher.metadata(link(), new Cancellation());
      Files.writeString(onlyFile(home.resolve("metadata")), content);
      assertEquals("SD 1.5", fetcher.metadata(link(), new Cancellation()).baseModel());
    }
    assertEquals(2, asked(ABOUT));
  }

  @Test
  void aFolderThatCanNotBeWrittenHarmsNothing() throws Exception {
    about(version());
    Path home = Files.writeString(folder.resolve("home"), "a file");
    try (Fetcher fetcher = withHome(home)) {
      assertEquals("SD 1.5", fetcher.metadata(link(), new Cancellation()).baseModel());
    }
  }

  private static Path onlyFile(Path folder) throws Exception {
    try (Stream<Path> files = Files.list(folder)) {
      List<Path> all = files.toList();
      assertEquals(1, all.size(), all.toString());
      return all.get(0);
    }
  }
}
