package io.anymatix.fetcher.testing;

/** The host {@code models.test} of the recorded examples, as {@code examples/README.md} has it. */
public final class ExampleServer {
  private ExampleServer() {}

  /** Starts it; {@code slow.safetensors} goes on when the gate opens. */
  public static ByteRangeServer start(Gate gate) {
    ByteRangeServer server = ByteRangeServer.start();
    server.serve("/tiny.safetensors", Content.safetensors(1, 4 * Content.KIB));
    server.serve("/plain.safetensors", Content.safetensors(2, 16 * Content.KIB));
    server.serve("/large.safetensors", Content.safetensors(3, 8 * Content.MIB)).entityTag("\"3\"");
    server.serve("/page.safetensors", Content.text("<!DOCTYPE html><title>Sign in</title>"));
    server
        .serve("/slow.safetensors", Content.safetensors(4, 8 * Content.MIB))
        .when(request -> true, Fault.freezesAfter(1, gate));
    return server;
  }
}
