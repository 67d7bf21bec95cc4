package io.anymatix.fetcher.source;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.MissingNode;
import io.anymatix.fetcher.content.HttpUrl;
import io.anymatix.fetcher.content.Redactor;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.http.Answer;
import io.anymatix.fetcher.http.Probe;
import io.anymatix.fetcher.http.RemoteReader;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** What CivitAI means by an answer that is no file. */
final class CivitaiFailures {
  private static final int MOST_BODY_BYTES = 64 * 1024;
  private static final int MOST_TOLD_CHARACTERS = 200;

  private static final String TOKEN_HINT =
      "Make an API key at civitai.com/user/account, then set CIVITAI_API_TOKEN to it or give it to"
          + " setCredentials, and run again.";
  private static final String REFUSED_TOKEN_HINT =
      "The access token for CivitAI was not accepted: make a new API key at"
          + " civitai.com/user/account, set it, and run again.";

  private CivitaiFailures() {}

  /**
   * The failure that an answer without success stands for.
   *
   * @param withToken whether the request carried a token
   */
  static FetchException of(Answer answer, boolean withToken) {
    FetchException plain = RemoteReader.failureOf(answer);
    if (!CivitaiLink.isSite(answer.url())) {
      return plain;
    }
    if (isLoginPage(answer.url())) {
      return login(answer.url(), answer.status(), withToken);
    }
    JsonNode body = body(answer);
    String said = said(body);
    return switch (answer.status()) {
      case 401 ->
          isAboutDisabledDownloads(said)
              ? failure(FailureKind.FORBIDDEN, answer, "the model's owner has disabled downloads.")
                  .hint("Look for the model at another source, or for another version of it.")
                  .build()
              : failure(FailureKind.AUTH, answer, "it wants to know who you are" + quoted(said))
                  .hint(withToken ? REFUSED_TOKEN_HINT : TOKEN_HINT)
                  .build();
      case 403 ->
          body.path("error").asText("").equalsIgnoreCase("Early Access")
              ? earlyAccess(answer, deadline(body))
              : failure(FailureKind.FORBIDDEN, answer, "access denied" + quoted(said)).build();
      case 404 ->
          failure(FailureKind.NOT_FOUND, answer, "there is no such file at this link.")
              .hint(
                  "Check the link: the version may be deleted, hidden from this host"
                      + " (civitai.red shows more than civitai.com), or have no such variant; a"
                      + " fileId names one of its files.")
              .build();
      case 410 ->
          failure(FailureKind.GONE, answer, "the version is archived, and its files are removed.")
              .hint("Look for another version of the model, or for another source.")
              .build();
      case 429 ->
          failure(FailureKind.RATE_LIMITED, answer, "too many downloads" + quoted(said))
              .retryAfter(plain.retryAfter())
              .build();
      default -> plain;
    };
  }

  /** The failure that a successful answer stands for; null if it may be a file. */
  static @Nullable FetchException ofPage(Probe probe, boolean withToken) {
    String type = probe.fields().getOrDefault("content-type", "").toLowerCase(Locale.ROOT);
    if (!CivitaiLink.isSite(probe.url()) || !type.startsWith("text/html")) {
      return null;
    }
    if (isLoginPage(probe.url())) {
      return login(probe.url(), 200, withToken);
    }
    return FetchException.because(
            FailureKind.NOT_A_MODEL,
            probe.url().host() + " answered with a web page in place of the file.")
        .url(probe.url().redacted())
        .build();
  }

  private static boolean isLoginPage(HttpUrl url) {
    return url.target().matches("/(?:[a-z]{2}/)?login\\b.*");
  }

  private static FetchException login(HttpUrl url, int status, boolean withToken) {
    return FetchException.because(
            FailureKind.AUTH, url.host() + " sent its login page: it wants to know who you are.")
        .status(status)
        .hint(withToken ? REFUSED_TOKEN_HINT : TOKEN_HINT)
        .url(url.redacted())
        .build();
  }

  private static FetchException earlyAccess(Answer answer, String deadline) {
    FetchException.Builder failure =
        failure(
                FailureKind.EARLY_ACCESS,
                answer,
                "the version is in early access"
                    + (deadline.isEmpty() ? "." : " until " + deadline + "."))
            .hint(
                (deadline.isEmpty() ? "Wait until that ends" : "Wait until " + deadline)
                    + ", or buy early access on the model's page, then run again.");
    return (deadline.isEmpty() ? failure : failure.fact("deadline", deadline)).build();
  }

  private static FetchException.Builder failure(FailureKind kind, Answer answer, String what) {
    return FetchException.because(
            kind, answer.url().host() + " answered " + answer.status() + ": " + what)
        .status(answer.status())
        .url(answer.url().redacted());
  }

  /** An error's JSON; a text as a JSON string; missing if it is too long or breaks off. */
  private static JsonNode body(Answer answer) {
    try {
      String text = answer.text(MOST_BODY_BYTES);
      try {
        return SiteJson.MAPPER.readTree(text);
      } catch (JsonProcessingException e) {
        return text.contains("<")
            ? MissingNode.getInstance()
            : SiteJson.MAPPER.getNodeFactory().textNode(text);
      }
    } catch (FetchException e) {
      return MissingNode.getInstance();
    }
  }

  private static String said(JsonNode body) {
    return shown(body.isTextual() ? body.asText() : body.path("message").asText(""));
  }

  private static String deadline(JsonNode body) {
    return shown(body.path("deadline").asText(""));
  }

  /** What a server says may hold anything; one short line of it is shown, without secrets. */
  private static String shown(String text) {
    String line = Redactor.text(text).replaceAll("[\\p{Cntrl}\\s]+", " ").strip();
    return line.length() <= MOST_TOLD_CHARACTERS
        ? line
        : line.substring(0, MOST_TOLD_CHARACTERS) + "…";
  }

  private static String quoted(String said) {
    return said.isEmpty() ? "." : "; it says: \"" + said + "\"";
  }

  private static boolean isAboutDisabledDownloads(String said) {
    String lower = said.toLowerCase(Locale.ROOT);
    return lower.contains("disabled") && lower.contains("download");
  }
}
