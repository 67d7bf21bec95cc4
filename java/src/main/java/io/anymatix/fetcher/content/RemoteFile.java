package io.anymatix.fetcher.content;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A file at a source, resolved to the address that its bytes come from.
 *
 * @param source name of the source
 * @param location the address after all redirects; often signed and short-lived
 * @param credentials header fields for that address, empty if it is of another origin
 * @param lengthBytes length of the file; null if nobody says
 * @param rangesProven whether that address answered a range with exactly those bytes
 * @param rangeEvidence what it answered, in a few words
 * @param httpVersion {@code HTTP/1.1} or {@code HTTP/2}
 * @param validator what identifies the representation at that address
 * @param sha256 the hash that the source itself states
 * @param contentDisposition the field of the last answer, its bytes as Latin-1
 * @param metadata what the source tells about the model
 */
public record RemoteFile(
    String source,
    HttpUrl location,
    Map<String, String> credentials,
    @Nullable Long lengthBytes,
    boolean rangesProven,
    String rangeEvidence,
    String httpVersion,
    Validator validator,
    @Nullable Sha256 sha256,
    @Nullable String contentDisposition,
    @Nullable JsonNode metadata) {}
