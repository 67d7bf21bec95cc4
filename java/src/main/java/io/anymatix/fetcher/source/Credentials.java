package io.anymatix.fetcher.source;

import io.anymatix.fetcher.content.Redactor;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Access tokens by site: those that were set while running, else those in the environment. Held in
 * memory only; sent as a header to the site's own hosts, and never part of a name on disk. Methods
 * may be called from any thread.
 */
public final class Credentials {
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
  private final Map<Site, String> held = new EnumMap<>(Site.class);

  public Credentials(Map<String, String> environment) {
    this.environment = environment;
    for (Site site : Site.values()) {
      fromEnvironment(site).ifPresent(Redactor::learn);
    }
  }

  /** Holds a token from now on; null or blank text clears what was set. */
  public synchronized void set(Site site, @Nullable String token) {
    if (token == null || token.isBlank()) {
      held.remove(site);
    } else {
      Redactor.learn(token.strip());
      held.put(site, token.strip());
    }
  }

  /** Whether a token was set while running. */
  public synchronized boolean isHeld(Site site) {
    return held.containsKey(site);
  }

  /** The header fields that identify the user at a site; empty without a token. */
  synchronized Map<String, String> fields(Site site) {
    return Optional.ofNullable(held.get(site))
        .or(() -> fromEnvironment(site))
        .map(Credentials::bearer)
        .orElse(Map.of());
  }

  static Map<String, String> bearer(String token) {
    return Map.of("Authorization", "Bearer " + token);
  }

  private Optional<String> fromEnvironment(Site site) {
    return site.variables.stream()
        .map(environment::get)
        .filter(token -> token != null && !token.isBlank())
        .map(String::strip)
        .findFirst();
  }
}
