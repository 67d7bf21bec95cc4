package io.anymatix.fetcher.source;

import io.anymatix.fetcher.content.HttpUrl;
import io.anymatix.fetcher.content.ListedFile;
import io.anymatix.fetcher.content.RemoteFile;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.http.RetryPolicy;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** One site that serves models: which urls are its, and where their bytes are. */
interface Source {
  /** Whether this source knows what to do with a url. */
  boolean claims(HttpUrl url);

  /**
   * Finds out where a file's bytes are and what is known about them; asks the site, downloads
   * nothing.
   *
   * @throws io.anymatix.fetcher.failure.FetchException as the site's answer means
   */
  RemoteFile resolve(Wanted wanted, Cancellation cancellation);

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
   * What a caller wants.
   *
   * @param text the url exactly as the caller wrote it, with its fragment, which may be a key
   * @param url the same, split
   * @param effectiveUrl the same with the caller's query tail
   * @param auth the caller's query tail
   */
  record Wanted(String text, HttpUrl url, HttpUrl effectiveUrl, @Nullable String auth) {}
}
