package io.anymatix.fetcher.content;

import java.net.URLDecoder;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.Comparator;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Takes secrets out of text before anybody sees it; the one place that knows what a secret is.
 *
 * <p>Two nets: urls lose user names, credential and signature parameters and secret fragments by
 * their shape; every text loses the values that were {@linkplain #learn learnt} as secrets. The
 * learnt values are the only state and are never handed out.
 */
public final class Redactor {
  private static final String MASK = "<redacted>";

  /** Shorter values would mask ordinary words; by their parameter's name they are masked anyway. */
  private static final int SHORTEST_LEARNT_SECRET = 6;

  /** Query pairs that are credentials: they never reach the disk (store contract 11.4). */
  private static final Set<String> CREDENTIAL_PARAMETERS =
      Set.of(
          "token",
          "api_key",
          "apikey",
          "access_token",
          "sig",
          "signature",
          "x-amz-signature",
          "x-amz-credential",
          "x-amz-security-token");

  /** Further pairs that let whoever sees a url use it; they are only hidden. */
  private static final Set<String> HIDDEN_PARAMETERS =
      Set.of(
          "policy",
          "key-pair-id",
          "x-goog-signature",
          "x-goog-credential",
          "hdnea",
          "hdnts",
          "verify",
          "confirm",
          "uuid",
          "at");

  private static final Pattern URL = Pattern.compile("\\b[A-Za-z][A-Za-z0-9+.-]*://[^\\s\"'<>]+");

  /** An address at Mega's storage gives the file to whoever has it, though encrypted. */
  private static final Pattern MEGA_STORAGE =
      Pattern.compile("(?i)^(https?://[^/?#]*\\.userstorage\\.mega\\.co\\.nz(?::\\d+)?/).+");

  private static final Pattern USER_INFO = Pattern.compile("(?<=://)[^/?#@]*@");
  private static final Pattern AUTHORIZATION =
      Pattern.compile(
          "(?i)\\b(authorization|cookie|set-cookie)\\s*[:=]\\s*[^\\r\\n]+|\\bbearer\\s+\\S+");

  /** A query pair in any text; the sign before it tells whether it stands in a query. */
  private static final Pattern PAIR =
      Pattern.compile("([?&]|(?<![\\w.%-]))([\\w.%-]{2,40})=([^&#\\s\"'<>]+)");

  /** Pairs of a caller's query tail that choose among a model's files, as CivitAI knows them. */
  private static final Set<String> CHOOSING_PARAMETERS =
      Set.of("type", "format", "size", "fp", "quanttype");

  /** Secrets of single links that are kept; the process lives long and sees many. */
  private static final int MOST_PASSING_SECRETS = 2000;

  private static final Set<String> LASTING = new HashSet<>();

  /** The latest last; like {@link #LASTING} guarded by the class. */
  private static final Set<String> PASSING = new LinkedHashSet<>();

  /** All of them, longer ones first: of what begins like a shorter one no end must be left. */
  private static volatile List<String> learnt = List.of();

  private Redactor() {}

  /** Masks {@code secret} in every text from now on, also as a query spells it. */
  public static void learn(String secret) {
    remember(LASTING, secret);
  }

  /**
   * The same for the secret of one link, which may be forgotten after some thousand others: what
   * comes and goes with links must not fill the memory of a process that lives for weeks.
   */
  public static void learnPassing(String secret) {
    remember(PASSING, secret);
  }

  /** Learns the values of a caller's query tail, but for those that merely choose a file. */
  public static void learnTail(String auth) {
    for (String pair : auth.split("&", -1)) {
      int equals = pair.indexOf('=');
      String name = pair.substring(0, Math.max(0, equals)).toLowerCase(Locale.ROOT);
      if (!CHOOSING_PARAMETERS.contains(name)) {
        learnPassing(pair.substring(equals + 1));
      }
    }
  }

  /**
   * Learns what a caller's url brings along: the values of its credential parameters, its user
   * information and a Mega key. A server may repeat them by themselves.
   */
  public static void learnFrom(String url) {
    Matcher userInfo = USER_INFO.matcher(url);
    if (userInfo.find()) {
      String pair = userInfo.group().substring(0, userInfo.group().length() - 1);
      learnPassing(pair.substring(pair.indexOf(':') + 1));
    }
    int fragmentAt = url.indexOf('#');
    if (fragmentAt >= 0 && isMega(url)) {
      learnPassing(url.substring(Math.max(fragmentAt, url.lastIndexOf('!')) + 1));
    }
    String beforeFragment = fragmentAt < 0 ? url : url.substring(0, fragmentAt);
    int queryAt = beforeFragment.indexOf('?');
    if (queryAt >= 0) {
      for (String pair : beforeFragment.substring(queryAt + 1).split("&", -1)) {
        int equals = pair.indexOf('=');
        if (equals >= 0 && isCredentialParameter(pair.substring(0, equals))) {
          learnPassing(pair.substring(equals + 1));
        }
      }
    }
  }

  private static synchronized void remember(Set<String> kind, String secret) {
    boolean areNew = false;
    for (String spelling : spellings(secret)) {
      if (spelling.length() >= SHORTEST_LEARNT_SECRET) {
        areNew |= !kind.remove(spelling);
        kind.add(spelling); // as the latest
      }
    }
    if (areNew) {
      for (Iterator<String> oldest = PASSING.iterator(); PASSING.size() > MOST_PASSING_SECRETS; ) {
        oldest.next();
        oldest.remove();
      }
      learnt =
          Stream.concat(LASTING.stream(), PASSING.stream())
              .sorted(Comparator.comparing(String::length).reversed())
              .toList();
    }
  }

  private static Set<String> spellings(String secret) {
    try {
      String plain = URLDecoder.decode(secret, StandardCharsets.UTF_8);
      String encoded = URLEncoder.encode(plain, StandardCharsets.UTF_8);
      return new LinkedHashSet<>(List.of(secret, plain, encoded, encoded.replace("+", "%20")));
    } catch (IllegalArgumentException e) { // a stray percent sign
      return new LinkedHashSet<>(
          List.of(secret, URLEncoder.encode(secret, StandardCharsets.UTF_8)));
    }
  }

  /** A url as it may be shown: user name, credential values, signatures, Mega key masked. */
  public static String url(String url) {
    String shown = USER_INFO.matcher(url).replaceFirst("");
    shown = MEGA_STORAGE.matcher(shown).replaceFirst("$1" + MASK);
    int fragmentAt = shown.indexOf('#');
    String fragment = fragmentAt < 0 ? "" : shown.substring(fragmentAt);
    shown = fragmentAt < 0 ? shown : shown.substring(0, fragmentAt);
    int queryAt = shown.indexOf('?');
    if (queryAt >= 0) {
      shown = shown.substring(0, queryAt + 1) + query(shown.substring(queryAt + 1));
    }
    shown = PAIR.matcher(shown).replaceAll(Redactor::pair); // servers misplace question marks
    return learntMasked(shown + (isMega(shown) ? megaFragment(fragment) : fragment));
  }

  /**
   * Any text: the urls in it as {@link #url}, query pairs and header fields with credentials,
   * learnt secrets. A text must be cut to length after this, since half a secret is not recognised.
   */
  public static String text(String text) {
    Matcher urls = URL.matcher(text);
    String shown = urls.replaceAll(found -> Matcher.quoteReplacement(url(found.group())));
    shown = PAIR.matcher(shown).replaceAll(Redactor::pair);
    shown = AUTHORIZATION.matcher(shown).replaceAll(MASK);
    return learntMasked(shown);
  }

  /**
   * A site's own data, which are kept as they are, without the token that they were asked for with.
   */
  public static String data(String text, String token) {
    return text.replace(token, MASK);
  }

  private static String pair(MatchResult pair) {
    boolean isSecret =
        pair.group(1).isEmpty()
            ? isCredentialParameter(pair.group(2))
            : isSecretParameter(pair.group(2));
    return Matcher.quoteReplacement(
        isSecret ? pair.group(1) + pair.group(2) + "=" + MASK : pair.group());
  }

  private static String query(String query) {
    StringBuilder shown = new StringBuilder();
    for (String pair : query.split("&", -1)) {
      int equals = pair.indexOf('=');
      String name = equals < 0 ? pair : pair.substring(0, equals);
      shown
          .append(shown.isEmpty() ? "" : "&")
          .append(isSecretParameter(name) && equals >= 0 ? name + "=" + MASK : pair);
    }
    return shown.toString();
  }

  /** Whether a query pair of this name, decoded, is a credential; in any case of its letters. */
  public static boolean isCredentialParameter(String name) {
    return CREDENTIAL_PARAMETERS.contains(name.toLowerCase(Locale.ROOT));
  }

  private static boolean isSecretParameter(String encodedName) {
    String name = encodedName.toLowerCase(Locale.ROOT).replace("%3f", "");
    return isCredentialParameter(name) || HIDDEN_PARAMETERS.contains(name);
  }

  private static boolean isMega(String url) {
    return url.matches("(?i)https?://([a-z0-9-]+\\.)*mega(\\.co)?\\.(nz|io)\\b.*");
  }

  /** {@code #!ID!KEY} keeps its id; anything else behind the sign is a key. */
  private static String megaFragment(String fragment) {
    if (fragment.startsWith("#!")) {
      int key = fragment.indexOf('!', 2);
      return key < 0 ? fragment : fragment.substring(0, key) + "!" + MASK;
    }
    return fragment.isEmpty() ? "" : "#" + MASK;
  }

  private static String learntMasked(String text) {
    String shown = text;
    for (String secret : learnt) {
      shown = shown.replace(secret, MASK);
    }
    return shown;
  }
}
