package io.anymatix.fetcher.source;

import io.anymatix.fetcher.content.HttpUrl;
import io.anymatix.fetcher.content.ModelMetadata;
import io.anymatix.fetcher.content.PendingMetadata;
import io.anymatix.fetcher.content.Redactor;
import io.anymatix.fetcher.content.RemoteFile;
import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.failure.InvalidParamsException;
import io.anymatix.fetcher.http.Answer;
import io.anymatix.fetcher.http.Opening;
import io.anymatix.fetcher.http.Probe;
import io.anymatix.fetcher.http.RemoteReader;
import io.anymatix.fetcher.http.RemoteRequest;
import io.anymatix.fetcher.source.CivitaiLink.Kind;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * CivitAI: download links, pages of models and versions, and hashes.
 *
 * <p>A download link redirects to a signed address at a storage host. What the site knows of the
 * version is asked for at the same time and never waited for here, with one exception: where the
 * link itself does not say which file is meant. The user's token travels as a header, unless the
 * link brings one of its own, which stays where it is.
 */
final class CivitaiSource implements Source {
  static final String NAME = "civitai";

  /** The site's storage has lapses, told as 404 that nobody may store; they pass soon. */
  private static final List<Duration> LAPSE_PAUSES =
      List.of(Duration.ofMillis(700), Duration.ofMillis(1500));

  private final RemoteReader reader;
  private final Credentials credentials;
  private final CivitaiLookups lookups;
  private final Duration metadataTimeout;

  CivitaiSource(
      RemoteReader reader, Credentials credentials, MetadataCache cache, Duration metadataTimeout) {
    this.reader = reader;
    this.credentials = credentials;
    this.metadataTimeout = metadataTimeout;
    this.lookups = new CivitaiLookups(reader, cache, metadataTimeout);
  }

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public boolean claims(HttpUrl url) {
    return CivitaiLink.claims(url);
  }

  @Override
  public RemoteFile resolve(Wanted wanted, Opening opening, Cancellation cancellation) {
    CivitaiLink link = link(wanted);
    Map<String, String> access = access(link);
    Long askedId = fileId(wanted, link);
    HttpUrl download = link.url();
    PendingMetadata metadata = PendingMetadata.NONE;
    if (link.kind() == Kind.HASH) {
      ModelMetadata version = about(link, access, cancellation);
      askedId = askedId != null ? askedId : fileOfHash(version, link);
      download = link.download(versionId(version, link));
      metadata = new PendingMetadata(CompletableFuture.completedFuture(version), askedId);
    } else if (link.kind() != Kind.OTHER_DOWNLOAD) {
      String version = versionId(link, access, cancellation);
      metadata = new PendingMetadata(told(link, version, access, wanted.sha256()), askedId);
      download = link.download(version);
    }
    if (askedId != null && !askedId.equals(link.fileId())) {
      download = CivitaiLink.withFileId(download, askedId);
    }
    return new Enquiry(link, download, metadata, cancellation).file();
  }

  @Override
  public Optional<ModelMetadata> metadata(Wanted wanted, Cancellation cancellation) {
    CivitaiLink link = link(wanted);
    return link.kind() == Kind.OTHER_DOWNLOAD
        ? Optional.empty()
        : Optional.of(about(link, access(link), cancellation));
  }

  @Override
  public Optional<ModelMetadata> knownMetadata(Wanted wanted) {
    CivitaiLink link = link(wanted);
    boolean namesVersion = link.kind() == Kind.DOWNLOAD || link.kind() == Kind.VERSION;
    return namesVersion ? lookups.known(link.id()) : Optional.empty();
  }

  private static CivitaiLink link(Wanted wanted) {
    CivitaiLink link = CivitaiLink.of(wanted.effectiveUrl());
    String token = link.token();
    if (token != null) {
      Redactor.learnPassing(token);
    }
    return link;
  }

  /** The header fields that say who asks. */
  private Map<String, String> access(CivitaiLink link) {
    String token = link.token();
    return token == null || token.isEmpty()
        ? credentials.fields(Credentials.Site.CIVITAI)
        : Credentials.bearer(token);
  }

  private static @Nullable Long fileId(Wanted wanted, CivitaiLink link) {
    String text = wanted.fileId();
    if (text == null || text.isEmpty()) {
      return link.fileId();
    }
    if (!text.matches("\\d{1,18}")) {
      throw new InvalidParamsException("\"fileId\" is no number, as CivitAI's are.");
    }
    return Long.valueOf(text);
  }

  private String versionId(
      CivitaiLink link, Map<String, String> access, Cancellation cancellation) {
    return link.kind() == Kind.MODEL
        ? lookups.newestVersion(link.url(), link.id(), access, cancellation)
        : link.id();
  }

  private ModelMetadata about(
      CivitaiLink link, Map<String, String> access, Cancellation cancellation) {
    CompletableFuture<ModelMetadata> answer =
        link.kind() == Kind.HASH
            ? lookups.byHash(link.url(), link.id(), access)
            : lookups.version(link.url(), versionId(link, access, cancellation), access);
    return CivitaiLookups.await(answer, link.url(), cancellation);
  }

  /** What will be told about a version: by its id, or where that is hidden, by the hash. */
  private CompletableFuture<ModelMetadata> told(
      CivitaiLink link, String versionId, Map<String, String> access, @Nullable Sha256 sha256) {
    CompletableFuture<ModelMetadata> byId = lookups.version(link.url(), versionId, access);
    if (sha256 == null) {
      return byId;
    }
    return byId.exceptionallyCompose(
            failure ->
                isNotFound(failure)
                    ? lookups.byHash(link.url(), sha256.hex(), access)
                    : CompletableFuture.failedFuture(failure))
        .orTimeout(metadataTimeout.toMillis(), TimeUnit.MILLISECONDS);
  }

  private static boolean isNotFound(Throwable failure) {
    Throwable cause = failure instanceof CompletionException ? failure.getCause() : failure;
    return cause instanceof FetchException known && known.kind() == FailureKind.NOT_FOUND;
  }

  private static String versionId(ModelMetadata version, CivitaiLink link) {
    if (!version.raw().path("id").isIntegralNumber()) {
      throw FetchException.because(
              FailureKind.SERVER, link.url().host() + " told of a version without an id.")
          .url(link.url().redacted())
          .build();
    }
    return version.raw().path("id").asText();
  }

  /** The file of a version that has the link's hash, of whatever kind that is; null if none. */
  private static @Nullable Long fileOfHash(ModelMetadata version, CivitaiLink link) {
    for (var file : version.raw().path("files")) {
      for (var hash : file.path("hashes")) {
        if (hash.asText("").equalsIgnoreCase(link.id()) && file.path("id").isIntegralNumber()) {
          return file.path("id").longValue();
        }
      }
    }
    return null;
  }

  /** Asks where the bytes of one file are, and once more where the first answer is not final. */
  private final class Enquiry {
    private final CivitaiLink link;
    private final PendingMetadata metadata;
    private final Cancellation cancellation;
    private RemoteRequest request;
    private boolean lapsed;

    Enquiry(
        CivitaiLink link, HttpUrl download, PendingMetadata metadata, Cancellation cancellation) {
      this.link = link;
      this.metadata = metadata;
      this.cancellation = cancellation;
      this.request =
          new RemoteRequest(
              download,
              link.token() == null ? credentials.fields(Credentials.Site.CIVITAI) : Map.of(),
              null,
              null);
    }

    RemoteFile file() {
      Probe probe = probe();
      FetchException page = CivitaiFailures.ofPage(probe, withToken());
      if (page != null) {
        throw page;
      }
      return DirectSource.described(name(), request, probe).withMetadata(metadata);
    }

    private boolean withToken() {
      return link.token() != null || !request.credentials().isEmpty();
    }

    private Probe probe() {
      boolean byFileId = metadata.fileId() != null || link.variant().isEmpty();
      for (int lapses = 0; ; ) {
        try {
          return reader.probe(request, cancellation, this::failure);
        } catch (FetchException e) {
          Optional<Long> fileId = Optional.empty();
          if (e.kind() == FailureKind.NOT_FOUND && !byFileId) {
            byFileId = true;
            fileId = fileOfVariant();
          }
          if (fileId.isPresent()) {
            HttpUrl exact = CivitaiLink.withFileId(request.url(), fileId.get());
            request = new RemoteRequest(exact, request.credentials(), null, null);
          } else if (lapsed && lapses < LAPSE_PAUSES.size()) {
            cancellation.sleep(LAPSE_PAUSES.get(lapses++));
          } else {
            throw e;
          }
        }
      }
    }

    private FetchException failure(Answer answer) {
      String cacheControl = String.valueOf(answer.field("Cache-Control"));
      lapsed = answer.status() == 404 && cacheControl.replace(" ", "").contains("private,no-store");
      return CivitaiFailures.of(answer, withToken());
    }

    /** The site may refuse the very variant that it names; the file's id always works. */
    private Optional<Long> fileOfVariant() {
      Optional<ModelMetadata> version = metadata.await(cancellation);
      List<ModelMetadata.File> fitting =
          version.stream()
              .flatMap(told -> told.files().stream())
              .filter(file -> link.variant().entrySet().stream().allMatch(w -> fits(file, w)))
              .toList();
      return fitting.size() == 1 ? Optional.ofNullable(fitting.get(0).id()) : Optional.empty();
    }

    private boolean fits(ModelMetadata.File file, Map.Entry<String, String> wanted) {
      String is = file.variant().getOrDefault(wanted.getKey(), "");
      return is.toLowerCase(Locale.ROOT).equals(wanted.getValue().toLowerCase(Locale.ROOT));
    }
  }
}
