package io.anymatix.fetcher.cli;

import io.anymatix.fetcher.failure.CancelledException;
import java.io.PrintWriter;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * Ctrl-C at the command line: the running work is cancelled, given a moment to leave its files in
 * order, and the process ends with the code that shells give to an interrupt.
 */
final class Interrupt implements AutoCloseable {
  /** What is to be known where models were being fetched. */
  static final String RESUMABLE = "What arrived is kept; the same command goes on from there.";

  private static final long PATIENCE_SECONDS = 2;

  private final CountDownLatch finished = new CountDownLatch(1);
  private final Thread hook;
  private volatile boolean signalled;

  private Interrupt(PrintWriter err, String remark, Runnable cancel) {
    this.hook =
        new Thread(
            () -> {
              signalled = true;
              cancel.run();
              awaitFinished();
              err.println(("Interrupted. " + remark).strip());
              Runtime.getRuntime().halt(Cli.EXIT_INTERRUPTED);
            },
            "interrupt");
  }

  /**
   * Runs {@code cancel} when a signal asks the process to end.
   *
   * @param remark what the user should know then
   */
  static Interrupt onSignal(PrintWriter err, String remark, Runnable cancel) {
    Interrupt interrupt = new Interrupt(err, remark, cancel);
    Runtime.getRuntime().addShutdownHook(interrupt.hook);
    return interrupt;
  }

  private void awaitFinished() {
    try {
      boolean unused = finished.await(PATIENCE_SECONDS, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** For the moment in which it changes what is to be cancelled. */
  void throwIfSignalled() {
    if (signalled) {
      throw new CancelledException();
    }
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
