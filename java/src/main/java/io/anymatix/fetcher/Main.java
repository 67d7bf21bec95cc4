package io.anymatix.fetcher;

import io.anymatix.fetcher.cli.Cli;
import io.anymatix.fetcher.cli.LogSetup;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.OutputStream;

/** Entry point of the sidecar process and of the command line. */
public final class Main {
  private Main() {}

  /** Runs one command and ends the process with its exit code. */
  public static void main(String[] args) {
    // Claimed before any library can print: standard output carries results and nothing else.
    OutputStream stdout = new FileOutputStream(FileDescriptor.out);
    System.setOut(System.err);
    LogSetup.install();
    System.exit(Cli.run(args, System.in, stdout, System.err));
  }
}
