package io.anymatix.fetcher.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DemoTest {
  private static final long MB = 1_000_000;

  @TempDir
  @SuppressWarnings("NullAway.Init") // JUnit fills it
  Path folder;

  @Test
  void everythingThatTheDemoClaimsHolds() throws Exception {
    StringWriter shown = new StringWriter();
    Screen screen = Screen.plain(new PrintWriter(shown));
    boolean held = new Demo(screen, new Demo.Sizes(24 * MB, 96 * MB, 2 * MB, MB)).run(folder);
    assertTrue(held, shown.toString());
    assertTrue(shown.toString().contains("The server counted 0 requests."), shown.toString());
    assertFalse(shown.toString().contains("\u001b"), "no control characters without a terminal");
    shown
        .toString()
        .lines()
        .filter(line -> !line.contains("\"url\""))
        .forEach(line -> assertTrue(line.length() < 80, line));
    Demo.remove(folder.resolve("models"));
    assertFalse(Files.exists(folder.resolve("models")));
  }

  @Test
  void modelIsTheSameWhicheverRangeIsAskedFor() throws Exception {
    DemoModel model = new DemoModel("m.safetensors", 300_003, 5);
    ByteArrayOutputStream whole = new ByteArrayOutputStream();
    model.write(0, model.lengthBytes() - 1, whole);
    assertEquals(model.lengthBytes(), whole.size());
    for (long first : new long[] {0, 1, 7, 519, 520, 521, 65_535, 131_073}) {
      ByteArrayOutputStream range = new ByteArrayOutputStream();
      model.write(first, first + 70_000 - 1, range);
      byte[] expected = Arrays.copyOfRange(whole.toByteArray(), (int) first, (int) first + 70_000);
      assertTrue(Arrays.equals(expected, range.toByteArray()), "from " + first);
    }
  }

  @Test
  void noColorIsRespectedUnlessEmpty() {
    assertTrue(Screen.wantsColours(Map.of()));
    assertTrue(Screen.wantsColours(Map.of("NO_COLOR", "")));
    assertFalse(Screen.wantsColours(Map.of("NO_COLOR", "1")));
  }
}
