package io.anymatix.fetcher.testing;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.BooleanSupplier;
import java.util.function.Predicate;
import javax.net.ssl.SSLContext;
import org.apache.hc.core5.http.EntityDetails;
import org.apache.hc.core5.http.Header;
import org.apache.hc.core5.http.HttpConnection;
import org.apache.hc.core5.http.HttpException;
import org.apache.hc.core5.http.HttpRequest;
import org.apache.hc.core5.http.HttpRequestInterceptor;
import org.apache.hc.core5.http.HttpResponse;
import org.apache.hc.core5.http.Message;
import org.apache.hc.core5.http.ProtocolException;
import org.apache.hc.core5.http.URIScheme;
import org.apache.hc.core5.http.impl.bootstrap.HttpAsyncServer;
import org.apache.hc.core5.http.message.BasicHttpResponse;
import org.apache.hc.core5.http.nio.AsyncEntityProducer;
import org.apache.hc.core5.http.nio.AsyncRequestConsumer;
import org.apache.hc.core5.http.nio.AsyncServerRequestHandler;
import org.apache.hc.core5.http.nio.DataStreamChannel;
import org.apache.hc.core5.http.nio.entity.DiscardingEntityConsumer;
import org.apache.hc.core5.http.nio.support.BasicRequestConsumer;
import org.apache.hc.core5.http.nio.support.BasicResponseProducer;
import org.apache.hc.core5.http.nio.support.BasicServerExchangeHandler;
import org.apache.hc.core5.http.protocol.DefaultHttpProcessor;
import org.apache.hc.core5.http.protocol.HttpContext;
import org.apache.hc.core5.http.protocol.HttpCoreContext;
import org.apache.hc.core5.http2.HttpVersionPolicy;
import org.apache.hc.core5.http2.config.H2Config;
import org.apache.hc.core5.http2.frame.RawFrame;
import org.apache.hc.core5.http2.impl.nio.H2StreamListener;
import org.apache.hc.core5.http2.impl.nio.bootstrap.H2ServerBootstrap;
import org.apache.hc.core5.http2.ssl.H2ServerTlsStrategy;
import org.apache.hc.core5.io.CloseMode;
import org.apache.hc.core5.reactor.IOReactorConfig;
import org.apache.hc.core5.util.TimeValue;
import org.jspecify.annotations.Nullable;

/**
 * An HTTP/2 server over TLS on the loopback address that serves byte ranges of one content at every
 * path, with the faults of {@link Fault} as far as they have a meaning here: a reset ends the
 * stream with RST_STREAM and leaves the connection alone, a close ends the connection with all its
 * streams; what waits before the head, limits rates, or speaks of the framing of HTTP/1.1 is
 * refused. Every request is recorded; its connection is numbered in the order in which connections
 * brought their first request.
 *
 * <p>All methods are safe from any thread. {@link #close} ends the reactor's threads.
 */
public final class Http2RangeServer implements AutoCloseable {
  private static final Duration PATIENCE = Duration.ofSeconds(30);
  private static final int BUFFER_BYTES = 64 * 1024;

  /** Little enough that what counts as sent has all but arrived. */
  private static final int SEND_BUFFER_BYTES = 32 * 1024;

  private final HttpAsyncServer server;
  private final int port;
  private final Content content;
  private final Script script = new Script();
  private final List<Throwable> failures = new CopyOnWriteArrayList<>();

  /** Guards every field below; notified at each change. */
  private final Object lock = new Object();

  private final List<Request> requests = new ArrayList<>();
  private final Map<SocketAddress, Peer> peers = new HashMap<>();
  private int peerCount;
  private int inFlight;
  private int maxInFlight;
  private long bodyBytesSent;
  private int goAwayAfterRequests = Integer.MAX_VALUE;
  private @Nullable String entityTag;

  /** A connection that has brought a request. */
  private static final class Peer {
    private final HttpConnection connection;
    private final int number;
    private int requestCount;

    private Peer(HttpConnection connection, int number) {
      this.connection = connection;
      this.number = number;
    }
  }

  private Http2RangeServer(SSLContext tls, Content content, int maxConcurrentStreams)
      throws InterruptedException {
    this.content = content;
    this.server =
        H2ServerBootstrap.bootstrap()
            .setCanonicalHostName("localhost")
            .setVersionPolicy(HttpVersionPolicy.FORCE_HTTP_2)
            .setTlsStrategy(new H2ServerTlsStrategy(tls))
            .setIOReactorConfig(
                IOReactorConfig.custom()
                    .setIoThreadCount(2)
                    .setTcpNoDelay(true)
                    .setSndBufSize(SEND_BUFFER_BYTES)
                    .build())
            .setH2Config(
                H2Config.custom()
                    .setMaxConcurrentStreams(maxConcurrentStreams)
                    .setPushEnabled(false)
                    .build())
            .setHttpProcessor(new DefaultHttpProcessor(new HttpRequestInterceptor[0]))
            .setStreamListener(new ConnectionWatch())
            .setRequestRouter(
                (request, context) -> () -> new BasicServerExchangeHandler<>(new Handler()))
            .create();
    server.start();
    try {
      InetSocketAddress address =
          (InetSocketAddress)
              server
                  .listen(new InetSocketAddress(ByteRangeServer.LOOPBACK, 0), URIScheme.HTTPS)
                  .get(PATIENCE.toSeconds(), TimeUnit.SECONDS)
                  .getAddress();
      this.port = address.getPort();
    } catch (ExecutionException | TimeoutException e) {
      server.close(CloseMode.IMMEDIATE);
      throw new IllegalStateException("no port of the loopback address can be listened on", e);
    }
  }

  /** Starts a server that lets a client have 100 streams a connection. */
  public static Http2RangeServer start(SSLContext tls, Content content)
      throws InterruptedException {
    return start(tls, content, 100);
  }

  /**
   * Starts a server that announces this SETTINGS_MAX_CONCURRENT_STREAMS (RFC 9113 section 6.5.2).
   */
  public static Http2RangeServer start(SSLContext tls, Content content, int maxConcurrentStreams)
      throws InterruptedException {
    return new Http2RangeServer(tls, content, maxConcurrentStreams);
  }

  public int port() {
    return port;
  }

  /** The address of a path here: {@code https://127.0.0.1:port/path}. */
  public String url(String path) {
    return "https://127.0.0.1:" + port + path;
  }

  /** A value for {@code --connect-to} that brings every host and port here. */
  public String connectTo() {
    return "::127.0.0.1:" + port;
  }

  /** Departs from the norm in every answer. */
  public Http2RangeServer with(Fault... faults) {
    return when(request -> true, faults);
  }

  /** Departs from the norm in the answers to requests that the selector picks. */
  public Http2RangeServer when(Predicate<Request> selector, Fault... faults) {
    script.add(selector, faults);
    return this;
  }

  /** Sends this entity tag as it stands, quotes included; none without this call. */
  public Http2RangeServer entityTag(String tag) {
    synchronized (lock) {
      entityTag = tag;
    }
    return this;
  }

  /**
   * Sends GOAWAY on each connection that has brought this many requests. They are answered; what
   * the client sends there afterwards is not (RFC 9113 section 6.8).
   */
  public Http2RangeServer goAwayAfterRequests(int count) {
    synchronized (lock) {
      goAwayAfterRequests = count;
    }
    return this;
  }

  /** All requests so far in order of arrival. */
  public List<Request> requests() {
    synchronized (lock) {
      return List.copyOf(requests);
    }
  }

  /** How many connections have brought a request. */
  public int connections() {
    synchronized (lock) {
      return peerCount;
    }
  }

  /** Streams whose response is not complete. */
  public int requestsInFlight() {
    synchronized (lock) {
      return inFlight;
    }
  }

  /** The highest number of streams that were in flight at one moment, over all connections. */
  public int maxConcurrentRequests() {
    synchronized (lock) {
      return maxInFlight;
    }
  }

  /** Bytes of response bodies handed to the connections so far. */
  public long bytesSent() {
    synchronized (lock) {
      return bodyBytesSent;
    }
  }

  /**
   * Waits until {@code count} requests have come in all.
   *
   * @throws AssertionError if that takes more than 30 seconds
   */
  public void awaitRequests(int count) throws InterruptedException {
    await(count + " requests", () -> requests.size() >= count);
  }

  /**
   * Waits until no stream is in flight.
   *
   * @throws AssertionError if that takes more than 30 seconds
   */
  public void awaitNoRequestInFlight() throws InterruptedException {
    await("the end of all streams", () -> inFlight == 0);
  }

  private void await(String what, BooleanSupplier condition) throws InterruptedException {
    long end = System.nanoTime() + PATIENCE.toNanos();
    synchronized (lock) {
      while (!condition.getAsBoolean()) {
        long leftMillis = TimeUnit.NANOSECONDS.toMillis(end - System.nanoTime());
        if (leftMillis <= 0) {
          throw new AssertionError("waited in vain for " + what + "; requests: " + requests);
        }
        lock.wait(leftMillis);
      }
    }
  }

  /**
   * Ends all connections and threads at once.
   *
   * @throws AssertionError if the server itself failed on a request
   */
  @Override
  public void close() {
    server.close(CloseMode.IMMEDIATE);
    try {
      server.awaitShutdown(TimeValue.ofSeconds(PATIENCE.toSeconds()));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    if (!failures.isEmpty()) {
      AssertionError error = new AssertionError("the test server itself failed: " + failures);
      failures.forEach(error::addSuppressed);
      failures.clear();
      throw error;
    }
  }

  private Request arrived(HttpRequest message, HttpContext context) throws IOException {
    SocketAddress address = addressOf(context);
    List<Map.Entry<String, String>> headers = new ArrayList<>();
    if (message.getAuthority() != null) {
      headers.add(Map.entry("Host", message.getAuthority().toString()));
    }
    for (Header header : message.getHeaders()) {
      headers.add(Map.entry(header.getName(), header.getValue()));
    }
    synchronized (lock) {
      Peer peer = peers.get(address);
      if (peer == null) {
        throw new IllegalStateException("a request came from nowhere: " + address);
      }
      Request request =
          new Request(
              message.getMethod(),
              message.getPath(),
              headers,
              new byte[0],
              peer.number,
              ++peer.requestCount,
              openConnections(),
              null);
      inFlight++;
      maxInFlight = Math.max(maxInFlight, inFlight);
      request.arrived(requests.size() + 1, inFlight);
      requests.add(request);
      if (peer.requestCount == goAwayAfterRequests) {
        // Without a mode, which would end the streams too: this one only queues a GOAWAY.
        peer.connection.close();
      }
      lock.notifyAll();
      return request;
    }
  }

  private static SocketAddress addressOf(HttpContext context) {
    return HttpCoreContext.cast(context).getEndpointDetails().getRemoteAddress();
  }

  private HttpConnection connectionOf(HttpContext context) {
    synchronized (lock) {
      return Objects.requireNonNull(peers.get(addressOf(context))).connection;
    }
  }

  private int openConnections() {
    return (int) peers.values().stream().filter(peer -> peer.connection.isOpen()).count();
  }

  private Answer plan(Request request) {
    Answer answer = new Answer(request, content);
    synchronized (lock) {
      answer.entityTag = entityTag;
    }
    script.applyTo(answer);
    if (!answer.waits().isEmpty()
        || !answer.pipes().isEmpty()
        || answer.framing != Answer.Framing.LENGTH
        || answer.cutBeforeHead != null
        || answer.announcesClose
        || answer.closesSilently) {
      throw new IllegalStateException("a fault has no meaning in HTTP/2 here");
    }
    answer.prepare();
    return answer;
  }

  /** Learns which connection a request is about to come from. */
  private final class ConnectionWatch implements H2StreamListener {
    @Override
    public void onHeaderInput(
        HttpConnection connection, int streamId, List<? extends Header> headers) {
      synchronized (lock) {
        Peer known = peers.get(connection.getRemoteAddress());
        if (known == null || known.connection != connection) {
          peers.put(connection.getRemoteAddress(), new Peer(connection, ++peerCount));
        }
      }
    }

    @Override
    public void onHeaderOutput(
        HttpConnection connection, int streamId, List<? extends Header> headers) {}

    @Override
    public void onFrameInput(HttpConnection connection, int streamId, RawFrame frame) {}

    @Override
    public void onFrameOutput(HttpConnection connection, int streamId, RawFrame frame) {}

    @Override
    public void onInputFlowControl(
        HttpConnection connection, int streamId, int delta, int actualSize) {}

    @Override
    public void onOutputFlowControl(
        HttpConnection connection, int streamId, int delta, int actualSize) {}
  }

  private final class Handler implements AsyncServerRequestHandler<Message<HttpRequest, Void>> {
    @Override
    public AsyncRequestConsumer<Message<HttpRequest, Void>> prepare(
        HttpRequest request, @Nullable EntityDetails entity, HttpContext context) {
      return new BasicRequestConsumer<>(new DiscardingEntityConsumer<>());
    }

    @Override
    public void handle(
        Message<HttpRequest, Void> message, ResponseTrigger trigger, HttpContext context)
        throws HttpException, IOException {
      @Nullable Flight flight = null;
      try {
        Request request = arrived(message.getHead(), context);
        flight = new Flight(request, connectionOf(context));
        Answer answer = plan(request);
        HttpResponse response = new BasicHttpResponse(answer.status());
        for (Reply.Field field : answer.fields()) {
          response.addHeader(field.name().toLowerCase(Locale.ROOT), field.value());
        }
        request.statusSent(answer.status());
        boolean hasBody = answer.body().lengthBytes() > 0 || !answer.eventsUpTo(0).isEmpty();
        if (!hasBody) {
          flight.end();
        }
        trigger.submitResponse(
            new BasicResponseProducer(response, hasBody ? new Body(answer, flight) : null),
            context);
      } catch (RuntimeException e) {
        failures.add(e);
        if (flight != null) {
          flight.end();
        }
        throw e;
      }
    }
  }

  /** A stream from its request to the end of its response. */
  private final class Flight {
    private final Request request;
    private final HttpConnection connection;
    private boolean over;

    private Flight(Request request, HttpConnection connection) {
      this.request = request;
      this.connection = connection;
    }

    private void sent(Answer answer, int count, long inAll) {
      answer.meter().accept(count);
      request.bodySent(inAll);
      synchronized (lock) {
        bodyBytesSent += count;
        lock.notifyAll();
      }
    }

    private void end() {
      synchronized (lock) {
        if (!over) {
          over = true;
          inFlight--;
          request.finish();
          lock.notifyAll();
        }
      }
    }
  }

  /** Writes a body as the peer's windows allow; used by the reactor's thread of its connection. */
  private static final class Body implements AsyncEntityProducer {
    private final Answer answer;
    private final Flight flight;
    private final Content content;
    private final long end;
    private final Deque<Answer.Positioned> events;
    private @Nullable Gate frozenAt;
    private final ByteBuffer buffer = ByteBuffer.allocate(BUFFER_BYTES).limit(0);
    private long buffered;
    private long sent;
    private boolean headSent;

    private Body(Answer answer, Flight flight) {
      this.answer = answer;
      this.flight = flight;
      this.content = answer.body();
      this.end = content.lengthBytes();
      this.events = new ArrayDeque<>(answer.eventsUpTo(end));
    }

    @Override
    public void produce(DataStreamChannel channel) throws IOException {
      if (!headSent) {
        // The first call comes from within the sending of the head, where a failure would take the
        // whole connection with it.
        headSent = true;
        channel.requestOutput();
        return;
      }
      if (frozenAt != null && !frozenAt.isOpen()) {
        return; // the peer's windows have grown; it does not matter
      }
      while (true) {
        long next = events.isEmpty() ? end : events.getFirst().bodyBytes();
        if (sent == next) {
          if (events.isEmpty()) {
            break;
          }
          if (!befall(events.removeFirst().event(), channel)) {
            return;
          }
          continue;
        }
        if (!buffer.hasRemaining()) {
          int count = (int) Math.min(BUFFER_BYTES, next - buffered);
          content.read(buffered, buffer.array(), 0, count);
          buffer.position(0).limit(count);
          buffered += count;
        }
        int before = buffer.remaining();
        channel.write(buffer);
        int count = before - buffer.remaining();
        if (count == 0) {
          return;
        }
        sent += count;
        flight.sent(answer, count, sent);
      }
      flight.end();
      channel.endStream();
    }

    /** Lets something happen in the middle; returns whether the body goes on at once. */
    private boolean befall(Answer.BodyEvent event, DataStreamChannel channel) throws IOException {
      if (event instanceof Answer.Freeze freeze) {
        frozenAt = freeze.gate();
        freeze.gate().arrive(channel::requestOutput);
        return freeze.gate().isOpen();
      }
      flight.end();
      if (event == Answer.Cut.CLOSE) {
        flight.connection.close(CloseMode.IMMEDIATE);
        return false;
      }
      throw Body.<RuntimeException>unchecked(new ProtocolException("a scripted reset"));
    }

    /**
     * HttpCore answers a ProtocolException from here with RST_STREAM of that stream alone, but the
     * method it calls may not declare one.
     */
    @SuppressWarnings({"unchecked", "TypeParameterUnusedInFormals"})
    private static <E extends Exception> E unchecked(Exception exception) throws E {
      throw (E) exception;
    }

    @Override
    public int available() {
      return (int) Math.min(Integer.MAX_VALUE, Math.max(1, end - sent));
    }

    @Override
    public boolean isRepeatable() {
      return false;
    }

    @Override
    public void failed(Exception cause) {
      flight.end();
    }

    @Override
    public void releaseResources() {
      flight.end();
    }

    @Override
    public long getContentLength() {
      return -1;
    }

    @Override
    public @Nullable String getContentType() {
      return null;
    }

    @Override
    public @Nullable String getContentEncoding() {
      return null;
    }

    @Override
    public boolean isChunked() {
      return false;
    }

    @Override
    public Set<String> getTrailerNames() {
      return Set.of();
    }
  }
}
