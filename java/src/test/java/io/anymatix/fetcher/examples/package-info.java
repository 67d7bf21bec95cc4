/** The recorded examples of the repository, held to the program as it is. */
@org.jspecify.annotations.NullMarked
package io.anymatix.fetcher.examples;
