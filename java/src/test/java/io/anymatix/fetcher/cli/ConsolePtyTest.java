package io.anymatix.fetcher.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.Gate;
import io.anymatix.fetcher.testing.Request;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
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

  @TempDir
  @SuppressWarnings("NullAway.Init") // JUnit fills it
  Path folder;

  @SuppressWarnings("NullAway.Init") // set before each test
  private PtyProcess console;

  @BeforeEach
  void startTheConsole() throws Exception {
    console =
        PtyProcess.start(
            folder, "console", "--models-dir=" + Files.createDirectory(folder.resolve("models")));
    await("anymatix> ");
  }

  @AfterEach
  void endTheConsole() throws InterruptedException {
    console.close();
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
              .when(Request::isForContent, Fault.freezesAfter(500_000, gate))
              .url();
      type("fetch " + url + " type=lora" + ENTER);
      await("░");
      await("%");
      type(CTRL_C);
      console.awaitAll("Cancelling 1 request.", "-32800");
      type("ping" + ENTER);
      await("\"pong\"");
      await("anymatix> "); // reads keys again, of which Control-D is one
      gate.open();
    }
    type(CTRL_D);
    assertEquals(0, console.exitCode());
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
    assertEquals(0, console.exitCode());
    String history = Files.readString(folder.resolve("home/console-history"));
    assertTrue(history.contains("ping") && !history.contains("s3cr3t"), history);
  }

  @Test
  void aBarGrowsWhileTheFileComesAndAnswersAreShownAboveThePrompt() throws Exception {
    try (ByteRangeServer server = ByteRangeServer.start()) {
      Gate gate = new Gate();
      String url =
          server
              .serve("/m.safetensors", Content.safetensors(2, 8 * Content.MIB))
              .when(Request::isForMore, Fault.freezesAfter(500_000, gate))
              .url();
      type("fetch " + url + " type=lora" + ENTER);
      await("█");
      type("ping" + ENTER);
      await("\"pong\"");
      gate.open();
      await("\"outcome\" : \"downloaded\"");
      type("ping" + ENTER);
      await("\"pong\"");
    }
  }

  @Test
  void eachRunningRequestHasABarOfItsOwn() throws Exception {
    try (ByteRangeServer server = ByteRangeServer.start()) {
      server.limitRate(Content.MIB);
      server.serve("/a.safetensors", Content.safetensors(2, 64 * Content.MIB));
      server.serve("/b.safetensors", Content.safetensors(3, 64 * Content.MIB));
      type("fetch " + server.url("/a.safetensors") + " type=lora" + ENTER);
      await("[1] ");
      await("░");
      type("fetch " + server.url("/b.safetensors") + " type=lora" + ENTER);
      await("[1] "); // its line has moved up by one, and is drawn again
      await("%");
      type(CTRL_C);
      await("Cancelling 2 requests.");
    }
  }

  private Path models() {
    return folder.resolve("models");
  }

  private void type(String keys) throws IOException {
    console.type(keys);
  }

  private void await(String text) throws InterruptedException {
    console.await(text);
  }
}
