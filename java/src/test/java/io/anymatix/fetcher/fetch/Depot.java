package io.anymatix.fetcher.fetch;

import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.config.HomeFolder;
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.Request;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;

/** Model folders, a home folder and a server with models, for tests of several downloads. */
final class Depot implements AutoCloseable {
  static final long SMALL = 40 * Content.KIB;

  final Path models;
  final Path home;
  final ByteRangeServer server = ByteRangeServer.start();
  private final List<Runnable> opened = new ArrayList<>();

  Depot(Path folder) throws IOException {
    models = Files.createDirectories(folder.resolve("models")).toRealPath();
    home = folder.resolve("home");
  }

  /** A process's worth of the program. */
  Fetcher fetcher() {
    Fetcher fetcher =
        new Fetcher(
            Config.builder()
                .modelsDir(models)
                .allowHttp(true)
                .allowPrivateHosts(true)
                .home(new HomeFolder(home))
                .build(),
            Map.of());
    opened.add(fetcher::close);
    return fetcher;
  }

  DownloadQueue queue(Fetcher fetcher) {
    DownloadQueue queue = new DownloadQueue(fetcher);
    opened.add(queue::close);
    return queue;
  }

  ByteRangeServer.Resource serve(int number) {
    return serve(number, SMALL);
  }

  ByteRangeServer.Resource serve(int number, long lengthBytes) {
    return server.serve("/m" + number + ".safetensors", content(number, lengthBytes));
  }

  static Content content(int number, long lengthBytes) {
    return Content.safetensors(100 + number, lengthBytes);
  }

  static FetchRequest vae(String url) {
    return new FetchRequest(url, "vae", null, null, null, null, null, null, null);
  }

  static Batch.Item item(String url) {
    return new Batch.Item(vae(url), false);
  }

  static Batch.Item optional(String url) {
    return new Batch.Item(vae(url), true);
  }

  Path vaeFolder() {
    return models.resolve("vae");
  }

  /** Requests for more than a look at the first byte. */
  long dataRequests() {
    return server.requests().stream().filter(Request::isForContent).count();
  }

  static void await(BooleanSupplier condition, String what) {
    long endNanos = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
    while (!condition.getAsBoolean()) {
      if (System.nanoTime() - endNanos > 0) {
        throw new AssertionError("waited in vain until " + what);
      }
      LockSupport.parkNanos(2_000_000);
    }
  }

  @Override
  public void close() {
    server.close();
    for (int i = opened.size() - 1; i >= 0; i--) {
      opened.get(i).run();
    }
  }
}
