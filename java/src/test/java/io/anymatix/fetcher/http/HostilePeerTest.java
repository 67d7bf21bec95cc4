package io.anymatix.fetcher.http;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.content.HttpUrl;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.Http2RangeServer;
import io.anymatix.fetcher.testing.Reply;
import io.anymatix.fetcher.testing.TestCertificates;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Servers that send too much, nothing at all, or something else than they should. */
@Timeout(60)
class HostilePeerTest {
  private static final TestCertificates CERTIFICATES = TestCertificates.forHosts();
  private static final Content CONTENT = Content.random(91, 1000);

  private static RemoteReader reader() {
    return reader(Duration.ofSeconds(5));
  }

  private static RemoteReader reader(Duration stallTimeout) {
    return new RemoteReader(
        Config.builder()
            .allowHttp(true)
            .allowPrivateHosts(true)
            .certificates(List.of(CERTIFICATES.caFile()))
            .stallTimeout(stallTimeout)
            .build());
  }

  private static FetchException failure(RemoteReader reader, String url) {
    return assertThrows(
        FetchException.class,
        () -> reader.probe(RemoteRequest.get(HttpUrl.parse(url)), new Cancellation()));
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2})
  void aHeaderSectionWithoutEndIsNotRead(int httpVersion) throws Exception {
    Fault[] many = new Fault[300];
    for (int i = 0; i < many.length; i++) {
      many[i] = Fault.header("X-Field-" + i, "v");
    }
    Fault[] long1 = {Fault.header("X-Long", "v".repeat(100_000))};
    for (Fault[] faults : List.of(many, long1)) {
      if (httpVersion == 2) {
        try (Http2RangeServer server =
                Http2RangeServer.start(CERTIFICATES.serverContext(), CONTENT).with(faults);
            RemoteReader reader = reader()) {
          assertRefused(failure(reader, server.url("/m.bin")));
        }
        continue;
      }
      try (ByteRangeServer plain = ByteRangeServer.start();
          ByteRangeServer tls = ByteRangeServer.startTls(CERTIFICATES.serverContext());
          RemoteReader reader = reader()) {
        for (ByteRangeServer server : List.of(plain, tls)) {
          server.serve("/m.bin", CONTENT).with(faults);
          assertRefused(failure(reader, server.url("/m.bin")));
        }
      }
    }
  }

  private static void assertRefused(FetchException failure) {
    assertTrue(
        Set.of(FailureKind.SERVER, FailureKind.NETWORK).contains(failure.kind()),
        failure.kind() + ": " + failure.getMessage());
  }

  @Test
  void redirectsAreFollowedTenTimesAndNoMore() {
    try (ByteRangeServer server = ByteRangeServer.start();
        RemoteReader reader = reader()) {
      server.answer("/loop", request -> Reply.redirect(302, "/loop"));
      FetchException failure = failure(reader, server.url("/loop"));
      assertEquals(FailureKind.SERVER, failure.kind());
      assertEquals(11, server.requests().size());
    }
  }

  @Test
  void aPlainServerBehindAnHttpsLinkIsToldAsSuch() throws Exception {
    try (ServerSocket listener = new ServerSocket(0, 5, InetAddress.getLoopbackAddress());
        RemoteReader reader = reader()) {
      daemon(
          () -> {
            while (true) {
              try (Socket socket = listener.accept();
                  OutputStream out = socket.getOutputStream()) {
                out.write("HTTP/1.1 400 Bad\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
                socket.getInputStream().transferTo(OutputStream.nullOutputStream());
              }
            }
          });
      String url = "https://127.0.0.1:" + listener.getLocalPort() + "/m.bin";
      for (int client = 0; client < 2; client++) {
        FetchException failure = failure(reader, url);
        assertEquals(FailureKind.TLS, failure.kind(), failure.getMessage());
        assertTrue(
            String.valueOf(failure.getMessage()).contains("does not speak TLS"),
            failure.getMessage());
        reader.preferHttp2();
      }
    }
  }

  /** A load balancer that sheds load does this; it is a matter of the moment. */
  @Test
  void aHandshakeThatIsCutIsWorthAnotherRequest() throws Exception {
    try (ServerSocket listener = new ServerSocket(0, 5, InetAddress.getLoopbackAddress());
        RemoteReader reader = reader()) {
      daemon(
          () -> {
            while (true) {
              try (Socket socket = listener.accept()) {
                socket.getInputStream().readNBytes(5);
                socket.shutdownOutput();
                socket.getInputStream().transferTo(OutputStream.nullOutputStream());
              }
            }
          });
      String url = "https://127.0.0.1:" + listener.getLocalPort() + "/m.bin";
      for (int client = 0; client < 2; client++) {
        assertEquals(FailureKind.NETWORK, failure(reader, url).kind());
        reader.preferHttp2();
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"https", "https over HTTP/1.1", "http"})
  void aCancelEndsAnAttemptToConnectAtOnce(String way) throws Exception {
    // The queue of a listener that accepts nothing: once it is full, nobody answers any more.
    List<Socket> queued = new ArrayList<>();
    try (ServerSocket listener = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      for (int i = 0; i < 4; i++) {
        Socket socket = new Socket();
        queued.add(socket);
        try {
          socket.connect(
              new InetSocketAddress(InetAddress.getLoopbackAddress(), listener.getLocalPort()),
              100);
        } catch (IOException e) {
          break; // it is full
        }
      }
      assertCancelled(way, listener.getLocalPort());
    } finally {
      for (Socket socket : queued) {
        socket.close();
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"https", "https over HTTP/1.1", "http"})
  void aCancelEndsAHandshakeOrAWaitForAnAnswerAtOnce(String way) throws Exception {
    try (ServerSocket silent = new ServerSocket(0, 5, InetAddress.getLoopbackAddress())) {
      assertCancelled(way, silent.getLocalPort());
    }
  }

  private static void assertCancelled(String way, int port) throws Exception {
    HttpUrl url = HttpUrl.parse((way.equals("http") ? "http" : "https") + "://127.0.0.1:" + port);
    Cancellation cancellation = new Cancellation();
    try (RemoteReader reader = reader(Duration.ofSeconds(30))) {
      if (!way.endsWith("1.1")) {
        reader.preferHttp2();
      }
      CountDownLatch begun = new CountDownLatch(1);
      CompletableFuture<Answer> answer =
          CompletableFuture.supplyAsync(
              () -> {
                begun.countDown();
                return reader.open(RemoteRequest.get(url), cancellation);
              },
              task -> new Thread(task, "reads").start());
      begun.await();
      // Whatever it has come to by then; it would go on for fifteen seconds and more.
      assertThrows(
          java.util.concurrent.TimeoutException.class,
          () -> answer.get(700, TimeUnit.MILLISECONDS));
      cancellation.cancel();
      ExecutionException failure =
          assertThrows(ExecutionException.class, () -> answer.get(5, TimeUnit.SECONDS));
      assertInstanceOf(CancelledException.class, failure.getCause());
    }
  }

  @FunctionalInterface
  private interface Loop {
    void run() throws IOException;
  }

  private static void daemon(Loop loop) {
    Thread thread =
        new Thread(
            () -> {
              try {
                loop.run();
              } catch (IOException e) {
                // The test has ended.
              }
            },
            "peer");
    thread.setDaemon(true);
    thread.start();
  }
}
