package io.anymatix.fetcher.cli;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.anymatix.fetcher.content.ByteRange;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * An HTTP server on this machine that offers {@link DemoModel}s, and limits each connection's rate
 * as public servers do. It counts what it is asked for. One thread for each running answer.
 */
final class DemoServer implements AutoCloseable {
  /** The form of range that downloaders use: RFC 9110, section 14.1.2, with both ends. */
  private static final Pattern RANGE = Pattern.compile("bytes=(\\d{1,18})-(\\d{0,18})");

  private static final int CHUNK_BYTES = 32 * 1024;

  /** Answers that are shorter are questions about a file, and no transfer. */
  private static final long SMALLEST_TRANSFER_BYTES = 1024;

  private final HttpServer server;
  private final ExecutorService executor = Executors.newCachedThreadPool();
  private final Map<String, Offer> offers = new ConcurrentHashMap<>();

  /** Guards the counts. */
  private final Object lock = new Object();

  private Counts counts = new Counts(0, 0, 0);
  private int transfersNow;

  private record Offer(DemoModel model, boolean ranges, long bytesPerSecond) {}

  /**
   * What was asked for since {@link #forget}.
   *
   * @param bodyBytes bytes of answers that were sent
   * @param mostTransfers transfers that ran at the same time
   */
  record Counts(int requests, long bodyBytes, int mostTransfers) {}

  private DemoServer(HttpServer server) {
    this.server = server;
  }

  /** Starts a server on a free port of the loopback address. */
  static DemoServer start() throws IOException {
    HttpServer http =
        HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 64);
    DemoServer server = new DemoServer(http);
    http.setExecutor(server.executor);
    http.createContext("/", server::answer);
    http.start();
    return server;
  }

  /**
   * Offers a file.
   *
   * @param ranges whether requests for a part are honoured; otherwise each gets the whole file
   * @param bytesPerSecond limit of each connection
   * @return the file's url
   */
  String offer(DemoModel model, boolean ranges, long bytesPerSecond) {
    offers.put("/" + model.name(), new Offer(model, ranges, bytesPerSecond));
    return "http://127.0.0.1:" + server.getAddress().getPort() + "/" + model.name();
  }

  Counts counts() {
    synchronized (lock) {
      return counts;
    }
  }

  /** Begins to count anew. */
  void forget() {
    synchronized (lock) {
      counts = new Counts(0, 0, transfersNow);
    }
  }

  @Override
  public void close() {
    server.stop(0);
    executor.shutdownNow();
  }

  private void answer(HttpExchange exchange) throws IOException {
    synchronized (lock) {
      counts = new Counts(counts.requests + 1, counts.bodyBytes, counts.mostTransfers);
    }
    try (exchange) {
      Offer offer = offers.get(exchange.getRequestURI().getPath());
      if (offer == null || !exchange.getRequestMethod().equals("GET")) {
        exchange.sendResponseHeaders(offer == null ? 404 : 405, -1);
        return;
      }
      long length = offer.model.lengthBytes();
      String etag = "\"demo-" + offer.model.seed() + "\"";
      exchange.getResponseHeaders().set("ETag", etag);
      exchange.getResponseHeaders().set("Content-Type", "application/octet-stream");
      ByteRange range = offer.ranges ? range(exchange, etag, length) : null;
      if (range == null) {
        range = new ByteRange(0, length - 1);
        exchange.sendResponseHeaders(200, length);
      } else if (range.first() >= length) {
        exchange.getResponseHeaders().set("Content-Range", "bytes */" + length);
        exchange.sendResponseHeaders(416, -1);
        return;
      } else {
        exchange
            .getResponseHeaders()
            .set("Content-Range", "bytes " + range.first() + "-" + range.last() + "/" + length);
        exchange.sendResponseHeaders(206, range.lengthBytes());
      }
      send(offer, range, exchange.getResponseBody());
    }
  }

  /** The range that is asked for and may be answered, or null for the whole file. */
  private static @Nullable ByteRange range(HttpExchange exchange, String etag, long length) {
    String asked = exchange.getRequestHeaders().getFirst("Range");
    String condition = exchange.getRequestHeaders().getFirst("If-Range");
    Matcher range = RANGE.matcher(asked == null ? "" : asked);
    if (!range.matches() || (condition != null && !condition.equals(etag))) {
      return null;
    }
    long first = Long.parseLong(range.group(1));
    long last = range.group(2).isEmpty() ? length - 1 : Long.parseLong(range.group(2));
    // A range that begins behind the end can not be satisfied; the caller tells that.
    return last < first ? null : new ByteRange(first, Math.max(first, Math.min(last, length - 1)));
  }

  private void send(Offer offer, ByteRange range, OutputStream body) throws IOException {
    boolean transfer = range.lengthBytes() >= SMALLEST_TRANSFER_BYTES;
    began(transfer);
    try {
      byte[] chunk = new byte[CHUNK_BYTES];
      long start = System.nanoTime();
      for (long at = range.first(); at <= range.last(); at += CHUNK_BYTES) {
        int count = (int) Math.min(CHUNK_BYTES, range.last() - at + 1);
        offer.model.fill(at, chunk, count);
        body.write(chunk, 0, count);
        sent(count);
        double dueSeconds = (double) (at + count - range.first()) / offer.bytesPerSecond;
        long aheadNanos = (long) (dueSeconds * 1e9) - (System.nanoTime() - start);
        if (aheadNanos > TimeUnit.MILLISECONDS.toNanos(1)) {
          LockSupport.parkNanos(aheadNanos);
        }
      }
    } finally {
      if (transfer) {
        synchronized (lock) {
          transfersNow--;
        }
      }
    }
  }

  private void began(boolean transfer) {
    synchronized (lock) {
      transfersNow += transfer ? 1 : 0;
      counts =
          new Counts(
              counts.requests, counts.bodyBytes, Math.max(counts.mostTransfers, transfersNow));
    }
  }

  private void sent(int bytes) {
    synchronized (lock) {
      counts = new Counts(counts.requests, counts.bodyBytes + bytes, counts.mostTransfers);
    }
  }
}
