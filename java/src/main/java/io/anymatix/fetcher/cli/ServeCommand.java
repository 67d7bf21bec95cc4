package io.anymatix.fetcher.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.anymatix.fetcher.config.Config;
import io.anymatix.fetcher.content.Redactor;
import io.anymatix.fetcher.fetch.Fetcher;
import io.anymatix.fetcher.rpc.FetcherMethods;
import io.anymatix.fetcher.rpc.RpcMethods;
import io.anymatix.fetcher.rpc.StdioServer;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintWriter;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/**
 * The sidecar process: JSON-RPC on the standard streams until stdin ends, {@code shutdown} is
 * called, a signal asks for the end, or the parent process dies; then gone, with every part file
 * resumable.
 */
@Command(
    name = "serve",
    description = "Speaks JSON-RPC 2.0 on stdin and stdout; logs go to stderr.",
    mixinStandardHelpOptions = true)
@SuppressWarnings("NullAway.Init") // picocli fills the fields
final class ServeCommand implements Callable<Integer> {
  @Spec CommandSpec spec;
  @Mixin OwnerOptions options;

  private final InputStream stdin;
  private final OutputStream stdout;

  ServeCommand(InputStream stdin, OutputStream stdout) {
    this.stdin = stdin;
    this.stdout = stdout;
  }

  @Override
  public Integer call() throws InterruptedException {
    return serve(options.toConfig(spec.commandLine(), false), stdin, stdout);
  }

  /**
   * The same for a command line without options, which is the shim's: to describe options to a
   * parser that has none to read would be a third of the start.
   */
  static int serveWithoutOptions(InputStream stdin, OutputStream stdout, PrintWriter err) {
    loadJsonMeanwhile();
    Config config;
    try {
      config = new OwnerOptions().toConfig(System.getenv(), false);
    } catch (IllegalArgumentException e) {
      err.println(Redactor.text(String.valueOf(e.getMessage())));
      return Cli.EXIT_USAGE;
    }
    try {
      return serve(config, stdin, stdout);
    } catch (RuntimeException | InterruptedException e) {
      return Cli.tell(e, err);
    }
  }

  private static int serve(Config config, InputStream stdin, OutputStream stdout)
      throws InterruptedException {
    Fetcher fetcher = new Fetcher(config);
    FetcherMethods methods = new FetcherMethods(fetcher, Cli.Version.number());
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
