package io.anymatix.fetcher.rpc;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.googlecode.jsonrpc4j.ErrorResolver.JsonError;
import io.anymatix.fetcher.failure.CancelledException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * One request or notification from its arrival to its answer, and what its method may ask for.
 *
 * <p>It is answered exactly once, whatever is first: the method's end, or the deadline after a
 * cancel. Its methods may be called from any thread.
 */
public final class Call {
  /**
   * A cancelled request has this long to end by itself, with its files in order; then it is
   * answered without it. The protocol promises an answer within a second of the cancel.
   */
  static final Duration CANCEL_GRACE = Duration.ofMillis(600);

  private final JsonMessages.Request request;
  private final ProgressNotifier progress;
  private final ScheduledExecutorService timer;
  private final Runnable stopServer;
  private final CompletableFuture<@Nullable ObjectNode> answer = new CompletableFuture<>();

  // Guarded by this; foreign code runs outside of it.
  private State state = State.WAITING;
  private boolean cancelled;
  private final List<Runnable> cancelActions = new ArrayList<>();
  private @Nullable JsonNode progressToken;
  private ProgressNotifier.@Nullable Watch watch;
  private @Nullable Future<?> deadline;

  private enum State {
    WAITING,
    RUNNING,
    ANSWERED
  }

  Call(
      JsonMessages.Request request,
      ProgressNotifier progress,
      ScheduledExecutorService timer,
      Runnable stopServer) {
    this.stopServer = stopServer;
    this.request = request;
    this.progress = progress;
    this.timer = timer;
  }

  /**
   * Has this run when the client cancels the request, or the server stops; at once if that has
   * happened. It must return soon and not throw.
   */
  public void onCancel(Runnable action) {
    synchronized (this) {
      if (!cancelled) {
        cancelActions.add(action);
        return;
      }
    }
    action.run();
  }

  /** Whether somebody asked for an early end. */
  public synchronized boolean isCancelled() {
    return cancelled;
  }

  /**
   * Reports these snapshots to the client, if it gave a progress token, until the answer. Reporting
   * two things for one request is not possible: the first stays.
   *
   * @param snapshot the state at this moment, in the form of a progress {@code value} with a {@code
   *     status}; must not wait
   */
  public synchronized void reportProgress(Supplier<?> snapshot) {
    if (progressToken != null && watch == null && state != State.ANSWERED) {
      watch = progress.watch(progressToken, snapshot);
    }
  }

  /** Reports one value that no snapshot shows, such as what a model was made for. */
  public synchronized void reportValue(Object value) {
    if (watch != null) {
      watch.push(value);
    }
  }

  /**
   * Sends notifications of this method to the client, also after the answer, whenever the state has
   * changed; in place of earlier ones.
   *
   * @param state what they carry; must not wait. Null ends them.
   */
  public void announce(String method, Duration interval, @Nullable Supplier<?> state) {
    progress.announce(method, interval, state);
  }

  /** Ends the server; this request is still answered. */
  public void stopServer() {
    stopServer.run();
  }

  private synchronized boolean isCancelledByClient() {
    return deadline != null;
  }

  synchronized void setProgressToken(JsonNode token) {
    progressToken = token;
  }

  /** Completes with the answer, or with null if there is none to give; never fails. */
  CompletableFuture<@Nullable ObjectNode> answer() {
    return answer;
  }

  boolean hasId(JsonNode id) {
    return request.id() != null
        && JsonMessages.isId(id)
        && JsonMessages.idKey(request.id()).equals(JsonMessages.idKey(id));
  }

  /** Runs the method unless the request was answered while it waited. */
  void run(Function<JsonMessages.Request, Outcome> method) {
    synchronized (this) {
      if (state != State.WAITING) {
        return;
      }
      state = State.RUNNING;
    }
    Outcome outcome;
    try {
      outcome = method.apply(request);
    } catch (Throwable e) { // an Error too: nobody else would answer
      outcome = new Outcome(null, RpcErrors.of(e));
    }
    // However the method noticed a cancel, the client is told what it asked for.
    finish(outcome.error() != null && isCancelledByClient() ? cancelledOutcome() : outcome);
  }

  /** Answers with this error, unless there is an answer already. */
  void fail(JsonError error) {
    finish(new Outcome(null, error));
  }

  /** Obeys {@code $/cancelRequest}. */
  void cancel() {
    synchronized (this) {
      if (state == State.ANSWERED || deadline != null) {
        return;
      }
      long graceMillis = state == State.WAITING ? 0 : CANCEL_GRACE.toMillis();
      deadline =
          timer.schedule(() -> finish(cancelledOutcome()), graceMillis, TimeUnit.MILLISECONDS);
    }
    endEarly();
  }

  /** Asks the method for an early end; if it can not, it goes on. */
  void endEarly() {
    List<Runnable> actions;
    synchronized (this) {
      cancelled = true;
      actions = List.copyOf(cancelActions);
      cancelActions.clear();
    }
    actions.forEach(Runnable::run);
  }

  private void finish(Outcome outcome) {
    ProgressNotifier.Watch watched;
    synchronized (this) {
      if (state == State.ANSWERED) {
        return;
      }
      state = State.ANSWERED;
      cancelActions.clear();
      watched = watch;
      if (deadline != null) {
        deadline.cancel(false);
      }
    }
    // Before the answer: a client forgets the token when it has read that.
    if (watched != null) {
      watched.finish(outcome.error() == null ? "completed" : "error");
    }
    answer.complete(message(outcome));
  }

  private @Nullable ObjectNode message(Outcome outcome) {
    if (request.id() == null) {
      return null;
    }
    return outcome.error() != null
        ? JsonMessages.error(outcome.error(), request.id())
        : JsonMessages.result(
            outcome.result() == null ? JsonMessages.MAPPER.nullNode() : outcome.result(),
            request.id());
  }

  private static Outcome cancelledOutcome() {
    return new Outcome(null, RpcErrors.of(new CancelledException()));
  }

  /** What a method came to: a result, which may be null, or an error. */
  record Outcome(@Nullable JsonNode result, @Nullable JsonError error) {}
}
