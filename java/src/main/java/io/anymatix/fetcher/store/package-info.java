/** Hash-named model files and their JSON sidecar files on disk. */
@org.jspecify.annotations.NullMarked
package io.anymatix.fetcher.store;
