package io.anymatix.fetcher.source;

import io.anymatix.fetcher.content.HttpUrl;
import io.anymatix.fetcher.content.RemoteFile;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.http.RemoteReader;
import io.anymatix.fetcher.http.RemoteRequest;
import java.util.Map;
import java.util.Set;

/** CivitAI: download links, with the user's token as a header unless the link brings its own. */
final class CivitaiSource implements Source {
  private static final Set<String> HOSTS = Set.of("civitai.com", "civitai.red", "civitai.green");

  private final RemoteReader reader;
  private final Credentials credentials;

  CivitaiSource(RemoteReader reader, Credentials credentials) {
    this.reader = reader;
    this.credentials = credentials;
  }

  @Override
  public boolean claims(HttpUrl url) {
    return HOSTS.contains(url.host());
  }

  @Override
  public RemoteFile resolve(Wanted wanted, Cancellation cancellation) {
    boolean bringsToken =
        wanted.effectiveUrl().query().startsWith("token=")
            || wanted.effectiveUrl().query().contains("&token=");
    RemoteRequest request =
        new RemoteRequest(
            wanted.effectiveUrl(),
            bringsToken ? Map.of() : credentials.fields(Credentials.Site.CIVITAI),
            null,
            null);
    return DirectSource.described("civitai", request, reader.probe(request, cancellation));
  }
}
