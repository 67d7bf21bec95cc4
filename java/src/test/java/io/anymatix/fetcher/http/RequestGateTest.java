package io.anymatix.fetcher.http;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.content.HttpUrl;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.http.RequestGate.Site;
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.Gate;
import io.anymatix.fetcher.testing.Reply;
import io.anymatix.fetcher.testing.Request;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** No site has more requests at a time than it bears. */
@Timeout(30)
class RequestGateTest {
  private static final int MOST = 3;
  private static final Content CONTENT = Content.random(5, 10_000);

  private final ByteRangeServer server = ByteRangeServer.start();
  private final Gate held = new Gate();
  private final ExecutorService threads = Executors.newCachedThreadPool();
  private final RemoteReader whole =
      new RemoteReader(Config.builder().allowHttp(true).allowPrivateHosts(true).build());
  private final RemoteReader reader = whole.countingBy(url -> new Site("one site", MOST));

  @AfterEach
  void stop() {
    threads.shutdownNow();
    whole.close();
    server.close();
  }

  private RemoteRequest get(String path) {
    return RemoteRequest.get(HttpUrl.parse(server.url(path)));
  }

  private CompletableFuture<Integer> start(String path, Cancellation cancellation) {
    return CompletableFuture.supplyAsync(
        () -> {
          try (Answer answer = reader.open(get(path), cancellation)) {
            return answer.text(20_000).length();
          }
        },
        threads);
  }

  private List<CompletableFuture<Integer>> startAtGate(int requests) {
    server.serve("/held", CONTENT).with(Fault.waitsFor(held));
    List<CompletableFuture<Integer>> started = new ArrayList<>();
    for (int i = 0; i < requests; i++) {
      started.add(start("/held", new Cancellation()));
    }
    return started;
  }

  @Test
  void whoComesTooLateWaitsAndThenGetsItsAnswer() throws Exception {
    List<CompletableFuture<Integer>> all = startAtGate(20);
    held.awaitArrivals(MOST);
    held.open();
    for (CompletableFuture<Integer> each : all) {
      each.get(10, TimeUnit.SECONDS);
    }
    assertEquals(20, held.arrivals());
    assertEquals(MOST, server.maxConcurrentRequests());
  }

  @Test
  void whoeverIsCancelledInLineLeavesItAtOnce() throws Exception {
    List<CompletableFuture<Integer>> inside = startAtGate(MOST);
    held.awaitArrivals(MOST);
    Cancellation cancellation = new Cancellation();
    CompletableFuture<Integer> late = start("/held", cancellation);
    CompletableFuture<Integer> later = start("/held", new Cancellation());
    cancellation.cancel();
    ExecutionException end =
        assertThrows(ExecutionException.class, () -> late.get(5, TimeUnit.SECONDS));
    assertInstanceOf(CancelledException.class, end.getCause());
    held.open();
    later.get(5, TimeUnit.SECONDS);
    for (CompletableFuture<Integer> each : inside) {
      each.get(5, TimeUnit.SECONDS);
    }
    assertEquals(MOST + 1, held.arrivals(), "who was cancelled has asked for nothing");
  }

  @Test
  void whatFailsOrIsLeftUnreadMakesRoomAsWell() throws Exception {
    server.serve("/reset", CONTENT).with(Fault.resetsAtOnce());
    server.serve("/moved", CONTENT).with(Fault.replies(Reply.redirect(302, "/held")));
    server.serve("/held", CONTENT).when(Request::isForContent, Fault.resetsAfter(100));
    for (int i = 0; i < 2 * MOST; i++) {
      assertThrows(FetchException.class, () -> reader.open(get("/reset"), new Cancellation()));
      Answer unread = reader.open(get("/moved"), new Cancellation());
      unread.close();
      unread.close();
    }
    CompletableFuture<?>[] each = {
      start("/none", new Cancellation()), start("/none", new Cancellation())
    };
    CompletableFuture.allOf(each).get(5, TimeUnit.SECONDS);
  }

  @Test
  void anotherSiteIsNotHeldUp() throws Exception {
    startAtGate(2 * MOST);
    held.awaitArrivals(MOST);
    server.serve("/other", CONTENT);
    RemoteReader other = whole.countingBy(url -> new Site("another", MOST));
    other.open(get("/other"), new Cancellation()).close();
    held.open();
  }
}
