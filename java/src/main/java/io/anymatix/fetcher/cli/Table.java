package io.anymatix.fetcher.cli;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import org.jline.utils.WCWidth;
import org.jspecify.annotations.Nullable;

/**
 * Rows of cells in columns as wide as they need to be. Where a line would be longer than the
 * terminal, the widest columns that may are narrowed, and their cells lose their middle.
 */
final class Table {
  private static final String GAP = "  ";
  private static final int NARROWEST = 12;

  private final List<Column> columns;
  private final List<String[]> rows = new ArrayList<>();

  /** How a column is laid out. */
  enum Column {
    /** As wide as its widest cell, set flush left. */
    TEXT,
    /** As wide as its widest cell, set flush right. */
    NUMBER,
    /** Flush left, and narrowed where there is no room. */
    FLEXIBLE
  }

  Table(Column... columns) {
    this.columns = List.of(columns);
  }

  /** Adds a row; a missing cell is empty. */
  Table row(@Nullable String... cells) {
    String[] row = new String[columns.size()];
    Arrays.setAll(row, i -> i < cells.length && cells[i] != null ? cells[i] : "");
    rows.add(row);
    return this;
  }

  boolean isEmpty() {
    return rows.isEmpty();
  }

  /** The rows as lines of at most {@code width} characters, without spaces at their ends. */
  List<String> lines(int width, boolean unicode) {
    int[] widths = widths(width);
    List<String> lines = new ArrayList<>();
    for (String[] row : rows) {
      StringBuilder line = new StringBuilder();
      for (int i = 0; i < row.length; i++) {
        String cell = withoutMiddle(row[i], widths[i], unicode);
        String padding = " ".repeat(widths[i] - columns(cell));
        boolean isNumber = columns.get(i) == Column.NUMBER;
        line.append(i == 0 ? "" : GAP).append(isNumber ? padding + cell : cell + padding);
      }
      lines.add(line.toString().stripTrailing());
    }
    return lines;
  }

  private int[] widths(int width) {
    int[] widths = new int[columns.size()];
    for (String[] row : rows) {
      for (int i = 0; i < row.length; i++) {
        widths[i] = Math.max(widths[i], columns(row[i]));
      }
    }
    int surplus = Arrays.stream(widths).sum() + GAP.length() * (widths.length - 1) - width;
    while (surplus > 0) {
      int widest = -1;
      for (int i = 0; i < widths.length; i++) {
        boolean mayShrink = columns.get(i) == Column.FLEXIBLE && widths[i] > NARROWEST;
        if (mayShrink && (widest < 0 || widths[i] >= widths[widest])) {
          widest = i;
        }
      }
      if (widest < 0) {
        break;
      }
      widths[widest]--;
      surplus--;
    }
    return widths;
  }

  /** Columns of a terminal that a text takes: two for most characters of East Asia. */
  static int columns(String text) {
    return text.codePoints().map(c -> Math.max(0, WCWidth.wcwidth(c))).sum();
  }

  /** A text of at most {@code width} columns: both ends, and a sign where the rest was. */
  static String withoutMiddle(String text, int width, boolean unicode) {
    if (columns(text) <= width) {
      return text;
    }
    String sign = unicode ? "…" : "..";
    int kept = Math.max(0, width - sign.length());
    String head = head(text, (kept + 1) / 2);
    String backwards = new StringBuilder(text).reverse().toString();
    String tail = new StringBuilder(head(backwards, kept / 2)).reverse().toString();
    return head + sign + tail;
  }

  /** The beginning of a text, of at most {@code width} columns. */
  static String head(String text, int width) {
    int columns = 0;
    for (int at = 0; at < text.length(); ) {
      int character = text.codePointAt(at);
      columns += Math.max(0, WCWidth.wcwidth(character));
      if (columns > width) {
        return text.substring(0, at);
      }
      at += Character.charCount(character);
    }
    return text;
  }

  /** The lines of a text that is broken between words; a word that is too long stays whole. */
  static List<String> wrapped(String text, int width) {
    List<String> lines = new ArrayList<>();
    String line = "";
    for (String word : text.strip().split("\\s+", -1)) {
      String longer = line.isEmpty() ? word : line + " " + word;
      if (line.isEmpty() || columns(longer) <= width) {
        line = longer;
      } else {
        lines.add(line);
        line = word;
      }
    }
    lines.add(line);
    return lines;
  }

  /** A number of bytes for a reader, in powers of 1000: {@code 12.3 GB}. */
  static String bytes(long bytes) {
    String[] units = {"bytes", "kB", "MB", "GB", "TB"};
    double value = bytes;
    int unit = 0;
    while (value >= 999.95 && unit < units.length - 1) {
      value /= 1000;
      unit++;
    }
    return unit == 0
        ? bytes + (bytes == 1 ? " byte" : " bytes")
        : String.format(Locale.ROOT, "%.1f %s", value, units[unit]);
  }
}
