package io.anymatix.fetcher;

import static io.anymatix.fetcher.testing.Content.GIB;
import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.JsonNode;
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.Gate;
import io.anymatix.fetcher.testing.Request;
import io.anymatix.fetcher.testing.SidecarProcess;
import io.anymatix.fetcher.testing.TestCertificates;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.AnnotatedElementContext;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.io.TempDirFactory;

/** The memory that a download takes does not depend on its length. */
class MemoryIT {
  private static final Content CONTENT = Content.safetensors(20_261_121, 4 * GIB);

  /** Of the content above; to compute it here would take as long as the download. */
  private static final String SHA256 =
      "30f7641eac3531a5f326dfcf1c315e15c971e65ecc278716c4f1ecb3a5933549";

  @SuppressWarnings("NullAway.Init") // set by JUnit
  @TempDir(factory = LargeAndFast.class)
  Path home;

  /** Puts the temporary folder into memory where that is large enough: a disk takes much longer. */
  static final class LargeAndFast implements TempDirFactory {
    private static final Path SHARED_MEMORY = Path.of("/dev/shm");
    private static final long ROOM_BYTES = 5 * GIB;

    @Override
    public Path createTempDirectory(AnnotatedElementContext element, ExtensionContext extension)
        throws IOException {
      boolean isLarge =
          Files.isWritable(SHARED_MEMORY)
              && Files.getFileStore(SHARED_MEMORY).getUsableSpace() >= ROOM_BYTES;
      return isLarge
          ? Files.createTempDirectory(SHARED_MEMORY, "memory-it")
          : Files.createTempDirectory("memory-it");
    }
  }

  @Test
  @Timeout(value = 300, unit = TimeUnit.SECONDS)
  void fourGibibytesOverSixteenConnectionsPassThroughAHeapOf64Mebibytes() throws Exception {
    try (ByteRangeServer server = ByteRangeServer.start()) {
      passThroughSmallHeap(server, CONTENT, SHA256, "--allow-http");
    }
  }

  @Test
  @Timeout(value = 300, unit = TimeUnit.SECONDS)
  void soDoesWhatComesOverTls() throws Exception {
    TestCertificates certificates = TestCertificates.forHosts("localhost");
    Content content = Content.safetensors(20_261_122, GIB / 4);
    try (ByteRangeServer server = ByteRangeServer.startTls(certificates.serverContext())) {
      passThroughSmallHeap(server, content, content.sha256(), "--ca-file=" + certificates.caFile());
    }
  }

  private void passThroughSmallHeap(
      ByteRangeServer server, Content content, String sha256, String... arguments)
      throws Exception {
    Path models = Files.createDirectories(home.resolve("models"));
    try (SidecarProcess sidecar =
        SidecarProcess.launch(home)
            .jvmFlags("-Xmx64m", "-XX:+ExitOnOutOfMemoryError")
            .arguments("--models-dir", models.toString())
            .arguments("--allow-private-hosts")
            .arguments(arguments)
            .start()) {
      Gate sixteen = new Gate();
      String url =
          server
              .serve("/m.safetensors", content)
              .when(Request::isForMore, Fault.waitsFor(sixteen))
              .url();
      CompletableFuture<JsonNode> running =
          sidecar.call("fetch", Map.of("url", url, "type", "checkpoint", "connections", 16));
      sixteen.awaitArrivals(16);
      sixteen.open();
      JsonNode answer = running.get(280, TimeUnit.SECONDS);
      JsonNode result = answer.path("result");
      assertEquals(sha256, result.path("sha256").asText(), answer.toString());
      assertEquals(content.lengthBytes(), Files.size(Path.of(result.path("path").asText())));
    }
  }
}
