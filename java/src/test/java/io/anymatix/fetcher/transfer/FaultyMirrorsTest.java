package io.anymatix.fetcher.transfer;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.fetch.Download;
import io.anymatix.fetcher.fetch.FetchResult;
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.ByteRangeServer.Resource;
import io.anymatix.fetcher.testing.Content;
import java.util.List;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;

/** The same scripts for a file with a mirror, of which both hosts follow the script. */
class FaultyMirrorsTest extends FaultyServerTest {
  private final ByteRangeServer mirror = ByteRangeServer.start();
  private @Nullable String sha256;

  @AfterEach
  void stopMirror() {
    mirror.close();
  }

  @Override
  Resource serve(Content content) {
    sha256 = content.sha256();
    return super.serve(content).twin(mirror.serve("/m.bin", content));
  }

  @Override
  FetchResult fetch(String address, @Nullable Integer connections, Download download) {
    return bench.fetchMirrored(
        address, sha256, List.of(mirror.url("/m.bin")), connections, download);
  }

  /** No hash of such a content is known: entity tags hold the hosts together. */
  @Override
  void assertFetchesAnew(Content after, String address) throws Exception {
    sha256 = null;
    Bench.assertHolds(after, fetch(address, null, new Download()));
  }

  @Override
  void assertMostAtOnce(int connections) {
    assertTrue(server.maxConcurrentRequests() <= connections);
    assertTrue(mirror.maxConcurrentRequests() <= connections);
  }

  @Override
  void awaitNoConnections() throws InterruptedException {
    super.awaitNoConnections();
    // A connection that has brought its answer may be kept for the next one.
    while (mirror.requestsInFlight() > 0) {
      LockSupport.parkNanos(1_000_000);
    }
  }
}
