package io.anymatix.fetcher.source;

import io.anymatix.fetcher.content.HttpUrl;
import io.anymatix.fetcher.content.ListedFile;
import io.anymatix.fetcher.content.RemoteFile;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.http.RemoteReader;
import io.anymatix.fetcher.http.RetryPolicy;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** All sources in the order in which they are asked; direct links last. */
public final class Sources {
  /**
   * Connections for one file, by source: what each site is known to bear from one caller. All
   * ceilings are here; what the user asks for never exceeds them.
   */
  private static final Map<String, Integer> MAX_CONNECTIONS =
      Map.of("huggingface", 32, "direct", 32, "civitai", 16, "googledrive", 8, "mega", 6);

  /** For a source that the table forgot. */
  private static final int FEWEST_CONNECTIONS = 6;

  private final List<Source> sources;

  public Sources(RemoteReader reader, Credentials credentials, HubSettings hub) {
    this.sources =
        List.of(
            new HuggingFaceSource(reader, credentials, hub),
            new CivitaiSource(reader, credentials),
            new GoogleDriveSource(reader),
            new MegaSource(reader),
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
    Source.Wanted wanted = wanted(url, effectiveUrl, auth);
    return sourceOf(wanted).resolve(wanted, cancellation);
  }

  /**
   * The files that a link stands for: of a folder, of a pattern, of a model in shards. Asks the
   * site for its listing.
   *
   * @param url the url as the caller wrote it
   * @param effectiveUrl the same with the caller's query tail
   * @param listener hears of waits that the site asks for
   * @return in the order of the listing; empty if the link stands for one file, or nobody can tell
   * @throws FetchException as for {@link #resolve}; {@code notFound} also for a pattern or folder
   *     without files
   */
  public List<ListedFile> expand(
      String url,
      String effectiveUrl,
      @Nullable String auth,
      RetryPolicy.WaitListener listener,
      Cancellation cancellation) {
    Source.Wanted wanted = wanted(url, effectiveUrl, auth);
    return sourceOf(wanted).expand(wanted, listener, cancellation);
  }

  /** Connections that a source bears for one file at a time. */
  public static int maxConnections(String source) {
    return MAX_CONNECTIONS.getOrDefault(source, FEWEST_CONNECTIONS);
  }

  private static Source.Wanted wanted(String url, String effectiveUrl, @Nullable String auth) {
    return new Source.Wanted(url, httpUrl(url), httpUrl(effectiveUrl), auth);
  }

  private static HttpUrl httpUrl(String url) {
    return HttpUrl.parse(HubLink.isHubScheme(url) ? HubLink.httpsForm(url) : url);
  }

  private Source sourceOf(Source.Wanted wanted) {
    return sources.stream().filter(source -> source.claims(wanted.url())).findFirst().orElseThrow();
  }
}
