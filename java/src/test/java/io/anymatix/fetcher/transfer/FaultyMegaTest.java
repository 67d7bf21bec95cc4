package io.anymatix.fetcher.transfer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.fetch.Download;
import io.anymatix.fetcher.fetch.FetchResult;
import io.anymatix.fetcher.testing.ByteRangeServer.Resource;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.FakeMega;
import io.anymatix.fetcher.testing.MegaFile;
import io.anymatix.fetcher.testing.Reply;
import io.anymatix.fetcher.testing.SignedLinks;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;

/** The same scripts for a file at Mega: encrypted, ranges in the path, proven by its MAC. */
class FaultyMegaTest extends FaultyServerTest {
  private static final Map<Content, MegaFile> ENCRYPTED = new ConcurrentHashMap<>();

  private final FakeMega mega = FakeMega.start();
  private final Map<String, String> links = new ConcurrentHashMap<>();
  private @Nullable MegaFile served;

  @AfterEach
  void stopMega() {
    mega.close();
  }

  @Override
  Bench bench(Duration stallTimeout) {
    return Bench.withTls(folder, stallTimeout, FakeMega.CERTIFICATES.caFile(), mega.connectTo());
  }

  private MegaFile encrypt(Content content) {
    MegaFile file = ENCRYPTED.computeIfAbsent(content, plain -> MegaFile.of("m.bin", plain));
    served = file;
    return file;
  }

  @Override
  Resource serve(Content content) {
    MegaFile file = encrypt(content);
    Resource resource = server.serve("/dl/m", file.encrypted()).rangesInPath();
    links.put(resource.url(), mega.publish(file, resource::url));
    return resource;
  }

  @Override
  String serveSigned(SignedLinks signed, Content content, Consumer<Resource> script) {
    Resource resource = serve(content);
    script.accept(resource.with(signed.demand(Reply.status(403))));
    return mega.publish(encrypt(content), () -> signed.sign(resource.url()));
  }

  @Override
  Content stored(Content content) {
    return Objects.requireNonNull(served).encrypt(content);
  }

  @Override
  FetchResult fetch(String address, @Nullable Integer connections, Download download) {
    return bench.fetch(links.getOrDefault(address, address), connections, download);
  }

  /** A link to Mega names one content for good: any other one is refused by its MAC. */
  @Override
  void assertFetchesAnew(Content after, String address) throws IOException {
    FetchException failure =
        assertThrows(FetchException.class, () -> fetch(address, null, new Download()));
    assertEquals(FailureKind.INTEGRITY, failure.kind());
    assertNothingIsKept();
  }

  /** In the path nobody says which bytes came: where the length fits, the MAC finds it out. */
  @Override
  void assertHoldsNoWrongByte(Content content, String address) throws Exception {
    FetchResult result;
    try {
      result = fetch(address, null, new Download());
    } catch (FetchException failure) {
      boolean isTold = List.of(FailureKind.INTEGRITY, FailureKind.NETWORK).contains(failure.kind());
      assertTrue(isTold, failure.getMessage());
      assertNothingIsKept();
      return;
    }
    Bench.assertHolds(content, result);
  }

  private void assertNothingIsKept() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      assertEquals(List.of(), files.filter(file -> !file.toString().contains(".part")).toList());
    }
  }

  @Override
  boolean tagsCount() {
    return false;
  }

  @Override
  int mostConnections() {
    return 6;
  }
}
