package io.anymatix.fetcher.transfer;

import static io.anymatix.fetcher.testing.Content.MIB;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.Gate;
import io.anymatix.fetcher.testing.Reply;
import io.anymatix.fetcher.testing.Request;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** When a transfer gives up, or gives up ranges, and what it leaves; each takes its real pauses. */
@Timeout(60)
class GivingUpTest {
  private static final Content SMALL = Content.random(2, 3 * MIB + 77);

  @SuppressWarnings("NullAway.Init") // set before each test
  @TempDir
  Path folder;

  @SuppressWarnings("NullAway.Init") // set before each test
  private ByteRangeServer server;

  @SuppressWarnings("NullAway.Init") // set before each test
  private Bench bench;

  @BeforeEach
  void start() {
    server = ByteRangeServer.start();
    bench = Bench.on(folder, Duration.ofSeconds(20));
  }

  @AfterEach
  void stop() {
    bench.close();
    server.close();
  }

  @Test
  void aStallOfAllConnectionsEndsWithAnErrorAndKeepsThePart() throws Exception {
    Gate never = new Gate();
    String url =
        server
            .serve("/m.bin", SMALL)
            .when(Request.nth(2), Fault.freezesAfter(MIB, never))
            .when(Request.from(3), Fault.freezesAfter(0, never))
            .url();
    try (Bench impatient = Bench.on(folder, Duration.ofSeconds(1))) {
      FetchException failure = impatient.failure(url);
      assertEquals(FailureKind.STALLED, failure.kind());
      String message = String.valueOf(failure.getMessage());
      assertTrue(message.contains("m_"), message);
      assertTrue(message.contains(" " + 2 * MIB + " of "), message);
    }
    Path part = bench.part(url, "m", ".bin");
    assertEquals(2 * MIB, Files.size(part));
    assertTrue(Files.exists(part.resolveSibling(part.getFileName() + ".segments")));
  }

  @Test
  void aServerThatAlwaysSaysAtOnceIsNotAskedWithoutEnd() {
    String url =
        server
            .serve("/m.bin", SMALL)
            .when(Request.from(2), Fault.replies(Reply.status(503).retryAfter(Duration.ZERO)))
            .url();
    FetchException failure = bench.failure(url);
    assertEquals(503, failure.status());
    assertEquals(6, server.requests().size());
  }

  @Test
  void aServerThatCompressesUnaskedIsAnErrorThatSaysSo() throws Exception {
    Content page = Content.random(4, 100_000);
    String url = server.serve("/m.bin", page).with(Fault.ignoresRanges(), Fault.gzipped()).url();
    FetchException failure = bench.failure(url);
    assertEquals(FailureKind.SERVER, failure.kind());
    String message = String.valueOf(failure.getMessage());
    assertTrue(message.contains("compressed"), message);
    try (Stream<Path> files = Files.list(folder)) {
      assertTrue(files.noneMatch(file -> file.toString().endsWith(".bin")));
    }
  }
}
