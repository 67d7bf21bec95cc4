package io.anymatix.fetcher.content;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What is left of a text when it is shown. Learnt secrets stay learnt, so each test has its own.
 */
class RedactorTest {
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "https://h.test/m?a=b&c                   | https://h.test/m?a=b&c",
        "https://h.test/m?token=x&a=b             | https://h.test/m?token=<redacted>&a=b",
        "https://h.test/m?a=b&TOKEN=x             | https://h.test/m?a=b&TOKEN=<redacted>",
        "https://h.test/m?X-Amz-Signature=x       | https://h.test/m?X-Amz-Signature=<redacted>",
        "https://h.test/m?Policy=x&Key-Pair-Id=y  | https://h.test/m?Policy=<redacted>&Key-Pair-Id=<redacted>",
        "https://h.test/m?token=                  | https://h.test/m?token=<redacted>",
        "https://h.test/m?token                   | https://h.test/m?token",
        "https://h.test/m?%3Ftoken=x              | https://h.test/m?%3Ftoken=<redacted>",
        "https://me:pass@h.test/m                 | https://h.test/m",
        "https://me@h.test:8443/m?a#part          | https://h.test:8443/m?a#part",
        "https://mega.nz/file/ID#KEY              | https://mega.nz/file/ID#<redacted>",
        "https://www.mega.co.nz/#!ID!KEY          | https://www.mega.co.nz/#!ID!<redacted>",
        "https://mega.nz/#!ID                     | https://mega.nz/#!ID",
        "https://notmega.test/file/ID#KEY         | https://notmega.test/file/ID#KEY",
      })
  void aUrlLosesWhatLetsOthersUseIt(String url, String shown) {
    assertEquals(shown, Redactor.url(url));
    assertEquals("see " + shown + " there", Redactor.text("see " + url + " there"));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "Authorization: Bearer abc                | <redacted>",
        "sent Authorization=Basic YTpi            | sent <redacted>",
        "cookie: a=b; c=d                         | <redacted>",
        "it said bearer abc and ended             | it said <redacted> and ended",
        "GET /m?a=1&api_key=abc HTTP/1.1          | GET /m?a=1&api_key=<redacted> HTTP/1.1",
        "GET /m?confirm=abc                       | GET /m?confirm=<redacted>",
        "{'token=abc'}                            | {'token=<redacted>'}",
        "to confirm=yes the policy=strict         | to confirm=yes the policy=strict",
        "mytoken=abc tokens=3                     | mytoken=abc tokens=3",
      })
  void anyTextLosesCredentialsByTheirShape(String text, String shown) {
    assertEquals(shown, Redactor.text(text));
  }

  @Test
  void aLearntSecretIsMaskedWhereverItStands() {
    Redactor.learn("l3arnt-alpha");
    assertEquals(
        "/path/<redacted>/x <redacted>", Redactor.text("/path/l3arnt-alpha/x l3arnt-alpha"));
    assertEquals("https://h.test/<redacted>?q", Redactor.url("https://h.test/l3arnt-alpha?q"));
  }

  @ParameterizedTest
  @CsvSource({
    "https://h.test/m?a=plain&Token=epsilon-1#x, epsilon-1",
    "https://me:epsilon-2@h.test/m, epsilon-2",
    "https://mega.nz/file/ID#epsilon-3, epsilon-3",
    "https://mega.nz/#!ID!epsilon-4, epsilon-4",
  })
  void whatAUrlBringsAlongIsMaskedWhereItStandsByItself(String url, String secret) {
    Redactor.learnFrom(url);
    assertEquals("bad <redacted> of plain", Redactor.text("bad " + secret + " of plain"));
  }

  @Test
  void aSecretThatBeginsLikeAnotherIsMaskedWhole() {
    Redactor.learn("beta-secret");
    Redactor.learn("beta-secret-and-more");
    assertEquals("<redacted> <redacted>", Redactor.text("beta-secret-and-more beta-secret"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"g/m m+a=7", "g%2Fm%20m%2Ba%3D7", "g%2Fm+m%2Ba%3D7"})
  void aSecretIsMaskedInTheSpellingsOfAQuery(String spelling) {
    Redactor.learn("g%2Fm+m%2Ba%3D7");
    assertEquals("x <redacted> y", Redactor.text("x " + spelling + " y"));
  }

  @Test
  void anOrdinaryWordIsNotMaskedBecauseSomebodyUsesItAsAPassword() {
    Redactor.learn("model");
    assertEquals("the model", Redactor.text("the model"));
  }

  @Test
  void aStrayPercentSignIsNoReasonToFail() {
    Redactor.learn("100%-delta");
    assertEquals("<redacted> <redacted>", Redactor.text("100%-delta 100%25-delta"));
  }

  @Test
  void whatChoosesAmongAModelsFilesIsNoSecretAllElseOfATailIs() {
    Redactor.learnTail("format=SafeTensor&token=zeta-1&other=zeta-2&size=pruned&zeta-3-alone");
    assertEquals(
        "SafeTensor <redacted> <redacted> pruned <redacted>",
        Redactor.text("SafeTensor zeta-1 zeta-2 pruned zeta-3-alone"));
  }

  @Test
  void secretsOfLinksAreForgottenAfterThousandsOfOthersButNoLastingOne() {
    Redactor.learn("eta-lasting");
    Redactor.learnPassing("eta-first");
    for (int i = 0; i < 3000; i++) {
      Redactor.learnPassing("eta-passing-" + i + "-");
      Redactor.learnPassing("eta-used-all-the-time");
    }
    assertEquals(
        "<redacted> eta-first <redacted> <redacted>",
        Redactor.text("eta-lasting eta-first eta-passing-2999- eta-used-all-the-time"));
  }
}
