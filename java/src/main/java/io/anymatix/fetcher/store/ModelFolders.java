package io.anymatix.fetcher.store;

import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.failure.InvalidParamsException;
import io.anymatix.fetcher.failure.NotInitializedException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * The model folders that were named to the process: where files may be written and looked for.
 *
 * @param modelsDir the folder that holds the type folders
 * @param folders ComfyUI's own table: key to folders, in its order; the first is written to
 * @param adoptDirs folders that are only read, for linking
 */
public record ModelFolders(
    @Nullable Path modelsDir, Map<String, List<Path>> folders, List<Path> adoptDirs) {

  /** The node's types and the folder of each (store contract 5). */
  private static final Map<String, String> FOLDER_OF_TYPE =
      Map.ofEntries(
          Map.entry("checkpoint", "checkpoints"),
          Map.entry("lora", "loras"),
          Map.entry("controlnet", "controlnet"),
          Map.entry("upscale", "upscale_models"),
          Map.entry("vae", "vae"),
          Map.entry("diffusion_model", "diffusion_models"),
          Map.entry("diffusion_models/GGUF", "diffusion_models"),
          Map.entry("text_encoders", "text_encoders"),
          Map.entry("clip_vision", "clip_vision"),
          Map.entry("audio_encoder", "audio_encoders"),
          Map.entry("sam2", "sam2"),
          Map.entry("SEEDVR2_model", "SEEDVR2"),
          Map.entry("SEEDVR2_vae_model", "SEEDVR2"),
          Map.entry("latent_upscale", "latent_upscale_models"),
          Map.entry("zoedepth", "zoedepth"),
          Map.entry("model_patch", "model_patches"));

  /**
   * ComfyUI's own folders below the models folder, which may be named where no table was sent; not
   * {@code configs}, whose files are read by something else.
   */
  private static final Set<String> STANDARD_FOLDERS =
      Set.of(
          "audio_encoders",
          "checkpoints",
          "classifiers",
          "clip",
          "clip_vision",
          "controlnet",
          "diffusers",
          "diffusion_models",
          "embeddings",
          "gligen",
          "hypernetworks",
          "latent_upscale_models",
          "loras",
          "model_patches",
          "photomaker",
          "style_models",
          "text_encoders",
          "unet",
          "upscale_models",
          "vae",
          "vae_approx");

  /** Folders that ComfyUI came to call otherwise; both are searched (store contract 11.2). */
  private static final Map<String, List<String>> FORMER_NAMES =
      Map.of(
          "diffusion_models", List.of("diffusion_models", "unet"),
          "unet", List.of("diffusion_models", "unet"),
          "text_encoders", List.of("text_encoders", "clip"),
          "clip", List.of("text_encoders", "clip"));

  /** A cache overlay of other versions: read, never written (store contract 11.2). */
  private static final String CACHE_VARIABLE = "ANYMATIX_NVME_MODEL_CACHE";

  private static final String CODE_FOLDER = "custom_nodes";

  public ModelFolders {
    folders = Collections.unmodifiableMap(new LinkedHashMap<>(folders));
    adoptDirs = List.copyOf(adoptDirs);
    for (Path root : roots(modelsDir, folders.values())) {
      refuseCode(root);
    }
  }

  /** No folder at all. */
  public static ModelFolders none() {
    return new ModelFolders(null, Map.of(), List.of());
  }

  /**
   * Where a file is written and where it is looked for.
   *
   * @param target the folder that is written to
   * @param searched all folders that are looked through, the target first
   * @param loaderFolders the folders that a loader's name may be relative to, the likeliest first
   * @param realTarget where the target is, or will be made, once links are resolved
   */
  public record Place(Path target, List<Path> searched, List<Path> loaderFolders, Path realTarget) {
    public Place(Path target, List<Path> searched, List<Path> loaderFolders) {
      this(target, searched, loaderFolders, realPath(target));
    }

    /**
     * Confines once more, right before something gets its name there: a folder may have been
     * replaced by a link since it was judged.
     *
     * @throws FetchException {@code policy} if the target is somewhere else now
     */
    public void requireUnmoved() {
      Path now = realPath(target);
      if (!now.equals(realTarget)) {
        throw FetchException.because(
                FailureKind.POLICY,
                "The folder " + target + " leads to " + now + " now; nothing was put there.")
            .hint("Run again if it was moved on purpose.")
            .build();
      }
    }

    /** The place of a file whose path is settled. */
    public static Place of(Path file) {
      List<Path> folder = List.of(file.resolveSibling(""));
      return new Place(folder.get(0), folder, folder);
    }

    /** What a ComfyUI loader takes for a file: its path below the folder that holds it. */
    public String relativeName(Path file) {
      return loaderFolders.stream()
          .filter(file::startsWith)
          .findFirst()
          .map(folder -> folder.relativize(file).toString())
          .orElse(file.getFileName().toString());
    }
  }

  /**
   * The place of a type, or of a folder that a caller names.
   *
   * @throws InvalidParamsException for an unknown type, a relative folder, or neither
   * @throws NotInitializedException if no folder is known at all
   * @throws FetchException {@code policy} for a folder outside the roots
   */
  public Place place(@Nullable String type, @Nullable String dir) {
    if (dir != null && !dir.isEmpty()) {
      Path folder = absolute(dir, "dir");
      requireInsideRoots(folder, "dir");
      return new Place(folder, List.of(folder), tableFolders());
    }
    if (type == null || type.isEmpty()) {
      throw new InvalidParamsException("\"type\" or \"dir\" is missing.");
    }
    String key = FOLDER_OF_TYPE.getOrDefault(type, type);
    boolean known =
        FOLDER_OF_TYPE.containsKey(type)
            || folders.containsKey(key)
            || (modelsDir != null && STANDARD_FOLDERS.contains(key));
    if (modelsDir == null && folders.isEmpty()) {
      throw new NotInitializedException();
    }
    if (!known) {
      throw new InvalidParamsException(
          "Unknown type \"" + type + "\"; known are: " + String.join(", ", knownTypes()) + ".");
    }
    Set<Path> searched = new LinkedHashSet<>(folders.getOrDefault(key, List.of()));
    if (modelsDir != null) {
      for (String name : FORMER_NAMES.getOrDefault(key, List.of(key))) {
        searched.add(modelsDir.resolve(name));
      }
    }
    Path target =
        searched.stream()
            .filter(folder -> !isInCache(folder))
            .findFirst()
            .orElseThrow(
                () -> new InvalidParamsException("No folder is known for type \"" + type + "\"."));
    List<Path> order = new ArrayList<>(List.of(target));
    searched.stream().filter(folder -> !folder.equals(target)).forEach(order::add);
    return new Place(target, order, order);
  }

  /**
   * Every folder that a url may have left something in, for a delete without type.
   *
   * @throws NotInitializedException if no folder is known at all
   */
  public List<Path> all() {
    if (modelsDir == null && folders.isEmpty()) {
      throw new NotInitializedException();
    }
    Set<Path> all = new LinkedHashSet<>(tableFolders());
    if (modelsDir != null) {
      for (Path folder : Sidecar.list(modelsDir)) {
        if (Files.isDirectory(folder)) {
          all.add(folder);
        }
      }
      all.add(modelsDir);
    }
    return List.copyOf(all);
  }

  /** Every folder in whose tree a model may lie, those that are only read included. */
  public List<Path> trees() {
    Set<Path> trees = roots(modelsDir, folders.values());
    trees.addAll(adoptDirs);
    return trees.stream()
        .filter(tree -> trees.stream().noneMatch(o -> !o.equals(tree) && tree.startsWith(o)))
        .toList();
  }

  /**
   * The folders that a request without a url is about: those of a type, one folder, or all.
   *
   * @throws NotInitializedException if no folder is known at all
   */
  public List<Path> searched(@Nullable String type, @Nullable String dir) {
    boolean anywhere = (type == null || type.isEmpty()) && (dir == null || dir.isEmpty());
    return anywhere ? all() : place(type, dir).searched();
  }

  /** Whether any folder was named. */
  public boolean isEmpty() {
    return modelsDir == null && folders.isEmpty();
  }

  /**
   * Reads an absolute path.
   *
   * @throws InvalidParamsException if it is relative or no path at all
   */
  public static Path absolute(String text, String paramName) {
    try {
      Path path = Path.of(text);
      if (path.isAbsolute()) {
        return path.normalize();
      }
    } catch (InvalidPathException e) {
      // Told below, as what it is not.
    }
    throw new InvalidParamsException("\"" + paramName + "\" is not an absolute path: " + text);
  }

  /**
   * Confines a path: it must lie in a root by its real path, links resolved on both sides.
   *
   * @throws FetchException {@code policy} if it does not
   */
  public void requireInsideRoots(Path path, String paramName) {
    if (isEmpty()) {
      throw new NotInitializedException();
    }
    Path real = realPath(path);
    for (Path root : roots(modelsDir, folders.values())) {
      if (real.startsWith(realPath(root))) {
        return;
      }
    }
    throw FetchException.because(
            FailureKind.POLICY,
            "\"" + paramName + "\" lies outside the model folders: " + path + ".")
        .hint("Use a folder below the models folder, or name its parent at the start.")
        .build();
  }

  private List<Path> tableFolders() {
    return folders.values().stream().flatMap(List::stream).distinct().toList();
  }

  /** What {@link #place} takes for a type. */
  public Set<String> knownTypes() {
    Set<String> types = new TreeSet<>(FOLDER_OF_TYPE.keySet());
    types.addAll(folders.keySet());
    return types;
  }

  /** Whether a folder belongs to the cache overlay, which is only read. */
  static boolean isInCache(Path folder) {
    return Optional.ofNullable(System.getenv(CACHE_VARIABLE))
        .filter(cache -> !cache.isBlank())
        .map(cache -> folder.startsWith(Path.of(cache)))
        .orElse(false);
  }

  private static Set<Path> roots(@Nullable Path modelsDir, Collection<List<Path>> folders) {
    Set<Path> roots = new LinkedHashSet<>();
    if (modelsDir != null) {
      roots.add(modelsDir);
    }
    folders.forEach(roots::addAll);
    return roots;
  }

  /** ComfyUI runs what lies in {@code custom_nodes}: no root is, contains or lies in one. */
  private static void refuseCode(Path root) {
    if (!root.isAbsolute()) {
      throw new InvalidParamsException("A model folder is not an absolute path: " + root);
    }
    Path real = realPath(root);
    boolean lies = isCodeFolder(root) || isCodeFolder(real);
    boolean contains =
        Stream.concat(Stream.of(real), Sidecar.list(real).stream())
            .anyMatch(folder -> Files.isDirectory(folder.resolve(CODE_FOLDER)));
    if (lies || contains) {
      throw new InvalidParamsException(
          "A model folder may not be, contain or lie in " + CODE_FOLDER + ": " + root);
    }
  }

  /** Whether a path is, or lies in, a folder whose content is run. */
  static boolean isCodeFolder(Path path) {
    for (Path component : path) {
      if (component.toString().equalsIgnoreCase(CODE_FOLDER)) {
        return true;
      }
    }
    return false;
  }

  /** The real path of what exists, with the rest of the path behind it. */
  private static Path realPath(Path path) {
    Path normal = path.normalize();
    for (Path existing = normal; existing != null; existing = existing.getParent()) {
      try {
        return existing.toRealPath().resolve(existing.relativize(normal)).normalize();
      } catch (IOException e) {
        // Not there yet: the next folder up decides.
      }
    }
    return normal;
  }

  /** A table from texts, as it comes over the wire. */
  public static Map<String, List<Path>> table(Map<String, List<String>> texts) {
    Map<String, List<Path>> table = new LinkedHashMap<>();
    texts.forEach(
        (key, dirs) ->
            table.put(key, dirs.stream().map(dir -> absolute(dir, "folders." + key)).toList()));
    return table;
  }
}
