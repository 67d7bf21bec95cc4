package io.anymatix.fetcher.store;

import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.failure.CancelledException;
import io.anymatix.fetcher.store.Inventory.Model;
import io.anymatix.fetcher.store.Inventory.Referrer;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributeView;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.LongConsumer;
import org.jspecify.annotations.Nullable;

/**
 * Hashes stored models, one after the other, and compares them with what their sidecar files say. A
 * file of several names is read once. Neither the modification nor the access time of a model
 * changes: being checked is no use (store contract 4.1).
 *
 * <p>One object serves one run, in one thread.
 */
public final class Verifier {
  private final Cancellation cancellation;
  private final LongConsumer hashedBytes;
  private final Map<Object, Sha256> hashes = new HashMap<>();
  private long hashedBefore;

  /** What is wrong with a model. */
  public enum Problem {
    /** The bytes are not those that were promised. */
    HASH("hash"),
    /** The length is not the stated one. */
    LENGTH("length"),
    /** A sidecar file names it, and it is not there. */
    MISSING("missing"),
    /** The disk or the permissions do not let it be read. */
    UNREADABLE("unreadable"),
    /** The sidecar file itself can not be read. */
    SIDECAR("sidecar");

    private final String wireName;

    Problem(String wireName) {
      this.wireName = wireName;
    }

    public String wireName() {
      return wireName;
    }
  }

  /**
   * One thing that is wrong.
   *
   * @param path the model; of a broken sidecar file that file
   * @param message a sentence with the numbers
   * @param wronged the sidecar files that it is not as they say; empty for a broken one
   * @param measured the hash it has, where it was read
   * @param isCertain whether a length or a measured hash speaks against it, and not a claim alone
   * @param isRepairable whether fetching it again may help
   */
  public record Finding(
      Problem problem,
      Path path,
      String message,
      List<Referrer> wronged,
      @Nullable Sha256 measured,
      boolean isCertain,
      boolean isRepairable) {}

  /**
   * What a check of one model came to.
   *
   * @param measured its hash; null if it was not read to the end
   * @param isProven whether somebody had promised just that hash
   */
  public record Verdict(@Nullable Sha256 measured, boolean isProven, Optional<Finding> finding) {}

  /**
   * Starts a run.
   *
   * @param hashedBytes hears how many bytes have been hashed, over all models
   */
  public Verifier(Cancellation cancellation, LongConsumer hashedBytes) {
    this.cancellation = cancellation;
    this.hashedBytes = hashedBytes;
  }

  /**
   * Bytes that checking these models will read: once for several names of one file, and not for a
   * file of the wrong length.
   */
  public static long bytesToHash(List<Model> models) {
    Map<Object, Long> lengths = new HashMap<>();
    models.stream()
        .filter(Model::hasStatedLength)
        .forEach(model -> lengths.put(model.identity(), model.lengthBytes()));
    return lengths.values().stream().mapToLong(Long::longValue).sum();
  }

  /**
   * Checks one model. What was replaced while it was read is read again.
   *
   * @throws CancelledException at the cancellation
   */
  public Verdict check(Model model) {
    Optional<Model> current = Optional.of(model);
    while (current.isPresent()) {
      Model looked = current.get();
      Verdict verdict = checkOnce(looked);
      current = lookAgain(looked);
      if (verdict.finding().isEmpty() || current.equals(Optional.of(looked))) {
        return verdict;
      }
      hashes.remove(looked.identity());
    }
    return new Verdict(null, false, Optional.empty()); // Deleted meanwhile, with its sidecar file.
  }

  private Verdict checkOnce(Model model) {
    if (!model.hasStatedLength()) {
      return new Verdict(null, false, Optional.of(wrongLength(model)));
    }
    Sha256 measured;
    try {
      measured = measure(model);
    } catch (IOException e) {
      boolean isForbidden = e instanceof AccessDeniedException;
      String message = model.path() + " can not be read: " + StorageFailures.reason(e) + ".";
      return new Verdict(
          null,
          false,
          Optional.of(
              new Finding(
                  Problem.UNREADABLE,
                  model.path(),
                  message,
                  model.referrers(),
                  null,
                  !isForbidden,
                  !isForbidden && !model.readOnly())));
    }
    boolean isProven =
        model.referrers().stream().anyMatch(r -> measured.equals(r.expectedSha256()));
    return new Verdict(measured, isProven, wrongHash(model, measured, isProven));
  }

  private static Finding wrongLength(Model model) {
    List<Referrer> wronged =
        model.referrers().stream()
            .filter(r -> r.statedBytes() != null && r.statedBytes() != model.lengthBytes())
            .toList();
    boolean allSay = wronged.size() == model.referrers().size();
    String message =
        "%s has %d bytes, and should have %d."
            .formatted(
                model.path().getFileName(), model.lengthBytes(), wronged.get(0).statedBytes());
    return new Finding(
        Problem.LENGTH, model.path(), message, wronged, null, true, allSay && !model.readOnly());
  }

  private static Optional<Finding> wrongHash(Model model, Sha256 measured, boolean isProven) {
    List<Referrer> wronged =
        model.referrers().stream()
            .filter(r -> r.expectedSha256() != null && !measured.equals(r.expectedSha256()))
            .toList();
    if (wronged.isEmpty()) {
      return Optional.empty();
    }
    Referrer first =
        wronged.stream().filter(r -> r.provenSha256() != null).findFirst().orElse(wronged.get(0));
    String message =
        "%s has the SHA-256 %s, and should have %s."
            .formatted(model.path().getFileName(), measured, first.expectedSha256());
    return Optional.of(
        new Finding(
            Problem.HASH,
            model.path(),
            message,
            wronged,
            measured,
            first.provenSha256() != null,
            // Where another sidecar file is right about it, it is not the file that is wrong.
            !isProven && !model.readOnly()));
  }

  /** What is wrong where a sidecar file names a model that is not there. */
  public static Finding missing(Inventory.Missing missing) {
    boolean isLink = Inventory.isThere(missing.path());
    return new Finding(
        isLink ? Problem.UNREADABLE : Problem.MISSING,
        missing.path(),
        isLink
            ? missing.path().getFileName() + " is no file, or leads to one that is not there."
            : missing.path().getFileName() + " is not there.",
        missing.referrers(),
        null,
        true,
        !isLink && !missing.readOnly());
  }

  /** What is wrong with a sidecar file that can not be read. */
  public static Finding brokenSidecar(Path sidecarPath) {
    return new Finding(
        Problem.SIDECAR,
        sidecarPath,
        sidecarPath.getFileName() + " is no sidecar file; the next fetch of its url replaces it.",
        List.of(),
        null,
        true,
        false);
  }

  private Sha256 measure(Model model) throws IOException {
    Sha256 known = hashes.get(model.identity());
    if (known != null) {
      return known;
    }
    BasicFileAttributeView times =
        Files.getFileAttributeView(model.path(), BasicFileAttributeView.class);
    BasicFileAttributes before = times.readAttributes();
    try {
      Sha256 measured =
          Adoption.hash(
              model.path(), cancellation, bytes -> hashedBytes.accept(hashedBefore + bytes));
      hashes.put(model.identity(), measured);
      return measured;
    } finally {
      hashedBefore += model.lengthBytes();
      restore(times, before);
    }
  }

  private static void restore(BasicFileAttributeView times, BasicFileAttributes before) {
    try {
      times.setTimes(null, before.lastAccessTime(), null);
    } catch (IOException e) {
      // A file of somebody else's, or gone: its times are not ours to set.
    }
  }

  private static Optional<Model> lookAgain(Model model) {
    try {
      BasicFileAttributes attributes =
          Files.readAttributes(model.path(), BasicFileAttributes.class);
      Object key = attributes.fileKey();
      List<Referrer> referrers = new ArrayList<>();
      for (Referrer referrer : model.referrers()) {
        Sidecar.readUnnoticed(referrer.sidecarPath())
            .filter(sidecar -> sidecar.file().equals(Optional.of(model.path())))
            .ifPresent(sidecar -> referrers.add(Referrer.of(sidecar)));
      }
      return referrers.isEmpty()
          ? Optional.empty()
          : Optional.of(
              new Model(
                  model.path(),
                  attributes.size(),
                  key == null ? model.path() : key,
                  referrers,
                  model.readOnly()));
    } catch (IOException e) {
      return Optional.empty();
    }
  }
}
