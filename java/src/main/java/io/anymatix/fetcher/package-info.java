/** The sidecar process: a model downloader for ComfyUI that speaks JSON-RPC on stdin and stdout. */
@org.jspecify.annotations.NullMarked
package io.anymatix.fetcher;
