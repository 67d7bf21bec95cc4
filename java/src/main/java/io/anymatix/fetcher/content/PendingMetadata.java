package io.anymatix.fetcher.content;

import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.CancelledException;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * What a source tells about a model, asked for beside the download: it comes later than the file's
 * address, or never, and whoever waits for it says how long. Methods may be called from any thread.
 */
public final class PendingMetadata {
  /** For sources that tell nothing. */
  public static final PendingMetadata NONE =
      new PendingMetadata(
          CompletableFuture.failedFuture(new IllegalStateException("there is none")), null);

  private final CompletableFuture<ModelMetadata> told;
  private final @Nullable Long fileId;

  /**
   * @param told fails if nothing can be had, and ends in bounded time
   * @param fileId which of the version's files was asked for, if one was
   */
  public PendingMetadata(CompletableFuture<ModelMetadata> told, @Nullable Long fileId) {
    this.told = told;
    this.fileId = fileId;
  }

  /** Which of the version's files was asked for, if one was. */
  public @Nullable Long fileId() {
    return fileId;
  }

  /** Whether anything was told, or may yet be. */
  public boolean mayBeTold() {
    return !told.isCompletedExceptionally();
  }

  /**
   * Waits for what the source tells until it is there or can not be had.
   *
   * @throws CancelledException at the cancellation, at once
   */
  public Optional<ModelMetadata> await(Cancellation cancellation) {
    return await(Duration.ofDays(1), cancellation);
  }

  /**
   * The same, until the time is over.
   *
   * @throws CancelledException at the cancellation, at once
   */
  public Optional<ModelMetadata> await(Duration patience, Cancellation cancellation) {
    CompletableFuture<Optional<ModelMetadata>> mine =
        told.handle(
            (metadata, failure) ->
                failure == null ? Optional.of(metadata) : Optional.<ModelMetadata>empty());
    Cancellation.Registration registration =
        cancellation.onCancel(() -> mine.completeExceptionally(new CancelledException()));
    try {
      return mine.completeOnTimeout(Optional.empty(), patience.toMillis(), TimeUnit.MILLISECONDS)
          .join();
    } catch (CompletionException e) {
      throw new CancelledException();
    } finally {
      registration.close();
    }
  }

  /** Has this called with what the source tells, if and when it is there; it must not wait. */
  public void whenTold(Consumer<ModelMetadata> listener) {
    var unused = told.thenAccept(listener);
  }
}
