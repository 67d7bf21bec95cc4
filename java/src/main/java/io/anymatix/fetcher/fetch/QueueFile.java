package io.anymatix.fetcher.fetch;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.anymatix.fetcher.config.HomeFolder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import java.util.function.Predicate;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The queues of all processes of the user: {@code queue.json} in the home folder.
 *
 * <p>Every entry names the process that has it. A process replaces its own entries and takes over
 * those of processes that are gone; it never touches another living one's. The lock is held for
 * each change alone, so that two processes never lose each other's; should two ever take the same
 * entry (processes of two containers do not see each other), the file is still brought once, since
 * its part is locked. Without a home folder, or if it can't be written, the queue lives in memory.
 */
final class QueueFile implements AutoCloseable {
  private static final int VERSION = 1;
  private static final String FILE = "queue.json";
  private static final String CORRUPT = "queue.json.corrupt";
  private static final String LOCK = "queue.lock";
  private static final Duration LOCK_PATIENCE = Duration.ofSeconds(2);
  private static final long LONGEST_FILE_BYTES = 64L << 20;

  private static final Logger log = LoggerFactory.getLogger(QueueFile.class);
  private static final ObjectMapper JSON =
      new ObjectMapper().disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES);

  /** Owners in this process that are not closed. */
  private static final Set<String> LIVING = ConcurrentHashMap.newKeySet();

  private static final AtomicLong COUNT = new AtomicLong();

  private final @Nullable HomeFolder home;
  private final String owner;

  /** Guarded by this: changes asked for, and those that are in the file. */
  private long asked;

  private long written;
  private final Object writing = new Object();

  /**
   * One entry.
   *
   * @param owner the process that has it
   * @param target the folder that it is written to
   * @param url redacted
   * @param request null if it holds what must not be written down
   */
  @JsonInclude(JsonInclude.Include.NON_NULL)
  record Entry(
      String id,
      String owner,
      String target,
      String url,
      int priority,
      boolean paused,
      @Nullable FetchRequest request) {
    private Entry ownedBy(String newOwner) {
      return new Entry(id, newOwner, target, url, priority, paused, request);
    }
  }

  private record Content(int version, List<Entry> entries) {}

  QueueFile(@Nullable HomeFolder home) {
    this.home = home;
    ProcessHandle self = ProcessHandle.current();
    this.owner = self.pid() + "@" + startMillis(self) + "#" + COUNT.incrementAndGet();
    LIVING.add(owner);
  }

  /** What the entries of this process name as their owner. */
  String owner() {
    return owner;
  }

  /**
   * Takes over the entries of processes that are gone, of those that the caller can use.
   *
   * @param taken told of them before anybody else can write the file
   */
  void claim(Predicate<Entry> usable, Consumer<List<Entry>> taken) {
    HomeFolder folder = home;
    if (folder == null || !Files.exists(folder.path().resolve(FILE))) {
      return;
    }
    try {
      folder.locked(
          LOCK,
          LOCK_PATIENCE,
          () -> {
            List<Entry> all = read(folder);
            List<Entry> claimed =
                all.stream().filter(entry -> isGone(entry.owner()) && usable.test(entry)).toList();
            if (!claimed.isEmpty()) {
              replace(
                  folder,
                  all.stream()
                      .map(entry -> claimed.contains(entry) ? entry.ownedBy(owner) : entry)
                      .toList());
              taken.accept(claimed);
            }
            return true;
          });
    } catch (IOException | RuntimeException e) {
      log.warn("What was queued before could not be read: {}", e.toString());
    }
  }

  /**
   * Puts the entries of this process into the file. Callers at the same time share one write, after
   * which the changes of all of them are there.
   *
   * @param entries asked for at the moment of writing
   */
  void write(Supplier<List<Entry>> entries) {
    HomeFolder folder = home;
    boolean absent = folder == null || !Files.exists(folder.path().resolve(FILE));
    if (folder == null || (absent && entries.get().isEmpty())) {
      return; // a process that queues nothing leaves nothing behind
    }
    long mine;
    synchronized (this) {
      mine = ++asked;
    }
    synchronized (writing) {
      long now;
      synchronized (this) {
        if (written >= mine) {
          return;
        }
        now = asked;
      }
      try {
        folder.locked(
            LOCK,
            LOCK_PATIENCE,
            () -> {
              replaceOwn(folder, entries.get());
              return true;
            });
      } catch (IOException | RuntimeException e) {
        log.warn("The queue could not be written ({}); it is kept in memory.", e.toString());
      }
      synchronized (this) {
        written = now;
      }
    }
  }

  private void replaceOwn(HomeFolder folder, List<Entry> own) throws IOException {
    List<Entry> all = new ArrayList<>(read(folder));
    boolean hadNone = !all.removeIf(entry -> entry.owner().equals(owner));
    all.addAll(own);
    if (!hadNone || !own.isEmpty()) {
      replace(folder, all);
    }
  }

  private static void replace(HomeFolder folder, List<Entry> entries) throws IOException {
    folder.replace(FILE, JSON.writeValueAsBytes(new Content(VERSION, entries)));
  }

  /** The entries in the file; one that is none of ours is put aside. */
  private static List<Entry> read(HomeFolder folder) throws IOException {
    Path file = folder.path().resolve(FILE);
    if (!Files.exists(file)) {
      return List.of();
    }
    try {
      if (Files.size(file) > LONGEST_FILE_BYTES) {
        throw new IOException("it is too long");
      }
      Content content = JSON.readValue(Files.readAllBytes(file), Content.class);
      if (content == null || content.version() != VERSION || content.entries() == null) {
        throw new IOException("it is of another version");
      }
      return content.entries().stream().filter(QueueFile::isWhole).toList();
    } catch (IOException e) {
      // Jackson's own words name its settings and the source that it was told not to show.
      String reason =
          e instanceof JsonProcessingException json && json.getLocation() != null
              ? "it is not as it was written (" + json.getLocation().offsetDescription() + ")"
              : e.getMessage();
      log.warn("{} is put aside as {}: {}", file, CORRUPT, reason);
      Files.move(file, file.resolveSibling(CORRUPT), StandardCopyOption.REPLACE_EXISTING);
      return List.of();
    }
  }

  private static boolean isWhole(@Nullable Entry entry) {
    return entry != null
        && entry.id() != null
        && entry.owner() != null
        && entry.target() != null
        && entry.url() != null;
  }

  private static boolean isGone(String owner) {
    int at = owner.indexOf('@');
    int count = owner.indexOf('#');
    try {
      long pid = Long.parseLong(owner.substring(0, at));
      long startMillis = Long.parseLong(owner.substring(at + 1, count));
      if (pid == ProcessHandle.current().pid()
          && startMillis == startMillis(ProcessHandle.current())) {
        return !LIVING.contains(owner);
      }
      return ProcessHandle.of(pid)
          .filter(ProcessHandle::isAlive)
          .filter(process -> startMillis(process) == startMillis)
          .isEmpty();
    } catch (NumberFormatException | StringIndexOutOfBoundsException e) {
      return true; // of nobody that we know
    }
  }

  private static long startMillis(ProcessHandle process) {
    return process.info().startInstant().map(Instant::toEpochMilli).orElse(0L);
  }

  /** The entries of this process are free for another to take over. */
  @Override
  public void close() {
    LIVING.remove(owner);
  }
}
