/** What the owner of the process decided when it was started. */
@org.jspecify.annotations.NullMarked
package io.anymatix.fetcher.config;
