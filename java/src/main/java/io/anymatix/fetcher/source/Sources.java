package io.anymatix.fetcher.source;

import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.content.HttpUrl;
import io.anymatix.fetcher.content.ListedFile;
import io.anymatix.fetcher.content.ModelMetadata;
import io.anymatix.fetcher.content.RemoteFile;
import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.http.Opening;
import io.anymatix.fetcher.http.RemoteReader;
import io.anymatix.fetcher.http.RequestGate.Site;
import io.anymatix.fetcher.http.RetryPolicy;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** All sources in the order in which they are asked; direct links last. */
public final class Sources {
  /**
   * Connections by source, over all files and all that is asked at once: what each site is known to
   * bear from one caller. All ceilings are here; what the user asks for never exceeds them.
   */
  private static final Map<String, Integer> MAX_CONNECTIONS =
      Map.of(
          HuggingFaceSource.NAME, 32,
          DirectSource.NAME, 32,
          CivitaiSource.NAME, 16,
          GoogleDriveSource.NAME, 8,
          MegaSource.NAME, 6);

  /** For a source that the table forgot. */
  private static final int FEWEST_CONNECTIONS = 6;

  private final List<Source> sources;

  /**
   * @param config says where metadata is kept for a day, and how long it is waited for
   */
  public Sources(RemoteReader reader, Credentials credentials, HubSettings hub, Config config) {
    this.sources =
        List.of(
            new HuggingFaceSource(counted(reader, HuggingFaceSource.NAME), credentials, hub),
            new CivitaiSource(
                counted(reader, CivitaiSource.NAME),
                credentials,
                new MetadataCache(config.home()),
                config.metadataTimeout()),
            new GoogleDriveSource(counted(reader, GoogleDriveSource.NAME)),
            new MegaSource(counted(reader, MegaSource.NAME)),
            new DirectSource(counted(reader, DirectSource.NAME)));
  }

  /**
   * A file as its caller asks for it.
   *
   * @param url as the caller wrote it
   * @param effectiveUrl the same with the caller's query tail
   * @param auth the caller's query tail
   * @param fileId the source's own id of the file
   * @param sha256 the hash that the file must have
   */
  public record Wish(
      String url,
      String effectiveUrl,
      @Nullable String auth,
      @Nullable String fileId,
      @Nullable Sha256 sha256) {
    /** A link of which nothing more is known. */
    public static Wish of(String url, String effectiveUrl, @Nullable String auth) {
      return new Wish(url, effectiveUrl, auth, null, null);
    }
  }

  /**
   * Finds out where a file's bytes are.
   *
   * @throws FetchException {@code unsupported} for a link that no source knows, and as the site's
   *     answer means
   */
  public RemoteFile resolve(Wish wish, Cancellation cancellation) {
    return resolve(wish, Opening.ofFirstByte(), cancellation);
  }

  /**
   * The same with a request that may bring the file, or its beginning.
   *
   * @param opening keeps the answer; left without one by sources that can not
   */
  public RemoteFile resolve(Wish wish, Opening opening, Cancellation cancellation) {
    Source.Wanted wanted = wanted(wish);
    return sourceOf(wanted).resolve(wanted, opening, cancellation);
  }

  /**
   * What the source of a link tells about the model; nothing if it tells nothing of any.
   *
   * @throws FetchException as {@link #resolve}
   */
  public Optional<ModelMetadata> metadata(Wish wish, Cancellation cancellation) {
    Source.Wanted wanted = wanted(wish);
    return sourceOf(wanted).metadata(wanted, cancellation);
  }

  /**
   * What the source of a link told about the model not long ago; asks nobody.
   *
   * @throws FetchException {@code unsupported} for a link that no source knows
   */
  public Optional<ModelMetadata> knownMetadata(Wish wish) {
    Source.Wanted wanted = wanted(wish);
    return sourceOf(wanted).knownMetadata(wanted);
  }

  /** What the source of a link is called. */
  public String nameOf(Wish wish) {
    return sourceOf(wanted(wish)).name();
  }

  /**
   * The files that a link stands for: of a folder, of a pattern, of a model in shards. Asks the
   * site for its listing.
   *
   * @param listener hears of waits that the site asks for
   * @return in the order of the listing; empty if the link stands for one file, or nobody can tell
   * @throws FetchException as for {@link #resolve}; {@code notFound} also for a pattern or folder
   *     without files
   */
  public List<ListedFile> expand(
      Wish wish, RetryPolicy.WaitListener listener, Cancellation cancellation) {
    Source.Wanted wanted = wanted(wish);
    return sourceOf(wanted).expand(wanted, listener, cancellation);
  }

  /**
   * A reader for what a source has to do with. Its requests count together under {@link
   * #maxConnections}, or, since direct links lead anywhere, those to one server.
   */
  public static RemoteReader counted(RemoteReader reader, String source) {
    return reader.countingBy(url -> siteOf(source, url));
  }

  /**
   * Whose connections the first request for a link counts with.
   *
   * @throws FetchException {@code unsupported} for a link that no source knows
   */
  public Site siteOf(Wish wish) {
    Source.Wanted wanted = wanted(wish);
    return siteOf(sourceOf(wanted).name(), wanted.url());
  }

  private static Site siteOf(String source, HttpUrl url) {
    String name = source.equals(DirectSource.NAME) ? url.authority() : source;
    return new Site(name, maxConnections(source));
  }

  /** Connections that a source bears from us at a time. */
  public static int maxConnections(String source) {
    return MAX_CONNECTIONS.getOrDefault(source, FEWEST_CONNECTIONS);
  }

  private static Source.Wanted wanted(Wish wish) {
    return new Source.Wanted(
        wish.url(),
        httpUrl(wish.url()),
        httpUrl(wish.effectiveUrl()),
        wish.auth(),
        wish.fileId(),
        wish.sha256());
  }

  private static HttpUrl httpUrl(String url) {
    return HttpUrl.parse(HubLink.isHubScheme(url) ? HubLink.httpsForm(url) : url);
  }

  private Source sourceOf(Source.Wanted wanted) {
    return sources.stream().filter(source -> source.claims(wanted.url())).findFirst().orElseThrow();
  }
}
