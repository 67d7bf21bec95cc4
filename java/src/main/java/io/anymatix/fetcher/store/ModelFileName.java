package io.anymatix.fetcher.store;

import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.Set;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * What a model file is called (store contract 11.3): the name its source gives it, made safe for
 * every file system, and the name it is stored under, which carries the url hash.
 *
 * @param original the source's name without folders, forbidden characters and trailing dots; may be
 *     empty, and is of any length
 * @param urlHash hash of the effective url
 */
public record ModelFileName(String original, Sha256 urlHash) {

  /** Longest name of a file on the common file systems, in bytes. */
  private static final int LONGEST_NAME_BYTES = 255;

  /** The longest suffix that a file beside the stored one carries while it is written. */
  private static final String LONGEST_WORKING_SUFFIX = ".part.segments.tmp";

  private static final String FORBIDDEN_CHARACTERS = "<>:\"|?*";

  /** Suffixes of files that something would run, import or open; in lower case. */
  private static final Set<String> REFUSED_EXTENSIONS =
      Set.of(
          "py", "pyc", "pyd", "so", "dll", "dylib", "exe", "bat", "cmd", "ps1", "sh", "js", "html",
          "htm", "desktop", "lnk", "jar", "class");

  /** Suffixes of what a loader reads: nothing else is written under them (store contract 11.3). */
  private static final Set<String> MODEL_EXTENSIONS =
      Set.of(
          "safetensors",
          "sft",
          "ckpt",
          "pt",
          "pt2",
          "pth",
          "bin",
          "pkl",
          "gguf",
          "onnx",
          "msgpack",
          "npz",
          "zip",
          "tar",
          "yaml",
          "yml",
          "model",
          "corrupt",
          "tmp");

  /** Names that Windows gives to devices, whatever follows the first dot. */
  private static final Pattern DEVICE_NAME =
      Pattern.compile(
          "(con|prn|aux|nul|conin\\$|conout\\$|(com|lpt)[0-9\\u00b9\\u00b2\\u00b3]) *(\\..*)?",
          Pattern.CASE_INSENSITIVE | Pattern.DOTALL);

  private static final Pattern SIDECAR_FILE_NAME =
      Pattern.compile("[0-9a-f]{64}\\.json", Pattern.CASE_INSENSITIVE);

  /**
   * The name that the last answer's {@code Content-Disposition} gives, else the last segment of the
   * url's path.
   *
   * @param contentDisposition the field value with each byte as one character (ISO-8859-1); null if
   *     there was none
   * @throws FetchException {@code policy} if files of that suffix are not stored
   */
  public static ModelFileName of(@Nullable String contentDisposition, EffectiveUrl url) {
    String stated = ContentDisposition.fileName(contentDisposition);
    return ofUntrusted(stated != null ? stated : url.lastPathSegment(), url.urlHash());
  }

  /** Whether a {@code Content-Disposition} field, as in {@link #of}, gives a name. */
  public static boolean isGivenBy(@Nullable String contentDisposition) {
    return ContentDisposition.fileName(contentDisposition) != null;
  }

  /**
   * The name that a source gives in another way than the two of {@link #of}.
   *
   * @throws FetchException {@code policy} if files of that suffix are not stored
   */
  public static ModelFileName ofUntrusted(String name, Sha256 urlHash) {
    String safe = safe(name);
    refuseSuffix(safe);
    // "x.py:stream" names the file x.py where a colon separates a file from its streams.
    String lastComponent = lastComponent(name);
    int colon = lastComponent.indexOf(':');
    if (colon >= 0) {
      refuseSuffix(safe(lastComponent.substring(0, colon)));
    }
    return new ModelFileName(safe, urlHash);
  }

  /**
   * Accepts a plain name that a caller wants beside the stored one, unchanged.
   *
   * @throws FetchException {@code policy} unless it is one component that every file system takes
   *     as it is, of a suffix that may be stored, and cannot be taken for a sidecar file
   */
  public static String requirePlain(String name) {
    if (name.isEmpty()
        || !safe(name).equals(name)
        || utf8Length(name) > LONGEST_NAME_BYTES
        || SIDECAR_FILE_NAME.matcher(name).matches()) {
      throw FetchException.because(
              FailureKind.POLICY, "\"" + safe(name) + "\" cannot be used as a plain file name.")
          .hint("Give a name without folders, special characters and trailing dots.")
          .build();
    }
    refuseSuffix(name);
    return name;
  }

  /** Whether a marker may have this name: not one of a model, of a working file or of a program. */
  public static boolean mayBeMarker(String name) {
    String extension = lowerCaseExtension(name);
    return safe(name).equals(name)
        && utf8Length(name) <= LONGEST_NAME_BYTES
        && !SIDECAR_FILE_NAME.matcher(name).matches()
        && !REFUSED_EXTENSIONS.contains(extension)
        && !MODEL_EXTENSIONS.contains(extension)
        && !name.contains(".part");
  }

  /**
   * {@code <stem>_<url hash>.<extension>}, cut at the last dot and short enough for the names that
   * its working files add to it. The hash and the extension survive the shortening.
   */
  public String stored() {
    String hash = "_" + urlHash.hex();
    String extension = dottedExtension(original);
    String stem = original.substring(0, original.length() - extension.length());
    int room = LONGEST_NAME_BYTES - LONGEST_WORKING_SUFFIX.length() - hash.length();
    extension = utf8Prefix(extension, room);
    stem = utf8Prefix(stem, room - utf8Length(extension));
    return stem + hash + extension;
  }

  /** What follows the last dot, in lower case; empty if there is no dot. */
  public String extension() {
    return lowerCaseExtension(original);
  }

  private static String safe(String name) {
    StringBuilder kept = new StringBuilder();
    lastComponent(name)
        .codePoints()
        .filter(ModelFileName::mayStandInAName)
        .forEach(kept::appendCodePoint);
    int end = kept.length();
    while (end > 0 && (kept.charAt(end - 1) == '.' || kept.charAt(end - 1) == ' ')) {
      end--;
    }
    String trimmed = kept.substring(0, end);
    return DEVICE_NAME.matcher(trimmed).matches() ? "_" + trimmed : trimmed;
  }

  private static String lastComponent(String name) {
    return name.substring(Math.max(name.lastIndexOf('/'), name.lastIndexOf('\\')) + 1);
  }

  /**
   * Beside what file systems forbid, characters that break a line or turn the direction of writing
   * are left out: a name must look like what it is.
   */
  private static boolean mayStandInAName(int codePoint) {
    int type = Character.getType(codePoint);
    boolean turnsDirection =
        (codePoint >= 0x202a && codePoint <= 0x202e)
            || (codePoint >= 0x2066 && codePoint <= 0x2069);
    return type != Character.CONTROL
        && type != Character.SURROGATE
        && type != Character.LINE_SEPARATOR
        && type != Character.PARAGRAPH_SEPARATOR
        && !turnsDirection
        && FORBIDDEN_CHARACTERS.indexOf(codePoint) < 0;
  }

  private static void refuseSuffix(String safeName) {
    if (REFUSED_EXTENSIONS.contains(lowerCaseExtension(safeName))) {
      throw FetchException.because(
              FailureKind.POLICY,
              "The file is called \""
                  + safeName
                  + "\", and files that could be run are not stored.")
          .hint("Use a link to a model file.")
          .build();
    }
  }

  private static String lowerCaseExtension(String name) {
    String dotted = dottedExtension(name);
    return dotted.isEmpty() ? "" : dotted.substring(1).toLowerCase(Locale.ROOT);
  }

  private static String dottedExtension(String name) {
    int dot = name.lastIndexOf('.');
    return dot < 0 ? "" : name.substring(dot);
  }

  private static int utf8Length(String text) {
    return text.getBytes(StandardCharsets.UTF_8).length;
  }

  /** The longest prefix of whole code points that fits into {@code limitBytes} bytes. */
  private static String utf8Prefix(String text, int limitBytes) {
    int end = 0;
    int lengthBytes = 0;
    while (end < text.length()) {
      int codePoint = text.codePointAt(end);
      lengthBytes += codePoint < 0x80 ? 1 : codePoint < 0x800 ? 2 : codePoint < 0x10000 ? 3 : 4;
      if (lengthBytes > limitBytes) {
        break;
      }
      end += Character.charCount(codePoint);
    }
    return text.substring(0, end);
  }
}
