package io.anymatix.fetcher.source;

import static com.github.tomakehurst.wiremock.client.WireMock.aResponse;
import static com.github.tomakehurst.wiremock.client.WireMock.equalTo;
import static com.github.tomakehurst.wiremock.client.WireMock.get;
import static com.github.tomakehurst.wiremock.client.WireMock.urlPathEqualTo;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.github.tomakehurst.wiremock.client.ResponseDefinitionBuilder;
import com.github.tomakehurst.wiremock.verification.LoggedRequest;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.fetch.FetchResult;
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.ByteRangeServer.Resource;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.Reply;
import io.anymatix.fetcher.testing.Request;
import io.anymatix.fetcher.testing.SignedLinks;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Google Drive links, with and without a page in between. */
class GoogleDriveSourceTest extends SourceContract {
  private static final String DRIVE = "drive.google.com";
  private static final String DOCS = "docs.google.com";
  private static final String STORAGE = "drive.usercontent.google.com";
  private static final String ID = "1AbCdEfGhIjKlMnOpQrStUvWxYz-_0123";
  private static final Content MODEL = Content.safetensors(71, 70_001);
  private static final String NAMED = "attachment; filename=\"d.safetensors\"";

  @Override
  String source() {
    return "googledrive";
  }

  @Override
  List<String> siteHosts() {
    return List.of(DRIVE, DOCS, "accounts.google.com");
  }

  @Override
  List<String> storageHosts() {
    return List.of(STORAGE);
  }

  @Override
  String link() {
    return "https://drive.google.com/file/d/" + ID + "/view?usp=sharing";
  }

  @Override
  String fileName() {
    return "d.safetensors";
  }

  @Override
  @Nullable String authorization() {
    return null;
  }

  @Override
  int mostConnections() {
    return 8;
  }

  @Override
  Resource offer(Offer offer) {
    sites.answer(
        get(urlPathEqualTo("/uc")),
        request ->
            aResponse()
                .withStatus(303)
                // Of this host alone: the storage host must not see it.
                .withHeader("Set-Cookie", "own=of-this-host; Path=/; Secure")
                .withHeader(
                    "Location", offer.links().sign("https://" + STORAGE + "/download?id=" + ID)));
    return sites
        .storage()
        .serve("/download", offer.served())
        .with(
            offer.links().demand(Reply.status(offer.refusedWith())),
            Fault.header("Content-Disposition", NAMED));
  }

  @Override
  void answerLink(ResponseDefinitionBuilder answer) {
    sites.site().stubFor(get(urlPathEqualTo("/uc")).willReturn(answer));
    sites.site().stubFor(get(urlPathEqualTo("/open")).willReturn(answer));
  }

  @Override
  Stream<Refusal> refusals() {
    return Stream.concat(
        httpRefusals(),
        Stream.of(
            new Refusal(
                "quota page",
                page(
                    "<title>Google Drive - Quota exceeded</title><p class=uc-error-caption>Sorry"
                        + "</p><p class=\"uc-error-subcaption\">Too many users have viewed or"
                        + " downloaded this file recently. Please try accessing the file again"
                        + " later.</p>"),
                FailureKind.QUOTA,
                false,
                "about a day"),
            new Refusal(
                "quota page with 403",
                page("<p class=\"uc-error-subcaption\">Too many users have viewed it</p>")
                    .withStatus(403),
                FailureKind.QUOTA,
                false,
                "about a day"),
            refusal(
                "infected",
                page("<p class=\"uc-error-subcaption\">Only the owner may download it</p>"),
                FailureKind.FORBIDDEN,
                "owner"),
            refusal(
                "another page",
                page("<title>Something &amp; else</title><p>Hello</p>"),
                FailureKind.NOT_A_MODEL,
                "not to a page"),
            refusal(
                "a native document's page",
                page("<title>Notes - Google Docs</title>"),
                FailureKind.UNSUPPORTED,
                "single file"),
            refusal(
                "a page that leads elsewhere",
                page(
                    "<form id=download-form action=https://evil.example/download>"
                        + "<input type=hidden name=id value=1></form>"),
                FailureKind.SERVER,
                "try again later"),
            refusal(
                "a page as long as a book",
                page("<p>book</p>".repeat(300_000)),
                FailureKind.SERVER,
                "try again later")));
  }

  private static ResponseDefinitionBuilder page(String html) {
    return aResponse()
        .withHeader("Content-Type", "text/html; charset=utf-8")
        .withBody("<!DOCTYPE html><html>" + html + "</html>");
  }

  private ByteRangeServer.Resource store(String path) {
    return sites.storage().serve(path, MODEL).with(Fault.header("Content-Disposition", NAMED));
  }

  private void show(String html) {
    sites.site().stubFor(get(urlPathEqualTo("/uc")).willReturn(page(html)));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "https://drive.google.com/file/d/ID/view?usp=sharing",
        "https://drive.google.com/file/d/ID",
        "https://drive.google.com/file/d/ID/edit#fragment",
        "https://drive.google.com/file/u/1/d/ID/view",
        "https://drive.google.com/a/example.com/file/d/ID/view",
        "https://drive.google.com/u/0/uc?id=ID&export=download",
        "https://drive.google.com/uc?id=ID",
        "https://drive.google.com/uc?export=download&id=ID",
        "https://drive.google.com/open?id=ID",
        "https://docs.google.com/uc?id=ID",
        "https://docs.google.com/file/d/ID/edit",
        "https://drive.usercontent.google.com/download?id=ID&export=download&confirm=t",
        "https://drive.usercontent.google.com/u/0/uc?id=ID&export=download",
      })
  void everyFormOfLinkNamesTheFile(String form) throws Exception {
    offer(Offer.of(MODEL));
    FetchResult result = fetch(form.replace("ID", ID));
    assertHolds(MODEL, result);
    assertTrue(result.fileName().startsWith("d_"), result.fileName());
    assertEquals("/uc?id=" + ID, sites.siteRequests().get(0).getUrl());
  }

  @Test
  void aResourceKeyGoesAlong() throws Exception {
    offer(Offer.of(MODEL));
    fetch("https://drive.google.com/file/d/" + ID + "/view?resourcekey=0-AbC_9");
    assertEquals("/uc?id=" + ID + "&resourcekey=0-AbC_9", sites.siteRequests().get(0).getUrl());
  }

  @ParameterizedTest
  @CsvSource({
    "https://drive.google.com/drive/folders/1AbCdEfGhIjKlMnOpQrS, folders",
    "https://drive.google.com/drive/u/0/folders/1AbCdEfGhIjKlMnOpQrS?usp=sharing, folders",
    "https://drive.google.com/folderview?id=1AbCdEfGhIjKlMnOpQrS, folders",
    "https://drive.google.com/embeddedfolderview?id=1AbCdEfGhIjKlMnOpQrS, folders",
    "https://docs.google.com/document/d/1AbCdEfGhIjKlMnOpQrS/edit, own kinds",
    "https://docs.google.com/spreadsheets/d/1AbCdEfGhIjKlMnOpQrS/edit#gid=0, own kinds",
    "https://docs.google.com/a/example.com/presentation/d/1AbCdEfGhIjKlMnOpQrS, own kinds",
    "https://drive.google.com/, names no file",
    "https://drive.google.com/file/d/short/view, names no file",
    "https://drive.google.com/uc?id=, names no file",
  })
  void aLinkThatIsNotOneFilesIsUnsupported(String link, String why) {
    FetchException failure = resolveFailure(link);
    assertEquals(FailureKind.UNSUPPORTED, failure.kind());
    assertTrue(String.valueOf(failure.getMessage()).contains(why), failure.getMessage());
    assertEquals(List.of(), sites.siteRequests());
  }

  @Test
  void theConfirmationMayBeALink() throws Exception {
    show(
        "<a href=\"/else\">no</a>"
            + "<a id=\"uc-download-link\" href=\"/uc?export=download&amp;confirm=x1&amp;id="
            + ID
            + "\">Download anyway</a>"
            + "<form id=\"download-form\" action=\"https://drive.usercontent.google.com/no\">"
            + "</form>");
    sites.answer(
        get(urlPathEqualTo("/uc")).withQueryParam("confirm", equalTo("x1")).atPriority(1),
        request ->
            aResponse()
                .withStatus(303)
                .withHeader("Location", "https://" + STORAGE + "/confirmed?id=" + ID));
    store("/confirmed");
    assertHolds(MODEL, fetch(link()));
  }

  @Test
  void theConfirmationMayBeAForm() throws Exception {
    show(
        "<form id=\"download-form\" action=\"https://drive.usercontent.google.com/download\""
            + " method=\"get\"><input type=\"submit\" value=\"Download anyway\">"
            + "<input type=\"hidden\" name=\"id\" value=\""
            + ID
            + "\"><input type=\"hidden\" name=\"export\" value=\"download\">"
            + "<input type=\"hidden\" name=\"confirm\" value=\"t\">"
            + "<input type=\"hidden\" name=\"uuid\" value=\"a&amp;b=c d\">"
            + "<input type=\"hidden\" name=\"at\" value=\"At+1/2:3\"></form>"
            + "<script>{\"downloadUrl\":\"https://drive.usercontent.google.com/no\"}</script>");
    store("/download");
    assertHolds(MODEL, fetch(link()));
    assertEquals(
        "/download?id=" + ID + "&export=download&confirm=t&uuid=a%26b%3Dc+d&at=At%2B1%2F2%3A3",
        sites.storage().requests().get(0).target());
  }

  @Test
  void theConfirmationMayBeInAScript() throws Exception {
    show(
        "<script>x={\"downloadUrl\":\"https:\\/\\/drive.usercontent.google.com\\/"
            + "download?id\\u003d"
            + ID
            + "\\u0026confirm\\u003dt\"}</script>");
    store("/download");
    assertHolds(MODEL, fetch(link()));
    assertEquals("/download?id=" + ID + "&confirm=t", sites.storage().requests().get(0).target());
  }

  @Test
  void cookiesOfTheFirstAnswerComeBackAsFarAsTheyMay() throws Exception {
    sites
        .site()
        .stubFor(
            get(urlPathEqualTo("/uc"))
                .willReturn(
                    page("<form id=download-form action=https://"
                            + STORAGE
                            + "/download><input type=hidden name=id value="
                            + ID
                            + "></form>")
                        .withHeader(
                            "Set-Cookie",
                            "warning=seen-1; Domain=.google.com; Path=/; Secure",
                            "own=of-drive-only; Path=/",
                            "foreign=1; Domain=example.com",
                            "everywhere=1; Domain=com")));
    store("/download")
        .with(
            Fault.replies(
                request ->
                    "warning=seen-1".equals(request.header("Cookie")) ? null : Reply.status(403)));
    assertHolds(MODEL, fetch(link()));
    List<Request> requests = sites.storage().requests();
    assertTrue(requests.size() >= 2, requests.toString());
    for (Request request : requests) {
      assertEquals("warning=seen-1", request.header("Cookie"), request.toString());
    }
  }

  @Test
  void cookiesOfOneFileAreNotShownForTheNext() throws Exception {
    offer(Offer.of(MODEL));
    fetch(link());
    fetch("https://drive.google.com/uc?id=" + ID + "2");
    assertFalse(
        sites.siteRequests().stream()
            .map(LoggedRequest::getHeaders)
            .anyMatch(headers -> headers.getHeader("Cookie").isPresent()));
  }

  @Test
  void aPageThatHonoursTheRangeIsReadAsAWhole() throws Exception {
    String html =
        "<html><form id=download-form action=https://"
            + STORAGE
            + "/download><input type=hidden name=id value=7></form></html>";
    sites.answer(
        get(urlPathEqualTo("/uc")),
        request ->
            request.containsHeader("Range")
                ? page("").withStatus(206).withHeader("Content-Range", "bytes 0-0/9").withBody("<")
                : page(html));
    store("/download");
    assertHolds(MODEL, fetch(link()));
  }

  @Test
  void afterAnErrorOfTheServerTheFileIsOpenedInTheOtherWay() throws Exception {
    sites.site().stubFor(get(urlPathEqualTo("/uc")).willReturn(aResponse().withStatus(500)));
    sites.answer(
        get(urlPathEqualTo("/open")),
        request ->
            aResponse()
                .withStatus(302)
                .withHeader("Location", "https://" + STORAGE + "/download?id=" + ID));
    store("/download");
    assertHolds(MODEL, fetch(link()));
  }

  @Test
  void aDocumentThatHidesBehindAnErrorIsNamedAsSuch() {
    sites.site().stubFor(get(urlPathEqualTo("/uc")).willReturn(aResponse().withStatus(500)));
    sites.answer(
        get(urlPathEqualTo("/open")),
        request ->
            aResponse()
                .withStatus(302)
                .withHeader("Location", "https://docs.google.com/document/d/" + ID + "/edit"));
    sites
        .site()
        .stubFor(get(urlPathEqualTo("/document/d/" + ID + "/edit")).willReturn(page("A document")));
    FetchException failure = resolveFailure(link());
    assertEquals(FailureKind.UNSUPPORTED, failure.kind(), failure.getMessage());
  }

  @Test
  void aSignInPageIsToldAsOne() {
    answerLink(
        aResponse()
            .withStatus(302)
            .withHeader("Location", "https://accounts.google.com/ServiceLogin?continue=x"));
    sites
        .site()
        .stubFor(get(urlPathEqualTo("/ServiceLogin")).willReturn(page("<title>Sign in</title>")));
    FetchException failure = resolveFailure(link());
    assertEquals(FailureKind.AUTH, failure.kind(), failure.getMessage());
    assertTrue(failure.hint().contains("anyone who has the link"), failure.hint());
  }

  @Test
  void pagesWithoutEndAreGivenUp() {
    show(
        "<form id=download-form action=https://drive.google.com/uc>"
            + "<input type=hidden name=id value="
            + ID
            + "></form>");
    FetchException failure = resolveFailure(link());
    assertEquals(FailureKind.SERVER, failure.kind(), failure.getMessage());
    assertEquals(5, sites.siteRequests().size());
  }

  @Test
  void aFinalAddressThatAnswersWithAPageIsAskedForAgain() throws Exception {
    Content large = Content.safetensors(72, 12L * 1024 * 1024);
    SignedLinks links = SignedLinks.validForRequests(4);
    Reply over =
        Reply.status(200).body("text/html; charset=utf-8", "<html>Your session is over</html>");
    sites.answer(
        get(urlPathEqualTo("/uc")),
        request ->
            aResponse()
                .withStatus(303)
                .withHeader("Location", links.sign("https://" + STORAGE + "/download?id=" + ID)));
    sites
        .storage()
        .serve("/download", large)
        .with(links.demand(over), Fault.header("Content-Disposition", NAMED));
    FetchResult result = fetch(link());
    assertHolds(large, result);
    assertFalse(result.startedOver(), "what was received is kept");
    assertTrue(links.issued() >= 2, links.issued() + " addresses");
    assertTrue(
        result.bytesTransferred() < large.lengthBytes() * 3 / 2,
        result.bytesTransferred() + " bytes for one file");
  }

  @Test
  void aNameInAnotherAlphabetIsKept() throws Exception {
    offer(Offer.of(MODEL));
    sites
        .storage()
        .serve("/download", MODEL)
        .with(
            Fault.header(
                "Content-Disposition",
                "attachment; filename*=UTF-8''mod%C3%A8le%2Fd%C3%BC.safetensors"));
    FetchResult result = fetch(link());
    assertTrue(
        Objects.equals("dü_" + result.urlHash() + ".safetensors", result.fileName()),
        result.fileName());
  }
}
