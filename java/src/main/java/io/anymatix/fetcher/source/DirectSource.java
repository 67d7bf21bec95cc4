package io.anymatix.fetcher.source;

import io.anymatix.fetcher.content.Delivery;
import io.anymatix.fetcher.content.HttpUrl;
import io.anymatix.fetcher.content.PendingMetadata;
import io.anymatix.fetcher.content.RemoteFile;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.http.Opening;
import io.anymatix.fetcher.http.Probe;
import io.anymatix.fetcher.http.RemoteReader;
import io.anymatix.fetcher.http.RemoteRequest;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Any other http(s) link: what the server says is all there is to know. */
final class DirectSource implements Source {
  static final String NAME = "direct";

  private final RemoteReader reader;

  DirectSource(RemoteReader reader) {
    this.reader = reader;
  }

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public boolean claims(HttpUrl url) {
    return true;
  }

  @Override
  public RemoteFile resolve(Wanted wanted, Opening opening, Cancellation cancellation) {
    RemoteRequest request = RemoteRequest.get(wanted.effectiveUrl());
    Probe probe = reader.probe(request, opening, cancellation, RemoteReader::failureOf);
    return described(name(), request, probe);
  }

  /** What a probe alone tells about a file. */
  static RemoteFile described(String source, RemoteRequest request, Probe probe) {
    boolean sameOrigin = probe.url().sameOrigin(request.url());
    return new RemoteFile(
        source,
        probe.url(),
        sameOrigin ? request.credentials() : Map.of(),
        probe.lengthBytes(),
        probe.rangesProven(),
        probe.rangeEvidence(),
        probe.httpVersion(),
        probe.validator(),
        null,
        contentDisposition(probe),
        PendingMetadata.NONE,
        null,
        Delivery.PLAIN);
  }

  private static @Nullable String contentDisposition(Probe probe) {
    return probe.fields().get("content-disposition");
  }
}
