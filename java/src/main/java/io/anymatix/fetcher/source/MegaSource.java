package io.anymatix.fetcher.source;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import io.anymatix.fetcher.content.ContentKey;
import io.anymatix.fetcher.content.Delivery;
import io.anymatix.fetcher.content.HttpUrl;
import io.anymatix.fetcher.content.PendingMetadata;
import io.anymatix.fetcher.content.Redactor;
import io.anymatix.fetcher.content.RemoteFile;
import io.anymatix.fetcher.content.Validator;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.http.Answer;
import io.anymatix.fetcher.http.Opening;
import io.anymatix.fetcher.http.Probe;
import io.anymatix.fetcher.http.RemoteReader;
import io.anymatix.fetcher.http.RemoteRequest;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.atomic.AtomicLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Mega: files are stored encrypted, and the key is in the link's fragment, which is never sent. The
 * API gives length, encrypted attributes and a storage address that lasts a while; the storage
 * takes ranges in the path.
 */
final class MegaSource implements Source {
  static final String NAME = "mega";

  private static final Set<String> HOSTS =
      Set.of("mega.nz", "www.mega.nz", "mega.co.nz", "www.mega.co.nz", "mega.io", "www.mega.io");
  private static final HttpUrl API = HttpUrl.parse("https://g.api.mega.co.nz/cs");
  private static final int LONGEST_API_ANSWER_BYTES = 64 * 1024;
  private static final int PAYMENT_REQUIRED = 402;

  private static final String HANDLE = "([A-Za-z0-9_-]{8})";
  private static final String KEY = "([A-Za-z0-9_-]{43})(?![A-Za-z0-9_-]).*";

  /** {@code /file/ID#KEY}, also as an embedded player. */
  private static final Pattern LINK =
      Pattern.compile("[^#]*/(?:file|embed)/" + HANDLE + "[^#]*#" + KEY, Pattern.DOTALL);

  /** {@code #!ID!KEY}, as links were until 2020; some programs escape the exclamation marks. */
  private static final Pattern OLD_LINK =
      Pattern.compile("[^#]*#(?:!|%21)" + HANDLE + "(?:!|%21)" + KEY, Pattern.DOTALL);

  private static final Pattern FOLDER =
      Pattern.compile("[^#]*(?:/folder/|#(?:F!|F%21)).*", Pattern.DOTALL);

  private final RemoteReader reader;

  /** Mega wants requests numbered, from anywhere. */
  private final AtomicLong sequence = new AtomicLong(ThreadLocalRandom.current().nextInt(1 << 30));

  MegaSource(RemoteReader reader) {
    this.reader = reader;
  }

  /** What a link names. */
  private record Link(String handle, ContentKey key, String redacted) {}

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
    Link link = link(wanted.text());
    JsonNode file = ask(link, cancellation);
    String address = file.path("g").textValue();
    // Whoever has the address has the file's bytes, without asking anybody.
    Redactor.learnPassing(address.substring(address.lastIndexOf('/') + 1));
    HttpUrl storage = HttpUrl.parse(address);
    long lengthBytes = file.path("s").longValue();
    Probe probe =
        lengthBytes == 0 ? null : reader.probeInPath(RemoteRequest.get(storage), cancellation);
    return new RemoteFile(
        name(),
        storage,
        Map.of(),
        lengthBytes,
        probe != null && probe.rangesProven(),
        probe == null ? "an empty file has no ranges" : probe.rangeEvidence(),
        probe == null ? "HTTP/1.1" : probe.httpVersion(),
        // A file never changes under its key, and the MAC proves it: tags tell nothing.
        new Validator(null, null),
        null,
        null,
        PendingMetadata.NONE,
        name(link, file.path("at").asText("")),
        new Delivery(true, true, link.key()));
  }

  private static Link link(String text) {
    String redacted = Redactor.url(text);
    if (FOLDER.matcher(text).matches()) {
      throw unusable(
          "Mega folders cannot be fetched as a whole.",
          "Open the folder and copy the link of the file in it.",
          redacted);
    }
    for (Pattern form : List.of(LINK, OLD_LINK)) {
      Matcher parts = form.matcher(text);
      if (parts.matches()) {
        Redactor.learnPassing(parts.group(2));
        ContentKey key = ContentKey.parse(parts.group(2));
        if (key != null) {
          return new Link(parts.group(1), key, redacted);
        }
      }
    }
    throw unusable(
        "This Mega link does not name a file together with its key.",
        "Copy the whole link again: the key is what follows the file's id, behind the # sign.",
        redacted);
  }

  private static FetchException unusable(String message, String hint, String redacted) {
    return FetchException.because(FailureKind.UNSUPPORTED, message)
        .hint(hint)
        .url(redacted)
        .build();
  }

  /** The API's description of a file: {@code g} its address, {@code s} its length, {@code at}. */
  private JsonNode ask(Link link, Cancellation cancellation) {
    // The handle is of letters that need no escaping in JSON.
    String question = "[{\"a\":\"g\",\"g\":1,\"ssl\":2,\"p\":\"" + link.handle() + "\"}]";
    HttpUrl url = API.withTarget(API.target() + "?id=" + sequence.getAndIncrement());
    try (Answer answer = answered(url, question, link, cancellation)) {
      JsonNode told = SiteJson.MAPPER.readTree(answer.text(LONGEST_API_ANSWER_BYTES));
      JsonNode file = told.isArray() ? told.path(0) : told;
      JsonNode error = file.isObject() ? file.path("e") : file;
      if (error.isIntegralNumber() && error.intValue() < 0) {
        throw failure(error.intValue(), link);
      }
      if (file.path("g").isTextual() && file.path("s").isIntegralNumber()) {
        return file;
      }
      throw noSense(link);
    } catch (JsonProcessingException e) {
      throw noSense(link);
    }
  }

  /** The API's answer, if need be after the work that it demands for it. */
  private Answer answered(HttpUrl url, String question, Link link, Cancellation cancellation) {
    Answer answer = reader.open(RemoteRequest.post(url, question), cancellation);
    if (answer.status() / 100 == 2) {
      return answer;
    }
    String demand;
    try (answer) {
      demand = answer.field(MegaWork.FIELD);
      if (answer.status() != PAYMENT_REQUIRED || demand == null) {
        throw RemoteReader.failureOf(answer);
      }
    }
    String work =
        MegaWork.of(demand)
            .flatMap(wanted -> wanted.done(cancellation))
            .orElseThrow(() -> tooMuchWork(link));
    Answer paid =
        reader.open(
            new RemoteRequest(url, Map.of(MegaWork.FIELD, work), null, null, question, null),
            cancellation);
    if (paid.status() / 100 == 2) {
      return paid;
    }
    try (paid) {
      throw paid.status() == PAYMENT_REQUIRED ? tooMuchWork(link) : RemoteReader.failureOf(paid);
    }
  }

  private static FetchException tooMuchWork(Link link) {
    return FetchException.because(
            FailureKind.RATE_LIMITED,
            "Mega demands more work of this machine than is reasonable before it gives away the"
                + " file "
                + link.handle()
                + ".")
        .notRetryable()
        .hint("Wait an hour, then run again: Mega demands this of addresses that ask it a lot.")
        .status(PAYMENT_REQUIRED)
        .url(link.redacted())
        .build();
  }

  private static FetchException noSense(Link link) {
    return FetchException.because(
            FailureKind.SERVER,
            "Mega's answer about the file " + link.handle() + " makes no sense.")
        .status(200)
        .url(link.redacted())
        .build();
  }

  /** What an error number of the API means. */
  private static FetchException failure(int number, Link link) {
    String at = "Mega answered " + number + " for the file " + link.handle() + ": ";
    FetchException.Builder failure =
        switch (number) {
          case -3 -> FetchException.because(FailureKind.SERVER, at + "it is busy, try again.");
          case -4 -> FetchException.because(FailureKind.RATE_LIMITED, at + "too many requests.");
          case -2, -7, -8, -9 ->
              FetchException.because(FailureKind.NOT_FOUND, at + "there is no such file.");
          case -11 -> FetchException.because(FailureKind.FORBIDDEN, at + "access denied.");
          case -16 ->
              FetchException.because(
                      FailureKind.FORBIDDEN, at + "the file or its owner's account is blocked.")
                  .hint("Look for another source: it was taken down.");
          case -17 ->
              FetchException.because(
                      FailureKind.QUOTA, at + "the transfer quota of this address is used up.")
                  .hint("Wait some hours, then run again; what was received is kept.");
          case -18 ->
              FetchException.because(
                  FailureKind.SERVER, at + "the file is not available for the moment.");
          default ->
              FetchException.because(FailureKind.SERVER, at + "it cannot serve the file.")
                  .status(200);
        };
    return failure.url(link.redacted()).fact("megaError", number).build();
  }

  /**
   * The name in the encrypted attributes: {@code MEGA{"n":"…"}}, filled up with zeros. Whatever
   * does not decrypt to that was encrypted with another key than the link's.
   */
  private @Nullable String name(Link link, String attributes) {
    try {
      byte[] encrypted = Base64.getUrlDecoder().decode(attributes.replace("=", ""));
      String text = new String(link.key().decryptAttributes(encrypted), StandardCharsets.UTF_8);
      if (text.startsWith("MEGA{")) {
        JsonNode name =
            SiteJson.MAPPER.readTree(text.substring("MEGA".length()).replaceAll("\\x00+$", ""));
        return name.path("n").asText("");
      }
    } catch (IllegalArgumentException | JsonProcessingException e) {
      // As below: it did not decrypt to anything.
    }
    throw FetchException.because(
            FailureKind.AUTH, "The key in this Mega link is not that of the file.")
        .hint("Copy the whole link again, with everything behind the # sign.")
        .url(link.redacted())
        .build();
  }
}
