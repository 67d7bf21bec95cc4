package io.anymatix.fetcher.fetch;

import io.anymatix.fetcher.content.Redactor;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import io.anymatix.fetcher.failure.InvalidParamsException;
import io.anymatix.fetcher.failure.NotInitializedException;
import io.anymatix.fetcher.source.HubSettings;
import io.anymatix.fetcher.store.ModelFileName;
import io.anymatix.fetcher.store.ModelFolders;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * The types that mean more than a folder (store contract 5): packs, which are several files of one
 * repository, and the files of an annotator pack, which looks for them under their plain names.
 *
 * <p>Both name a repository of the hub at a revision, by the hub's own address or the owner's
 * endpoint ({@code HF_ENDPOINT}), and a link of any other form is refused before anything is asked
 * or written.
 */
final class VirtualTypes {
  /** The variable in which the annotator pack's users name its folder. */
  static final String ANNOTATOR_VARIABLE = "AUX_ANNOTATOR_CKPTS_PATH";

  private static final String ANNOTATOR_FOLDER = "annotator_ckpts";

  private static final Map<String, Recipe> PACKS =
      Map.of(
          "chatterbox_model_pack",
          new Recipe(
              "tts/chatterbox/resembleai_default_voice",
              List.of(
                  "ve.safetensors",
                  "t3_cfg.safetensors",
                  "s3gen.safetensors",
                  "tokenizer.json",
                  "conds.pt")),
          "chatterbox_multilingual_pack",
          new Recipe(
              "chatterbox/chatterbox_multilingual",
              List.of(
                  "ve.pt",
                  "t3_mtl23ls_v2.safetensors",
                  "s3gen.pt",
                  "grapheme_mtl_merged_expanded_v1.json",
                  "conds.pt",
                  "Cangjie5_TC.json")));

  /** The annotator types, and whether the repository's name is part of the path. */
  private static final Map<String, Boolean> ANNOTATORS =
      Map.of("dwpose_aux", false, "hed", false, "depth_anything_v2_checkpoint", true);

  private static final String REVISION = "(?<org>[^/?#]+)/(?<repo>[^/?#]+)/resolve/[^/?#]+";

  private final @Nullable String annotatorFolder;
  private final Pattern revisionUrl;
  private final Pattern fileUrl;

  private record Recipe(String folder, List<String> files) {}

  /**
   * A pack that was asked for.
   *
   * @param folder where its files lie, under their stored and under their plain names
   * @param files one request for each file
   */
  record Pack(Path folder, List<FetchRequest> files) {
    /** What the pack is called, which is what its loaders take. */
    String name() {
      return folder.getFileName().toString();
    }

    /** Whether a file is there under the plain name that the loaders look for. */
    boolean isNamed(FetchRequest file) {
      return Files.isRegularFile(folder.resolve(String.valueOf(file.name())));
    }
  }

  /**
   * @param environment may name the annotators' folder. That folder needs not be among the roots:
   *     the variable is the owner's word, and nothing that comes in over the wire can change it
   * @param hub where repositories are
   */
  VirtualTypes(Map<String, String> environment, HubSettings hub) {
    String named = environment.get(ANNOTATOR_VARIABLE);
    this.annotatorFolder = named == null || named.isBlank() ? null : named;
    String revision =
        hub.addresses().stream().map(Pattern::quote).collect(Collectors.joining("|", "(?:", ")"))
            + REVISION;
    this.revisionUrl = Pattern.compile(revision + "/?");
    this.fileUrl = Pattern.compile(revision + "/(?<path>[^?#]+)(\\?[^#]*)?");
  }

  /**
   * The pack that a request means, if it means one.
   *
   * @throws FetchException {@code unsupported} if the link names no revision of a repository
   */
  Optional<Pack> pack(FetchRequest request, ModelFolders folders) {
    Recipe recipe = recipe(PACKS, request);
    if (recipe == null) {
      return Optional.empty();
    }
    String url = String.valueOf(request.url());
    if (!revisionUrl.matcher(url).matches()) {
      throw unsupported(url, "https://huggingface.co/ORG/REPO/resolve/REVISION");
    }
    Path folder = modelsDir(folders, request).resolve(recipe.folder());
    List<FetchRequest> files = new ArrayList<>();
    for (String file : recipe.files()) {
      String fileUrl = url + (url.endsWith("/") ? "" : "/") + file;
      files.add(
          new FetchRequest(
              fileUrl,
              null,
              folder.toString(),
              request.auth(),
              null,
              file,
              null,
              null,
              request.connections()));
    }
    return Optional.of(new Pack(folder, List.copyOf(files)));
  }

  /**
   * Where the annotator file lies that a request means, if it means one.
   *
   * @throws FetchException {@code unsupported} if the link names no file of a repository at a
   *     revision; {@code policy} for a name that is not stored, or a folder outside the allowed one
   * @throws InvalidParamsException for a folder in the environment that is relative or may hold
   *     code
   */
  Optional<Path> annotatorFile(FetchRequest request, ModelFolders folders) {
    Boolean isNested = recipe(ANNOTATORS, request);
    if (isNested == null) {
      return Optional.empty();
    }
    String url = String.valueOf(request.url());
    Matcher link = fileUrl.matcher(url);
    if (!link.matches()) {
      throw unsupported(url, "https://huggingface.co/ORG/REPO/resolve/REVISION/FILE");
    }
    ModelFolders allowed = folders;
    Path file;
    if (annotatorFolder == null) {
      file = modelsDir(folders, request).resolve(ANNOTATOR_FOLDER);
    } else {
      file = ModelFolders.absolute(annotatorFolder, ANNOTATOR_VARIABLE);
      allowed = new ModelFolders(file, Map.of(), List.of());
    }
    if (isNested) {
      file = file.resolve(plain(link.group("org"))).resolve(plain(link.group("repo")));
    }
    for (String component : link.group("path").split("/", -1)) {
      file = file.resolve(plain(component));
    }
    allowed.requireInsideRoots(file, "url");
    return Optional.of(file);
  }

  private static <T> @Nullable T recipe(Map<String, T> recipes, FetchRequest request) {
    boolean folderNamed = request.dir() != null && !request.dir().isEmpty();
    return folderNamed || request.type() == null ? null : recipes.get(request.type());
  }

  private static Path modelsDir(ModelFolders folders, FetchRequest request) {
    Path modelsDir = folders.modelsDir();
    if (modelsDir != null) {
      return modelsDir;
    }
    if (folders.isEmpty()) {
      throw new NotInitializedException();
    }
    throw new InvalidParamsException(
        "No models folder was named, and the type \"" + request.type() + "\" lies in it.");
  }

  private static String plain(String component) {
    return ModelFileName.requirePlain(component);
  }

  private static FetchException unsupported(String url, String form) {
    return FetchException.because(
            FailureKind.UNSUPPORTED, "The link is not of the form that this type needs.")
        .hint("Use a link of the form " + form + ".")
        .url(Redactor.url(url))
        .build();
  }
}
