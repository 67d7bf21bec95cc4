package io.anymatix.fetcher.source;

import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.failure.Cancellation;
import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.Base64;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Work that Mega's API may demand before it answers: a 402 whose {@code X-Hashcash} is {@code
 * 1:EASINESS:TIME:TOKEN}. Wanted are four bytes that, put before 262,144 copies of the token, make
 * a SHA-256 whose first 32 bits are no more than a threshold; the same question is then asked again
 * with {@code 1:TOKEN:BYTES}. As Mega's own clients do it.
 *
 * @param token as the challenge spells it
 * @param threshold highest value of the first 32 bits
 */
record MegaWork(String token, long threshold) {
  static final String FIELD = "X-Hashcash";

  /** Some seconds of one core; a server that wants more wants to be left alone. */
  static final Duration PATIENCE = Duration.ofSeconds(30);

  private static final Pattern CHALLENGE =
      Pattern.compile("1:(\\d{1,3}):\\d{1,20}:([A-Za-z0-9_-]{64})");
  private static final int COPIES = 262_144;
  private static final int COPIES_AT_ONCE = 1024;

  /** Hashes of 12 MiB that are needed on average; beyond it no patience suffices. */
  private static final long MOST_HASHES = 4096;

  /** Reads a challenge; empty if it is none of this kind. */
  static Optional<MegaWork> of(String field) {
    Matcher parts = CHALLENGE.matcher(field.strip());
    if (!parts.matches() || Integer.parseInt(parts.group(1)) > 255) {
      return Optional.empty();
    }
    int easiness = Integer.parseInt(parts.group(1));
    long base = ((easiness & 63L) << 1) + 1;
    return Optional.of(new MegaWork(parts.group(2), base << ((easiness >> 6) * 7 + 3)));
  }

  /**
   * Does the work, on this thread.
   *
   * @return the field that shows it; empty if it is too much
   * @throws io.anymatix.fetcher.failure.CancelledException at the cancellation, soon
   */
  Optional<String> done(Cancellation cancellation) {
    if ((1L << 32) / (threshold + 1) > MOST_HASHES) {
      return Optional.empty();
    }
    byte[] copies = copies();
    long endNanos = System.nanoTime() + PATIENCE.toNanos();
    for (int attempt = 0; System.nanoTime() < endNanos; attempt++) {
      cancellation.throwIfCancelled();
      byte[] first = ByteBuffer.allocate(Integer.BYTES).putInt(attempt).array();
      MessageDigest digest = Sha256.newDigest();
      digest.update(first);
      for (int i = 0; i < COPIES / COPIES_AT_ONCE; i++) {
        digest.update(copies);
      }
      if (Integer.toUnsignedLong(ByteBuffer.wrap(digest.digest()).getInt()) <= threshold) {
        String bytes = Base64.getUrlEncoder().withoutPadding().encodeToString(first);
        return Optional.of("1:" + token + ":" + bytes);
      }
    }
    return Optional.empty();
  }

  private byte[] copies() {
    byte[] one = Base64.getUrlDecoder().decode(token);
    ByteBuffer copies = ByteBuffer.allocate(one.length * COPIES_AT_ONCE);
    while (copies.hasRemaining()) {
      copies.put(one);
    }
    return copies.array();
  }
}
