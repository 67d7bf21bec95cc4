/** What is particular to each site that serves models. */
@org.jspecify.annotations.NullMarked
package io.anymatix.fetcher.source;
