package io.anymatix.fetcher.source;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.anymatix.fetcher.content.HttpUrl;
import io.anymatix.fetcher.content.ModelMetadata;
import io.anymatix.fetcher.content.Redactor;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.http.Answer;
import io.anymatix.fetcher.http.RemoteReader;
import io.anymatix.fetcher.http.RemoteRequest;
import java.time.Duration;
import java.time.Instant;
import java.time.format.DateTimeParseException;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Asks CivitAI's API about versions and models. A question ends after its timeout whatever the
 * server does, equal questions at the same time are one request, and what is known of a version is
 * kept for a day. Methods may be called from any thread.
 */
final class CivitaiLookups {
  /** A version with many long example prompts takes some hundred kilobytes, a model a few MB. */
  static final int MOST_BODY_BYTES = 8 << 20;

  private static final int MOST_THREADS = 4;

  private final RemoteReader reader;
  private final MetadataCache cache;
  private final Duration timeout;
  private final Map<Question, CompletableFuture<ObjectNode>> running = new ConcurrentHashMap<>();
  private final ThreadPoolExecutor executor =
      new ThreadPoolExecutor(
          MOST_THREADS,
          MOST_THREADS,
          10,
          TimeUnit.SECONDS,
          new LinkedBlockingQueue<>(),
          CivitaiLookups::thread);

  /**
   * What is asked, and by whom.
   *
   * @param cacheName under which the answer is kept; empty if it is not
   */
  private record Question(HttpUrl url, Map<String, String> credentials, String cacheName) {}

  /**
   * @param timeout a question's, from asking to the last byte of the answer
   */
  CivitaiLookups(RemoteReader reader, MetadataCache cache, Duration timeout) {
    this.reader = reader;
    this.cache = cache;
    this.timeout = timeout;
    executor.allowCoreThreadTimeOut(true);
  }

  private static Thread thread(Runnable task) {
    Thread thread = new Thread(task, "metadata");
    thread.setDaemon(true);
    return thread;
  }

  /**
   * Asks about a version; does not wait.
   *
   * @param site any url of the host to ask
   * @return fails with a {@link FetchException} or a {@link TimeoutException}
   */
  CompletableFuture<ModelMetadata> version(
      HttpUrl site, String versionId, Map<String, String> credentials) {
    return ask(new Question(
            site.withTarget("/api/v1/model-versions/" + versionId),
            credentials,
            versionName(versionId)))
        .thenApply(ModelMetadata::new);
  }

  /** Asks about the oldest version that has a file of this hash; as {@link #version}. */
  CompletableFuture<ModelMetadata> byHash(
      HttpUrl site, String hash, Map<String, String> credentials) {
    return ask(new Question(
            site.withTarget("/api/v1/model-versions/by-hash/" + hash),
            credentials,
            "hash-" + hash.toLowerCase(Locale.ROOT)))
        .thenApply(ModelMetadata::new);
  }

  /** What was said about a version within the last day; asks nobody. */
  Optional<ModelMetadata> known(String versionId) {
    return cached(versionName(versionId)).map(ModelMetadata::new);
  }

  /**
   * The id of the version of a model that was published last. Waits.
   *
   * @throws FetchException if the site does not say, or the model has none
   */
  String newestVersion(
      HttpUrl site, String modelId, Map<String, String> credentials, Cancellation cancellation) {
    HttpUrl url = site.withTarget("/api/v1/models/" + modelId);
    ObjectNode model = await(ask(new Question(url, credentials, "")), url, cancellation);
    JsonNode newest = null;
    for (JsonNode version : model.path("modelVersions")) {
      boolean published = version.path("status").asText("Published").equals("Published");
      if (published
          && version.path("id").isIntegralNumber()
          && (newest == null || publishedAt(version).isAfter(publishedAt(newest)))) {
        newest = version;
      }
    }
    if (newest == null) {
      throw FetchException.because(
              FailureKind.NOT_FOUND, "The model " + modelId + " has no published version.")
          .url(url.redacted())
          .build();
    }
    return newest.path("id").asText();
  }

  private static Instant publishedAt(JsonNode version) {
    try {
      return Instant.parse(version.path("publishedAt").asText(""));
    } catch (DateTimeParseException e) {
      return Instant.MIN; // The site lists the newest first, so the order decides.
    }
  }

  /**
   * Waits for an answer.
   *
   * @param site where it is expected from
   * @throws FetchException if there will be none
   */
  static <T> T await(CompletableFuture<T> answer, HttpUrl site, Cancellation cancellation) {
    CompletableFuture<T> mine = answer.copy();
    Cancellation.Registration registration =
        cancellation.onCancel(() -> mine.completeExceptionally(new CancelledException()));
    try {
      return mine.join();
    } catch (CompletionException e) {
      cancellation.throwIfCancelled();
      throw failure(e, site);
    } finally {
      registration.close();
    }
  }

  private static RuntimeException failure(CompletionException e, HttpUrl site) {
    Throwable cause = e;
    while (cause instanceof CompletionException && cause.getCause() != null) {
      cause = cause.getCause();
    }
    if (cause instanceof TimeoutException) {
      return FetchException.because(
              FailureKind.TIMEOUT, site.host() + " did not answer about the model in time.")
          .url(site.redacted())
          .build();
    }
    return cause instanceof RuntimeException known ? known : e;
  }

  private CompletableFuture<ObjectNode> ask(Question question) {
    Optional<ObjectNode> cached = cached(question.cacheName());
    if (cached.isPresent()) {
      return CompletableFuture.completedFuture(cached.get());
    }
    CompletableFuture<ObjectNode> mine = new CompletableFuture<>();
    CompletableFuture<ObjectNode> asked = running.putIfAbsent(question, mine);
    if (asked != null) {
      return asked;
    }
    Cancellation end = new Cancellation();
    var unused =
        mine.orTimeout(timeout.toMillis(), TimeUnit.MILLISECONDS)
            .whenComplete(
                (answer, failure) -> {
                  running.remove(question, mine);
                  end.cancel();
                });
    executor.execute(
        () -> {
          try {
            ObjectNode answer = read(question, end);
            // Before whoever waits goes on: the next question is a new one.
            running.remove(question, mine);
            mine.complete(answer);
          } catch (RuntimeException | Error e) {
            running.remove(question, mine);
            mine.completeExceptionally(e);
          }
        });
    return mine;
  }

  private ObjectNode read(Question question, Cancellation end) {
    RemoteRequest request = new RemoteRequest(question.url(), question.credentials(), null, null);
    try (Answer answer = reader.open(request, end)) {
      if (answer.status() != 200) {
        throw CivitaiFailures.of(answer, !question.credentials().isEmpty());
      }
      String text = answer.text(MOST_BODY_BYTES);
      for (String field : question.credentials().values()) {
        text = Redactor.data(text, field.substring(field.indexOf(' ') + 1));
      }
      ObjectNode object =
          object(text)
              .orElseThrow(
                  () ->
                      FetchException.because(
                              FailureKind.SERVER,
                              answer.url().host()
                                  + " answered with something that is no JSON object.")
                          .status(answer.status())
                          .url(answer.url().redacted())
                          .build());
      if (!question.cacheName().isEmpty()) {
        cache.put(question.cacheName(), text);
      }
      return object;
    }
  }

  private Optional<ObjectNode> cached(String name) {
    return name.isEmpty() ? Optional.empty() : cache.get(name).flatMap(CivitaiLookups::object);
  }

  private static String versionName(String versionId) {
    return "version-" + versionId;
  }

  private static Optional<ObjectNode> object(String text) {
    try {
      return SiteJson.MAPPER.readTree(text) instanceof ObjectNode object
          ? Optional.of(object)
          : Optional.empty();
    } catch (JsonProcessingException e) {
      return Optional.empty();
    }
  }
}
