package io.anymatix.fetcher.testing;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import java.io.Closeable;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import javax.net.ssl.SSLContext;
import org.jspecify.annotations.Nullable;

/**
 * A forward proxy on loopback: tunnels by {@code CONNECT}, requests in absolute form, and SOCKS 5,
 * told apart by their first byte. It knows the names it is given and no others, so that what comes
 * through has not been looked up before. Safe from any thread; {@link #close} ends every
 * connection.
 */
public final class ForwardProxy implements AutoCloseable {
  private static final int SOCKS5 = 5;

  private final ServerSocket listener;
  private final Map<String, Integer> ports = new ConcurrentHashMap<>();
  private final List<String> asked = new CopyOnWriteArrayList<>();
  private final List<String> heads = new CopyOnWriteArrayList<>();
  private final Set<Closeable> open = ConcurrentHashMap.newKeySet();
  private volatile @Nullable String authorization;
  private volatile @Nullable String socksPassword;
  private volatile @Nullable String refusal;

  private ForwardProxy(ServerSocket listener) {
    this.listener = listener;
    run(this::accept);
  }

  /** Starts a proxy that is spoken to in plain. */
  public static ForwardProxy start() throws IOException {
    return new ForwardProxy(new ServerSocket(0, 50, InetAddress.getLoopbackAddress()));
  }

  /** Starts a proxy that is spoken to over TLS. */
  public static ForwardProxy startTls(SSLContext context) throws IOException {
    return new ForwardProxy(
        context
            .getServerSocketFactory()
            .createServerSocket(0, 50, InetAddress.getLoopbackAddress()));
  }

  /** Leads a name, at any of its ports, to a port on loopback. */
  public ForwardProxy knows(String host, int port) {
    ports.put(host, port);
    return this;
  }

  /** Wants this value of {@code Proxy-Authorization}; anything else gets a 407. */
  public ForwardProxy wants(String proxyAuthorization) {
    authorization = proxyAuthorization;
    return this;
  }

  /** Wants this user name and password, with a colon between, from SOCKS clients. */
  public ForwardProxy wantsSocks(String userAndPassword) {
    socksPassword = userAndPassword;
    return this;
  }

  /** Answers every request with this status line and content, and reaches nothing. */
  public ForwardProxy refuses(String statusAndReason) {
    refusal = statusAndReason;
    return this;
  }

  public int port() {
    return listener.getLocalPort();
  }

  /** What was asked for: {@code CONNECT host:port}, {@code GET url}, {@code SOCKS host:port}. */
  public List<String> asked() {
    return List.copyOf(asked);
  }

  /** The header sections of all HTTP requests that were made of the proxy itself. */
  public List<String> heads() {
    return List.copyOf(heads);
  }

  private void accept() throws IOException {
    while (!listener.isClosed()) {
      Socket client = listener.accept();
      open.add(client);
      run(() -> serve(client));
    }
  }

  private void serve(Socket client) throws IOException {
    try (client) {
      InputStream in = client.getInputStream();
      int first = in.read();
      if (first == SOCKS5) {
        serveSocks(client, new DataInputStream(in));
      } else if (first >= 0) {
        serveHttp(client, in, first);
      }
    } finally {
      open.remove(client);
    }
  }

  private void serveHttp(Socket client, InputStream in, int first) throws IOException {
    String head = (char) first + head(in);
    heads.add(head);
    String[] line = head.substring(0, head.indexOf('\r')).split(" ", 3);
    asked.add(line[0] + " " + line[1]);
    OutputStream out = client.getOutputStream();
    String wanted = authorization;
    if (wanted != null && !wanted.equals(field(head, "proxy-authorization"))) {
      answer(out, "407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"p\"");
      return;
    }
    String refused = refusal;
    if (refused != null) {
      answer(out, refused);
      return;
    }
    boolean isTunnel = line[0].equals("CONNECT");
    String host = isTunnel ? line[1].substring(0, line[1].lastIndexOf(':')) : hostOf(line[1]);
    Integer port = ports.get(host);
    if (port == null) {
      answer(out, "502 Bad Gateway");
      return;
    }
    try (Socket server = connect(port)) {
      if (isTunnel) {
        out.write("HTTP/1.1 200 Connection established\r\n\r\n".getBytes(ISO_8859_1));
      } else {
        String path = line[1].substring(line[1].indexOf('/', "http://".length()));
        String rest = head.substring(head.indexOf('\r'));
        server
            .getOutputStream()
            .write(
                (line[0] + " " + path + " HTTP/1.1" + rest)
                    .replaceAll("(?i)\r\nproxy-[^\r]*", "")
                    .replaceAll("(?i)\r\nconnection:[^\r]*", "\r\nConnection: close")
                    .getBytes(ISO_8859_1));
      }
      pipe(client, server);
    }
  }

  private void serveSocks(Socket client, DataInputStream in) throws IOException {
    OutputStream out = client.getOutputStream();
    in.skipNBytes(in.readUnsignedByte());
    String wanted = socksPassword;
    out.write(new byte[] {SOCKS5, (byte) (wanted == null ? 0 : 2)});
    if (wanted != null) {
      in.readByte();
      String user = new String(in.readNBytes(in.readUnsignedByte()), ISO_8859_1);
      String password = new String(in.readNBytes(in.readUnsignedByte()), ISO_8859_1);
      boolean right = wanted.equals(user + ":" + password);
      out.write(new byte[] {1, (byte) (right ? 0 : 1)});
      if (!right) {
        return;
      }
    }
    in.skipNBytes(3);
    int type = in.readUnsignedByte();
    String host =
        type == 3
            ? new String(in.readNBytes(in.readUnsignedByte()), ISO_8859_1)
            : InetAddress.getByAddress(in.readNBytes(type == 1 ? 4 : 16)).getHostAddress();
    asked.add("SOCKS " + host + ":" + in.readUnsignedShort());
    Integer port = ports.get(host);
    byte[] reply = {SOCKS5, (byte) (port == null ? 4 : 0), 0, 1, 0, 0, 0, 0, 0, 0};
    out.write(reply);
    if (port != null) {
      try (Socket server = connect(port)) {
        pipe(client, server);
      }
    }
  }

  private Socket connect(int port) throws IOException {
    Socket server = new Socket();
    open.add(server);
    server.connect(new InetSocketAddress(InetAddress.getLoopbackAddress(), port));
    return server;
  }

  private void pipe(Socket client, Socket server) throws IOException {
    run(() -> copy(client, server));
    copy(server, client);
  }

  private static void copy(Socket from, Socket to) throws IOException {
    try {
      from.getInputStream().transferTo(to.getOutputStream());
    } finally {
      to.close();
    }
  }

  private static void answer(OutputStream out, String statusAndFields) throws IOException {
    String page = "<html>the proxy's own page</html>";
    out.write(
        ("HTTP/1.1 "
                + statusAndFields
                + "\r\nConnection: close\r\nContent-Length: "
                + page.length()
                + "\r\n\r\n"
                + page)
            .getBytes(ISO_8859_1));
    out.flush();
  }

  private static String head(InputStream in) throws IOException {
    StringBuilder head = new StringBuilder();
    while (head.indexOf("\r\n\r\n") < 0) {
      int next = in.read();
      if (next < 0) {
        throw new IOException("the request ends early");
      }
      head.append((char) next);
    }
    return head.toString();
  }

  private static @Nullable String field(String head, String lowerCaseName) {
    return head.lines()
        .filter(line -> line.toLowerCase(Locale.ROOT).startsWith(lowerCaseName + ":"))
        .map(line -> line.substring(lowerCaseName.length() + 1).strip())
        .findFirst()
        .orElse(null);
  }

  private static String hostOf(String url) {
    return String.valueOf(URI.create(url).getHost());
  }

  @FunctionalInterface
  private interface Task {
    void run() throws IOException;
  }

  private static void run(Task task) {
    Thread thread =
        new Thread(
            () -> {
              try {
                task.run();
              } catch (IOException | UncheckedIOException e) {
                // Either side may go away at any time; the other one sees it.
              }
            },
            "forward-proxy");
    thread.setDaemon(true);
    thread.start();
  }

  @Override
  public void close() throws IOException {
    listener.close();
    for (Closeable socket : open) {
      socket.close();
    }
  }
}
