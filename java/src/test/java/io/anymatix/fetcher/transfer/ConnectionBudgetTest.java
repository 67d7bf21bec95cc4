package io.anymatix.fetcher.transfer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.http.RequestGate.Site;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** One number of connections for all files, and one for all files of a site. */
class ConnectionBudgetTest {
  private final ConnectionBudget budget = new ConnectionBudget(64);
  private final Counters counters = new Counters();

  /** A share of a file whose site bears anything. */
  private ConnectionBudget.Share share(int wish) {
    return share("anywhere", 1000, wish);
  }

  private ConnectionBudget.Share share(String site, int mostOfSite, int wish) {
    ConnectionBudget.Share share = budget.join(new Site(site, mostOfSite), counters::waiting);
    share.wish(wish);
    return share;
  }

  private static int takeAll(ConnectionBudget.Share share) {
    int taken = 0;
    while (share.tryTake(share.site())) {
      taken++;
    }
    return taken;
  }

  @Test
  void aFileAloneGetsWhatItWishesFor() {
    assertEquals(32, takeAll(share(32)));
  }

  @Test
  void equalWishesAreDividedEqually() {
    List<ConnectionBudget.Share> shares = new ArrayList<>();
    for (int i = 0; i < 8; i++) {
      shares.add(share(16));
    }
    shares.forEach(share -> assertEquals(8, takeAll(share)));
  }

  @Test
  void whatASmallFileDoesNotWishForGoesToTheOthers() {
    ConnectionBudget.Share small = share(1);
    ConnectionBudget.Share one = share(64);
    ConnectionBudget.Share other = share(64);
    assertEquals(1, takeAll(small));
    assertEquals(63, takeAll(one) + takeAll(other));
  }

  @Test
  void aFileThatJoinsGetsOneAtOnceAndItsShareAsOthersEnd() {
    ConnectionBudget.Share first = share(64);
    assertEquals(64, takeAll(first));
    ConnectionBudget.Share second = share(64);
    assertEquals(1, takeAll(second), "the budget is taken, but every file moves");
    for (int i = 0; i < 32; i++) {
      first.giveBack(first.site());
    }
    assertEquals(31, takeAll(second), "its share is free now");
    assertFalse(first.tryTake(first.site()), "the first is above its share");
  }

  @Test
  void whatAFinishedFileHadIsDividedAgain() {
    ConnectionBudget.Share first = share(64);
    ConnectionBudget.Share second = share(64);
    assertEquals(32, takeAll(first));
    second.close();
    assertEquals(32, takeAll(first));
  }

  @Test
  void moreFilesThanConnectionsHaveOneEach() {
    List<ConnectionBudget.Share> shares = new ArrayList<>();
    for (int i = 0; i < 100; i++) {
      shares.add(share(16));
    }
    shares.forEach(share -> assertEquals(1, takeAll(share)));
  }

  @Test
  void theFilesOfASiteShareWhatItBears() {
    ConnectionBudget.Share first = share("civitai", 16, 16);
    ConnectionBudget.Share second = share("civitai", 16, 16);
    ConnectionBudget.Share elsewhere = share("huggingface", 32, 32);
    assertEquals(8, takeAll(first));
    assertEquals(8, takeAll(second));
    assertEquals(32, takeAll(elsewhere));
  }

  @Test
  void whatASiteDoesNotBearIsLeftToTheFilesOfOthers() {
    ConnectionBudget.Share few = share("mega", 6, 32);
    List<ConnectionBudget.Share> others = List.of(share(32), share(32));
    assertEquals(6, takeAll(few));
    assertEquals(58, others.stream().mapToInt(ConnectionBudgetTest::takeAll).sum());
  }

  @Test
  void aFileOfABusySiteWaitsUntilAConnectionEnds() {
    ConnectionBudget.Share first = share("mega", 6, 6);
    assertEquals(6, takeAll(first));
    ConnectionBudget.Share second = share("mega", 6, 6);
    assertFalse(second.tryTake(second.site()), "the site has what it bears");
    assertTrue(String.valueOf(counters.waiting()).contains("6 connections"));
    first.giveBack(first.site());
    assertFalse(first.tryTake(first.site()), "the first is above its share");
    assertEquals(1, takeAll(second));
  }

  @Test
  void noSiteEverGetsMoreThanItBearsHoweverManyFilesThereAre() {
    List<ConnectionBudget.Share> shares = new ArrayList<>();
    for (int i = 0; i < 20; i++) {
      shares.add(share("mega", 6, 6));
    }
    assertEquals(6, shares.stream().mapToInt(ConnectionBudgetTest::takeAll).sum());
  }

  @Test
  void aRandomLifeNeverExceedsTheMost() {
    long seed = System.nanoTime();
    Random random = new Random(seed);
    List<ConnectionBudget.Share> shares = new ArrayList<>();
    List<ConnectionBudget.Share> held = new ArrayList<>();
    for (int step = 0; step < 20_000; step++) {
      if (shares.size() < 20 && random.nextInt(10) == 0) {
        shares.add(share(1 + random.nextInt(64)));
      } else if (!held.isEmpty() && random.nextInt(3) == 0) {
        ConnectionBudget.Share share = held.remove(random.nextInt(held.size()));
        share.giveBack(share.site());
      } else if (!shares.isEmpty()) {
        ConnectionBudget.Share share = shares.get(random.nextInt(shares.size()));
        boolean first = !held.contains(share);
        boolean taken = share.tryTake(share.site());
        assertTrue(taken || !first, "every file gets one; seed " + seed);
        if (taken) {
          held.add(share);
          assertTrue(first || budget.taken() <= 64, "seed " + seed);
        }
      }
      assertEquals(held.size(), budget.taken(), "seed " + seed);
    }
  }
}
