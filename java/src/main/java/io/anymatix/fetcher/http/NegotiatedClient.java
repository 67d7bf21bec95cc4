package io.anymatix.fetcher.http;

import io.anymatix.fetcher.content.HttpUrl;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.nio.channels.CancelledKeyException;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.Future;
import org.apache.hc.client5.http.DnsResolver;
import org.apache.hc.client5.http.config.ConnectionConfig;
import org.apache.hc.client5.http.config.RequestConfig;
import org.apache.hc.client5.http.config.TlsConfig;
import org.apache.hc.client5.http.impl.async.CloseableHttpAsyncClient;
import org.apache.hc.client5.http.impl.async.HttpAsyncClients;
import org.apache.hc.client5.http.impl.nio.PoolingAsyncClientConnectionManagerBuilder;
import org.apache.hc.client5.http.protocol.HttpClientContext;
import org.apache.hc.client5.http.routing.HttpRoutePlanner;
import org.apache.hc.core5.concurrent.FutureCallback;
import org.apache.hc.core5.http.EntityDetails;
import org.apache.hc.core5.http.Header;
import org.apache.hc.core5.http.HttpHost;
import org.apache.hc.core5.http.HttpRequest;
import org.apache.hc.core5.http.HttpResponse;
import org.apache.hc.core5.http.config.Http1Config;
import org.apache.hc.core5.http.nio.AsyncResponseConsumer;
import org.apache.hc.core5.http.nio.CapacityChannel;
import org.apache.hc.core5.http.nio.ssl.TlsStrategy;
import org.apache.hc.core5.http.nio.support.BasicRequestProducer;
import org.apache.hc.core5.http.protocol.HttpContext;
import org.apache.hc.core5.http2.HttpVersionPolicy;
import org.apache.hc.core5.http2.config.H2Config;
import org.apache.hc.core5.io.CloseMode;
import org.apache.hc.core5.reactor.IOReactorConfig;
import org.apache.hc.core5.util.TimeValue;
import org.apache.hc.core5.util.Timeout;
import org.jspecify.annotations.Nullable;

/**
 * Exchanges over TLS connections on which HTTP/2 was offered (ALPN) and HTTP/1.1 may have been
 * chosen, read by blocking threads.
 *
 * <p>The library's own bridge from its event-driven client to blocking streams learns of a reset
 * only when its time-out passes; {@link Exchange} is woken at once. Each connection carries one
 * stream at a time: servers shape by connection, so sixteen streams over one would gain nothing.
 */
final class NegotiatedClient implements AutoCloseable {
  /** Bytes that may be on their way to one reader: enough for 40 MB/s at 25 ms. */
  private static final int WINDOW_BYTES = 1 << 20;

  /** The library reads HTTP/1.1 by whole buffers of this length, beyond the window if need be. */
  private static final int READ_BYTES = 64 * 1024;

  private final CloseableHttpAsyncClient client;
  private final RequestConfig requestConfig;
  private final Duration connectTimeout;
  private final Duration silence;

  /**
   * Starts the client.
   *
   * @param routes through a plain proxy, in whose tunnels TLS is made; null to connect directly
   * @param connectTimeout what a new connection may take
   * @param silence how long a reader that waits is left without a byte. The library's own time-outs
   *     would count the time in which it is us who keep the window shut
   */
  NegotiatedClient(
      DnsResolver names,
      TlsStrategy tls,
      @Nullable HttpRoutePlanner routes,
      ConnectionConfig connectionConfig,
      RequestConfig requestConfig,
      Duration connectTimeout,
      Duration silence,
      int maxConnections) {
    this.connectTimeout = connectTimeout;
    this.silence = silence;
    this.requestConfig =
        RequestConfig.copy(requestConfig).setResponseTimeout(Timeout.DISABLED).build();
    this.client =
        HttpAsyncClients.custom()
            .setRoutePlanner(routes)
            .setConnectionManager(
                PoolingAsyncClientConnectionManagerBuilder.create()
                    .setDnsResolver(names)
                    .setTlsStrategy(tls)
                    .setDefaultTlsConfig(
                        TlsConfig.custom().setVersionPolicy(HttpVersionPolicy.NEGOTIATE).build())
                    .setDefaultConnectionConfig(
                        ConnectionConfig.copy(connectionConfig)
                            .setSocketTimeout(Timeout.DISABLED)
                            .build())
                    .setMaxConnPerRoute(maxConnections)
                    .setMaxConnTotal(2 * maxConnections)
                    .build())
            .setIOReactorConfig(
                IOReactorConfig.custom()
                    .setIoThreadCount(Math.min(4, Runtime.getRuntime().availableProcessors()))
                    .setSelectInterval(TimeValue.ofMilliseconds(100))
                    .setTcpNoDelay(true)
                    .build())
            .setHttp1Config(
                Http1Config.custom()
                    .setBufferSize(READ_BYTES)
                    .setMaxHeaderCount(Clients.MAX_HEADER_FIELDS)
                    .setMaxLineLength(Clients.MAX_HEADER_LINE_BYTES)
                    .setInitialWindowSize(WINDOW_BYTES)
                    .build())
            .setH2Config(
                H2Config.custom()
                    .setInitialWindowSize(WINDOW_BYTES)
                    .setMaxHeaderListSize(Clients.MAX_HEADER_LINE_BYTES)
                    .setPushEnabled(false)
                    .build())
            .setDefaultRequestConfig(this.requestConfig)
            .setUserAgent(RemoteReader.USER_AGENT)
            .disableRedirectHandling()
            .disableAutomaticRetries()
            .disableCookieManagement()
            .disableAuthCaching()
            .build();
    client.start();
  }

  /**
   * Sends a request without waiting for the answer.
   *
   * @param context of this exchange alone
   */
  Exchange send(HttpUrl url, HttpRequest request, HttpClientContext context) {
    Exchange exchange = new Exchange(connectTimeout.plus(silence), silence);
    context.setRequestConfig(requestConfig);
    exchange.future =
        client.execute(
            new HttpHost(url.scheme(), url.host(), url.port()),
            new BasicRequestProducer(request, null),
            exchange,
            null,
            context,
            exchange.ended);
    return exchange;
  }

  @Override
  public void close() {
    client.close(CloseMode.IMMEDIATE);
  }

  /**
   * One exchange: the reactor's thread fills a ring of bytes, a blocking thread empties it, and the
   * flow-control window is what the ring has free.
   */
  static final class Exchange implements AsyncResponseConsumer<Void> {
    private final Object lock = new Object();
    private final byte[] ring = new byte[WINDOW_BYTES + READ_BYTES];
    private final Duration headPatience;
    private final Duration silence;
    private int start;
    private int length;
    private int owedCapacity;
    private @Nullable CapacityChannel capacityChannel;
    private @Nullable HttpResponse head;
    private String httpVersion = "HTTP/1.1";
    private boolean complete;
    private @Nullable Exception failure;
    private volatile @Nullable Future<?> future;

    /** Set and called by the reactor's thread. */
    private @Nullable FutureCallback<Void> whenComplete;

    private final FutureCallback<Void> ended =
        new FutureCallback<>() {
          @Override
          public void completed(Void result) {}

          @Override
          public void failed(Exception cause) {
            Exchange.this.failed(cause);
          }

          @Override
          public void cancelled() {
            Exchange.this.failed(new CancellationException());
          }
        };

    private Exchange(Duration headPatience, Duration silence) {
      this.headPatience = headPatience;
      this.silence = silence;
    }

    /** Waits for the header section of the answer. */
    HttpResponse awaitHead() throws IOException {
      long deadlineNanos = System.nanoTime() + headPatience.toNanos();
      synchronized (lock) {
        while (head == null) {
          throwFailure();
          await(deadlineNanos);
        }
        return head;
      }
    }

    String httpVersion() {
      synchronized (lock) {
        return httpVersion;
      }
    }

    void abort() {
      Future<?> running = future;
      if (running != null) {
        running.cancel(true);
      }
      failed(new CancellationException());
    }

    InputStream content() {
      return new Content();
    }

    @Override
    public void consumeResponse(
        HttpResponse response,
        @Nullable EntityDetails entityDetails,
        HttpContext context,
        FutureCallback<Void> resultCallback) {
      synchronized (lock) {
        head = response;
        httpVersion = context.getProtocolVersion().getMajor() >= 2 ? "HTTP/2" : "HTTP/1.1";
        complete = entityDetails == null;
        lock.notifyAll();
      }
      if (entityDetails == null) {
        resultCallback.completed(null);
      } else {
        // Not before the end of the content: the client cancels an exchange whose result is there
        // before it has finished starting it, which an answer on a reused connection can be.
        whenComplete = resultCallback;
      }
    }

    @Override
    public void informationResponse(HttpResponse response, HttpContext context) {}

    @Override
    public void updateCapacity(CapacityChannel channel) throws IOException {
      int increment;
      synchronized (lock) {
        capacityChannel = channel;
        increment = owedCapacity;
        owedCapacity = 0;
      }
      if (increment > 0) {
        channel.update(increment);
      }
    }

    @Override
    public void consume(ByteBuffer source) throws IOException {
      synchronized (lock) {
        if (source.remaining() > ring.length - length) {
          throw new IOException("the server sent more than its window allows");
        }
        while (source.hasRemaining()) {
          int at = (start + length) % ring.length;
          int n = Math.min(source.remaining(), ring.length - at);
          source.get(ring, at, n);
          length += n;
        }
        lock.notifyAll();
      }
    }

    @Override
    public void streamEnd(@Nullable List<? extends Header> trailers) {
      synchronized (lock) {
        complete = true;
        lock.notifyAll();
      }
      FutureCallback<Void> callback = whenComplete;
      if (callback != null) {
        callback.completed(null);
      }
    }

    @Override
    public void failed(Exception cause) {
      synchronized (lock) {
        if (failure == null && !complete) {
          failure = cause;
        }
        lock.notifyAll();
      }
    }

    @Override
    public void releaseResources() {}

    private int take(byte[] target, int offset, int wanted) throws IOException {
      CapacityChannel channel;
      int increment = 0;
      int n;
      long deadlineNanos = System.nanoTime() + silence.toNanos();
      synchronized (lock) {
        while (length == 0) {
          if (complete) {
            return -1;
          }
          throwFailure();
          await(deadlineNanos);
        }
        n = Math.min(Math.min(wanted, length), ring.length - start);
        System.arraycopy(ring, start, target, offset, n);
        start = (start + n) % ring.length;
        length -= n;
        owedCapacity += n;
        channel = capacityChannel;
        if (channel != null && owedCapacity >= WINDOW_BYTES / 4) {
          increment = owedCapacity;
          owedCapacity = 0;
        }
      }
      if (channel != null && increment > 0) {
        try {
          channel.update(increment);
        } catch (IOException | CancelledKeyException e) {
          // The connection is closed, perhaps because all was sent: what was taken is good, and
          // whether more is to come is told by the end of the stream or by its failure.
        }
      }
      return n;
    }

    private void throwFailure() throws IOException {
      if (failure == null) {
        return;
      }
      if (failure instanceof CancellationException) {
        throw new InterruptedIOException("aborted");
      }
      if (failure instanceof SocketTimeoutException) {
        throw new SocketTimeoutException(failure.getMessage());
      }
      throw failure instanceof IOException io ? io : new IOException(failure.getMessage(), failure);
    }

    @SuppressWarnings("WaitNotInLoop") // both callers loop on what they wait for
    private void await(long deadlineNanos) throws InterruptedIOException {
      long leftMillis = (deadlineNanos - System.nanoTime()) / 1_000_000;
      if (leftMillis <= 0) {
        throw new SocketTimeoutException("silent for too long");
      }
      try {
        lock.wait(leftMillis);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new InterruptedIOException("interrupted");
      }
    }

    /** The content as a stream for one blocking reader. */
    private final class Content extends InputStream {
      @Override
      public int read() throws IOException {
        byte[] one = new byte[1];
        return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
      }

      @Override
      public int available() {
        synchronized (lock) {
          return length;
        }
      }

      @Override
      public int read(byte[] target, int offset, int wanted) throws IOException {
        return wanted == 0 ? 0 : take(target, offset, wanted);
      }
    }
  }
}
