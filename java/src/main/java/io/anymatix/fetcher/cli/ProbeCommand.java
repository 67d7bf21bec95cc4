package io.anymatix.fetcher.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import io.anymatix.fetcher.fetch.Fetcher;
import java.io.PrintWriter;
import org.apache.commons.cli.Option;
import org.apache.commons.cli.Options;

/** Says what a server tells about urls, without downloading them. */
final class ProbeCommand implements Command {
  private static final Option JSON = Command.flag("json", "print JSON, one result a line");

  private final PrintWriter out;

  ProbeCommand(PrintWriter out) {
    this.out = out;
  }

  @Override
  public String name() {
    return "probe";
  }

  @Override
  public String description() {
    return "Asks what is behind a url: name, length, ranges, hash. Downloads nothing.";
  }

  @Override
  public Operands operands() {
    return Operands.several("URL", "what to ask about");
  }

  @Override
  public Options options() {
    return OwnerOptions.addTo(new Options().addOption(JSON));
  }

  @Override
  public int run(Arguments arguments) throws Exception {
    ObjectMapper json = new ObjectMapper();
    json.configure(SerializationFeature.INDENT_OUTPUT, !arguments.flag(JSON));
    try (Fetcher fetcher = new Fetcher(new OwnerOptions(arguments).toConfig(true))) {
      for (String url : arguments.operands()) {
        Fetcher.ProbeResult result = fetcher.probe(url, null);
        out.println(json.writeValueAsString(result));
      }
      return 0;
    }
  }
}
