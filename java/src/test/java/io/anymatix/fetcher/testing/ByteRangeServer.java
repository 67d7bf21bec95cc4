package io.anymatix.fetcher.testing;

import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.BooleanSupplier;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.function.Supplier;
import javax.net.ssl.ExtendedSSLSession;
import javax.net.ssl.SNIHostName;
import javax.net.ssl.SNIServerName;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import org.jspecify.annotations.Nullable;

/**
 * An HTTP/1.1 server on the loopback address that serves byte ranges, and misbehaves exactly as
 * scripted: see {@link Fault}. Every request is recorded.
 *
 * <pre>{@code
 * try (ByteRangeServer server = ByteRangeServer.start()) {
 *   server.serve("/m.safetensors", Content.random(1, 256 * MIB))
 *       .when(Request.first(2), Fault.ignoresRanges())
 *       .when(Request.onConnection(3), Fault.resetsAfter(1000));
 *   fetch(server.url("/m.safetensors"));
 *   assertEquals(8, server.maxConcurrentRequests());
 * }
 * }</pre>
 *
 * <p>Resources may belong to a host name (that of the Host field) or to any. Without a resource the
 * answer is 404. Connections are kept alive; pipelined requests are answered one after the other.
 *
 * <p>A request counts as in flight from its arrival until just before the last byte of its response
 * is handed to the network: a client that waits for one answer before it asks again is never
 * counted twice.
 *
 * <p>All methods are safe from any thread. One thread accepts, one serves each connection; {@link
 * #close} ends them all.
 */
public final class ByteRangeServer implements AutoCloseable {
  private static final Duration PATIENCE = Duration.ofSeconds(30);
  static final InetAddress LOOPBACK = ipv4Loopback();
  private static final int BUFFER_BYTES = 256 * 1024;
  private static final int MAX_HEAD_BYTES = 64 * 1024;
  private static final int MAX_REQUEST_BODY_BYTES = 16 * 1024 * 1024;
  private static final long GLANCE_NANOS = 20_000_000;

  private final ServerSocket listener;
  private final @Nullable SSLContext tls;
  private final Thread acceptor;
  private final List<Throwable> failures = new CopyOnWriteArrayList<>();

  /** Guards every field below; {@code changed} is signalled after each change a test may await. */
  private final ReentrantLock lock = new ReentrantLock();

  private final Condition changed = lock.newCondition();
  private final Map<String, Resource> resources = new HashMap<>();
  private final List<Request> requests = new ArrayList<>();
  private final Set<Connection> connections = new LinkedHashSet<>();
  private int connectionsAccepted;
  private int maxConnections;
  private int inFlight;
  private int maxInFlight;
  private long bodyBytesSent;

  private volatile boolean closed;
  private volatile @Nullable Pipe sharedPipe;
  private volatile long bytesPerSecondOfConnection;
  private volatile Duration pauseOnConnect = Duration.ZERO;
  private volatile int sendBufferBytes;

  private ByteRangeServer(@Nullable SSLContext tls) throws IOException {
    this.tls = tls;
    this.listener = new ServerSocket();
    listener.bind(new InetSocketAddress(LOOPBACK, 0), 1024);
    this.acceptor = new Thread(this::accept, "byte-range-server-" + port());
    acceptor.setDaemon(true);
  }

  /** Starts a server without TLS on a free port of 127.0.0.1. */
  public static ByteRangeServer start() {
    return start(null);
  }

  /** Starts a server with TLS on a free port of 127.0.0.1; ALPN offers {@code http/1.1} only. */
  public static ByteRangeServer startTls(SSLContext context) {
    return start(context);
  }

  private static ByteRangeServer start(@Nullable SSLContext tls) {
    try {
      ByteRangeServer server = new ByteRangeServer(tls);
      server.acceptor.start();
      return server;
    } catch (IOException e) {
      throw new UncheckedIOException("no port of the loopback address can be listened on", e);
    }
  }

  public int port() {
    return listener.getLocalPort();
  }

  /** The address of a path here: {@code http(s)://127.0.0.1:port/path}. */
  public String url(String path) {
    return url("127.0.0.1", path);
  }

  /** The address of a path here under a host name, which the client has to bring to this port. */
  public String url(String host, String path) {
    return (tls == null ? "http://" : "https://") + host + ":" + port() + path;
  }

  /** A value for {@code --connect-to} that brings every host and port here. */
  public String connectTo() {
    return "::127.0.0.1:" + port();
  }

  /**
   * Serves a content at a path, for hosts that have no resource of their own there. The path is
   * compared as sent, with nothing decoded; with a query it matches that very query only.
   */
  public Resource serve(String path, Content content) {
    return serve("", path, content);
  }

  /** Serves a content at a path of one host, in place of what was served there. */
  public Resource serve(String host, String path, Content content) {
    Resource resource = new Resource(path, content);
    locked(() -> resources.put(host + path, resource));
    return resource;
  }

  /** Answers at a path, whatever the method, with what the function makes of the request. */
  public Resource answer(String path, Function<Request, @Nullable Reply> function) {
    return serve(path, Content.of()).with(Fault.replies(function));
  }

  /** Lets all bodies of all connections share one pipe of this rate. */
  public void limitRate(long bytesPerSecond) {
    sharedPipe = new Pipe(bytesPerSecond);
  }

  /** Limits the bodies of each connection accepted from now on to this rate. */
  public void limitRatePerConnection(long bytesPerSecond) {
    bytesPerSecondOfConnection = bytesPerSecond;
  }

  /**
   * Lets the system hold about this much that the client's has not acknowledged, on each connection
   * accepted from now on: what counts as sent has then all but arrived.
   */
  public void limitSendBuffer(int bytes) {
    sendBufferBytes = bytes;
  }

  /** Lets each new connection wait before the server reads (with TLS: shakes hands) on it. */
  public void pauseOnConnect(Duration duration) {
    pauseOnConnect = duration;
  }

  /** All requests so far in order of arrival, also those for which there was no resource. */
  public List<Request> requests() {
    return locked(() -> List.copyOf(requests));
  }

  /** The requests so far for one path (without query), of all hosts. */
  public List<Request> requests(String path) {
    return requests().stream().filter(request -> request.path().equals(path)).toList();
  }

  /** The highest number of requests that were in flight at one moment. */
  public int maxConcurrentRequests() {
    return locked(() -> maxInFlight);
  }

  public int requestsInFlight() {
    return locked(() -> inFlight);
  }

  public int connectionsAccepted() {
    return locked(() -> connectionsAccepted);
  }

  public int openConnections() {
    return locked(connections::size);
  }

  /** The highest number of connections that were open at one moment. */
  public int maxOpenConnections() {
    return locked(() -> maxConnections);
  }

  /** Bytes of response bodies handed to the network so far, without chunk framing. */
  public long bytesSent() {
    return locked(() -> bodyBytesSent);
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
   * Waits until {@code count} bytes of bodies have been sent in all.
   *
   * @throws AssertionError if that takes more than 30 seconds
   */
  public void awaitBytesSent(long count) throws InterruptedException {
    await(count + " body bytes", () -> bodyBytesSent >= count);
  }

  /**
   * Waits until no request is in flight and no connection is open.
   *
   * @throws AssertionError if that takes more than 30 seconds
   */
  public void awaitNoConnections() throws InterruptedException {
    await("the end of all connections", connections::isEmpty);
  }

  /**
   * Waits until no request is in flight; idle connections may stay open.
   *
   * @throws AssertionError if that takes more than 30 seconds
   */
  public void awaitNoRequestInFlight() throws InterruptedException {
    await("the end of all requests", () -> inFlight == 0);
  }

  /**
   * Waits until {@code count} requests have been in flight at one moment.
   *
   * @throws AssertionError if that takes more than 30 seconds
   */
  public void awaitConcurrentRequests(int count) throws InterruptedException {
    await(count + " requests at once", () -> maxInFlight >= count);
  }

  private void await(String what, BooleanSupplier condition) throws InterruptedException {
    long left = PATIENCE.toNanos();
    lock.lock();
    try {
      while (!condition.getAsBoolean()) {
        if (left <= 0) {
          throw new AssertionError(
              "waited in vain for "
                  + what
                  + "; there were "
                  + requests.size()
                  + " requests and "
                  + bodyBytesSent
                  + " body bytes over "
                  + connections.size()
                  + " open connections");
        }
        left = changed.awaitNanos(left);
      }
    } finally {
      lock.unlock();
    }
  }

  /**
   * Ends all connections and threads at once.
   *
   * @throws AssertionError if the server itself failed on a request, for instance in a function
   *     that the test gave it, or a thread does not end
   */
  @Override
  public void close() {
    closed = true;
    closeQuietly(listener);
    try {
      // First, since what it has accepted by then is to end as well.
      acceptor.join(PATIENCE.toMillis());
      Collection<Connection> open = locked(() -> List.copyOf(connections));
      open.forEach(Connection::abort);
      for (Connection connection : open) {
        connection.thread.join(PATIENCE.toMillis());
        if (connection.thread.isAlive()) {
          failures.add(new AssertionError(connection.thread.getName() + " does not end"));
        }
      }
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

  private void accept() {
    while (!closed) {
      try {
        Socket socket = listener.accept();
        lock.lock();
        try {
          Connection connection = new Connection(socket, ++connectionsAccepted);
          connections.add(connection);
          maxConnections = Math.max(maxConnections, connections.size());
          changed.signalAll();
          if (closed) {
            connection.abort();
          }
          connection.thread.start();
        } finally {
          lock.unlock();
        }
      } catch (IOException e) {
        if (!closed) {
          failures.add(e);
        }
        return;
      }
    }
  }

  private @Nullable Resource find(Request request) {
    for (String host : List.of(request.host(), "")) {
      for (String path : List.of(request.target(), request.path())) {
        Resource resource = resources.get(host + path);
        if (resource != null) {
          return resource;
        }
      }
      Resource inPath = resources.get(host + RangeRequest.withoutRange(request.path()));
      if (inPath != null && inPath.rangesInPath) {
        return inPath;
      }
    }
    return null;
  }

  private <T> T locked(Supplier<T> action) {
    lock.lock();
    try {
      return action.get();
    } finally {
      lock.unlock();
    }
  }

  private static InetAddress ipv4Loopback() {
    try {
      return InetAddress.getByAddress(new byte[] {127, 0, 0, 1});
    } catch (UnknownHostException e) {
      throw new AssertionError("four bytes are an address", e);
    }
  }

  private static void closeQuietly(AutoCloseable closeable) {
    try {
      closeable.close();
    } catch (Exception e) {
      // There is nobody left to tell.
    }
  }

  /** A content at a path, with its script. Safe from any thread, also while requests come in. */
  public final class Resource {
    private final String path;
    private final Script script = new Script();
    private volatile Content content;
    private volatile @Nullable String entityTag;
    private volatile @Nullable String lastModified;
    private volatile boolean rangesInPath;
    private volatile @Nullable Resource twin;
    private int requestCount;
    private int inFlight;
    private int maxInFlight;

    private Resource(String path, Content content) {
      this.path = path;
      this.content = content;
    }

    /** Departs from the norm in every answer. */
    public Resource with(Fault... faults) {
      return when(request -> true, faults);
    }

    /** Departs from the norm in the answers to requests that the selector picks. */
    public Resource when(Predicate<Request> selector, Fault... faults) {
      script.add(selector, faults);
      if (twin != null) {
        twin.when(selector, faults);
      }
      return this;
    }

    /** Lets another resource follow this script, and have this entity tag, from now on. */
    public Resource twin(Resource other) {
      twin = other;
      return this;
    }

    /** Sends this entity tag as it stands, quotes included; none without this call. */
    public Resource entityTag(String tag) {
      entityTag = tag;
      if (twin != null) {
        twin.entityTag(tag);
      }
      return this;
    }

    /** Sends this Last-Modified as it stands; none without this call. */
    public Resource lastModified(String date) {
      lastModified = date;
      return this;
    }

    /**
     * Takes ranges as a suffix of the path, {@code /first-last}, and answers them with 200, as if
     * each were a file of its own.
     */
    public Resource rangesInPath() {
      rangesInPath = true;
      return this;
    }

    /** Serves another content from the next request on. */
    public Resource replaceContent(Content replacement) {
      content = replacement;
      return this;
    }

    /** The address of this resource at 127.0.0.1. */
    public String url() {
      return ByteRangeServer.this.url(path);
    }

    /** The highest number of requests for this resource that were in flight at one moment. */
    public int maxConcurrentRequests() {
      return locked(() -> maxInFlight);
    }

    private Answer plan(Request request) {
      Answer answer = new Answer(request, content);
      answer.entityTag = entityTag;
      answer.lastModified = lastModified;
      answer.rangesInPath = rangesInPath;
      script.applyTo(answer);
      return answer;
    }
  }

  /** A request from its arrival to its end; used by the thread of its connection. */
  private final class Flight {
    private final Request request;
    private final @Nullable Resource resource;
    private boolean over;

    private Flight(Request request, @Nullable Resource resource) {
      this.request = request;
      this.resource = resource;
    }

    private void end() {
      if (over) {
        return;
      }
      over = true;
      lock.lock();
      try {
        request.finish();
        inFlight--;
        if (resource != null) {
          resource.inFlight--;
        }
        changed.signalAll();
      } finally {
        lock.unlock();
      }
    }
  }

  /** Thrown to end a connection whose client has left, or at the end of the server. */
  private static final class Gone extends IOException {
    private static final long serialVersionUID = 1;
  }

  /** One accepted connection and the thread that serves it. */
  private final class Connection {
    private final Socket rawSocket;
    private final int number;
    private final Thread thread;
    private final @Nullable Pipe pipe;
    private Socket socket;
    private InputStream in = InputStream.nullInputStream();
    private OutputStream out = OutputStream.nullOutputStream();
    private boolean opened;
    private @Nullable String serverName;
    private byte @Nullable [] buffer;

    private Connection(Socket rawSocket, int number) {
      this.rawSocket = rawSocket;
      this.socket = rawSocket;
      this.number = number;
      long rate = bytesPerSecondOfConnection;
      this.pipe = rate > 0 ? new Pipe(rate) : null;
      this.thread = new Thread(this::serve, "byte-range-server-" + port() + "-" + number);
      thread.setDaemon(true);
    }

    private void serve() {
      try {
        rawSocket.setTcpNoDelay(true);
        if (sendBufferBytes > 0) {
          rawSocket.setSendBufferSize(sendBufferBytes);
        }
        await(new Answer.Wait(null, pauseOnConnect));
        open();
        int count = 0;
        while (!closed) {
          Request request = readRequest(++count);
          if (request == null || !answer(request)) {
            break;
          }
        }
        closeOrderly();
      } catch (IOException e) {
        // The client has gone or the server is closing: both are part of the game.
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      } catch (RuntimeException | Error e) {
        failures.add(e);
      } finally {
        abort();
        left();
      }
    }

    private void open() throws IOException {
      if (tls != null) {
        SSLSocket secure =
            (SSLSocket) tls.getSocketFactory().createSocket(rawSocket, (InputStream) null, true);
        SSLParameters parameters = secure.getSSLParameters();
        parameters.setApplicationProtocols(new String[] {"http/1.1"});
        secure.setSSLParameters(parameters);
        secure.startHandshake();
        for (SNIServerName name :
            ((ExtendedSSLSession) secure.getSession()).getRequestedServerNames()) {
          if (name instanceof SNIHostName hostName) {
            serverName = hostName.getAsciiName();
          }
        }
        socket = secure;
      }
      in = new BufferedInputStream(socket.getInputStream(), 8192);
      out = socket.getOutputStream();
      opened = true;
    }

    /** Null at an orderly end of the connection. */
    private @Nullable Request readRequest(int count) throws IOException {
      ByteArrayOutputStream bytes = new ByteArrayOutputStream(512);
      String head = "";
      do {
        int next = in.read();
        if (next < 0) {
          if (bytes.size() == 0) {
            return null;
          }
          throw new Gone();
        }
        bytes.write(next);
        if (next == '\n') {
          head = bytes.toString(StandardCharsets.ISO_8859_1);
        }
      } while (!head.endsWith("\r\n\r\n") && bytes.size() < MAX_HEAD_BYTES);
      if (!head.endsWith("\r\n\r\n")) {
        throw new IllegalStateException("the client sent a head of more than 64 KiB");
      }
      String[] lines = head.split("\r\n", -1);
      String[] requestLine = lines[0].split(" ", -1);
      if (requestLine.length != 3 || !requestLine[2].startsWith("HTTP/1.")) {
        throw new IllegalStateException("the client sent no request line but: " + lines[0]);
      }
      List<Map.Entry<String, String>> headers = new ArrayList<>();
      for (int i = 1; i < lines.length - 2; i++) {
        int colon = lines[i].indexOf(':');
        if (colon <= 0) {
          throw new IllegalStateException("the client sent no header field but: " + lines[i]);
        }
        headers.add(Map.entry(lines[i].substring(0, colon), lines[i].substring(colon + 1).strip()));
      }
      return new Request(
          requestLine[0],
          requestLine[1],
          headers,
          readBody(headers),
          number,
          count,
          openConnections(),
          serverName);
    }

    private byte[] readBody(List<Map.Entry<String, String>> headers) throws IOException {
      for (Map.Entry<String, String> field : headers) {
        if (field.getKey().equalsIgnoreCase("Transfer-Encoding")) {
          throw new IllegalStateException("requests in chunks are not understood here");
        }
        if (field.getKey().equalsIgnoreCase("Content-Length")) {
          int length = Integer.parseInt(field.getValue());
          if (length > MAX_REQUEST_BODY_BYTES) {
            throw new IllegalStateException("a request body of " + length + " bytes is too long");
          }
          byte[] body = in.readNBytes(length);
          if (body.length < length) {
            throw new Gone();
          }
          return body;
        }
      }
      return new byte[0];
    }

    /** Sends the response; false if the connection ends behind it. */
    private boolean answer(Request request) throws IOException, InterruptedException {
      Resource resource = arrived(request);
      Flight flight = new Flight(request, resource);
      try {
        Answer answer;
        if (resource == null) {
          answer = new Answer(request, Content.of());
          answer.replyWith(Reply.status(404).reason("Not Found"));
        } else {
          answer = resource.plan(request);
        }
        for (Answer.Wait wait : answer.waits()) {
          await(wait);
        }
        if (answer.cutBeforeHead != null) {
          flight.end();
          cut(answer.cutBeforeHead);
        }
        answer.prepare();
        send(answer, flight);
        return !answer.closesConnection();
      } finally {
        flight.end();
      }
    }

    private void send(Answer answer, Flight flight) throws IOException, InterruptedException {
      Content body = answer.body();
      long length = body.lengthBytes();
      List<Answer.Positioned> events = answer.eventsUpTo(length);
      boolean chunked =
          answer.framing == Answer.Framing.CHUNKED && !answer.request().method().equals("HEAD");
      List<Pipe> pipes = new ArrayList<>(answer.pipes());
      Pipe shared = sharedPipe;
      for (Pipe more : new Pipe[] {pipe, shared}) {
        if (more != null) {
          pipes.add(more);
        }
      }
      int step = pipes.stream().mapToInt(Pipe::stepBytes).min().orElse(BUFFER_BYTES);

      answer.request().statusSent(answer.status());
      if (length == 0 && !chunked && events.isEmpty()) {
        flight.end();
      }
      out.write(answer.head());
      int nextEvent = 0;
      for (long sent = 0; ; ) {
        while (nextEvent < events.size() && events.get(nextEvent).bodyBytes() <= sent) {
          happen(events.get(nextEvent).event(), flight);
          nextEvent++;
        }
        if (sent == length) {
          break;
        }
        long until = nextEvent < events.size() ? events.get(nextEvent).bodyBytes() : length;
        int count = (int) Math.min(step, until - sent);
        byte[] bytes = buffer(count);
        body.read(sent, bytes, 0, count);
        waitForPipes(pipes, count);
        sent += count;
        if (sent == length && nextEvent == events.size() && !chunked) {
          sentBody(answer, sent, count);
          flight.end();
          write(bytes, count, false);
        } else {
          write(bytes, count, chunked);
          sentBody(answer, sent, count);
        }
      }
      if (chunked) {
        flight.end();
        out.write("0\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
      }
    }

    private void write(byte[] bytes, int count, boolean chunked) throws IOException {
      if (chunked) {
        out.write((Integer.toHexString(count) + "\r\n").getBytes(StandardCharsets.US_ASCII));
      }
      out.write(bytes, 0, count);
      if (chunked) {
        out.write("\r\n".getBytes(StandardCharsets.US_ASCII));
      }
    }

    private byte[] buffer(int count) {
      byte[] present = buffer;
      if (present == null || present.length < count) {
        present = new byte[Math.max(count, Math.min(BUFFER_BYTES, 2 * count))];
        buffer = present;
      }
      return present;
    }

    private void happen(Answer.BodyEvent event, Flight flight)
        throws IOException, InterruptedException {
      if (event instanceof Answer.Freeze freeze) {
        await(new Answer.Wait(freeze.gate(), Duration.ZERO));
      } else {
        flight.end();
        cut((Answer.Cut) event);
      }
    }

    /** Ends the connection; never returns. */
    private void cut(Answer.Cut how) throws IOException {
      left();
      if (how == Answer.Cut.RESET) {
        awaitDelivery();
        rawSocket.setSoLinger(true, 0);
        rawSocket.close();
      } else {
        closeOrderly();
      }
      throw new Gone();
    }

    private void closeOrderly() throws IOException {
      left();
      if (!socket.isClosed()) {
        // SSLSocket.close may wait for the peer; this sends the alert and goes on.
        socket.shutdownOutput();
        rawSocket.close();
      }
    }

    /**
     * Waits until the peer's system has acknowledged all that was written, since a reset throws
     * away what still waits here. Only Linux tells; elsewhere, and after two seconds, it is left to
     * luck.
     */
    private void awaitDelivery() throws IOException {
      long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(2);
      String ports = "%04X".formatted(rawSocket.getLocalPort());
      String peer = "%04X".formatted(rawSocket.getPort());
      while (System.nanoTime() < end && !closed && isSendQueueFilled(ports, peer)) {
        LockSupport.parkNanos(200_000);
      }
    }

    private static boolean isSendQueueFilled(String localPort, String peerPort) throws IOException {
      for (String table : List.of("/proc/net/tcp", "/proc/net/tcp6")) {
        Path file = Path.of(table);
        if (!Files.isReadable(file)) {
          continue;
        }
        for (String line : Files.readAllLines(file)) {
          String[] columns = line.strip().split("\\s+", -1);
          if (columns.length > 4
              && columns[1].endsWith(":" + localPort)
              && columns[2].endsWith(":" + peerPort)) {
            return !columns[4].startsWith("00000000:");
          }
        }
      }
      return false;
    }

    /** Waits at a gate or for a time, but not longer than the client and the server are there. */
    private void await(Answer.Wait wait) throws IOException, InterruptedException {
      Gate gate = wait.gate();
      if (gate != null) {
        gate.arrive();
      }
      long end = System.nanoTime() + wait.duration().toNanos();
      while (true) {
        long nanos = GLANCE_NANOS;
        if (gate == null) {
          nanos = Math.min(nanos, end - System.nanoTime());
          if (nanos <= 0) {
            return;
          }
          LockSupport.parkNanos(nanos);
        } else if (gate.awaitOpen(nanos)) {
          return;
        }
        if (closed || (opened && clientHasLeft())) {
          throw new Gone();
        }
      }
    }

    private boolean clientHasLeft() throws IOException {
      if (in.available() > 0) {
        return false;
      }
      socket.setSoTimeout(1);
      in.mark(1);
      try {
        if (in.read() < 0) {
          return true;
        }
        in.reset();
        return false;
      } catch (SocketTimeoutException e) {
        return false;
      } finally {
        socket.setSoTimeout(0);
      }
    }

    private void waitForPipes(List<Pipe> pipes, int count) throws IOException {
      for (Pipe each : pipes) {
        long end = each.take(count);
        for (long left = end - System.nanoTime(); left > 0; left = end - System.nanoTime()) {
          LockSupport.parkNanos(Math.min(left, GLANCE_NANOS));
          if (closed) {
            throw new Gone();
          }
        }
      }
    }

    private @Nullable Resource arrived(Request request) {
      return locked(
          () -> {
            Resource resource = find(request);
            inFlight++;
            maxInFlight = Math.max(maxInFlight, inFlight);
            if (resource != null) {
              resource.inFlight++;
              resource.maxInFlight = Math.max(resource.maxInFlight, resource.inFlight);
              request.arrived(++resource.requestCount, resource.inFlight);
            }
            requests.add(request);
            changed.signalAll();
            return resource;
          });
    }

    private void sentBody(Answer answer, long sentInAll, int count) {
      answer.request().bodySent(sentInAll);
      answer.meter().accept(count);
      lock.lock();
      try {
        bodyBytesSent += count;
        changed.signalAll();
      } finally {
        lock.unlock();
      }
    }

    /** Takes this connection off the books. */
    private void left() {
      lock.lock();
      try {
        connections.remove(this);
        changed.signalAll();
      } finally {
        lock.unlock();
      }
    }

    private void abort() {
      closeQuietly(rawSocket);
    }
  }
}
