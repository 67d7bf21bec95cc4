package io.anymatix.fetcher.rpc;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Tells the client how its requests get on, with {@code $/progress} notifications, and with others
 * what changes beside them.
 *
 * <p>One timer samples every watched request, so whoever does the work only keeps counters and
 * never waits for the client. The legal order for a token is: one first value, at once; then what
 * changed, at the pace of the timer; then one last value, after which there is nothing more.
 */
final class ProgressNotifier {
  /**
   * Between two samples of a token. The protocol allows ten notifications in a second; this leaves
   * room for the last one and a pushed one before it, which do not wait for the timer.
   */
  static final Duration INTERVAL = Duration.ofMillis(125);

  private static final int MOST_IN_A_SECOND = 10;

  private static final Logger log = LoggerFactory.getLogger(ProgressNotifier.class);

  private final Consumer<ObjectNode> client;
  private final ScheduledExecutorService timer;
  private final Map<String, Future<?>> announcements = new ConcurrentHashMap<>();

  /**
   * @param client takes one notification at a time for a token, from any thread
   * @param timer one thread that all tokens share; the caller shuts it down
   */
  ProgressNotifier(Consumer<ObjectNode> client, ScheduledExecutorService timer) {
    this.client = client;
    this.timer = timer;
  }

  /**
   * Sends the first value and goes on from there until {@link Watch#finish}.
   *
   * @param token a string or number, sent back as it is
   * @param snapshot the state at this moment, in the form that travels as {@code value}; called by
   *     the timer, so it must not wait
   */
  Watch watch(JsonNode token, Supplier<?> snapshot) {
    Watch watch = new Watch(token, snapshot);
    watch.start();
    return watch;
  }

  /**
   * Sends notifications of a method from now on, one at a time: the first at once, then whenever
   * the state is another than the last one that was sent. Takes the place of an earlier one of that
   * method.
   *
   * @param state what the notification carries, called by the timer; null ends them
   */
  void announce(String method, Duration interval, @Nullable Supplier<?> state) {
    Future<?> before =
        state == null
            ? announcements.remove(method)
            : announcements.put(
                method,
                timer.scheduleWithFixedDelay(
                    new Announcement(method, state),
                    0,
                    interval.toMillis(),
                    TimeUnit.MILLISECONDS));
    if (before != null) {
      before.cancel(false);
    }
  }

  /** Runs on the timer's one thread. */
  private final class Announcement implements Runnable {
    private final String method;
    private final Supplier<?> state;
    private @Nullable ObjectNode lastSent;

    Announcement(String method, Supplier<?> state) {
      this.method = method;
      this.state = state;
    }

    @Override
    public void run() {
      try {
        ObjectNode now = tree(state.get());
        if (!now.equals(lastSent)) {
          lastSent = now;
          client.accept(JsonMessages.notification(method, now));
        }
      } catch (RuntimeException e) {
        // Thrown out of here it would end the notifications without a word.
        log.warn("A state could not be told.", e);
      }
    }
  }

  /** One token while it is watched. Its methods may be called from any thread. */
  final class Watch {
    private final JsonNode token;
    private final Supplier<?> snapshot;

    /** Whoever pushes works for the request and must not wait for the client. */
    private final Queue<ObjectNode> pushed = new ConcurrentLinkedQueue<>();

    // Guarded by this, and so is the order of sending. The writer's lock is taken inside it.
    private final Deque<Long> sentNanos = new ArrayDeque<>();
    private @Nullable ObjectNode lastSent;
    private @Nullable Future<?> ticks;
    private volatile boolean finished;

    private Watch(JsonNode token, Supplier<?> snapshot) {
      this.token = token;
      this.snapshot = snapshot;
    }

    private synchronized void start() {
      tick();
      ticks =
          timer.scheduleWithFixedDelay(
              this::tick, INTERVAL.toMillis(), INTERVAL.toMillis(), TimeUnit.MILLISECONDS);
    }

    /** Sends this value, which no sample would show, at one of the next ticks. */
    void push(Object value) {
      if (!finished) {
        pushed.add(tree(value));
      }
    }

    /** Sends what is left and the last value, with this status. Later calls do nothing. */
    synchronized void finish(String status) {
      if (finished) {
        return;
      }
      finished = true;
      if (ticks != null) {
        ticks.cancel(false);
      }
      // What was pushed last is sent as far as the pace allows: an answer does not wait for it.
      while (!pushed.isEmpty() && sentInTheLastSecond() < MOST_IN_A_SECOND - 1) {
        send(pushed.remove());
      }
      ObjectNode last = sample();
      if (last != null) {
        send(last.put("status", status));
      }
    }

    private synchronized void tick() {
      if (finished) {
        return;
      }
      ObjectNode value = pushed.poll();
      if (value == null) {
        value = sample();
        if (value == null || value.equals(lastSent)) {
          return;
        }
        lastSent = value;
      }
      send(value);
    }

    /** The present state; the one before where it can not be told, null if there is none. */
    private @Nullable ObjectNode sample() {
      try {
        return tree(snapshot.get());
      } catch (RuntimeException e) {
        // Thrown out of here it would end the ticks without a word.
        log.warn("A download could not tell its progress.", e);
        return lastSent == null ? null : lastSent.deepCopy();
      }
    }

    private int sentInTheLastSecond() {
      long now = System.nanoTime();
      while (!sentNanos.isEmpty() && now - sentNanos.peek() > TimeUnit.SECONDS.toNanos(1)) {
        sentNanos.remove();
      }
      return sentNanos.size();
    }

    private void send(ObjectNode value) {
      sentNanos.add(System.nanoTime());
      if (sentNanos.size() > MOST_IN_A_SECOND) {
        sentNanos.remove();
      }
      ObjectNode params = JsonMessages.MAPPER.createObjectNode();
      params.set("token", token);
      params.set("value", value);
      client.accept(JsonMessages.notification("$/progress", params));
    }
  }

  private static ObjectNode tree(Object value) {
    return JsonMessages.MAPPER.valueToTree(value);
  }
}
