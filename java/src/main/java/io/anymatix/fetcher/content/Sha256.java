package io.anymatix.fetcher.content;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Locale;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * A SHA-256 value.
 *
 * @param hex 64 lower-case hexadecimal digits
 */
public record Sha256(String hex) {
  private static final Pattern HEX = Pattern.compile("[0-9a-fA-F]{64}");

  public Sha256 {
    if (!HEX.matcher(hex).matches()) {
      throw new IllegalArgumentException("not a SHA-256 in hexadecimal: " + hex);
    }
    hex = hex.toLowerCase(Locale.ROOT);
  }

  /** The value in {@code text}, in either case, or null if it is none. */
  public static @Nullable Sha256 parse(@Nullable String text) {
    return text != null && HEX.matcher(text).matches() ? new Sha256(text) : null;
  }

  /** The hash of a text's UTF-8 bytes. */
  public static Sha256 ofUtf8(String text) {
    return finish(newDigest(), text.getBytes(StandardCharsets.UTF_8));
  }

  /** The value that {@code digest} ends with; the digest is reset. */
  public static Sha256 finish(MessageDigest digest) {
    return new Sha256(HexFormat.of().formatHex(digest.digest()));
  }

  private static Sha256 finish(MessageDigest digest, byte[] lastBytes) {
    digest.update(lastBytes);
    return finish(digest);
  }

  /** A fresh digest. */
  public static MessageDigest newDigest() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java platform has SHA-256", e);
    }
  }

  @Override
  public boolean equals(@Nullable Object other) {
    return other instanceof Sha256 value && hex.equals(value.hex);
  }

  // Written out, as in every record that is compared on the way to the first request: what a record
  // has of its own is linked at run time, which takes a young process some milliseconds each.
  @Override
  public int hashCode() {
    return hex.hashCode();
  }

  @Override
  public String toString() {
    return hex;
  }
}
