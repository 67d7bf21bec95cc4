package io.anymatix.fetcher.store;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class EffectiveUrlTest {

  @TestFactory
  Stream<DynamicTest> recordedUrlsKeepTheirHashAndName() {
    return GoldenVectors.of("effective_url")
        .map(
            vector ->
                DynamicTest.dynamicTest(
                    vector.get("base").asText(),
                    () -> {
                      EffectiveUrl url =
                          EffectiveUrl.of(
                              vector.get("base").asText(), vector.get("auth").textValue());
                      assertEquals(vector.get("effective").asText(), url.text());
                      assertEquals(vector.get("url_hash").asText(), url.urlHash().hex());
                      assertEquals(vector.get("default_name").asText(), url.lastPathSegment());
                    }));
  }

  @TestFactory
  Stream<DynamicTest> aTokenIsStrippedAsThe2026VersionStripsIt() {
    return GoldenVectors.of("strip_url_token_2026_10")
        .map(
            (JsonNode vector) ->
                DynamicTest.dynamicTest(
                    vector.get("in").asText(),
                    () ->
                        assertEquals(
                            vector.get("out").asText(),
                            EffectiveUrl.storedForm(vector.get("in").asText()))));
  }

  @Test
  void anyUrlAndTailJoinAsPythonJoinsThem() throws Exception {
    long seed = new Random().nextLong();
    Random random = new Random(seed);
    List<String> inputs = new ArrayList<>();
    for (int i = 0; i < 1500; i++) {
      String base = (random.nextBoolean() ? "https://h.example" : "Http://u:p@H:8") + noise(random);
      inputs.add(base + "\u0000" + "k" + noise(random));
    }
    List<String> expected =
        PythonOracle.answers(
            """
            from urllib.parse import urlparse, urlunparse, parse_qsl, urlencode
            def joined(base, auth):
                parts = urlparse(base)
                pairs = parse_qsl(parts.query, keep_blank_values=True)
                pairs += parse_qsl(auth, keep_blank_values=True)
                url = urlunparse(parts._replace(query=urlencode(pairs)))
                return url + '\\n' + urlparse(url).path.split('/')[-1]
            """,
            "joined(*x.split('\\0'))",
            inputs);
    for (int i = 0; i < inputs.size(); i++) {
      String[] input = inputs.get(i).split("\u0000");
      EffectiveUrl url = EffectiveUrl.of(input[0], input[1]);
      assertEquals(
          expected.get(i),
          url.text() + "\n" + url.lastPathSegment(),
          () -> "seed " + seed + ": " + List.of(input));
    }
  }

  /** A path, query and fragment in which every character that means something is frequent. */
  private static String noise(Random random) {
    String[] pieces = {
      "/",
      "/",
      "?",
      "#",
      ";",
      ":",
      "@",
      "&",
      "=",
      "+",
      "%",
      "%2",
      "%2F",
      "%e6%A8%A1",
      "%E6%A8",
      "%ff",
      "%ED%A0%80",
      "%F0%9F%98%80",
      "%F0%9F",
      "%C0%80",
      "\u00e9",
      "\u6a21",
      "\ud83d\ude00",
      " ",
      "\t",
      "\n",
      "~",
      "*",
      "!",
      "'",
      "(",
      "a",
      "b.c",
      "\u007f",
      "\uff11",
      "%\uff11\uff11",
      "\\",
      "[",
      "]"
    };
    StringBuilder text = new StringBuilder("/");
    for (int n = random.nextInt(14); n > 0; n--) {
      text.append(pieces[random.nextInt(pieces.length)]);
    }
    return text.toString();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "https://h.example/a?x=a%20b&Y=1&&flag#f",
        "  HTTPS://H.example:443/a?",
        "https://h.example/a?key=k&tokens=t&X-Amz-Date=d",
        "https://h.example/a#token=t",
        "https://mega.nz/file/ID",
        "not a url"
      })
  void aUrlWithoutCredentialsIsStoredByteForByte(String url) {
    assertSame(url, EffectiveUrl.storedForm(url));
  }

  @ParameterizedTest
  @CsvSource({
    "https://mega.nz/file/ID#KEY, https://mega.nz/file/ID",
    "https://mega.nz/#!ID!KEY, https://mega.nz/#!ID",
    "https://mega.co.nz/#!ID!KEY, https://mega.co.nz/#!ID",
    "https://mega.nz/folder/ID#KEY/file/F1, https://mega.nz/folder/ID#/file/F1",
    "https://mega.nz/#F!ID!KEY!F1, https://mega.nz/#F!ID!!F1",
    "https://u:p@h.example/a?x=%7e#f, https://h.example/a?x=%7e#f",
    "https://u:p@ss@h.example/a, https://h.example/a",
    "https://h.example/a?token=t, https://h.example/a",
    "https://h.example/a?TOKEN=t&x=1, https://h.example/a?x=1",
    "https://h.example/a?x=1&to%6ben=t, https://h.example/a?x=1",
    "https://h.example/a?x=1&token, https://h.example/a?x=1",
    "https://h.example/a?api_key=k&x=1&ApiKey=k, https://h.example/a?x=1",
    "https://h.example/a?access_token=k&sig=s&Signature=t&v=2, https://h.example/a?v=2",
    "https://h.example/a?X-Amz-Signature=s&x-amz-credential=c&X-AMZ-SECURITY-TOKEN=t&X-Amz-Date=d,"
        + " https://h.example/a?X-Amz-Date=d",
  })
  void credentialsAreNotStored(String url, String stored) {
    assertEquals(stored, EffectiveUrl.storedForm(url));
    assertEquals(stored, new EffectiveUrl(url).toString());
    assertTrue(EffectiveUrl.sameButForCredentials(url, stored));
    assertTrue(EffectiveUrl.sameButForCredentials(stored, url));
  }

  @ParameterizedTest
  @CsvSource({
    "https://h.example/m.bin, https://h.example/m.bin?v=2",
    "https://h.example/m.bin?token=t, https://h.example/m.bin?v=2&token=t",
    "https://h.example/m.bin?v=1&token=t, https://h.example/m.bin?v=2&token=t",
    "https://h.example/m.bin, https://h.example/m.bin#f",
    "https://h.example/m.bin, HTTPS://h.example/m.bin",
    "https://h.example/m%20.bin, https://h.example/m+.bin",
    "https://mega.nz/file/A#KEY, https://mega.nz/file/B#KEY",
    "https://mega.nz/folder/ID#KEY/file/F1, https://mega.nz/folder/ID#KEY/file/F2",
    "https://u:p@h.example/a, https://u:p@g.example/a",
  })
  void anyOtherDifferenceIsAnotherFile(String url, String otherUrl) {
    assertFalse(EffectiveUrl.sameButForCredentials(url, otherUrl));
  }

  @Test
  void anEmptyTailChangesNothing() {
    String url = " https://h.example/a?q=a b&";
    assertSame(url, EffectiveUrl.of(url, "").text());
    assertSame(url, EffectiveUrl.of(url, null).text());
  }
}
