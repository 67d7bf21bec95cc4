package io.anymatix.fetcher.cli;

import io.anymatix.fetcher.content.Redactor;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.LocalTime;
import java.time.ZoneId;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;

/**
 * Logs to stderr, one line an event, every text redacted. It is the platform's own log, set up in
 * code: it is there long before a larger one would be, and no configuration file is read.
 */
public final class LogSetup {
  private static final String CONFIGURATION_CLASS = "java.util.logging.config.class";
  private static final String OURS = "io.anymatix.fetcher";

  /** Libraries that put parameters or header fields into their debug lines. */
  private static final String[] TALKATIVE = {
    "org.apache.hc", "com.googlecode.jsonrpc4j", "org.jline", "io.github.resilience4j"
  };

  /** Loggers with a level of their own, which they lose when nobody holds them. */
  private static final List<Logger> HELD = new ArrayList<>();

  /** What the platform's log does in place of reading its configuration. */
  public LogSetup() {
    Logger root = Logger.getLogger("");
    root.setLevel(Level.INFO);
    root.addHandler(new StderrHandler());
    hold(OURS, Level.INFO);
    for (String library : TALKATIVE) {
      hold(library, Level.WARNING);
    }
  }

  /** To be called before anything asks for a logger. */
  public static void install() {
    System.setProperty(CONFIGURATION_CLASS, LogSetup.class.getName());
  }

  /** Changes the level of our own log; an unknown name leaves it at info. */
  static void setLevel(String name) {
    Logger.getLogger(OURS)
        .setLevel(
            switch (name.toLowerCase(Locale.ROOT)) {
              case "trace" -> Level.FINEST;
              case "debug" -> Level.FINE;
              case "warn" -> Level.WARNING;
              case "error" -> Level.SEVERE;
              case "off" -> Level.OFF;
              default -> Level.INFO;
            });
  }

  private static void hold(String name, Level level) {
    Logger logger = Logger.getLogger(name);
    logger.setLevel(level);
    HELD.add(logger);
  }

  private static final class StderrHandler extends Handler {
    private final PrintStream stderr =
        new PrintStream(new FileOutputStream(FileDescriptor.err), true, StandardCharsets.UTF_8);

    @Override
    public void publish(LogRecord event) {
      LocalTime time = LocalTime.ofInstant(event.getInstant(), ZoneId.systemDefault());
      StringBuilder line = new StringBuilder();
      line.append(time.truncatedTo(ChronoUnit.MILLIS)).append(' ').append(name(event.getLevel()));
      line.append(' ').append(oneLine(event.getMessage()));
      for (Throwable cause = event.getThrown(); cause != null; cause = cause.getCause()) {
        line.append("; ").append(cause.getClass().getName());
        if (cause.getMessage() != null) {
          line.append(": ").append(oneLine(cause.getMessage()));
        }
        StackTraceElement[] frames = cause.getStackTrace();
        if (frames.length > 0) {
          line.append(" (").append(frames[0]).append(')');
        }
      }
      stderr.println(line);
    }

    private static String name(Level level) {
      int value = level.intValue();
      if (value >= Level.SEVERE.intValue()) {
        return "ERROR";
      }
      if (value >= Level.WARNING.intValue()) {
        return "WARN";
      }
      if (value >= Level.INFO.intValue()) {
        return "INFO";
      }
      return value >= Level.FINE.intValue() ? "DEBUG" : "TRACE";
    }

    private static String oneLine(String text) {
      return Redactor.text(String.valueOf(text)).replace("\n", "\\n");
    }

    @Override
    public void flush() {
      stderr.flush();
    }

    @Override
    public void close() {
      // Standard error stays open: others write to it, too.
    }
  }
}
