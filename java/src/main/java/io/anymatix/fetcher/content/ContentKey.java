package io.anymatix.fetcher.content;

import java.nio.ByteBuffer;
import java.security.GeneralSecurityException;
import java.util.Arrays;
import java.util.Base64;
import javax.crypto.Cipher;
import javax.crypto.ShortBufferException;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;
import org.jspecify.annotations.Nullable;

/**
 * The key of a file that its source keeps encrypted, in Mega's scheme: AES-128-CTR, which can be
 * entered at any byte, and a MAC over the plain bytes that says whether they are the ones meant.
 *
 * <p>The counter block is an 8-byte nonce followed by the number of the 16-byte block. The MAC is a
 * CBC-MAC of each chunk, chained by another CBC-MAC and folded to 8 bytes; chunks grow by 128 KiB
 * up to 1 MiB. A key is a secret and is never shown. Immutable; safe from any thread.
 */
public final class ContentKey {
  private static final int BLOCK_BYTES = 16;
  private static final int LINK_KEY_BYTES = 32;
  private static final int SMALLEST_CHUNK_BYTES = 128 * 1024;
  private static final int LARGEST_CHUNK_BYTES = 1024 * 1024;

  private final SecretKeySpec aes;
  private final byte[] nonce;
  private final byte[] expectedMac;

  private ContentKey(byte[] linkKey) {
    byte[] key = new byte[BLOCK_BYTES];
    for (int i = 0; i < BLOCK_BYTES; i++) {
      key[i] = (byte) (linkKey[i] ^ linkKey[BLOCK_BYTES + i]);
    }
    this.aes = new SecretKeySpec(key, "AES");
    this.nonce = Arrays.copyOfRange(linkKey, 16, 24);
    this.expectedMac = Arrays.copyOfRange(linkKey, 24, LINK_KEY_BYTES);
  }

  /**
   * Reads a key as a link holds it: 32 bytes in base64, of either alphabet, without padding. Null
   * if the text is none.
   */
  public static @Nullable ContentKey parse(String text) {
    try {
      byte[] bytes =
          Base64.getUrlDecoder().decode(text.replace('+', '-').replace('/', '_').replace("=", ""));
      return bytes.length == LINK_KEY_BYTES ? new ContentKey(bytes) : null;
    } catch (IllegalArgumentException e) {
      return null;
    }
  }

  /** Starts to decrypt at a byte of the file. */
  public Decryptor decryptorAt(long offset) {
    byte[] counter =
        ByteBuffer.allocate(BLOCK_BYTES).put(nonce).putLong(offset / BLOCK_BYTES).array();
    Cipher ctr = cipher("AES/CTR/NoPadding", Cipher.DECRYPT_MODE, counter);
    ctr.update(new byte[(int) (offset % BLOCK_BYTES)]);
    return new Decryptor(ctr);
  }

  /**
   * Decrypts a short text that goes with the file, such as its attributes: AES-CBC from a zero
   * vector.
   *
   * @param encrypted whole blocks of 16 bytes
   */
  public byte[] decryptAttributes(byte[] encrypted) {
    try {
      return cipher("AES/CBC/NoPadding", Cipher.DECRYPT_MODE, new byte[BLOCK_BYTES])
          .doFinal(encrypted);
    } catch (GeneralSecurityException e) {
      throw new IllegalArgumentException("not whole blocks of a cipher: " + encrypted.length, e);
    }
  }

  /** Starts the MAC of a whole file. */
  Mac mac() {
    return new Mac();
  }

  private Cipher cipher(String transformation, int mode, byte[] initialVector) {
    try {
      Cipher cipher = Cipher.getInstance(transformation);
      cipher.init(mode, aes, new IvParameterSpec(initialVector));
      return cipher;
    } catch (GeneralSecurityException e) {
      throw new AssertionError("every Java platform has " + transformation, e);
    }
  }

  /** Nothing of the key. */
  @Override
  public String toString() {
    return "ContentKey";
  }

  /** Decrypts bytes in order, from where it was started. For one thread. */
  public static final class Decryptor {
    private final Cipher ctr;

    private Decryptor(Cipher ctr) {
      this.ctr = ctr;
    }

    /** Decrypts the next {@code length} bytes in their place. */
    public void decrypt(byte[] buffer, int offset, int length) {
      updateInto(ctr, buffer, offset, length, buffer, offset);
    }
  }

  /** The MAC of a file's plain bytes, given in order from the first to the last. For one thread. */
  final class Mac {
    private final Cipher chain = cipher("AES/CBC/NoPadding", Cipher.ENCRYPT_MODE, new byte[16]);
    private byte[] chained = new byte[BLOCK_BYTES];
    private int chunkBytes = SMALLEST_CHUNK_BYTES;
    private int leftInChunk = chunkBytes;
    private int tailBytes;
    private Cipher chunk = startChunk();
    private byte[] output = new byte[0];
    private byte[] chunkMac = new byte[BLOCK_BYTES];

    void update(byte[] buffer, int offset, int length) {
      int position = offset;
      int end = offset + length;
      while (position < end) {
        int n = Math.min(leftInChunk, end - position);
        intoChunk(buffer, position, n);
        position += n;
        leftInChunk -= n;
        tailBytes = (tailBytes + n) % BLOCK_BYTES;
        if (leftInChunk == 0) {
          endChunk();
          chunkBytes = Math.min(LARGEST_CHUNK_BYTES, chunkBytes + SMALLEST_CHUNK_BYTES);
          leftInChunk = chunkBytes;
          chunk = startChunk();
        }
      }
    }

    /** Whether the bytes were those that the key was made for; ends the MAC. */
    boolean matches() {
      if (leftInChunk < chunkBytes) {
        intoChunk(new byte[BLOCK_BYTES], 0, (BLOCK_BYTES - tailBytes) % BLOCK_BYTES);
        endChunk();
      }
      byte[] folded = new byte[expectedMac.length];
      for (int i = 0; i < folded.length; i++) {
        int from = i < 4 ? i : i + 4;
        folded[i] = (byte) (chained[from] ^ chained[from + 4]);
      }
      return Arrays.equals(folded, expectedMac);
    }

    private Cipher startChunk() {
      byte[] vector = ByteBuffer.allocate(BLOCK_BYTES).put(nonce).put(nonce).array();
      return cipher("AES/CBC/NoPadding", Cipher.ENCRYPT_MODE, vector);
    }

    /** The last block that comes out of a chunk is its MAC so far. */
    private void intoChunk(byte[] buffer, int offset, int length) {
      if (output.length < length + BLOCK_BYTES) {
        output = new byte[length + BLOCK_BYTES];
      }
      int n = updateInto(chunk, buffer, offset, length, output, 0);
      if (n > 0) {
        chunkMac = Arrays.copyOfRange(output, n - BLOCK_BYTES, n);
      }
    }

    private void endChunk() {
      chained = chain.update(chunkMac);
    }
  }

  private static int updateInto(
      Cipher cipher, byte[] input, int offset, int length, byte[] output, int outputOffset) {
    try {
      return cipher.update(input, offset, length, output, outputOffset);
    } catch (ShortBufferException e) {
      throw new AssertionError("the output has room for a block more than the input", e);
    }
  }
}
