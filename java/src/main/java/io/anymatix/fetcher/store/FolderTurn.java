package io.anymatix.fetcher.store;

import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Lets the changes of one folder's names through one after the other. The file system does so
 * anyway, but those who wait there for their turn may spin, and with many small files that end
 * together they take the processors from everything else.
 */
final class FolderTurn {
  private static final ReentrantLock[] TURNS = new ReentrantLock[64];

  static {
    for (int i = 0; i < TURNS.length; i++) {
      TURNS[i] = new ReentrantLock();
    }
  }

  private FolderTurn() {}

  /** A change of a name. */
  @FunctionalInterface
  interface Change<T> {
    T make() throws IOException;
  }

  /** Makes a change of {@code entry}'s name once no other thread changes names in its folder. */
  static <T> T during(Path entry, Change<T> change) throws IOException {
    Path folder = entry.getParent();
    ReentrantLock turn = TURNS[folder == null ? 0 : Math.floorMod(folder.hashCode(), TURNS.length)];
    turn.lock();
    try {
      return change.make();
    } finally {
      turn.unlock();
    }
  }
}
