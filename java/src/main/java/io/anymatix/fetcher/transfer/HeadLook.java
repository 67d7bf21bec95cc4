package io.anymatix.fetcher.transfer;

/**
 * Judges a file by its first bytes, as soon as they are there: a long file that is of no use is not
 * brought in vain. Used by the coordinating thread alone.
 */
final class HeadLook {
  private final int headBytes;
  private final Runnable look;
  private boolean done;
  private boolean refused;

  /**
   * @param headBytes how many first bytes the look takes
   * @param look throws if they speak against the whole
   */
  HeadLook(int headBytes, Runnable look) {
    this.headBytes = headBytes;
    this.look = look;
  }

  static HeadLook none() {
    HeadLook none = new HeadLook(0, () -> {});
    none.leaveOut();
    return none;
  }

  /** Leaves the judgement to whoever sees the whole. */
  void leaveOut() {
    done = true;
  }

  /** Looks, if the bytes are there and it has not; throws what the look throws. */
  void takeIfDue(SegmentTable table) {
    if (done || table.contiguousPrefixBytes() < Math.min(headBytes, table.lengthBytes())) {
      return;
    }
    done = true;
    refused = true;
    look.run();
    refused = false;
  }

  /** Whether the look has thrown. */
  boolean hasRefused() {
    return refused;
  }
}
