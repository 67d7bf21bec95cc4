package io.anymatix.fetcher.transfer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.CancelledException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The limit and the fairness of the throttle, on bytes granted and a clock driven by hand. */
@Timeout(30)
class ThrottleTest {
  private static final long LIMIT = 10_000_000;
  private static final long STEP_NANOS = Duration.ofMillis(1).toNanos();

  private final AtomicLong clock = new AtomicLong();
  private final Throttle throttle = new Throttle(clock::get);

  /** A file whose connections each ask for the next bytes as soon as they were granted some. */
  private final class File {
    private final Throttle.Share share = throttle.share();
    private final List<Throttle.Request> asked = new ArrayList<>();
    private final int readBytes;
    private long granted;

    File(int connections, int readBytes) {
      this.readBytes = readBytes;
      for (int i = 0; i < connections; i++) {
        asked.add(share.request(readBytes));
      }
    }

    void look() {
      for (int i = 0; i < asked.size(); i++) {
        if (asked.get(i).isGranted()) {
          granted += readBytes;
          asked.set(i, share.request(readBytes));
        }
      }
    }
  }

  private void pass(Duration time, File... files) {
    for (long end = clock.get() + time.toNanos(); clock.get() < end; ) {
      clock.addAndGet(STEP_NANOS);
      for (File file : files) {
        file.look();
      }
    }
  }

  private static void assertWithin5Percent(long expected, long actual) {
    assertEquals((double) expected, (double) actual, 0.05 * expected);
  }

  @Test
  void fiveSecondsBringFiveSecondsWorthOfBytes() {
    throttle.limit(LIMIT);
    File file = new File(16, 100_000);
    pass(Duration.ofSeconds(5), file);
    assertWithin5Percent(5 * LIMIT, file.granted);
  }

  @Test
  void aFileWithOneConnectionGetsAsMuchAsOneWithSixteen() {
    throttle.limit(LIMIT);
    File wide = new File(16, 100_000);
    File narrow = new File(1, 100_000);
    pass(Duration.ofSeconds(5), wide, narrow);
    assertWithin5Percent(5 * LIMIT, wide.granted + narrow.granted);
    assertWithin5Percent(wide.granted, narrow.granted);
  }

  @Test
  void readsOfDifferentLengthAreSharedByBytesNotByTurns() {
    throttle.limit(LIMIT);
    File large = new File(2, 100_000);
    File small = new File(2, 5_000);
    pass(Duration.ofSeconds(5), large, small);
    assertWithin5Percent(large.granted, small.granted);
  }

  @Test
  void whatAFileDoesNotAskForGoesToTheOthers() {
    throttle.limit(LIMIT);
    File busy = new File(4, 100_000);
    File idle = new File(0, 100_000);
    pass(Duration.ofSeconds(5), busy, idle);
    assertWithin5Percent(5 * LIMIT, busy.granted);
  }

  @Test
  void anIdleFileSavesNothingUpForLater() {
    throttle.limit(LIMIT);
    File early = new File(4, 100_000);
    pass(Duration.ofSeconds(10), early);
    File late = new File(4, 100_000);
    long before = early.granted;
    pass(Duration.ofSeconds(5), early, late);
    assertWithin5Percent(late.granted, early.granted - before);
  }

  @Test
  void theLimitIsChangedWhileTransfersRun() {
    throttle.limit(LIMIT);
    File file = new File(16, 100_000);
    pass(Duration.ofSeconds(5), file);
    long before = file.granted;
    throttle.limit(LIMIT / 10);
    pass(Duration.ofSeconds(5), file);
    double granted = file.granted - before;
    assertEquals(LIMIT / 2.0, granted, 0.05 * LIMIT / 2 + 100_000);
  }

  @Test
  void aRequestLargerThanTheLoweredLimitsBucketIsGrantedInTime() {
    throttle.limit(LIMIT);
    File file = new File(2, 1_000_000);
    throttle.limit(10_000L);
    pass(Duration.ofMinutes(5), file);
    assertTrue(file.granted >= 2_000_000, () -> file.granted + " bytes");
    assertTrue(file.granted <= 4_000_000, () -> file.granted + " bytes");
  }

  @Test
  void liftingTheLimitWakesWhoWaits() throws Exception {
    throttle.limit(1L);
    Throttle.Share share = throttle.share();
    share.request(5_000); // takes the bucket
    CompletableFuture<Integer> reader =
        CompletableFuture.supplyAsync(() -> share.read(9_000, new Cancellation(), most -> most));
    assertFalse(reader.isDone());
    throttle.limit(null);
    assertTrue(reader.get(10, TimeUnit.SECONDS) >= 1024);
  }

  @Test
  void aCancelledReaderLeavesAtOnceAndTakesNothing() {
    throttle.limit(1L);
    Throttle.Share share = throttle.share();
    share.request(5_000);
    Cancellation cancellation = new Cancellation();
    CompletableFuture<Integer> reader =
        CompletableFuture.supplyAsync(() -> share.read(9_000, cancellation, most -> most));
    cancellation.cancel();
    Exception failure = assertThrows(Exception.class, () -> reader.get(10, TimeUnit.SECONDS));
    assertTrue(failure.getCause() instanceof CancelledException, failure::toString);
  }

  @Test
  void bytesThatWereNotReadAreGivenBack() {
    throttle.limit(LIMIT);
    Throttle.Share share = throttle.share();
    long read = 0;
    Cancellation cancellation = new Cancellation();
    for (int step = 0; step < 5_000; step++) {
      clock.addAndGet(STEP_NANOS);
      // The bucket is never empty here: each read is granted at once and uses a tenth.
      read += share.read(10_000, cancellation, most -> most / 10);
    }
    assertEquals(5_000_000, read);
  }
}
