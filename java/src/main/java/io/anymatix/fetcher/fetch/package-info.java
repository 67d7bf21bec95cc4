/** One download from request to result, in order. */
@org.jspecify.annotations.NullMarked
package io.anymatix.fetcher.fetch;
