package io.anymatix.fetcher.cli;

import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** What was typed makes no sense; the message, which may repeat secrets, says why. */
final class UsageException extends IllegalArgumentException {
  private static final long serialVersionUID = 1;

  /** Whether the message says what was probably meant, so that little more is to be told. */
  private final boolean suggests;

  UsageException(String message) {
    this(message, false);
  }

  private UsageException(String message, boolean suggests) {
    super(message);
    this.suggests = suggests;
  }

  /**
   * A word that is not known, with the known one that it resembles, if there is one; without a
   * value that it brings along, which may be a secret.
   */
  static UsageException unknown(String kind, String word, List<String> known) {
    String name = Arguments.nameIn(word);
    String message = "Unknown " + kind + ": " + name;
    String near = nearest(name, known);
    return near == null
        ? new UsageException(message)
        : new UsageException(message + ". Did you mean " + near + "?", true);
  }

  boolean suggests() {
    return suggests;
  }

  /** The name of which the typed one is the beginning, or from which few letters differ. */
  private static @Nullable String nearest(String typed, List<String> known) {
    String word = typed.toLowerCase(Locale.ROOT);
    String letters = word.replace("-", "");
    String nearest = null;
    int least = Math.max(1, letters.length() / 3) + 1;
    for (String name : known) {
      String wanted = name.replace("-", "");
      boolean begins = letters.length() > 1 && wanted.startsWith(letters);
      int distance = begins ? 1 : distance(letters, wanted);
      if (distance < least && distance < wanted.length()) {
        least = distance;
        nearest = name;
      }
    }
    return nearest;
  }

  /** How many letters must be changed, added or left out to make one text of the other. */
  private static int distance(String from, String to) {
    int[] above = new int[to.length() + 1];
    for (int j = 0; j <= to.length(); j++) {
      above[j] = j;
    }
    for (int i = 1; i <= from.length(); i++) {
      int[] row = new int[to.length() + 1];
      row[0] = i;
      for (int j = 1; j <= to.length(); j++) {
        int changed = above[j - 1] + (from.charAt(i - 1) == to.charAt(j - 1) ? 0 : 1);
        row[j] = Math.min(changed, 1 + Math.min(above[j], row[j - 1]));
      }
      above = row;
    }
    return above[to.length()];
  }
}
