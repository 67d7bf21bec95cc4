package io.anymatix.fetcher.content;

import org.jspecify.annotations.Nullable;

/**
 * A file in a site's listing.
 *
 * @param url a link to it, as a caller may write it
 * @param path where it lies in its repository, with slashes; a site's text, not a safe path
 * @param lengthBytes its length
 * @param sha256 its hash, if the site states one
 */
public record ListedFile(String url, String path, long lengthBytes, @Nullable Sha256 sha256) {}
