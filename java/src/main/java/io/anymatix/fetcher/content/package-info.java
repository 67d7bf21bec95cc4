/** Values without behaviour of their own: ranges, validators, digests, redaction. */
@org.jspecify.annotations.NullMarked
package io.anymatix.fetcher.content;
