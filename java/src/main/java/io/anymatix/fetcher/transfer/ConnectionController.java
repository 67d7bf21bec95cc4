package io.anymatix.fetcher.transfer;

import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * How many connections pay for one file: begins with few, and adds some while each new one still
 * raises the total rate by a good part of its share and the processors have time for more.
 *
 * <p>One trial at a time: the total rate is measured over a window, the number of connections
 * changed, and the rate measured again. If more do not pay, fewer are tried, which are kept if they
 * bring as much: they cost both sides less. Then there is a pause, which grows, since conditions
 * may change; a rate that falls for good ends it. A refusal lowers the number at once, and caps it
 * for a while. Pure bookkeeping on numbers that it is told: no clock, no I/O. Not thread-safe.
 */
final class ConnectionController {
  /** What a file begins with on a host that nothing is known of. */
  static final int FIRST_CONNECTIONS = 8;

  /** The same, until it is seen whether the processors have time for more. */
  static final int BUSY_CONNECTIONS = 4;

  /**
   * A process that keeps this part of the processors busy is not held up by the network; more
   * connections would only cost more. It is that of a young process above all, whose code is still
   * being compiled.
   */
  private static final double BUSY = 0.5;

  /** An added connection has to bring this part of what the others bring each. */
  private static final double WORTHWHILE_SHARE = 0.4;

  /** Fewer connections are kept if they bring this part of what the more had brought. */
  private static final double AS_GOOD = 0.95;

  /** The same while the processors are busy: then the hash is behind, and gets what is saved. */
  private static final double AS_GOOD_IF_BUSY = 0.7;

  /** A rate below this part of the measured one has fallen. */
  private static final double FALLEN = 0.6;

  /** With two, one that freezes does not hold up the file. */
  private static final int FEWEST_CONNECTIONS = 2;

  private static final long SHORTEST_WINDOW_NANOS = 30_000_000;
  private static final long SHORTEST_SETTLING_NANOS = 10_000_000;
  private static final long LONGEST_LATENCY_NANOS = 1_000_000_000;
  private static final long FIRST_PAUSE_NANOS = 2_000_000_000;
  private static final long LONGEST_PAUSE_NANOS = 60_000_000_000L;

  /** How long a host is believed that it takes no more connections. */
  private static final long REFUSAL_NANOS = 60_000_000_000L;

  private final Connections connections;
  private final LongSupplier processorNanos;
  private int wanted;

  /** What the wanted number is compared with; zero if nothing was measured yet. */
  private int baseConnections;

  private double baseRate;

  /** When the last change was made; the rate counts once it has settled. */
  private long changedNanos;

  /** A window in which the rate is measured; zero if none is open. */
  private long windowStartNanos;

  private long windowStartBytes;
  private long windowStartProcessorNanos;
  private long windowNanos;
  private long latencyNanos;

  /** Whether the processors were, in the last window. */
  private boolean isBusy;

  /** Whether they have been from the beginning, so that it has not begun with what others do. */
  private boolean isHeldBack;

  private long nextTrialNanos;
  private long pauseNanos = FIRST_PAUSE_NANOS;
  private int fallenWindows;
  private int cap;
  private long capUntilNanos;
  private boolean refused;

  /**
   * Begins.
   *
   * @param found what an earlier file found out about the same host; null if there was none
   * @param connections how many there may be
   * @param processorNanos time that each processor has worked for this process, on the average
   */
  ConnectionController(
      @Nullable Finding found,
      Connections connections,
      LongSupplier processorNanos,
      long nowNanos) {
    this.connections = connections;
    this.processorNanos = processorNanos;
    this.cap = connections.most();
    this.changedNanos = nowNanos;
    this.nextTrialNanos = nowNanos;
    if (connections.areFixed()) {
      this.wanted = cap;
    } else if (found == null) {
      this.wanted = Math.min(BUSY_CONNECTIONS, cap);
      this.isHeldBack = true;
    } else {
      this.refused = found.refused;
      this.cap = found.refused ? Math.min(cap, found.cap) : cap;
      this.capUntilNanos = found.capUntilNanos;
      this.wanted = Math.max(1, Math.min(found.connections, cap));
    }
  }

  /** What is worth remembering for the next file; null if nothing was found out. */
  @Nullable Finding finding() {
    boolean isKnown = baseConnections > 0 || refused;
    int borne = baseConnections > 0 ? baseConnections : wanted;
    return connections.areFixed() || !isKnown
        ? null
        : new Finding(borne, refused, cap, capUntilNanos);
  }

  /**
   * What was found out about a host.
   *
   * @param connections how many paid
   * @param refused whether it refused some
   * @param cap what it bore then
   * @param capUntilNanos until when that is believed
   */
  record Finding(int connections, boolean refused, int cap, long capUntilNanos) {}

  /** How many connections there should be now. */
  int wanted() {
    return wanted;
  }

  /** Whether it is still being found out how many pay, so that samples should come often. */
  boolean isTrying() {
    return baseConnections == 0 || wanted != baseConnections;
  }

  /** Bytes a second that one connection brings, as last measured; zero if nothing was yet. */
  double connectionRate() {
    return baseConnections == 0 ? 0 : baseRate / baseConnections;
  }

  /**
   * Takes note of what has arrived so far.
   *
   * @param receivedBytes in all, over every connection
   * @param working connections at work, waiting for an answer included
   * @param latencyNanos how long an answer's first byte takes
   */
  void sample(long nowNanos, long receivedBytes, int working, long latencyNanos) {
    this.latencyNanos = Math.min(latencyNanos, LONGEST_LATENCY_NANOS);
    if (refused && cap < connections.usual() && nowNanos - capUntilNanos >= 0) {
      cap++;
      capUntilNanos = nowNanos + REFUSAL_NANOS;
    }
    if (working != wanted) {
      // What is measured now would be the rate of fewer, or of more that have not ended yet.
      windowStartNanos = 0;
      changedNanos = nowNanos;
      return;
    }
    if (windowStartNanos == 0) {
      if (nowNanos - changedNanos >= SHORTEST_SETTLING_NANOS + this.latencyNanos) {
        windowStartNanos = nowNanos;
        windowStartBytes = receivedBytes;
        windowStartProcessorNanos = processorNanos.getAsLong();
        windowNanos = SHORTEST_WINDOW_NANOS + this.latencyNanos;
      }
      return;
    }
    long nanos = nowNanos - windowStartNanos;
    // Silence says nothing of the number: whoever is silent for long is replaced elsewhere.
    if (nanos < windowNanos || receivedBytes == windowStartBytes) {
      return;
    }
    double rate = (receivedBytes - windowStartBytes) * 1e9 / nanos;
    long usedNanos = processorNanos.getAsLong();
    isBusy = usedNanos - windowStartProcessorNanos >= BUSY * nanos;
    windowStartNanos = nowNanos;
    windowStartBytes = receivedBytes;
    windowStartProcessorNanos = usedNanos;
    judge(rate, nowNanos);
  }

  private void judge(double rate, long nowNanos) {
    if (isHeldBack && !isBusy) {
      isHeldBack = false;
      baseConnections = 0;
      change(Math.min(FIRST_CONNECTIONS, cap), nowNanos);
      return;
    }
    if (baseConnections == 0 || wanted == baseConnections) {
      hold(rate, nowNanos);
    } else if (wanted > baseConnections) {
      judgeMore(rate, nowNanos);
    } else {
      judgeFewer(rate, nowNanos);
    }
  }

  private void hold(double rate, long nowNanos) {
    boolean isFirst = baseConnections == 0;
    boolean hasFallen = !isFirst && rate < FALLEN * baseRate;
    fallenWindows = hasFallen ? fallenWindows + 1 : 0;
    baseConnections = wanted;
    if (hasFallen && fallenWindows < 3) {
      return;
    }
    baseRate = isFirst || hasFallen ? rate : 0.8 * baseRate + 0.2 * rate;
    if (connections.areFixed()) {
      return;
    }
    if (hasFallen || isFirst || nowNanos - nextTrialNanos >= 0) {
      fallenWindows = 0;
      tryMore(nowNanos);
    }
  }

  /** Unless the processors are busy: then fewer may bring as much, and cost less. */
  private void tryMore(long nowNanos) {
    if (isBusy) {
      tryFewer(nowNanos);
      return;
    }
    int more = Math.min(cap, 2 * wanted);
    if (more > wanted) {
      change(more, nowNanos);
    } else {
      rest(nowNanos);
    }
  }

  private void tryFewer(long nowNanos) {
    int fewer = (baseConnections + 1) / 2;
    if (fewer >= FEWEST_CONNECTIONS && fewer < baseConnections) {
      change(fewer, nowNanos);
    } else {
      change(baseConnections, nowNanos);
      rest(nowNanos);
    }
  }

  private void judgeMore(double rate, long nowNanos) {
    double share = baseRate / baseConnections;
    double gain = (rate - baseRate) / (wanted - baseConnections);
    if (gain >= WORTHWHILE_SHARE * share) {
      settle(rate);
      pauseNanos = FIRST_PAUSE_NANOS;
      tryMore(nowNanos);
    } else {
      tryFewer(nowNanos);
    }
  }

  private void judgeFewer(double rate, long nowNanos) {
    if (rate >= (isBusy ? AS_GOOD_IF_BUSY : AS_GOOD) * baseRate) {
      settle(rate);
      tryFewer(nowNanos);
    } else {
      change(baseConnections, nowNanos);
      rest(nowNanos);
    }
  }

  private void rest(long nowNanos) {
    nextTrialNanos = nowNanos + pauseNanos;
    pauseNanos = Math.min(LONGEST_PAUSE_NANOS, 2 * pauseNanos);
  }

  private void settle(double rate) {
    baseConnections = wanted;
    baseRate = rate;
  }

  private void change(int connections, long nowNanos) {
    wanted = connections;
    changedNanos = nowNanos;
    windowStartNanos = 0;
  }

  /**
   * The host refused a connection: it takes no more than those that it bears at this moment.
   *
   * @param working those that it bears
   */
  void refused(int working, long nowNanos) {
    if (connections.areFixed()) {
      return;
    }
    refused = true;
    cap = Math.max(1, Math.min(cap, working));
    capUntilNanos = nowNanos + REFUSAL_NANOS;
    if (wanted > cap) {
      baseConnections = 0;
      change(cap, nowNanos);
    }
  }
}
