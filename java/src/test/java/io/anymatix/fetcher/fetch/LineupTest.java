package io.anymatix.fetcher.fetch;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.fetch.Lineup.Job;
import java.net.UnknownHostException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Pauses between the attempts of a line, on a clock driven by hand. */
@Timeout(60)
class LineupTest {
  private static final Duration FIRST_PAUSE = Duration.ofSeconds(1);

  /** No name of this domain is ever known (RFC 6761 section 6.4). */
  private static final String UNRESOLVABLE = "https://models.invalid/m.safetensors";

  @SuppressWarnings("NullAway.Init") // set before each test
  private Depot depot;

  @SuppressWarnings("NullAway.Init") // set before each test
  private Lineup line;

  private final HandClock clock = new HandClock();
  private final Map<String, Ending> endings = new ConcurrentHashMap<>();

  private Ending ending(String url) {
    return Objects.requireNonNull(endings.get(url));
  }

  /** How a file has left the line. */
  private record Ending(@Nullable FetchResult result, @Nullable RuntimeException failure) {}

  /** Stands still until it is moved, and then runs what is due. */
  private static final class HandClock implements Lineup.Clock {
    private record Due(long nanos, Runnable action, Executor executor) {}

    private final List<Due> due = new ArrayList<>();
    private final List<Duration> pauses = new ArrayList<>();
    private long nanos;

    @Override
    public synchronized long nanos() {
      return nanos;
    }

    @Override
    public synchronized void after(long pauseNanos, Runnable action, Executor executor) {
      pauses.add(Duration.ofNanos(pauseNanos));
      due.add(new Due(nanos + pauseNanos, action, executor));
    }

    synchronized List<Duration> pauses() {
      return List.copyOf(pauses);
    }

    synchronized void pass(Duration time) {
      nanos += time.toNanos();
      List<Due> now = due.stream().filter(each -> each.nanos() <= nanos).toList();
      due.removeAll(now);
      now.forEach(each -> each.executor().execute(each.action()));
    }
  }

  @BeforeEach
  void open(@TempDir Path folder) throws Exception {
    depot = new Depot(folder);
    Fetcher fetcher = depot.fetcher();
    line =
        new Lineup(
            fetcher.executor(),
            (job, download) -> fetcher.fetchInLine(job.request, download),
            () -> 1,
            0,
            FIRST_PAUSE,
            (job, result, failure) -> endings.put(job.id, new Ending(result, failure)),
            clock);
  }

  @AfterEach
  void close() {
    line.close();
    depot.close();
  }

  private static Job job(String id, String url) {
    return new Job(id, Depot.vae(url), 0, false);
  }

  private void awaitPauses(int count) {
    Depot.await(() -> clock.pauses().size() == count, "there were " + count + " pauses");
  }

  private void awaitEnd(String id) {
    Depot.await(() -> endings.containsKey(id), id + " has left the line");
  }

  @Test
  void aNameThatIsNotKnownYetIsAskedForFiveMoreTimesWithGrowingPauses() {
    line.add(List.of(job("early", UNRESOLVABLE)));
    for (int i = 0; i < Lineup.MOST_REPEATS; i++) {
      awaitPauses(i + 1);
      Duration pause = FIRST_PAUSE.multipliedBy(1L << i);
      assertEquals(pause, clock.pauses().get(i));
      assertNull(endings.get("early"), "after " + i + " pauses");
      assertNotNull(line.states().get(0).reason(), "it says why it waits");
      clock.pass(pause);
    }
    awaitEnd("early");
    FetchException failure = assertInstanceOf(FetchException.class, ending("early").failure());
    assertEquals(FailureKind.NETWORK, failure.kind());
    assertInstanceOf(UnknownHostException.class, failure.getCause());
    assertEquals(Lineup.MOST_REPEATS, clock.pauses().size());
    assertTrue(line.isEmpty());
  }

  @Test
  void othersAreBroughtWhileOnePauses() {
    line.add(List.of(job("early", UNRESOLVABLE)));
    awaitPauses(1);
    line.add(List.of(job("a", depot.serve(1).url()), job("b", depot.serve(2).url())));
    awaitEnd("a");
    awaitEnd("b");
    assertNotNull(ending("a").result());
    assertNull(endings.get("early"));
    assertEquals(
        List.of(FIRST_PAUSE), clock.pauses(), "one look at the end of the pause is enough");
  }

  @Test
  void aFailureThatDoesNotPassEndsAtOnce() {
    line.add(List.of(job("gone", depot.server.url("/gone.safetensors"))));
    awaitEnd("gone");
    assertEquals(
        FailureKind.NOT_FOUND,
        assertInstanceOf(FetchException.class, ending("gone").failure()).kind());
    assertEquals(List.of(), clock.pauses());
  }

  @Test
  void whoeverIsResumedDoesNotPauseAnyLonger() {
    line.add(List.of(job("early", UNRESOLVABLE)));
    awaitPauses(1);
    assertTrue(line.pause("early"));
    clock.pass(FIRST_PAUSE);
    assertTrue(line.resume("early"));
    awaitPauses(2);
    assertEquals(FIRST_PAUSE.multipliedBy(2), clock.pauses().get(1));
  }
}
