package io.anymatix.fetcher.cli;

import org.apache.commons.cli.Option;
import org.apache.commons.cli.Options;
import org.jspecify.annotations.Nullable;

/**
 * A sub-command: what its help says, what may be typed after its name, and what it does. To make
 * one does nothing yet: the help makes them all.
 */
interface Command {
  /** The word that chooses it. */
  String name();

  /** What it does, in a sentence or a few. */
  String description();

  /** Which words it takes besides options; none unless it says so. */
  default Operands operands() {
    return Operands.NONE;
  }

  /** The options that it takes, in the order in which the help lists them. */
  Options options();

  /**
   * Does its work.
   *
   * @return the exit code
   * @throws UsageException if what was typed makes no sense
   */
  int run(Arguments arguments) throws Exception;

  /**
   * The words that a command takes besides options.
   *
   * @param label how a synopsis names them
   * @param description what they are
   * @param least how many there must be
   * @param most how many there may be
   */
  record Operands(String label, String description, int least, int most) {
    static final Operands NONE = new Operands("", "", 0, 0);

    /** Exactly one. */
    static Operands one(String label, String description) {
      return new Operands(label, description, 1, 1);
    }

    /** One or more. */
    static Operands several(String label, String description) {
      return new Operands(label, description, 1, Integer.MAX_VALUE);
    }
  }

  /** An option that is on or off. */
  static Option flag(String name, String description) {
    return new Option(null, name, false, description);
  }

  /** An option with a value, which the help calls by a label. */
  static Option valued(String name, String label, String description) {
    return valued(null, name, label, description);
  }

  /** The same, with a short form of one letter. */
  static Option valued(@Nullable String letter, String name, String label, String description) {
    Option option = new Option(letter, name, true, description);
    option.setArgName(label);
    return option;
  }
}
