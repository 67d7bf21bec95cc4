/** Servers that misbehave on purpose, and the real process to try them on. */
@org.jspecify.annotations.NullMarked
package io.anymatix.fetcher.testing;
