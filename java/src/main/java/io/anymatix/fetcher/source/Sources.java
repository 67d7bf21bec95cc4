package io.anymatix.fetcher.source;

import io.anymatix.fetcher.content.HttpUrl;
import io.anymatix.fetcher.content.Redactor;
import io.anymatix.fetcher.content.RemoteFile;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.http.RemoteReader;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** All sources in the order in which they are asked; direct links last. */
public final class Sources {
  private static final Set<String> MEGA_HOSTS = Set.of("mega.nz", "mega.co.nz", "mega.io");

  private final List<Source> sources;

  public Sources(RemoteReader reader, Credentials credentials) {
    this.sources =
        List.of(
            new HuggingFaceSource(reader, credentials),
            new CivitaiSource(reader, credentials),
            new DirectSource(reader));
  }

  /**
   * Finds out where a file's bytes are.
   *
   * @param url the url as the caller wrote it
   * @param effectiveUrl the same with the caller's query tail
   * @throws FetchException {@code unsupported} for a link that no source knows, and as the site's
   *     answer means
   */
  public RemoteFile resolve(
      String url, String effectiveUrl, @Nullable String auth, Cancellation cancellation) {
    HttpUrl parsed = HttpUrl.parse(url);
    if (MEGA_HOSTS.contains(parsed.host())) {
      throw FetchException.because(
              FailureKind.UNSUPPORTED, "Mega links cannot be fetched: their content is encrypted.")
          .url(Redactor.url(url))
          .build();
    }
    Source.Wanted wanted = new Source.Wanted(parsed, HttpUrl.parse(effectiveUrl), auth);
    return sources.stream()
        .filter(source -> source.claims(parsed))
        .findFirst()
        .orElseThrow()
        .resolve(wanted, cancellation);
  }
}
