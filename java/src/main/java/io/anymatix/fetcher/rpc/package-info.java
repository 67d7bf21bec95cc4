/** JSON-RPC 2.0 over the standard streams. */
@org.jspecify.annotations.NullMarked
package io.anymatix.fetcher.rpc;
