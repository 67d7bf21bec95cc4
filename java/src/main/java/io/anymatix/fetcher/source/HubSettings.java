package io.anymatix.fetcher.source;

import io.anymatix.fetcher.content.HttpUrl;
import io.anymatix.fetcher.failure.FetchException;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What users have set in their environment for Hugging Face's own client, read as that client reads
 * it.
 *
 * @param endpoint where the hub is asked, possibly below a path ({@code HF_ENDPOINT}); the owner's
 *     word, whatever its scheme and address
 * @param tokenFile where the client keeps the token of a login; null if no path can be made of it
 * @param cacheFolder where the client keeps downloaded files; null likewise
 * @param impliesToken whether a token that was not set for this process may be used
 */
public record HubSettings(
    HttpUrl endpoint, @Nullable Path tokenFile, @Nullable Path cacheFolder, boolean impliesToken) {
  private static final Logger log = LoggerFactory.getLogger(HubSettings.class);

  private static final HttpUrl PUBLIC_HUB = HttpUrl.parse("https://huggingface.co");
  private static final Set<String> TRUE = Set.of("1", "ON", "YES", "TRUE");

  /** Reads the variables; what can not be used is as if it were not set. */
  public static HubSettings of(Map<String, String> environment) {
    Path home =
        path(
            environment,
            "HF_HOME",
            child(
                path(environment, "XDG_CACHE_HOME", path("~/.cache", environment)), "huggingface"));
    Path formerCache = path(environment, "HUGGINGFACE_HUB_CACHE", child(home, "hub"));
    return new HubSettings(
        endpoint(environment),
        path(environment, "HF_TOKEN_PATH", child(home, "token")),
        path(environment, "HF_HUB_CACHE", formerCache),
        !TRUE.contains(
            text(environment, "HF_HUB_DISABLE_IMPLICIT_TOKEN").toUpperCase(Locale.ROOT)));
  }

  /** What links into the hub begin with: its own address, and the endpoint's; each with a slash. */
  public Set<String> addresses() {
    return new LinkedHashSet<>(
        List.of(PUBLIC_HUB.text(), endpoint.withTarget(basePath() + "/").text()));
  }

  /** The endpoint's path, without a slash at its end. */
  String basePath() {
    return endpoint.target().replaceFirst("/+$", "");
  }

  private static HttpUrl endpoint(Map<String, String> environment) {
    String text = text(environment, "HF_ENDPOINT");
    if (text.isEmpty()) {
      return PUBLIC_HUB;
    }
    try {
      HttpUrl endpoint = HttpUrl.parse(text);
      if (endpoint.query().isEmpty()) {
        return endpoint;
      }
    } catch (FetchException e) {
      // Told below.
    }
    log.warn("HF_ENDPOINT is not an http(s) url without a query; {} is used", PUBLIC_HUB);
    return PUBLIC_HUB;
  }

  private static String text(Map<String, String> environment, String name) {
    return environment.getOrDefault(name, "").strip();
  }

  private static @Nullable Path path(
      Map<String, String> environment, String name, @Nullable Path otherwise) {
    String text = text(environment, name);
    return text.isEmpty() ? otherwise : path(text, environment);
  }

  /** A path as users write it, with {@code ~} for their home folder. */
  static @Nullable Path path(String text, Map<String, String> environment) {
    boolean belowHome = text.equals("~") || text.startsWith("~/") || text.startsWith("~\\");
    try {
      if (!belowHome) {
        return Path.of(text);
      }
      String home = text(environment, "HOME");
      Path folder = Path.of(home.isEmpty() ? System.getProperty("user.home", "") : home);
      return text.length() < 3 ? folder : folder.resolve(text.substring(2));
    } catch (InvalidPathException e) {
      return null;
    }
  }

  private static @Nullable Path child(@Nullable Path folder, String name) {
    return folder == null ? null : folder.resolve(name);
  }
}
