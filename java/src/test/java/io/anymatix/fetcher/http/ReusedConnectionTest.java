package io.anymatix.fetcher.http;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.content.ByteRange;
import io.anymatix.fetcher.content.HttpUrl;
import io.anymatix.fetcher.failure.Cancellation;
import io.anymatix.fetcher.testing.Content;
import io.anymatix.fetcher.testing.Http2RangeServer;
import io.anymatix.fetcher.testing.TestCertificates;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Many short exchanges over one HTTP/2 connection. */
@Timeout(60)
class ReusedConnectionTest {
  private static final int REQUESTS = 2000;
  private static final TestCertificates CERTIFICATES = TestCertificates.forHosts("files.example");

  /** An answer may be there before the client has finished handing over the request. */
  @Test
  void noAnswerIsTakenForCancelled() throws Exception {
    Content content = Content.random(61, 3 * 1024);
    try (Http2RangeServer server = Http2RangeServer.start(CERTIFICATES.serverContext(), content);
        RemoteReader reader = new RemoteReader(config())) {
      RemoteRequest request =
          RemoteRequest.get(HttpUrl.parse(server.url("/m.bin"))).withRange(new ByteRange(0, 1999));
      for (int i = 1; i <= REQUESTS; i++) {
        try (Answer answer = reader.open(request, new Cancellation())) {
          byte[] bytes = new byte[2000];
          int n = 0;
          for (int more = 0; more >= 0 && n < bytes.length; n += more) {
            more = answer.read(bytes, n, bytes.length - n);
          }
          answer.drain(1);
          assertArrayEquals(content.bytes(0, bytes.length), bytes, "request " + i);
        }
      }
      assertTrue(server.connections() < 10, server.connections() + " connections");
    }
  }

  private static Config config() {
    return Config.builder()
        .allowPrivateHosts(true)
        .certificates(List.of(CERTIFICATES.caFile()))
        .acceptAnyContent(true)
        .build();
  }
}
