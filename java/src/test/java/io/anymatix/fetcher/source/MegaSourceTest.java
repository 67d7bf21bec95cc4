package io.anymatix.fetcher.source;

import static com.github.tomakehurst.wiremock.client.WireMock.aResponse;
import static com.github.tomakehurst.wiremock.client.WireMock.any;
import static com.github.tomakehurst.wiremock.client.WireMock.get;
import static com.github.tomakehurst.wiremock.client.WireMock.okJson;
import static com.github.tomakehurst.wiremock.client.WireMock.post;
import static com.github.tomakehurst.wiremock.client.WireMock.urlPathEqualTo;
import static com.github.tomakehurst.wiremock.client.WireMock.urlPathMatching;

import com.github.tomakehurst.wiremock.client.ResponseDefinitionBuilder;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.testing.ByteRangeServer.Resource;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.MegaFile;
import io.anymatix.fetcher.testing.Reply;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** A Mega link: the API is asked by POST, and the storage takes ranges in the path. */
class MegaSourceTest extends SourceContract {
  private static final String API = "g.api.mega.co.nz";
  private static final String STORAGE = "gfs1.userstorage.mega.co.nz";

  /** A storage host that does as the API does: answers once, with what a test gives it. */
  private static final String ODD_STORAGE = "gfs2.userstorage.mega.co.nz";

  private MegaFile file = MegaFile.first();

  @Override
  String source() {
    return "mega";
  }

  @Override
  List<String> siteHosts() {
    return List.of(API, ODD_STORAGE);
  }

  @Override
  List<String> storageHosts() {
    return List.of(STORAGE);
  }

  @Override
  String link() {
    return "https://mega.nz/file/File0000#" + file.linkKey();
  }

  @Override
  String fileName() {
    return "c.safetensors";
  }

  @Override
  @Nullable String authorization() {
    return null;
  }

  @Override
  int mostConnections() {
    return 6;
  }

  @Override
  Resource offer(Offer offer) {
    file = MegaFile.of("c.safetensors", offer.stated());
    boolean isTheFile = offer.served() == offer.stated();
    Content stored = isTheFile ? file.encrypted() : offer.served();
    sites.answer(
        post(urlPathEqualTo("/cs")),
        request -> okJson(described(offer.links().sign("https://" + STORAGE + "/dl/a"))));
    return sites
        .storage()
        .serve("/dl/a", stored)
        .rangesInPath()
        .with(offer.links().demand(Reply.status(offer.refusedWith())));
  }

  private String described(String address) {
    return "[{\"g\":\"%s\",\"s\":%d,\"at\":\"%s\"}]"
        .formatted(address, file.plain().lengthBytes(), file.attributes());
  }

  @Override
  void answerLink(ResponseDefinitionBuilder answer) {
    if (answer.build().getStatus() == 302) {
      // What is posted is not redirected; what is fetched may be.
      sites
          .site()
          .stubFor(
              post(urlPathEqualTo("/cs"))
                  .willReturn(okJson(described("https://" + ODD_STORAGE + "/dl/odd"))));
      sites.site().stubFor(get(urlPathMatching("/dl/odd/.*")).willReturn(answer));
    } else {
      sites.site().stubFor(any(urlPathEqualTo("/cs")).willReturn(answer));
    }
  }

  @Override
  Stream<Refusal> refusals() {
    return Stream.concat(
        httpRefusals(),
        Stream.of(
            refusal("-3", okJson("[-3]"), FailureKind.SERVER, "try again later"),
            refusal("-4", okJson("[-4]"), FailureKind.RATE_LIMITED, "Wait a few minutes"),
            refusal("-9", okJson("[-9]"), FailureKind.NOT_FOUND, "Check the link"),
            refusal("a bare -9", okJson("-9"), FailureKind.NOT_FOUND, "Check the link"),
            refusal("-9 as e", okJson("[{\"e\":-9}]"), FailureKind.NOT_FOUND, "Check the link"),
            refusal("-11", okJson("[-11]"), FailureKind.FORBIDDEN, "your account"),
            refusal("-16", okJson("[-16]"), FailureKind.FORBIDDEN, "taken down"),
            refusal("-17", okJson("[-17]"), FailureKind.QUOTA, "Wait some hours"),
            refusal("-18", okJson("[-18]"), FailureKind.SERVER, "try again later"),
            refusal("-99", okJson("[-99]"), FailureKind.SERVER, "try again later"),
            refusal("509", aResponse().withStatus(509), FailureKind.QUOTA, "Wait some hours"),
            refusal("nothing", okJson("[]"), FailureKind.SERVER, "try again later"),
            refusal("no address", okJson("[{}]"), FailureKind.SERVER, "try again later"),
            refusal("no JSON", okJson("busy"), FailureKind.SERVER, "try again later"),
            refusal("a flood", okJson("[".repeat(70_000)), FailureKind.SERVER, "try again later"),
            refusal(
                "deep JSON", okJson("[".repeat(60_000)), FailureKind.SERVER, "try again later")));
  }
}
