package io.anymatix.fetcher.source;

import io.anymatix.fetcher.content.HttpUrl;
import io.anymatix.fetcher.content.ListedFile;
import io.anymatix.fetcher.content.Redactor;
import io.anymatix.fetcher.content.RemoteFile;
import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.http.Answer;
import io.anymatix.fetcher.http.Opening;
import io.anymatix.fetcher.http.Probe;
import io.anymatix.fetcher.http.RemoteReader;
import io.anymatix.fetcher.http.RemoteRequest;
import io.anymatix.fetcher.http.RetryPolicy;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Hugging Face: the hub's own hop names the file's hash and length; the storage host behind it is
 * not asked who it is, since its entity tags differ by node.
 *
 * <p>Links to the public hub are asked for at the endpoint of the owner's choice, as the hub's own
 * client does; a link's identity stays what the caller wrote. A token goes to that endpoint's
 * origin and nowhere else, whatever redirects follow.
 */
final class HuggingFaceSource implements Source {
  static final String NAME = "huggingface";

  private static final Set<String> HOSTS = Set.of("huggingface.co", "hf.co");
  private static final String TOKEN_PAIR = "token=";

  private final RemoteReader reader;
  private final Credentials credentials;
  private final HubSettings settings;

  HuggingFaceSource(RemoteReader reader, Credentials credentials, HubSettings settings) {
    this.reader = reader;
    this.credentials = credentials;
    this.settings = settings;
  }

  /**
   * A link as it is asked for.
   *
   * @param url at the endpoint, without a token
   * @param place what it names; null for pages that are no place in a repository
   * @param identity header fields that say who asks
   */
  private record Wish(HttpUrl url, @Nullable HubLink place, Map<String, String> identity) {}

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public boolean claims(HttpUrl url) {
    return isPublicHub(url) || isBelowEndpoint(url);
  }

  private static boolean isPublicHub(HttpUrl url) {
    return HOSTS.contains(url.host()) && url.port() == (url.isHttps() ? 443 : 80);
  }

  private boolean isBelowEndpoint(HttpUrl url) {
    return url.sameOrigin(settings.endpoint())
        && url.target().startsWith(settings.basePath() + "/");
  }

  @Override
  public RemoteFile resolve(Wanted wanted, Opening opening, Cancellation cancellation) {
    Wish wish = wish(wanted);
    HubLink place = wish.place();
    if (place != null && (place.isFolder() || place.isPattern())) {
      throw FetchException.because(
              FailureKind.UNSUPPORTED,
              "This link stands for several files of " + place.repository() + ", not for one.")
          .url(wanted.url().redacted())
          .hint("Use the link of one file, or pull the whole folder.")
          .build();
    }
    RemoteRequest request = new RemoteRequest(wish.url(), wish.identity(), null, null);
    Probe probe = reader.probe(request, opening, cancellation, answer -> refusal(answer, wish));
    RemoteFile file = DirectSource.described(name(), request, probe);
    for (Map<String, String> hop : hubAnswers(probe)) {
      Sha256 linked = linkedSha256(hop.get("x-linked-etag"));
      if (file.sha256() == null) {
        file = file.withSha256(linked);
      }
      String size = hop.get("x-linked-size");
      if (file.lengthBytes() == null && size != null && size.matches("\\d{1,18}")) {
        file = file.withLengthBytes(Long.parseLong(size));
      }
    }
    return file;
  }

  @Override
  public List<ListedFile> expand(
      Wanted wanted, RetryPolicy.WaitListener listener, Cancellation cancellation) {
    Wish wish = wish(wanted);
    if (wish.place() == null) {
      return List.of();
    }
    String writtenAt = isPublicHub(wanted.url()) ? "https://huggingface.co" : at("").text();
    HubListing listing =
        new HubListing(
            writtenAt,
            (target, mostBytes) ->
                RetryPolicy.run(
                    () -> page(wish, target, mostBytes, cancellation), cancellation, listener));
    return listing.expand(wish.place());
  }

  private HubListing.Page page(Wish wish, String target, int mostBytes, Cancellation cancellation) {
    RemoteRequest request = new RemoteRequest(at(target), wish.identity(), null, null);
    try (Answer answer = reader.open(request, cancellation)) {
      if (answer.status() != 200) {
        throw refusal(answer, wish);
      }
      return new HubListing.Page(answer.text(mostBytes), answer.field("Link"));
    }
  }

  private Wish wish(Wanted wanted) {
    HttpUrl url = wanted.effectiveUrl();
    String path = url.target().replaceFirst("\\?.*", "");
    String below = isPublicHub(url) ? path : path.substring(settings.basePath().length());
    HubLink place = HubLink.parse(below);
    String asked = place == null || place.isFolder() ? below : place.fileTarget(below);
    String token = null;
    List<String> pairs = new ArrayList<>();
    for (String pair : url.query().split("&", -1)) {
      if (pair.startsWith(TOKEN_PAIR)) {
        token = URLDecoder.decode(pair.substring(TOKEN_PAIR.length()), StandardCharsets.UTF_8);
      } else if (!pair.isEmpty()) {
        pairs.add(pair);
      }
    }
    String query = pairs.isEmpty() ? "" : "?" + String.join("&", pairs);
    return new Wish(at(asked + query), place, identity(token));
  }

  /** A path and query below the owner's endpoint. */
  private HttpUrl at(String target) {
    return settings.endpoint().withTarget(settings.basePath() + target);
  }

  /** A token of the link's own travels as a field: the hub takes none in a query. */
  private Map<String, String> identity(@Nullable String token) {
    if (token == null || token.isEmpty()) {
      return credentials.fields(Credentials.Site.HUGGING_FACE);
    }
    Redactor.learnPassing(token);
    return Credentials.bearer(token);
  }

  /** The storage hosts know nothing of repositories; only the hub's own refusals are read. */
  private FetchException refusal(Answer answer, Wish wish) {
    FetchException plain = RemoteReader.failureOf(answer);
    return answer.url().sameOrigin(settings.endpoint())
        ? HubRefusal.of(answer, plain, wish.place(), at("").text(), !wish.identity().isEmpty())
        : plain;
  }

  /** The header fields of every answer that came from the hub itself. */
  private List<Map<String, String>> hubAnswers(Probe probe) {
    List<Map<String, String>> answers = new ArrayList<>();
    for (Answer.Hop hop : probe.hops()) {
      if (hop.url().sameOrigin(settings.endpoint())) {
        answers.add(hop.lowerCaseFields());
      }
    }
    if (probe.url().sameOrigin(settings.endpoint())) {
      answers.add(probe.fields());
    }
    return answers;
  }

  /** A content hash, or null: small files are tagged with a hash of another kind. */
  static @Nullable Sha256 linkedSha256(@Nullable String entityTag) {
    return entityTag == null
        ? null
        : Sha256.parse(entityTag.strip().replaceFirst("^W/", "").replace("\"", ""));
  }
}
