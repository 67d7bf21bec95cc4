package io.anymatix.fetcher.source;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.content.Redactor;
import io.anymatix.fetcher.failure.InvalidParamsException;
import io.anymatix.fetcher.source.Credentials.Site;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Where tokens are found, and which one counts. */
class CredentialsTest {
  @SuppressWarnings("NullAway.Init") // set before each test
  @TempDir
  Path home;

  private final Map<String, String> environment = new HashMap<>();

  private Credentials credentials() {
    environment.putIfAbsent("HOME", home.toString());
    return new Credentials(environment, HubSettings.of(environment));
  }

  private String token(Site site) {
    return credentials().fields(site).getOrDefault("Authorization", "none");
  }

  private void write(String path, String text) throws IOException {
    Path file = home.resolve(path);
    Files.createDirectories(file.getParent());
    Files.writeString(file, text);
  }

  @ParameterizedTest
  @CsvSource({
    "HF_TOKEN, HUGGING_FACE_HUB_TOKEN, HUGGING_FACE",
    "HUGGING_FACE_HUB_TOKEN, HF_API_TOKEN, HUGGING_FACE",
    "CIVITAI_API_TOKEN, CIVITAI_API_KEY, CIVITAI",
    "CIVITAI_API_KEY, CIVITAI_TOKEN, CIVITAI",
    "CIVITAI_TOKEN, CIVIT_TOKEN, CIVITAI",
  })
  void theVariableThatTheSitesOwnToolsReadFirstCounts(String first, String second, Site site) {
    environment.put(second, "tokenSecond");
    assertEquals("Bearer tokenSecond", token(site));
    environment.put(first, " first\n");
    assertEquals("Bearer first", token(site));
    environment.put(first, "  ");
    assertEquals("Bearer tokenSecond", token(site));
  }

  @Test
  void aTokenSetWhileRunningOutranksTheEnvironmentWhichOutranksTheFile() throws Exception {
    write(".cache/huggingface/token", "from-file\n");
    assertEquals("Bearer from-file", token(Site.HUGGING_FACE));
    environment.put("HF_TOKEN", "from-environment");
    assertEquals("Bearer from-environment", token(Site.HUGGING_FACE));
    Credentials credentials = credentials();
    credentials.set(Site.HUGGING_FACE, " set-while-running ");
    assertEquals(
        "Bearer set-while-running", credentials.fields(Site.HUGGING_FACE).get("Authorization"));
    credentials.set(Site.HUGGING_FACE, "");
    assertEquals(
        "Bearer from-environment", credentials.fields(Site.HUGGING_FACE).get("Authorization"));
  }

  @Test
  void theTwoSitesAreNeverTakenForEachOther() throws Exception {
    Credentials credentials = credentials();
    credentials.set(Site.CIVITAI, "only-civitai");
    assertTrue(credentials.isHeld(Site.CIVITAI));
    assertFalse(credentials.isHeld(Site.HUGGING_FACE));
    assertEquals(Map.of(), credentials.fields(Site.HUGGING_FACE));
    write(".civitai/config", "civitai-file");
    assertEquals("Bearer civitai-file", token(Site.CIVITAI));
    assertEquals("none", token(Site.HUGGING_FACE));
  }

  @Test
  void theTokenFileIsWhereTheSitesOwnToolPutsIt() throws Exception {
    write(".cache/huggingface/token", "tokenDefault");
    write("xdg/huggingface/token", "xdg");
    write("hf/token", "home");
    write("named", "named");
    assertEquals("Bearer tokenDefault", token(Site.HUGGING_FACE));
    environment.put("XDG_CACHE_HOME", home.resolve("xdg").toString());
    assertEquals("Bearer xdg", token(Site.HUGGING_FACE));
    environment.put("HF_HOME", "~/hf");
    assertEquals("Bearer home", token(Site.HUGGING_FACE));
    environment.put("HF_TOKEN_PATH", home.resolve("named").toString());
    assertEquals("Bearer named", token(Site.HUGGING_FACE));
  }

  @ParameterizedTest
  @ValueSource(strings = {"1", "on", "YES", "True"})
  void aTokenThatNobodyHandedOverCanBeForbidden(String yes) throws Exception {
    write(".cache/huggingface/token", "from-file");
    environment.put("HF_TOKEN", "from-environment");
    environment.put("HF_HUB_DISABLE_IMPLICIT_TOKEN", yes);
    assertEquals("none", token(Site.HUGGING_FACE));
    Credentials credentials = credentials();
    credentials.set(Site.HUGGING_FACE, "handed-over");
    assertEquals("Bearer handed-over", credentials.fields(Site.HUGGING_FACE).get("Authorization"));
  }

  @Test
  void aLoginWhileTheProcessRunsCountsAtOnceAndIsMasked() throws Exception {
    Credentials credentials = credentials();
    assertEquals(Map.of(), credentials.fields(Site.HUGGING_FACE));
    write(".cache/huggingface/token", "hf_loginWhileRunning");
    assertEquals(
        "Bearer hf_loginWhileRunning", credentials.fields(Site.HUGGING_FACE).get("Authorization"));
    assertFalse(Redactor.text("said hf_loginWhileRunning").contains("loginWhileRunning"));
  }

  @Test
  void aFileThatIsNoTokenIsPassedOver() throws Exception {
    for (String text : new String[] {"", " \n", "two words", "a\u0007b", "x".repeat(5000), "é"}) {
      write(".cache/huggingface/token", text);
      assertEquals("none", token(Site.HUGGING_FACE), text.substring(0, Math.min(9, text.length())));
    }
    Files.delete(home.resolve(".cache/huggingface/token"));
    Files.createDirectory(home.resolve(".cache/huggingface/token"));
    assertEquals("none", token(Site.HUGGING_FACE));
  }

  @Test
  void aTokenThatWouldBreakAHeaderIsRefused() {
    Credentials credentials = credentials();
    assertThrows(
        InvalidParamsException.class, () -> credentials.set(Site.CIVITAI, "a\r\nX-Evil: 1"));
    assertFalse(credentials.isHeld(Site.CIVITAI));
    environment.put("HF_TOKEN", "a\r\nX-Evil: 1");
    assertEquals("none", token(Site.HUGGING_FACE));
  }
}
