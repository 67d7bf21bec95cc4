package io.anymatix.fetcher.source;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import io.anymatix.fetcher.content.ListedFile;
import io.anymatix.fetcher.content.Sha256;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.failure.FetchException;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Several files of a repository at the Hugging Face hub: a folder, a pattern, or the shards that an
 * index names. Read from the hub's tree listing, page by page and bounded in every direction.
 */
final class HubListing {
  private static final int MOST_FILES = 10_000;
  private static final int MOST_PAGES = 200;
  private static final int LONGEST_PAGE_BYTES = 16 << 20;
  private static final int LONGEST_INDEX_BYTES = 64 << 20;

  /** Such as {@code model.safetensors.index.json} and {@code model.safetensors.index.fp16.json}. */
  private static final Pattern SHARD_INDEX =
      Pattern.compile(".+\\.(safetensors|bin)\\.index(\\.[\\w-]+)?\\.json");

  /** The next page in a {@code Link} field (RFC 8288). */
  private static final Pattern NEXT =
      Pattern.compile("<([^>]*)>\\s*(?:;[^,<]*)?;\\s*rel=\"?next\"?", Pattern.CASE_INSENSITIVE);

  private final String linkBase;
  private final Hub hub;

  /** Asks the hub. */
  @FunctionalInterface
  interface Hub {
    /**
     * Reads a text at the hub.
     *
     * @param target path and query, escaped
     * @throws FetchException for anything but success, and for more than {@code mostBytes}
     */
    Page read(String target, int mostBytes);
  }

  /** A text with the {@code Link} field that came along. */
  record Page(String text, @Nullable String link) {}

  /**
   * @param linkBase what the links of the listed files begin with
   */
  HubListing(String linkBase, Hub hub) {
    this.linkBase = linkBase;
    this.hub = hub;
  }

  /** The files that a place stands for; empty if it is one file. */
  List<ListedFile> expand(HubLink place) {
    if (place.isFolder()) {
      return someOf(place, List.copyOf(below(place, place.path()).values()));
    }
    if (place.isPattern()) {
      return matching(place);
    }
    if (SHARD_INDEX.matcher(place.fileName()).matches()) {
      return sharded(place);
    }
    return place.fileName().indexOf('.') < 0 ? folderOrFile(place) : List.of();
  }

  /** A link does not say whether its last segment is a folder; the listing does. */
  private List<ListedFile> folderOrFile(HubLink place) {
    try {
      return List.copyOf(below(place, place.path()).values());
    } catch (FetchException e) {
      if (e.kind() == FailureKind.NOT_FOUND) {
        return List.of();
      }
      throw e;
    }
  }

  private List<ListedFile> matching(HubLink pattern) {
    String fixed = pattern.path().substring(0, pattern.path().indexOf('*'));
    String folder = fixed.substring(0, Math.max(0, fixed.lastIndexOf('/')));
    Pattern wanted = regex(pattern.path());
    return someOf(
        pattern,
        below(pattern, folder).values().stream()
            .filter(file -> wanted.matcher(file.path()).matches())
            .toList());
  }

  /** {@code *} stays within a segment, {@code **} crosses slashes. */
  private static Pattern regex(String pattern) {
    StringBuilder regex = new StringBuilder();
    Matcher wildcard = Pattern.compile("\\*\\*/|\\*\\*|\\*").matcher(pattern);
    int from = 0;
    while (wildcard.find()) {
      regex.append(Pattern.quote(pattern.substring(from, wildcard.start())));
      regex.append(
          switch (wildcard.group()) {
            case "**/" -> "(?:.*/)?";
            case "**" -> ".*";
            default -> "[^/]*";
          });
      from = wildcard.end();
    }
    return Pattern.compile(regex + Pattern.quote(pattern.substring(from)));
  }

  private static List<ListedFile> someOf(HubLink place, List<ListedFile> files) {
    if (files.isEmpty()) {
      throw FetchException.because(
              FailureKind.NOT_FOUND,
              place.repository()
                  + " has no file that fits \""
                  + place.path()
                  + "\" at revision \""
                  + place.revision()
                  + "\".")
          .hint("Look at the repository's list of files; upper and lower case count.")
          .build();
    }
    return files;
  }

  /** The index itself, then the shards in the order of their names. */
  private List<ListedFile> sharded(HubLink index) {
    Map<String, ListedFile> beside = below(index, index.parent());
    Set<String> names = new LinkedHashSet<>(List.of(index.fileName()));
    JsonNode weights =
        json(hub.read(index.fileTarget(), LONGEST_INDEX_BYTES).text(), index).path("weight_map");
    weights.forEach(shard -> names.add(shard.asText()));
    if (names.size() == 1) {
      throw FetchException.of(
          FailureKind.UNSUPPORTED, index.path() + " is no index: it names no shards.");
    }
    return names.stream()
        .map(name -> index.parent().isEmpty() ? name : index.parent() + "/" + name)
        .map(path -> listed(beside, path, index))
        .toList();
  }

  private static ListedFile listed(Map<String, ListedFile> files, String path, HubLink index) {
    ListedFile file = files.get(path);
    if (file == null) {
      throw FetchException.because(
              FailureKind.NOT_FOUND,
              index.path() + " names the shard " + path + ", which the repository does not have.")
          .build();
    }
    return file;
  }

  /** Every file below a folder, by its path in the repository. */
  private Map<String, ListedFile> below(HubLink place, String folder) {
    Map<String, ListedFile> files = new LinkedHashMap<>();
    String first = place.listingTarget(folder);
    String next = first;
    for (int pages = 0; next != null; pages++) {
      if (pages == MOST_PAGES || files.size() > MOST_FILES) {
        throw FetchException.because(
                FailureKind.UNSUPPORTED,
                place.repository() + " has more than " + MOST_FILES + " files there.")
            .hint("Name a folder or a pattern with fewer files.")
            .build();
      }
      Page page = hub.read(next, LONGEST_PAGE_BYTES);
      for (JsonNode entry : json(page.text(), place)) {
        if (entry.path("type").asText().equals("file")) {
          ListedFile file = file(place, entry);
          files.put(file.path(), file);
        }
      }
      next = nextTarget(first, page.link());
    }
    return files;
  }

  private ListedFile file(HubLink place, JsonNode entry) {
    String path = entry.path("path").asText();
    JsonNode largeFile = entry.path("lfs");
    return new ListedFile(
        linkBase + place.file(path).fileTarget(),
        path,
        largeFile.path("size").asLong(entry.path("size").asLong()),
        Sha256.parse(largeFile.path("oid").asText(null)));
  }

  /** The next page is asked for where the first one was, whatever host a mirror names. */
  private static @Nullable String nextTarget(String first, @Nullable String link) {
    Matcher next = NEXT.matcher(link == null ? "" : link);
    int query = next.find() ? next.group(1).indexOf('?') : -1;
    return query < 0
        ? null
        : first.substring(0, first.indexOf('?')) + next.group(1).substring(query);
  }

  private static JsonNode json(String text, HubLink place) {
    try {
      return SiteJson.MAPPER.readTree(text);
    } catch (JsonProcessingException e) {
      throw FetchException.because(
              FailureKind.SERVER,
              "What the hub sent about the files of " + place.repository() + " is no JSON.")
          .cause(e)
          .build();
    }
  }
}
