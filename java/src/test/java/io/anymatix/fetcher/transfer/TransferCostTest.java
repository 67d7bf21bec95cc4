package io.anymatix.fetcher.transfer;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.fetch.Download;
import io.anymatix.fetcher.fetch.FetchRequest;
import io.anymatix.fetcher.fetch.FetchResult;
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.Gate;
import io.anymatix.fetcher.testing.Reply;
import io.anymatix.fetcher.testing.Request;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.MessageDigestSpi;
import java.security.NoSuchAlgorithmException;
import java.security.NoSuchProviderException;
import java.security.Provider;
import java.security.Security;
import java.time.Duration;
import java.util.Arrays;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.LongAdder;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What a transfer costs, in everything but time. */
@Timeout(60)
class TransferCostTest {
  private static final int MIB = 1 << 20;
  private static final Duration STALL_TIMEOUT = Duration.ofSeconds(20);

  @SuppressWarnings("NullAway.Init") // set before each test
  @TempDir
  Path folder;

  private final ByteRangeServer server = ByteRangeServer.start();

  @BeforeEach
  void countDigests() {
    Security.insertProviderAt(new CountingDigests(), 1);
  }

  @AfterEach
  void stop() {
    Security.removeProvider(CountingDigests.NAME);
    server.close();
  }

  /** As a user asks: without a number of connections. */
  private FetchResult fetch(Bench bench, String url) {
    return bench
        .fetcher()
        .fetch(
            new FetchRequest(url, null, folder.toString(), null, null, null, null, null, null),
            new Download());
  }

  @Test
  void aByteIsHashedOnce() throws Exception {
    Content content = Content.random(1, 24 * MIB + 5);
    String url = server.serve("/m.bin", content).url();
    try (Bench bench = Bench.on(folder, STALL_TIMEOUT)) {
      CountingDigests.BYTES.reset();
      FetchResult result = fetch(bench, url);
      assertHashedOnce(content.lengthBytes());
      Bench.assertHolds(content, result);
    }
  }

  @Test
  void aByteOfAFileOfUnknownLengthIsHashedOnceToo() throws Exception {
    Content content = Content.random(4, 24 * MIB + 5);
    ByteRangeServer.Resource resource = server.serve("/m.bin", content);
    resource.with(Fault.ignoresRanges(), Fault.chunked());
    try (Bench bench = Bench.on(folder, STALL_TIMEOUT)) {
      CountingDigests.BYTES.reset();
      FetchResult result = fetch(bench, resource.url());
      assertHashedOnce(content.lengthBytes());
      Bench.assertHolds(content, result);
    }
  }

  @Test
  void aByteOfAnEarlierAttemptIsHashedOnceToo() throws Exception {
    Content content = Content.random(2, 24 * MIB);
    Gate gate = new Gate();
    ByteRangeServer.Resource resource = server.serve("/m.bin", content);
    resource.when(r -> r.number() > 1 && r.number() <= 17, Fault.freezesAfter(700_000, gate));
    try (Bench bench = Bench.on(folder, STALL_TIMEOUT)) {
      Download download = new Download();
      CompletableFuture<FetchResult> running = bench.start(resource.url(), 16, download);
      gate.awaitArrivals(16);
      download.cancel();
      assertTrue(running.handle((result, error) -> error != null).get());
    }
    try (Bench bench = Bench.on(folder, STALL_TIMEOUT)) {
      CountingDigests.BYTES.reset();
      FetchResult result = fetch(bench, resource.url());
      assertTrue(result.bytesReused() > 0, "it went on");
      assertHashedOnce(content.lengthBytes());
      Bench.assertHolds(content, result);
    }
  }

  /** Urls and names are hashed as well. */
  private static void assertHashedOnce(long lengthBytes) {
    long hashed = CountingDigests.BYTES.sum();
    assertTrue(
        hashed >= lengthBytes && hashed < lengthBytes + 10_000,
        hashed + " bytes hashed for " + lengthBytes);
  }

  @Test
  void aByteLiesOnTheDiskOnceAlsoWhileItArrives() throws Exception {
    Content content = Content.random(3, 24 * MIB);
    Gate gate = new Gate();
    ByteRangeServer.Resource resource =
        server.serve("/m.bin", content).when(Request.from(2), Fault.freezesAfter(900_000, gate));
    try (Bench bench = Bench.on(folder, STALL_TIMEOUT)) {
      CompletableFuture<FetchResult> running = bench.start(resource.url(), 16, new Download());
      gate.awaitArrivals(16);
      long underWay = bytesOnDisk();
      gate.open();
      Bench.assertHolds(content, Bench.result(running));
      long notes = 16 * 1024;
      assertTrue(underWay <= content.lengthBytes() + notes, underWay + " bytes under way");
      assertTrue(bytesOnDisk() <= content.lengthBytes() + notes, bytesOnDisk() + " bytes");
    }
  }

  private long bytesOnDisk() throws IOException {
    try (Stream<Path> files = Files.walk(folder)) {
      return files.filter(Files::isRegularFile).mapToLong(TransferCostTest::length).sum();
    }
  }

  private static long length(Path file) {
    try {
      return Files.size(file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Test
  void aFastFileTakesAFewLargeRequests() throws Exception {
    Content content = Content.random(4, 128 * MIB);
    String url = server.serve("/m.bin", content).url();
    try (Bench bench = Bench.on(folder, STALL_TIMEOUT)) {
      // Stated, since more connections mean smaller pieces.
      Bench.assertHolds(content, bench.fetch(url, 8, new Download()));
      int requests = server.requests().size();
      assertTrue(requests <= 90, requests + " requests for 128 MiB");
    }
  }

  @Test
  void littleIsAllocatedForAByte() throws Exception {
    server.serve("/small.bin", Content.random(5, 32 * MIB));
    server.serve("/another.bin", Content.random(9, 8 * MIB));
    server.serve("/large.bin", Content.random(6, 160 * MIB));
    try (Bench bench = Bench.on(folder, STALL_TIMEOUT)) {
      // The first file loads and links what the others use, and the second what reads the notes of
      // the first.
      bench.fetch(server.url("/small.bin"), 8, new Download());
      bench.fetch(server.url("/another.bin"), 8, new Download());
      long before = allocatedByFetches();
      bench.fetch(server.url("/large.bin"), 8, new Download());
      long bytesForEach = (allocatedByFetches() - before) / 160;
      assertTrue(bytesForEach < 64 * 1024, bytesForEach + " bytes of heap for each MiB");
    }
  }

  private static long allocatedByFetches() {
    var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
    long[] ids =
        Arrays.stream(threads.getThreadInfo(threads.getAllThreadIds()))
            .filter(info -> info != null && info.getThreadName().equals("fetch"))
            .mapToLong(info -> info.getThreadId())
            .toArray();
    return Arrays.stream(threads.getThreadAllocatedBytes(ids)).filter(n -> n > 0).sum();
  }

  @Test
  void connectionsAreAddedWhereEachBringsItsShare() throws Exception {
    Content content = Content.random(7, 48 * MIB);
    server.limitRatePerConnection(1_500_000);
    try (Bench bench = Bench.on(folder, STALL_TIMEOUT)) {
      // Where the processors are busy at each trial of the first file, the next one tries at once.
      for (int file = 0;
          file < 4 && server.maxConcurrentRequests() <= ConnectionController.FIRST_CONNECTIONS;
          file++) {
        String url = server.serve("/m" + file + ".bin", content).url();
        Bench.assertHolds(content, fetch(bench, url));
      }
      int most = server.maxConcurrentRequests();
      assertTrue(most > ConnectionController.FIRST_CONNECTIONS, most + " at a time");
    }
  }

  @Test
  void aHostThatRefusedIsAskedForAsManyAsItBoreByTheNextFile() throws Exception {
    Content content = Content.random(8, 48 * MIB);
    server.limitRatePerConnection(3_000_000);
    for (String path : new String[] {"/first.bin", "/next.bin"}) {
      server.serve(path, content).when(Request.aboveInFlight(5), Fault.replies(Reply.status(503)));
    }
    try (Bench bench = Bench.on(folder, STALL_TIMEOUT)) {
      Bench.assertHolds(content, fetch(bench, server.url("/first.bin")));
      long refusedAtFirst = refused();
      assertTrue(refusedAtFirst > 0, "it wanted more");
      Bench.assertHolds(content, fetch(bench, server.url("/next.bin")));
      // One that follows an end which the server has not noticed yet may be refused all the same.
      long refusedThen = refused() - refusedAtFirst;
      assertTrue(refusedThen <= 2, refusedThen + " refusals of the next file");
    }
  }

  private long refused() {
    return server.requests().stream().filter(r -> r.responseStatus() == 503).count();
  }

  /** SHA-256 as everywhere, and how many bytes went in. */
  public static final class CountingDigests extends Provider {
    private static final long serialVersionUID = 1;
    static final String NAME = "CountingDigests";
    static final LongAdder BYTES = new LongAdder();

    CountingDigests() {
      super(NAME, "1", "counts what is hashed");
      putService(
          new Service(this, "MessageDigest", "SHA-256", Counted.class.getName(), null, null) {
            @Override
            public Object newInstance(Object parameter) {
              return new Counted();
            }
          });
    }
  }

  private static final class Counted extends MessageDigestSpi {
    private final MessageDigest digest;

    Counted() {
      try {
        digest = MessageDigest.getInstance("SHA-256", "SUN");
      } catch (NoSuchAlgorithmException | NoSuchProviderException e) {
        throw new AssertionError(e);
      }
    }

    @Override
    protected int engineGetDigestLength() {
      return digest.getDigestLength();
    }

    @Override
    protected void engineUpdate(byte input) {
      CountingDigests.BYTES.increment();
      digest.update(input);
    }

    @Override
    protected void engineUpdate(byte[] input, int offset, int length) {
      CountingDigests.BYTES.add(length);
      digest.update(input, offset, length);
    }

    @Override
    protected byte[] engineDigest() {
      return digest.digest();
    }

    @Override
    protected void engineReset() {
      digest.reset();
    }
  }
}
