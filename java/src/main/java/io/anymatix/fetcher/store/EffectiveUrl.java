package io.anymatix.fetcher.store;

import io.anymatix.fetcher.content.Redactor;
import io.anymatix.fetcher.content.Sha256;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * The url that a stored file is named after: the caller's, with the caller's query tail (store
 * contract 1.1).
 *
 * <p>Nothing is normalised; two texts that differ in one byte are two files. It may hold secrets
 * and is never written down: what is kept on disk is {@link #storedForm}.
 *
 * @param text the whole url
 */
public record EffectiveUrl(String text) {

  private static final Pattern MEGA_HOST =
      Pattern.compile("(www\\.)?mega\\.(nz|co\\.nz|io)(:\\d*)?", Pattern.CASE_INSENSITIVE);

  /** The end of an old Mega link: {@code !ID!KEY}. */
  private static final Pattern OLD_MEGA_FILE = Pattern.compile("(![^!]*)!.*", Pattern.DOTALL);

  /** The end of an old link to a file in a Mega folder: {@code F!ID!KEY!FILE}. */
  private static final Pattern OLD_MEGA_FOLDER =
      Pattern.compile("(F![^!]*!)[^!?]*(.*)", Pattern.DOTALL);

  /**
   * Joins a url and a query tail. Without a tail (null or empty) the url is taken byte for byte;
   * with one, the url's own query is decoded and encoded again together with it, because that is
   * how every existing store was named.
   */
  public static EffectiveUrl of(String base, @Nullable String auth) {
    if (auth == null || auth.isEmpty()) {
      return new EffectiveUrl(base);
    }
    UrlParts parts = UrlParts.of(base);
    List<UrlParts.Pair> pairs =
        Stream.concat(UrlParts.pairs(parts.query()).stream(), UrlParts.pairs(auth).stream())
            .toList();
    return new EffectiveUrl(parts.withQuery(UrlParts.formText(pairs)).text());
  }

  /** SHA-256 of the text's UTF-8 bytes: the key of the file in the store. */
  public Sha256 urlHash() {
    return Sha256.ofUtf8(text);
  }

  /**
   * What follows the last slash of the path, as written: not decoded, without parameters, query and
   * fragment. Empty if the path ends in a slash or there is none (store contract 1.2).
   */
  public String lastPathSegment() {
    String path = UrlParts.of(text).path();
    return path.substring(path.lastIndexOf('/') + 1);
  }

  /**
   * The form of a url that may be written to disk: without userinfo, without a Mega key and without
   * credential pairs in its query (store contract 11.4). A url that has none of them is returned
   * byte for byte; where a pair is dropped, the others are encoded as {@link #of} does.
   */
  public static String storedForm(String url) {
    UrlParts parts = UrlParts.of(url);
    UrlParts stripped = withoutMegaKey(parts.withoutUserinfo());
    List<UrlParts.Pair> pairs = UrlParts.pairs(parts.query());
    List<UrlParts.Pair> kept = pairs.stream().filter(pair -> !isCredential(pair)).toList();
    if (kept.size() < pairs.size()) {
      stripped = stripped.withQuery(UrlParts.formText(kept));
    }
    String storedText = stripped.text();
    return storedText.equals(parts.text()) ? url : storedText;
  }

  /** Whether two urls name the same file once their credentials are left out. */
  public static boolean sameButForCredentials(String url, String otherUrl) {
    return url.equals(otherUrl) || storedForm(url).equals(storedForm(otherUrl));
  }

  private static boolean isCredential(UrlParts.Pair pair) {
    return Redactor.isCredentialParameter(pair.name());
  }

  /**
   * Mega puts the key into the fragment, after the id in old links. In a folder's link what follows
   * the key says which file is meant, so it stays.
   */
  private static UrlParts withoutMegaKey(UrlParts parts) {
    String fragment = parts.fragment();
    if (!MEGA_HOST.matcher(parts.authority()).matches()) {
      return parts;
    }
    if (fragment.startsWith("!")) {
      return parts.withFragment(OLD_MEGA_FILE.matcher(fragment).replaceFirst("$1"));
    }
    if (fragment.startsWith("F!")) {
      return parts.withFragment(OLD_MEGA_FOLDER.matcher(fragment).replaceFirst("$1$2"));
    }
    int belowKey = fragment.indexOf('/');
    return parts.withFragment(belowKey < 0 ? "" : fragment.substring(belowKey));
  }

  /** Only the stored form: the text itself may hold secrets and would end up in a log. */
  @Override
  public String toString() {
    return storedForm(text);
  }
}
