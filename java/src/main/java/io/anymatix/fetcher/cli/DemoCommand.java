package io.anymatix.fetcher.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.commons.cli.Option;
import org.apache.commons.cli.Options;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Shows the main job without a network; see {@link Demo}. */
final class DemoCommand implements Command {
  private static final Logger log = LoggerFactory.getLogger(DemoCommand.class);

  private static final long CHILD_PATIENCE_SECONDS = 5;

  private static final Option KEEP =
      Command.flag("keep", "keep the temporary folder with the models");

  private final PrintWriter out;

  DemoCommand(PrintWriter out) {
    this.out = out;
  }

  @Override
  public String name() {
    return "demo";
  }

  @Override
  public String description() {
    return "Shows downloads, a resume after a kill and the files left, with a server of its own.";
  }

  @Override
  public Options options() {
    return new Options().addOption(KEEP);
  }

  @Override
  public int run(Arguments arguments) throws IOException, InterruptedException {
    boolean keep = arguments.flag(KEEP);
    Path folder = Files.createTempDirectory("anymatix-fetcher-demo-").toRealPath();
    Thread removal = new Thread(() -> removeQuietly(folder), "demo-removal");
    if (!keep) {
      Runtime.getRuntime().addShutdownHook(removal);
    }
    try (Screen screen = Screen.ofOutput(out)) {
      boolean held = new Demo(screen, Demo.Sizes.FULL).run(folder);
      if (keep) {
        screen.line("The files are kept in " + folder);
      }
      return held ? 0 : Cli.EXIT_DEFECT;
    }
  }

  private static void awaitEnd(ProcessHandle child) {
    try {
      child.onExit().get(CHILD_PATIENCE_SECONDS, TimeUnit.SECONDS);
    } catch (ExecutionException | TimeoutException e) {
      // What it holds open can not be removed everywhere; the removal tells.
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private static void removeQuietly(Path folder) {
    try {
      // At Ctrl-C the sidecar process ends at the same time, and writes until then.
      ProcessHandle.current().children().forEach(DemoCommand::awaitEnd);
      Demo.remove(folder);
    } catch (IOException e) {
      log.warn("The folder {} could not be removed: {}", folder, e.getMessage());
    }
  }
}
