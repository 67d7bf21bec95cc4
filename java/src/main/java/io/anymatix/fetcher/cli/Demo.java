package io.anymatix.fetcher.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.anymatix.fetcher.cli.Screen.Style;
import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.fetch.Progress;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.DigestOutputStream;
import java.security.MessageDigest;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.stream.Stream;

/**
 * Shows the main job on this machine alone: a sidecar process, driven by JSON-RPC over its pipes,
 * fetches generated models from a server in this process. Every claim that is shown is checked.
 */
final class Demo {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String INDENT = "   ";

  /** The share of a file after whose arrival the sidecar process is killed. */
  private static final double KILLED_AT = 0.5;

  /**
   * How much is moved.
   *
   * @param parallelBytes file that is fetched over many connections
   * @param resumedBytes file in whose middle the sidecar process is killed
   * @param singleBytes file from the server that ignores ranges
   * @param bytesPerSecond limit of one connection; the last server's is four times as fast
   */
  record Sizes(long parallelBytes, long resumedBytes, long singleBytes, long bytesPerSecond) {
    /** About 20 seconds and 300 MB on disk. */
    static final Sizes FULL = new Sizes(144_000_000, 112_000_000, 28_000_000, 1_600_000);
  }

  private final Screen screen;
  private final Sizes sizes;
  private long lastId;
  private boolean allHeld = true;

  Demo(Screen screen, Sizes sizes) {
    this.screen = screen;
    this.sizes = sizes;
  }

  /**
   * Runs all steps.
   *
   * @param folder an empty folder for the models and for the state of the sidecar process
   * @return whether everything that was claimed held
   */
  boolean run(Path folder) throws IOException, InterruptedException {
    try (DemoServer server = DemoServer.start()) {
      steps(server, folder);
    } catch (CompletionException e) {
      Throwable cause = e.getCause() == null ? e : e.getCause();
      check(false, "The demo ended early: " + cause.getMessage());
    }
    screen.line("");
    screen.line(
        allHeld
            ? screen.styled(Style.GOOD, "Everything held.")
            : screen.styled(Style.BAD, "Not everything held; see above."));
    return allHeld;
  }

  private void steps(DemoServer server, Path folder) throws IOException, InterruptedException {
    long rate = sizes.bytesPerSecond();
    DemoModel big = new DemoModel("demo-xl.safetensors", sizes.parallelBytes(), 1);
    DemoModel interrupted = new DemoModel("demo-vae.safetensors", sizes.resumedBytes(), 2);
    DemoModel plain = new DemoModel("demo-lora.safetensors", sizes.singleBytes(), 3);
    String bigUrl = server.offer(big, true, rate);
    String interruptedUrl = server.offer(interrupted, true, rate);
    String plainUrl = server.offer(plain, false, 4 * rate);

    screen.line(screen.styled(Style.TITLE, "AnymatixFetcher: a demonstration without a network"));
    say(
        "A server in this process offers generated models, "
            + megabytesPerSecond((double) rate)
            + " on each");
    say("connection. A sidecar process fetches them, asked by JSON-RPC.");
    Path models = folder.resolve("models");
    Sidecar sidecar = new Sidecar(folder);
    try {
      parallel(server, sidecar, big, bigUrl);
      present(server, sidecar, bigUrl);
      title(3, "Killed in the middle, and resumed");
      say("Power cuts and crashes happen. What arrived before is kept, and proven by");
      say("the hash of the whole file in the end.");
      killInTheMiddle(sidecar, interruptedUrl);
      sidecar.close();
      sidecar = new Sidecar(folder);
      Path resumed = resume(sidecar, interrupted, interruptedUrl);
      single(sidecar, plain, plainUrl);
      files(models, resumed);
    } finally {
      sidecar.close();
    }
  }

  private void parallel(DemoServer server, Sidecar sidecar, DemoModel model, String url)
      throws IOException {
    title(1, "Many connections");
    double aloneSeconds = (double) model.lengthBytes() / sizes.bytesPerSecond();
    say(
        String.format(
            Locale.ROOT,
            "One connection would take %.0f s for these %s.",
            aloneSeconds,
            ProgressLine.megabytes(model.lengthBytes())));
    server.forget();
    JsonNode result = sidecar.fetch(url, "checkpoint").join();
    double seconds = Math.max(1, result.path("elapsedMillis").asLong()) / 1000.0;
    int connections = server.counts().mostTransfers();
    check(
        connections > 1,
        String.format(
            Locale.ROOT,
            "%.1f s, %s: the server saw %d connections at once.",
            seconds,
            megabytesPerSecond(model.lengthBytes() / seconds),
            connections));
    check(
        seconds < aloneSeconds,
        String.format(
            Locale.ROOT, "%.1f times as fast as one connection.", aloneSeconds / seconds));
    checkContent(result, model);
  }

  private void present(DemoServer server, Sidecar sidecar, String url) {
    title(2, "The same again");
    say("Each run of a workflow asks for its models; a present one costs nothing.");
    server.forget();
    JsonNode result = sidecar.fetch(url, "checkpoint").join();
    check(
        result.path("outcome").asText().equals("present"),
        "Answered \""
            + result.path("outcome").asText()
            + "\" after "
            + result.path("elapsedMillis").asLong()
            + " ms.");
    int requests = server.counts().requests();
    check(requests == 0, "The server counted " + requests + " requests.");
  }

  private void killInTheMiddle(Sidecar sidecar, String url) throws InterruptedException {
    CompletableFuture<JsonNode> running = sidecar.fetch(url, "vae");
    long received = sidecar.awaitShare(KILLED_AT, running);
    sidecar.kill();
    check(
        running.handle((result, failure) -> failure != null).join(),
        "kill -9 after " + ProgressLine.megabytes(received) + "; the sidecar process is gone.");
  }

  private Path resume(Sidecar sidecar, DemoModel model, String url) throws IOException {
    JsonNode result = sidecar.fetch(url, "vae").join();
    long kept = result.path("bytesReused").asLong();
    check(
        result.path("outcome").asText().equals("resumed") && kept > 0,
        String.format(
            Locale.ROOT,
            "A new one kept %s of %s and fetched the rest.",
            ProgressLine.megabytes(kept),
            ProgressLine.megabytes(model.lengthBytes())));
    checkContent(result, model);
    return Path.of(result.path("sidecarPath").asText());
  }

  private void single(Sidecar sidecar, DemoModel model, String url) throws IOException {
    title(4, "A server that ignores ranges");
    say("It answers each request with the whole file. That is noticed from the first");
    say("answer, and one stream does the work.");
    JsonNode result = sidecar.fetch(url, "lora").join();
    check(
        result.path("strategy").asText().equals("single"),
        String.format(
            Locale.ROOT,
            "%s in one stream in %.1f s.",
            ProgressLine.megabytes(result.path("bytesTransferred").asLong()),
            result.path("elapsedMillis").asLong() / 1000.0));
    checkContent(result, model);
  }

  private void files(Path models, Path sidecarFile) throws IOException {
    title(5, "What is on disk");
    say("Each model has its url's hash in its name, and a sidecar file beside it that");
    say("tells where it came from. Nothing else is left: no part, no journal.");
    List<Path> files;
    try (Stream<Path> tree = Files.walk(models)) {
      files = tree.filter(Files::isRegularFile).sorted().toList();
    }
    for (Path file : files) {
      screen.line(
          INDENT
              + String.format(Locale.ROOT, "%11d  ", Files.size(file))
              + screen.styled(Style.NAME, shortened(models.relativize(file).toString())));
    }
    boolean onlyPairs =
        files.stream().allMatch(file -> file.toString().matches(".*\\.(safetensors|json)"));
    check(files.size() == 6 && onlyPairs, "Three models, three sidecar files.");
    screen.line(
        INDENT
            + screen.styled(Style.NAME, "the sidecar file of demo-vae (hashes shortened here):"));
    for (String line : Files.readString(sidecarFile).split("\n", -1)) {
      screen.line(INDENT + screen.styled(Style.QUIET, shortened(line)));
    }
  }

  private void checkContent(JsonNode result, DemoModel model) throws IOException {
    MessageDigest digest = Sha256.newDigest();
    Path path = Path.of(result.path("path").asText());
    try (InputStream in = Files.newInputStream(path);
        OutputStream out = new DigestOutputStream(OutputStream.nullOutputStream(), digest)) {
      in.transferTo(out);
    }
    Sha256 onDisk = Sha256.finish(digest);
    check(
        onDisk.equals(model.sha256()) && onDisk.hex().equals(result.path("sha256").asText()),
        "SHA-256 of the file on disk: " + onDisk.hex().substring(0, 16) + "..., as served.");
  }

  private void title(int number, String text) {
    screen.line("");
    screen.line(screen.styled(Style.TITLE, number + "  " + text));
  }

  private void say(String sentence) {
    screen.line(INDENT + sentence);
  }

  private void check(boolean holds, String sentence) {
    allHeld &= holds;
    screen.line(
        INDENT
            + (holds ? screen.styled(Style.GOOD, "ok  ") : screen.styled(Style.BAD, "FAILED  "))
            + sentence);
  }

  private static String megabytesPerSecond(double bytesPerSecond) {
    return String.format(Locale.ROOT, "%.1f MB/s", bytesPerSecond / 1e6);
  }

  /** A text whose hashes are cut in the middle, so that it fits a line. */
  private static String shortened(String text) {
    return text.replaceAll("([0-9a-f]{8})[0-9a-f]{48}([0-9a-f]{8})", "$1...$2");
  }

  /** The sidecar process of this demo, with its progress shown. */
  private final class Sidecar implements AutoCloseable, ServeClient.Listener {
    private final ServeClient client;

    /** Notified at each change. */
    private final Object lock = new Object();

    private double share;
    private long receivedBytes;

    Sidecar(Path folder) throws IOException {
      List<String> flags =
          List.of(
              "--allow-http",
              "--allow-private-hosts",
              "--log-level=warn",
              "--models-dir=" + folder.resolve("models"));
      client =
          ServeClient.start(
              ServeClient.ownCommand(flags), environment -> isolate(environment, folder), this);
    }

    /** Neither settings nor proxies of the user's may change what is shown. */
    private static void isolate(Map<String, String> environment, Path folder) {
      environment
          .keySet()
          .removeIf(
              name -> {
                String upper = name.toUpperCase(Locale.ROOT);
                return upper.startsWith("ANYMATIX_") || upper.endsWith("_PROXY");
              });
      environment.put("ANYMATIX_HOME", folder.resolve("state").toString());
    }

    CompletableFuture<JsonNode> fetch(String url, String type) {
      synchronized (lock) {
        share = 0;
      }
      long id = ++lastId;
      ObjectNode params = JSON.createObjectNode().put("url", url).put("type", type);
      return client.call(id, "fetch", params.put("progressToken", id));
    }

    /** Waits until a share has arrived, and returns the bytes that have. */
    long awaitShare(double wanted, CompletableFuture<JsonNode> running)
        throws InterruptedException {
      var unused =
          running.whenComplete(
              (result, failure) -> {
                synchronized (lock) {
                  lock.notifyAll();
                }
              });
      synchronized (lock) {
        while (share < wanted && !running.isDone()) {
          lock.wait();
        }
        return receivedBytes;
      }
    }

    void kill() throws InterruptedException {
      client.kill();
    }

    @Override
    public void notification(String method, JsonNode params) {
      if (!method.equals("$/progress")) {
        return;
      }
      Progress progress;
      try {
        progress = JSON.treeToValue(params.path("value"), Progress.class);
      } catch (JsonProcessingException e) {
        check(false, "The progress can not be read: " + e.getOriginalMessage());
        return;
      }
      Double now = progress.progress();
      if (now != null && progress.status() == Progress.Status.PROGRESS) {
        screen.update(
            INDENT
                + ProgressLine.of(
                    progress, screen.columns() - INDENT.length() - 1, screen.unicode()));
      }
      synchronized (lock) {
        share = now == null ? share : now;
        receivedBytes = progress.receivedBytes();
        lock.notifyAll();
      }
    }

    @Override
    public void log(String line) {
      screen.line(INDENT + screen.styled(Style.QUIET, line));
    }

    @Override
    public void close() {
      client.close();
    }
  }

  /** Removes a folder and all that is in it. */
  static void remove(Path folder) throws IOException {
    try (Stream<Path> tree = Files.walk(folder)) {
      for (Path path : tree.sorted(Comparator.reverseOrder()).toList()) {
        Files.deleteIfExists(path);
      }
    }
  }
}
