package io.anymatix.fetcher.http;

import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.hc.client5.http.DnsResolver;

/** A name server that answers as scripted, and counts what it is asked. Safe from any thread. */
final class Names implements DnsResolver {
  private final Map<String, Deque<InetAddress[]>> answers = new HashMap<>();
  private final List<String> asked = new ArrayList<>();

  /** Adds an answer for a name: one look-up gets all of the addresses. The last answer stays. */
  synchronized Names add(String host, String... addresses) {
    InetAddress[] answer = new InetAddress[addresses.length];
    for (int i = 0; i < addresses.length; i++) {
      try {
        answer[i] = InetAddress.getByName(addresses[i]);
      } catch (UnknownHostException e) {
        throw new IllegalArgumentException(e);
      }
    }
    answers.computeIfAbsent(host, h -> new ArrayDeque<>()).add(answer);
    return this;
  }

  synchronized List<String> asked() {
    return List.copyOf(asked);
  }

  @Override
  public synchronized InetAddress[] resolve(String host) throws UnknownHostException {
    asked.add(host);
    Deque<InetAddress[]> known =
        Optional.ofNullable(answers.get(host)).orElseThrow(() -> new UnknownHostException(host));
    return known.size() > 1 ? known.removeFirst() : known.getFirst();
  }

  @Override
  public String resolveCanonicalHostname(String host) {
    return host;
  }
}
