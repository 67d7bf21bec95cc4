package io.anymatix.fetcher.fetch;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What a caller asks for; the parameters of the RPC method {@code fetch}, in the protocol's order.
 *
 * @param url what to fetch, exactly as the workflow has it
 * @param type a model type or a key of ComfyUI's folder table
 * @param dir an absolute folder inside a root; wins over {@code type}
 * @param auth a query tail that enters the effective url
 * @param sha256 the hash that the file must have; outranks the source's
 * @param name a plain name laid beside the hash-named file
 * @param mirrors other urls of the same bytes
 * @param fileId the source's own id of the wanted file
 * @param connections connections at most for this file
 */
public record FetchRequest(
    @Nullable String url,
    @Nullable String type,
    @Nullable String dir,
    @Nullable String auth,
    @Nullable String sha256,
    @Nullable String name,
    @Nullable List<String> mirrors,
    @Nullable String fileId,
    @Nullable Integer connections) {}
