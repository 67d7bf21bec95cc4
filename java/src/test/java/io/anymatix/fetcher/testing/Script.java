package io.anymatix.fetcher.testing;

import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Predicate;

/** Which faults befall which requests, in the order given. Safe from any thread. */
final class Script {
  private record Rule(Predicate<Request> selector, Fault fault) {}

  private final List<Rule> rules = new CopyOnWriteArrayList<>();

  void add(Predicate<Request> selector, Fault... faults) {
    for (Fault fault : faults) {
      rules.add(new Rule(selector, fault));
    }
  }

  void applyTo(Answer answer) {
    for (Rule rule : rules) {
      if (rule.selector().test(answer.request())) {
        rule.fault().applyTo(answer);
      }
    }
  }
}
