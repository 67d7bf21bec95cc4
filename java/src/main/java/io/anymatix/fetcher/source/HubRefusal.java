package io.anymatix.fetcher.source;

import io.anymatix.fetcher.content.Redactor;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.http.Answer;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * What the Hugging Face hub means by a refusal: its statuses alone do not tell (a private, a gated
 * and a missing repository are all 401 to a stranger), its {@code X-Error-Code} does.
 */
final class HubRefusal {
  private static final int LONGEST_QUOTE = 300;
  private static final String TOKEN_ADVICE = "set an access token (HF_TOKEN) that may read it";

  private HubRefusal() {}

  /**
   * The failure of an answer of the hub's own.
   *
   * @param plain what its status means anywhere
   * @param place what was asked for; null if the link names no place in a repository
   * @param endpoint the hub's address, for links in hints
   * @param signedIn whether a token was sent
   */
  static FetchException of(
      Answer answer,
      FetchException plain,
      @Nullable HubLink place,
      String endpoint,
      boolean signedIn) {
    String at = answer.url().host() + " answered " + answer.status() + ": ";
    String code = answer.field("X-Error-Code");
    String repository = place == null ? "the repository" : place.repository();
    String page = place == null ? endpoint : endpoint + place.pageTarget();
    FetchException.Builder told =
        switch (code == null ? "" : code) {
          case "GatedRepo" ->
              plain
                  .retold(FailureKind.GATED, at + gated(repository, signedIn))
                  .hint(gatedHint(page, signedIn))
                  .fact("page", page);
          case "RepoNotFound" ->
              plain
                  .retold(
                      FailureKind.NOT_FOUND,
                      at
                          + "there is no repository "
                          + repository
                          + ", or it is private; the hub does not say which.")
                  .hint("Check the name; if the repository is private, " + TOKEN_ADVICE + ".");
          case "RevisionNotFound" ->
              plain
                  .retold(
                      FailureKind.NOT_FOUND,
                      at + repository + " has no revision " + revision(place) + ".")
                  .hint("Look for its branches and tags at " + page + ".");
          case "EntryNotFound" ->
              plain
                  .retold(FailureKind.NOT_FOUND, at + repository + " has no " + entry(place) + ".")
                  .hint("Look for the file at " + page + "; it may have been renamed or removed.");
          default -> unnamed(answer, plain, at, repository, page, signedIn);
        };
    String requestId = quoted(answer.field("X-Request-Id"));
    return requestId.isEmpty() ? told.build() : told.fact("requestId", requestId).build();
  }

  private static FetchException.Builder unnamed(
      Answer answer,
      FetchException plain,
      String at,
      String repository,
      String page,
      boolean signedIn) {
    String said = quoted(answer.field("X-Error-Message"));
    String because = said.isEmpty() ? "" : " (" + said + ")";
    if (said.toLowerCase(Locale.ROOT).contains("is disabled")) {
      return plain
          .retold(FailureKind.FORBIDDEN, at + "access to " + repository + " is disabled" + because)
          .hint("The hub has closed this repository; look for the model elsewhere.");
    }
    return switch (answer.status()) {
      case 401 ->
          plain
              .retold(
                  FailureKind.AUTH,
                  at
                      + (signedIn
                          ? "it does not accept the token for " + repository
                          : repository + " is private, or is not there; the hub does not say which")
                      + because
                      + ".")
              .hint(
                  signedIn
                      ? "Set a valid access token (HF_TOKEN), or none for a public repository."
                      : "Check the link; if the repository is private, " + TOKEN_ADVICE + ".");
      case 403 ->
          plain
              .retold(FailureKind.FORBIDDEN, at + "no access to " + repository + because + ".")
              .hint("Check at " + page + " that your account and its token may read it.");
      default -> plain.retold(plain.kind(), plain.getMessage() + because);
    };
  }

  private static String gated(String repository, boolean signedIn) {
    return repository
        + (signedIn
            ? " is gated, and this token has no access to it."
            : " is gated, and nobody is signed in.");
  }

  private static String gatedHint(String page, boolean signedIn) {
    return "Open "
        + page
        + (signedIn
            ? " with the token's account and accept its conditions; a fine-grained token also"
                + " needs the right to read gated repositories."
            : ", accept its conditions, and " + TOKEN_ADVICE + ".");
  }

  private static String revision(@Nullable HubLink place) {
    return place == null ? "of this name" : "\"" + place.revision() + "\"";
  }

  private static String entry(@Nullable HubLink place) {
    return place == null
        ? "such file"
        : "file \"" + place.path() + "\" at revision \"" + place.revision() + "\"";
  }

  /** A server's text for a person: one line of bounded length without secrets. */
  private static String quoted(@Nullable String text) {
    if (text == null) {
      return "";
    }
    String line = Redactor.text(text.replaceAll("\\p{Cntrl}+", " ").strip());
    return line.length() <= LONGEST_QUOTE ? line : line.substring(0, LONGEST_QUOTE) + "…";
  }
}
