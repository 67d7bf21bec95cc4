package io.anymatix.fetcher.source;

import static com.github.tomakehurst.wiremock.client.WireMock.aResponse;
import static com.github.tomakehurst.wiremock.client.WireMock.any;
import static com.github.tomakehurst.wiremock.client.WireMock.anyUrl;
import static com.github.tomakehurst.wiremock.client.WireMock.get;
import static com.github.tomakehurst.wiremock.client.WireMock.okJson;
import static com.github.tomakehurst.wiremock.client.WireMock.temporaryRedirect;
import static com.github.tomakehurst.wiremock.client.WireMock.urlPathEqualTo;
import static io.anymatix.fetcher.testing.Content.MIB;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.github.tomakehurst.wiremock.client.ResponseDefinitionBuilder;
import com.github.tomakehurst.wiremock.verification.LoggedRequest;
import io.anymatix.fetcher.content.ListedFile;
import io.anymatix.fetcher.content.RemoteFile;
import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.fetch.Batch;
import io.anymatix.fetcher.fetch.Download;
import io.anymatix.fetcher.fetch.FetchRequest;
import io.anymatix.fetcher.fetch.FetchResult;
import io.anymatix.fetcher.fetch.FetchResult.Verification;
import io.anymatix.fetcher.fetch.Fetcher;
import io.anymatix.fetcher.fetch.Progress;
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.ByteRangeServer.Resource;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.Reply;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The hub: its own hop states hash and length, another host gives the bytes. */
class HuggingFaceSourceTest extends SourceContract {
  private static final String STORAGE = "cas-bridge.xethub.hf.co";
  private static final String PATH = "/org/repo/resolve/main/unet/model.safetensors";
  private static final String HUB = "https://huggingface.co";
  private static final Content MODEL = Content.safetensors(41, 60_000);
  private static final String TREE = "/api/models/org/repo/tree/main";

  @Override
  String source() {
    return "huggingface";
  }

  @Override
  List<String> siteHosts() {
    return List.of("huggingface.co", "hf.co", "hub.mirror.example");
  }

  @Override
  List<String> storageHosts() {
    return List.of(STORAGE);
  }

  @Override
  String link() {
    return HUB + PATH;
  }

  @Override
  String fileName() {
    return "model.safetensors";
  }

  @Override
  String authorization() {
    return "Bearer " + TOKENS.get("HF_TOKEN");
  }

  @Override
  int mostConnections() {
    return 32;
  }

  @Override
  Resource offer(Offer offer) {
    sites.answer(
        get(urlPathEqualTo(PATH)),
        request ->
            hop(offer.stated())
                .withHeader("Location", offer.links().sign("https://" + STORAGE + "/blob")));
    return sites
        .storage()
        .serve("/blob", offer.served())
        .with(
            offer.links().demand(Reply.status(offer.refusedWith())),
            Fault.header("X-Linked-Etag", "\"" + "0".repeat(64) + "\""),
            Fault.entityTag(request -> "\"node-" + request.connection() + "\""));
  }

  private static ResponseDefinitionBuilder hop(Content content) {
    return aResponse()
        .withStatus(302)
        .withHeader("X-Repo-Commit", "0123456789abcdef0123456789abcdef01234567")
        .withHeader("X-Linked-Size", Long.toString(content.lengthBytes()))
        .withHeader("X-Linked-Etag", "W/\"" + content.sha256() + "\"");
  }

  /** Lets every path of the hub lead to the model, and returns what was asked for. */
  private void everythingIsTheModel() {
    sites.answer(
        any(anyUrl()),
        request -> hop(MODEL).withHeader("Location", "https://" + STORAGE + "/blob"));
    sites.storage().serve("/blob", MODEL);
  }

  @Override
  void answerLink(ResponseDefinitionBuilder answer) {
    sites.site().stubFor(get(urlPathEqualTo(PATH)).willReturn(answer));
  }

  @Override
  Stream<Refusal> refusals() {
    return Stream.concat(
        httpRefusals(),
        Stream.of(
            refusal(
                "gated, token without access",
                coded(403, "GatedRepo", "Access to model org/repo is restricted"),
                FailureKind.GATED,
                "Open https://huggingface.co/org/repo with the token's account"),
            refusal(
                "gated, nobody signed in",
                coded(401, "GatedRepo", "Access to model org/repo is restricted"),
                FailureKind.GATED,
                "https://huggingface.co/org/repo"),
            refusal(
                "no repository, or a private one",
                coded(401, "RepoNotFound", "Repository not found"),
                FailureKind.NOT_FOUND,
                "if the repository is private"),
            refusal(
                "no repository",
                coded(404, "RepoNotFound", "Repository not found"),
                FailureKind.NOT_FOUND,
                "Check the name"),
            refusal(
                "no revision",
                coded(404, "RevisionNotFound", "Invalid rev id: main"),
                FailureKind.NOT_FOUND,
                "branches and tags at https://huggingface.co/org/repo"),
            refusal(
                "no file",
                coded(404, "EntryNotFound", "Entry not found"),
                FailureKind.NOT_FOUND,
                "Look for the file at https://huggingface.co/org/repo"),
            refusal(
                "disabled",
                coded(403, null, "Access to this resource is disabled."),
                FailureKind.FORBIDDEN,
                "look for the model elsewhere"),
            refusal(
                "bad token",
                coded(401, null, "Invalid credentials in Authorization header"),
                FailureKind.AUTH,
                "valid access token"),
            refusal(
                "narrow token",
                coded(403, null, "Please enable access in your fine-grained token settings"),
                FailureKind.FORBIDDEN,
                "your account and its token")));
  }

  private static ResponseDefinitionBuilder coded(int status, @Nullable String code, String says) {
    ResponseDefinitionBuilder answer =
        aResponse()
            .withStatus(status)
            .withHeader("X-Request-Id", "Root=1-65f")
            .withHeader("X-Error-Message", says);
    return code == null ? answer : answer.withHeader("X-Error-Code", code);
  }

  @Test
  void aRefusalQuotesWhatHelpsTheSitesSupport() {
    answerLink(coded(401, null, "Invalid credentials in Authorization header"));
    FetchException failure = resolveFailure(link());
    assertEquals("Root=1-65f", failure.facts().get("requestId"));
    assertTrue(
        String.valueOf(failure.getMessage()).contains("Invalid credentials"), failure.getMessage());
    assertEquals(401, failure.status());
  }

  @ParameterizedTest(name = "{0}")
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          https://huggingface.co/org/repo/resolve/main/a/b.bin    | /org/repo/resolve/main/a/b.bin
          https://huggingface.co/org/repo/blob/main/a/b.bin       | /org/repo/resolve/main/a/b.bin
          https://huggingface.co/org/repo/raw/main/b.bin          | /org/repo/resolve/main/b.bin
          https://huggingface.co/gpt2/resolve/main/b.bin          | /gpt2/resolve/main/b.bin
          http://huggingface.co/org/repo/resolve/main/b.bin       | /org/repo/resolve/main/b.bin
          https://hf.co/org/repo/resolve/main/b.bin?download=true | /org/repo/resolve/main/b.bin?download=true
          https://huggingface.co/datasets/org/set/blob/v1.0/b.bin | /datasets/org/set/resolve/v1.0/b.bin
          https://huggingface.co/spaces/org/app/resolve/main/b.bin | /spaces/org/app/resolve/main/b.bin
          https://huggingface.co/org/repo/resolve/refs%2Fpr%2F7/b.bin | /org/repo/resolve/refs%2Fpr%2F7/b.bin
          https://huggingface.co/org/repo/blob/refs/pr/7/a/b.bin  | /org/repo/resolve/refs%2Fpr%2F7/a/b.bin
          https://huggingface.co/org/repo/resolve/main/a b+c#d    | /org/repo/resolve/main/a%20b+c
          https://huggingface.co/org/repo/blob/main/a b+(c)       | /org/repo/resolve/main/a%20b%2B%28c%29
          https://huggingface.co/org/repo/resolve/main/a%20b%23c  | /org/repo/resolve/main/a%20b%23c
          hf://org/repo/a/b.bin                                   | /org/repo/resolve/main/a/b.bin
          HF://org/repo@v2/a/b.bin                                | /org/repo/resolve/v2/a/b.bin
          hf://org/repo@refs/pr/7/b.bin                           | /org/repo/resolve/refs%2Fpr%2F7/b.bin
          hf://org/repo@refs%2Fpr%2F7/b.bin                       | /org/repo/resolve/refs%2Fpr%2F7/b.bin
          hf://gpt2@main/b.bin                                    | /gpt2/resolve/main/b.bin
          hf://models/org/repo/b.bin                              | /org/repo/resolve/main/b.bin
          hf://datasets/org/set/100%/ü.bin                        | /datasets/org/set/resolve/main/100%25/%C3%BC.bin
          hf://spaces/org/app@dev/b.bin                           | /spaces/org/app/resolve/dev/b.bin
          """)
  void everyFormOfALinkLeadsToTheFile(String link, String target) {
    everythingIsTheModel();
    RemoteFile file = resolve(link, null, TOKENS);
    assertEquals(MODEL.sha256(), String.valueOf(file.sha256()));
    LoggedRequest asked = sites.siteRequests().get(0);
    assertEquals(target, asked.getUrl());
    assertEquals("huggingface.co", asked.getHost());
    assertEquals(authorization(), asked.getHeader("Authorization"));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "https://huggingface.co/org/repo",
        "https://huggingface.co/org/repo/tree/main",
        "https://huggingface.co/org/repo/tree/main/unet",
        "hf://org/repo",
        "hf://org/repo/unet/",
        "hf://datasets/org/repo@v1",
        "hf://org/repo/*.safetensors",
      })
  void aLinkToSeveralFilesIsNotTakenForOne(String link) {
    FetchException failure = resolveFailure(link);
    assertEquals(FailureKind.UNSUPPORTED, failure.kind(), failure.getMessage());
    assertEquals(List.of(), sites.siteRequests());
  }

  @Test
  void theHashComesFromTheHubAloneAndIsProven() throws Exception {
    offer(Offer.of(MODEL));
    FetchResult result = fetch(link());
    assertEquals(MODEL.sha256(), result.sha256());
    assertEquals(Verification.SHA256_SOURCE, result.verification());
  }

  @Test
  void theTagOfASmallFileIsNotTakenForItsHash() {
    String tag = "\"" + Sha256.ofUtf8("a git object of the new kind") + "\"";
    answerLink(aResponse().withStatus(200).withHeader("ETag", tag).withBody("{}"));
    RemoteFile file = resolve(link(), null, TOKENS);
    assertNull(file.sha256());
  }

  @Test
  void aRenamedRepositoryIsFollowedWithTheToken() {
    String moved = "/org/new-name/resolve/main/unet/model.safetensors";
    answerLink(aResponse().withStatus(307).withHeader("Location", moved));
    sites.answer(
        get(urlPathEqualTo(moved)),
        request -> hop(MODEL).withHeader("Location", "https://" + STORAGE + "/blob"));
    sites.storage().serve("/blob", MODEL);
    assertEquals(MODEL.sha256(), String.valueOf(resolve(link(), null, TOKENS).sha256()));
    assertEquals(2, sites.siteRequests().size());
    sites
        .siteRequests()
        .forEach(asked -> assertEquals(authorization(), asked.getHeader("Authorization")));
  }

  @Test
  void aRedirectToAnotherHostIsFollowedWithoutTheTokenAndItsHashIsNotBelieved() {
    String elsewhere = "https://hub.mirror.example/file";
    answerLink(temporaryRedirect(elsewhere));
    sites
        .site()
        .stubFor(
            get("/file")
                .willReturn(
                    aResponse()
                        .withHeader("X-Linked-Etag", MODEL.sha256())
                        .withBody(MODEL.bytes())));
    assertNull(resolve(link(), null, TOKENS).sha256());
    assertNull(sites.siteRequests().get(1).getHeader("Authorization"));
  }

  @Test
  void aFileThatIsTooLargeForAPlainRequestArrivesInRanges() throws Exception {
    Content large = Content.safetensors(42, 9 * MIB);
    offer(Offer.of(large));
    sites
        .storage()
        .serve("/blob", large)
        .when(request -> request.header("Range") == null, Fault.replies(Reply.status(400)));
    for (int connections : new int[] {1, 8}) {
      try (Fetcher fetcher = fetcher()) {
        FetchRequest request =
            new FetchRequest(
                link() + "?connections=" + connections,
                null,
                folder.toString(),
                null,
                null,
                null,
                null,
                null,
                connections);
        assertHolds(large, fetcher.fetch(request, new Download()));
      }
    }
  }

  @Test
  void aRateLimitIsWaitedForAndShown() throws Exception {
    AtomicInteger asked = new AtomicInteger();
    offer(Offer.of(MODEL));
    sites.answer(
        get(urlPathEqualTo(PATH)),
        request ->
            asked.incrementAndGet() == 1
                ? aResponse()
                    .withStatus(429)
                    .withHeader("RateLimit", "\"resolvers\";r=0;t=2")
                    .withHeader("RateLimit-Policy", "\"fixed window\";\"resolvers\";q=3000;w=300")
                : hop(MODEL).withHeader("Location", "https://" + STORAGE + "/free"));
    sites.storage().serve("/free", MODEL);
    Download download = new Download();
    long startedNanos = System.nanoTime();
    try (Fetcher fetcher = fetcher()) {
      CompletableFuture<FetchResult> running =
          CompletableFuture.supplyAsync(() -> fetcher.fetch(request(link()), download));
      Progress shown = download.snapshot();
      while (shown.phase() != Progress.Phase.WAITING && !running.isDone()) {
        LockSupport.parkNanos(1_000_000);
        shown = download.snapshot();
      }
      assertEquals(Progress.Phase.WAITING, shown.phase());
      assertTrue(String.valueOf(shown.reason()).contains("429"), String.valueOf(shown.reason()));
      assertHolds(MODEL, running.get(20, TimeUnit.SECONDS));
    }
    assertTrue(System.nanoTime() - startedNanos >= 2_000_000_000L, "it did not wait");
  }

  @ParameterizedTest
  @CsvSource({
    "https://huggingface.co/org/repo/resolve/main/m.bin, token=hf_fromTheCall",
    "https://huggingface.co/org/repo/resolve/main/m.bin?token=hf_fromTheCall, ",
  })
  void aTokenOfTheCallWinsAndTravelsAsAField(String link, @Nullable String auth) {
    everythingIsTheModel();
    resolve(link, auth, TOKENS);
    LoggedRequest asked = sites.siteRequests().get(0);
    assertEquals("Bearer hf_fromTheCall", asked.getHeader("Authorization"));
    assertEquals("/org/repo/resolve/main/m.bin", asked.getUrl());
  }

  @Test
  void anEndpointBelowAPathIsAskedInPlaceOfTheHub() {
    everythingIsTheModel();
    Map<String, String> environment = new HashMap<>(TOKENS);
    environment.put("HF_ENDPOINT", "https://hub.mirror.example/proxy/hf/");
    for (String link :
        List.of(
            link(),
            "hf://org/repo/unet/model.safetensors",
            "https://hub.mirror.example/proxy/hf" + PATH.replace("resolve", "blob"))) {
      RemoteFile file = resolve(link, null, environment);
      assertEquals(MODEL.sha256(), String.valueOf(file.sha256()));
    }
    for (LoggedRequest asked : sites.siteRequests()) {
      assertEquals("hub.mirror.example", asked.getHost());
      assertEquals("/proxy/hf" + PATH, asked.getUrl());
      assertEquals(authorization(), asked.getHeader("Authorization"));
    }
  }

  @Test
  void theOwnersEndpointMayBePlainAndPrivateButWhereItLeadsMayNot() {
    try (ByteRangeServer mirror = ByteRangeServer.start()) {
      Map<String, String> environment = new HashMap<>(TOKENS);
      environment.put("HF_ENDPOINT", mirror.url("/hf"));
      mirror.serve("/hf" + PATH, MODEL);
      assertEquals(MODEL.lengthBytes(), resolve(link(), null, environment).lengthBytes());
      try (ByteRangeServer other = ByteRangeServer.start()) {
        mirror
            .serve("/hf" + PATH, MODEL)
            .with(Fault.replies(Reply.redirect(302, other.url("/secret"))));
        FetchException failure =
            assertThrows(FetchException.class, () -> resolve(link(), null, environment));
        assertEquals(FailureKind.POLICY, failure.kind(), failure.getMessage());
        assertEquals(List.of(), other.requests());
      }
    }
  }

  @Test
  void anEndpointThatIsNoUrlIsPassedOver() {
    everythingIsTheModel();
    Map<String, String> environment = new HashMap<>(TOKENS);
    environment.put("HF_ENDPOINT", "mirror");
    resolve(link(), null, environment);
    assertEquals("huggingface.co", sites.siteRequests().get(0).getHost());
  }

  private List<ListedFile> expand(String url, Map<String, String> environment) {
    return ask(
        environment,
        (sources, c) -> sources.expand(Sources.Wish.of(url, url, null), (reason, until) -> {}, c));
  }

  private List<String> paths(String url) {
    return expand(url, TOKENS).stream().map(ListedFile::path).toList();
  }

  /** A listing of the repository in pages of two entries each. */
  private void list(String target, String... paths) {
    sites.answer(
        get(urlPathEqualTo(target)),
        request -> {
          int from =
              request.queryParameter("cursor").isPresent()
                  ? Integer.parseInt(request.queryParameter("cursor").firstValue())
                  : 0;
          int to = Math.min(paths.length, from + 2);
          List<String> entries = new ArrayList<>();
          for (String path : List.of(paths).subList(from, to)) {
            entries.add(entry(path));
          }
          ResponseDefinitionBuilder page = okJson(entries.toString());
          String next = "<https://hub.internal" + target + "?recursive=true&cursor=" + to + ">";
          return to == paths.length ? page : page.withHeader("Link", next + "; rel=\"next\"");
        });
  }

  private static String entry(String path) {
    if (path.endsWith("/")) {
      return "{\"type\":\"directory\",\"path\":\"%s\"}".formatted(path.replaceFirst("/$", ""));
    }
    String large =
        path.endsWith(".json")
            ? ""
            : ",\"lfs\":{\"oid\":\"%s\",\"size\":7000000000}".formatted(Sha256.ofUtf8(path));
    return "{\"type\":\"file\",\"path\":\"%s\",\"size\":134%s}".formatted(path, large);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"https://huggingface.co/org/repo/tree/main", "hf://org/repo", "hf://org/repo/"})
  void aRepositoryIsListedOverAllPages(String link) {
    list(TREE, "config.json", "unet/", "unet/a.safetensors", "unet/b+c.safetensors", "vae/d.bin");
    List<ListedFile> files = expand(link, TOKENS);
    assertEquals(
        List.of("config.json", "unet/a.safetensors", "unet/b+c.safetensors", "vae/d.bin"),
        files.stream().map(ListedFile::path).toList());
    assertEquals(134, files.get(0).lengthBytes());
    assertNull(files.get(0).sha256());
    assertEquals(7_000_000_000L, files.get(1).lengthBytes());
    assertEquals(Sha256.ofUtf8("unet/a.safetensors"), files.get(1).sha256());
    assertEquals(HUB + "/org/repo/resolve/main/unet/b%2Bc.safetensors", files.get(2).url());
    assertEquals(3, sites.siteRequests().size(), sites.siteRequests().toString());
    sites
        .siteRequests()
        .forEach(asked -> assertEquals(authorization(), asked.getHeader("Authorization")));
  }

  @Test
  void aFolderIsListedWhicheverWayItIsNamed() {
    list(TREE + "/unet", "unet/a.safetensors", "unet/x/b.safetensors");
    List<String> expected = List.of("unet/a.safetensors", "unet/x/b.safetensors");
    assertEquals(expected, paths("https://huggingface.co/org/repo/tree/main/unet"));
    assertEquals(expected, paths("hf://org/repo/unet/"));
    assertEquals(expected, paths("hf://org/repo/unet"));
  }

  @Test
  void aFolderInABatchBringsItsFilesAndIsAnsweredAsOne() {
    list(TREE + "/te", "te/config.json", "te/tokenizer.json");
    for (String name : List.of("config", "tokenizer")) {
      sites
          .site()
          .stubFor(
              get(urlPathEqualTo("/org/repo/resolve/main/te/" + name + ".json"))
                  .willReturn(okJson("{\"name\": \"" + name + "\"}")));
    }
    Batch.Item asked =
        new Batch.Item(
            new FetchRequest(
                "hf://org/repo/te", null, folder.toString(), null, null, null, null, null, null),
            false);
    try (Fetcher fetcher = fetcher()) {
      List<Batch.Item> files = asked.files(0, fetcher, new Download());
      assertEquals(2, files.size());
      Batch.Options options = new Batch.Options(null, false, null, false, false);
      Batch.Result result = new Batch(fetcher, files, options).run();
      List<Batch.Ending> endings = result.asked(List.of(asked));
      assertEquals(1, endings.size());
      FetchResult together = Objects.requireNonNull(endings.get(0).result());
      assertEquals(folder.toString(), together.path());
      assertEquals(
          "{'name': 'config'}".length() + "{'name': 'tokenizer'}".length(), together.fileSize());
    }
  }

  @Test
  void aPatternListsWhatItMatches() {
    list(TREE, "a.safetensors", "a.bin", "unet/b.safetensors", "unet/x/c.safetensors");
    list(TREE + "/unet", "unet/b.safetensors", "unet/b.fp16.safetensors", "unet/x/c.safetensors");
    assertEquals(List.of("a.safetensors"), paths("hf://org/repo/*.safetensors"));
    assertEquals(
        List.of("a.safetensors", "unet/b.safetensors", "unet/x/c.safetensors"),
        paths(HUB + "/org/repo/resolve/main/**/*.safetensors"));
    assertEquals(
        List.of("unet/b.safetensors", "unet/b.fp16.safetensors"),
        paths("hf://org/repo/unet/b*.safetensors"));
    FetchException failure =
        assertThrows(FetchException.class, () -> paths("hf://org/repo/*.gguf"));
    assertEquals(FailureKind.NOT_FOUND, failure.kind());
  }

  @Test
  void anIndexStandsForItsShards() {
    list(TREE + "/te", "te/m-2.safetensors", "te/m-1.safetensors", "te/m.safetensors.index.json");
    String index = "/org/repo/resolve/main/te/m.safetensors.index.json";
    sites
        .site()
        .stubFor(
            get(urlPathEqualTo(index))
                .willReturn(
                    okJson(
                        "{\"metadata\":{},\"weight_map\":{\"a\":\"m-1.safetensors\","
                            + "\"b\":\"m-2.safetensors\",\"c\":\"m-1.safetensors\"}}")));
    assertEquals(
        List.of("te/m.safetensors.index.json", "te/m-1.safetensors", "te/m-2.safetensors"),
        paths(HUB + index.replace("resolve", "blob")));
  }

  @Test
  void anIndexThatNamesAFileOfAnotherPlaceIsRefused() {
    list(TREE, "m.safetensors.index.json");
    String index = "/org/repo/resolve/main/m.safetensors.index.json";
    sites
        .site()
        .stubFor(
            get(urlPathEqualTo(index))
                .willReturn(okJson("{\"weight_map\":{\"a\":\"../../evil/x.safetensors\"}}")));
    FetchException failure = assertThrows(FetchException.class, () -> paths(HUB + index));
    assertEquals(FailureKind.NOT_FOUND, failure.kind());
    assertTrue(String.valueOf(failure.getMessage()).contains("../../evil"), failure.getMessage());
  }

  @Test
  void aLinkToOneFileStandsForItself() {
    sites
        .site()
        .stubFor(
            get(urlPathEqualTo(TREE + "/LICENSE"))
                .willReturn(coded(404, "EntryNotFound", "LICENSE does not exist on main")));
    assertEquals(List.of(), paths(link()));
    assertEquals(List.of(), paths("hf://org/repo/LICENSE"));
    assertEquals(1, sites.siteRequests().size());
  }

  @Test
  void theFetcherExpandsLinksUnlessItIsOffline() {
    list(TREE, "a.safetensors", "b.safetensors");
    try (Fetcher fetcher = fetcher()) {
      assertEquals(2, fetcher.expand("hf://org/repo", null, new Download()).size());
      assertEquals(List.of(), fetcher.expand("https://elsewhere.example/x", "", new Download()));
      fetcher.setOptions(new Fetcher.OptionsRequest(null, null, null, true));
      FetchException failure =
          assertThrows(
              FetchException.class, () -> fetcher.expand("hf://org/repo", null, new Download()));
      assertEquals(FailureKind.OFFLINE, failure.kind());
    }
  }

  @Test
  void aListingAtTheOwnersEndpointIsReadThere() {
    list("/hf" + TREE, "a.safetensors", "b.safetensors", "c.safetensors");
    Map<String, String> environment = new HashMap<>(TOKENS);
    environment.put("HF_ENDPOINT", "https://hub.mirror.example/hf");
    assertEquals(
        HUB + "/org/repo/resolve/main/c.safetensors",
        expand("hf://org/repo", environment).get(2).url());
    assertEquals(
        "https://hub.mirror.example/hf/org/repo/resolve/main/c.safetensors",
        expand("https://hub.mirror.example/hf/org/repo", environment).get(2).url());
    sites.siteRequests().forEach(asked -> assertEquals("hub.mirror.example", asked.getHost()));
  }

  @Test
  void aListingWithoutEndIsGivenUp() {
    sites.answer(
        get(urlPathEqualTo(TREE)),
        request ->
            okJson("[" + entry("a.safetensors") + "]")
                .withHeader("Link", "<https://huggingface.co/?cursor=again>; rel=\"next\""));
    FetchException failure = assertThrows(FetchException.class, () -> paths("hf://org/repo"));
    assertEquals(FailureKind.UNSUPPORTED, failure.kind());
  }

  @Test
  void aListingThatIsNoListingIsAFailureOfTheServer() {
    sites.site().stubFor(get(urlPathEqualTo(TREE)).willReturn(okJson("[".repeat(5000))));
    FetchException failure = assertThrows(FetchException.class, () -> paths("hf://org/repo"));
    assertEquals(FailureKind.SERVER, failure.kind());
  }

  @Test
  void aListingOfAGatedRepositorySaysSo() {
    sites
        .site()
        .stubFor(get(urlPathEqualTo(TREE)).willReturn(coded(403, "GatedRepo", "restricted")));
    FetchException failure = assertThrows(FetchException.class, () -> paths("hf://org/repo"));
    assertEquals(FailureKind.GATED, failure.kind());
  }
}
