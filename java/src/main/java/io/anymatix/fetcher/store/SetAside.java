package io.anymatix.fetcher.store;

import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.store.Inventory.Referrer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * A corrupt model under {@code <name>.corrupt} while it is fetched again (store contract 11.9):
 * nobody is given it meanwhile, and it is there if nothing better can be had.
 */
public final class SetAside {
  private final Path path;
  private final Path aside;
  private final Set<String> plainNames;

  private SetAside(Path path, Set<String> plainNames) {
    this.path = path;
    this.aside = Inventory.setAsideName(path);
    this.plainNames = plainNames;
  }

  /**
   * Takes its name from a model, and from the plain names beside it that are the same file.
   *
   * @throws FetchException {@code storage} if it can not be renamed
   */
  public static SetAside of(Path path, List<Referrer> referrers) {
    try {
      Set<String> plainNames = new LinkedHashSet<>();
      List<Path> links = new ArrayList<>();
      for (Referrer referrer : referrers) {
        for (String name : referrer.linkedNames()) {
          Path link =
              path.getParent() == null ? null : Sidecar.child(path.getParent(), name).orElse(null);
          if (link != null && Files.exists(link) && Files.isSameFile(link, path)) {
            plainNames.add(name);
            links.add(link);
          }
        }
      }
      SetAside setAside = new SetAside(path, plainNames);
      Files.move(path, setAside.aside, StandardCopyOption.REPLACE_EXISTING);
      for (Path link : links) {
        Files.deleteIfExists(link);
      }
      return setAside;
    } catch (IOException e) {
      throw StorageFailures.of(e, path);
    }
  }

  /** Plain names that were taken from it, to be laid beside the new file. */
  public Set<String> plainNames() {
    return plainNames;
  }

  /**
   * Lets sidecar files that share the former name find the new file under it.
   *
   * @throws FetchException {@code storage} if it can not be linked
   */
  public static void lendName(Path newFile, Path formerName) {
    try {
      if (!Inventory.isThere(formerName)) {
        ModelStore.link(newFile, formerName);
      }
    } catch (IOException e) {
      throw StorageFailures.of(e, formerName);
    }
  }

  /** Removes it, now that a new file is in its place. */
  public void discard() {
    try {
      Files.deleteIfExists(aside);
    } catch (IOException e) {
      throw StorageFailures.of(e, aside);
    }
  }

  /** Gives it its names back, unless there is a new file: nothing certain spoke against it. */
  public void giveBack() {
    try {
      if (!Inventory.isThere(path)) {
        Files.move(aside, path);
        for (String name : plainNames) {
          Path link = path.resolveSibling(name);
          if (!Inventory.isThere(link)) {
            ModelStore.link(path, link);
          }
        }
      }
    } catch (IOException e) {
      throw StorageFailures.of(e, path);
    }
  }
}
