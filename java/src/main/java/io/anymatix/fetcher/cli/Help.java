package io.anymatix.fetcher.cli;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import org.apache.commons.cli.Option;

/**
 * How to use the program or one of its commands.
 *
 * <p>The parser's own formatter makes the column of names as wide as the longest of them, which
 * leaves half a line for what they mean, and does not align options with and without a letter.
 */
final class Help {
  private static final String DESCRIPTION =
      "Fetches models for ComfyUI over many connections, resumable and verified.";

  private static final Option HELP = new Option("h", "help", false, "print this help");
  private static final Option VERSION = new Option("V", "version", false, "print the version");

  private static final String INDENT = "  ";

  /** A longer name stands on a line of its own. */
  private static final int WIDEST_NAME = 25;

  /** A line of text that is longer is hard to read. */
  private static final int WIDEST_LINE = 100;

  /** In a shorter line the longest variable would not fit beside the names. */
  private static final int NARROWEST_LINE = 62;

  private record Row(String name, String meaning) {}

  private record Section(String title, List<Row> rows) {}

  private final String synopsis;
  private final String description;
  private final List<Section> sections = new ArrayList<>();

  private Help(String synopsis, String description) {
    this.synopsis = "Usage: " + Cli.NAME + " " + synopsis;
    this.description = description;
  }

  /** Of a command: what may be typed after its name. */
  static Help of(Command command) {
    String synopsis = command.name() + " [OPTIONS]";
    Command.Operands operands = command.operands();
    String label = operands.label() + (operands.most() > 1 ? "..." : "");
    if (operands.most() > 0) {
      synopsis += operands.least() > 0 ? " " + label : " [" + label + "]";
    }
    Help help = new Help(synopsis, command.description());
    if (operands.most() > 0) {
      help.section("Operands", List.of(new Row(label, operands.description())));
    }
    List<Option> options = new ArrayList<>(command.options().getOptions());
    options.add(HELP);
    options.add(VERSION);
    help.options(options);
    return help;
  }

  /** Of the program: its commands. */
  static Help of(List<Command> commands) {
    Help help = new Help("COMMAND [OPTIONS]", DESCRIPTION);
    List<Row> rows = new ArrayList<>();
    for (Command command : commands) {
      rows.add(new Row(command.name(), command.description()));
    }
    help.section("Commands", rows);
    help.options(List.of(HELP, VERSION));
    return help;
  }

  private void options(Collection<Option> options) {
    List<Row> rows = new ArrayList<>();
    for (Option option : options) {
      String letter = option.getOpt() == null ? "    " : "-" + option.getOpt() + ", ";
      String value = option.hasArg() ? "=" + option.getArgName() : "";
      rows.add(new Row(letter + "--" + option.getLongOpt() + value, option.getDescription()));
    }
    section("Options", rows);
  }

  private void section(String title, List<Row> rows) {
    sections.add(new Section(title, rows));
  }

  /** The one line that says what may follow what. */
  String synopsis() {
    return synopsis;
  }

  /** Shows all of it, as wide as the screen unless {@code COLUMNS} says otherwise. */
  void showOn(Screen screen) {
    int width = screen.columns();
    try {
      width = Integer.parseInt(System.getenv().getOrDefault("COLUMNS", ""));
    } catch (NumberFormatException e) {
      // It is not set, or makes no sense.
    }
    for (String line : lines(Math.max(NARROWEST_LINE, Math.min(width, WIDEST_LINE)))) {
      screen.line(line);
    }
  }

  /** All of it, in lines of at most so many characters. */
  List<String> lines(int width) {
    List<String> lines = new ArrayList<>();
    lines.add(synopsis);
    lines.addAll(Table.wrapped(description, width));
    for (Section section : sections) {
      lines.add("");
      lines.add(section.title() + ":");
      int column = column(section);
      for (Row row : section.rows()) {
        String start = INDENT + row.name();
        if (row.name().length() > WIDEST_NAME) {
          lines.add(start);
          start = "";
        }
        for (String text : Table.wrapped(row.meaning(), width - column)) {
          lines.add(start + " ".repeat(column - start.length()) + text);
          start = "";
        }
      }
    }
    return lines;
  }

  /** Where the meanings of a section begin. */
  private static int column(Section section) {
    int widest = 0;
    for (Row row : section.rows()) {
      if (row.name().length() <= WIDEST_NAME) {
        widest = Math.max(widest, row.name().length());
      }
    }
    return INDENT.length() + widest + INDENT.length();
  }
}
