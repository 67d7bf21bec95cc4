#!/usr/bin/env python3
"""Encrypts test files the way Mega does, with the openssl command line and nothing of the project.

Writes beside itself: files.json, one entry a file with its length, link key, encrypted attributes
and the SHA-256 of its plain and its encrypted bytes; and first.encrypted, the encrypted bytes of
the first of them. Byte i of a plain file is (i*131 + (i>>8)*17 + seed) mod 256. The result is
checked in; run this again only to change it.
"""

import base64
import hashlib
import json
import pathlib
import struct
import subprocess

KIB = 1024
FILES = [
    # name, seed, length in bytes; chunks end at 128, 384, 768, 1280 ... KiB
    ("first model \u00fc.safetensors", 1, 390 * KIB + 7),
    ("empty.bin", 2, 0),
    ("one.bin", 3, 1),
    ("block.bin", 4, 16),
    ("chunk.bin", 5, 128 * KIB),
    ("chunk and a byte.bin", 6, 128 * KIB + 1),
    ("odd.bin", 7, 3 * 1024 * KIB + 7),
    ("beyond the largest chunk.bin", 8, 7 * 1024 * KIB + 5),
]


def openssl(cipher, key, iv, data):
    command = ["openssl", "enc", "-e", "-" + cipher, "-K", key.hex(), "-iv", iv.hex(), "-nopad"]
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout


def padded(data):
    return data + bytes(-len(data) % 16)


def plain(seed, length):
    return bytes((i * 131 + (i >> 8) * 17 + seed) & 255 for i in range(length))


def xor(left, right):
    return bytes(a ^ b for a, b in zip(left, right))


def chunks(data):
    start, size = 0, 128 * KIB
    while start < len(data):
        yield data[start : start + size]
        start += size
        size = min(size + 128 * KIB, 1024 * KIB)


def mac(key, nonce, data):
    chained = bytes(16)
    for chunk in chunks(data):
        chunk_mac = openssl("aes-128-cbc", key, nonce + nonce, padded(chunk))[-16:]
        chained = openssl("aes-128-cbc", key, bytes(16), xor(chained, chunk_mac))
    a, b, c, d = struct.unpack(">4I", chained)
    return struct.pack(">2I", a ^ b, c ^ d)


def url_safe(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def main():
    here = pathlib.Path(__file__).parent
    entries = []
    for name, seed, length in FILES:
        material = hashlib.sha256(b"fixture %d" % seed).digest()
        key, nonce = material[:16], material[16:24]
        data = plain(seed, length)
        encrypted = openssl("aes-128-ctr", key, nonce + bytes(8), data)
        tail = nonce + mac(key, nonce, data)
        attributes = b"MEGA" + json.dumps({"n": name}, ensure_ascii=False).encode()
        entries.append(
            {
                "name": name,
                "seed": seed,
                "lengthBytes": length,
                "linkKey": url_safe(xor(key, tail) + tail),
                "attributes": url_safe(
                    openssl("aes-128-cbc", key, bytes(16), padded(attributes))
                ),
                "plainSha256": hashlib.sha256(data).hexdigest(),
                "encryptedSha256": hashlib.sha256(encrypted).hexdigest(),
            }
        )
        if seed == 1:
            (here / "first.encrypted").write_bytes(encrypted)
    (here / "files.json").write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
