package io.anymatix.fetcher.transfer;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Nobody is held up by what is to make things faster. */
@Timeout(20)
class TlsWarmUpTest {
  @Test
  void itRunsOnceAndLetsEverybodyGoOnSoon() throws Exception {
    TlsWarmUp.begin();
    TlsWarmUp.begin();
    assertTrue(threads() <= 1, "it was begun twice");
    // The bound is 0.8 s.
    CompletableFuture.supplyAsync(TlsWarmUp::await).get(4, TimeUnit.SECONDS);
    assertFalse(TlsWarmUp.await(), "only the first file begins with less");
    while (threads() > 0) {
      Thread.onSpinWait();
    }
  }

  private static long threads() {
    return Thread.getAllStackTraces().keySet().stream()
        .filter(thread -> thread.getName().equals("tls-warm-up"))
        .count();
  }
}
