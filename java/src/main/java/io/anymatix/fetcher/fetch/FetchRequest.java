package io.anymatix.fetcher.fetch;

import io.anymatix.fetcher.content.ListedFile;
import io.anymatix.fetcher.content.Redactor;
import io.anymatix.fetcher.store.EffectiveUrl;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * What a caller asks for; the parameters of the RPC method {@code fetch}, in the protocol's order.
 *
 * @param url what to fetch, exactly as the workflow has it
 * @param type a model type or a key of ComfyUI's folder table
 * @param dir an absolute folder inside a root; wins over {@code type}
 * @param auth a query tail that enters the effective url
 * @param sha256 the hash that the file must have; outranks the source's
 * @param name a plain name laid beside the hash-named file; {@value #SOURCE_NAME} is the source's
 *     own
 * @param mirrors other urls of the same bytes
 * @param fileId the source's own id of the wanted file
 * @param connections connections at most for this file
 */
public record FetchRequest(
    @Nullable String url,
    @Nullable String type,
    @Nullable String dir,
    @Nullable String auth,
    @Nullable String sha256,
    @Nullable String name,
    @Nullable List<String> mirrors,
    @Nullable String fileId,
    @Nullable Integer connections) {

  /** As a plain name: what the source calls the file. No file can have it for a name. */
  public static final String SOURCE_NAME = "*";

  /**
   * Whether it holds what must not be written down: a query tail, a token or a signature in a link,
   * a Mega key.
   */
  boolean holdsSecret() {
    return (auth != null && !auth.isEmpty())
        || Stream.concat(
                Stream.ofNullable(url), mirrors == null ? Stream.empty() : mirrors.stream())
            .anyMatch(FetchRequest::holdsSecret);
  }

  private static boolean holdsSecret(String link) {
    return !EffectiveUrl.storedForm(link).equals(link) || !Redactor.url(link).equals(link);
  }

  /** The link as it may be shown and written down. */
  public String shownUrl() {
    return url == null ? "" : Redactor.url(url);
  }

  // Linked at run time, the record's own would delay the first request of a process.
  @Override
  public int hashCode() {
    return Objects.hash(url, type, dir);
  }

  /** The request for one of the files that this one stands for. */
  FetchRequest forListed(ListedFile file) {
    return new FetchRequest(
        file.url(),
        type,
        dir,
        auth,
        file.sha256() == null ? null : file.sha256().hex(),
        null,
        null,
        null,
        connections);
  }

  FetchRequest withName(String plainName) {
    return new FetchRequest(url, type, dir, auth, sha256, plainName, mirrors, fileId, connections);
  }

  FetchRequest withDir(String folder) {
    return new FetchRequest(url, null, folder, auth, sha256, name, mirrors, fileId, connections);
  }
}
