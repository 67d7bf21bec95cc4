import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A file server whose links are as slow as a benchmark wants them. The first segment of a path
 * shapes the connection, the rest names a file of the folder given as argument:
 *
 * <ul>
 *   <li>{@code /plain/F}: as fast as it goes
 *   <li>{@code /each20/F}: 20 MB/s a connection
 *   <li>{@code /late/F}: 20 MB/s a connection, 80 ms before each response, every fifth connection at
 *       1 MB/s
 *   <li>{@code /pipe/F}: 100 MB/s for all connections together
 *   <li>{@code /far/F}: 20 ms before each response
 * </ul>
 *
 * <p>Prints its port and runs until its standard input ends. Run it from source: {@code java
 * BenchServer.java FOLDER}.
 */
public final class BenchServer {
  private static final Pattern RANGE = Pattern.compile("(?i)bytes=(\\d+)-(\\d*)");
  private static final int CHUNK_BYTES = 128 * 1024;
  private static final int SHAPED_CHUNK_BYTES = 64 * 1024;

  private final Path folder;
  private final AtomicInteger lateConnections = new AtomicInteger();
  private final Bucket pipe = new Bucket(100e6);

  private BenchServer(Path folder) {
    this.folder = folder;
  }

  public static void main(String[] args) throws IOException {
    BenchServer server = new BenchServer(Path.of(args[0]));
    ServerSocketChannel listener =
        ServerSocketChannel.open()
            .bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 1024);
    System.out.println(((InetSocketAddress) listener.getLocalAddress()).getPort());
    Thread acceptor = new Thread(() -> server.accept(listener));
    acceptor.setDaemon(true);
    acceptor.start();
    while (System.in.read() >= 0) {
      // Until whoever started this is gone.
    }
  }

  private void accept(ServerSocketChannel listener) {
    try {
      while (true) {
        SocketChannel client = listener.accept();
        Thread thread = new Thread(() -> serve(client));
        thread.setDaemon(true);
        thread.start();
      }
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  private void serve(SocketChannel client) {
    Bucket own = null;
    try (client) {
      client.socket().setTcpNoDelay(true);
      InputStream in = new BufferedInputStream(client.socket().getInputStream());
      while (true) {
        String head = readHead(in);
        if (head == null) {
          return;
        }
        String[] line = head.substring(0, head.indexOf('\r')).split(" ");
        String[] path = line[1].substring(1).split("/", 2);
        switch (path[0]) {
          case "each20" -> own = own == null ? new Bucket(20e6) : own;
          case "late" -> {
            boolean slow = own == null && lateConnections.incrementAndGet() % 5 == 0;
            own = own == null ? new Bucket(slow ? 1e6 : 20e6) : own;
            LockSupport.parkNanos(80_000_000);
          }
          case "far" -> LockSupport.parkNanos(20_000_000);
          case "pipe" -> own = pipe;
          default -> {}
        }
        answer(client, line[0], path[1], head, own);
      }
    } catch (IOException e) {
      // The client has left.
    }
  }

  private void answer(SocketChannel client, String method, String name, String head, Bucket bucket)
      throws IOException {
    try (FileChannel file = FileChannel.open(folder.resolve(name), StandardOpenOption.READ)) {
      long length = file.size();
      long first = 0;
      long last = length - 1;
      Matcher range = RANGE.matcher(head);
      boolean partial = range.find();
      if (partial) {
        first = Long.parseLong(range.group(1));
        last = range.group(2).isEmpty() ? last : Math.min(last, Long.parseLong(range.group(2)));
      }
      String fields =
          (partial ? "HTTP/1.1 206 Partial Content\r\n" : "HTTP/1.1 200 OK\r\n")
              + "Content-Type: application/octet-stream\r\nAccept-Ranges: bytes\r\n"
              + "ETag: \"" + Long.toHexString(length) + "\"\r\n"
              + (partial ? "Content-Range: bytes " + first + "-" + last + "/" + length + "\r\n" : "")
              + "Content-Length: " + (last + 1 - first) + "\r\n\r\n";
      write(client, fields);
      if (!method.equals("HEAD")) {
        send(client, file, first, last + 1, bucket);
      }
    } catch (NoSuchFileException e) {
      write(client, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    }
  }

  private static void send(
      SocketChannel client, FileChannel file, long first, long end, Bucket bucket)
      throws IOException {
    int chunk = bucket == null ? CHUNK_BYTES : SHAPED_CHUNK_BYTES;
    for (long position = first; position < end; ) {
      long count = Math.min(chunk, end - position);
      if (bucket != null) {
        bucket.take(count);
      }
      position += file.transferTo(position, count, client);
    }
  }

  private static void write(SocketChannel client, String text) throws IOException {
    ByteBuffer bytes = ByteBuffer.wrap(text.getBytes(StandardCharsets.ISO_8859_1));
    while (bytes.hasRemaining()) {
      client.write(bytes);
    }
  }

  private static String readHead(InputStream in) throws IOException {
    StringBuilder head = new StringBuilder();
    while (head.length() < 4 || head.lastIndexOf("\r\n\r\n") != head.length() - 4) {
      int next = in.read();
      if (next < 0) {
        return null;
      }
      head.append((char) next);
    }
    return head.toString();
  }

  /** Lets so many bytes a second through. */
  private static final class Bucket {
    private final double nanosPerByte;
    private long freeNanos = System.nanoTime();

    Bucket(double bytesPerSecond) {
      this.nanosPerByte = 1e9 / bytesPerSecond;
    }

    void take(long bytes) {
      long wait;
      synchronized (this) {
        long now = System.nanoTime();
        freeNanos = Math.max(freeNanos, now - 20_000_000) + (long) (bytes * nanosPerByte);
        wait = freeNanos - now;
      }
      if (wait > 0) {
        LockSupport.parkNanos(wait);
      }
    }
  }
}
