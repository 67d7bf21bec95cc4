package io.anymatix.fetcher.content;

import java.security.MessageDigest;
import org.jspecify.annotations.Nullable;

/**
 * What is computed over the bytes of a file, given in order from the first to the last: its
 * SHA-256, and for a file that its source keeps encrypted, whether they are the bytes that the key
 * was made for. For one thread.
 */
public final class ContentDigest {
  private final MessageDigest sha256 = Sha256.newDigest();
  private final ContentKey.@Nullable Mac mac;

  /**
   * What the bytes came to.
   *
   * @param authentic false if the key's own check says that they are others
   */
  public record Result(Sha256 sha256, boolean authentic) {}

  /** Starts a digest; {@code key} is null for a file that is served as it is. */
  public ContentDigest(@Nullable ContentKey key) {
    this.mac = key == null ? null : key.mac();
  }

  public void update(byte[] buffer, int offset, int length) {
    sha256.update(buffer, offset, length);
    if (mac != null) {
      mac.update(buffer, offset, length);
    }
  }

  /** Ends the digest. */
  public Result finish() {
    return new Result(Sha256.finish(sha256), mac == null || mac.matches());
  }
}
