package io.anymatix.fetcher.source;

import io.anymatix.fetcher.content.ByteRange;
import io.anymatix.fetcher.content.Delivery;
import io.anymatix.fetcher.content.HttpUrl;
import io.anymatix.fetcher.content.RemoteFile;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.http.Answer;
import io.anymatix.fetcher.http.Cookies;
import io.anymatix.fetcher.http.Opening;
import io.anymatix.fetcher.http.Probe;
import io.anymatix.fetcher.http.RemoteReader;
import io.anymatix.fetcher.http.RemoteRequest;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.Set;
import java.util.StringJoiner;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jsoup.Jsoup;
import org.jsoup.nodes.Document;
import org.jsoup.nodes.Element;
import org.jspecify.annotations.Nullable;

/**
 * Google Drive: small files come at once; a file that is too large to be scanned for viruses comes
 * after a page that wants a confirmation, in one of three shapes. Cookies that were set on the way
 * go along to the file's final address, which takes ranges.
 */
final class GoogleDriveSource implements Source {
  static final String NAME = "googledrive";

  private static final Set<String> HOSTS =
      Set.of("drive.google.com", "docs.google.com", "drive.usercontent.google.com");
  private static final HttpUrl DRIVE = HttpUrl.parse("https://drive.google.com/");
  private static final String SIGN_IN_HOST = "accounts.google.com";

  /** More pages in a row than any way to a file has. */
  private static final int MOST_PAGES = 5;

  private static final int LONGEST_PAGE_BYTES = 2 << 20;
  private static final int LONGEST_QUOTATION = 200;

  private static final Pattern ID_IN_PATH = Pattern.compile("/d/([A-Za-z0-9_-]{10,})(?:[/?].*)?$");
  private static final Pattern ID = Pattern.compile("[A-Za-z0-9_-]{10,}");
  private static final Pattern FOLDER =
      Pattern.compile("/(?:drive/.*|drive)?/?folders/.*|/(?:embedded)?folderview\\b.*");
  private static final Pattern NATIVE =
      Pattern.compile(
          "/(?:a/[^/]+/|u/\\d+/)?(document|spreadsheets|presentation|forms|drawings)/.*");
  private static final Pattern NATIVE_TITLE =
      Pattern.compile(".* - Google (?:Docs|Sheets|Slides|Forms|Drawings)");

  /** An address as a script in the page holds it, with characters escaped as in JSON. */
  private static final Pattern DOWNLOAD_URL = Pattern.compile("\"downloadUrl\":\"(https?[^\"]+)\"");

  private static final Pattern UNICODE_ESCAPE = Pattern.compile("\\\\u([0-9a-fA-F]{4})");

  private final RemoteReader reader;

  GoogleDriveSource(RemoteReader reader) {
    this.reader = reader;
  }

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public boolean claims(HttpUrl url) {
    return HOSTS.contains(url.host());
  }

  @Override
  public RemoteFile resolve(Wanted wanted, Opening opening, Cancellation cancellation) {
    HttpUrl given = wanted.effectiveUrl();
    refuseWhatIsNoFile(given);
    String id = id(given);
    if (id == null) {
      throw unsupported("This Google Drive link names no file.", given);
    }
    String resourceKey = parameter(given, "resourcekey");
    String query = "?id=" + id + (resourceKey == null ? "" : "&resourcekey=" + resourceKey);
    return new Visit(given, query, cancellation).find();
  }

  private static void refuseWhatIsNoFile(HttpUrl url) {
    if (FOLDER.matcher(url.target()).matches()) {
      throw unsupported("Google Drive folders cannot be fetched as a whole.", url);
    }
    if (NATIVE.matcher(url.target()).matches()) {
      throw unsupported(
          "Documents of Google's own kinds are not files and cannot be fetched.", url);
    }
  }

  private static FetchException unsupported(String message, HttpUrl url) {
    return FetchException.because(FailureKind.UNSUPPORTED, message)
        .hint("Open it in a browser, and copy the link of a single file.")
        .url(url.redacted())
        .build();
  }

  private static @Nullable String id(HttpUrl url) {
    Matcher inPath = ID_IN_PATH.matcher(url.target());
    if (inPath.find()) {
      return inPath.group(1);
    }
    String id = parameter(url, "id");
    return id != null && ID.matcher(id).matches() ? id : null;
  }

  /** A query parameter's value as it is written: what is asked for here needs no escapes. */
  private static @Nullable String parameter(HttpUrl url, String name) {
    for (String pair : url.query().split("&", -1)) {
      if (pair.startsWith(name + "=")) {
        return pair.substring(name.length() + 1);
      }
    }
    return null;
  }

  /** The way from a file's id to the address of its bytes. */
  private final class Visit {
    private final HttpUrl given;
    private final String query;
    private final Cancellation cancellation;
    private final Cookies cookies = new Cookies();

    Visit(HttpUrl given, String query, Cancellation cancellation) {
      this.given = given;
      this.query = query;
      this.cancellation = cancellation;
    }

    RemoteFile find() {
      HttpUrl address = DRIVE.withTarget("/uc" + query);
      boolean askedOtherwise = false;
      for (int pages = 0; pages < MOST_PAGES; pages++) {
        RemoteRequest request = RemoteRequest.get(address).withCookies(cookies);
        try (Answer answer = reader.open(request.withRange(new ByteRange(0, 0)), cancellation)) {
          if (isFile(answer)) {
            return described(request, answer);
          }
          if (answer.status() == 500 && !askedOtherwise) {
            askedOtherwise = true;
            address = DRIVE.withTarget("/open" + query);
          } else {
            address = next(answer, address);
          }
        }
      }
      throw FetchException.because(
              FailureKind.SERVER,
              "Google Drive showed " + MOST_PAGES + " pages in a row and no file.")
          .url(given.redacted())
          .build();
    }

    /** Pages are of text/html and have no name; a file that is such a page has one. */
    private boolean isFile(Answer answer) {
      boolean isRepresentation = answer.status() == 200 || answer.status() == 206;
      boolean isNamed = answer.field("Content-Disposition") != null;
      return (isRepresentation && (isNamed || !isHtml(answer)))
          || (answer.status() == 416 && isNamed);
    }

    private RemoteFile described(RemoteRequest request, Answer answer) {
      Probe probe = Probe.of(answer);
      if (probe == null) {
        throw RemoteReader.failureOf(answer);
      }
      return DirectSource.described(name(), request, probe)
          .withCredentials(cookies.fieldsFor(probe.url()))
          .withDelivery(new Delivery(false, true, null));
    }

    /** Where a page sends whoever wants the file. */
    private HttpUrl next(Answer answer, HttpUrl asked) {
      HttpUrl shown = answer.url();
      if (shown.host().equals(SIGN_IN_HOST)) {
        throw FetchException.because(
                FailureKind.AUTH, "Google Drive wants a sign-in for this file: it is not public.")
            .hint("Ask its owner to share it with anyone who has the link.")
            .url(given.redacted())
            .build();
      }
      refuseWhatIsNoFile(shown);
      if (!isHtml(answer)) {
        throw RemoteReader.failureOf(answer);
      }
      String html = html(answer, asked);
      Document page = Jsoup.parse(html);
      if (answer.status() / 100 == 2) {
        HttpUrl link = confirmation(page, html, shown);
        if (link != null) {
          return link;
        }
      }
      throw refusal(page, answer);
    }

    /** A page that honoured the range of the request is asked for again as a whole. */
    private String html(Answer answer, HttpUrl asked) {
      if (answer.status() != 206) {
        return answer.text(LONGEST_PAGE_BYTES);
      }
      answer.close(); // so that its place among the site's requests is free for the next one
      RemoteRequest whole = RemoteRequest.get(asked).withCookies(cookies);
      try (Answer again = reader.openSuccessful(whole, cancellation)) {
        return again.text(LONGEST_PAGE_BYTES);
      }
    }

    private @Nullable HttpUrl confirmation(Document page, String html, HttpUrl shown) {
      Element link = page.selectFirst("a[href^=/uc?export=download]");
      if (link != null) {
        return shown.resolve(link.attr("href"));
      }
      Element form = page.selectFirst("form#download-form[action], form#downloadForm[action]");
      if (form != null) {
        return google(filled(form, shown));
      }
      Matcher script = DOWNLOAD_URL.matcher(html);
      return script.find() ? google(HttpUrl.parse(unescaped(script.group(1)))) : null;
    }

    /** The address that a browser goes to when the form is sent. */
    private HttpUrl filled(Element form, HttpUrl shown) {
      HttpUrl action = shown.resolve(form.attr("action"));
      StringJoiner pairs = new StringJoiner("&");
      for (Element field : form.select("input[type=hidden][name]")) {
        pairs.add(encoded(field.attr("name")) + "=" + encoded(field.attr("value")));
      }
      String target = action.target();
      int query = target.indexOf('?');
      String path = query < 0 ? target : target.substring(0, query);
      return action.withTarget(path + "?" + pairs);
    }

    /** A page of Google's sends nobody elsewhere; if it does, it is not what it seems. */
    private HttpUrl google(HttpUrl url) {
      if (url.host().endsWith(".google.com") || url.host().endsWith(".googleusercontent.com")) {
        return url;
      }
      throw FetchException.because(
              FailureKind.SERVER,
              "Google Drive's page leads to " + url.host() + ", which is not of Google's.")
          .url(given.redacted())
          .build();
    }

    private FetchException refusal(Document page, Answer answer) {
      Element reason = page.selectFirst(".uc-error-subcaption");
      String told = quotation(reason == null ? page.title() : reason.text());
      String lowerCase = (page.title() + " " + told).toLowerCase(Locale.ROOT);
      FetchException.Builder failure;
      if (lowerCase.contains("too many users") || lowerCase.contains("quota exceeded")) {
        failure =
            FetchException.because(
                    FailureKind.QUOTA,
                    "Google Drive's quota of this file is used up: \"" + told + "\"")
                .notRetryable()
                .hint(
                    "Asking again does not help: wait about a day, or copy the file to a Drive of"
                        + " your own and share that.");
      } else if (answer.status() / 100 != 2) {
        return RemoteReader.failureOf(answer);
      } else if (reason != null) {
        failure =
            FetchException.because(
                    FailureKind.FORBIDDEN, "Google Drive refuses this file: \"" + told + "\"")
                .hint("Ask its owner to share it with anyone who has the link.");
      } else if (NATIVE_TITLE.matcher(told).matches()) {
        return unsupported(
            "Documents of Google's own kinds are not files and cannot be fetched.", given);
      } else {
        failure =
            FetchException.because(
                FailureKind.NOT_A_MODEL,
                "Google Drive showed the page \"" + told + "\" in place of the file.");
      }
      return failure.status(answer.status()).url(given.redacted()).build();
    }
  }

  private static boolean isHtml(Answer answer) {
    String contentType = answer.field("Content-Type");
    return contentType != null && contentType.toLowerCase(Locale.ROOT).startsWith("text/html");
  }

  private static String encoded(String text) {
    return URLEncoder.encode(text, StandardCharsets.UTF_8);
  }

  private static String unescaped(String text) {
    return UNICODE_ESCAPE
        .matcher(text)
        .replaceAll(
            escape ->
                Matcher.quoteReplacement(
                    Character.toString((char) Integer.parseInt(escape.group(1), 16))))
        .replace("\\/", "/");
  }

  private static String quotation(String text) {
    return text.length() <= LONGEST_QUOTATION ? text : text.substring(0, LONGEST_QUOTATION) + "…";
  }
}
