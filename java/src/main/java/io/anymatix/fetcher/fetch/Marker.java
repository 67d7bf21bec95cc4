package io.anymatix.fetcher.fetch;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import io.anymatix.fetcher.content.Redactor;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.store.EffectiveUrl;
import io.anymatix.fetcher.store.ModelStore;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * A file that says that a batch is there, and what that was: for containers, which look for it when
 * they start, and for the next run of the batch, which looks whether it is still true.
 *
 * <p>A file that is gone or of another length is fetched again in any case. One of the same length
 * whose time is another than the marker says may have been changed: it is held to the hash in the
 * marker, and fetched again if it does not have it.
 */
final class Marker {
  private static final int VERSION = 1;
  private static final String PROGRAM = "anymatix-fetcher";
  private static final long LONGEST_BYTES = 16L << 20;
  private static final ObjectMapper JSON =
      new ObjectMapper()
          .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
          .enable(SerializationFeature.INDENT_OUTPUT);

  private final Path path;
  private final Map<String, Entry> entries;

  /**
   * One file that was there.
   *
   * @param url without secrets
   * @param urlHash of the effective url
   * @param modifiedMillis when the file was last written or used, in milliseconds of the epoch
   */
  private record Entry(
      String url, String urlHash, String path, long size, String sha256, long modifiedMillis) {}

  private record Content(String writtenBy, int version, String writtenAt, List<Entry> files) {}

  private Marker(Path path, Map<String, Entry> entries) {
    this.path = path;
    this.entries = entries;
  }

  /**
   * The marker of a path, with what it says; nothing, if it is not there or can't be read.
   *
   * @throws FetchException {@code policy} if another program's file is there
   */
  static Marker at(Path path) {
    return new Marker(
        path,
        read(path).stream()
            .flatMap(content -> content.files().stream())
            .collect(Collectors.toMap(Entry::urlHash, Function.identity(), (a, b) -> a)));
  }

  private static Optional<Content> read(Path path) {
    try {
      if (!Files.isRegularFile(path) || Files.size(path) > LONGEST_BYTES) {
        requireAbsent(path, Files.exists(path));
        return Optional.empty();
      }
      JsonNode tree = JSON.readTree(Files.readAllBytes(path));
      requireAbsent(
          path, tree.isContainerNode() && !PROGRAM.equals(tree.path("writtenBy").asText()));
      Content content = JSON.treeToValue(tree, Content.class);
      return Optional.ofNullable(content)
          .filter(c -> c.version() == VERSION && c.files() != null)
          .filter(c -> c.files().stream().allMatch(e -> e.urlHash() != null && e.path() != null));
    } catch (JsonProcessingException e) {
      return Optional.empty(); // cut, or made by a touch: it says nothing
    } catch (IOException e) {
      throw ModelStore.storageFailure(e, path);
    }
  }

  private static void requireAbsent(Path path, boolean isAnothers) {
    if (isAnothers) {
      throw FetchException.because(
              FailureKind.POLICY, path + " is there and is no marker, so it is not replaced.")
          .hint("Name another file as the marker.")
          .build();
    }
  }

  /**
   * Puts a file aside that is as long as it was and yet another one, so that it is fetched again.
   *
   * @return what was put aside; empty if the file is as it was, or gone
   */
  Optional<ModelStore.Aside> putAsideIfChanged(FetchRequest request, Cancellation cancellation) {
    if (request.url() == null) {
      return Optional.empty();
    }
    Entry entry = entries.get(EffectiveUrl.of(request.url(), request.auth()).urlHash().hex());
    if (entry == null || entry.sha256() == null) {
      return Optional.empty();
    }
    try {
      Path file = Path.of(entry.path());
      if (Files.size(file) != entry.size() || modifiedMillis(file) == entry.modifiedMillis()) {
        return Optional.empty();
      }
      return ModelStore.measure(file, cancellation).hex().equals(entry.sha256())
          ? Optional.empty()
          : Optional.of(ModelStore.putAside(file));
    } catch (IOException | InvalidPathException e) {
      return Optional.empty(); // gone: an ordinary fetch
    }
  }

  private static long modifiedMillis(Path file) throws IOException {
    return Files.getLastModifiedTime(file).toMillis();
  }

  /**
   * Writes what is there, whole and at once. A file that was satisfied by its length is hashed
   * first.
   *
   * @throws FetchException {@code storage} if that is not possible
   */
  void write(List<Batch.Ending> ended, Cancellation cancellation) {
    try {
      ended.stream()
          .map(ending -> folderOf(Path.of(Objects.requireNonNull(ending.result()).path())))
          .distinct()
          .forEach(ModelStore::forceNames);
      List<Entry> files = ended.stream().map(ending -> entry(ending, cancellation)).toList();
      String now = Instant.now().truncatedTo(ChronoUnit.SECONDS).toString();
      ModelStore.replaceFile(
          path, JSON.writeValueAsString(new Content(PROGRAM, VERSION, now, files)) + "\n");
    } catch (IOException e) {
      throw ModelStore.storageFailure(e, path);
    }
  }

  /** The folder of a file; a pack is a folder itself. */
  private static Path folderOf(Path path) {
    Path folder = Files.isDirectory(path) ? path : path.getParent();
    return folder == null ? path : folder;
  }

  private static Entry entry(Batch.Ending ending, Cancellation cancellation) {
    FetchResult result = Objects.requireNonNull(ending.result());
    Path file = Path.of(result.path());
    try {
      String sha256 = result.sha256();
      if (sha256 == null) {
        sha256 = ModelStore.measure(file, cancellation).hex();
      }
      String url = ending.item().request().url();
      return new Entry(
          Redactor.url(EffectiveUrl.storedForm(url == null ? "" : url)),
          result.urlHash(),
          result.path(),
          result.fileSize(),
          sha256,
          modifiedMillis(file));
    } catch (IOException e) {
      throw ModelStore.storageFailure(e, file);
    }
  }
}
