/** The command line, the console and the demonstration. */
@org.jspecify.annotations.NullMarked
package io.anymatix.fetcher.cli;
