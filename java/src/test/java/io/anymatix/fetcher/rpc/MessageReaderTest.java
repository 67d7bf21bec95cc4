package io.anymatix.fetcher.rpc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.rpc.MessageReader.UnreadableMessageException;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.SequenceInputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class MessageReaderTest {
  private static final String UNREADABLE = "(unreadable)";
  private static final int MAX = MessageReader.MAX_MESSAGE_BYTES;

  @Test
  void takesOneMessageALineAndSkipsBlankLines() throws IOException {
    assertEquals(List.of("{1}", "{2}", "{3}"), read("\n\r\n  \t\n{1}\n\n{2}\r\n \n{3}"));
  }

  @Test
  void toleratesAByteOrderMarkInBothFramings() throws IOException {
    assertEquals(List.of("{1}", "{2}"), read("\ufeff{1}\n\ufeff{2}\n"));
    assertEquals(List.of("{1}"), read("\ufeffContent-Length: 6\r\n\r\n\ufeff{1}"));
  }

  @Test
  void readsHeaderFramedMessagesWhateverTheHeadersLookLike() throws IOException {
    assertEquals(
        List.of("{1}", "{\n}", "{3}", "", "{4}"),
        read(
            "Content-Length: 3\r\n\r\n{1}"
                + "content-length:3\n\n{\n}"
                + "\r\n" // a line end that some clients send after the body
                + "Content-Type: application/vscode-jsonrpc; charset=utf-8\r\n"
                + "CONTENT-LENGTH:  3  \r\nX-Other: x\r\n\r\n{3}"
                + "Content-Length: 0\r\n\r\n"
                + "Content-Length: 3\r\nContent-Length: 3\r\n\r\n{4}"));
    assertEquals(
        List.of("{1}"), read("\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n{1}"));
  }

  @Test
  void theFirstBytesDecideTheFraming() throws IOException {
    assertEquals(
        List.of("{1}", "Content-Length: 3", "{2}"), read("{1}\nContent-Length: 3\r\n\r\n{2}"));
  }

  @Test
  void findsTheNextHeaderAfterAMalformedOne() throws IOException {
    String good = "Content-Length: 3\r\n\r\n{2}";
    for (String bad :
        List.of(
            "Content-Length: x\r\n\r\n{1}",
            "Content-Length: -1\r\n\r\n{1}",
            "Content-Length: 3.0\r\n\r\n{1}",
            "Content-Length: 99999999999999999999\r\n\r\n{1}",
            "Content-Length:\r\n\r\n{1}",
            "Content-Length: 3\r\nContent-Length: 4\r\n\r\n{1}",
            "Content-Type: text\r\n\r\n{1}",
            "Content-Type: " + "x".repeat(9000) + "\r\n\r\n{1}")) {
      assertEquals(List.of(UNREADABLE, "{2}"), read(bad + good), bad);
    }
  }

  @Test
  void findsTheNextHeaderBehindABodyThatWasLongerThanAnnounced() throws IOException {
    assertEquals(
        List.of("{1", UNREADABLE, "{2}"),
        read("Content-Length: 2\r\n\r\n{1}Content-Length: 3\r\n\r\n{2}"));
  }

  @Test
  void aMessageThatTheEndOfInputCutsOffIsLost() throws IOException {
    assertEquals(List.of(), read("Content-Length: 5\r\n\r\n{1}"));
    assertEquals(List.of(), read("Content-Length: 5\r\n"));
    assertEquals(List.of(UNREADABLE), read("Content-Length: x\r\n\r\n{1}"));
  }

  @Test
  void skipsALineThatIsTooLarge() throws IOException {
    assertEquals(List.of(UNREADABLE, "{2}"), read(spaces(MAX + 1L), bytes("\n{2}\n")));
    List<String> atTheLimit = read(bytes("1"), spaces(MAX - 1L), bytes("\r\n{2}"));
    assertEquals(MAX, atTheLimit.get(0).length());
    assertEquals("{2}", atTheLimit.get(1));
  }

  @Test
  void skipsABodyThatIsTooLargeExactly() throws IOException {
    assertEquals(
        List.of(UNREADABLE, "{2}"),
        read(
            bytes("Content-Length: " + (3L * MAX) + "\r\n\r\n"),
            spaces(3L * MAX),
            bytes("Content-Length: 3\r\n\r\n{2}")));
  }

  @Test
  void keepsNothingOfALineThatNeverEnds() throws IOException {
    long before = usedBytes();
    MessageReader reader =
        new MessageReader(new SequenceInputStream(spaces(512L * 1024 * 1024), bytes("\n{2}")));
    assertEquals(UNREADABLE, next(reader));
    long keptBytes = usedBytes() - before;
    assertTrue(keptBytes < MAX / 2, () -> keptBytes + " bytes kept");
    assertEquals("{2}", next(reader));
  }

  @Test
  void readsTheSameHoweverTheBytesArrive() throws IOException {
    long seed = new Random().nextLong();
    Random random = new Random(seed);
    for (int round = 0; round < 200; round++) {
      boolean framed = random.nextBoolean();
      List<String> sent = new ArrayList<>();
      StringBuilder stream = new StringBuilder();
      for (int i = random.nextInt(5); i >= 0; i--) {
        String message = "{\"\u00e9\":" + "7".repeat(random.nextInt(200)) + "}";
        sent.add(message);
        int length = message.getBytes(StandardCharsets.UTF_8).length;
        stream.append(framed ? "Content-Length: " + length + "\r\n\r\n" + message : message + "\n");
      }
      int most = 1 + random.nextInt(40);
      InputStream trickle =
          new ByteArrayInputStream(stream.toString().getBytes(StandardCharsets.UTF_8)) {
            @Override
            public int read(byte[] target, int offset, int length) {
              return super.read(target, offset, Math.min(length, 1 + random.nextInt(most)));
            }
          };
      assertEquals(sent, read(trickle), "seed " + seed + ", round " + round);
    }
  }

  private static List<String> read(String text) throws IOException {
    return read(bytes(text));
  }

  private static List<String> read(InputStream... parts) throws IOException {
    MessageReader reader =
        new MessageReader(new SequenceInputStream(Collections.enumeration(List.of(parts))));
    List<String> messages = new ArrayList<>();
    for (String message = next(reader); !message.equals("(end)"); message = next(reader)) {
      messages.add(message);
    }
    return messages;
  }

  private static String next(MessageReader reader) throws IOException {
    try {
      ByteBuffer message = reader.next();
      return message == null ? "(end)" : StandardCharsets.UTF_8.decode(message).toString();
    } catch (UnreadableMessageException e) {
      assertTrue(String.valueOf(e.getMessage()).startsWith("Invalid Request: "), e::getMessage);
      return UNREADABLE;
    }
  }

  private static InputStream bytes(String text) {
    return new ByteArrayInputStream(text.getBytes(StandardCharsets.UTF_8));
  }

  private static InputStream spaces(long count) {
    return new InputStream() {
      private long left = count;

      @Override
      public int read() {
        return left-- > 0 ? ' ' : -1;
      }

      @Override
      public int read(byte[] target, int offset, int length) {
        if (left <= 0) {
          return -1;
        }
        int given = (int) Math.min(left, length);
        java.util.Arrays.fill(target, offset, offset + given, (byte) ' ');
        left -= given;
        return given;
      }
    };
  }

  private static long usedBytes() {
    System.gc();
    return Runtime.getRuntime().totalMemory() - Runtime.getRuntime().freeMemory();
  }
}
