package io.anymatix.fetcher.fetch;

import static io.anymatix.fetcher.testing.Content.MIB;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.Gate;
import io.anymatix.fetcher.testing.Request;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A long file that is not what its name says is refused before it has come. */
@Timeout(60)
class WrongContentTest {
  private static final Content WRONG = Content.random(11, 64 * MIB);

  @SuppressWarnings("NullAway.Init") // set before each test
  @TempDir
  Path folder;

  @SuppressWarnings("NullAway.Init") // set before each test
  private Depot depot;

  private final Gate gate = new Gate();

  @BeforeEach
  void open() throws IOException {
    depot = new Depot(folder);
  }

  @AfterEach
  void close() {
    depot.close();
  }

  /** Its first MiB comes, and no more before the gate is opened. */
  private ByteRangeServer.Resource held(Content content) {
    return depot
        .server
        .serve("/m.safetensors", content)
        .when(Request::isForContent, Fault.freezesAfter(MIB, gate));
  }

  private List<Path> filesInFolder() throws IOException {
    if (!Files.exists(depot.vaeFolder())) {
      return List.of();
    }
    try (var files = Files.list(depot.vaeFolder())) {
      return files.toList();
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void itsFirstBytesAreEnoughAndNothingIsKept(boolean inRanges) throws Exception {
    ByteRangeServer.Resource resource = held(WRONG);
    if (!inRanges) {
      resource.with(Fault.ignoresRanges());
    }
    Fetcher fetcher = depot.fetcher();
    CompletableFuture<FetchResult> running =
        CompletableFuture.supplyAsync(
            () -> fetcher.fetch(Depot.vae(resource.url()), new Download()));
    ExecutionException end =
        assertThrows(ExecutionException.class, () -> running.get(15, TimeUnit.SECONDS));
    FetchException failure = assertInstanceOf(FetchException.class, end.getCause());
    assertEquals(FailureKind.NOT_A_MODEL, failure.kind(), failure.getMessage());
    assertEquals(List.of(), filesInFolder());
  }

  @Test
  void foundBytesAreNotJudgedByTheFirstOfThemSinceAHashMayShowThemWrong() throws Exception {
    Content right = Content.safetensors(12, 24 * MIB);
    String url = depot.server.serve("/m.safetensors", right).url();
    Path part = depot.vaeFolder().resolve("m_" + Sha256.ofUtf8(url).hex() + ".safetensors.part");
    Files.createDirectories(depot.vaeFolder());
    // The last block of what is there is compared, and right.
    right.overwritten(0, new byte[512]).writeTo(part, MIB);
    Files.writeString(
        part.resolveSibling(part.getFileName() + ".segments"),
        "{\"size\": %d, \"segment_size\": %d, \"done\": {\"0\": %d}}\n"
            .formatted(right.lengthBytes(), MIB, MIB));
    FetchRequest request =
        new FetchRequest(url, "vae", null, null, right.sha256(), null, null, null, null);
    FetchResult result = depot.fetcher().fetch(request, new Download());
    assertEquals(right.sha256(), result.sha256());
    assertTrue(result.startedOver(), "what was found was wrong");
  }

  @Test
  void ownersMayAcceptAnyContent() {
    String url = depot.server.serve("/m.safetensors", WRONG).url();
    Config config =
        Config.builder()
            .modelsDir(depot.models)
            .allowHttp(true)
            .allowPrivateHosts(true)
            .acceptAnyContent(true)
            .build();
    try (Fetcher fetcher = new Fetcher(config, Map.of())) {
      FetchResult result = fetcher.fetch(Depot.vae(url), new Download());
      assertEquals(WRONG.sha256(), result.sha256());
    }
  }
}
