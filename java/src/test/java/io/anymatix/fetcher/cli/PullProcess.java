package io.anymatix.fetcher.cli;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.anymatix.fetcher.Main;
import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** {@code pull} as a process of its own, without a terminal, with a models folder of its own. */
final class PullProcess {
  private static final long PATIENCE_SECONDS = 100;

  /** What is handed on of this process's environment. */
  private static final List<String> PLATFORM = List.of("PATH", "Path", "SystemRoot", "TEMP");

  final Path home;
  final Path models;
  private final Map<String, String> environment = new HashMap<>();
  private final List<String> jvmFlags = new ArrayList<>();

  /** What a run left. */
  record Run(int exitCode, List<String> out, String err) {}

  PullProcess(Path home) throws IOException {
    this.home = home;
    this.models = Files.createDirectories(home.resolve("models")).toRealPath();
  }

  /** Sets a variable of its environment. */
  PullProcess environment(String name, String value) {
    environment.put(name, value);
    return this;
  }

  /** Adds a flag of its Java. */
  PullProcess jvmFlag(String flag) {
    jvmFlags.add(flag);
    return this;
  }

  Process start(String... arguments) throws IOException {
    List<String> command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Duser.home=" + home,
                "-XX:TieredStopAtLevel=1"));
    command.addAll(jvmFlags);
    command.addAll(
        List.of(
            "-cp",
            System.getProperty("java.class.path"),
            Main.class.getName(),
            "pull",
            "--models-dir",
            models.toString()));
    command.addAll(List.of(arguments));
    ProcessBuilder builder = new ProcessBuilder(command);
    builder.environment().keySet().retainAll(PLATFORM);
    builder.environment().putAll(environment);
    builder
        .redirectOutput(home.resolve("out").toFile())
        .redirectError(home.resolve("err").toFile());
    return builder.start();
  }

  Run run(String... arguments) throws IOException, InterruptedException {
    return end(start(arguments));
  }

  /** What a process leaves, once it has ended. */
  Run end(Process process) throws IOException, InterruptedException {
    assertTrue(process.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS), this::errors);
    return new Run(process.exitValue(), Files.readAllLines(home.resolve("out")), errors());
  }

  /** What it has told on stderr so far. */
  String errors() {
    try {
      return Files.readString(home.resolve("err"));
    } catch (IOException e) {
      return e.toString();
    }
  }

  /** Writes a list of this name. */
  String list(String name, String... lines) throws IOException {
    return Files.write(home.resolve(name), List.of(lines)).toString();
  }

  /** Every file below the models folder; of those that come and go meanwhile, some. */
  List<Path> files() throws IOException {
    List<Path> files = new ArrayList<>();
    Files.walkFileTree(
        models,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
            files.add(file);
            return FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult visitFileFailed(Path file, IOException failure) {
            return FileVisitResult.CONTINUE;
          }
        });
    files.sort(null);
    return files;
  }
}
