package io.anymatix.fetcher.fetch;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.US_ASCII;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import org.jspecify.annotations.Nullable;

/**
 * Serves the routes of a golden case over TLS on loopback, under the names of the hosts that the
 * cases speak of. The routes' fields are described in {@code golden/README.md}.
 */
final class RouteServer implements AutoCloseable {
  private static final char[] PASSWORD = "changeit".toCharArray();
  private static final Pattern RANGE = Pattern.compile("bytes=(\\d+)-(\\d*)");

  private final HttpsServer server;
  private final Path certificate;
  private final ExecutorService handlers = Executors.newCachedThreadPool();
  private final List<String> requests = new CopyOnWriteArrayList<>();
  private volatile JsonNode routes = JsonNodeFactory.instance.arrayNode();
  private volatile @Nullable Hold hold;

  private RouteServer(HttpsServer server, Path certificate) {
    this.server = server;
    this.certificate = certificate;
  }

  /** Starts a server with a fresh certificate for {@code hosts}, whose files go to {@code dir}. */
  static RouteServer start(Path dir, List<String> hosts)
      throws IOException, InterruptedException, GeneralSecurityException {
    KeyStore keys = newKeys(dir, hosts);
    KeyManagerFactory managers = KeyManagerFactory.getInstance("PKIX");
    managers.init(keys, PASSWORD);
    SSLContext tls = SSLContext.getInstance("TLS");
    tls.init(managers.getKeyManagers(), null, null);
    HttpsServer server =
        HttpsServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.setHttpsConfigurator(new HttpsConfigurator(tls));
    Path pem = dir.resolve("server.pem");
    Files.writeString(
        pem,
        "-----BEGIN CERTIFICATE-----\n"
            + Base64.getMimeEncoder(64, new byte[] {'\n'})
                .encodeToString(keys.getCertificate("server").getEncoded())
            + "\n-----END CERTIFICATE-----\n");
    RouteServer started = new RouteServer(server, pem);
    server.createContext("/", started::answer);
    server.setExecutor(started.handlers);
    server.start();
    return started;
  }

  int port() {
    return server.getAddress().getPort();
  }

  /** The server's certificate in PEM, to be trusted. */
  Path certificate() {
    return certificate;
  }

  /** Replaces the routes and forgets the requests made so far. */
  void serve(JsonNode newRoutes) {
    routes = newRoutes;
    requests.clear();
  }

  /** Method, host and path of every request since the routes were set, in order of arrival. */
  List<String> requests() {
    return List.copyOf(requests);
  }

  /** From now on every body stops after so many bytes, until the hold is released. */
  Hold holdBodiesAfter(long bytes) {
    Hold placed = new Hold(bytes);
    hold = placed;
    return placed;
  }

  @Override
  public void close() {
    Hold placed = hold;
    if (placed != null) {
      placed.release();
    }
    // First the handlers: one that still writes would hold the connection that stop() closes.
    handlers.shutdownNow();
    server.stop(0);
  }

  /** A place in a body where the server waits. */
  final class Hold {
    private final long afterBytes;
    private final CountDownLatch reached = new CountDownLatch(1);
    private final CountDownLatch released = new CountDownLatch(1);

    private Hold(long afterBytes) {
      this.afterBytes = afterBytes;
    }

    /** Waits until a body stands still; false if none does in a quarter of a minute. */
    boolean awaitReached() throws InterruptedException {
      return reached.await(15, TimeUnit.SECONDS);
    }

    void release() {
      hold = null;
      released.countDown();
    }
  }

  private static KeyStore newKeys(Path dir, List<String> hosts)
      throws IOException, InterruptedException, GeneralSecurityException {
    Path file = dir.resolve("server.p12");
    Process keytool =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "keytool").toString(),
                "-genkeypair",
                "-alias",
                "server",
                "-keyalg",
                "EC",
                "-groupname",
                "secp256r1",
                "-dname",
                "CN=" + hosts.get(0),
                "-ext",
                "SAN=dns:" + String.join(",dns:", hosts),
                "-ext",
                "BC:critical=ca:true",
                "-validity",
                "2",
                "-storetype",
                "PKCS12",
                "-keystore",
                file.toString(),
                "-storepass",
                new String(PASSWORD))
            .redirectErrorStream(true)
            .start();
    String told = new String(keytool.getInputStream().readAllBytes(), US_ASCII);
    if (keytool.waitFor() != 0) {
      throw new IOException("keytool: " + told);
    }
    KeyStore keys = KeyStore.getInstance("PKCS12");
    try (InputStream in = Files.newInputStream(file)) {
      keys.load(in, PASSWORD);
    }
    return keys;
  }

  private void answer(HttpExchange exchange) throws IOException {
    try (exchange) {
      String host = String.valueOf(exchange.getRequestHeaders().getFirst("Host"));
      String path = exchange.getRequestURI().getRawPath();
      requests.add(exchange.getRequestMethod() + " " + host + path);
      for (JsonNode route : routes) {
        if (host.equals(route.get("host").asText()) && path.equals(route.get("path").asText())) {
          answer(exchange, route);
          return;
        }
      }
      exchange.sendResponseHeaders(404, -1);
    }
  }

  private void answer(HttpExchange exchange, JsonNode route) throws IOException {
    GoldenBody body = GoldenBody.of(route.get("body"));
    for (JsonNode field : route.path("headers")) {
      exchange.getResponseHeaders().add(field.get(0).asText(), fieldValue(field.get(1)));
    }
    int status = route.path("status").asInt(200);
    long first = 0;
    long last = body.lengthBytes() - 1;
    if (route.path("ranges").asText().equals("honoured")) {
      exchange.getResponseHeaders().set("Accept-Ranges", "bytes");
      String asked = exchange.getRequestHeaders().getFirst("Range");
      Matcher range = RANGE.matcher(asked == null ? "" : asked);
      if (range.matches()) {
        first = Long.parseLong(range.group(1));
        if (first > last) {
          exchange.getResponseHeaders().set("Content-Range", "bytes */" + body.lengthBytes());
          exchange.sendResponseHeaders(416, -1);
          return;
        }
        if (!range.group(2).isEmpty()) {
          last = Math.min(last, Long.parseLong(range.group(2)));
        }
        status = 206;
        exchange
            .getResponseHeaders()
            .set("Content-Range", "bytes " + first + "-" + last + "/" + body.lengthBytes());
      }
    }
    long lengthBytes = last - first + 1;
    if (exchange.getRequestMethod().equals("HEAD")) {
      exchange.getResponseHeaders().set("Content-Length", Long.toString(lengthBytes));
      exchange.sendResponseHeaders(status, -1);
      return;
    }
    // To this server 0 means a body of unknown length, and -1 none.
    long stated = lengthBytes == 0 ? -1 : lengthBytes;
    boolean unstated = route.has("content_length") && !route.get("content_length").asBoolean();
    exchange.sendResponseHeaders(status, unstated ? 0 : stated);
    send(exchange.getResponseBody(), body, first, last);
  }

  private static String fieldValue(JsonNode value) {
    return value.isObject()
        ? new String(HexFormat.of().parseHex(value.get("hex").asText()), ISO_8859_1)
        : value.asText();
  }

  private void send(OutputStream out, GoldenBody body, long first, long last) throws IOException {
    Hold placed = hold;
    long stop = placed == null ? Long.MAX_VALUE : first + placed.afterBytes;
    for (long at = first; at <= last; ) {
      if (placed != null && at == stop) {
        out.flush();
        placed.reached.countDown();
        awaitRelease(placed);
        stop = Long.MAX_VALUE;
      }
      int count = (int) Math.min(Math.min(8192, last + 1 - at), stop - at);
      out.write(body.bytes(at, count));
      at += count;
    }
  }

  private static void awaitRelease(Hold placed) throws IOException {
    try {
      placed.released.await();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("the server is closed", e);
    }
  }
}
