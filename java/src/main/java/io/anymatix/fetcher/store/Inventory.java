package io.anymatix.fetcher.store;

import io.anymatix.fetcher.content.Sha256;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * What lies in model folders and below them, as it was at one look (store contract 2, 3 and 11.9).
 *
 * <p>A folder that can be reached in several ways, by two roots or through a link, is looked at
 * once. Hidden folders are left out, and so are those named {@code custom_nodes}. Looking changes
 * nothing: access times of sidecar files stay as they were.
 */
public final class Inventory {
  /** Deeper nesting than anybody's, and an end for a tree that has none. */
  private static final int DEEPEST_FOLDER = 16;

  /** What a file without a sidecar file must end in to be listed as somebody's model. */
  private static final Set<String> MODEL_SUFFIXES =
      Set.of(
          "safetensors",
          "sft",
          "ckpt",
          "pt",
          "pt2",
          "pth",
          "bin",
          "pkl",
          "gguf",
          "onnx",
          "msgpack",
          "npz");

  static final String SET_ASIDE_SUFFIX = ".corrupt";
  private static final Pattern SIDECAR_NAME = Pattern.compile("[0-9a-f]{64}\\.json");

  /** A part, a note beside one, or a segment, of any version; group 1 is the final name. */
  private static final Pattern WORKING_NAME =
      Pattern.compile(
          "(.+?)(?:\\.part(?:\\.part|\\.complete|\\.segments(?:\\.tmp)?|\\.segment_\\d+)?"
              + "|\\.segment_\\d+)");

  private static final Pattern NOTE_NAME =
      Pattern.compile("\\.part\\.(complete|segments(\\.tmp)?)$");

  /** What {@link AtomicFile} writes before it renames. */
  private static final Pattern TEMPORARY_NAME =
      Pattern.compile(
          "(?:[0-9a-f]{64}\\.json|.+\\.part\\.(?:segments|complete))"
              + AtomicFile.TEMPORARY_ENDING);

  /** A copy of a model of another folder, before it is proven and renamed. */
  private static final Pattern COPY_NAME =
      Pattern.compile("(?:.+_)?[0-9a-f]{64}(?:\\.[^.]+)?" + AtomicFile.TEMPORARY_ENDING);

  private final List<Model> models = new ArrayList<>();
  private final List<Missing> missing = new ArrayList<>();
  private final List<LooseFile> withoutSidecar = new ArrayList<>();
  private final List<Part> parts = new ArrayList<>();
  private final List<LooseFile> setAside = new ArrayList<>();
  private final List<LooseFile> temporaryFiles = new ArrayList<>();
  private final List<LooseFile> copies = new ArrayList<>();
  private final List<Path> brokenSidecars = new ArrayList<>();
  private final Set<Path> seen = new HashSet<>();

  /**
   * A model with at least one sidecar file.
   *
   * @param lengthBytes its length on the disk
   * @param identity equal for several names of one file
   * @param referrers what the sidecar files that name it say of it
   * @param readOnly whether it lies in a folder that is only read
   */
  public record Model(
      Path path, long lengthBytes, Object identity, List<Referrer> referrers, boolean readOnly) {
    /** What is known of its hash, the best proof first. */
    public Optional<Referrer> bestProof() {
      return referrers.stream().filter(r -> r.provenSha256() != null).findFirst();
    }

    /** Whether no sidecar file states another length. */
    public boolean hasStatedLength() {
      return referrers.stream()
          .allMatch(r -> r.statedBytes() == null || r.statedBytes() == lengthBytes);
    }
  }

  /**
   * What one sidecar file says.
   *
   * @param url as stored; other programs' may hold a secret
   * @param provenSha256 a hash that was measured, by the rules of store contract 11.6
   * @param expectedSha256 the hash the file should have: the proven one, else what the source said
   * @param sourceSha256 what the source said of the hash
   * @param linkedNames plain names that belong to it
   * @param mayPrecedeModel whether it may have been written before the model
   */
  public record Referrer(
      Path sidecarPath,
      @Nullable String url,
      @Nullable Long statedBytes,
      @Nullable Sha256 provenSha256,
      @Nullable Sha256 expectedSha256,
      @Nullable Sha256 sourceSha256,
      List<String> linkedNames,
      boolean mayPrecedeModel) {
    static Referrer of(Sidecar sidecar) {
      return new Referrer(
          sidecar.path(),
          sidecar.url(),
          sidecar.statedBytes(),
          sidecar.provenSha256().orElse(null),
          sidecar.expectedSha256(),
          sidecar.sourceSha256(),
          List.copyOf(sidecar.linkedNames()),
          sidecar.mayPrecedeModel());
    }
  }

  /** A model that sidecar files name and that is not there. */
  public record Missing(Path path, List<Referrer> referrers, boolean readOnly) {}

  /** A file that nothing more is known of. */
  public record LooseFile(Path path, long lengthBytes, Instant lastModified, boolean readOnly) {}

  /**
   * A download that is not complete, or what is left of one.
   *
   * @param finalPath what the file would be called
   * @param files the part, its notes and its segments, as far as they are there
   * @param receivedBytes bytes that count; null if that can not be told
   * @param totalBytes length of the whole, as a note or a sidecar file states it; null if none does
   * @param lastWritten when any of the files was last written to
   * @param held whether a download, of this process or another, is writing it
   * @param unfinished whether the file is complete under its final name, and its note is what its
   *     sidecar file will be written from
   */
  public record Part(
      Path finalPath,
      List<Path> files,
      @Nullable Long receivedBytes,
      @Nullable Long totalBytes,
      Instant lastWritten,
      boolean held,
      boolean unfinished,
      boolean readOnly) {
    /** The part itself, which need not be there. */
    public Path path() {
      return PartFile.partOf(finalPath);
    }

    /** Whether there is more than notes. */
    public boolean hasBytes() {
      return files.stream().anyMatch(file -> !NOTE_NAME.matcher(file.toString()).find());
    }
  }

  private Inventory() {}

  /** Looks at these folders and at all below them. */
  public static Inventory of(Collection<Path> folders) {
    Inventory inventory = new Inventory();
    folders.forEach(folder -> inventory.look(folder, 0));
    return inventory;
  }

  public List<Model> models() {
    return models;
  }

  public List<Missing> missing() {
    return missing;
  }

  /** Models that no sidecar file names: the user's own. */
  public List<LooseFile> withoutSidecar() {
    return withoutSidecar;
  }

  public List<Part> parts() {
    return parts;
  }

  /** Files that were found corrupt, and wait for a repair. */
  public List<LooseFile> setAside() {
    return setAside;
  }

  /** What was about to replace one of our files when its writer was ended. */
  List<LooseFile> temporaryFiles() {
    return temporaryFiles;
  }

  /** Copies of models that may not have been finished. */
  List<LooseFile> copies() {
    return copies;
  }

  /** Files that are named as sidecar files and can not be read as such. */
  public List<Path> brokenSidecars() {
    return brokenSidecars;
  }

  private void look(Path folder, int depth) {
    try {
      if (!Files.isDirectory(folder) || !seen.add(folder.toRealPath())) {
        return;
      }
    } catch (IOException e) {
      return; // Gone meanwhile, or closed to us: nothing can be said of it.
    }
    new Folder(folder).sort();
    for (Path entry : Sidecar.list(folder)) {
      String name = entry.getFileName().toString();
      boolean isOurs = !name.startsWith(".") && !name.equalsIgnoreCase("custom_nodes");
      if (isOurs && depth < DEEPEST_FOLDER && Files.isDirectory(entry)) {
        look(entry, depth + 1);
      }
    }
  }

  /** One folder's files, told apart. */
  private final class Folder {
    private final boolean readOnly;
    private final List<Path> entries;
    private final Map<Path, List<Sidecar>> referrers = new TreeMap<>();
    private final Map<String, List<Path>> workingFiles = new TreeMap<>();

    Folder(Path folder) {
      this.readOnly = ModelFolders.isInCache(folder);
      this.entries = Sidecar.list(folder);
      Set<Path> readable = new HashSet<>();
      for (Sidecar sidecar : Sidecar.scan(folder)) {
        if (!isSidecarName(sidecar.path())) {
          continue; // A model's own JSON, whatever it holds.
        }
        readable.add(sidecar.path());
        if (sidecar.file().isPresent()) {
          referrers.computeIfAbsent(sidecar.file().get(), f -> new ArrayList<>()).add(sidecar);
        } else if (sidecar.url() != null) {
          brokenSidecars.add(sidecar.path());
        }
      }
      entries.stream()
          .filter(entry -> isSidecarName(entry) && Files.isRegularFile(entry))
          .filter(entry -> !readable.contains(entry))
          .forEach(brokenSidecars::add);
    }

    void sort() {
      Set<Path> known = new HashSet<>();
      referrers.forEach(
          (file, sidecars) -> {
            known.add(file);
            for (Sidecar sidecar : sidecars) {
              for (String name : sidecar.linkedNames()) {
                Sidecar.child(sidecar.folder(), name).ifPresent(known::add);
              }
            }
          });
      for (Path entry : entries) {
        // What a sidecar file names is a model, even if it is called like a part.
        if (!known.contains(entry) && !isSidecarName(entry)) {
          addLoose(entry);
        }
      }
      referrers.forEach(this::addNamed);
      workingFiles.forEach((finalName, files) -> addPart(files.get(0), finalName, files));
    }

    private void addNamed(Path file, List<Sidecar> sidecars) {
      List<Referrer> said = sidecars.stream().map(Referrer::of).toList();
      try {
        BasicFileAttributes attributes = Files.readAttributes(file, BasicFileAttributes.class);
        if (attributes.isRegularFile()) {
          Object key = attributes.fileKey();
          models.add(new Model(file, attributes.size(), key == null ? file : key, said, readOnly));
          return;
        }
      } catch (IOException e) {
        // Not there, or a link to a volume that is not.
      }
      // Other versions write the sidecar file first: its part is no model that has gone.
      boolean isComing = workingFiles.containsKey(file.getFileName().toString());
      if (!isComing) {
        missing.add(new Missing(file, said, readOnly));
      }
    }

    private void addLoose(Path entry) {
      String name = entry.getFileName().toString();
      Matcher working = WORKING_NAME.matcher(name);
      if (working.matches()) {
        if (Files.isRegularFile(entry)) {
          workingFiles.computeIfAbsent(working.group(1), n -> new ArrayList<>()).add(entry);
        }
      } else if (TEMPORARY_NAME.matcher(name).matches()) {
        loose(entry).ifPresent(temporaryFiles::add);
      } else if (COPY_NAME.matcher(name).matches()) {
        loose(entry).ifPresent(copies::add);
      } else if (name.endsWith(SET_ASIDE_SUFFIX)) {
        loose(entry).ifPresent(setAside::add);
      } else if (MODEL_SUFFIXES.contains(suffix(name))) {
        loose(entry).ifPresent(withoutSidecar::add);
      }
    }

    private Optional<LooseFile> loose(Path file) {
      try {
        BasicFileAttributes attributes = Files.readAttributes(file, BasicFileAttributes.class);
        return attributes.isRegularFile()
            ? Optional.of(
                new LooseFile(
                    file, attributes.size(), attributes.lastModifiedTime().toInstant(), readOnly))
            : Optional.empty();
      } catch (IOException e) {
        return Optional.empty();
      }
    }

    private void addPart(Path anyFile, String finalName, List<Path> files) {
      Path finalPath = anyFile.resolveSibling(finalName);
      List<Sidecar> sidecars = referrers.getOrDefault(finalPath, List.of());
      Long stated = sidecars.isEmpty() ? null : sidecars.get(0).statedBytes();
      PartFile.Extent extent = PartFile.extentOf(finalPath, stated);
      parts.add(
          new Part(
              finalPath,
              List.copyOf(files),
              extent.receivedBytes(),
              extent.totalBytes(),
              lastWritten(files),
              PartFile.isHeld(finalPath),
              sidecars.isEmpty() && extent.holdsSidecar() && isThere(finalPath),
              readOnly));
    }
  }

  static boolean isThere(Path file) {
    return Files.exists(file, LinkOption.NOFOLLOW_LINKS);
  }

  /** When any of these was last written to; what is gone meanwhile was written just now. */
  static Instant lastWritten(Collection<Path> files) {
    Instant last = Instant.EPOCH;
    for (Path file : files) {
      try {
        Instant written = Files.getLastModifiedTime(file).toInstant();
        last = written.isAfter(last) ? written : last;
      } catch (IOException e) {
        return Instant.now();
      }
    }
    return last;
  }

  static Path setAsideName(Path file) {
    return file.resolveSibling(file.getFileName() + SET_ASIDE_SUFFIX);
  }

  private static boolean isSidecarName(Path file) {
    return SIDECAR_NAME.matcher(Objects.requireNonNull(file.getFileName()).toString()).matches();
  }

  private static String suffix(String name) {
    return name.substring(name.lastIndexOf('.') + 1).toLowerCase(Locale.ROOT);
  }
}
