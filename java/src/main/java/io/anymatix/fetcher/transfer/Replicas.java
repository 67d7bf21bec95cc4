package io.anymatix.fetcher.transfer;

import io.anymatix.fetcher.content.RemoteFile;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.transfer.Transfer.Mirror;
import io.anymatix.fetcher.transfer.Transfer.Share;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Executor;
import java.util.function.ToLongFunction;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The places of one file: the one that its source names, and those of mirrors that have joined.
 *
 * <p>Mirrors are resolved in the background, so that a dead one costs nothing. One joins if it has
 * the same length, takes ranges, and either something will prove the whole in the end (a hash, or
 * the key of an encrypted file) or its strong entity tag is the file's. What is wrong, far slower
 * than the best, or fails for good is given up by name. The coordinator's own, except for {@link
 * #lead}.
 */
final class Replicas implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(Replicas.class);

  private static final Duration COMPARISON_INTERVAL = Duration.ofSeconds(2);

  /** A mirror is given up if its connections are slower than the best ones by this. */
  private static final int SLOW_FACTOR = 10;

  /** Failures of this machine, which no other place can mend. */
  private static final Set<FailureKind> LOCAL_KINDS =
      Set.of(FailureKind.DISK_FULL, FailureKind.STORAGE, FailureKind.BUSY);

  private final String fileName;
  private final Replica source;
  private final List<Mirror> mirrors;
  private final boolean provable;
  private final Executor executor;
  private final Cancellation end = new Cancellation();
  private final Cancellation.Registration link;
  private final Map<Mirror, CompletableFuture<RemoteFile>> pending = new LinkedHashMap<>();
  private final Map<Mirror, Replica> joined = new LinkedHashMap<>();
  private final Map<Mirror, String> objections = new HashMap<>();
  private final Map<Replica, Long> receivedBefore = new HashMap<>();
  private final Map<Replica, Double> gains = new HashMap<>();
  private volatile Replica lead;
  private @Nullable FetchException sourceFailure;
  private long nextComparisonNanos;

  /**
   * Knows of mirrors, but asks none of them yet.
   *
   * @param fileName the file's name, for the log
   * @param provable whether a hash of the whole is known
   */
  Replicas(
      String fileName,
      Replica source,
      List<Mirror> mirrors,
      boolean provable,
      Cancellation cancellation,
      Executor executor) {
    this.fileName = fileName;
    this.source = source;
    this.lead = source;
    this.mirrors = mirrors;
    this.provable = provable;
    this.executor = executor;
    this.link = cancellation.onCancel(end::cancel);
  }

  /** The place whose word on the content counts, and that is read where there are no ranges. */
  Replica lead() {
    return lead;
  }

  /** The places that are of use; at least one. */
  List<Replica> live() {
    return Stream.concat(Stream.of(source), joined.values().stream())
        .filter(replica -> !replica.isDropped())
        .toList();
  }

  /** Begins to ask all mirrors, from the start if some were asked before. */
  void ask() {
    joined.values().removeIf(replica -> replica != lead);
    objections.clear();
    pending.clear();
    nextComparisonNanos = System.nanoTime() + COMPARISON_INTERVAL.toNanos();
    for (Mirror mirror : mirrors) {
      if (!joined.containsKey(mirror)) {
        pending.put(
            mirror, CompletableFuture.supplyAsync(() -> mirror.resolve().apply(end), executor));
      }
    }
  }

  /** Lets those join that have answered by now and fit; returns whether there are any. */
  boolean admit() {
    boolean any = false;
    for (Mirror mirror : List.copyOf(pending.keySet())) {
      CompletableFuture<RemoteFile> answer = Objects.requireNonNull(pending.get(mirror));
      if (answer.isDone()) {
        pending.remove(mirror);
        any |= admit(mirror, answer);
      }
    }
    return any;
  }

  private boolean admit(Mirror mirror, CompletableFuture<RemoteFile> answer) {
    String objection = objection(answer);
    if (objection != null) {
      log.warn("{}: the mirror {} is not used: {}", fileName, mirror.host(), objection);
      objections.put(mirror, objection);
      return false;
    }
    RemoteFile remote = answer.join();
    joined.put(
        mirror,
        new Replica(
            mirror.host(),
            remote,
            () -> mirror.resolve().apply(end),
            mirror.access().apply(remote)));
    return true;
  }

  private @Nullable String objection(CompletableFuture<RemoteFile> answer) {
    try {
      return objection(answer.join());
    } catch (CompletionException e) {
      if (e.getCause() instanceof FetchException || e.getCause() instanceof CancelledException) {
        return String.valueOf(e.getCause().getMessage());
      }
      throw e;
    }
  }

  private @Nullable String objection(RemoteFile mirror) {
    RemoteFile file = lead.remote();
    if (!Objects.equals(mirror.lengthBytes(), file.lengthBytes())) {
      return "it has " + mirror.lengthBytes() + " bytes, not " + file.lengthBytes();
    }
    if (!mirror.rangesProven()) {
      return "it does not serve ranges";
    }
    boolean otherHash =
        mirror.sha256() != null && file.sha256() != null && !mirror.sha256().equals(file.sha256());
    if (otherHash) {
      return "it states another hash";
    }
    boolean sameTag =
        mirror.validator().isStrong()
            && Objects.equals(mirror.validator().entityTag(), file.validator().entityTag());
    return provable || source.remote().delivery().key() != null || sameTag
        ? null
        : "no hash is known, and nothing else proves that its bytes are the same";
  }

  /**
   * Gives up a place that has failed for good, if another one can go on; waits for mirrors that
   * have not answered yet, if it was the last one.
   *
   * @return whether the transfer can go on
   * @throws CancelledException at the cancellation
   */
  boolean goesOnWithout(Replica replica, RuntimeException failure) {
    if (failure instanceof FetchException fetch) {
      if (LOCAL_KINDS.contains(fetch.kind())) {
        return false;
      }
      sourceFailure = replica == source && sourceFailure == null ? fetch : sourceFailure;
    }
    while (live().size() == 1 && !pending.isEmpty()) {
      end.sleep(Duration.ofMillis(20));
      admit();
    }
    if (live().size() == 1) {
      replica.drop(String.valueOf(failure.getMessage()));
      return false;
    }
    drop(replica, String.valueOf(failure.getMessage()));
    return true;
  }

  private void drop(Replica replica, String reason) {
    log.warn("{}: goes on without {}: {}", fileName, replica.host(), reason);
    replica.drop(reason);
    if (replica == lead) {
      lead = live().get(0);
    }
  }

  /**
   * Gives up mirrors whose connections bring far less than those of the best place; looks every few
   * seconds only.
   *
   * @param underWay bytes of a place's running segments so far
   * @param working its connections at work
   * @return whether one was given up
   */
  boolean dropSlow(ToLongFunction<Replica> underWay, ToLongFunction<Replica> working) {
    long now = System.nanoTime();
    if (joined.isEmpty() || now < nextComparisonNanos) {
      return false;
    }
    nextComparisonNanos = now + COMPARISON_INTERVAL.toNanos();
    for (Replica replica : live()) {
      long received = replica.receivedBytes() + underWay.applyAsLong(replica);
      long connections = working.applyAsLong(replica);
      Long before = receivedBefore.put(replica, received);
      // Who has nothing to do could bring what it brought before.
      if (before != null && connections > 0) {
        gains.put(replica, (double) (received - before) / connections);
      }
    }
    double best = gains.values().stream().mapToDouble(Double::doubleValue).max().orElse(0);
    boolean any = false;
    for (Replica replica : live()) {
      if (replica != lead && gains.getOrDefault(replica, best) * SLOW_FACTOR < best) {
        drop(replica, "it is more than " + SLOW_FACTOR + " times slower than another host");
        any = true;
      }
    }
    gains.keySet().removeIf(Replica::isDropped);
    return any;
  }

  /** What came from which host, the source's first; empty without mirrors. */
  List<Share> shares() {
    List<Share> shares = new ArrayList<>();
    if (!mirrors.isEmpty()) {
      shares.add(share(source));
      for (Mirror mirror : mirrors) {
        Replica replica = joined.get(mirror);
        shares.add(
            replica != null
                ? share(replica)
                : new Share(
                    mirror.host(), 0, objections.getOrDefault(mirror, "it has not answered yet")));
      }
    }
    return shares;
  }

  private static Share share(Replica replica) {
    return new Share(replica.host(), replica.receivedBytes(), replica.droppedBecause());
  }

  /** The failure to tell when none is left: the source's own, with what became of the mirrors. */
  FetchException told(FetchException last) {
    FetchException failure = sourceFailure == null ? last : sourceFailure;
    List<String> others =
        shares().stream()
            .skip(1)
            .map(share -> share.host() + ": " + share.droppedBecause())
            .toList();
    if (others.isEmpty() || LOCAL_KINDS.contains(last.kind())) {
      return last;
    }
    String message = failure.getMessage() + " No mirror helped: " + String.join("; ", others);
    return failure.retold(failure.kind(), message).fact("mirrors", others).build();
  }

  /** Ends what is still being asked. */
  @Override
  public void close() {
    link.close();
    end.cancel();
  }
}
