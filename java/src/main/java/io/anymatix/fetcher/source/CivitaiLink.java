package io.anymatix.fetcher.source;

import io.anymatix.fetcher.content.HttpUrl;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * What a url of CivitAI's asks for: the download of a version, a version, the newest version of a
 * model, or the file of a hash.
 *
 * @param kind what {@code id} is the id of
 * @param id decimal digits, or a hash in hexadecimal; empty for {@link Kind#OTHER_DOWNLOAD}
 * @param url where requests go: the url with its query, at a host that answers itself
 */
record CivitaiLink(Kind kind, String id, HttpUrl url) {
  /** The hosts that answer; they show the same models, some with more of them than others. */
  static final Set<String> HOSTS = Set.of("civitai.com", "civitai.red", "civitai.green");

  /** People paste it; it only redirects, so what it names is asked of the host that answers. */
  private static final String ALIAS = "www.civitai.com";

  private static final Pattern DOWNLOAD = Pattern.compile("/api/download/models/(\\d{1,18})/?");
  private static final Pattern OTHER_DOWNLOAD = Pattern.compile("/api/download/.+");
  private static final Pattern VERSION =
      Pattern.compile("/(?:api/v1/)?model-versions/(\\d{1,18})/?");
  private static final Pattern HASH =
      Pattern.compile("/api/v1/model-versions/by-hash/([0-9A-Fa-f]{8,64})/?");
  private static final Pattern MODEL =
      Pattern.compile("/(?:api/v1/|[a-z]{2}/)?models/(\\d{1,18})(?:/[^/]*)?/?");
  private static final Pattern ID = Pattern.compile("\\d{1,18}");

  /** Parameters of a download that choose among the files of a version. */
  private static final Set<String> VARIANT = Set.of("type", "format", "size", "fp", "quantType");

  /** What an id is the id of. */
  enum Kind {
    /** A version, by the link that downloads it. */
    DOWNLOAD,
    VERSION,
    MODEL,
    HASH,
    /** A download of something that is no version, of which nothing else is known. */
    OTHER_DOWNLOAD
  }

  /** Whether a url is one of CivitAI's. */
  static boolean claims(HttpUrl url) {
    return HOSTS.contains(url.host()) || url.host().equals(ALIAS);
  }

  /** Whether an answer comes from the site itself, not from a storage host. */
  static boolean isSite(HttpUrl url) {
    return HOSTS.stream().anyMatch(h -> url.host().equals(h) || url.host().endsWith("." + h));
  }

  /**
   * Reads a url that {@link #claims} has taken.
   *
   * @throws FetchException {@code unsupported} if it names no model
   */
  static CivitaiLink of(HttpUrl effectiveUrl) {
    HttpUrl url =
        effectiveUrl.host().equals(ALIAS)
            ? new HttpUrl(
                effectiveUrl.scheme(), "civitai.com", effectiveUrl.port(), effectiveUrl.target())
            : effectiveUrl;
    String path = path(url);
    Matcher download = DOWNLOAD.matcher(path);
    if (download.matches()) {
      return new CivitaiLink(Kind.DOWNLOAD, download.group(1), url);
    }
    if (OTHER_DOWNLOAD.matcher(path).matches()) {
      return new CivitaiLink(Kind.OTHER_DOWNLOAD, "", url);
    }
    Matcher version = VERSION.matcher(path);
    if (version.matches()) {
      return new CivitaiLink(Kind.VERSION, version.group(1), url);
    }
    Matcher hash = HASH.matcher(path);
    if (hash.matches()) {
      return new CivitaiLink(Kind.HASH, hash.group(1), url);
    }
    Matcher model = MODEL.matcher(path);
    if (model.matches()) {
      String chosen = value(url, "modelVersionId");
      return chosen != null && ID.matcher(chosen).matches()
          ? new CivitaiLink(Kind.VERSION, chosen, url)
          : new CivitaiLink(Kind.MODEL, model.group(1), url);
    }
    throw FetchException.because(
            FailureKind.UNSUPPORTED, "This page of " + url.host() + " is no model's.")
        .hint("Use the link of the download button, or that of the model's page.")
        .url(url.redacted())
        .build();
  }

  /** The token in the url's query, or null. */
  @Nullable String token() {
    return value(url, "token");
  }

  /** The id of the wanted file, or null. */
  @Nullable Long fileId() {
    String text = value(url, "fileId");
    return text != null && ID.matcher(text).matches() ? Long.valueOf(text) : null;
  }

  /** What the url wants of the file of a version, by name; empty if it leaves the choice. */
  Map<String, String> variant() {
    Map<String, String> variant = new TreeMap<>();
    for (String name : VARIANT) {
      String value = value(url, name);
      if (value != null && !value.isEmpty()) {
        variant.put(name, decoded(value));
      }
    }
    return variant;
  }

  /**
   * Where a version is downloaded from. A link to a download stays as it is; of a page's query what
   * means something to a download is kept.
   */
  HttpUrl download(String versionId) {
    if (kind == Kind.DOWNLOAD) {
      return url;
    }
    List<String> kept =
        pairs(url).stream()
            .filter(
                pair -> {
                  String name = name(pair);
                  return VARIANT.contains(name) || name.equals("fileId") || name.equals("token");
                })
            .toList();
    return url.withTarget("/api/download/models/" + versionId + query(kept));
  }

  /** A download of exactly this file instead of a choice by other properties. */
  static HttpUrl withFileId(HttpUrl download, long fileId) {
    List<String> pairs = new ArrayList<>(pairs(download));
    pairs.removeIf(pair -> VARIANT.contains(name(pair)) || name(pair).equals("fileId"));
    pairs.add("fileId=" + fileId);
    return download.withTarget(path(download) + query(pairs));
  }

  private static String decoded(String value) {
    try {
      return URLDecoder.decode(value, StandardCharsets.UTF_8);
    } catch (IllegalArgumentException e) {
      return value; // A stray percent sign: it means itself.
    }
  }

  private static String path(HttpUrl url) {
    int query = url.target().indexOf('?');
    return query < 0 ? url.target() : url.target().substring(0, query);
  }

  private static String query(List<String> pairs) {
    return pairs.isEmpty() ? "" : "?" + String.join("&", pairs);
  }

  private static List<String> pairs(HttpUrl url) {
    return Arrays.stream(url.query().split("&", -1)).filter(pair -> !pair.isEmpty()).toList();
  }

  private static String name(String pair) {
    int equals = pair.indexOf('=');
    return equals < 0 ? pair : pair.substring(0, equals);
  }

  private static @Nullable String value(HttpUrl url, String name) {
    return pairs(url).stream()
        .filter(pair -> pair.startsWith(name + "="))
        .map(pair -> pair.substring(name.length() + 1))
        .findFirst()
        .orElse(null);
  }
}
