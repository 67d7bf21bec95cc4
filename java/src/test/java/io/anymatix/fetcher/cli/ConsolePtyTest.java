package io.anymatix.fetcher.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.Gate;
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
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** The console at a pseudo terminal of the operating system, one key after the other. */
@Timeout(90)
@DisabledOnOs(value = OS.WINDOWS, disabledReason = "Python has no pseudo terminals there")
class ConsolePtyTest {
  private static final String TAB = "\t";
  private static final String ENTER = "\r";
  private static final String CTRL_C = "\u0003";
  private static final String CTRL_D = "\u0004";
  private static final String UP = "\u001bOA"; // as terminals send it to programs that edit lines
  private static final long PATIENCE_MILLIS = 30_000;

  @TempDir
  @SuppressWarnings("NullAway.Init") // JUnit fills it
  Path folder;

  private final StringBuilder screen = new StringBuilder();
  private int seen;

  @SuppressWarnings("NullAway.Init") // set before each test
  private Process process;

  @BeforeEach
  void startTheConsole() throws Exception {
    Path bridge = folder.resolve("pty_bridge.py");
    try (InputStream script = ConsolePtyTest.class.getResourceAsStream("/pty_bridge.py")) {
      Files.write(bridge, script.readAllBytes());
    }
    List<String> command = new ArrayList<>(List.of("python3", bridge.toString()));
    List<String> serve = ServeClient.ownCommand(List.of());
    command.addAll(serve.subList(0, serve.size() - 1));
    command.addAll(List.of("console", "--models-dir=" + Files.createDirectory(models())));
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.environment().put("ANYMATIX_HOME", folder.resolve("home").toString());
    builder.environment().remove("NO_COLOR");
    process = builder.start();
    Thread reader = new Thread(this::readScreen, "pty-screen");
    reader.setDaemon(true);
    reader.start();
    await("anymatix> ");
  }

  @AfterEach
  void endTheConsole() throws InterruptedException {
    process.destroyForcibly();
    process.waitFor();
  }

  @Test
  void tabCompletesMethodsParametersTypesAndFolders() throws Exception {
    type("stat" + TAB);
    await("status ");
    type(ENTER);
    await("\"uptimeMillis\"");

    type("isCh" + TAB);
    await("isChanged ");
    type("url=http://host/m ty" + TAB);
    await("type=");
    type("checkp" + TAB);
    await("checkpoint ");
    type("di" + TAB + models().getParent() + "/mod" + TAB);
    await("models/");
    type("\u0015" + "verify repair=t" + TAB);
    await("repair=true");
    type(ENTER);
    await("\"checkedFiles\" : 0");
  }

  @Test
  void controlCCancelsTheRequestAndNotTheConsole() throws Exception {
    Gate gate = new Gate();
    try (ByteRangeServer server = ByteRangeServer.start()) {
      String url =
          server
              .serve("/m.safetensors", Content.safetensors(1, 8 * Content.MIB))
              .when(
                  request -> !"bytes=0-0".equals(request.header("Range")),
                  Fault.freezesAfter(500_000, gate))
              .url();
      type("fetch " + url + " type=lora" + ENTER);
      await("░");
      await("%");
      type(CTRL_C);
      await("Cancelling 1 request.");
      await("-32800");
      type("ping" + ENTER);
      await("\"pong\"");
      gate.open();
    }
    type(CTRL_D);
    assertEquals(0, exitCode());
  }

  @Test
  void arrowUpBringsTheLastLineBackAlsoInTheNextConsole() throws Exception {
    type("ping" + ENTER);
    await("\"pong\"");
    type(UP);
    await("ping");
    type(ENTER);
    await("\"pong\"");
    type("setCredentials civitai=s3cr3ts3cr3t" + ENTER);
    await("\"civitai\"");
    type("quit" + ENTER);
    assertEquals(0, exitCode());
    String history = Files.readString(folder.resolve("home/console-history"));
    assertTrue(history.contains("ping") && !history.contains("s3cr3t"), history);
  }

  @Test
  void aBarGrowsWhileTheFileComesAndAnswersAreShownAboveThePrompt() throws Exception {
    try (ByteRangeServer server = ByteRangeServer.start()) {
      server.limitRate(4 * Content.MIB);
      String url = server.serve("/m.safetensors", Content.safetensors(2, 8 * Content.MIB)).url();
      type("fetch " + url + " type=lora" + ENTER);
      await("█");
      type("ping" + ENTER);
      await("\"pong\"");
      await("\"outcome\" : \"downloaded\"");
      type("ping" + ENTER);
      await("\"pong\"");
    }
  }

  private Path models() {
    return folder.resolve("models");
  }

  private void type(String keys) throws IOException {
    OutputStream stdin = process.getOutputStream();
    stdin.write(keys.getBytes(StandardCharsets.UTF_8));
    stdin.flush();
  }

  /** Waits until a text comes on the screen behind what was waited for before. */
  private void await(String text) throws InterruptedException {
    long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(PATIENCE_MILLIS);
    synchronized (screen) {
      while (true) {
        String plain = plain(screen.substring(seen));
        int at = plain.indexOf(text);
        if (at >= 0) {
          seen = screen.length();
          return;
        }
        long left = TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime());
        if (left <= 0) {
          throw new AssertionError("waited in vain for " + text + "; the screen got\n" + plain);
        }
        screen.wait(left);
      }
    }
  }

  /** What was written, without the sequences that move the cursor and set colours (ECMA-48). */
  private static String plain(String written) {
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

  private int exitCode() throws InterruptedException {
    assertTrue(process.waitFor(PATIENCE_MILLIS, TimeUnit.MILLISECONDS), "the console does not end");
    return process.exitValue();
  }
}
