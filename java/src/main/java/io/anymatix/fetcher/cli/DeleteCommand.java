package io.anymatix.fetcher.cli;

import io.anymatix.fetcher.fetch.Fetcher;
import java.io.PrintWriter;
import org.apache.commons.cli.Option;
import org.apache.commons.cli.Options;

/** Removes what urls left in the store. */
final class DeleteCommand implements Command {
  private static final Option JSON = Command.flag("json", "print JSON, one result a line");

  private final PrintWriter out;

  DeleteCommand(PrintWriter out) {
    this.out = out;
  }

  @Override
  public String name() {
    return "delete";
  }

  @Override
  public String description() {
    return "Removes the files that a url left, unless another url refers to them.";
  }

  @Override
  public Operands operands() {
    return Operands.several("URL", "whose files to remove");
  }

  @Override
  public Options options() {
    return OwnerOptions.addTo(PlaceOptions.addTo(new Options()).addOption(JSON));
  }

  @Override
  public int run(Arguments arguments) throws Exception {
    PlaceOptions place = new PlaceOptions(arguments);
    boolean json = arguments.flag(JSON);
    try (Fetcher fetcher = place.open(new OwnerOptions(arguments))) {
      for (String url : arguments.operands()) {
        Fetcher.DeleteResult result = fetcher.delete(url, place.type(), place.dir());
        if (json) {
          out.println(JsonLine.of(result));
        } else {
          result.deleted().forEach(path -> out.println("deleted " + path));
          result.kept().forEach(kept -> out.println("kept " + kept.path() + ": " + kept.reason()));
        }
      }
      return 0;
    }
  }
}
