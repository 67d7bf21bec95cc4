package io.anymatix.fetcher.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.List;
import org.apache.commons.cli.Option;
import org.apache.commons.cli.Options;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** How words become options, values and operands. */
class ArgumentsTest {
  private static final Option DIR = Command.valued("d", "dir", "D", "");
  private static final Option FOLDER = Command.valued("folder", "NAME=D", "");
  private static final Option COUNT = Command.valued("count", "N", "");
  private static final Option OFFLINE = Command.flag("offline", "");
  private static final Command.Operands ANY =
      new Command.Operands("WORD", "", 0, Integer.MAX_VALUE);

  private static Arguments parse(Command.Operands operands, String... words) {
    Options options = new Options();
    options.addOption(DIR).addOption(FOLDER).addOption(COUNT).addOption(OFFLINE);
    return Arguments.parse(options, operands, words);
  }

  /** Words between spaces. */
  private static Arguments parse(String line) {
    return parse(ANY, line.split(" ", -1));
  }

  private static String mistake(Command.Operands operands, String... words) {
    UsageException mistake =
        assertThrows(UsageException.class, () -> parse(operands, words).operands());
    return String.valueOf(mistake.getMessage());
  }

  @ParameterizedTest
  @ValueSource(strings = {"--dir x=y", "--dir=x=y", "-d x=y", "-d=x=y", "-dx=y"})
  void aValueStandsBehindItsNameInEveryUsualForm(String line) {
    Arguments arguments = parse(line);
    assertEquals("x=y", arguments.text(DIR));
    assertEquals(Path.of("x=y"), arguments.path(DIR));
    assertEquals(List.of(), arguments.operands());
  }

  @ParameterizedTest
  @ValueSource(strings = {"--folder loras=D --folder vae=E", "--folder=loras=D --folder=vae=E"})
  void anOptionForSeveralIsRepeatedAndKeepsTheEqualsSignsOfItsValues(String line) {
    assertEquals(List.of("loras=D", "vae=E"), parse(line).texts(FOLDER));
  }

  @Test
  void whatWasNotTypedIsAbsent() {
    Arguments arguments = parse(ANY);
    assertNull(arguments.text(DIR));
    assertNull(arguments.path(DIR));
    assertNull(arguments.integer(COUNT));
    assertNull(arguments.decimal(COUNT));
    assertEquals(List.of(), arguments.items(FOLDER));
    assertFalse(arguments.flag(OFFLINE));
  }

  @Test
  void operandsStandAnywhereBetweenOptions() {
    Arguments arguments = parse("a --dir x b --offline -");
    assertEquals(List.of("a", "b", "-"), arguments.operands());
    assertEquals("x", arguments.text(DIR));
    assertTrue(arguments.flag(OFFLINE));
  }

  @Test
  void behindTwoHyphensEveryWordIsAnOperand() {
    Arguments arguments = parse("--offline -- run --dir -dx -json -- --offline=no");
    assertEquals(
        List.of("run", "--dir", "-dx", "-json", "--", "--offline=no"), arguments.operands());
    assertNull(arguments.text(DIR));
  }

  @ParameterizedTest
  @ValueSource(strings = {"--count -1", "--count=-1"})
  void aValueMayBeginWithAHyphen(String line) {
    assertEquals(-1, parse(line).integer(COUNT));
    assertEquals(-1.0, parse(line).decimal(COUNT));
  }

  @Test
  void aValueIsTakenAsItIs() {
    assertEquals("\"a b\"", parse(ANY, "--dir", "\"a b\"").text(DIR));
    assertEquals("", parse(ANY, "--dir=").text(DIR));
    assertEquals("", parse(ANY, "--dir", "").text(DIR));
    assertEquals(List.of("\"a b\""), parse(ANY, "\"a b\"").operands());
  }

  @Test
  void commasDivideItems() {
    assertEquals(List.of("a", "b", "c"), parse("--folder a,b --folder=c").items(FOLDER));
    assertEquals(List.of(1, 2, 3), parse("--count 1,2 --count 3").integers(COUNT));
  }

  @Test
  void oneHyphenMeansOneLetter() {
    assertEquals("irectory", parse("-directory").text(DIR));
    assertEquals(
        "Unknown option: -offline. Did you mean --offline?", mistake(ANY, "a", "-offline"));
  }

  @ParameterizedTest
  @CsvSource({
    "--off, Unknown option: --off. Did you mean --offline?",
    "--ofline=1, Unknown option: --ofline. Did you mean --offline?",
    "--versoin, Unknown option: --versoin. Did you mean --version?",
    "--zebra, Unknown option: --zebra",
    "-x, Unknown option: -x",
    "--offline=true, --offline takes no value.",
    "--dir, '--dir wants a value, as in --dir=D.'",
    "-d, '--dir wants a value, as in --dir=D.'",
    "--dir --offline, '--dir wants a value, as in --dir=D.'",
    "--dir --, '--dir wants a value, as in --dir=D.'",
  })
  void aWordThatDoesNotFitIsAMistake(String line, String sentence) {
    assertEquals(sentence, mistake(ANY, line.split(" ", -1)));
  }

  @Test
  void thereAreAsManyOperandsAsTheCommandTakes() {
    assertEquals("'a' is one word too many.", mistake(Command.Operands.NONE, "a"));
    assertEquals("URL is missing.", mistake(Command.Operands.one("URL", "")));
    assertEquals("'b' is one word too many.", mistake(Command.Operands.one("URL", ""), "a", "b"));
    assertEquals("URL is missing.", mistake(Command.Operands.several("URL", ""), "--offline"));
    assertEquals("a", parse(Command.Operands.one("URL", ""), "a").operand());
  }

  @Test
  void aValueThatIsNoNumberIsNamedWithItsOption() {
    Arguments arguments = parse("--count 1.5x");
    assertEquals(
        "--count wants a whole number, not 1.5x",
        assertThrows(UsageException.class, () -> arguments.integer(COUNT)).getMessage());
    assertEquals(
        "--count wants a number, not 1.5x",
        assertThrows(UsageException.class, () -> arguments.decimal(COUNT)).getMessage());
  }

  @Test
  void anOptionForOneMayNotBeRepeated() {
    Arguments arguments = parse("--dir a -d b --offline --offline");
    assertThrows(UsageException.class, () -> arguments.path(DIR));
    assertThrows(UsageException.class, () -> arguments.flag(OFFLINE));
  }

  @Test
  void optionsAreToldToAnotherCommandAsTheyWereTyped() {
    Arguments arguments = parse("-dx --folder a=b word --offline --folder=c=d");
    assertEquals(
        List.of("--dir=x", "--folder=a=b", "--offline", "--folder=c=d"), arguments.optionWords());
  }
}
