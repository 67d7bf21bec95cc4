package io.anymatix.fetcher.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.config.ConnectTo;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.commons.cli.Options;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What flags and environment make of the settings together. */
class OwnerOptionsTest {
  @SuppressWarnings("NullAway.Init") // set before each test
  @TempDir
  Path folder;

  private static Config config(Map<String, String> environment, String... flags) {
    return config(environment, false, flags);
  }

  private static Config config(
      Map<String, String> environment, boolean typedByOwner, String... flags) {
    Options known = OwnerOptions.addTo(new Options());
    OwnerOptions options = new OwnerOptions(Arguments.parse(known, Command.Operands.NONE, flags));
    Map<String, String> variables = new HashMap<>(environment);
    variables.putIfAbsent("HOME", "/nonexistent");
    return options.toConfig(variables, typedByOwner);
  }

  private static IllegalArgumentException refused(
      Map<String, String> environment, String... flags) {
    return assertThrows(IllegalArgumentException.class, () -> config(environment, flags));
  }

  @Test
  void withoutAnythingOnlyHttpsToPublicHostsIsReached() {
    Config config = config(Map.of());
    assertFalse(config.allowHttp());
    assertFalse(config.allowPrivateHosts());
    assertFalse(config.offline());
    assertEquals(List.of(), config.allowedHosts());
    assertEquals(List.of(), config.certificates());
    assertNull(config.proxies().forHttps());
  }

  @Test
  void whoTypesAtATerminalIsTheOwner() {
    Config config = config(Map.of(), true);
    assertTrue(config.allowHttp());
    assertTrue(config.allowPrivateHosts());
  }

  @ParameterizedTest
  @CsvSource({"1,true", "true,true", "YES,true", "on,true", "0,false", "'',false", "maybe,false"})
  void aSwitchInTheEnvironmentIsReadByItsValue(String value, boolean on) {
    Config config =
        config(
            Map.of(
                "ANYMATIX_ALLOW_HTTP", value,
                "ANYMATIX_ALLOW_PRIVATE_HOSTS", value,
                "ANYMATIX_REFUSE_PICKLE", value,
                "ANYMATIX_ACCEPT_ANY_CONTENT", value,
                "ANYMATIX_OFFLINE", value));
    assertEquals(
        List.of(on, on, on, on, on),
        List.of(
            config.allowHttp(),
            config.allowPrivateHosts(),
            config.refusePickle(),
            config.acceptAnyContent(),
            config.offline()));
  }

  @Test
  void theHubClientsOfflineSwitchIsNotOurs() {
    assertFalse(config(Map.of("HF_HUB_OFFLINE", "1")).offline());
  }

  @Test
  void aFlagWinsOverItsVariable() throws IOException {
    Path flags = Files.createFile(folder.resolve("flags.pem"));
    Path variables = Files.createFile(folder.resolve("variables.pem"));
    Config config =
        config(
            Map.of(
                "ANYMATIX_ALLOWED_HOSTS", "a.test",
                "ANYMATIX_CONNECT_TO", "a:1:b:2",
                "SSL_CERT_FILE", variables.toString(),
                "ANYMATIX_STALL_TIMEOUT", "7"),
            "--allowed-hosts=b.test,c.test",
            "--connect-to=[::1]:443::8443",
            "--ca-file=" + flags,
            "--stall-timeout=2.5");
    assertEquals(List.of("b.test", "c.test"), config.allowedHosts());
    assertEquals(List.of(new ConnectTo("::1", 443, "", 8443)), config.connectTo());
    assertEquals(List.of(flags), config.certificates());
    assertEquals(Duration.ofMillis(2500), config.stallTimeout());
  }

  @Test
  void everyVariableThatNamesCertificatesIsHeardAndWhatIsMissingIsPassedOver() throws IOException {
    Path file = Files.createFile(folder.resolve("file.pem"));
    Path first = Files.createDirectory(folder.resolve("first"));
    Path second = Files.createDirectory(folder.resolve("second"));
    Config config =
        config(
            Map.of(
                "SSL_CERT_FILE",
                folder.resolve("missing.pem").toString(),
                "SSL_CERT_DIR",
                first + File.pathSeparator + second,
                "REQUESTS_CA_BUNDLE",
                file.toString(),
                "CURL_CA_BUNDLE",
                file.toString()));
    assertEquals(List.of(first, second, file), config.certificates());
  }

  @Test
  void aFileOfTheFlagMustBeThere() {
    String missing = folder.resolve("missing.pem").toString();
    IllegalArgumentException refusal = refused(Map.of(), "--ca-file=" + missing);
    assertTrue(String.valueOf(refusal.getMessage()).contains(missing), refusal.getMessage());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"nonsense", "a:b:c:d", "a:1:b:65536", "a:1:b", "::1:443:a:1", "a:1:b:2:c"})
  void aRuleThatIsNoneIsRefused(String rule) {
    refused(Map.of(), "--connect-to=" + rule);
    refused(Map.of("ANYMATIX_CONNECT_TO", "a:1:b:2," + rule));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "--connections=0", "--connections=65", "--limit-rate=fast", "--limit-rate=-1",
        "--stall-timeout=0", "--stall-timeout=3601", "--stall-timeout=NaN", "--folder=loras"
      })
  void aValueOutOfRangeIsRefused(String flag) {
    refused(Map.of(), flag);
  }

  @ParameterizedTest
  @CsvSource({"0,", "1,1", "20K,20480", "3m,3145728", "1 G,1073741824"})
  void aRateIsReadWithItsUnit(String text, Long bytesPerSecond) {
    assertEquals(bytesPerSecond, config(Map.of(), "--limit-rate=" + text).maxBytesPerSecond());
  }

  @Test
  void noSettingShowsAPassword() {
    Config config = config(Map.of("HTTPS_PROXY", "http://me:zeta-password@proxy:3128"));
    assertFalse(config.toString().contains("zeta-password"), config.toString());
  }
}
