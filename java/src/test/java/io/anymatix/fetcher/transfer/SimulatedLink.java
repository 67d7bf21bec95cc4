package io.anymatix.fetcher.transfer;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/**
 * A server and the way to it, in steps of ten milliseconds and without a real clock: what so many
 * connections would have brought, and when.
 *
 * <p>A connection begins after the latency with ten segments a round trip and doubles every round
 * trip, up to its own cap; with loss its cap is that of Mathis et al. (1.22 segments / round trip
 * time / square root of the loss). All connections share the pipe in equal parts. A server may
 * refuse connections above a number, and may lose speed with each one above another number.
 */
final class SimulatedLink {
  private static final double STEP_SECONDS = 0.01;
  private static final int SEGMENT_BYTES = 1460;

  /** Beyond any real one. */
  static final double UNLIMITED = 1e12;

  private final double roundTripSeconds;
  private final double pipe;
  private final double ownCap;
  private final int refusedAbove;
  private final int slowerAbove;
  private final double noise;
  private final Random random;
  private final List<Double> ages = new ArrayList<>();

  private ConnectionController controller;
  private long stepNumber;
  private double received;
  private double pipeNow;
  private int mostWanted;

  /** What may be said of a link; everything else is unlimited. */
  static final class Builder {
    private double roundTripSeconds = 0.001;
    private double pipe = UNLIMITED;
    private double ownCap = UNLIMITED;
    private int refusedAbove = Integer.MAX_VALUE;
    private int slowerAbove = Integer.MAX_VALUE;
    private double noise;

    Builder roundTripMillis(double millis) {
      roundTripSeconds = millis / 1000;
      return this;
    }

    /** Bytes a second that all connections have together. */
    Builder pipe(double bytesPerSecond) {
      pipe = bytesPerSecond;
      return this;
    }

    /** Bytes a second that one connection can have. */
    Builder each(double bytesPerSecond) {
      ownCap = bytesPerSecond;
      return this;
    }

    /** The part of all packets that is lost. */
    Builder loss(double part) {
      ownCap = Math.min(ownCap, 1.22 * SEGMENT_BYTES / roundTripSeconds / Math.sqrt(part));
      return this;
    }

    Builder refusedAbove(int connections) {
      refusedAbove = connections;
      return this;
    }

    /** A server that loses a tenth of its speed with each connection above a number. */
    Builder slowerAbove(int connections) {
      slowerAbove = connections;
      return this;
    }

    /** Every step's bytes vary by up to this part. */
    Builder noise(double part) {
      noise = part;
      return this;
    }

    SimulatedLink with(int usual, int most, long seed) {
      return new SimulatedLink(this, Connections.upTo(usual, most), seed);
    }
  }

  private SimulatedLink(Builder builder, Connections connections, long seed) {
    this.roundTripSeconds = builder.roundTripSeconds;
    this.pipe = builder.pipe;
    this.pipeNow = pipe;
    this.ownCap = builder.ownCap;
    this.refusedAbove = builder.refusedAbove;
    this.slowerAbove = builder.slowerAbove;
    this.noise = builder.noise;
    this.random = new Random(seed);
    this.controller = new ConnectionController(null, connections, () -> 0, 0);
  }

  /** Lets time pass. */
  SimulatedLink run(double seconds) {
    for (long end = stepNumber + Math.round(seconds / STEP_SECONDS); stepNumber < end; ) {
      step();
    }
    return this;
  }

  /** Lets time pass until so many bytes have arrived; returns how many seconds that took. */
  double secondsUntil(double bytes) {
    while (received < bytes) {
      step();
    }
    return stepNumber * STEP_SECONDS;
  }

  /** From now on the pipe brings this part of what it brought. */
  SimulatedLink pipeShrinksTo(double part) {
    pipeNow = pipe * part;
    return this;
  }

  int wanted() {
    return controller.wanted();
  }

  int mostWanted() {
    return mostWanted;
  }

  double receivedBytes() {
    return received;
  }

  /** What the best number of connections would have brought from the start, at once. */
  double bestBytes(int most) {
    double best = 0;
    for (int connections = 1; connections <= Math.min(most, refusedAbove); connections++) {
      best = Math.max(best, rate(connections, ownCap));
    }
    return best * stepNumber * STEP_SECONDS;
  }

  private void step() {
    stepNumber++;
    long nowNanos = Math.round(stepNumber * STEP_SECONDS * 1e9);
    while (ages.size() < controller.wanted() && ages.size() < refusedAbove) {
      ages.add(-roundTripSeconds);
    }
    if (controller.wanted() > refusedAbove) {
      controller.refused(refusedAbove, nowNanos);
    }
    while (ages.size() > controller.wanted()) {
      ages.remove(ages.size() - 1);
    }
    double wish = 0;
    for (int i = 0; i < ages.size(); i++) {
      ages.set(i, ages.get(i) + STEP_SECONDS);
      wish += ownRate(ages.get(i));
    }
    double varied = 1 + noise * (2 * random.nextDouble() - 1);
    received += Math.min(wish, pipeFor(ages.size())) * STEP_SECONDS * varied;
    mostWanted = Math.max(mostWanted, controller.wanted());
    controller.sample(nowNanos, (long) received, ages.size(), Math.round(roundTripSeconds * 2e9));
  }

  private double ownRate(double ageSeconds) {
    if (ageSeconds < 0) {
      return 0;
    }
    double doublings = Math.min(40, ageSeconds / roundTripSeconds);
    return Math.min(ownCap, 10 * SEGMENT_BYTES / roundTripSeconds * Math.pow(2, doublings));
  }

  private double rate(int connections, double each) {
    return Math.min(connections * each, pipeFor(connections));
  }

  private double pipeFor(int connections) {
    return pipeNow * Math.pow(0.9, Math.max(0, connections - slowerAbove));
  }
}
