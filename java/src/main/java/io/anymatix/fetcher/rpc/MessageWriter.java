package io.anymatix.fetcher.rpc;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.function.BooleanSupplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Writes messages whole, one after the other, from any thread, and flushes each.
 *
 * <p>A message is serialised before the lock is taken: while the client is slow to read, threads
 * wait here with finished bytes, and nothing that fails can leave half a message behind.
 */
final class MessageWriter {
  private static final Logger log = LoggerFactory.getLogger(MessageWriter.class);

  private final OutputStream out;
  private final BooleanSupplier useHeaders;
  private final Runnable onBroken;
  private final Object lock = new Object();

  /** Guarded by the lock. */
  private boolean broken;

  /**
   * @param out reports what went wrong by throwing, as a {@code PrintStream} does not
   * @param useHeaders whether a {@code Content-Length} header goes before each message
   * @param onBroken told once, when nobody can read any more
   */
  MessageWriter(OutputStream out, BooleanSupplier useHeaders, Runnable onBroken) {
    this.out = out;
    this.useHeaders = useHeaders;
    this.onBroken = onBroken;
  }

  /** Returns when the message is flushed, or can not be written any more. */
  void write(JsonNode message) {
    byte[] framed = framed(message);
    synchronized (lock) {
      if (broken) {
        return;
      }
      try {
        out.write(framed);
        out.flush();
        return;
      } catch (IOException e) {
        broken = true;
        log.info("The client reads no more ({}).", e.getMessage());
      }
    }
    onBroken.run();
  }

  private byte[] framed(JsonNode message) {
    try {
      byte[] json = JsonMessages.MAPPER.writeValueAsBytes(message);
      byte[] head =
          useHeaders.getAsBoolean()
              ? ("Content-Length: " + json.length + "\r\n\r\n").getBytes(StandardCharsets.US_ASCII)
              : new byte[0];
      byte[] tail = head.length == 0 ? new byte[] {'\n'} : new byte[0];
      byte[] framed = Arrays.copyOf(head, head.length + json.length + tail.length);
      System.arraycopy(json, 0, framed, head.length, json.length);
      System.arraycopy(tail, 0, framed, head.length + json.length, tail.length);
      return framed;
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("A JSON tree can always be written.", e);
    }
  }
}
