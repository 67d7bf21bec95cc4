package io.anymatix.fetcher.transfer;

/**
 * How many connections one file may have at a time.
 *
 * @param usual at most, on a host that has refused some
 * @param most at most, on a host that never refused one and where more still pay
 * @param areFixed whether exactly {@code most} are wanted, without finding out how many pay
 */
public record Connections(int usual, int most, boolean areFixed) {

  /** Exactly so many. */
  public static Connections fixed(int connections) {
    return new Connections(connections, connections, true);
  }

  /** As many as pay. */
  public static Connections upTo(int usual, int most) {
    return new Connections(Math.min(usual, most), most, false);
  }

  /** The same, with a lower bound on top. */
  Connections atMost(int bound) {
    return new Connections(Math.min(usual, bound), Math.min(most, bound), areFixed);
  }
}
