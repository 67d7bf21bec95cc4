package io.anymatix.fetcher.cli;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.spi.Configurator;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.AppenderBase;
import ch.qos.logback.core.spi.ContextAwareBase;
import io.anymatix.fetcher.content.Redactor;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.LocalTime;
import java.time.ZoneId;
import java.time.temporal.ChronoUnit;

/**
 * Logs to stderr, one line an event, every text redacted. Set up in code: reading a configuration
 * file would double the time to the first answer.
 */
public final class LogSetup extends ContextAwareBase implements Configurator {
  private static final Level DEFAULT_LEVEL = Level.INFO;

  /** Libraries that put parameters or header fields into their debug lines. */
  private static final String[] TALKATIVE = {
    "org.apache.hc", "com.googlecode.jsonrpc4j", "org.jline", "io.github.resilience4j"
  };

  @Override
  public ExecutionStatus configure(LoggerContext context) {
    StderrAppender appender = new StderrAppender();
    appender.setContext(context);
    appender.start();
    Logger root = context.getLogger(org.slf4j.Logger.ROOT_LOGGER_NAME);
    root.setLevel(DEFAULT_LEVEL);
    root.addAppender(appender);
    for (String library : TALKATIVE) {
      context.getLogger(library).setLevel(Level.WARN);
    }
    return ExecutionStatus.DO_NOT_INVOKE_NEXT_IF_ANY;
  }

  /** Changes the level of our own log; an unknown name leaves it at info. */
  static void setLevel(String name) {
    Logger ours = (Logger) org.slf4j.LoggerFactory.getLogger("io.anymatix.fetcher");
    ours.setLevel(Level.toLevel(name, DEFAULT_LEVEL));
  }

  private static final class StderrAppender extends AppenderBase<ILoggingEvent> {
    private final PrintStream stderr =
        new PrintStream(
            new java.io.FileOutputStream(java.io.FileDescriptor.err), true, StandardCharsets.UTF_8);

    @Override
    protected void append(ILoggingEvent event) {
      LocalTime time =
          LocalTime.ofInstant(Instant.ofEpochMilli(event.getTimeStamp()), ZoneId.systemDefault());
      StringBuilder line = new StringBuilder();
      line.append(time.truncatedTo(ChronoUnit.MILLIS)).append(' ').append(event.getLevel());
      line.append(' ').append(Redactor.text(event.getFormattedMessage()).replace("\n", "\\n"));
      for (var cause = event.getThrowableProxy(); cause != null; cause = cause.getCause()) {
        line.append("; ").append(cause.getClassName());
        if (cause.getMessage() != null) {
          line.append(": ").append(Redactor.text(cause.getMessage()).replace("\n", "\\n"));
        }
        var frames = cause.getStackTraceElementProxyArray();
        if (frames.length > 0) {
          line.append(" (").append(frames[0]).append(')');
        }
      }
      stderr.println(line);
    }
  }
}
