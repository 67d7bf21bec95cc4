package io.anymatix.fetcher.rpc;

import com.fasterxml.jackson.databind.JsonNode;
import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.failure.InvalidParamsException;
import io.anymatix.fetcher.failure.NotInitializedException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/** Methods that take long, fail, or tell what they were given. */
public interface WorkMethods {
  @RpcMethod(summary = "Works until it is released or cancelled.", progress = true)
  String work(Name params, Call call);

  @RpcMethod(summary = "Works until it is released, whatever the client wants.", progress = true)
  String stubbornWork(Name params, Call call);

  @RpcMethod(
      summary = "Works until it is released, before all that follows.",
      order = RpcMethod.Order.ORDERED)
  String prepare(Name params);

  @RpcMethod(summary = "Which prepare was the last to end.")
  String prepared();

  @RpcMethod(summary = "Answers at once.", order = RpcMethod.Order.IMMEDIATE)
  String ping(JsonNode params);

  @RpcMethod(summary = "Fails in the way that is asked for.")
  String fail(Name params, Call call);

  @RpcMethod(summary = "Tells what it was given.", required = "url", progress = true)
  Map<String, Object> describe(Described params);

  @RpcMethod(summary = "Ends the server.", order = RpcMethod.Order.IMMEDIATE)
  void end(Call call);

  /** One word. */
  record Name(String name) {}

  /** Params of every type. */
  record Described(
      String url,
      Integer connections,
      Long bytes,
      Boolean offline,
      List<String> mirrors,
      Map<String, List<String>> folders,
      Nested nested,
      List<Nested> items) {}

  /** Params inside of params. */
  record Nested(String text) {}

  /** Works as the test wants it to. */
  final class Worker implements WorkMethods {
    final BlockingQueue<String> started = new LinkedBlockingQueue<>();
    final CountDownLatch release = new CountDownLatch(1);
    final CountDownLatch releasePrepare = new CountDownLatch(1);
    final AtomicInteger cancels = new AtomicInteger();
    volatile String prepared = "";

    String awaitStart() throws InterruptedException {
      String name = started.poll(20, TimeUnit.SECONDS);
      if (name == null) {
        throw new IllegalStateException("nothing started");
      }
      return name;
    }

    @Override
    public String work(Name params, Call call) {
      CompletableFuture<Boolean> cancelled = new CompletableFuture<>();
      call.onCancel(
          () -> {
            cancels.incrementAndGet();
            cancelled.complete(true);
          });
      AtomicInteger samples = new AtomicInteger();
      call.reportProgress(() -> Map.of("status", "progress", "sample", samples.incrementAndGet()));
      started.add(params.name());
      while (!cancelled.isDone()) {
        if (await(release, Duration.ofMillis(5))) {
          return params.name();
        }
      }
      throw new CancelledException();
    }

    @Override
    public String stubbornWork(Name params, Call call) {
      started.add(params.name());
      call.reportProgress(() -> Map.of("status", "progress"));
      await(release, Duration.ofSeconds(20));
      return params.name();
    }

    @Override
    public String prepare(Name params) {
      started.add(params.name());
      await(releasePrepare, Duration.ofSeconds(20));
      prepared = params.name();
      return params.name();
    }

    @Override
    public String prepared() {
      return prepared;
    }

    @Override
    public String ping(JsonNode params) {
      return "pong";
    }

    @Override
    public String fail(Name params, Call call) {
      call.reportProgress(() -> Map.of("status", "progress"));
      switch (params.name()) {
        case "fetch" ->
            throw FetchException.because(FailureKind.NOT_FOUND, "No such file: m.safetensors.")
                .status(404)
                .url("https://host.example/m.safetensors")
                .fact("page", "https://host.example/m")
                .build();
        case "params" -> throw new InvalidParamsException("\"name\" makes no sense.");
        case "early" -> throw new NotInitializedException();
        case "defect" -> throw new IllegalStateException("token hunter2 was refused");
        case "overflow" -> throw new StackOverflowError("hunter2");
        default -> throw new CancelledException();
      }
    }

    @Override
    public Map<String, Object> describe(Described params) {
      return Map.of("described", params.toString());
    }

    @Override
    public void end(Call call) {
      call.stopServer();
    }

    private static boolean await(CountDownLatch latch, Duration patience) {
      try {
        return latch.await(patience.toMillis(), TimeUnit.MILLISECONDS);
      } catch (InterruptedException e) {
        throw new IllegalStateException(e);
      }
    }
  }
}
