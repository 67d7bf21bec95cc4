package io.anymatix.fetcher.cli;

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

/** Removes what urls left in the store. */
@Command(
    name = "delete",
    description = "Removes the files that a url left, unless another url refers to them.",
    mixinStandardHelpOptions = true)
@SuppressWarnings("NullAway.Init") // picocli fills the fields
final class DeleteCommand implements Callable<Integer> {
  @Spec CommandSpec spec;
  @Mixin OwnerOptions options;
  @Mixin PlaceOptions place;

  @Parameters(arity = "1..*", paramLabel = "URL", description = "whose files to remove")
  List<String> urls;

  @Option(names = "--json", description = "print JSON, one result a line")
  boolean json;

  private final PrintWriter out;

  DeleteCommand(PrintWriter out) {
    this.out = out;
  }

  @Override
  public Integer call() throws Exception {
    try (Fetcher fetcher = place.open(options, spec.commandLine())) {
      for (String url : urls) {
        Fetcher.DeleteResult result = fetcher.delete(url, place.type, place.dir());
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
