package io.anymatix.fetcher.http;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.content.ByteRange;
import io.anymatix.fetcher.content.HttpUrl;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.Fault;
import io.anymatix.fetcher.testing.Reply;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Who hears credentials on the way to a file. */
class RedirectTest {
  private static final Config CONFIG =
      Config.builder().allowHttp(true).allowPrivateHosts(true).acceptAnyContent(true).build();
  private static final Content CONTENT = Content.random(51, 10_000);

  @ParameterizedTest
  @ValueSource(ints = {301, 302, 303, 307, 308})
  void credentialsStayWithTheOriginTheyWereMeantFor(int status) {
    try (ByteRangeServer hub = ByteRangeServer.start();
        ByteRangeServer storage = ByteRangeServer.start();
        RemoteReader reader = new RemoteReader(CONFIG)) {
      hub.serve("/link", CONTENT).with(Fault.replies(Reply.redirect(status, "/moved")));
      hub.serve("/moved", CONTENT)
          .with(Fault.replies(Reply.redirect(status, storage.url("/file"))));
      storage.serve("/file", CONTENT);

      try (Answer answer = reader.open(request(hub.url("/link")), new Cancellation())) {
        assertEquals(206, answer.status());
        assertEquals(storage.url("/file"), answer.url().toString());
        assertEquals(2, answer.hops().size());
      }

      assertEquals("Bearer t0p", hub.requests("/link").get(0).header("Authorization"));
      assertEquals("Bearer t0p", hub.requests("/moved").get(0).header("Authorization"));
      assertNull(storage.requests("/file").get(0).header("Authorization"));
      assertEquals("bytes=5-9", storage.requests("/file").get(0).header("Range"));
    }
  }

  @Test
  void credentialsThatWereDroppedDoNotComeBack() {
    try (ByteRangeServer hub = ByteRangeServer.start();
        ByteRangeServer other = ByteRangeServer.start();
        RemoteReader reader = new RemoteReader(CONFIG)) {
      hub.serve("/link", CONTENT).with(Fault.replies(Reply.redirect(302, other.url("/bounce"))));
      other.serve("/bounce", CONTENT).with(Fault.replies(Reply.redirect(302, hub.url("/file"))));
      hub.serve("/file", CONTENT);

      reader.open(request(hub.url("/link")), new Cancellation()).close();

      assertNull(other.requests("/bounce").get(0).header("Authorization"));
      assertNull(hub.requests("/file").get(0).header("Authorization"));
    }
  }

  private static RemoteRequest request(String url) {
    return new RemoteRequest(
        HttpUrl.parse(url), Map.of("Authorization", "Bearer t0p"), new ByteRange(5, 9), null);
  }
}
