package io.anymatix.fetcher.testing;

import static io.anymatix.fetcher.testing.Content.GIB;
import static io.anymatix.fetcher.testing.Content.KIB;
import static io.anymatix.fetcher.testing.Content.MIB;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.net.SocketException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.zip.GZIPInputStream;
import javax.net.ssl.SNIHostName;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ByteRangeServerTest {
  private static final long SEED = 7_20261121L;

  private final Content content = Content.random(SEED, 3 * MIB + 5);
  private final ByteRangeServer server = ByteRangeServer.start();
  private final HttpClient http =
      HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

  @AfterEach
  void closeServer() {
    server.close();
  }

  @ParameterizedTest
  @CsvSource({
    "bytes=0-0, 0, 0",
    "bytes=5-9, 5, 9",
    "bytes=1000000-2500000, 1000000, 2500000",
    "bytes=3145730-, 3145730, 3145732",
    "bytes=3145730-99999999, 3145730, 3145732",
    "bytes=-3, 3145730, 3145732",
    "bytes=-99999999, 0, 3145732",
  })
  void aRangeIsAnsweredWithExactlyItsBytes(String range, int first, int last) throws Exception {
    server.serve("/m", content);
    HttpResponse<byte[]> response = get("/m", "Range", range);
    assertEquals(206, response.statusCode());
    assertEquals("bytes " + first + "-" + last + "/3145733", field(response, "Content-Range"));
    assertEquals("bytes", field(response, "Accept-Ranges"));
    assertArrayEquals(content.bytes(first, last - first + 1), response.body());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"bytes=5-4", "bytes=-", "bytes=1-2,5-6", "items=0-1", "bytes 0-1", "junk"})
  void aRangeThatIsNotUnderstoodIsIgnored(String range) throws Exception {
    server.serve("/m", content);
    HttpResponse<byte[]> response = get("/m", "Range", range);
    assertEquals(200, response.statusCode());
    assertNull(field(response, "Content-Range"));
    assertArrayEquals(content.bytes(), response.body());
  }

  @ParameterizedTest
  @ValueSource(strings = {"bytes=3145733-", "bytes=4000000-5000000", "bytes=-0"})
  void aRangeBehindTheEndIsUnsatisfiable(String range) throws Exception {
    server.serve("/m", content);
    HttpResponse<byte[]> response = get("/m", "Range", range);
    assertEquals(416, response.statusCode());
    assertEquals("bytes */3145733", field(response, "Content-Range"));
  }

  @Test
  void seededRandomRangesOverManyConnectionsHoldTheRightBytes() throws Exception {
    server.serve("/m", content);
    Random random = new Random(SEED);
    List<CompletableFuture<Void>> checks = new ArrayList<>();
    for (int i = 0; i < 60; i++) {
      int first = random.nextInt((int) content.lengthBytes());
      int count = 1 + random.nextInt((int) content.lengthBytes() - first);
      HttpRequest request = request("/m", "Range", "bytes=" + first + "-" + (first + count - 1));
      checks.add(
          http.sendAsync(request, BodyHandlers.ofByteArray())
              .thenAccept(
                  response ->
                      assertArrayEquals(
                          content.bytes(first, count),
                          response.body(),
                          "seed " + SEED + ", " + first + "+" + count)));
    }
    CompletableFuture.allOf(checks.toArray(new CompletableFuture<?>[0])).get();
    assertEquals(60, server.requests().size());
  }

  @Test
  void theEndOfFourGibibytesIsServedAtOnce() throws Exception {
    Content huge = Content.random(SEED, 4 * GIB);
    server.serve("/m", huge);
    HttpResponse<byte[]> response = get("/m", "Range", "bytes=4294967290-");
    assertEquals("bytes 4294967290-4294967295/4294967296", field(response, "Content-Range"));
    assertArrayEquals(huge.bytes(4_294_967_290L, 6), response.body());
  }

  @Test
  void aConnectionServesManyRequestsAndIsNumbered() throws Exception {
    server.serve("/m", content);
    try (RawClient first = connect();
        RawClient second = connect()) {
      assertEquals(206, first.get("/m", "Range: bytes=0-4").status());
      assertEquals(206, second.get("/m", "Range: bytes=0-4").status());
      assertEquals(200, first.get("/m").status());
    }
    List<Request> requests = server.requests("/m");
    assertEquals(List.of(1, 2, 1), requests.stream().map(Request::connection).toList());
    assertEquals(List.of(1, 1, 2), requests.stream().map(Request::numberOnConnection).toList());
    assertEquals(List.of(1, 2, 3), requests.stream().map(Request::number).toList());
    server.awaitNoConnections();
    assertEquals(2, server.connectionsAccepted());
    assertEquals(2, server.maxOpenConnections());
  }

  @Test
  void everyRequestIsRecordedWithAllItsFieldsAndItsBody() throws Exception {
    server.answer("/api", request -> Reply.status(200).body("application/json", "[-3]"));
    try (RawClient client = connect()) {
      client.send(
          "POST /api?id=7 HTTP/1.1\r\nHost: API.example.org:8443\r\nX-One: a\r\nx-one: b\r\n"
              + "Content-Length: 5\r\n\r\nhello");
      assertEquals("[-3]", client.readResponse().text());
    }
    Request request = server.requests("/api").get(0);
    assertEquals("POST", request.method());
    assertEquals("/api?id=7", request.target());
    assertEquals("api.example.org", request.host());
    assertEquals(
        List.of(
            Map.entry("Host", "API.example.org:8443"),
            Map.entry("X-One", "a"),
            Map.entry("x-one", "b"),
            Map.entry("Content-Length", "5")),
        request.headers());
    assertEquals("hello", new String(request.body(), StandardCharsets.US_ASCII));
    assertEquals(200, request.responseStatus());
    assertEquals(4, request.responseBodyBytes());
    assertNull(request.serverName());
  }

  @Test
  void aPathWithoutResourceIsNotFoundAndRecorded() throws Exception {
    assertEquals(404, get("/nowhere").statusCode());
    assertEquals(0, server.requests("/nowhere").get(0).number());
  }

  @Test
  void aResourceWithAQueryOutranksTheOneOfItsPath() throws Exception {
    server.serve("/m", Content.text("any"));
    server.serve("/m?v=2", Content.text("two"));
    assertEquals("two", text(get("/m?v=2")));
    assertEquals("any", text(get("/m?v=3")));
  }

  @Test
  void rangesAreIgnoredForTheFirstRequestsOnly() throws Exception {
    server.serve("/m", content).when(Request.first(2), Fault.ignoresRanges());
    for (int i = 0; i < 2; i++) {
      HttpResponse<byte[]> whole = get("/m", "Range", "bytes=1-2");
      assertEquals(200, whole.statusCode());
      assertNull(field(whole, "Accept-Ranges"));
      assertEquals(content.lengthBytes(), whole.body().length);
    }
    assertEquals(206, get("/m", "Range", "bytes=1-2").statusCode());
  }

  @Test
  void contentRangeLiesWhileTheBytesAreThoseAsked() throws Exception {
    Map<Fault, @Nullable String> lies = new LinkedHashMap<>();
    lies.put(Fault.omitsContentRange(), null);
    lies.put(Fault.hidesCompleteLength(), "bytes 10-19/*");
    lies.put(
        Fault.contentRange((asked, sent, complete) -> "bytes 11-20/" + complete),
        "bytes 11-20/3145733");
    lies.put(Fault.contentRange((asked, sent, complete) -> "items 10-19/99"), "items 10-19/99");
    lies.put(Fault.contentRange((asked, sent, complete) -> "bytes */99"), "bytes */99");
    for (Map.Entry<Fault, @Nullable String> lie : lies.entrySet()) {
      server.serve("/m", content).with(lie.getKey());
      HttpResponse<byte[]> response = get("/m", "Range", "bytes=10-19");
      assertEquals(206, response.statusCode());
      assertEquals(lie.getValue(), field(response, "Content-Range"));
      assertArrayEquals(content.bytes(10, 10), response.body());
    }
  }

  @Test
  void anotherSpanThanAskedIsSentAndSaid() throws Exception {
    server.serve("/m", content).with(Fault.sendsInsteadOfAsked(asked -> asked.shifted(-4)));
    HttpResponse<byte[]> response = get("/m", "Range", "bytes=10-19");
    assertEquals("bytes 6-15/3145733", field(response, "Content-Range"));
    assertArrayEquals(content.bytes(6, 10), response.body());
  }

  @Test
  void wrongBytesCanTravelUnderTheRightContentRange() throws Exception {
    server
        .serve("/m", content)
        .with(
            Fault.sendsInsteadOfAsked(asked -> asked.shifted(1)),
            Fault.contentRange(
                (asked, sent, complete) ->
                    "bytes " + asked.first() + "-" + asked.last() + "/" + complete));
    HttpResponse<byte[]> response = get("/m", "Range", "bytes=10-19");
    assertEquals("bytes 10-19/3145733", field(response, "Content-Range"));
    assertArrayEquals(content.bytes(11, 10), response.body());
  }

  @Test
  void aRangeCanComeAsOnePartOfAMultipart() throws Exception {
    server.serve("/m", Content.text("abcdefgh")).with(Fault.multipart());
    HttpResponse<byte[]> response = get("/m", "Range", "bytes=2-4");
    assertEquals(206, response.statusCode());
    assertNull(field(response, "Content-Range"));
    assertEquals("multipart/byteranges; boundary=part-of-a-test", field(response, "Content-Type"));
    assertEquals(
        "--part-of-a-test\r\nContent-Range: bytes 2-4/8\r\n\r\ncde\r\n--part-of-a-test--\r\n",
        text(response));
  }

  @Test
  void anUnsatisfiableAnswerClaimsALengthOfItsOwn() throws Exception {
    server.serve("/m", content).with(Fault.unsatisfiable(42));
    HttpResponse<byte[]> response = get("/m", "Range", "bytes=0-1");
    assertEquals(416, response.statusCode());
    assertEquals("bytes */42", field(response, "Content-Range"));
  }

  @ParameterizedTest
  @ValueSource(ints = {-10, -3, 3, 1000})
  void aBodyLongerOrShorterThanItsContentRangeIsHonestlyFramed(int delta) throws Exception {
    server.serve("/m", content).with(Fault.bodyLongerBy(delta));
    HttpResponse<byte[]> response = get("/m", "Range", "bytes=10-19");
    assertEquals("bytes 10-19/3145733", field(response, "Content-Range"));
    assertEquals(Integer.toString(10 + delta), field(response, "Content-Length"));
    byte[] expected = Arrays.copyOf(content.bytes(10, 10), 10 + delta);
    assertArrayEquals(expected, response.body());
  }

  @ParameterizedTest
  @ValueSource(ints = {-4, 4})
  void aWrongContentLengthLeavesTheBodyAloneAndEndsTheConnection(int delta) throws Exception {
    server.serve("/m", content).with(Fault.contentLengthOffBy(delta));
    try (RawClient client = connect()) {
      client.sendGet("/m", "Range: bytes=10-19");
      RawResponse head = client.readHead();
      assertEquals(Integer.toString(10 + delta), head.field("content-length"));
      assertArrayEquals(content.bytes(10, 10), client.readToOrderlyEnd());
    }
  }

  @Test
  void withoutContentLengthTheEndOfTheConnectionEndsTheBody() throws Exception {
    server.serve("/m", content).with(Fault.closeDelimited());
    try (RawClient client = connect()) {
      client.sendGet("/m");
      RawResponse head = client.readHead();
      assertNull(head.field("content-length"));
      assertNull(head.field("transfer-encoding"));
      assertArrayEquals(content.bytes(), client.readToOrderlyEnd());
    }
    assertArrayEquals(content.bytes(), get("/m").body());
  }

  @Test
  void aChunkedBodyHasNoContentLengthAndKeepsTheConnection() throws Exception {
    server.serve("/m", content).with(Fault.chunked());
    server.serve("/small", Content.text("hello")).with(Fault.chunked());
    HttpResponse<byte[]> response = get("/m");
    assertNull(field(response, "Content-Length"));
    assertArrayEquals(content.bytes(), response.body());
    try (RawClient client = connect()) {
      client.sendGet("/small");
      assertEquals("chunked", client.readHead().field("transfer-encoding"));
      byte[] wire = client.read(15);
      assertEquals("5\r\nhello\r\n0\r\n\r\n", new String(wire, StandardCharsets.US_ASCII));
      assertEquals(206, client.get("/m", "Range: bytes=0-0", "TE: none").status());
    }
  }

  @Test
  void gzipComesAlthoughIdentityWasAsked() throws Exception {
    server.serve("/m", Content.text("a".repeat(10_000))).with(Fault.gzipped());
    HttpResponse<byte[]> response = get("/m", "Accept-Encoding", "identity");
    assertEquals("gzip", field(response, "Content-Encoding"));
    assertEquals(Integer.toString(response.body().length), field(response, "Content-Length"));
    assertTrue(response.body().length < 1000);
    byte[] plain = new GZIPInputStream(new ByteArrayInputStream(response.body())).readAllBytes();
    assertEquals("a".repeat(10_000), new String(plain, StandardCharsets.US_ASCII));
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 1000, 262_144, 3_145_732})
  void aResetComesAfterExactlySoManyBytes(int bodyBytes) throws Exception {
    server.serve("/m", content).with(Fault.resetsAfter(bodyBytes));
    try (RawClient client = connect()) {
      client.sendGet("/m");
      assertEquals("3145733", client.readHead().field("content-length"));
      assertArrayEquals(content.bytes(0, bodyBytes), client.readToReset());
    }
    assertEquals(bodyBytes, server.requests().get(0).responseBodyBytes());
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 300_000, 3_145_732})
  void anOrderlyCloseComesAfterExactlySoManyBytes(int bodyBytes) throws Exception {
    server.serve("/m", content).with(Fault.closesAfter(bodyBytes));
    try (RawClient client = connect()) {
      client.sendGet("/m");
      client.readHead();
      assertArrayEquals(content.bytes(0, bodyBytes), client.readToOrderlyEnd());
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 100_000})
  void cutsComeAtTheirByteUnderTlsToo(int bodyBytes) throws Exception {
    TestCertificates certificates = TestCertificates.forHosts();
    try (ByteRangeServer secure = ByteRangeServer.startTls(certificates.serverContext())) {
      secure.serve("/reset", content).with(Fault.resetsAfter(bodyBytes));
      secure.serve("/close", content).with(Fault.closesAfter(bodyBytes));
      try (RawClient client = RawClient.connectTls(secure.port(), certificates, "localhost")) {
        client.sendGet("/reset");
        client.readHead();
        assertArrayEquals(content.bytes(0, bodyBytes), client.readToReset());
      }
      try (RawClient client = RawClient.connectTls(secure.port(), certificates, "localhost")) {
        client.sendGet("/close");
        client.readHead();
        assertArrayEquals(content.bytes(0, bodyBytes), client.readToOrderlyEnd());
      }
    }
  }

  @Test
  void anEventBehindTheEndOfTheBodyNeverHappens() throws Exception {
    server.serve("/m", content).with(Fault.resetsAfter(11));
    assertEquals(10, get("/m", "Range", "bytes=0-9").body().length);
  }

  @Test
  void theConnectionCanEndInPlaceOfAnAnswer() throws Exception {
    server.serve("/reset", content).with(Fault.resetsAtOnce());
    server.serve("/close", content).with(Fault.closesAtOnce());
    try (RawClient client = connect()) {
      client.sendGet("/reset");
      assertEquals(0, client.readToReset().length);
    }
    try (RawClient client = connect()) {
      client.sendGet("/close");
      assertEquals(0, client.readToOrderlyEnd().length);
    }
    assertEquals(0, server.requests("/close").get(0).responseStatus());
  }

  @Test
  void aCloseBehindTheResponseIsAnnouncedOrNot() throws Exception {
    server.serve("/said", Content.text("abc")).with(Fault.announcesClose());
    server.serve("/unsaid", Content.text("abc")).with(Fault.closesSilently());
    try (RawClient client = connect()) {
      RawResponse response = client.get("/said");
      assertEquals("close", response.field("connection"));
      assertEquals(0, client.readToOrderlyEnd().length);
    }
    try (RawClient client = connect()) {
      RawResponse response = client.get("/unsaid");
      assertNull(response.field("connection"));
      assertEquals(0, client.readToOrderlyEnd().length);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 500_000})
  void aFrozenAnswerStopsAtItsByteUntilTheGateOpens(int bodyBytes) throws Exception {
    Gate gate = new Gate();
    server.serve("/m", content).with(Fault.freezesAfter(bodyBytes, gate));
    try (RawClient client = connect()) {
      client.sendGet("/m");
      client.readHead();
      byte[] before = client.read(bodyBytes);
      gate.awaitArrivals(1);
      assertEquals(0, client.available());
      assertEquals(bodyBytes, server.bytesSent());
      gate.open();
      byte[] after = client.read((int) content.lengthBytes() - bodyBytes);
      assertArrayEquals(content.bytes(0, bodyBytes), before);
      assertArrayEquals(content.bytes(bodyBytes, (int) content.lengthBytes() - bodyBytes), after);
    }
  }

  @Test
  void aFreezeAndACutHappenEachAtItsByte() throws Exception {
    Gate gate = new Gate();
    server.serve("/m", content).with(Fault.closesAfter(900), Fault.freezesAfter(400, gate));
    try (RawClient client = connect()) {
      client.sendGet("/m");
      client.readHead();
      client.read(400);
      gate.awaitArrivals(1);
      gate.open();
      assertArrayEquals(content.bytes(400, 500), client.readToOrderlyEnd());
    }
  }

  @Test
  void aFrozenConnectionEndsWhenItsClientLeaves() throws Exception {
    Gate gate = new Gate();
    server.serve("/m", content).with(Fault.freezesAfter(10, gate));
    try (RawClient client = connect()) {
      client.sendGet("/m");
      gate.awaitArrivals(1);
      assertEquals(1, server.requestsInFlight());
    }
    server.awaitNoConnections();
    assertEquals(0, server.requestsInFlight());
    assertTrue(server.requests().get(0).isFinished());
    assertEquals(10, server.requests().get(0).responseBodyBytes());
  }

  @Test
  void closingTheServerEndsWhateverWaitsOrTrickles() throws Exception {
    Gate gate = new Gate();
    server.serve("/frozen", content).with(Fault.freezesAfter(10, gate));
    server.serve("/silent", content).with(Fault.waitsFor(gate));
    server.serve("/late", content).with(Fault.pauses(Duration.ofHours(1)));
    server.serve("/slow", content).with(Fault.limitsRate(1));
    List<RawClient> clients = new ArrayList<>();
    for (String path : List.of("/frozen", "/silent", "/late", "/slow")) {
      RawClient client = connect();
      clients.add(client);
      client.sendGet(path);
    }
    clients.add(connect());
    server.awaitRequests(4);
    gate.awaitArrivals(2);
    assertTimeoutPreemptively(Duration.ofSeconds(5), server::close);
    assertEquals(0, server.openConnections());
    for (RawClient client : clients) {
      client.close();
    }
    assertThrows(IOException.class, this::connect);
  }

  @Test
  void anAnswerWaitsAtAGateBeforeItsHead() throws Exception {
    Gate gate = new Gate();
    server.serve("/m", content).with(Fault.waitsFor(gate));
    try (RawClient client = connect()) {
      client.sendGet("/m", "Range: bytes=0-3");
      gate.awaitArrivals(1);
      assertEquals(0, client.available());
      assertEquals(0, server.requests().get(0).responseStatus());
      gate.open();
      assertEquals(206, client.readResponse().status());
    }
  }

  @Test
  void pausesAddUp() throws Exception {
    Fault pause = Fault.pauses(Duration.ofMillis(60));
    server.serve("/m", content).with(pause, pause);
    long start = System.nanoTime();
    get("/m", "Range", "bytes=0-0");
    assertTrue(System.nanoTime() - start >= 120_000_000);
  }

  @Test
  void aNewConnectionWaitsOnce() throws Exception {
    server.serve("/m", Content.text("m"));
    server.pauseOnConnect(Duration.ofMillis(80));
    long start = System.nanoTime();
    try (RawClient client = connect()) {
      client.get("/m");
      assertTrue(System.nanoTime() - start >= 80_000_000);
      assertEquals(200, client.get("/m").status());
    }
  }

  @Test
  void eachConnectionHasItsOwnRateButASharedPipeIsShared() throws Exception {
    Content part = Content.random(SEED, 200 * KIB);
    server.serve("/m", part);
    server.limitRatePerConnection(MIB);
    long two = nanosForTwoAtOnce();
    assertTrue(two >= 140_000_000, "200 KiB at 1 MiB/s came in " + two + " ns");
    server.limitRate(MIB);
    long shared = nanosForTwoAtOnce();
    assertTrue(shared >= 330_000_000, "400 KiB at 1 MiB/s came in " + shared + " ns");
  }

  private long nanosForTwoAtOnce() throws Exception {
    try (RawClient first = connect();
        RawClient second = connect()) {
      long start = System.nanoTime();
      first.sendGet("/m");
      second.sendGet("/m");
      first.readResponse();
      second.readResponse();
      return System.nanoTime() - start;
    }
  }

  @Test
  void aTrickleKeepsItsRate() throws Exception {
    server.serve("/m", Content.random(SEED, 30 * KIB)).with(Fault.limitsRate(100 * KIB));
    long start = System.nanoTime();
    assertEquals(30 * KIB, get("/m").body().length);
    long nanos = System.nanoTime() - start;
    assertTrue(nanos >= 245_000_000, "30 KiB at 100 KiB/s came in " + nanos + " ns");
  }

  @Test
  void theFirstReplyWinsAndThenTheResourceAnswers() throws Exception {
    server
        .serve("/m", Content.text("model"))
        .when(
            Request.nth(1),
            Fault.replies(
                Reply.status(429)
                    .reason("Too Many Requests")
                    .retryAfter(Duration.ofSeconds(7))
                    .header("RateLimit", "\"resolvers\";r=0;t=55")
                    .body("text/plain", "slow down")))
        .when(
            Request.first(2),
            Fault.replies(Reply.status(503).retryAfter(Instant.parse("2026-11-21T08:00:00Z"))));
    HttpResponse<byte[]> first = get("/m", "Range", "bytes=0-1");
    assertEquals(429, first.statusCode());
    assertEquals("7", field(first, "Retry-After"));
    assertEquals("\"resolvers\";r=0;t=55", field(first, "RateLimit"));
    assertEquals("text/plain", field(first, "Content-Type"));
    assertEquals("slow down", text(first));
    HttpResponse<byte[]> second = get("/m", "Range", "bytes=0-1");
    assertEquals(503, second.statusCode());
    assertEquals("Sat, 21 Nov 2026 08:00:00 GMT", field(second, "Retry-After"));
    assertEquals("model", text(get("/m")));
  }

  @Test
  void faultsOfTheBodyAndFieldsApplyToRepliesToo() throws Exception {
    server
        .serve("/m", content)
        .with(
            Fault.replies(Reply.status(500).header("X-Gone", "1").body("text/plain", "0123456789")),
            Fault.header("X-More", "2"),
            Fault.omits("x-gone"),
            Fault.closesAfter(4));
    try (RawClient client = connect()) {
      client.sendGet("/m");
      RawResponse head = client.readHead();
      assertEquals("2", head.field("x-more"));
      assertNull(head.field("x-gone"));
      assertEquals("0123", new String(client.readToOrderlyEnd(), StandardCharsets.US_ASCII));
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {301, 302, 303, 307, 308})
  void redirectsLeadWhereTheyAreTold(int status) throws Exception {
    server.serve("/from", content).with(Fault.replies(Reply.redirect(status, "to/here?x=1")));
    server.serve("/to/here", Content.text("arrived"));
    HttpResponse<byte[]> unfollowed = get("/from");
    assertEquals(status, unfollowed.statusCode());
    assertEquals("to/here?x=1", field(unfollowed, "Location"));
    HttpClient follower =
        HttpClient.newBuilder().followRedirects(HttpClient.Redirect.ALWAYS).build();
    assertEquals("arrived", text(follower.send(request("/from"), BodyHandlers.ofByteArray())));
  }

  @Test
  void aSignedLinkServesSoManyRequestsAndANewOneIsHadByResolvingAgain() throws Exception {
    SignedLinks links = SignedLinks.validForRequests(2);
    server.serve("/resolve", content).with(links.redirect(307, server.url("/blob?v=1")));
    server.serve("/blob", content).with(links.demand(Reply.status(403)));
    assertEquals(403, get("/blob?v=1").statusCode());
    String link = "/blob?v=1&signature=1";
    assertEquals(server.url(link), field(get("/resolve"), "Location"));
    assertEquals(206, get(link, "Range", "bytes=0-0").statusCode());
    assertEquals(206, get(link, "Range", "bytes=0-0").statusCode());
    assertEquals(403, get(link, "Range", "bytes=0-0").statusCode());
    assertEquals(server.url("/blob?v=1&signature=2"), field(get("/resolve"), "Location"));
    assertEquals(200, get("/blob?v=1&signature=2").statusCode());
    assertEquals(2, links.issued());
    links.revokeAll();
    assertEquals(403, get("/blob?v=1&signature=2").statusCode());
  }

  @Test
  void aSignedLinkEndsAfterSoManyBytes() throws Exception {
    SignedLinks links = SignedLinks.validForBytes(100);
    server.serve("/resolve", content).with(links.redirect(302, "/blob"));
    server.serve("/blob", content).with(links.demand(Reply.status(401)));
    assertEquals("/blob?signature=1", field(get("/resolve"), "Location"));
    assertEquals(206, get("/blob?signature=1", "Range", "bytes=0-98").statusCode());
    assertEquals(206, get("/blob?signature=1", "Range", "bytes=0-98").statusCode());
    assertEquals(401, get("/blob?signature=1", "Range", "bytes=0-98").statusCode());
  }

  @Test
  void aRangeIsHonouredOnlyIfItsConditionHolds() throws Exception {
    server.serve("/m", content).entityTag("\"one\"").lastModified("Sat, 21 Nov 2026 08:00:00 GMT");
    assertEquals("\"one\"", field(get("/m"), "ETag"));
    assertEquals("Sat, 21 Nov 2026 08:00:00 GMT", field(get("/m"), "Last-Modified"));
    assertEquals(206, getIf("\"one\""));
    assertEquals(206, getIf("Sat, 21 Nov 2026 08:00:00 GMT"));
    assertEquals(200, getIf("\"two\""));
    assertEquals(200, getIf("Sat, 21 Nov 2026 08:00:01 GMT"));
    server.serve("/m", content).entityTag("W/\"one\"");
    assertEquals(200, getIf("W/\"one\""));
    server.serve("/m", content).entityTag("\"one\"").with(Fault.ignoresIfRange());
    assertEquals(206, getIf("\"two\""));
  }

  private int getIf(String condition) throws Exception {
    return get("/m", "Range", "bytes=0-0", "If-Range", condition).statusCode();
  }

  @Test
  void entityTagsMayDifferByConnection() throws Exception {
    server
        .serve("/m", Content.text("m"))
        .with(Fault.entityTag(request -> "\"node-" + request.connection() + "\""));
    try (RawClient first = connect();
        RawClient second = connect()) {
      assertEquals("\"node-1\"", first.get("/m").field("etag"));
      assertEquals("\"node-2\"", second.get("/m").field("etag"));
      assertEquals("\"node-1\"", first.get("/m").field("etag"));
    }
  }

  @Test
  void theContentChangesMidwayByRequestOrByHand() throws Exception {
    ByteRangeServer.Resource resource =
        server
            .serve("/m", Content.text("first"))
            .entityTag("\"1\"")
            .when(Request.from(2), Fault.serves(Content.text("second!")), Fault.entityTag("\"2\""));
    assertEquals("first", text(get("/m")));
    HttpResponse<byte[]> second = get("/m", "Range", "bytes=0-", "If-Range", "\"1\"");
    assertEquals(200, second.statusCode());
    assertEquals("\"2\"", field(second, "ETag"));
    assertEquals("second!", text(second));
    ByteRangeServer.Resource other = server.serve("/n", Content.text("x"));
    other.replaceContent(Content.text("y"));
    assertEquals("y", text(get("/n")));
    assertEquals(server.url("/m"), resource.url());
  }

  @Test
  void headHasTheFieldsOfGetWithoutBodyOrIsRefused() throws Exception {
    server.serve("/m", content).entityTag("\"1\"");
    server.serve("/no", content).when(Request.withMethod("HEAD"), Fault.replies(Reply.status(401)));
    try (RawClient client = connect()) {
      client.send("HEAD /m HTTP/1.1\r\nHost: h\r\n\r\n");
      RawResponse head = client.readHead();
      assertEquals(200, head.status());
      assertEquals("3145733", head.field("content-length"));
      assertEquals("\"1\"", head.field("etag"));
      assertEquals(206, client.get("/m", "Range: bytes=0-0").status());
      client.send("HEAD /no HTTP/1.1\r\nHost: h\r\n\r\n");
      assertEquals(401, client.readHead().status());
      assertEquals(200, client.get("/no").status());
      client.send("DELETE /m HTTP/1.1\r\nHost: h\r\n\r\n");
      assertEquals(405, client.readResponse().status());
    }
  }

  @Test
  void aFieldsBytesAreSentAsTheyAre() throws Exception {
    byte[] value = {'n', '=', (byte) 0xE9, (byte) 0xC3, (byte) 0xA9};
    server.serve("/m", Content.text("m")).with(Fault.header("Content-Disposition", value));
    try (RawClient client = connect()) {
      String seen = client.get("/m").field("content-disposition");
      assertArrayEquals(value, seen == null ? null : seen.getBytes(StandardCharsets.ISO_8859_1));
    }
  }

  @Test
  void hostsShareOnePortUnderTlsAndAreTold() throws Exception {
    TestCertificates certificates = TestCertificates.forHosts("huggingface.co", "cdn.example.org");
    try (ByteRangeServer secure = ByteRangeServer.startTls(certificates.serverContext())) {
      secure.serve("huggingface.co", "/m", Content.text("hub"));
      secure.serve("/m", Content.text("anyone"));
      try (RawClient hub = RawClient.connectTls(secure.port(), certificates, "huggingface.co");
          RawClient cdn = RawClient.connectTls(secure.port(), certificates, "cdn.example.org")) {
        hub.send("GET /m HTTP/1.1\r\nHost: HuggingFace.co:443\r\n\r\n");
        assertEquals("hub", hub.readResponse().text());
        cdn.send("GET /m HTTP/1.1\r\nHost: cdn.example.org\r\n\r\n");
        assertEquals("anyone", cdn.readResponse().text());
      }
      assertEquals("huggingface.co", secure.requests().get(0).serverName());
      assertEquals("huggingface.co", secure.requests().get(0).host());
      assertEquals("cdn.example.org", secure.requests().get(1).serverName());
      assertEquals(
          "https://cdn.example.org:" + secure.port() + "/m", secure.url("cdn.example.org", "/m"));
      assertEquals("::127.0.0.1:" + secure.port(), secure.connectTo());
    }
  }

  @Test
  void javaNetHttpReadsRangesOverTls() throws Exception {
    TestCertificates certificates = TestCertificates.forHosts();
    HttpClient client = HttpClient.newBuilder().sslContext(certificates.clientContext()).build();
    try (ByteRangeServer secure = ByteRangeServer.startTls(certificates.serverContext())) {
      secure.serve("/m", content);
      HttpResponse<byte[]> response =
          client.send(
              HttpRequest.newBuilder(URI.create(secure.url("/m")))
                  .header("Range", "bytes=7-2000006")
                  .build(),
              BodyHandlers.ofByteArray());
      assertEquals(206, response.statusCode());
      assertEquals(HttpClient.Version.HTTP_1_1, response.version());
      assertArrayEquals(content.bytes(7, 2_000_000), response.body());
    }
  }

  @Test
  void requestsAboveALimitAreTurnedAwayWhileTheOthersAreUnanswered() throws Exception {
    Gate gate = new Gate();
    ByteRangeServer.Resource resource =
        server
            .serve("/m", Content.text("m"))
            .when(Request.aboveInFlight(2), Fault.replies(Reply.status(503)))
            .when(Request.first(2), Fault.waitsFor(gate));
    try (RawClient first = connect();
        RawClient second = connect();
        RawClient third = connect()) {
      first.sendGet("/m");
      second.sendGet("/m");
      gate.awaitArrivals(2);
      assertEquals(503, third.get("/m").status());
      gate.open();
      assertEquals(200, first.readResponse().status());
      assertEquals(200, second.readResponse().status());
      assertEquals(200, third.get("/m").status());
    }
    assertEquals(3, resource.maxConcurrentRequests());
    assertEquals(3, server.maxConcurrentRequests());
  }

  @Test
  void connectionsAboveALimitAreTurnedAway() throws Exception {
    server
        .serve("/m", Content.text("m"))
        .when(Request.aboveConnections(1), Fault.replies(Reply.status(429)));
    try (RawClient first = connect()) {
      assertEquals(200, first.get("/m").status());
      try (RawClient second = connect()) {
        assertEquals(429, second.get("/m").status());
      }
    }
    server.awaitNoConnections();
    assertEquals(200, get("/m").statusCode());
  }

  @Test
  void aClientThatAsksOneByOneIsNeverCountedTwice() throws Exception {
    server.serve("/m", content).with(Fault.closesAfter(MIB));
    server.serve("/chunked", content).with(Fault.chunked());
    server.serve("/cut", content).with(Fault.closesAfter(1));
    try (RawClient first = connect();
        RawClient second = connect()) {
      for (int i = 0; i < 200; i++) {
        first.get("/m", "Range: bytes=0-9");
        second.send("HEAD /m HTTP/1.1\r\nHost: h\r\n\r\n");
        second.readHead();
        second.get("/m", "Range: bytes=0-299999");
        first.sendGet("/chunked", "Range: bytes=0-1");
        first.readHead();
        first.read("2\r\n..\r\n0\r\n\r\n".length());
        try (RawClient third = connect()) {
          third.sendGet("/cut");
          third.readHead();
          third.readToOrderlyEnd();
        }
      }
    }
    assertEquals(1, server.maxConcurrentRequests());
  }

  @Test
  void aFailureOfTheScriptItselfIsToldAtTheEnd() throws Exception {
    ByteRangeServer broken = ByteRangeServer.start();
    broken.answer(
        "/m",
        request -> {
          throw new IllegalStateException("bad script");
        });
    assertThrows(
        ExecutionException.class,
        () ->
            http.sendAsync(
                    HttpRequest.newBuilder(URI.create(broken.url("/m"))).build(),
                    BodyHandlers.discarding())
                .get());
    AssertionError error = assertThrows(AssertionError.class, broken::close);
    assertEquals("bad script", error.getSuppressed()[0].getMessage());
  }

  @Test
  void bytesSentAreCountedAndAwaited() throws Exception {
    server.serve("/m", content);
    try (RawClient client = connect()) {
      client.sendGet("/m");
      server.awaitBytesSent(1);
      client.readResponse();
      client.get("/m", "Range: bytes=0-9");
    }
    assertEquals(content.lengthBytes() + 10, server.bytesSent());
  }

  private RawClient connect() throws IOException {
    return new RawClient(new Socket(InetAddress.getLoopbackAddress(), server.port()));
  }

  private HttpRequest request(String path, String... headers) {
    HttpRequest.Builder builder = HttpRequest.newBuilder(URI.create(server.url(path)));
    return headers.length == 0 ? builder.build() : builder.headers(headers).build();
  }

  private HttpResponse<byte[]> get(String path, String... headers) throws Exception {
    return http.send(request(path, headers), BodyHandlers.ofByteArray());
  }

  private static @Nullable String field(HttpResponse<?> response, String name) {
    return response.headers().firstValue(name).orElse(null);
  }

  private static String text(HttpResponse<byte[]> response) {
    return new String(response.body(), StandardCharsets.UTF_8);
  }

  /** What a socket saw of a response; field names in lower case. */
  private record RawResponse(int status, Map<String, String> fields, Content body) {
    @Nullable String field(String lowerCaseName) {
      return fields.get(lowerCaseName);
    }

    String text() {
      return new String(body.bytes(), StandardCharsets.UTF_8);
    }
  }

  /** A client that sends what it is told and shows byte for byte what comes back. */
  private static final class RawClient implements AutoCloseable {
    private final Socket socket;
    private final InputStream in;

    RawClient(Socket socket) throws IOException {
      this.socket = socket;
      this.in = socket.getInputStream();
      socket.setSoTimeout(30_000);
    }

    static RawClient connectTls(int port, TestCertificates certificates, String host)
        throws IOException {
      SSLSocket socket =
          (SSLSocket)
              certificates
                  .clientContext()
                  .getSocketFactory()
                  .createSocket(
                      new Socket(InetAddress.getLoopbackAddress(), port), host, port, true);
      SSLParameters parameters = socket.getSSLParameters();
      parameters.setServerNames(List.of(new SNIHostName(host)));
      socket.setSSLParameters(parameters);
      socket.startHandshake();
      return new RawClient(socket);
    }

    void send(String text) throws IOException {
      socket.getOutputStream().write(text.getBytes(StandardCharsets.ISO_8859_1));
    }

    void sendGet(String target, String... fields) throws IOException {
      StringBuilder head = new StringBuilder("GET " + target + " HTTP/1.1\r\nHost: test\r\n");
      for (String field : fields) {
        head.append(field).append("\r\n");
      }
      send(head + "\r\n");
    }

    RawResponse get(String target, String... fields) throws IOException {
      sendGet(target, fields);
      return readResponse();
    }

    RawResponse readHead() throws IOException {
      StringBuilder head = new StringBuilder();
      while (head.indexOf("\r\n\r\n") < 0) {
        int next = in.read();
        if (next < 0) {
          throw new EOFException("the head ended after: " + head);
        }
        head.append((char) next);
      }
      String[] lines = head.toString().split("\r\n", -1);
      Map<String, String> fields = new LinkedHashMap<>();
      for (String line : lines) {
        int colon = line.indexOf(": ");
        if (colon > 0) {
          fields.put(line.substring(0, colon).toLowerCase(Locale.ROOT), line.substring(colon + 2));
        }
      }
      return new RawResponse(Integer.parseInt(lines[0].substring(9, 12)), fields, Content.of());
    }

    RawResponse readResponse() throws IOException {
      RawResponse head = readHead();
      int length = Integer.parseInt(head.fields().getOrDefault("content-length", "0"));
      return new RawResponse(head.status(), head.fields(), Content.of(read(length)));
    }

    byte[] read(int count) throws IOException {
      byte[] bytes = in.readNBytes(count);
      if (bytes.length < count) {
        throw new EOFException(bytes.length + " bytes came instead of " + count);
      }
      return bytes;
    }

    int available() throws IOException {
      return in.available();
    }

    byte[] readToOrderlyEnd() throws IOException {
      return in.readAllBytes();
    }

    /** All bytes up to the reset; fails if the connection ends in another way. */
    byte[] readToReset() throws IOException {
      ByteArrayOutputStream bytes = new ByteArrayOutputStream();
      byte[] buffer = new byte[65_536];
      while (true) {
        int count;
        try {
          count = in.read(buffer);
        } catch (SocketException | javax.net.ssl.SSLException e) {
          assertTrue(String.valueOf(e.getMessage()).contains("reset"), e.toString());
          return bytes.toByteArray();
        }
        assertTrue(count >= 0, "an orderly end after " + bytes.size() + " bytes");
        bytes.write(buffer, 0, count);
      }
    }

    @Override
    public void close() throws IOException {
      socket.close();
    }
  }
}
