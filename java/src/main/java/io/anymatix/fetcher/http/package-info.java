/** All use of the HTTP client: probes, ranges, redirects, network policy. */
@org.jspecify.annotations.NullMarked
package io.anymatix.fetcher.http;
