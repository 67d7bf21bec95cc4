package io.anymatix.fetcher.source;

import java.net.URLDecoder;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * A place at the Hugging Face hub. All parts are decoded.
 *
 * @param collection {@code models}, {@code datasets} or {@code spaces}
 * @param repository {@code owner/name}, or a name alone for the oldest ones
 * @param revision branch, tag, commit or {@code refs/…}
 * @param path a file, or with {@code isFolder} a folder, empty for the whole repository
 */
record HubLink(
    String collection, String repository, String revision, String path, boolean isFolder) {
  private static final String SCHEME = "hf://";
  private static final String MODELS = "models";
  private static final String MAIN = "main";
  private static final Set<String> OTHER_COLLECTIONS = Set.of("datasets", "spaces");

  private static final String FILE_VIEW = "resolve";

  /** {@code blob} is the page of a file, {@code raw} its pointer, {@code resolve} the file. */
  private static final Set<String> FILE_VIEWS = Set.of(FILE_VIEW, "blob", "raw");

  private static final String FOLDER_VIEW = "tree";

  /** First segments of two-segment pages that are no repositories. */
  private static final Set<String> NO_OWNERS =
      Set.of("api", "blog", "collections", "docs", "models", "organizations", "papers", "settings");

  /** Whether a url has the form that the hub's clients use among themselves. */
  static boolean isHubScheme(String url) {
    return url.stripLeading().regionMatches(true, 0, SCHEME, 0, SCHEME.length());
  }

  /**
   * The https link of an {@code hf://} url: {@code hf://[datasets/|spaces/]owner/name[@revision]
   * [/path]}; the query stays.
   */
  static String httpsForm(String hubUrl) {
    String text = hubUrl.strip().substring(SCHEME.length());
    int query = text.indexOf('?');
    String place = query < 0 ? text : text.substring(0, query);
    List<String> segments = new ArrayList<>(List.of(place.split("/", -1)));
    String collection = MODELS;
    if (OTHER_COLLECTIONS.contains(segments.get(0)) || segments.get(0).equals(MODELS)) {
      collection = segments.remove(0);
    }
    // An owner never has an @: a first segment that has one is a repository without an owner.
    int nameAt = segments.isEmpty() || segments.get(0).indexOf('@') > 0 ? 0 : 1;
    if (segments.size() <= nameAt) {
      return "https://huggingface.co/" + text; // names no repository; the hub says so
    }
    String name = segments.get(nameAt);
    int at = name.indexOf('@');
    List<String> rest = new ArrayList<>(segments.subList(nameAt + 1, segments.size()));
    if (at > 0) {
      rest.add(0, name.substring(at + 1));
      name = name.substring(0, at);
    }
    String revision = at > 0 ? takeRevision(rest) : MAIN;
    HubLink link =
        new HubLink(
            collection,
            nameAt == 0 ? name : segments.get(0) + "/" + name,
            revision,
            decoded(String.join("/", rest)).replaceFirst("/$", ""),
            rest.isEmpty() || rest.get(rest.size() - 1).isEmpty());
    return "https://huggingface.co"
        + (link.isFolder ? link.folderTarget() : link.fileTarget())
        + (query < 0 ? "" : text.substring(query));
  }

  /** The place that a path below the hub's address names; null for pages that are none. */
  static @Nullable HubLink parse(String pathBelowBase) {
    List<String> segments =
        Arrays.stream(pathBelowBase.split("/", -1))
            .filter(segment -> !segment.isEmpty())
            .collect(Collectors.toCollection(ArrayList::new));
    String collection = MODELS;
    if (!segments.isEmpty() && OTHER_COLLECTIONS.contains(segments.get(0))) {
      collection = segments.remove(0);
    }
    for (int viewAt = 1; viewAt <= 2 && viewAt + 1 < segments.size(); viewAt++) {
      String view = segments.get(viewAt);
      if (FILE_VIEWS.contains(view) || view.equals(FOLDER_VIEW)) {
        String repository = decoded(String.join("/", segments.subList(0, viewAt)));
        List<String> rest = new ArrayList<>(segments.subList(viewAt + 1, segments.size()));
        String revision = takeRevision(rest);
        String path = decoded(String.join("/", rest));
        boolean isFolder = view.equals(FOLDER_VIEW);
        return path.isEmpty() && !isFolder
            ? null
            : new HubLink(collection, repository, revision, path, isFolder);
      }
    }
    if (segments.size() == 2 && !NO_OWNERS.contains(segments.get(0))) {
      return new HubLink(collection, decoded(String.join("/", segments)), MAIN, "", true);
    }
    return null;
  }

  /** Takes the revision off the front: {@code refs/pr/1} may come unquoted, as three segments. */
  private static String takeRevision(List<String> segments) {
    int count =
        segments.size() >= 3
                && segments.get(0).equals("refs")
                && Set.of("pr", "convert").contains(segments.get(1))
            ? 3
            : 1;
    List<String> own = segments.subList(0, count);
    String revision = decoded(String.join("/", own));
    own.clear();
    return revision;
  }

  /** Another file of the same repository and revision. */
  HubLink file(String otherPath) {
    return new HubLink(collection, repository, revision, otherPath, false);
  }

  /** The folder that holds the file; empty for the uppermost one. */
  String parent() {
    return path.substring(0, Math.max(0, path.lastIndexOf('/')));
  }

  String fileName() {
    return path.substring(path.lastIndexOf('/') + 1);
  }

  /** Whether the path has asterisks: it then stands for every file that it matches. */
  boolean isPattern() {
    return path.indexOf('*') >= 0;
  }

  /**
   * Where the file's bytes are asked for, for a link that was written so: unchanged, escapes
   * included, if it is that place already.
   */
  String fileTarget(String asWritten) {
    String resolved = pageTarget() + "/" + FILE_VIEW + "/";
    boolean isQuoted = revision.indexOf('/') < 0 || asWritten.contains(escaped(revision));
    return asWritten.startsWith(resolved) && isQuoted ? asWritten : fileTarget();
  }

  /** Where the file's bytes are asked for. */
  String fileTarget() {
    return pageTarget() + "/" + FILE_VIEW + "/" + escaped(revision) + "/" + escapedPath(path);
  }

  private String folderTarget() {
    return pageTarget() + "/" + FOLDER_VIEW + "/" + escaped(revision) + withSlash(path);
  }

  /** Where everything below a folder is listed. */
  String listingTarget(String folder) {
    return "/api/"
        + collection
        + "/"
        + escapedPath(repository)
        + "/tree/"
        + escaped(revision)
        + withSlash(folder)
        + "?recursive=true";
  }

  /** The page of the repository, for a person. */
  String pageTarget() {
    return (collection.equals(MODELS) ? "/" : "/" + collection + "/") + escapedPath(repository);
  }

  private static String withSlash(String path) {
    return path.isEmpty() ? "" : "/" + escapedPath(path);
  }

  /** Slashes stay: the hub counts an escaped one as a page and not as a file. */
  private static String escapedPath(String path) {
    return Arrays.stream(path.split("/", -1))
        .map(HubLink::escaped)
        .collect(Collectors.joining("/"));
  }

  private static String escaped(String text) {
    return URLEncoder.encode(text, StandardCharsets.UTF_8).replace("+", "%20");
  }

  /** Percent signs that start no escape stand for themselves, plus signs always do. */
  private static String decoded(String text) {
    String escapes = text.replaceAll("%(?![0-9A-Fa-f]{2})", "%25").replace("+", "%2B");
    return URLDecoder.decode(escapes, StandardCharsets.UTF_8);
  }
}
