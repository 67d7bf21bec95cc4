package io.anymatix.fetcher.cli;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.Reader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** A command of this program at a pseudo terminal of the operating system, 100 columns wide. */
final class PtyProcess implements AutoCloseable {
  private static final long PATIENCE_MILLIS = 30_000;

  private final StringBuilder screen = new StringBuilder();
  private final Process process;

  /** How much of the plain text was waited for. */
  private int seen;

  private PtyProcess(Process process) {
    this.process = process;
  }

  /**
   * Starts a command.
   *
   * @param folder an empty one, for what is kept at home
   */
  static PtyProcess start(Path folder, String... arguments) throws IOException {
    Path bridge = folder.resolve("pty_bridge.py");
    try (InputStream script = PtyProcess.class.getResourceAsStream("/pty_bridge.py")) {
      Files.write(bridge, script.readAllBytes());
    }
    List<String> command = new ArrayList<>(List.of("python3", bridge.toString()));
    List<String> serve = ServeClient.ownCommand(List.of());
    command.addAll(serve.subList(0, serve.size() - 1));
    command.addAll(List.of(arguments));
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.environment().put("ANYMATIX_HOME", folder.resolve("home").toString());
    builder.environment().remove("NO_COLOR");
    PtyProcess started = new PtyProcess(builder.start());
    Thread reader = new Thread(started::readScreen, "pty-screen");
    reader.setDaemon(true);
    reader.start();
    return started;
  }

  void type(String keys) throws IOException {
    OutputStream stdin = process.getOutputStream();
    stdin.write(keys.getBytes(StandardCharsets.UTF_8));
    stdin.flush();
  }

  /** Waits until a text is on the screen behind the one that was waited for before. */
  void await(String text) throws InterruptedException {
    long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(PATIENCE_MILLIS);
    synchronized (screen) {
      while (true) {
        String plain = plain(screen.toString());
        int found = plain.indexOf(text, seen);
        if (found >= 0) {
          seen = found + text.length(); // no further: what is waited for next may have come as well
          return;
        }
        long left = TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime());
        if (left <= 0) {
          throw new AssertionError(
              "waited in vain for " + text + "; the screen got\n" + plain.substring(seen));
        }
        screen.wait(left);
      }
    }
  }

  /** Waits for texts behind the one that was waited for before, whichever comes first. */
  void awaitAll(String... texts) throws InterruptedException {
    int from = seen;
    int end = from;
    for (String text : texts) {
      seen = from;
      await(text);
      end = Math.max(end, seen);
    }
    seen = end;
  }

  /** All that was written so far, with control sequences. */
  String written() {
    synchronized (screen) {
      return screen.toString();
    }
  }

  /** What was written, without the sequences that move the cursor and set colours (ECMA-48). */
  static String plain(String written) {
    return written.replaceAll("\u001b\\[[0-9;?]*[ -/]*[@-~]|\u001b[()][A-Z0-9]|\u001b[=>78]", "");
  }

  private void readScreen() {
    char[] buffer = new char[8192];
    try (Reader in = process.inputReader(StandardCharsets.UTF_8)) {
      for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
        synchronized (screen) {
          screen.append(buffer, 0, n);
          screen.notifyAll();
        }
      }
    } catch (IOException e) {
      // The process was ended.
    }
  }

  int exitCode() throws InterruptedException {
    assertTrue(
        process.waitFor(PATIENCE_MILLIS, TimeUnit.MILLISECONDS), () -> "no end: " + written());
    return process.exitValue();
  }

  @Override
  public void close() {
    process.destroyForcibly().onExit().join();
  }
}
