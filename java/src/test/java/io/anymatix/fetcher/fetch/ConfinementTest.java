package io.anymatix.fetcher.fetch;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.Gate;
import io.anymatix.fetcher.testing.Request;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Nothing gets its name outside of the model folders, whatever happens while it is fetched. */
@Timeout(60)
class ConfinementTest {
  @SuppressWarnings("NullAway.Init") // set before each test
  @TempDir
  Path folder;

  @Test
  void aFolderThatBecomesALinkWhileItIsDownloadedToGetsNothing() throws Exception {
    try (Depot depot = new Depot(folder)) {
      Gate gate = new Gate();
      String url = depot.serve(1).when(Request::isForContent, Fault.freezesAfter(1000, gate)).url();
      Fetcher fetcher = depot.fetcher();
      Download download = new Download();
      CompletableFuture<FetchResult> running =
          CompletableFuture.supplyAsync(() -> fetcher.fetch(Depot.vae(url), download));
      // The folder is there before the part is; bytes are received once that is open.
      Depot.await(() -> download.snapshot().receivedBytes() == 1000, "the first bytes have come");
      Path elsewhere = Files.move(depot.vaeFolder(), folder.resolve("elsewhere"));
      Files.createSymbolicLink(depot.vaeFolder(), elsewhere);
      gate.open();
      ExecutionException end =
          assertThrows(ExecutionException.class, () -> running.get(30, TimeUnit.SECONDS));
      FetchException failure = assertInstanceOf(FetchException.class, end.getCause());
      assertEquals(FailureKind.POLICY, failure.kind(), failure.getMessage());
      assertTrue(
          String.valueOf(failure.getMessage()).contains(elsewhere.toString()),
          failure.getMessage());
      try (Stream<Path> files = Files.list(elsewhere)) {
        assertEquals(List.of(), files.filter(f -> f.toString().endsWith(".safetensors")).toList());
      }
    }
  }
}
