package io.anymatix.fetcher;

/** Entry point of the sidecar process and of the command line. */
public final class Main {
  private Main() {}

  public static void main(String[] args) {}
}
