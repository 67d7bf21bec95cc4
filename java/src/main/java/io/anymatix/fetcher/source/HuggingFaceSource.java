package io.anymatix.fetcher.source;

import io.anymatix.fetcher.content.HttpUrl;
import io.anymatix.fetcher.content.RemoteFile;
import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.http.Answer;
import io.anymatix.fetcher.http.Probe;
import io.anymatix.fetcher.http.RemoteReader;
import io.anymatix.fetcher.http.RemoteRequest;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Hugging Face: the hub's own hop names the file's hash and length; the storage host behind it is
 * not asked who it is, since its entity tags differ by node.
 */
final class HuggingFaceSource implements Source {
  private static final Set<String> HOSTS = Set.of("huggingface.co", "hf.co");

  /** {@code blob} is the page of a file; {@code resolve} is the file. */
  private static final Pattern BLOB =
      Pattern.compile("(/(?:(?:datasets|spaces)/)?[^/]+(?:/[^/]+)?)/blob/(.+)");

  private final RemoteReader reader;
  private final Credentials credentials;

  HuggingFaceSource(RemoteReader reader, Credentials credentials) {
    this.reader = reader;
    this.credentials = credentials;
  }

  @Override
  public boolean claims(HttpUrl url) {
    return HOSTS.contains(url.host());
  }

  @Override
  public RemoteFile resolve(Wanted wanted, Cancellation cancellation) {
    String token = tokenOf(wanted.auth());
    HttpUrl url = token == null ? wanted.effectiveUrl() : wanted.url();
    Matcher blob = BLOB.matcher(url.target());
    if (blob.matches()) {
      url = url.withTarget(blob.group(1) + "/resolve/" + blob.group(2));
    }
    Map<String, String> fields =
        token == null
            ? credentials.fields(Credentials.Site.HUGGING_FACE)
            : Credentials.bearer(token);
    RemoteRequest request = new RemoteRequest(url, fields, null, null);
    Probe probe = reader.probe(request, cancellation);
    RemoteFile file = DirectSource.described("huggingface", request, probe);
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

  /** The header fields of every answer that came from the hub itself. */
  private static List<Map<String, String>> hubAnswers(Probe probe) {
    List<Map<String, String>> answers = new ArrayList<>();
    for (Answer.Hop hop : probe.hops()) {
      if (HOSTS.contains(hop.url().host())) {
        answers.add(hop.lowerCaseFields());
      }
    }
    if (HOSTS.contains(probe.url().host())) {
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

  private static @Nullable String tokenOf(@Nullable String auth) {
    return auth != null && auth.startsWith("token=") && auth.indexOf('&') < 0
        ? auth.substring("token=".length())
        : null;
  }
}
