package io.anymatix.fetcher.rpc;

import static io.anymatix.fetcher.rpc.Peer.json;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.TextNode;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(30)
class ProgressNotifierTest {
  private record Sent(long nanos, JsonNode params) {
    JsonNode value(String name) {
      return params.at("/value/" + name);
    }
  }

  private final ScheduledThreadPoolExecutor timer = new ScheduledThreadPoolExecutor(1);
  private final BlockingQueue<Sent> sent = new LinkedBlockingQueue<>();
  private final ProgressNotifier notifier =
      new ProgressNotifier(
          notification -> {
            assertEquals("$/progress", notification.get("method").textValue());
            assertNull(notification.get("id"));
            sent.add(new Sent(System.nanoTime(), notification.get("params")));
          },
          timer);
  private final AtomicInteger samples = new AtomicInteger();

  @AfterEach
  void stopTimer() {
    timer.shutdownNow();
  }

  @Test
  void sendsTheFirstValueAtOnceAndTheLastWithItsStatus() {
    ProgressNotifier.Watch watch = notifier.watch(TextNode.valueOf("T"), this::moving);
    watch.finish("completed");
    assertEquals(
        List.of(
            json("{'token': 'T', 'value': {'status': 'progress', 'n': 1}}"),
            json("{'token': 'T', 'value': {'status': 'completed', 'n': 2}}")),
        sent.stream().map(Sent::params).toList());
  }

  @Test
  void sendsAtMostTenInASecondAlsoWhenEverythingMoves() throws Exception {
    ProgressNotifier.Watch watch = notifier.watch(TextNode.valueOf("T"), this::moving);
    List<Sent> all = new ArrayList<>();
    while (all.size() < 12) {
      all.add(take());
    }
    watch.push(Map.of("status", "info", "n", -1));
    watch.finish("error");
    sent.drainTo(all);
    assertEquals(json("'error'"), all.get(all.size() - 1).value("status"));
    for (int i = 0; i + 10 < all.size(); i++) {
      Duration span = Duration.ofNanos(all.get(i + 10).nanos() - all.get(i).nanos());
      assertTrue(span.compareTo(Duration.ofSeconds(1)) >= 0, "eleven within " + span);
    }
  }

  @Test
  void sendsNothingWhileNothingChanges() throws Exception {
    CountDownLatch sampled = new CountDownLatch(4);
    ProgressNotifier.Watch watch =
        notifier.watch(
            TextNode.valueOf("T"),
            () -> {
              sampled.countDown();
              return Map.of("status", "progress");
            });
    sampled.await();
    assertEquals(1, sent.size());
    watch.finish("completed");
    assertEquals(2, sent.size());
  }

  @Test
  void sendsNothingAfterTheEnd() throws Exception {
    ProgressNotifier.Watch watch = notifier.watch(TextNode.valueOf("T"), this::moving);
    watch.finish("completed");
    watch.finish("error");
    watch.push(Map.of("status", "metadata"));
    ProgressNotifier.Watch other = notifier.watch(TextNode.valueOf("other"), this::moving);
    List<JsonNode> tokens = new ArrayList<>();
    while (tokens.size() < 5) {
      tokens.add(take().params().get("token"));
    }
    other.finish("completed");
    assertEquals("[\"T\", \"T\", \"other\", \"other\", \"other\"]", tokens.toString());
  }

  @Test
  void sendsAPushedValueBesideTheSamples() throws Exception {
    ProgressNotifier.Watch watch =
        notifier.watch(TextNode.valueOf("T"), () -> Map.of("status", "progress"));
    watch.push(Map.of("status", "metadata", "base_model", "SDXL 1.0"));
    take();
    assertEquals(
        json("{'status': 'metadata', 'base_model': 'SDXL 1.0'}"), take().params().get("value"));
    watch.push(Map.of("status", "metadata"));
    watch.finish("completed");
    assertEquals(json("'metadata'"), take().value("status"));
    assertEquals(json("'completed'"), take().value("status"));
  }

  @Test
  void aSnapshotThatFailsDoesNotEndTheReporting() throws Exception {
    ProgressNotifier.Watch watch =
        notifier.watch(
            TextNode.valueOf("T"),
            () -> {
              if (samples.incrementAndGet() == 2) {
                throw new IllegalStateException("not now");
              }
              return Map.of("status", "progress", "n", samples.get());
            });
    assertEquals(json("1"), take().value("n"));
    assertEquals(json("3"), take().value("n"));
    watch.finish("completed");
  }

  private Map<String, Object> moving() {
    return Map.of("status", "progress", "n", samples.incrementAndGet());
  }

  private Sent take() throws InterruptedException {
    Sent next = sent.poll(20, TimeUnit.SECONDS);
    assertNotNull(next);
    return next;
  }
}
