/** Every way a download can fail, and what the caller is told about it. */
@org.jspecify.annotations.NullMarked
package io.anymatix.fetcher.failure;
