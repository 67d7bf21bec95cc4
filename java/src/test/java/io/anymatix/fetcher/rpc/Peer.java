package io.anymatix.fetcher.rpc;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedOutputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;

/** The client's end of a server that runs in this JVM behind a loopback socket. */
final class Peer implements AutoCloseable {
  private static final ObjectMapper MAPPER = new ObjectMapper();
  private static final Duration PATIENCE = Duration.ofSeconds(20);

  /** How messages are told apart on the stream. */
  enum Framing {
    NEWLINE,
    CONTENT_LENGTH
  }

  private final Socket client;
  private final Socket served;
  private final StdioServer server;
  private final CompletableFuture<Void> ended;
  private final Framing framing;

  private <M> Peer(
      Class<M> contract, M methods, Framing framing, UnaryOperator<OutputStream> output)
      throws IOException {
    this.framing = framing;
    try (ServerSocket listener = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      client = new Socket(listener.getInetAddress(), listener.getLocalPort());
      served = listener.accept();
    }
    client.setSoTimeout((int) PATIENCE.toMillis());
    client.setTcpNoDelay(true);
    server =
        new StdioServer(
            served.getInputStream(), output.apply(served.getOutputStream()), contract, methods);
    ended =
        CompletableFuture.runAsync(
            () -> {
              try {
                server.run();
              } catch (InterruptedException e) {
                throw new IllegalStateException(e);
              }
            },
            work -> new Thread(work, "server").start());
  }

  static <M> Peer of(Class<M> contract, M methods) throws IOException {
    return of(contract, methods, Framing.NEWLINE);
  }

  static <M> Peer of(Class<M> contract, M methods, Framing framing) throws IOException {
    return new Peer(contract, methods, framing, UnaryOperator.identity());
  }

  /** With an output that keeps what is not flushed. */
  static <M> Peer buffered(Class<M> contract, M methods) throws IOException {
    return new Peer(contract, methods, Framing.NEWLINE, BufferedOutputStream::new);
  }

  /** A JSON text that may be written with single quotes. */
  static JsonNode json(String text) {
    try {
      return MAPPER.readTree(text.replace('\'', '"'));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  Socket socket() {
    return client;
  }

  StdioServer server() {
    return server;
  }

  /** Sends one message, which may be written with single quotes. */
  void send(String message) throws IOException {
    sendText(message.replace('\'', '"'));
  }

  /** Sends one message as it is, within the framing. */
  void sendText(String message) throws IOException {
    byte[] body = message.getBytes(StandardCharsets.UTF_8);
    if (framing == Framing.CONTENT_LENGTH) {
      sendBytes(
          ("Content-Length: " + body.length + "\r\n\r\n").getBytes(StandardCharsets.US_ASCII));
      sendBytes(body);
    } else {
      sendBytes((message + "\n").getBytes(StandardCharsets.UTF_8));
    }
  }

  /** Sends bytes without any framing. */
  void sendBytes(byte[] bytes) throws IOException {
    client.getOutputStream().write(bytes);
  }

  /** The text of the next message. */
  String receiveText() throws IOException {
    InputStream in = client.getInputStream();
    if (framing == Framing.NEWLINE) {
      return line(in);
    }
    int length = -1;
    for (String header = line(in); !header.isEmpty(); header = line(in)) {
      length = Integer.parseInt(header.substring("Content-Length: ".length()));
    }
    return new String(in.readNBytes(length), StandardCharsets.UTF_8);
  }

  JsonNode receive() throws IOException {
    return MAPPER.readTree(receiveText());
  }

  JsonNode ask(String message) throws IOException {
    send(message);
    return receive();
  }

  /** Ends the input, and returns what the server still sends until it closes the connection. */
  String endInput() throws IOException {
    client.shutdownOutput();
    awaitEnd();
    served.close();
    return new String(client.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
  }

  /** Waits until the server's run returns. */
  void awaitEnd() {
    ended.orTimeout(PATIENCE.toMillis(), TimeUnit.MILLISECONDS).join();
  }

  private static String line(InputStream in) throws IOException {
    ByteArrayOutputStream line = new ByteArrayOutputStream();
    for (int b = in.read(); b != '\n'; b = in.read()) {
      if (b < 0) {
        throw new EOFException("The server closed the connection after: " + line);
      }
      if (b != '\r') {
        line.write(b);
      }
    }
    return line.toString(StandardCharsets.UTF_8);
  }

  @Override
  public void close() throws IOException {
    server.stop();
    awaitEnd();
    client.close();
    served.close();
  }
}
