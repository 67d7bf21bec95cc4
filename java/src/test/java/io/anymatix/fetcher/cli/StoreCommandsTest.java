package io.anymatix.fetcher.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.anymatix.fetcher.cli.Table.Column;
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.Content;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The commands that look after a store, as a user types them. */
class StoreCommandsTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir
  @SuppressWarnings("NullAway.Init") // JUnit fills it
  Path models;

  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final ByteArrayOutputStream err = new ByteArrayOutputStream();

  @Test
  void listShowsAndVerifyJudgesWhatFetchStored() throws Exception {
    try (ByteRangeServer server = ByteRangeServer.start()) {
      String url = server.serve("/m.safetensors", Content.safetensors(1, 40_000)).url();
      assertEquals(0, run("fetch", "--type=lora", url), text());
      Path file = Path.of(out.toString(StandardCharsets.UTF_8).strip());

      assertEquals(0, run("list"), text());
      assertTrue(text().contains("40.0 kB  sha256-computed  " + file.getFileName()), text());
      assertTrue(text().contains("1 model, 40.0 kB"), text());

      assertEquals(0, run("verify"), text());
      Files.write(file, new byte[40_000]);
      assertEquals(5, run("verify"), text());
      assertTrue(text().contains("BAD  " + file), text());
      assertEquals(0, run("verify", "--repair", "--json"), text());
      JsonNode result = JSON.readTree(out.toByteArray());
      assertTrue(result.at("/corrupt/0/repaired").asBoolean(), text());
    }
  }

  @Test
  void gcTellsFirstAndRemovesWhenToldTo() throws Exception {
    Path part = Files.write(models.resolve("m.bin.part"), new byte[3]);
    Files.setLastModifiedTime(part, FileTime.from(Instant.parse("2024-01-02T03:04:05Z")));
    assertEquals(0, run("gc"), text());
    assertTrue(text().contains("Would remove 1 file, 3 bytes"), text());
    assertTrue(Files.exists(part));
    assertEquals(0, run("gc", "--remove", "--older-than=36500"), text());
    assertTrue(Files.exists(part), "it is not that old");
    assertEquals(0, run("gc", "--remove", "--json"), text());
    assertEquals(3, JSON.readTree(out.toByteArray()).path("bytes").asInt(), text());
    assertFalse(Files.exists(part));
    assertEquals(2, run("gc", "--remove", "--dry-run"), text());
    assertEquals(2, run("gc", "--older-than=-1"), text());
    assertEquals(2, run("list", "--type=no-such-type"), text());
  }

  @ParameterizedTest
  @CsvSource({
    "0, 0 bytes",
    "1, 1 byte",
    "999, 999 bytes",
    "1000, 1.0 kB",
    "999949, 999.9 kB",
    "999950, 1.0 MB",
    "34100000000, 34.1 GB",
    "9223372036854775807, 9223372.0 TB",
  })
  void bytesAreToldInUnitsAReaderKnows(long bytes, String told) {
    assertEquals(told, Table.bytes(bytes));
  }

  @Test
  void aTableFitsItsTerminalAndKeepsBothEndsOfWhatItCuts() {
    Table table =
        new Table(Column.NUMBER, Column.TEXT, Column.FLEXIBLE, Column.FLEXIBLE)
            .row("1.0 MB", "size", "a-name-that-is-long.safetensors", "https://host/a/b/c.bin")
            .row("12.0 MB", "sha256", "short", "");
    List<String> wide = table.lines(Integer.MAX_VALUE, true);
    assertEquals(
        " 1.0 MB  size    a-name-that-is-long.safetensors  https://host/a/b/c.bin", wide.get(0));
    assertEquals("12.0 MB  sha256  short", wide.get(1));
    for (int width = 60; width > 45; width--) {
      String line = table.lines(width, true).get(0);
      assertTrue(line.length() <= width, line);
      assertTrue(line.startsWith(" 1.0 MB  size    a-na") && line.endsWith(".bin"), line);
    }
    assertEquals("ab..yz", Table.withoutMiddle("abcdefghijklmnopqrstuvwxyz", 6, false));
  }

  private int run(String... words) {
    out.reset();
    err.reset();
    List<String> args = new ArrayList<>(List.of(words));
    args.add("--models-dir=" + models);
    return Cli.run(args.toArray(new String[0]), InputStream.nullInputStream(), out, err);
  }

  private String text() {
    return out.toString(StandardCharsets.UTF_8) + "\n-- stderr --\n" + err;
  }
}
