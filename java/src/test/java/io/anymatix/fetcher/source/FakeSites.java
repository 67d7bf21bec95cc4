package io.anymatix.fetcher.source;

import static com.github.tomakehurst.wiremock.core.WireMockConfiguration.wireMockConfig;

import com.github.tomakehurst.wiremock.WireMockServer;
import com.github.tomakehurst.wiremock.client.MappingBuilder;
import com.github.tomakehurst.wiremock.client.ResponseDefinitionBuilder;
import com.github.tomakehurst.wiremock.extension.ResponseDefinitionTransformerV2;
import com.github.tomakehurst.wiremock.http.Request;
import com.github.tomakehurst.wiremock.http.ResponseDefinition;
import com.github.tomakehurst.wiremock.stubbing.ServeEvent;
import com.github.tomakehurst.wiremock.verification.LoggedRequest;
import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.testing.ByteRangeServer;
import io.anymatix.fetcher.testing.TestCertificates;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Function;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * The sites' own hosts and the storage hosts behind them, on the loopback address, under their real
 * names and with TLS: WireMock answers for the sites, a {@link ByteRangeServer} for the storage.
 *
 * <p>A process that runs with {@link #config} reaches these hosts alone; everything else is judged
 * as in {@code serve}: https to public addresses only.
 */
final class FakeSites implements AutoCloseable {
  /** Held: a logger that nobody holds loses its level. */
  private static final Logger JETTY = Logger.getLogger("org.eclipse.jetty");

  static {
    JETTY.setLevel(Level.WARNING);
  }

  private final List<String> siteHosts;
  private final List<String> storageHosts;
  private final TestCertificates certificates;
  private final ComputedAnswers computed = new ComputedAnswers();
  private final WireMockServer site;
  private final ByteRangeServer storage;

  private FakeSites(List<String> siteHosts, List<String> storageHosts) {
    this.siteHosts = siteHosts;
    this.storageHosts = storageHosts;
    List<String> all = new ArrayList<>(siteHosts);
    all.addAll(storageHosts);
    this.certificates = TestCertificates.forHosts(all.toArray(String[]::new));
    this.site =
        new WireMockServer(
            wireMockConfig()
                .bindAddress("127.0.0.1")
                .httpDisabled(true)
                .jettyAcceptors(1)
                .dynamicHttpsPort()
                .keystoreType("PKCS12")
                .keystorePath(certificates.serverKeys().toString())
                .keystorePassword(TestCertificates.password())
                .keyManagerPassword(TestCertificates.password())
                .extensions(computed));
    site.start();
    this.storage = ByteRangeServer.startTls(certificates.serverContext());
  }

  /** Starts the hosts of a site, and those that its files come from. */
  static FakeSites start(List<String> siteHosts, List<String> storageHosts) {
    return new FakeSites(siteHosts, storageHosts);
  }

  /** What answers for the site's own hosts. Nothing is stubbed: every path is 404. */
  WireMockServer site() {
    return site;
  }

  /** What answers for the storage hosts. */
  ByteRangeServer storage() {
    return storage;
  }

  /** Answers at the site with what the function makes of each request. */
  void answer(MappingBuilder request, Function<Request, ResponseDefinitionBuilder> function) {
    UUID id = UUID.randomUUID();
    computed.functions.put(id, function);
    site.stubFor(
        request
            .withId(id)
            .willReturn(new ResponseDefinitionBuilder().withTransformers(ComputedAnswers.NAME)));
  }

  /** The requests that the site's hosts got, in order. */
  List<LoggedRequest> siteRequests() {
    List<LoggedRequest> requests = new ArrayList<>();
    site.getAllServeEvents().forEach(event -> requests.add(0, event.getRequest()));
    return requests;
  }

  /** The settings of a process that takes these hosts for the real ones. */
  Config config(Path folder) {
    return settings(folder).build();
  }

  /** The same, to be changed before they are used. */
  Config.Builder settings(Path folder) {
    List<String> connectTo = new ArrayList<>();
    siteHosts.forEach(host -> connectTo.add(host + ":443:127.0.0.1:" + site.httpsPort()));
    storageHosts.forEach(host -> connectTo.add(host + ":443:127.0.0.1:" + storage.port()));
    return Config.builder()
        .modelsDir(folder)
        .connectTo(connectTo)
        .certificates(List.of(certificates.caFile()))
        .maxConnections(8)
        .stallTimeout(Duration.ofSeconds(40));
  }

  @Override
  public void close() {
    site.stop();
    storage.close();
  }

  /** Stubs whose answer is computed; WireMock's own are the same every time. */
  private static final class ComputedAnswers implements ResponseDefinitionTransformerV2 {
    private static final String NAME = "computed";

    private final Map<UUID, Function<Request, ResponseDefinitionBuilder>> functions =
        new ConcurrentHashMap<>();

    @Override
    public ResponseDefinition transform(ServeEvent event) {
      Function<Request, ResponseDefinitionBuilder> function =
          functions.get(event.getStubMapping().getId());
      return function == null
          ? event.getResponseDefinition()
          : function.apply(event.getRequest()).build();
    }

    @Override
    public boolean applyGlobally() {
      return false;
    }

    @Override
    public String getName() {
      return NAME;
    }
  }
}
