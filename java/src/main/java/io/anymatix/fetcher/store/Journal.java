package io.anymatix.fetcher.store;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.content.Validator;
import io.anymatix.fetcher.store.AtomicFile.Forced;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Which bytes of a part file are trusted: the file {@code .part.segments} (store contract 3).
 *
 * <p>The part is cut into pieces of one length; each piece's count is of bytes from its start, in
 * order. The file is one line of JSON:
 *
 * <pre>{@code
 * {"size": 12582912, "segment_size": 4194304, "done": {"0": 4194304, "1": 0, "2": 0},
 *  "etag": "\"5f\"", "last_modified": null, "sha256": null, "boot_id": "f0e1...",
 *  "written": [4194304,  131072,       0]}
 * }</pre>
 *
 * <p>{@code done} counts bytes that were forced to the disk before they were claimed; other
 * programs read it, and it is changed only by replacing the file. {@code written} counts bytes that
 * were handed to the operating system: its numbers have a fixed width and are overwritten in place,
 * one small write per buffer of data. A killed process loses nothing of it, a power cut makes it
 * worthless; therefore it counts only on the same boot of the machine. Identity is the rest: bytes
 * are continued only of the representation that they came from. A signed link or a token is never
 * written.
 *
 * <p>Methods may be called from any thread.
 */
public final class Journal implements AutoCloseable {
  /** Enough pieces for little waste after a kill, few enough for a small file. */
  private static final int MOST_PIECES = 8192;

  private static final long SMALLEST_PIECE_BYTES = 1 << 20;
  private static final int LONGEST_JOURNAL_BYTES = 4 << 20;
  private static final String WRITTEN_KEY = ", \"written\": [";
  private static final Path BOOT_ID_FILE = Path.of("/proc/sys/kernel/random/boot_id");

  private final Path path;
  private final long lengthBytes;
  private final long pieceBytes;
  private final Identity identity;
  private final @Nullable String bootId;
  private final long[] written;
  private final int width;
  private long writtenOffset;
  private @Nullable FileChannel channel;
  private @Nullable Object file;
  private boolean closed;

  /**
   * What identifies the representation that a part's bytes came from.
   *
   * @param sha256 the source's own hash, if it states one
   */
  public record Identity(Validator validator, @Nullable Sha256 sha256) {
    /**
     * Whether bytes of both may be put together: the source's hash decides where both know it, else
     * the entity tags, else the modification dates. What neither side knows tells nothing.
     */
    public boolean mayBeSame(Identity other) {
      if (sha256 != null && other.sha256 != null) {
        return sha256.equals(other.sha256);
      }
      String tag = validator.entityTag();
      String otherTag = other.validator.entityTag();
      if (tag != null && otherTag != null) {
        return tag.equals(otherTag);
      }
      String date = validator.lastModified();
      String otherDate = other.validator.lastModified();
      return date == null || otherDate == null || date.equals(otherDate);
    }

    /** Whether it is known that they are the same: by equal hashes, or equal strong tags. */
    public boolean isSame(Identity other) {
      return mayBeSame(other)
          && ((sha256 != null && other.sha256 != null)
              || (validator.isStrong() && other.validator.isStrong()));
    }
  }

  /** What a journal on disk says. */
  record Found(long lengthBytes, List<CoveredRange> trusted, @Nullable Identity identity) {}

  private Journal(Path path, long lengthBytes, Identity identity, @Nullable String bootId) {
    this.path = path;
    this.lengthBytes = lengthBytes;
    this.pieceBytes = pieceBytesFor(lengthBytes);
    this.identity = identity;
    this.bootId = bootId;
    this.written = new long[Math.toIntExact((lengthBytes + pieceBytes - 1) / pieceBytes)];
    this.width = Long.toString(pieceBytes).length();
  }

  /**
   * Starts a journal in the place of whatever was there.
   *
   * @param trusted what is known to be on the disk
   * @param forced whether the journal itself is forced to the disk
   */
  static Journal start(
      Path path, long lengthBytes, Identity identity, List<CoveredRange> trusted, boolean forced)
      throws IOException {
    Journal journal = new Journal(path, lengthBytes, identity, currentBootId());
    journal.replace(journal.prefixes(trusted), forced);
    return journal;
  }

  /** A run of bytes that is there: from {@code first} up to, not including, {@code end}. */
  public record CoveredRange(long first, long end) {}

  /** Reads a journal; empty if there is none or it is not to be trusted. Never throws. */
  static Optional<Found> read(Path path) {
    try {
      if (!Files.isRegularFile(path) || Files.size(path) > LONGEST_JOURNAL_BYTES) {
        return Optional.empty();
      }
      byte[] bytes = Files.readAllBytes(path);
      Optional<JsonNode> whole = PythonJson.read(bytes);
      // Only what is overwritten in place can be torn; what was claimed before it still counts.
      return (whole.isPresent() ? whole : claimsAlone(bytes))
          .flatMap(json -> found(json, currentBootId()));
    } catch (IOException e) {
      return Optional.empty();
    }
  }

  private static Optional<JsonNode> claimsAlone(byte[] bytes) {
    String text = new String(bytes, StandardCharsets.ISO_8859_1);
    int end = text.indexOf(WRITTEN_KEY);
    return end < 0
        ? Optional.empty()
        : PythonJson.read((text.substring(0, end) + "}").getBytes(StandardCharsets.ISO_8859_1));
  }

  /** Length of the pieces, in bytes. */
  public long pieceBytes() {
    return pieceBytes;
  }

  /**
   * Notes that the bytes from {@code first} up to {@code end} were written. What does not continue
   * its piece's prefix is left to {@link #checkpoint}.
   */
  public synchronized void written(long first, long end) throws IOException {
    int firstPiece = (int) (first / pieceBytes);
    int piece = firstPiece;
    for (long position = first; position < end; piece++) {
      long pieceStart = piece * pieceBytes;
      long pieceEnd = Math.min(end, pieceStart + pieceBytes);
      if (written[piece] >= position - pieceStart) {
        written[piece] = Math.max(written[piece], pieceEnd - pieceStart);
      }
      position = pieceEnd;
    }
    overwrite(firstPiece, piece);
  }

  /**
   * Claims bytes for good.
   *
   * @param forced what was written when the part file was last forced to the disk
   */
  public void checkpoint(List<CoveredRange> forced) throws IOException {
    long[] done = prefixes(forced);
    synchronized (this) {
      if (!closed) {
        replace(done, true);
      }
    }
  }

  /** Whether the journal on disk is still the one that was written here last. */
  synchronized boolean isOurs() throws IOException {
    return file != null && file.equals(PartFile.key(path));
  }

  /** Ends the notes; a checkpoint that comes later changes nothing any more. */
  @Override
  public synchronized void close() throws IOException {
    closed = true;
    closeChannel();
  }

  private void closeChannel() throws IOException {
    if (channel != null) {
      channel.close();
      channel = null;
    }
  }

  /** The ranges that prefixes of pieces stand for, neighbours joined. */
  private static List<CoveredRange> ranges(long pieceBytes, long[] prefixes) {
    List<CoveredRange> ranges = new ArrayList<>();
    for (int i = 0; i < prefixes.length; i++) {
      if (prefixes[i] == 0) {
        continue;
      }
      CoveredRange next = new CoveredRange(i * pieceBytes, i * pieceBytes + prefixes[i]);
      int last = ranges.size() - 1;
      if (last >= 0 && ranges.get(last).end() == next.first()) {
        ranges.set(last, new CoveredRange(ranges.get(last).first(), next.end()));
      } else {
        ranges.add(next);
      }
    }
    return ranges;
  }

  private static long pieceBytesFor(long lengthBytes) {
    long piece = SMALLEST_PIECE_BYTES;
    while (lengthBytes / piece >= MOST_PIECES) {
      piece *= 2;
    }
    return piece;
  }

  private long[] prefixes(List<CoveredRange> covered) {
    long[] prefixes = new long[written.length];
    for (CoveredRange range : covered) {
      long firstWhole = (range.first() + pieceBytes - 1) / pieceBytes;
      for (long piece = firstWhole; piece * pieceBytes < range.end(); piece++) {
        prefixes[(int) piece] = Math.min(pieceBytes, range.end() - piece * pieceBytes);
      }
    }
    return prefixes;
  }

  private synchronized void replace(long[] done, boolean forced) throws IOException {
    for (int i = 0; i < done.length; i++) {
      written[i] = Math.max(written[i], done[i]);
    }
    ObjectNode head = JsonNodeFactory.instance.objectNode();
    head.put("size", lengthBytes);
    head.put("segment_size", pieceBytes);
    ObjectNode counts = head.putObject("done");
    for (int i = 0; i < done.length; i++) {
      counts.put(Integer.toString(i), done[i]);
    }
    head.put("etag", identity.validator().entityTag());
    head.put("last_modified", identity.validator().lastModified());
    head.put("sha256", identity.sha256() == null ? null : identity.sha256().hex());
    head.put("boot_id", bootId);
    String text = PythonJson.writeLine(head);
    text = text.substring(0, text.length() - 1) + WRITTEN_KEY;
    boolean hasFormer = channel != null;
    closeChannel();
    try {
      AtomicFile.replace(
          path,
          text + slots(0, written.length) + "]}",
          forced ? Forced.CONTENT_AND_NAME : Forced.NOTHING);
      writtenOffset = text.length();
      channel = FileChannel.open(path, StandardOpenOption.WRITE);
      file = PartFile.key(path);
    } catch (IOException e) {
      // On a full disk there may be no room for the new file; the former one still takes notes.
      if (hasFormer) {
        goOnWithFormer(e);
      }
      throw e;
    }
  }

  private void goOnWithFormer(IOException reason) {
    try {
      channel = FileChannel.open(path, StandardOpenOption.WRITE);
      overwrite(0, written.length);
    } catch (IOException e) {
      reason.addSuppressed(e);
    }
  }

  private void overwrite(int fromPiece, int toPiece) throws IOException {
    if (channel == null) {
      return;
    }
    ByteBuffer bytes = StandardCharsets.US_ASCII.encode(slots(fromPiece, toPiece));
    long offset = writtenOffset + (long) fromPiece * (width + 1);
    while (bytes.hasRemaining()) {
      offset += channel.write(bytes, offset);
    }
  }

  private String slots(int fromPiece, int toPiece) {
    StringBuilder text = new StringBuilder();
    for (int i = fromPiece; i < toPiece; i++) {
      String digits = Long.toString(written[i]);
      text.append(i == fromPiece ? "" : ",").append(" ".repeat(width - digits.length()));
      text.append(digits);
    }
    return text.toString();
  }

  private static Optional<Found> found(JsonNode json, @Nullable String currentBootId) {
    JsonNode size = json.path("size");
    JsonNode segmentSize = json.path("segment_size");
    JsonNode done = json.path("done");
    boolean wellFormed =
        size.isIntegralNumber()
            && segmentSize.isIntegralNumber()
            && done.isObject()
            && segmentSize.canConvertToLong()
            && size.canConvertToLong()
            && segmentSize.asLong() > 0
            && size.asLong() > 0;
    if (!wellFormed) {
      return Optional.empty();
    }
    long lengthBytes = size.asLong();
    long pieceBytes = segmentSize.asLong();
    long pieces = (lengthBytes - 1) / pieceBytes + 1;
    if (pieces > 1 << 20) {
      return Optional.empty();
    }
    boolean sameBoot =
        currentBootId != null && currentBootId.equals(json.path("boot_id").asText(null));
    JsonNode written = sameBoot ? json.path("written") : JsonNodeFactory.instance.missingNode();
    long[] trusted = new long[(int) pieces];
    for (int i = 0; i < pieces; i++) {
      long pieceLength = Math.min(pieceBytes, lengthBytes - i * pieceBytes);
      long forced = count(done.path(Integer.toString(i)));
      long any = Math.max(forced, count(written.path(i)));
      if (forced < 0 || any > pieceLength) {
        return Optional.empty();
      }
      trusted[i] = any;
    }
    return Optional.of(new Found(lengthBytes, ranges(pieceBytes, trusted), identity(json)));
  }

  private static long count(JsonNode node) {
    return node.isMissingNode() ? 0 : node.canConvertToLong() ? node.asLong() : -1;
  }

  private static @Nullable Identity identity(JsonNode json) {
    Validator validator =
        new Validator(json.path("etag").asText(null), json.path("last_modified").asText(null));
    Sha256 sha256 = Sha256.parse(json.path("sha256").asText(null));
    boolean any =
        validator.entityTag() != null || validator.lastModified() != null || sha256 != null;
    return any ? new Identity(validator, sha256) : null;
  }

  private static @Nullable String currentBootId() {
    try {
      return Files.readString(BOOT_ID_FILE).strip();
    } catch (IOException e) {
      return null;
    }
  }

  @Override
  public String toString() {
    return path + " " + Arrays.stream(written).sum() + "/" + lengthBytes;
  }
}
