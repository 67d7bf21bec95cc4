package io.anymatix.fetcher.source;

import static com.github.tomakehurst.wiremock.client.WireMock.aResponse;
import static com.github.tomakehurst.wiremock.client.WireMock.get;

import com.github.tomakehurst.wiremock.client.ResponseDefinitionBuilder;
import io.anymatix.fetcher.testing.ByteRangeServer.Resource;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.Reply;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** A plain link to a host that redirects to an object store. */
class DirectSourceTest extends SourceContract {
  private static final String STORAGE = "bucket.storage.example";
  private static final String PATH = "/models/a%20model.safetensors";

  @Override
  String source() {
    return "direct";
  }

  @Override
  List<String> siteHosts() {
    return List.of("files.example");
  }

  @Override
  List<String> storageHosts() {
    return List.of(STORAGE);
  }

  @Override
  String link() {
    return "https://files.example" + PATH;
  }

  @Override
  String fileName() {
    return "b.safetensors";
  }

  @Override
  @Nullable String authorization() {
    return null;
  }

  @Override
  int mostConnections() {
    return 32;
  }

  @Override
  Resource offer(Offer offer) {
    sites.answer(
        get(PATH),
        request ->
            aResponse()
                .withStatus(302)
                .withHeader("Location", offer.links().sign("https://" + STORAGE + "/blob")));
    return sites
        .storage()
        .serve("/blob", offer.served())
        .with(
            offer.links().demand(Reply.status(offer.refusedWith())),
            Fault.header("Content-Disposition", "attachment; filename=\"b.safetensors\""));
  }

  @Override
  void answerLink(ResponseDefinitionBuilder answer) {
    sites.site().stubFor(get(PATH).willReturn(answer));
  }

  @Override
  Stream<Refusal> refusals() {
    return httpRefusals();
  }
}
