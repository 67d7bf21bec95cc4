package io.anymatix.fetcher.rpc;

import com.fasterxml.jackson.core.exc.StreamConstraintsException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.Semaphore;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A JSON-RPC 2.0 server for one client on a pair of byte streams.
 *
 * <p>Threads, all daemons: one reads and hands over; up to {@link #MAX_RUNNING} run methods; two
 * run those that are answered at once; one timer samples progress and watches cancels. Whoever ends
 * a request writes its answer. No thread is ever interrupted: an interrupt would close files that
 * others are writing to.
 */
public final class StdioServer {
  /** Requests that run at the same time; more wait. */
  static final int MAX_RUNNING = 64;

  /** Requests that run or wait; more are refused, since waiting ones hold their params. */
  static final int MAX_ACCEPTED = 10_000;

  /** How long requests may take to end after the end of input. */
  static final Duration DRAIN = Duration.ofMillis(750);

  private static final Logger log = LoggerFactory.getLogger(StdioServer.class);
  private static final int IMMEDIATE_THREADS = 2;
  private static final int IMMEDIATE_WAITING = 256;
  private static final Duration IDLE_THREAD = Duration.ofSeconds(10);

  private final MessageReader reader;
  private final MessageWriter writer;
  private final Dispatcher dispatcher;
  private final ProgressNotifier progress;

  private final CountDownLatch stopped = new CountDownLatch(1);
  private final Semaphore places = new Semaphore(MAX_ACCEPTED);
  private final Set<Call> calls = ConcurrentHashMap.newKeySet();
  private final Object writing = new Object();

  /** Messages whose answer is still to come; guarded by {@link #writing}. */
  private int unwritten;

  private final ThreadPoolExecutor workers;
  private final ThreadPoolExecutor immediate;
  private final ScheduledThreadPoolExecutor timer;

  /** Requests behind an ordered one that runs, as they came; guarded by itself. */
  private final Deque<Scheduled> heldBack = new ArrayDeque<>();

  /** Guarded by {@link #heldBack}. */
  private boolean orderedOneRuns;

  /**
   * A server that has not begun to read.
   *
   * @param in requests; never closed
   * @param out answers and notifications, and nothing else; never closed. It reports failures by
   *     throwing, which a {@code PrintStream} does not.
   * @param contract a public interface whose methods with {@link RpcMethod} are the protocol
   * @param methods called from many threads
   */
  public <M> StdioServer(InputStream in, OutputStream out, Class<M> contract, M methods) {
    this.reader = new MessageReader(in);
    this.writer = new MessageWriter(out, reader::usesHeaders, this::stop);
    this.dispatcher = new Dispatcher(contract, methods);
    this.timer = new ScheduledThreadPoolExecutor(1, threads("rpc-timer"));
    this.timer.setRemoveOnCancelPolicy(true);
    this.progress = new ProgressNotifier(writer::write, timer);
    this.workers = pool("rpc-worker", MAX_RUNNING, new LinkedBlockingQueue<>());
    // Only happens after the end, when nobody waits for an answer any more.
    this.timer.setRejectedExecutionHandler(new ThreadPoolExecutor.DiscardPolicy());
    this.workers.setRejectedExecutionHandler(new ThreadPoolExecutor.DiscardPolicy());
    this.immediate =
        pool("rpc-immediate", IMMEDIATE_THREADS, new ArrayBlockingQueue<>(IMMEDIATE_WAITING));
    // A flood of them slows the reader down, and so the client.
    this.immediate.setRejectedExecutionHandler(new ThreadPoolExecutor.CallerRunsPolicy());
  }

  /**
   * Serves until the input ends, the output breaks, a method ends the server, or {@link #stop} is
   * called. Then downloads are cancelled, and what ends soon after is still answered.
   *
   * @throws InterruptedException if the calling thread is interrupted; the server then stops
   */
  public void run() throws InterruptedException {
    Thread readerThread = threads("rpc-reader").newThread(this::readAll);
    readerThread.start();
    try {
      stopped.await();
      calls.forEach(Call::endEarly);
      drain();
    } finally {
      stop();
      // The reader may still wait for input; as a daemon it does not keep the process.
      workers.shutdown();
      immediate.shutdown();
      timer.shutdownNow();
    }
  }

  /** Asks {@link #run} to return; any number of times, from any thread. */
  public void stop() {
    stopped.countDown();
  }

  private boolean isStopping() {
    return stopped.getCount() == 0;
  }

  private void drain() throws InterruptedException {
    long deadlineNanos = System.nanoTime() + DRAIN.toNanos();
    synchronized (writing) {
      while (unwritten > 0) {
        long leftNanos = deadlineNanos - System.nanoTime();
        if (leftNanos <= 0) {
          log.info("Requests that did not end in time stay unanswered: {}.", unwritten);
          return;
        }
        TimeUnit.NANOSECONDS.timedWait(writing, leftNanos);
      }
    }
  }

  private void readAll() {
    try {
      while (!isStopping()) {
        ByteBuffer message;
        try {
          message = reader.next();
        } catch (MessageReader.UnreadableMessageException e) {
          refuse(RpcErrorCode.INVALID_REQUEST, e.getMessage());
          continue;
        }
        if (message == null) {
          return;
        }
        accept(message);
      }
    } catch (IOException e) {
      log.info("The client sends no more ({}).", e.getMessage());
    } finally {
      stop();
    }
  }

  /** Hands a message over; whatever it is, the next one is read. */
  private void accept(ByteBuffer message) {
    try {
      JsonNode tree = JsonMessages.read(message);
      if (tree instanceof ArrayNode batch && !batch.isEmpty()) {
        serveBatch(batch);
      } else {
        serveOne(tree);
      }
    } catch (StreamConstraintsException e) {
      refuse(
          RpcErrorCode.INVALID_REQUEST,
          "Invalid Request: JSON is nested at most %d deep, with names and numbers of sane length."
              .formatted(JsonMessages.MAX_DEPTH));
    } catch (IOException e) {
      refuse(RpcErrorCode.PARSE_ERROR, null);
    } catch (RuntimeException | OutOfMemoryError e) {
      log.error("A message could not be handled.", e);
      refuse(RpcErrorCode.INTERNAL_ERROR, null);
    }
  }

  private void refuse(RpcErrorCode code, @Nullable String message) {
    writer.write(JsonMessages.error(RpcErrors.error(code, message, null), null));
  }

  private void serveOne(JsonNode message) {
    expectAnswer();
    CompletableFuture<@Nullable ObjectNode> answer = begin(message);
    writeWhenDone(answer, answer::join);
  }

  /** Answers the entries of a batch together, when the last one is done. */
  private void serveBatch(ArrayNode batch) {
    if (batch.size() > MAX_ACCEPTED) {
      refuse(
          RpcErrorCode.INVALID_REQUEST,
          "Invalid Request: a batch has at most %d entries.".formatted(MAX_ACCEPTED));
      return;
    }
    expectAnswer();
    List<CompletableFuture<@Nullable ObjectNode>> entries = new ArrayList<>();
    batch.forEach(entry -> entries.add(begin(entry)));
    writeWhenDone(
        CompletableFuture.allOf(entries.toArray(CompletableFuture<?>[]::new)),
        () -> {
          ArrayNode answers = JsonMessages.MAPPER.createArrayNode();
          entries.stream()
              .map(CompletableFuture::join)
              .filter(Objects::nonNull)
              .forEach(answers::add);
          return answers.isEmpty() ? null : answers;
        });
  }

  /** Before the message is begun: a method may stop the server, and its answer must be awaited. */
  private void expectAnswer() {
    synchronized (writing) {
      unwritten++;
    }
  }

  private void writeWhenDone(CompletableFuture<?> done, Supplier<@Nullable JsonNode> answer) {
    CompletableFuture<?> unused = done.thenRun(() -> write(answer));
  }

  private void write(Supplier<@Nullable JsonNode> answer) {
    try {
      JsonNode message = answer.get();
      if (message != null) {
        writer.write(message);
      }
    } catch (RuntimeException e) {
      log.error("An answer could not be written.", e);
    } finally {
      synchronized (writing) {
        unwritten--;
        writing.notifyAll();
      }
    }
  }

  /** Starts on one entry; completes with its answer, or with null if there is none to give. */
  private CompletableFuture<@Nullable ObjectNode> begin(JsonNode message) {
    JsonMessages.Request request;
    try {
      request = JsonMessages.Request.of(message);
    } catch (JsonMessages.InvalidRequestException e) {
      return CompletableFuture.completedFuture(e.answer());
    }
    if (request.isNotification() && request.method().equals("$/cancelRequest")) {
      cancel(request.params());
    }
    Call call = new Call(request, progress, timer, this::stop);
    Dispatcher.Operation operation = dispatcher.find(request.method());
    if (operation == null) {
      call.fail(RpcErrors.error(RpcErrorCode.METHOD_NOT_FOUND, null, null));
    } else if (!places.tryAcquire()) {
      call.fail(
          RpcErrors.error(
              RpcErrorCode.INTERNAL_ERROR,
              "%d requests are waiting; send more when some are answered.".formatted(MAX_ACCEPTED),
              null));
    } else {
      calls.add(call);
      CompletableFuture<?> unused =
          call.answer()
              .thenRun(
                  () -> {
                    calls.remove(call);
                    places.release();
                  });
      schedule(
          operation.description().order(),
          () -> call.run(sound -> dispatcher.invoke(operation, sound.params(), call)));
      if (isStopping()) {
        call.endEarly(); // run() may have looked at the calls before this one was there
      }
    }
    return call.answer();
  }

  private void schedule(RpcMethod.Order order, Runnable work) {
    if (order == RpcMethod.Order.IMMEDIATE) {
      immediate.execute(work);
      return;
    }
    synchronized (heldBack) {
      if (orderedOneRuns) {
        heldBack.add(new Scheduled(order, work));
      } else {
        start(order, work);
      }
    }
  }

  /** With the lock of {@link #heldBack}. */
  private void start(RpcMethod.Order order, Runnable work) {
    if (order == RpcMethod.Order.CONCURRENT) {
      workers.execute(work);
      return;
    }
    orderedOneRuns = true;
    workers.execute(
        () -> {
          try {
            work.run();
          } finally {
            startHeldBack();
          }
        });
  }

  /** Starts what waited for an ordered request, up to the next one and including it. */
  private void startHeldBack() {
    synchronized (heldBack) {
      orderedOneRuns = false;
      while (!orderedOneRuns && !heldBack.isEmpty()) {
        Scheduled next = heldBack.remove();
        start(next.order(), next.work());
      }
    }
  }

  private record Scheduled(RpcMethod.Order order, Runnable work) {}

  private void cancel(@Nullable JsonNode params) {
    JsonNode named =
        params != null && params.isArray() && params.size() == 1 ? params.get(0) : params;
    JsonNode id = named != null && named.isObject() ? named.get("id") : named;
    if (id != null && JsonMessages.isId(id)) {
      calls.stream().filter(call -> call.hasId(id)).forEach(Call::cancel);
    }
  }

  private static ThreadPoolExecutor pool(String name, int size, BlockingQueue<Runnable> waiting) {
    ThreadPoolExecutor pool =
        new ThreadPoolExecutor(
            size, size, IDLE_THREAD.toMillis(), TimeUnit.MILLISECONDS, waiting, threads(name));
    pool.allowCoreThreadTimeOut(true);
    return pool;
  }

  private static ThreadFactory threads(String name) {
    AtomicInteger count = new AtomicInteger();
    return work -> {
      Thread thread = new Thread(work, name + "-" + count.incrementAndGet());
      thread.setDaemon(true);
      return thread;
    };
  }
}
