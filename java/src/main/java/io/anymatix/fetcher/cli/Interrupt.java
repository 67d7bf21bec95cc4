package io.anymatix.fetcher.cli;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * Ctrl-C at the command line: the running work is cancelled, given a moment to leave its files in
 * order, and the process ends with the code that shells give to an interrupt.
 */
final class Interrupt implements AutoCloseable {
  private static final long PATIENCE_SECONDS = 2;

  private final CountDownLatch finished = new CountDownLatch(1);
  private final Thread hook;
  private volatile boolean signalled;

  private Interrupt(Runnable cancel) {
    this.hook =
        new Thread(
            () -> {
              signalled = true;
              cancel.run();
              try {
                if (!finished.await(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
                  Runtime.getRuntime().halt(Cli.EXIT_INTERRUPTED);
                }
              } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
              }
              Runtime.getRuntime().halt(Cli.EXIT_INTERRUPTED);
            },
            "interrupt");
  }

  /** Runs {@code cancel} when a signal asks the process to end. */
  static Interrupt onSignal(Runnable cancel) {
    Interrupt interrupt = new Interrupt(cancel);
    Runtime.getRuntime().addShutdownHook(interrupt.hook);
    return interrupt;
  }

  /** The exit code: that of an interrupt, if there was one. */
  int exitCode(int otherwise) {
    return signalled ? Cli.EXIT_INTERRUPTED : otherwise;
  }

  @Override
  public void close() {
    finished.countDown();
    if (!signalled) {
      try {
        Runtime.getRuntime().removeShutdownHook(hook);
      } catch (IllegalStateException e) {
        // The signal came this very moment; the hook ends the process.
      }
    }
  }
}
