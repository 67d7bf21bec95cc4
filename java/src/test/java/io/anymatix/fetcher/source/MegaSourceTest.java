package io.anymatix.fetcher.source;

import static com.github.tomakehurst.wiremock.client.WireMock.aResponse;
import static com.github.tomakehurst.wiremock.client.WireMock.any;
import static com.github.tomakehurst.wiremock.client.WireMock.get;
import static com.github.tomakehurst.wiremock.client.WireMock.okJson;
import static com.github.tomakehurst.wiremock.client.WireMock.post;
import static com.github.tomakehurst.wiremock.client.WireMock.urlPathEqualTo;
import static com.github.tomakehurst.wiremock.client.WireMock.urlPathMatching;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.github.tomakehurst.wiremock.client.ResponseDefinitionBuilder;
import com.github.tomakehurst.wiremock.verification.LoggedRequest;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.testing.ByteRangeServer.Resource;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.MegaFile;
import io.anymatix.fetcher.testing.Reply;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** A Mega link: the API is asked by POST, and the storage takes ranges in the path. */
class MegaSourceTest extends SourceContract {
  private static final String API = "g.api.mega.co.nz";
  private static final String STORAGE = "gfs1.userstorage.mega.co.nz";

  /** A storage host that does as the API does: answers once, with what a test gives it. */
  private static final String ODD_STORAGE = "gfs2.userstorage.mega.co.nz";

  /** What work is demanded for: 48 bytes. */
  private static final String TOKEN = "Anymatix".repeat(8);

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

  /** An answer that demands work of this easiness. */
  private static ResponseDefinitionBuilder demand(int easiness) {
    String challenge = "1:" + easiness + ":1763700000:" + TOKEN;
    return aResponse().withStatus(402).withHeader("X-Hashcash", challenge);
  }

  /** Mega's rule, word for word: the whole input in one piece. */
  private static boolean isPaid(String stamp, long threshold) {
    String[] parts = stamp.split(":", -1);
    byte[] token = Base64.getUrlDecoder().decode(TOKEN);
    ByteBuffer input = ByteBuffer.allocate(4 + 262_144 * token.length);
    input.put(Base64.getUrlDecoder().decode(parts[2]));
    for (int i = 0; i < 262_144; i++) {
      input.put(token);
    }
    BigInteger hash = new BigInteger(Content.of(input.array()).sha256(), 16);
    return parts[0].equals("1")
        && parts[1].equals(TOKEN)
        && hash.shiftRight(256 - 32).longValueExact() <= threshold;
  }

  @Test
  void workThatTheApiDemandsIsDoneForTheSameQuestion() {
    Offer offer = Offer.of(Content.safetensors(34, 70_000));
    offer(offer);
    String address = offer.links().sign("https://" + STORAGE + "/dl/a");
    sites.answer(
        post(urlPathEqualTo("/cs")),
        request ->
            request.getHeader("X-Hashcash") == null
                ? demand(0b11_001111)
                : okJson(described(address)));
    assertEquals(fileName(), resolve(link(), null, Map.of()).fileName());
    List<LoggedRequest> asked = sites.siteRequests();
    assertEquals(2, asked.size());
    assertEquals(asked.get(0).getUrl(), asked.get(1).getUrl(), "the number of the question");
    assertEquals(asked.get(0).getBodyAsString(), asked.get(1).getBodyAsString());
    String stamp = asked.get(1).getHeader("X-Hashcash");
    assertTrue(isPaid(stamp, 31L << 24), stamp);
  }

  @Test
  void workThatIsNotAcceptedIsNotDoneAgain() {
    answerLink(demand(0b11_111111));
    FetchException failure = resolveFailure(link());
    assertEquals(FailureKind.RATE_LIMITED, failure.kind());
    assertFalse(failure.retryable());
    assertEquals(2, sites.siteRequests().size());
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
            new Refusal(
                "402, too much", demand(0), FailureKind.RATE_LIMITED, false, "Wait an hour"),
            new Refusal(
                "402, unknown work",
                aResponse().withStatus(402).withHeader("X-Hashcash", "2:255:1763700000:" + TOKEN),
                FailureKind.RATE_LIMITED,
                false,
                "Wait an hour"),
            refusal("402", aResponse().withStatus(402), FailureKind.SERVER, "try again later"),
            refusal("nothing", okJson("[]"), FailureKind.SERVER, "try again later"),
            refusal("no address", okJson("[{}]"), FailureKind.SERVER, "try again later"),
            refusal("no JSON", okJson("busy"), FailureKind.SERVER, "try again later"),
            refusal("a flood", okJson("[".repeat(70_000)), FailureKind.SERVER, "try again later"),
            refusal(
                "deep JSON", okJson("[".repeat(60_000)), FailureKind.SERVER, "try again later")));
  }
}
