/** Brings the bytes of a remote file into a part file, over many connections. */
@org.jspecify.annotations.NullMarked
package io.anymatix.fetcher.transfer;
