package io.anymatix.fetcher.testing;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import javax.crypto.Cipher;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;

/**
 * A file as it lies at Mega. Those of {@link #fixtures} were encrypted by the openssl command line
 * ({@code mega/make_files.py}); others are encrypted here in the same way.
 *
 * @param name its name
 * @param linkKey the key as a link holds it
 * @param attributes its name, encrypted, as the API gives it
 * @param plain its bytes
 * @param encrypted what the storage holds
 */
public record MegaFile(
    String name, String linkKey, String attributes, Content plain, Content encrypted) {
  private static final int BLOCK_BYTES = 16;

  /** The files that were encrypted by other code, their encrypted bytes proven to be the same. */
  public static List<MegaFile> fixtures() {
    List<MegaFile> files = new ArrayList<>();
    for (JsonNode entry : json("/mega/files.json")) {
      Content plain =
          Content.pattern(entry.path("seed").asLong(), entry.path("lengthBytes").asLong());
      String linkKey = entry.path("linkKey").asText();
      Content encrypted = encrypted(plain, Base64.getUrlDecoder().decode(linkKey));
      requireEqual(entry.path("plainSha256").asText(), plain.sha256());
      requireEqual(entry.path("encryptedSha256").asText(), encrypted.sha256());
      files.add(
          new MegaFile(
              entry.path("name").asText(),
              linkKey,
              entry.path("attributes").asText(),
              plain,
              encrypted));
    }
    return files;
  }

  /** The first of the fixtures, with the very bytes that the other code has written. */
  public static MegaFile first() {
    MegaFile file = fixtures().get(0);
    return new MegaFile(
        file.name(),
        file.linkKey(),
        file.attributes(),
        file.plain(),
        Content.of(resource("/mega/first.encrypted")));
  }

  /** Encrypts a content with a key that depends on its hash. */
  public static MegaFile of(String name, Content plain) {
    byte[] material = plain.sha256().getBytes(StandardCharsets.US_ASCII);
    byte[] linkKey = new byte[2 * BLOCK_BYTES];
    System.arraycopy(material, 0, linkKey, 0, 24);
    byte[] unmasked = new byte[BLOCK_BYTES];
    // The last 8 bytes hold the MAC, which depends on the key that they mask: mask afterwards.
    System.arraycopy(material, 32, unmasked, 0, BLOCK_BYTES);
    byte[] nonce = Arrays.copyOfRange(linkKey, 16, 24);
    byte[] mac = mac(plain.bytes(), unmasked, nonce);
    System.arraycopy(mac, 0, linkKey, 24, 8);
    for (int i = 0; i < BLOCK_BYTES; i++) {
      linkKey[i] = (byte) (unmasked[i] ^ linkKey[BLOCK_BYTES + i]);
    }
    byte[] text = ("MEGA{\"n\":\"" + name + "\"}").getBytes(StandardCharsets.UTF_8);
    byte[] padded = Arrays.copyOf(text, (text.length + 15) / 16 * 16);
    byte[] attributes = run("AES/CBC/NoPadding", unmasked, new byte[BLOCK_BYTES], padded);
    return new MegaFile(
        name, base64(linkKey), base64(attributes), plain, encrypted(plain, linkKey));
  }

  @Override
  public String toString() {
    return name + ", " + plain.lengthBytes() + " bytes";
  }

  /** The same file, of which the storage holds something else. */
  public MegaFile withEncrypted(Content other) {
    return new MegaFile(name, linkKey, attributes, plain, other);
  }

  /** What {@code content} looks like under this file's key: for a storage that mixes files up. */
  public Content encrypt(Content content) {
    return encrypted(content, Base64.getUrlDecoder().decode(linkKey));
  }

  private static Content encrypted(Content plain, byte[] linkKey) {
    byte[] key = new byte[BLOCK_BYTES];
    for (int i = 0; i < BLOCK_BYTES; i++) {
      key[i] = (byte) (linkKey[i] ^ linkKey[BLOCK_BYTES + i]);
    }
    byte[] counter = Arrays.copyOf(Arrays.copyOfRange(linkKey, 16, 24), BLOCK_BYTES);
    return Content.of(run("AES/CTR/NoPadding", key, counter, plain.bytes()));
  }

  private static byte[] mac(byte[] plain, byte[] key, byte[] nonce) {
    byte[] vector = ByteBuffer.allocate(BLOCK_BYTES).put(nonce).put(nonce).array();
    byte[] chained = new byte[BLOCK_BYTES];
    int chunk = 128 * 1024;
    for (int at = 0; at < plain.length; ) {
      int n = Math.min(chunk, plain.length - at);
      byte[] padded = Arrays.copyOf(Arrays.copyOfRange(plain, at, at + n), (n + 15) / 16 * 16);
      byte[] out = run("AES/CBC/NoPadding", key, vector, padded);
      chained =
          run(
              "AES/CBC/NoPadding",
              key,
              chained,
              Arrays.copyOfRange(out, out.length - BLOCK_BYTES, out.length));
      at += n;
      chunk = Math.min(1024 * 1024, chunk + 128 * 1024);
    }
    ByteBuffer words = ByteBuffer.wrap(chained);
    return ByteBuffer.allocate(8)
        .putInt(words.getInt(0) ^ words.getInt(4))
        .putInt(words.getInt(8) ^ words.getInt(12))
        .array();
  }

  private static byte[] run(String transformation, byte[] key, byte[] vector, byte[] input) {
    try {
      Cipher cipher = Cipher.getInstance(transformation);
      cipher.init(Cipher.ENCRYPT_MODE, new SecretKeySpec(key, "AES"), new IvParameterSpec(vector));
      return cipher.doFinal(input);
    } catch (GeneralSecurityException e) {
      throw new AssertionError("every Java platform has " + transformation, e);
    }
  }

  private static String base64(byte[] bytes) {
    return Base64.getUrlEncoder().withoutPadding().encodeToString(bytes);
  }

  private static JsonNode json(String path) {
    try {
      return new ObjectMapper().readTree(resource(path));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static byte[] resource(String path) {
    try (InputStream in = MegaFile.class.getResourceAsStream(path)) {
      if (in == null) {
        throw new AssertionError("there is no " + path);
      }
      return in.readAllBytes();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void requireEqual(String expected, String actual) {
    if (!expected.equals(actual)) {
      throw new AssertionError("the fixture says " + expected + ", we computed " + actual);
    }
  }
}
