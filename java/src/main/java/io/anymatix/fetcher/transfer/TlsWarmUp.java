package io.anymatix.fetcher.transfer;

import java.nio.ByteBuffer;
import java.security.GeneralSecurityException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import javax.crypto.Cipher;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.SecretKeySpec;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Has the virtual machine compile what decrypts TLS records, while a process's first server is
 * still being asked.
 *
 * <p>AES-GCM runs at some MB/s until it is compiled, and at some GB/s afterwards. Compiling it
 * takes some tenths of a second of one processor; but several seconds of all of them if many
 * connections decrypt at the same time and leave none to the compiler. Any thread.
 */
public final class TlsWarmUp {
  private static final Logger log = LoggerFactory.getLogger(TlsWarmUp.class);

  /** Longer it is not worth it: then the machine is busy, or has no instructions for it. */
  private static final long MOST_NANOS = TimeUnit.MILLISECONDS.toNanos(800);

  private static final int RECORD_BYTES = 4 * 1024;
  private static final int ROUND_RECORDS = 16;

  /** What compiled code needs for a round, at 500 MB/s; it needs a third of that or less. */
  private static final long COMPILED_ROUND_NANOS = TimeUnit.MICROSECONDS.toNanos(130);

  /** Code that is compiled in part has fast rounds, too, now and then. */
  private static final int PROVING_ROUNDS = 16;

  /** The compiler belongs to the process, and so does what it has done. */
  private static final AtomicReference<@Nullable CompletableFuture<Void>> DONE =
      new AtomicReference<>();

  private static final AtomicBoolean IS_COLD = new AtomicBoolean(true);

  private TlsWarmUp() {}

  /** Begins in the background, once in the life of the process. */
  public static void begin() {
    CompletableFuture<Void> done = new CompletableFuture<>();
    if (DONE.compareAndSet(null, done)) {
      done.completeOnTimeout(null, MOST_NANOS, TimeUnit.NANOSECONDS);
      Thread thread =
          new Thread(
              () -> {
                run(done);
                done.complete(null);
              },
              "tls-warm-up");
      thread.setDaemon(true);
      thread.start();
    }
  }

  /**
   * Waits until it is done, if it has begun: not a second, and as a rule not at all.
   *
   * @return whether the caller is the first one, to whom all else about TLS is still to be compiled
   */
  static boolean await() {
    CompletableFuture<Void> begun = DONE.get();
    if (begun == null) {
      return false;
    }
    begun.join();
    return IS_COLD.compareAndSet(true, false);
  }

  private static void run(CompletableFuture<Void> end) {
    long beganNanos = System.nanoTime();
    int rounds = 0;
    int compiledRounds = 0;
    try {
      TlsRecord record = new TlsRecord();
      while (compiledRounds < PROVING_ROUNDS && !end.isDone()) {
        long roundNanos = System.nanoTime();
        for (int i = 0; i < ROUND_RECORDS; i++) {
          record.decrypt();
        }
        boolean isFast = System.nanoTime() - roundNanos < COMPILED_ROUND_NANOS;
        compiledRounds = isFast ? compiledRounds + 1 : 0;
        rounds++;
      }
    } catch (GeneralSecurityException e) {
      log.debug("no warm-up: {}", e.getMessage());
    }
    log.debug(
        "decryption of TLS records is {} after {} rounds in {} ms",
        compiledRounds < PROVING_ROUNDS ? "not compiled" : "compiled",
        rounds,
        TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - beganNanos));
  }

  /** A record as TLS 1.3 has them (RFC 8446 section 5.2), of zeros under a key of zeros. */
  private static final class TlsRecord {
    private final SecretKeySpec key = new SecretKeySpec(new byte[32], "AES");
    private final GCMParameterSpec nonce = new GCMParameterSpec(128, new byte[12]);
    private final byte[] header = new byte[5];
    private final Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
    private final byte[] encrypted;
    private final byte[] buffer;

    TlsRecord() throws GeneralSecurityException {
      cipher.init(Cipher.ENCRYPT_MODE, key, nonce);
      cipher.updateAAD(header);
      encrypted = cipher.doFinal(new byte[RECORD_BYTES]);
      buffer = new byte[encrypted.length];
    }

    /** In place and by way of buffers, as the JDK does it. */
    void decrypt() throws GeneralSecurityException {
      ByteBuffer in = ByteBuffer.wrap(buffer).put(encrypted).flip();
      cipher.init(Cipher.DECRYPT_MODE, key, nonce);
      cipher.updateAAD(header);
      cipher.doFinal(in, in.duplicate());
    }
  }
}
