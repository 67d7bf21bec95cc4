package io.anymatix.fetcher.cli;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.apache.commons.cli.CommandLine;
import org.apache.commons.cli.DefaultParser;
import org.apache.commons.cli.MissingArgumentException;
import org.apache.commons.cli.Option;
import org.apache.commons.cli.Options;
import org.apache.commons.cli.ParseException;
import org.apache.commons.cli.UnrecognizedOptionException;
import org.jspecify.annotations.Nullable;

/**
 * What was typed after the name of a command: options and operands in any order; behind {@code --}
 * are operands alone. An option that is asked for by anything but {@link #texts} and {@link #items}
 * may be typed once.
 *
 * <p>Every method throws a {@link UsageException} that names option and value where they do not
 * fit.
 */
final class Arguments {
  private final Option[] typed;
  private final List<String> operands;

  private Arguments(CommandLine parsed) {
    this.typed = parsed.getOptions();
    this.operands = parsed.getArgList();
  }

  /** Reads the words of a command that takes these options and operands. */
  static Arguments parse(Options options, Command.Operands operands, String... words) {
    Arguments arguments;
    try {
      arguments =
          new Arguments(
              DefaultParser.builder()
                  .setAllowPartialMatching(false)
                  .setStripLeadingAndTrailingQuotes(false)
                  .get()
                  .parse(options, withoutAmbiguity(options, words)));
    } catch (MissingArgumentException e) {
      Option option = e.getOption();
      String name = name(option);
      throw new UsageException(
          name + " wants a value, as in " + name + "=" + option.getArgName() + ".");
    } catch (UnrecognizedOptionException e) {
      throw unknown(options, e.getOption());
    } catch (ParseException e) {
      throw new UsageException(String.valueOf(e.getMessage()));
    }
    int count = arguments.operands.size();
    if (count < operands.least()) {
      throw new UsageException(operands.label() + " is missing.");
    }
    if (count > operands.most()) {
      String surplus = arguments.operands.get(operands.most());
      throw new UsageException("'" + surplus + "' is one word too many.");
    }
    return arguments;
  }

  /**
   * The parser takes {@code -json} for {@code --json}, and {@code -director} for {@code --dir
   * ector}. Here one hyphen means one letter, with its value attached or in the next word.
   */
  private static String[] withoutAmbiguity(Options options, String[] words) {
    String[] clear = words.clone();
    for (int i = 0; i < words.length && !words[i].equals("--"); i++) {
      String word = words[i];
      if (word.length() < 3 || word.charAt(0) != '-' || word.charAt(1) == '-') {
        continue;
      }
      String letter = word.substring(1, 2);
      if (options.hasShortOption(letter)) {
        if (word.charAt(2) != '=') {
          clear[i] = "-" + letter + "=" + word.substring(2);
        }
      } else if (options.hasLongOption(nameIn(word))) {
        throw unknown(options, word);
      }
    }
    return clear;
  }

  private static UsageException unknown(Options options, String word) {
    String name = nameIn(word);
    if (name.startsWith("--") && options.hasLongOption(name)) {
      return new UsageException(name + " takes no value.");
    }
    List<String> known = new ArrayList<>(List.of("--help", "--version"));
    for (Option option : options.getOptions()) {
      known.add(name(option));
    }
    return UsageException.unknown("option", word, known);
  }

  /** A word without the value that it brings along. */
  static String nameIn(String word) {
    int equals = word.indexOf('=');
    return equals < 0 ? word : word.substring(0, equals);
  }

  private static String name(Option option) {
    return "--" + option.getLongOpt();
  }

  /** Whether it was typed. */
  boolean flag(Option option) {
    return once(option) != null;
  }

  /** Its value, or null if it was not typed. */
  @Nullable String text(Option option) {
    Option found = once(option);
    return found == null ? null : found.getValue();
  }

  /** The values of an option that may be repeated. */
  List<String> texts(Option option) {
    List<String> texts = new ArrayList<>();
    for (Option candidate : typed) {
      if (candidate.equals(option)) {
        texts.add(candidate.getValue());
      }
    }
    return texts;
  }

  /** The same, where one value may be several with commas between them. */
  List<String> items(Option option) {
    List<String> items = new ArrayList<>();
    for (String text : texts(option)) {
      int start = 0;
      for (int comma; (comma = text.indexOf(',', start)) >= 0; start = comma + 1) {
        items.add(text.substring(start, comma));
      }
      items.add(text.substring(start));
    }
    return items;
  }

  /** Its value as a path, or null if it was not typed. */
  @Nullable Path path(Option option) {
    String text = text(option);
    return text == null ? null : path(name(option), text);
  }

  /** Its value as a whole number, or null if it was not typed. */
  @Nullable Integer integer(Option option) {
    String text = text(option);
    return text == null ? null : integer(option, text);
  }

  /** The whole numbers of an option that may be repeated and have commas. */
  List<Integer> integers(Option option) {
    List<Integer> integers = new ArrayList<>();
    for (String item : items(option)) {
      integers.add(integer(option, item));
    }
    return integers;
  }

  /** Its value as a number, or null if it was not typed. */
  @Nullable Double decimal(Option option) {
    String text = text(option);
    try {
      return text == null ? null : Double.valueOf(text);
    } catch (NumberFormatException e) {
      throw new UsageException(name(option) + " wants a number, not " + text);
    }
  }

  /** The words that are no options. */
  List<String> operands() {
    return operands;
  }

  /** The one operand of a command that takes one. */
  String operand() {
    return operands.get(0);
  }

  /** That operand as a path. */
  Path operandPath() {
    return path("The operand", operand());
  }

  /** The options as they were typed, each as one word that says the same to another command. */
  List<String> optionWords() {
    List<String> words = new ArrayList<>();
    for (Option option : typed) {
      words.add(option.hasArg() ? name(option) + "=" + option.getValue() : name(option));
    }
    return words;
  }

  private @Nullable Option once(Option option) {
    Option found = null;
    for (Option candidate : typed) {
      if (candidate.equals(option)) {
        if (found != null) {
          throw new UsageException(name(option) + " may be given once only.");
        }
        found = candidate;
      }
    }
    return found;
  }

  private static Integer integer(Option option, String text) {
    try {
      return Integer.valueOf(text);
    } catch (NumberFormatException e) {
      throw new UsageException(name(option) + " wants a whole number, not " + text);
    }
  }

  private static Path path(String name, String text) {
    try {
      return Path.of(text);
    } catch (InvalidPathException e) {
      throw new UsageException(name + " is no path: " + text);
    }
  }
}
