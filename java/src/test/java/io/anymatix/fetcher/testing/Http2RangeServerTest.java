package io.anymatix.fetcher.testing;

import static io.anymatix.fetcher.testing.Content.MIB;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import javax.net.ssl.SSLHandshakeException;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class Http2RangeServerTest {
  private static final long SEED = 8_20261121L;
  private static final int DATA = 0;
  private static final int RST_STREAM = 3;
  private static final int GOAWAY = 7;
  private static final int END_STREAM = 1;

  private final Content content = Content.random(SEED, 3 * MIB + 5);
  private final TestCertificates certificates = TestCertificates.forHosts();
  private final Http2RangeServer server;
  private final HttpClient http =
      HttpClient.newBuilder().sslContext(certificates.clientContext()).build();

  Http2RangeServerTest() throws InterruptedException {
    server = Http2RangeServer.start(certificates.serverContext(), content);
  }

  @AfterEach
  void closeServer() {
    server.close();
  }

  @Test
  void rangesComeOverHttp2WithExactlyTheirBytes() throws Exception {
    server.entityTag("\"one\"");
    HttpResponse<byte[]> response = get("bytes=7-2000006");
    assertEquals(HttpClient.Version.HTTP_2, response.version());
    assertEquals(206, response.statusCode());
    assertEquals("bytes 7-2000006/3145733", field(response, "content-range"));
    assertEquals("2000000", field(response, "content-length"));
    assertEquals("\"one\"", field(response, "etag"));
    assertArrayEquals(content.bytes(7, 2_000_000), response.body());
    assertEquals(416, get("bytes=3145733-").statusCode());
    assertArrayEquals(content.bytes(), get("bytes=0-").body());
  }

  @Test
  void headHasTheFieldsAndNoBody() throws Exception {
    HttpRequest request =
        HttpRequest.newBuilder(URI.create(server.url("/m")))
            .method("HEAD", HttpRequest.BodyPublishers.noBody())
            .build();
    HttpResponse<byte[]> response = send(http, request).get();
    assertEquals(200, response.statusCode());
    assertEquals("3145733", field(response, "content-length"));
    assertEquals(0, response.body().length);
  }

  @Test
  void manyStreamsShareOneConnection() throws Exception {
    get("bytes=0-0");
    Random random = new Random(SEED);
    List<CompletableFuture<Void>> checks = new ArrayList<>();
    for (int i = 0; i < 40; i++) {
      int first = random.nextInt((int) content.lengthBytes());
      int count = 1 + random.nextInt((int) content.lengthBytes() - first);
      checks.add(
          http.sendAsync(
                  request("bytes=" + first + "-" + (first + count - 1)), BodyHandlers.ofByteArray())
              .thenAccept(
                  response ->
                      assertArrayEquals(
                          content.bytes(first, count),
                          response.body(),
                          "seed " + SEED + ", " + first + "+" + count)));
    }
    CompletableFuture.allOf(checks.toArray(new CompletableFuture<?>[0])).get();
    assertEquals(1, server.connections());
    assertEquals(41, server.requests().size());
    assertEquals(41, server.requests().get(40).numberOnConnection());
    assertTrue(server.maxConcurrentRequests() > 1);
    server.awaitNoRequestInFlight();
    assertEquals(
        server.requests().stream().mapToLong(Request::responseBodyBytes).sum(), server.bytesSent());
  }

  @Test
  void requestsAreRecordedWithTheirFields() throws Exception {
    get("bytes=5-9");
    Request request = server.requests().get(0);
    assertEquals("GET", request.method());
    assertEquals("/m", request.target());
    assertEquals("127.0.0.1", request.host());
    assertEquals("bytes=5-9", request.header("range"));
    assertEquals(206, request.responseStatus());
    assertEquals(5, request.responseBodyBytes());
    assertTrue(request.isFinished());
  }

  @Test
  void rangesAreIgnoredOrRefusedAsScripted() throws Exception {
    server
        .when(Request.nth(1), Fault.ignoresRanges())
        .when(Request.nth(2), Fault.replies(Reply.status(503).header("Retry-After", "1")))
        .when(Request.nth(3), Fault.hidesCompleteLength());
    assertArrayEquals(content.bytes(), get("bytes=5-9").body());
    HttpResponse<byte[]> refused = get("bytes=5-9");
    assertEquals(503, refused.statusCode());
    assertEquals("1", field(refused, "retry-after"));
    assertEquals("bytes 5-9/*", field(get("bytes=5-9"), "content-range"));
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 65_536, 3_000_000})
  void aResetEndsItsStreamAfterExactlySoManyBytesAndNoOther(int bodyBytes) throws Exception {
    server.when(Request.nth(1), Fault.resetsAfter(bodyBytes));
    try (RawHttp2Client client = new RawHttp2Client(certificates, server.port())) {
      client.get(1, "/m");
      client.get(3, "/m");
      client.readUntil(() -> client.ended(1) && client.ended(3));
      assertArrayEquals(content.bytes(0, bodyBytes), client.body(1));
      assertArrayEquals(content.bytes(), client.body(3));
      assertEquals(List.of(1), client.resetStreams);
      assertTrue(client.lastStreamsOfGoAway.isEmpty());
    }
    assertEquals(bodyBytes, server.requests().get(0).responseBodyBytes());
  }

  @Test
  void aFrozenStreamIsSilentAfterExactlySoManyBytesUntilTheGateOpens() throws Exception {
    Gate gate = new Gate();
    server.when(Request.nth(1), Fault.freezesAfter(100_000, gate));
    try (RawHttp2Client client = new RawHttp2Client(certificates, server.port())) {
      client.get(1, "/m");
      client.get(3, "/m");
      client.readUntil(() -> client.ended(3) && client.body(1).length >= 100_000);
      assertArrayEquals(content.bytes(0, 100_000), client.body(1));
      gate.open();
      client.readUntil(() -> client.ended(1));
      assertArrayEquals(content.bytes(), client.body(1));
    }
  }

  @Test
  void aCloseEndsTheConnectionWithAllItsStreams() throws Exception {
    server.when(Request.nth(1), Fault.closesAfter(0));
    try (RawHttp2Client client = new RawHttp2Client(certificates, server.port())) {
      client.get(1, "/m");
      assertThrows(IOException.class, () -> client.readUntil(() -> client.ended(1)));
    }
  }

  @Test
  void goAwayComesAfterSoManyRequestsWhichAreStillAnswered() throws Exception {
    server.goAwayAfterRequests(2);
    try (RawHttp2Client client = new RawHttp2Client(certificates, server.port())) {
      client.get(1, "/m");
      client.get(3, "/m");
      client.readUntil(() -> client.ended(1) && client.ended(3) && client.goneAway());
      assertArrayEquals(content.bytes(), client.body(1));
      assertArrayEquals(content.bytes(), client.body(3));
      assertEquals(List.of(3), client.lastStreamsOfGoAway);
    }
    try (RawHttp2Client client = new RawHttp2Client(certificates, server.port())) {
      client.get(1, "/m");
      client.readUntil(() -> client.ended(1));
    }
    assertEquals(2, server.connections());
  }

  @Test
  void aClientThatOffersHttp11AloneIsRefused() {
    HttpClient old =
        HttpClient.newBuilder()
            .sslContext(certificates.clientContext())
            .version(HttpClient.Version.HTTP_1_1)
            .build();
    assertThrows(ExecutionException.class, () -> send(old, request("bytes=0-0")).get());
    assertEquals(0, server.requests().size());
  }

  @Test
  void aStrangersTrustIsNotEnough() {
    HttpClient stranger = HttpClient.newHttpClient();
    ExecutionException error =
        assertThrows(ExecutionException.class, () -> send(stranger, request("bytes=0-0")).get());
    assertInstanceOf(SSLHandshakeException.class, error.getCause());
  }

  @Test
  void aFaultWithoutMeaningHereIsTold() throws Exception {
    Http2RangeServer broken = Http2RangeServer.start(certificates.serverContext(), content);
    broken.with(Fault.chunked());
    HttpRequest request = HttpRequest.newBuilder(URI.create(broken.url("/m"))).build();
    assertThrows(ExecutionException.class, () -> send(http, request).get());
    AssertionError error = assertThrows(AssertionError.class, broken::close);
    assertEquals("a fault has no meaning in HTTP/2 here", error.getSuppressed()[0].getMessage());
  }

  private HttpRequest request(String range) {
    return HttpRequest.newBuilder(URI.create(server.url("/m"))).header("Range", range).build();
  }

  private HttpResponse<byte[]> get(String range) throws Exception {
    return send(http, request(range)).get();
  }

  /** With a handler for push promises, or the client would announce a setting of zero streams. */
  private static CompletableFuture<HttpResponse<byte[]>> send(
      HttpClient client, HttpRequest request) {
    return client.sendAsync(request, BodyHandlers.ofByteArray(), (first, push, acceptor) -> {});
  }

  private static String field(HttpResponse<?> response, String name) {
    return response.headers().firstValue(name).orElse("");
  }

  /**
   * As much of RFC 9113 as it takes to see single frames: it opens all windows wide, sends GET
   * requests with literal fields, and keeps what comes back on each stream.
   */
  private static final class RawHttp2Client implements AutoCloseable {
    private final SSLSocket socket;
    private final DataInputStream in;
    private final List<ByteArrayOutputStream> bodies = new ArrayList<>();
    private final List<Integer> endedStreams = new ArrayList<>();
    private final List<Integer> resetStreams = new ArrayList<>();
    private final List<Integer> lastStreamsOfGoAway = new ArrayList<>();

    private interface Condition {
      boolean holds();
    }

    RawHttp2Client(TestCertificates certificates, int port) throws IOException {
      socket =
          (SSLSocket)
              certificates
                  .clientContext()
                  .getSocketFactory()
                  .createSocket(
                      new Socket(InetAddress.getLoopbackAddress(), port), "localhost", port, true);
      SSLParameters parameters = socket.getSSLParameters();
      parameters.setApplicationProtocols(new String[] {"h2"});
      socket.setSSLParameters(parameters);
      socket.setSoTimeout(30_000);
      in = new DataInputStream(socket.getInputStream());
      for (int i = 0; i < 8; i++) {
        bodies.add(new ByteArrayOutputStream());
      }
      socket
          .getOutputStream()
          .write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
      // SETTINGS_INITIAL_WINDOW_SIZE and the connection's own window: 1 GiB each.
      send(4, 0, 0, ByteBuffer.allocate(6).putShort((short) 4).putInt(1 << 30).array());
      send(8, 0, 0, ByteBuffer.allocate(4).putInt(1 << 30).array());
    }

    void get(int stream, String path) throws IOException {
      ByteArrayOutputStream block = new ByteArrayOutputStream();
      literal(block, ":method", "GET");
      literal(block, ":scheme", "https");
      literal(block, ":authority", "localhost");
      literal(block, ":path", path);
      send(1, END_STREAM | 4, stream, block.toByteArray());
    }

    /** A field without indexing and with a new name (RFC 7541 section 6.2.2). */
    private static void literal(ByteArrayOutputStream block, String name, String value) {
      block.write(0);
      for (String text : List.of(name, value)) {
        block.write(text.length());
        block.writeBytes(text.getBytes(StandardCharsets.US_ASCII));
      }
    }

    private void send(int type, int flags, int stream, byte[] payload) throws IOException {
      ByteBuffer frame = ByteBuffer.allocate(9 + payload.length);
      frame.put((byte) 0).putShort((short) payload.length).put((byte) type).put((byte) flags);
      frame.putInt(stream).put(payload);
      socket.getOutputStream().write(frame.array());
    }

    void readUntil(Condition condition) throws IOException {
      while (!condition.holds()) {
        int length = in.readUnsignedByte() << 16 | in.readUnsignedShort();
        int type = in.readUnsignedByte();
        int flags = in.readUnsignedByte();
        int stream = in.readInt();
        byte[] payload = in.readNBytes(length);
        if (payload.length < length) {
          throw new EOFException("the connection ended within a frame");
        }
        if (type == DATA) {
          bodies.get(stream).writeBytes(payload);
        }
        if ((type == DATA || type == 1) && (flags & END_STREAM) != 0) {
          endedStreams.add(stream);
        }
        if (type == RST_STREAM) {
          endedStreams.add(stream);
          resetStreams.add(stream);
        }
        if (type == GOAWAY) {
          lastStreamsOfGoAway.add(ByteBuffer.wrap(payload).getInt());
        }
      }
    }

    boolean ended(int stream) {
      return endedStreams.contains(stream);
    }

    boolean goneAway() {
      return !lastStreamsOfGoAway.isEmpty();
    }

    byte[] body(int stream) {
      return bodies.get(stream).toByteArray();
    }

    @Override
    public void close() throws IOException {
      socket.close();
    }
  }
}
