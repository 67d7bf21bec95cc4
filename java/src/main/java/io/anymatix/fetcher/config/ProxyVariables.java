package io.anymatix.fetcher.config;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The environment's word on proxies, as curl picks it: the variable in lower case wins, {@code
 * ALL_PROXY} stands in for a scheme without one of its own, and an empty one is as none.
 *
 * @param forHttp the proxy of {@code http:} urls, if there is one
 * @param forHttps the proxy of {@code https:} urls, if there is one
 * @param noProxy hosts that are reached without; empty if none
 */
public record ProxyVariables(
    @Nullable Variable forHttp, @Nullable Variable forHttps, String noProxy) {
  /** No proxy at all. */
  public static final ProxyVariables NONE = new ProxyVariables(null, null, "");

  /**
   * A variable and what it holds, which may be a password.
   *
   * @param name as in the environment, for messages
   */
  public record Variable(String name, String value) {
    /** The name alone, so that no log line can hold a password by accident. */
    @Override
    public String toString() {
      return name;
    }
  }

  /** Picks the variables of an environment. */
  public static ProxyVariables of(Map<String, String> environment) {
    Variable all = first(environment, List.of("all_proxy", "ALL_PROXY"));
    // A CGI program gets a request's Proxy field as HTTP_PROXY (CVE-2016-5385).
    boolean isCgi = environment.containsKey("REQUEST_METHOD");
    Variable http =
        first(environment, isCgi ? List.of("http_proxy") : List.of("http_proxy", "HTTP_PROXY"));
    Variable https = first(environment, List.of("https_proxy", "HTTPS_PROXY"));
    Variable none = first(environment, List.of("no_proxy", "NO_PROXY"));
    return new ProxyVariables(
        http != null ? http : all, https != null ? https : all, none == null ? "" : none.value());
  }

  private static @Nullable Variable first(Map<String, String> environment, List<String> names) {
    for (String name : names) {
      String value = environment.get(name);
      if (value != null && !value.isBlank()) {
        return new Variable(name, value.strip());
      }
    }
    return null;
  }
}
