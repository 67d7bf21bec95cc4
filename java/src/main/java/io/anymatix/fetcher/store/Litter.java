package io.anymatix.fetcher.store;

import io.anymatix.fetcher.store.Inventory.LooseFile;
import io.anymatix.fetcher.store.Inventory.Missing;
import io.anymatix.fetcher.store.Inventory.Part;
import io.anymatix.fetcher.store.Inventory.Referrer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Finds, and removes, what nobody needs any more, strictly by store contract 11.9: old parts and
 * their notes that nobody holds, temporary files of ours, and sidecar files whose model is gone.
 * Never a model file, whoever put it there, and nothing in a folder that is only read.
 */
public final class Litter {
  /** A temporary file lives for one small write; this leaves room for clocks that differ. */
  private static final Duration TEMPORARY_AGE = Duration.ofMinutes(10);

  private final List<Item> items = new ArrayList<>();
  private final List<Kept> kept = new ArrayList<>();
  private final boolean dryRun;

  /** A file that was removed, or would be. */
  public record Item(Path path, long lengthBytes, String reason) {}

  /** A file that looks like litter and stays. */
  public record Kept(Path path, String reason) {}

  private Litter(boolean dryRun) {
    this.dryRun = dryRun;
  }

  /**
   * Removes what is litter.
   *
   * @param age parts and copies that were written to within this time stay
   * @param dryRun only tells
   */
  public static Litter collect(Inventory inventory, Duration age, Instant now, boolean dryRun) {
    Litter litter = new Litter(dryRun);
    inventory.parts().forEach(part -> litter.part(part, now.minus(age)));
    Duration temporaryAge = age.compareTo(TEMPORARY_AGE) < 0 ? age : TEMPORARY_AGE;
    inventory.temporaryFiles().forEach(file -> litter.temporary(file, now.minus(temporaryAge)));
    inventory.copies().forEach(file -> litter.temporary(file, now.minus(age)));
    inventory.missing().forEach(missing -> litter.orphans(missing, now.minus(temporaryAge)));
    return litter;
  }

  /** What was removed, or would be. */
  public List<Item> items() {
    return items;
  }

  public List<Kept> kept() {
    return kept;
  }

  private void part(Part part, Instant since) {
    Path shown = part.files().contains(part.path()) ? part.path() : part.files().get(0);
    if (part.readOnly()) {
      keep(shown, "its folder is only read");
    } else if (part.held()) {
      keep(shown, "it is being downloaded");
    } else if (part.unfinished()) {
      keep(shown, "the next fetch of its url finishes it");
    } else if (part.lastWritten().isAfter(since)) {
      keep(shown, "it was written to on " + part.lastWritten().truncatedTo(ChronoUnit.SECONDS));
    } else {
      List<Item> files = new ArrayList<>();
      for (Path file : part.files()) {
        boolean isPart = file.equals(part.path());
        files.add(new Item(file, length(file), isPart ? "old part" : "belongs to an old part"));
      }
      remove(shown, files, () -> PartFile.removeUnused(part.finalPath(), part.files(), since));
    }
  }

  private void temporary(LooseFile file, Instant since) {
    if (file.readOnly()) {
      keep(file.path(), "its folder is only read");
    } else if (file.lastModified().isAfter(since)) {
      keep(file.path(), "it may be being written");
    } else {
      remove(
          file.path(),
          List.of(new Item(file.path(), file.lengthBytes(), "temporary file")),
          () -> Files.deleteIfExists(file.path()));
    }
  }

  private void orphans(Missing missing, Instant since) {
    for (Referrer referrer : missing.referrers()) {
      Path path = referrer.sidecarPath();
      if (missing.readOnly()) {
        keep(path, "its folder is only read");
      } else if (Inventory.isThere(missing.path())) {
        keep(path, "its model is a link to something that is not there now");
      } else if (Files.exists(Inventory.setAsideName(missing.path()))) {
        keep(path, "its model was set aside as corrupt and waits for a repair");
      } else if (referrer.mayPrecedeModel()
          && Inventory.lastWritten(List.of(path)).isAfter(since)) {
        keep(path, "another program may have begun to download its model");
      } else {
        remove(
            path,
            List.of(new Item(path, length(path), "its model is gone")),
            () -> isStillOrphan(path, missing.path()) && Files.deleteIfExists(path));
      }
    }
  }

  private static boolean isStillOrphan(Path sidecarPath, Path model) {
    return !Inventory.isThere(model)
        && Sidecar.read(sidecarPath).filter(s -> s.file().equals(Optional.of(model))).isPresent();
  }

  /** A removal that looks once more before it removes. */
  private interface Removal {
    boolean run() throws IOException;
  }

  private void remove(Path shown, List<Item> files, Removal removal) {
    try {
      if (dryRun || removal.run()) {
        items.addAll(files);
      } else {
        keep(shown, "it has come into use");
      }
    } catch (IOException e) {
      keep(shown, String.valueOf(StorageFailures.of(e, shown).getMessage()));
    }
  }

  private void keep(Path path, String reason) {
    kept.add(new Kept(path, reason));
  }

  private static long length(Path file) {
    try {
      return Files.size(file);
    } catch (IOException e) {
      return 0;
    }
  }
}
