"""The test server, asked with the standard library's client."""

from __future__ import annotations

import unittest
import urllib.error
import urllib.request

from range_server import RangeServer
from support import WAIT_SECONDS, InThread, random_bytes

BODY = random_bytes(7, 300_000)


class RangeServerTest(unittest.TestCase):
    def setUp(self) -> None:
        self.server = RangeServer()
        self.server.__enter__()
        self.addCleanup(self.server.__exit__, None, None, None)
        self.url = self.server.serve("/m.bin", BODY)

    def get(self, url: str, **fields: str) -> tuple[int, dict[str, str], bytes]:
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        request = urllib.request.Request(url, headers=headers)
        with opener.open(request, timeout=WAIT_SECONDS) as answer:
            return answer.status, dict(answer.headers), answer.read()

    def test_serves_the_whole_file(self) -> None:
        status, fields, body = self.get(self.url)
        self.assertEqual((status, fields["Accept-Ranges"]), (200, "bytes"))
        self.assertEqual(body, BODY)
        self.assertEqual(self.server.bytes_sent("/m.bin"), len(BODY))

    def test_serves_a_range_and_records_it(self) -> None:
        status, fields, body = self.get(self.url + "?q=1", Range="bytes=100-199")
        self.assertEqual((status, fields["Content-Range"]), (206, "bytes 100-199/300000"))
        self.assertEqual(body, BODY[100:200])
        self.assertEqual(self.server.requests, [("GET", "/m.bin?q=1", "bytes=100-199")])

    def test_serves_an_open_range_and_cuts_one_that_is_too_long(self) -> None:
        self.assertEqual(self.get(self.url, Range="bytes=299990-")[2], BODY[-10:])
        self.assertEqual(self.get(self.url, Range="bytes=299990-999999")[2], BODY[-10:])

    def test_refuses_a_range_past_the_end(self) -> None:
        with self.assertRaises(urllib.error.HTTPError) as refused:
            self.get(self.url, Range="bytes=300000-")
        self.assertEqual(refused.exception.code, 416)
        refused.exception.close()

    def test_a_validator_that_does_not_match_gets_the_whole_file(self) -> None:
        etag = self.get(self.url)[1]["ETag"]
        self.assertEqual(self.get(self.url, Range="bytes=0-0", If_Range=etag)[0], 206)
        self.assertEqual(self.get(self.url, Range="bytes=0-0", If_Range='"other"')[0], 200)

    def test_answers_the_status_it_was_told_and_404_for_the_unknown(self) -> None:
        for url, status in ((self.server.refuse("/no", 403), 403), (self.server.url("/x"), 404)):
            with self.assertRaises(urllib.error.HTTPError) as refused:
                self.get(url)
            self.assertEqual(refused.exception.code, status)
            refused.exception.close()

    def test_holds_a_transfer_until_it_is_released(self) -> None:
        hold = self.server.hold("/m.bin", 100_000)
        download = InThread(lambda: self.get(self.url)[2])
        self.assertTrue(hold.reached.wait(WAIT_SECONDS))
        # Whole chunks of 64 KiB are sent.
        self.assertEqual(self.server.bytes_sent("/m.bin"), 131_072)
        hold.released.set()
        self.assertEqual(download.result(), BODY)


if __name__ == "__main__":
    unittest.main()
