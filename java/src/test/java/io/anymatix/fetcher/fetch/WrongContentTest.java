package io.anymatix.fetcher.fetch;

import static io.anymatix.fetcher.testing.Content.MIB;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.anymatix.fetcher.config.Config;
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
