package io.anymatix.fetcher.source;

import static com.github.tomakehurst.wiremock.client.WireMock.aResponse;
import static com.github.tomakehurst.wiremock.client.WireMock.get;
import static com.github.tomakehurst.wiremock.client.WireMock.urlPathEqualTo;

import com.github.tomakehurst.wiremock.client.ResponseDefinitionBuilder;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.Reply;
import java.util.List;
import java.util.stream.Stream;

/** The hub: its own hop states hash and length, another host gives the bytes. */
class HuggingFaceSourceTest extends SourceContract {
  private static final String STORAGE = "cas-bridge.xethub.hf.co";
  private static final String PATH = "/org/repo/resolve/main/unet/model.safetensors";

  @Override
  String source() {
    return "huggingface";
  }

  @Override
  List<String> siteHosts() {
    return List.of("huggingface.co", "hf.co");
  }

  @Override
  List<String> storageHosts() {
    return List.of(STORAGE);
  }

  @Override
  String link() {
    return "https://huggingface.co" + PATH;
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
  void offer(Offer offer) {
    sites.answer(
        get(urlPathEqualTo(PATH)),
        request ->
            hop(offer.stated())
                .withHeader("Location", offer.links().sign("https://" + STORAGE + "/blob")));
    sites
        .storage()
        .serve("/blob", offer.served())
        .with(
            offer.links().demand(Reply.status(offer.refusedWith())),
            Fault.entityTag(request -> "\"node-" + request.connection() + "\""));
  }

  private static ResponseDefinitionBuilder hop(Content content) {
    return aResponse()
        .withStatus(302)
        .withHeader("X-Repo-Commit", "0123456789abcdef0123456789abcdef01234567")
        .withHeader("X-Linked-Size", Long.toString(content.lengthBytes()))
        .withHeader("X-Linked-Etag", "\"" + content.sha256() + "\"");
  }

  @Override
  void answerLink(ResponseDefinitionBuilder answer) {
    sites.site().stubFor(get(urlPathEqualTo(PATH)).willReturn(answer));
  }

  @Override
  Stream<Refusal> refusals() {
    return httpRefusals();
  }
}
