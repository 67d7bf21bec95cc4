package io.anymatix.fetcher.bench;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/** SHA-256 of 64 MiB that lie in the page cache, and of 64 MiB that lie in memory. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Fork(1)
@Warmup(iterations = 2, time = 2)
@Measurement(iterations = 5, time = 2)
public class Hashing {
  private static final int FILE_BYTES = 64 << 20;

  private final byte[] memory = new byte[FILE_BYTES];
  private final byte[] heap = new byte[512 * 1024];
  private final byte[] chunk = new byte[32 * 1024];
  private final ByteBuffer direct = ByteBuffer.allocateDirect(512 * 1024);
  private final MessageDigest digest = sha256();
  private Path path;
  private FileChannel file;

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (java.security.NoSuchAlgorithmException e) {
      throw new AssertionError(e);
    }
  }

  @Setup
  public void write() throws IOException {
    path = Files.createTempFile("hashing", ".bin");
    Files.write(path, memory);
    file = FileChannel.open(path, StandardOpenOption.READ);
  }

  @TearDown
  public void close() throws IOException {
    file.close();
    Files.delete(path);
  }

  @Benchmark
  public byte[] fromMemory() {
    digest.update(memory);
    return digest.digest();
  }

  @Benchmark
  public byte[] readIntoTheHeap() throws IOException {
    ByteBuffer buffer = ByteBuffer.wrap(heap);
    for (long position = 0; position < FILE_BYTES; ) {
      int n = file.read(buffer.clear(), position);
      digest.update(heap, 0, n);
      position += n;
    }
    return digest.digest();
  }

  @Benchmark
  public byte[] readOutsideTheHeapAndCopiedInParts() throws IOException {
    for (long position = 0; position < FILE_BYTES; ) {
      position += file.read(direct.clear(), position);
      for (direct.flip(); direct.hasRemaining(); ) {
        int n = Math.min(chunk.length, direct.remaining());
        direct.get(chunk, 0, n);
        digest.update(chunk, 0, n);
      }
    }
    return digest.digest();
  }
}
