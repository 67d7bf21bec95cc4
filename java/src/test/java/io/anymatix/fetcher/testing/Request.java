package io.anymatix.fetcher.testing;

import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * A request as it came in, and what has been sent on it so far. All numbers count from 1. The
 * static methods are selectors for {@link ByteRangeServer.Resource#when}.
 */
public final class Request {
  private final String method;
  private final String target;
  private final List<Map.Entry<String, String>> headers;
  private final byte[] body;
  private final int connection;
  private final int numberOnConnection;
  private final int openConnections;
  private final @Nullable String serverName;

  private volatile int number;
  private volatile int inFlight;
  private volatile int responseStatus;
  private volatile long responseBodyBytes;
  private volatile boolean finished;

  Request(
      String method,
      String target,
      List<Map.Entry<String, String>> headers,
      byte[] body,
      int connection,
      int numberOnConnection,
      int openConnections,
      @Nullable String serverName) {
    this.method = method;
    this.target = target;
    this.headers = List.copyOf(headers);
    this.body = body;
    this.connection = connection;
    this.numberOnConnection = numberOnConnection;
    this.openConnections = openConnections;
    this.serverName = serverName;
  }

  public String method() {
    return method;
  }

  /** The request target as sent: path and query, nothing decoded. */
  public String target() {
    return target;
  }

  /** The target without its query. */
  public String path() {
    int query = target.indexOf('?');
    return query < 0 ? target : target.substring(0, query);
  }

  /** The Host field in lower case without its port; empty if there was none. */
  public String host() {
    String value = header("Host");
    return value == null ? "" : value.replaceFirst(":\\d*$", "").toLowerCase(Locale.ROOT);
  }

  /** The name that the client gave in the TLS handshake; null without TLS or if it gave none. */
  public @Nullable String serverName() {
    return serverName;
  }

  /** The first field of this name in any case, or null; decoded as ISO-8859-1. */
  public @Nullable String header(String name) {
    for (Map.Entry<String, String> field : headers) {
      if (field.getKey().equalsIgnoreCase(name)) {
        return field.getValue();
      }
    }
    return null;
  }

  /** Whether it asks for more than the first byte: that alone is a look at a file. */
  public boolean isForContent() {
    return !"bytes=0-0".equals(header("Range")) && !path().endsWith("/0-0");
  }

  /**
   * Whether it asks for more than a look at a file: for more than the first byte, and not for the
   * first piece, by which a look asks for a short file whole.
   */
  public boolean isForMore() {
    return isForContent() && !"bytes=0-1048575".equals(header("Range"));
  }

  /** All fields in the order sent, with the names as sent. */
  public List<Map.Entry<String, String>> headers() {
    return headers;
  }

  /** The request's own body, a copy. */
  public byte[] body() {
    return body.clone();
  }

  /** Which request of its resource this is, in order of arrival; 0 if no resource has the path. */
  public int number() {
    return number;
  }

  /** Which connection of the server it came over, in the order in which they were accepted. */
  public int connection() {
    return connection;
  }

  /** Which request of its connection this is. */
  public int numberOnConnection() {
    return numberOnConnection;
  }

  /** How many connections the server had at the arrival, this one included. */
  public int openConnections() {
    return openConnections;
  }

  /** How many requests of its resource were unanswered at the arrival, this one included. */
  public int inFlight() {
    return inFlight;
  }

  /** The status sent, or 0 as long as none was. */
  public int responseStatus() {
    return responseStatus;
  }

  /** Bytes of the response's body handed to the network so far, without chunk framing. */
  public long responseBodyBytes() {
    return responseBodyBytes;
  }

  /** Whether nothing more will be sent, because all was, or the connection has ended. */
  public boolean isFinished() {
    return finished;
  }

  void arrived(int number, int inFlight) {
    this.number = number;
    this.inFlight = inFlight;
  }

  void statusSent(int status) {
    this.responseStatus = status;
  }

  void bodySent(long bytesInAll) {
    this.responseBodyBytes = bytesInAll;
  }

  void finish() {
    this.finished = true;
  }

  @Override
  public String toString() {
    String range = header("Range");
    return method + " " + host() + target + (range == null ? "" : " " + range);
  }

  /** The first {@code count} requests of the resource. */
  public static Predicate<Request> first(int count) {
    return request -> request.number() <= count;
  }

  /** The request of the resource that has this number. */
  public static Predicate<Request> nth(int number) {
    return request -> request.number() == number;
  }

  /** The requests of the resource from this number on. */
  public static Predicate<Request> from(int number) {
    return request -> request.number() >= number;
  }

  /** The requests over the connection of this number. */
  public static Predicate<Request> onConnection(int connection) {
    return request -> request.connection() == connection;
  }

  public static Predicate<Request> withMethod(String method) {
    return request -> request.method().equals(method);
  }

  public static Predicate<Request> withHeader(String name) {
    return request -> request.header(name) != null;
  }

  /** The requests that come while {@code limit} others of the resource are being answered. */
  public static Predicate<Request> aboveInFlight(int limit) {
    return request -> request.inFlight() > limit;
  }

  /** The requests that come while the server has more than {@code limit} connections. */
  public static Predicate<Request> aboveConnections(int limit) {
    return request -> request.openConnections() > limit;
  }
}
