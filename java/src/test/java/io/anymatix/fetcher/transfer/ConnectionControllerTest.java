package io.anymatix.fetcher.transfer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.transfer.ConnectionController.Finding;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

/** How many connections the controller finds to pay, on simulated links. */
class ConnectionControllerTest {
  private static final double MB = 1e6;
  private static final long SEED = 20_261_121;

  private static SimulatedLink.Builder link() {
    return new SimulatedLink.Builder();
  }

  @Test
  void whereEachConnectionIsCappedAllThatAreAllowedAreOpenedWithinASecond() {
    SimulatedLink link = link().each(20 * MB).with(16, 32, SEED).run(1);
    assertEquals(32, link.wanted());
  }

  @Test
  void whereEachConnectionIsCappedTheRampCostsLittle() {
    SimulatedLink link = link().each(20 * MB).with(16, 16, SEED);
    double seconds = link.secondsUntil(512 * 1024 * 1024);
    assertTrue(seconds < 1.06 * 512 * 1024 * 1024 / (16 * 20 * MB), seconds + " s");
  }

  @Test
  void whereAFewFillThePipeTheFewestAreKept() {
    SimulatedLink link = link().pipe(100 * MB).with(16, 32, SEED).run(120);
    assertEquals(2, link.wanted());
    assertEquals(2 * ConnectionController.FIRST_CONNECTIONS, link.mostWanted());
    assertTrue(link.receivedBytes() > 0.98 * link.bestBytes(32), "of what the pipe could bring");
  }

  @Test
  void aPipeThatSwingsIsNotTakenForOneThatGrows() {
    List<Integer> wanted = new ArrayList<>();
    for (long seed = SEED; seed < SEED + 50; seed++) {
      wanted.add(link().pipe(100 * MB).noise(0.5).with(16, 32, seed).run(60).wanted());
    }
    assertTrue(wanted.stream().allMatch(each -> each <= 8), "seeds from " + SEED + ": " + wanted);
  }

  @Test
  void onALossyFarLinkEveryConnectionPays() {
    // 1 % loss and 80 ms: 220 kB/s for each.
    SimulatedLink link = link().roundTripMillis(80).loss(0.01).with(16, 32, SEED).run(30);
    assertEquals(32, link.wanted());
    assertTrue(link.receivedBytes() > 0.8 * link.bestBytes(32));
  }

  @Test
  void aFarLinkIsJudgedOnlyWhenItsConnectionsHaveStarted() {
    SimulatedLink link =
        link().roundTripMillis(150).pipe(50 * MB).each(5 * MB).with(16, 32, SEED).run(60);
    assertTrue(link.wanted() >= 10 && link.wanted() <= 16, link.wanted() + " connections");
    assertTrue(link.receivedBytes() > 0.8 * link.bestBytes(32));
  }

  @Test
  void aServerThatRefusesIsNotAskedForMoreThanItBears() {
    SimulatedLink link = link().each(20 * MB).refusedAbove(6).with(16, 32, SEED).run(50);
    assertEquals(6, link.wanted());
    assertTrue(link.receivedBytes() > 0.95 * link.bestBytes(32));
  }

  @Test
  void afterARefusalMoreAreTriedOneAtATimeAndNeverAboveTheUsual() {
    SimulatedLink link = link().each(20 * MB).refusedAbove(6).with(16, 32, SEED).run(200);
    assertTrue(link.wanted() <= 7, link.wanted() + " connections");

    ConnectionController controller =
        new ConnectionController(
            new Finding(16, false, 0, 0), Connections.upTo(16, 32), () -> 0, 0);
    controller.refused(15, 0);
    long received = 0;
    for (long second = 1; second < 3600; second++) {
      received += 20_000_000L * controller.wanted();
      controller.sample(second * 1_000_000_000L, received, controller.wanted(), 0);
    }
    assertEquals(16, controller.wanted());
  }

  @Test
  void aServerThatSuffersUnderManyIsGivenFew() {
    SimulatedLink link =
        link().pipe(200 * MB).each(25 * MB).slowerAbove(8).with(16, 32, SEED).run(60);
    assertEquals(8, link.wanted());
    assertTrue(link.receivedBytes() > 0.95 * link.bestBytes(32));
  }

  @Test
  void aRateThatFallsForGoodIsAnsweredWithFewerConnections() {
    SimulatedLink link = link().pipe(160 * MB).each(10 * MB).with(16, 32, SEED).run(10);
    assertEquals(16, link.wanted());
    link.pipeShrinksTo(0.1).run(20);
    assertTrue(link.wanted() <= 8, link.wanted() + " connections for a pipe of 16 MB/s");
  }

  @Test
  void aProcessWhoseProcessorsAreBusyOpensNoMoreUntilTheyAreNot() {
    AtomicLong processorNanos = new AtomicLong();
    ConnectionController controller =
        new ConnectionController(null, Connections.upTo(16, 32), processorNanos::get, 0);
    long received = 0;
    for (long step = 1; step < 200; step++) {
      boolean isBusy = step < 100;
      processorNanos.addAndGet(isBusy ? 7_000_000 : 2_000_000);
      received += 200_000L * controller.wanted();
      controller.sample(step * 10_000_000, received, controller.wanted(), 0);
      int most = isBusy ? ConnectionController.BUSY_CONNECTIONS : 32;
      assertTrue(controller.wanted() <= most, controller.wanted() + " at step " + step);
    }
    assertEquals(32, controller.wanted());
  }

  @Test
  void aProcessWhoseProcessorsAreBusyKeepsFewerIfTheyBringNearlyAsMuch() {
    AtomicLong processorNanos = new AtomicLong();
    ConnectionController controller =
        new ConnectionController(null, Connections.upTo(16, 32), processorNanos::get, 0);
    long received = 0;
    for (long step = 1; step < 100; step++) {
      processorNanos.addAndGet(7_000_000);
      received += controller.wanted() > 2 ? 8_000_000 : 6_000_000;
      controller.sample(step * 10_000_000, received, controller.wanted(), 0);
    }
    assertEquals(2, controller.wanted());
  }

  @Test
  void aPauseIsNoReasonToChangeAnything() {
    ConnectionController controller =
        new ConnectionController(null, Connections.upTo(16, 32), () -> 0, 0);
    for (long step = 1; step < 1000; step++) {
      controller.sample(step * 10_000_000, 0, controller.wanted(), 0);
    }
    assertEquals(ConnectionController.BUSY_CONNECTIONS, controller.wanted());
    assertNull(controller.finding());
  }

  @Test
  void aNumberThatTheCallerChoseIsKept() {
    ConnectionController controller =
        new ConnectionController(null, Connections.fixed(9), () -> 0, 0);
    for (long step = 1; step < 1000; step++) {
      controller.sample(step * 10_000_000, 1_000_000 / step, 9, 0);
    }
    controller.refused(3, 10_000_000_000L);
    assertEquals(9, controller.wanted());
  }
}
