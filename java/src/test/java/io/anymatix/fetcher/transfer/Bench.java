package io.anymatix.fetcher.transfer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.fetch.Download;
import io.anymatix.fetcher.fetch.FetchRequest;
import io.anymatix.fetcher.fetch.FetchResult;
import io.anymatix.fetcher.fetch.Fetcher;
import io.anymatix.fetcher.testing.Content;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * A real fetcher on one folder, and one download of it: over as many connections as a file usually
 * has at most, all at once, unless a test says otherwise.
 */
public final class Bench implements AutoCloseable {
  private final Path folder;
  private final Fetcher fetcher;

  private Bench(Path folder, Config config) {
    this.folder = folder;
    this.fetcher = new Fetcher(config);
  }

  public static Bench on(Path folder, Duration stallTimeout) {
    return new Bench(folder, config(folder, stallTimeout, null, List.of()));
  }

  public static Bench withTls(
      Path folder, Duration stallTimeout, Path caFile, String... connectTo) {
    return new Bench(folder, config(folder, stallTimeout, caFile, List.of(connectTo)));
  }

  private static Config config(
      Path folder, Duration stallTimeout, @Nullable Path caFile, List<String> connectTo) {
    return Config.builder()
        .modelsDir(folder)
        .allowHttp(true)
        .allowPrivateHosts(true)
        .connectTo(connectTo)
        .certificates(caFile == null ? List.of() : List.of(caFile))
        .acceptAnyContent(true)
        .stallTimeout(stallTimeout)
        .build();
  }

  public Fetcher fetcher() {
    return fetcher;
  }

  public FetchResult fetch(String url) {
    return fetch(url, null, new Download());
  }

  public FetchResult fetch(String url, @Nullable Integer connections, Download download) {
    return fetcher.fetch(request(url, null, connections), download);
  }

  public FetchResult fetch(String url, String sha256) {
    return fetcher.fetch(request(url, sha256, null), new Download());
  }

  public CompletableFuture<FetchResult> start(String url, Download download) {
    return start(url, null, download);
  }

  public CompletableFuture<FetchResult> start(
      String url, @Nullable Integer connections, Download download) {
    return CompletableFuture.supplyAsync(() -> fetch(url, connections, download));
  }

  public FetchResult fetchMirrored(
      String url, @Nullable String sha256, List<String> mirrors, Download download) {
    return fetchMirrored(url, sha256, mirrors, null, download);
  }

  FetchResult fetchMirrored(
      String url,
      @Nullable String sha256,
      List<String> mirrors,
      @Nullable Integer connections,
      Download download) {
    return fetcher.fetch(
        new FetchRequest(
            url, null, folder.toString(), null, sha256, null, mirrors, null, usual(connections)),
        download);
  }

  public FetchException mirroredFailure(String url, @Nullable String sha256, List<String> mirrors) {
    return assertThrows(
        FetchException.class, () -> fetchMirrored(url, sha256, mirrors, new Download()));
  }

  private FetchRequest request(String url, @Nullable String sha256, @Nullable Integer connections) {
    return new FetchRequest(
        url, null, folder.toString(), null, sha256, null, null, null, usual(connections));
  }

  private static int usual(@Nullable Integer connections) {
    return connections == null ? Config.DEFAULT_CONNECTIONS : connections;
  }

  public FetchException failure(String url) {
    return assertThrows(FetchException.class, () -> fetch(url));
  }

  /** Where the unfinished file of a url lies. */
  public Path part(String url, String stem, String suffix) {
    return folder.resolve(stem + "_" + Sha256.ofUtf8(url).hex() + suffix + ".part");
  }

  public static FetchResult result(CompletableFuture<FetchResult> running)
      throws InterruptedException {
    try {
      return running.get(60, TimeUnit.SECONDS);
    } catch (ExecutionException e) {
      throw new AssertionError("the fetch failed", e);
    } catch (TimeoutException e) {
      throw new AssertionError("the fetch does not end", e);
    }
  }

  /** The failure of a fetch that ends within a time. */
  public static <E extends Throwable> E failure(
      CompletableFuture<FetchResult> running, Class<E> type, Duration patience) {
    ExecutionException failure =
        assertThrows(
            ExecutionException.class,
            () -> running.get(patience.toMillis(), TimeUnit.MILLISECONDS));
    return assertInstanceOf(type, failure.getCause());
  }

  public static void assertHolds(Content content, FetchResult result) throws IOException {
    assertEquals(-1, content.mismatch(Path.of(result.path())), "first wrong byte");
    assertEquals(content.lengthBytes(), result.fileSize());
    assertEquals(content.sha256(), result.sha256());
  }

  /** Waits until that much has been written, or the download has ended. */
  public static void awaitReceived(
      Download download, CompletableFuture<FetchResult> running, long bytes) {
    while (download.snapshot().receivedBytes() < bytes && !running.isDone()) {
      LockSupport.parkNanos(1_000_000);
    }
  }

  /** Waits until nothing is being fetched: a cancelled download ends somewhat after its caller. */
  public void awaitEnd() {
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
    while (!fetcher.activity().equals(Fetcher.Activity.NONE)) {
      if (System.nanoTime() - end > 0) {
        throw new AssertionError("a download does not end: " + fetcher.activity());
      }
      LockSupport.parkNanos(1_000_000);
    }
  }

  /** Waits longer than a process would, so that nobody writes where a test looks or removes. */
  @Override
  public void close() {
    fetcher.close();
    awaitEnd();
  }
}
