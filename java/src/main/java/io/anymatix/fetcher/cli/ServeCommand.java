package io.anymatix.fetcher.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.fetch.Fetcher;
import io.anymatix.fetcher.rpc.FetcherMethods;
import io.anymatix.fetcher.rpc.RpcMethods;
import io.anymatix.fetcher.rpc.StdioServer;
import java.io.InputStream;
import java.io.OutputStream;
import org.apache.commons.cli.Options;

/**
 * The sidecar process: JSON-RPC on the standard streams until stdin ends, {@code shutdown} is
 * called, a signal asks for the end, or the parent process dies; then gone, with every part file
 * resumable.
 */
final class ServeCommand implements Command {
  private final InputStream stdin;
  private final OutputStream stdout;

  ServeCommand(InputStream stdin, OutputStream stdout) {
    this.stdin = stdin;
    this.stdout = stdout;
  }

  @Override
  public String name() {
    return "serve";
  }

  @Override
  public String description() {
    return "Speaks JSON-RPC 2.0 on stdin and stdout; logs go to stderr.";
  }

  @Override
  public Options options() {
    return OwnerOptions.addTo(new Options());
  }

  @Override
  public int run(Arguments arguments) throws InterruptedException {
    loadJsonMeanwhile();
    Config config = new OwnerOptions(arguments).toConfig(false);
    Fetcher fetcher = new Fetcher(config);
    FetcherMethods methods = new FetcherMethods(fetcher, Cli.version());
    StdioServer server = new StdioServer(stdin, stdout, RpcMethods.class, methods);
    ProcessHandle.current().parent().ifPresent(parent -> stopWith(parent, server));
    Thread ending =
        new Thread(
            () -> {
              server.stop();
              methods.close();
              fetcher.close();
              // A signal is an ordinary end here; the JVM would report it as a failure.
              Runtime.getRuntime().halt(0);
            },
            "ending");
    Runtime.getRuntime().addShutdownHook(ending);
    IdleHeap.watch(() -> fetcher.activity().equals(Fetcher.Activity.NONE), fetcher::dropBuffers);
    server.run();
    methods.close();
    fetcher.close();
    Runtime.getRuntime().halt(0);
    return 0;
  }

  /**
   * What every message needs takes as long to load as the rest of the program; in a thread beside
   * it, both are ready sooner. Nothing there may ask for a logger: while this thread sets logging
   * up, others are given a stand-in.
   */
  private static void loadJsonMeanwhile() {
    Thread loader =
        new Thread(
            () -> {
              ObjectMapper json = new ObjectMapper();
              try {
                json.writeValueAsBytes(json.readTree("{\"id\":1,\"method\":\"ping\"}"));
              } catch (JsonProcessingException e) {
                throw new IllegalStateException("This is JSON.", e);
              }
            },
            "json-loader");
    loader.setDaemon(true);
    loader.start();
  }

  /** Stdin ends with the parent, unless another of its children holds the pipe's other end. */
  private static void stopWith(ProcessHandle parent, StdioServer server) {
    var unused = parent.onExit().thenRun(server::stop);
  }
}
