package io.anymatix.fetcher.source;

import io.anymatix.fetcher.content.Redactor;
import io.anymatix.fetcher.failure.InvalidParamsException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Access tokens by site: those that were set while running, else those in the environment, else
 * those that the sites' own tools keep in a file. Held in memory only; sent as a header to the
 * site's own hosts, and never part of a name on disk. Methods may be called from any thread.
 *
 * <p>Files are looked at when a token is needed, so a login while the process runs counts at once.
 * A file that is not there, not readable or no token is as if there were none.
 */
public final class Credentials {
  private static final Logger log = LoggerFactory.getLogger(Credentials.class);

  /** A longer file is something else than a token. */
  private static final int LONGEST_TOKEN_BYTES = 4096;

  /** What may stand in a header field without a second thought (RFC 6750 is narrower). */
  private static final Pattern TOKEN = Pattern.compile("[\\x21-\\x7e]+");

  /**
   * A site that knows tokens, and the variables in which users keep them, the official one first.
   */
  public enum Site {
    CIVITAI("CIVITAI_API_TOKEN", "CIVITAI_API_KEY", "CIVITAI_TOKEN", "CIVIT_TOKEN"),
    HUGGING_FACE("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_API_TOKEN");

    @SuppressWarnings("ImmutableEnumChecker") // made by List.of
    private final List<String> variables;

    Site(String... variables) {
      this.variables = List.of(variables);
    }
  }

  private final Map<String, String> environment;
  private final HubSettings hub;
  private final Map<Site, String> held = new EnumMap<>(Site.class);

  public Credentials(Map<String, String> environment, HubSettings hub) {
    this.environment = environment;
    this.hub = hub;
    for (Site site : Site.values()) {
      fromEnvironment(site).ifPresent(Redactor::learn);
    }
  }

  /**
   * Holds a token from now on; null or blank text clears what was set.
   *
   * @throws InvalidParamsException for a text that can not be a token
   */
  public synchronized void set(Site site, @Nullable String token) {
    if (token == null || token.isBlank()) {
      held.remove(site);
      return;
    }
    String stripped = token.strip();
    Redactor.learn(stripped);
    if (!TOKEN.matcher(stripped).matches()) {
      throw new InvalidParamsException("A token has no spaces and no letters beyond ASCII.");
    }
    held.put(site, stripped);
  }

  /** Whether a token was set while running. */
  public synchronized boolean isHeld(Site site) {
    return held.containsKey(site);
  }

  /** The header fields that identify the user at a site; empty without a token. */
  Map<String, String> fields(Site site) {
    return setWhileRunning(site).or(() -> implied(site)).map(Credentials::bearer).orElse(Map.of());
  }

  static Map<String, String> bearer(String token) {
    return Map.of("Authorization", "Bearer " + token);
  }

  private synchronized Optional<String> setWhileRunning(Site site) {
    return Optional.ofNullable(held.get(site));
  }

  /** A token that nobody handed to this process; users can forbid that for the hub. */
  private Optional<String> implied(Site site) {
    if (site == Site.HUGGING_FACE && !hub.impliesToken()) {
      return Optional.empty();
    }
    return fromEnvironment(site).or(() -> fromFile(tokenFile(site)));
  }

  private Optional<String> fromEnvironment(Site site) {
    return site.variables.stream()
        .map(environment::get)
        .flatMap(Stream::ofNullable)
        .map(String::strip)
        .filter(token -> TOKEN.matcher(token).matches())
        .findFirst();
  }

  private @Nullable Path tokenFile(Site site) {
    return switch (site) {
      case HUGGING_FACE -> hub.tokenFile();
      case CIVITAI -> HubSettings.path("~/.civitai/config", environment);
    };
  }

  private static Optional<String> fromFile(@Nullable Path file) {
    if (file == null || !Files.isRegularFile(file)) {
      return Optional.empty();
    }
    try (InputStream in = Files.newInputStream(file)) {
      byte[] bytes = in.readNBytes(LONGEST_TOKEN_BYTES + 1);
      String token = new String(bytes, StandardCharsets.UTF_8).strip();
      if (bytes.length <= LONGEST_TOKEN_BYTES && TOKEN.matcher(token).matches()) {
        Redactor.learn(token);
        return Optional.of(token);
      }
      log.debug("{} holds no token", file);
    } catch (IOException e) {
      log.debug("{} cannot be read: {}", file, e.getMessage());
    }
    return Optional.empty();
  }
}
