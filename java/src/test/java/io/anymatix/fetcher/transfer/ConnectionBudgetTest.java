package io.anymatix.fetcher.transfer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** One number of connections for all files. */
class ConnectionBudgetTest {
  private final ConnectionBudget budget = new ConnectionBudget(64);

  private ConnectionBudget.Share share(int wish) {
    ConnectionBudget.Share share = budget.join();
    share.wish(wish);
    return share;
  }

  private static int takeAll(ConnectionBudget.Share share) {
    int taken = 0;
    while (share.tryTake()) {
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
    assertEquals(31, takeAll(one));
    assertEquals(32, takeAll(other));
  }

  @Test
  void aFileThatJoinsGetsOneAtOnceAndItsShareAsOthersEnd() {
    ConnectionBudget.Share first = share(64);
    assertEquals(64, takeAll(first));
    ConnectionBudget.Share second = share(64);
    assertEquals(1, takeAll(second), "the budget is taken, but every file moves");
    for (int i = 0; i < 32; i++) {
      first.giveBack();
    }
    assertEquals(31, takeAll(second), "its share is free now");
    assertFalse(first.tryTake(), "the first is above its share");
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
  void aRandomLifeNeverExceedsTheMost() {
    long seed = System.nanoTime();
    Random random = new Random(seed);
    List<ConnectionBudget.Share> shares = new ArrayList<>();
    List<ConnectionBudget.Share> held = new ArrayList<>();
    for (int step = 0; step < 20_000; step++) {
      if (shares.size() < 20 && random.nextInt(10) == 0) {
        shares.add(share(1 + random.nextInt(64)));
      } else if (!held.isEmpty() && random.nextInt(3) == 0) {
        held.remove(random.nextInt(held.size())).giveBack();
      } else if (!shares.isEmpty()) {
        ConnectionBudget.Share share = shares.get(random.nextInt(shares.size()));
        boolean first = !held.contains(share);
        boolean taken = share.tryTake();
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
