package io.anymatix.fetcher.fetch;

import com.fasterxml.jackson.annotation.JsonInclude;
import io.anymatix.fetcher.content.Redactor;
import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.failure.InvalidParamsException;
import io.anymatix.fetcher.failure.NotInitializedException;
import io.anymatix.fetcher.fetch.Download.Work;
import io.anymatix.fetcher.fetch.FetchResult.Verification;
import io.anymatix.fetcher.fetch.Progress.Phase;
import io.anymatix.fetcher.store.Inventory;
import io.anymatix.fetcher.store.Inventory.Model;
import io.anymatix.fetcher.store.Inventory.Referrer;
import io.anymatix.fetcher.store.Litter;
import io.anymatix.fetcher.store.SetAside;
import io.anymatix.fetcher.store.Verifier;
import io.anymatix.fetcher.store.Verifier.Finding;
import io.anymatix.fetcher.store.Verifier.Problem;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Looks after what is stored: tells what there is, whether it is still what it was, and what nobody
 * needs any more. Every method is about the folders of a type, one folder, or, with neither, all;
 * and throws {@link InvalidParamsException} for an unknown type, {@link NotInitializedException} if
 * no folder is known. Methods may be called from any thread.
 */
public final class StoreKeeper {
  private static final int DEFAULT_AGE_DAYS = 7;
  private static final int GREATEST_AGE_DAYS = 36_500;

  private final Fetcher fetcher;

  /**
   * Looks after the folders of a fetcher.
   *
   * @param fetcher fetches again what is to be repaired
   */
  public StoreKeeper(Fetcher fetcher) {
    this.fetcher = fetcher;
  }

  private Inventory inventory(@Nullable String type, @Nullable String dir) {
    return Inventory.of(fetcher.folders().searched(type, dir));
  }

  /** What the store holds. Nothing is hashed and nothing changed. */
  public Listing list(@Nullable String type, @Nullable String dir) {
    Inventory inventory = inventory(type, dir);
    List<ModelEntry> models = inventory.models().stream().map(ModelEntry::of).toList();
    return new Listing(
        models,
        inventory.missing().stream().map(MissingEntry::of).toList(),
        inventory.withoutSidecar().stream().map(FileEntry::of).toList(),
        inventory.parts().stream().filter(Inventory.Part::hasBytes).map(PartEntry::of).toList(),
        inventory.setAside().stream().map(FileEntry::of).toList(),
        inventory.brokenSidecars().stream().map(Path::toString).toList(),
        bytes(inventory.models()));
  }

  /** Bytes on the disk; a file of several names counts once. */
  private static long bytes(List<Model> models) {
    Set<Object> counted = new HashSet<>();
    return models.stream()
        .filter(model -> counted.add(model.identity()))
        .mapToLong(Model::lengthBytes)
        .sum();
  }

  /**
   * Hashes every model and reports what is not as its sidecar files say.
   *
   * @param repair whether to fetch again what is corrupt or missing; it is set aside until then
   * @throws CancelledException after {@link Download#cancel}
   * @throws FetchException {@code offline} for a repair that nobody could be asked for
   */
  public VerifyResult verify(
      @Nullable String type, @Nullable String dir, boolean repair, Download download) {
    if (repair && fetcher.isOffline()) {
      throw FetchException.because(
              FailureKind.OFFLINE, "Offline: nothing can be fetched again for a repair.")
          .hint("Switch offline mode off, or verify without repair.")
          .build();
    }
    Inventory inventory = inventory(type, dir);
    Work work = new Work(true);
    work.phase = Phase.VERIFYING;
    work.totalBytes = Verifier.bytesToHash(inventory.models());
    download.shows(work);
    Verifier verifier = new Verifier(download.cancellation(), work.counters::hashed);
    List<Finding> findings = new ArrayList<>();
    List<UnprovenEntry> unproven = new ArrayList<>();
    int proven = 0;
    for (Model model : inventory.models()) {
      work.fileName = name(model.path());
      Verifier.Verdict verdict = verifier.check(model);
      verdict.finding().ifPresent(findings::add);
      if (verdict.isProven()) {
        proven++;
      } else if (verdict.measured() != null && verdict.finding().isEmpty()) {
        unproven.add(new UnprovenEntry(model.path().toString(), verdict.measured().hex()));
      }
    }
    inventory.missing().forEach(missing -> findings.add(Verifier.missing(missing)));
    inventory.brokenSidecars().forEach(path -> findings.add(Verifier.brokenSidecar(path)));
    List<CorruptEntry> corrupt = new ArrayList<>();
    for (Finding finding : findings) {
      corrupt.add(repair ? repaired(finding, download) : CorruptEntry.of(finding, false, null));
    }
    return new VerifyResult(
        inventory.models().size(), bytes(inventory.models()), proven, unproven, corrupt);
  }

  private CorruptEntry repaired(Finding finding, Download download) {
    List<Referrer> fetchable =
        finding.wronged().stream().filter(referrer -> referrer.url() != null).toList();
    if (!finding.isRepairable() || fetchable.isEmpty()) {
      return CorruptEntry.of(finding, false, "It can not be repaired by fetching it again.");
    }
    SetAside aside = null;
    try {
      if (finding.problem() != Problem.MISSING) {
        aside = SetAside.of(finding.path(), finding.wronged());
      }
      Set<String> plainNames = aside == null ? plainNames(finding) : aside.plainNames();
      for (Referrer referrer : fetchable) {
        fetchAgain(finding, referrer, plainNames, download);
      }
      if (aside != null) {
        aside.discard();
      }
      return CorruptEntry.of(finding, true, null);
    } catch (FetchException | CancelledException e) {
      if (aside != null && !finding.isCertain()) {
        aside.giveBack();
      }
      if (e instanceof CancelledException cancelled) {
        throw cancelled;
      }
      return CorruptEntry.of(finding, false, e.getMessage());
    }
  }

  private void fetchAgain(
      Finding finding, Referrer referrer, Set<String> plainNames, Download download) {
    Path folder = Objects.requireNonNull(finding.path().getParent(), "a model lies in a folder");
    Sha256 wanted = referrer.provenSha256();
    Set<@Nullable String> names = new LinkedHashSet<>(plainNames);
    if (names.isEmpty()) {
      names.add(null);
    }
    for (String plainName : names) {
      FetchResult result =
          fetcher.fetchInto(
              folder,
              new FetchRequest(
                  referrer.url(),
                  null,
                  null,
                  null,
                  wanted == null ? null : wanted.hex(),
                  plainName,
                  null,
                  null,
                  null),
              download);
      Sha256 expected = referrer.expectedSha256();
      if (expected == null || expected.hex().equals(result.sha256())) {
        SetAside.lendName(Path.of(result.path()), finding.path());
      }
    }
  }

  private static Set<String> plainNames(Finding finding) {
    Set<String> names = new LinkedHashSet<>();
    finding.wronged().forEach(referrer -> names.addAll(referrer.linkedNames()));
    return names;
  }

  /**
   * Removes what nobody needs any more; never a model file.
   *
   * @param dryRun only tells what would be removed
   * @param olderThanDays parts that were written to within this many days stay; null is 7
   * @throws InvalidParamsException also for an age out of range
   */
  public GcResult gc(
      @Nullable String type,
      @Nullable String dir,
      boolean dryRun,
      @Nullable Integer olderThanDays) {
    int days = olderThanDays == null ? DEFAULT_AGE_DAYS : olderThanDays;
    if (days < 0 || days > GREATEST_AGE_DAYS) {
      throw new InvalidParamsException(
          "\"olderThanDays\" must be from 0 to " + GREATEST_AGE_DAYS + ", not " + days + ".");
    }
    Litter litter =
        Litter.collect(inventory(type, dir), Duration.ofDays(days), Instant.now(), dryRun);
    return new GcResult(
        dryRun,
        litter.items().stream()
            .map(i -> new GcResult.Removed(i.path().toString(), i.lengthBytes(), i.reason()))
            .toList(),
        litter.items().stream().mapToLong(Litter.Item::lengthBytes).sum(),
        litter.kept().stream()
            .map(k -> new GcResult.Kept(k.path().toString(), k.reason()))
            .toList());
  }

  private static String name(Path path) {
    return Objects.requireNonNull(path.getFileName(), "a file has a name").toString();
  }

  private static @Nullable String shown(@Nullable String storedUrl) {
    return storedUrl == null ? null : Redactor.url(storedUrl);
  }

  private static @Nullable String hex(@Nullable Sha256 sha256) {
    return sha256 == null ? null : sha256.hex();
  }

  private static List<ReferrerEntry> referrers(List<Referrer> referrers) {
    return referrers.stream()
        .map(r -> new ReferrerEntry(r.sidecarPath().toString(), shown(r.url())))
        .toList();
  }

  /**
   * What the store holds, as the protocol names it.
   *
   * @param missing models that sidecar files name and that are not there
   * @param withoutSidecar models that are the user's own
   * @param parts downloads that are not complete
   * @param setAside files that were found corrupt and wait for a repair
   * @param brokenSidecars files that are named as sidecar files and can not be read as such
   * @param bytes of all models; a file of several names counts once
   */
  public record Listing(
      List<ModelEntry> models,
      List<MissingEntry> missing,
      List<FileEntry> withoutSidecar,
      List<PartEntry> parts,
      List<FileEntry> setAside,
      List<String> brokenSidecars,
      long bytes) {}

  /**
   * A model.
   *
   * @param url as stored, masked; of the sidecar file that knows most
   * @param sha256 measured at some time; null if it never was
   * @param verification how it was last proven; null if it never was
   * @param whole whether it has the stated length
   * @param referrers the sidecar files that name it
   */
  public record ModelEntry(
      String path,
      @Nullable String url,
      long fileSize,
      @Nullable String sha256,
      @Nullable Verification verification,
      boolean whole,
      List<ReferrerEntry> referrers) {
    private static ModelEntry of(Model model) {
      Referrer best = model.bestProof().orElse(model.referrers().get(0));
      Sha256 proven = best.provenSha256();
      Verification verification = null;
      if (proven != null) {
        verification =
            proven.equals(best.sourceSha256())
                ? Verification.SHA256_SOURCE
                : Verification.SHA256_COMPUTED;
      } else if (best.statedBytes() != null) {
        verification = Verification.SIZE;
      }
      return new ModelEntry(
          model.path().toString(),
          shown(best.url()),
          model.lengthBytes(),
          hex(proven),
          verification,
          model.hasStatedLength(),
          StoreKeeper.referrers(model.referrers()));
    }
  }

  /** A sidecar file, and the url it stores, masked. */
  public record ReferrerEntry(String sidecarPath, @Nullable String url) {}

  /** A model that is not there. */
  public record MissingEntry(String path, List<ReferrerEntry> referrers) {
    private static MissingEntry of(Inventory.Missing missing) {
      return new MissingEntry(
          missing.path().toString(), StoreKeeper.referrers(missing.referrers()));
    }
  }

  /** Another file. */
  public record FileEntry(String path, long fileSize) {
    private static FileEntry of(Inventory.LooseFile file) {
      return new FileEntry(file.path().toString(), file.lengthBytes());
    }
  }

  /**
   * A download that is not complete.
   *
   * @param receivedBytes bytes that count; null if that can not be told
   * @param totalBytes null if nothing states it
   * @param progress share received, 0 to 1; null if it can not be told
   * @param held whether it is being downloaded
   * @param lastWrittenMillis milliseconds since 1970
   */
  public record PartEntry(
      String path,
      @Nullable Long receivedBytes,
      @Nullable Long totalBytes,
      @Nullable Double progress,
      boolean held,
      long lastWrittenMillis) {
    private static PartEntry of(Inventory.Part part) {
      Long received = part.receivedBytes();
      Long total = part.totalBytes();
      Double progress =
          received == null || total == null || total == 0
              ? null
              : Math.round(1e4 * received / total) / 1e4;
      return new PartEntry(
          part.path().toString(),
          received,
          total,
          progress,
          part.held(),
          part.lastWritten().toEpochMilli());
    }
  }

  /**
   * What a check came to.
   *
   * @param checkedFiles models that were looked at
   * @param proven how many have the hash that was promised
   * @param unproven models of which no hash was promised, with the one they have
   * @param corrupt what is not as the sidecar files say
   */
  public record VerifyResult(
      int checkedFiles,
      long checkedBytes,
      int proven,
      List<UnprovenEntry> unproven,
      List<CorruptEntry> corrupt) {}

  /** A model of which no hash was promised, and the one it has. */
  public record UnprovenEntry(String path, String sha256) {}

  /**
   * Something that is not as it should be.
   *
   * @param problem {@code hash}, {@code length}, {@code missing}, {@code unreadable}, {@code
   *     sidecar}
   * @param referrers the sidecar files that say otherwise
   * @param repaired whether it was fetched again
   * @param repairError why not, if that was tried
   */
  public record CorruptEntry(
      String path,
      String problem,
      String message,
      List<ReferrerEntry> referrers,
      boolean repaired,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable String repairError) {
    private static CorruptEntry of(Finding finding, boolean repaired, @Nullable String error) {
      return new CorruptEntry(
          finding.path().toString(),
          finding.problem().wireName(),
          finding.message(),
          StoreKeeper.referrers(finding.wronged()),
          repaired,
          error);
    }
  }

  /**
   * What was removed.
   *
   * @param dryRun whether nothing was removed, and this is what would be
   * @param bytes of all of it
   * @param kept what looks like litter and stays
   */
  public record GcResult(boolean dryRun, List<Removed> removed, long bytes, List<Kept> kept) {
    /** A file, and why nobody needs it. */
    public record Removed(String path, long bytes, String reason) {}

    /** A file that was left, and why. */
    public record Kept(String path, String reason) {}
  }
}
