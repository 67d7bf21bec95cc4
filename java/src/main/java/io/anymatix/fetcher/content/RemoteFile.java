package io.anymatix.fetcher.content;

import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A file at a source, resolved to the address that its bytes come from. A source starts with what
 * the probe of an address told, and adds what it knows itself with the {@code with…} methods.
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
 * @param metadata what the source tells about the model, perhaps later
 * @param fileName the name that the source states in another way than by that field
 * @param delivery how that address hands out the bytes
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
    PendingMetadata metadata,
    @Nullable String fileName,
    Delivery delivery) {

  /** The same with a length, for a server that does not tell it itself. */
  public RemoteFile withLengthBytes(long statedBytes) {
    return new RemoteFile(
        source,
        location,
        credentials,
        statedBytes,
        rangesProven,
        rangeEvidence,
        httpVersion,
        validator,
        sha256,
        contentDisposition,
        metadata,
        fileName,
        delivery);
  }

  /** The same with the hash that the source states; null for none. */
  public RemoteFile withSha256(@Nullable Sha256 stated) {
    return new RemoteFile(
        source,
        location,
        credentials,
        lengthBytes,
        rangesProven,
        rangeEvidence,
        httpVersion,
        validator,
        stated,
        contentDisposition,
        metadata,
        fileName,
        delivery);
  }

  /** The same with the field that names the file; null for none. */
  public RemoteFile withContentDisposition(@Nullable String field) {
    return new RemoteFile(
        source,
        location,
        credentials,
        lengthBytes,
        rangesProven,
        rangeEvidence,
        httpVersion,
        validator,
        sha256,
        field,
        metadata,
        fileName,
        delivery);
  }

  /** The same with what the source tells about the model. */
  public RemoteFile withMetadata(PendingMetadata told) {
    return new RemoteFile(
        source,
        location,
        credentials,
        lengthBytes,
        rangesProven,
        rangeEvidence,
        httpVersion,
        validator,
        sha256,
        contentDisposition,
        told,
        fileName,
        delivery);
  }

  /** The same, asked for with these header fields. */
  public RemoteFile withCredentials(Map<String, String> fields) {
    return new RemoteFile(
        source,
        location,
        fields,
        lengthBytes,
        rangesProven,
        rangeEvidence,
        httpVersion,
        validator,
        sha256,
        contentDisposition,
        metadata,
        fileName,
        delivery);
  }

  /** The same, handed out in another way. */
  public RemoteFile withDelivery(Delivery other) {
    return new RemoteFile(
        source,
        location,
        credentials,
        lengthBytes,
        rangesProven,
        rangeEvidence,
        httpVersion,
        validator,
        sha256,
        contentDisposition,
        metadata,
        fileName,
        other);
  }
}
