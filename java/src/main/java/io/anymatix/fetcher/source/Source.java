package io.anymatix.fetcher.source;

import io.anymatix.fetcher.content.HttpUrl;
import io.anymatix.fetcher.content.ListedFile;
import io.anymatix.fetcher.content.ModelMetadata;
import io.anymatix.fetcher.content.RemoteFile;
import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.http.Opening;
import io.anymatix.fetcher.http.RetryPolicy;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** One site that serves models: which urls are its, and where their bytes are. */
interface Source {
  /** By what name results and progress call it. */
  String name();

  /** Whether this source knows what to do with a url. */
  boolean claims(HttpUrl url);

  /**
   * Finds out where a file's bytes are and what is known about them; asks the site, downloads
   * nothing.
   *
   * @param opening the first request for the bytes themselves, for a source that can make use of it
   * @throws io.anymatix.fetcher.failure.FetchException as the site's answer means
   */
  RemoteFile resolve(Wanted wanted, Opening opening, Cancellation cancellation);

  /**
   * The files that a link stands for; empty if it stands for one file, or nobody can tell.
   *
   * @param listener hears of waits that the site asks for
   * @throws io.anymatix.fetcher.failure.FetchException as the site's answer means
   */
  default List<ListedFile> expand(
      Wanted wanted, RetryPolicy.WaitListener listener, Cancellation cancellation) {
    return List.of();
  }

  /**
   * What the site tells about the model; nothing for a site that tells nothing. Waits for it.
   *
   * @throws io.anymatix.fetcher.failure.FetchException as the site's answer means
   */
  default Optional<ModelMetadata> metadata(Wanted wanted, Cancellation cancellation) {
    return Optional.empty();
  }

  /** What the site told about the model not long ago; asks nobody. */
  default Optional<ModelMetadata> knownMetadata(Wanted wanted) {
    return Optional.empty();
  }

  /**
   * What a caller wants.
   *
   * @param text the url exactly as the caller wrote it, with its fragment, which may be a key
   * @param url the same, split
   * @param effectiveUrl the same with the caller's query tail
   * @param auth the caller's query tail
   * @param fileId the site's own id of the wanted file
   * @param sha256 the hash that the file must have, as the caller states it
   */
  record Wanted(
      String text,
      HttpUrl url,
      HttpUrl effectiveUrl,
      @Nullable String auth,
      @Nullable String fileId,
      @Nullable Sha256 sha256) {}
}
