package io.anymatix.fetcher.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import io.anymatix.fetcher.fetch.Fetcher;
import java.io.PrintWriter;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Says what a server tells about urls, without downloading them. */
@Command(
    name = "probe",
    description = "Asks what is behind a url: name, length, ranges, hash. Downloads nothing.",
    mixinStandardHelpOptions = true)
@SuppressWarnings("NullAway.Init") // picocli fills the fields
final class ProbeCommand implements Callable<Integer> {
  private static final ObjectMapper JSON = new ObjectMapper();

  @Spec CommandSpec spec;
  @Mixin OwnerOptions options;

  @Parameters(arity = "1..*", paramLabel = "URL", description = "what to ask about")
  List<String> urls;

  @Option(names = "--json", description = "print JSON, one result a line")
  boolean json;

  private final PrintWriter out;

  ProbeCommand(PrintWriter out) {
    this.out = out;
  }

  @Override
  public Integer call() throws Exception {
    try (Fetcher fetcher = new Fetcher(options.toConfig(spec.commandLine(), true))) {
      for (String url : urls) {
        Fetcher.ProbeResult result = fetcher.probe(url, null);
        out.println(
            (json ? JSON.writer() : JSON.writer().with(SerializationFeature.INDENT_OUTPUT))
                .writeValueAsString(result));
      }
      return 0;
    }
  }
}
