package io.anymatix.fetcher.bench;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/** 64 MiB that lie in arrays of 128 KiB, written at offsets: how they are best gathered. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Fork(1)
@Warmup(iterations = 2, time = 2)
@Measurement(iterations = 5, time = 2)
public class Writing {
  private static final int FILE_BYTES = 64 << 20;

  private final byte[] chunk = new byte[128 * 1024];

  @Param({"131072", "262144", "524288", "1048576"})
  private int writeBytes;

  private Path path;
  private FileChannel file;
  private ByteBuffer direct;
  private byte[] heap;

  @Setup
  public void open() throws IOException {
    path = Files.createTempFile("writing", ".bin");
    file = FileChannel.open(path, StandardOpenOption.WRITE);
    direct = ByteBuffer.allocateDirect(writeBytes);
    heap = new byte[writeBytes];
  }

  @TearDown
  public void close() throws IOException {
    file.close();
    Files.delete(path);
  }

  @Benchmark
  public void gatheredOutsideTheHeap() throws IOException {
    file.truncate(0);
    for (int position = 0; position < FILE_BYTES; position += writeBytes) {
      direct.clear();
      while (direct.hasRemaining()) {
        direct.put(chunk);
      }
      file.write(direct.flip(), position);
    }
  }

  @Benchmark
  public void gatheredInTheHeap() throws IOException {
    file.truncate(0);
    for (int position = 0; position < FILE_BYTES; position += writeBytes) {
      for (int at = 0; at < writeBytes; at += chunk.length) {
        System.arraycopy(chunk, 0, heap, at, chunk.length);
      }
      file.write(ByteBuffer.wrap(heap), position);
    }
  }
}
