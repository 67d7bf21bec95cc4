package io.anymatix.fetcher.rpc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.eclipse.lsp4j.jsonrpc.Launcher;
import org.eclipse.lsp4j.jsonrpc.ResponseErrorException;
import org.eclipse.lsp4j.jsonrpc.services.JsonNotification;
import org.eclipse.lsp4j.jsonrpc.services.JsonRequest;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A JSON-RPC client that editors use, unchanged. */
@Timeout(60)
class LanguageClientTest {
  /** What the client calls. */
  interface Remote {
    @JsonRequest
    CompletableFuture<String> ping();

    @JsonRequest
    CompletableFuture<String> work(Map<String, Object> params);

    @JsonRequest
    CompletableFuture<String> fail(Map<String, Object> params);

    @JsonNotification
    void unknown(Map<String, Object> params);
  }

  /** What the client listens to. */
  static final class Listener {
    final BlockingQueue<Map<String, Object>> progress = new LinkedBlockingQueue<>();

    @JsonNotification("$/progress")
    public void progress(Map<String, Object> params) {
      progress.add(params);
    }
  }

  private final WorkMethods.Worker worker = new WorkMethods.Worker();
  private final Listener listener = new Listener();
  private Peer peer;
  private Remote remote;
  private Future<Void> listening;

  @BeforeEach
  void connect() throws Exception {
    peer = Peer.of(WorkMethods.class, worker);
    Launcher<Remote> launcher =
        new Launcher.Builder<Remote>()
            .setLocalService(listener)
            .setRemoteInterface(Remote.class)
            .setInput(peer.socket().getInputStream())
            .setOutput(peer.socket().getOutputStream())
            .create();
    listening = launcher.startListening();
    remote = launcher.getRemoteProxy();
  }

  @AfterEach
  void disconnect() throws Exception {
    worker.release.countDown();
    listening.cancel(true);
    peer.close();
  }

  @Test
  void callsMethodsAndGetsErrors() throws Exception {
    remote.unknown(Map.of());
    assertEquals("pong", remote.ping().get(20, TimeUnit.SECONDS));
    ExecutionException failure =
        assertThrows(
            ExecutionException.class,
            () -> remote.fail(Map.of("name", "fetch")).get(20, TimeUnit.SECONDS));
    ResponseErrorException error =
        assertInstanceOf(ResponseErrorException.class, failure.getCause());
    assertEquals(-32000, error.getResponseError().getCode());
    assertEquals("No such file: m.safetensors.", error.getResponseError().getMessage());
  }

  @Test
  void hearsProgressAndCancels() throws Exception {
    CompletableFuture<String> work = remote.work(Map.of("name", "a", "progressToken", "T"));
    worker.awaitStart();
    Map<String, Object> first = listener.progress.poll(20, TimeUnit.SECONDS);
    assertEquals("T", String.valueOf(first == null ? null : first.get("token")));
    work.cancel(true);
    assertThrows(CancellationException.class, work::join);
    assertEquals("pong", remote.ping().get(20, TimeUnit.SECONDS));
    assertEquals(1, worker.cancels.get());
  }
}
