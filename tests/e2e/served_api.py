"""A server of Cloudflare's KV API with a namespace, for the tests of its calls."""

import urllib.parse

from sluice_server import ServeTest


class ApiTest(ServeTest):
    """A server with a namespace, and the calls that tests make most."""

    def setUp(self):
        super().setUp()
        self.api = self.serve(store=self.store_url())
        self.space = self.api.create("test")

    def store_url(self):
        return "memory:"

    def bulk(self, pairs, **more):
        return self.api.kv("PUT", f"/{self.space}/bulk", pairs, **more)

    def keys(self, query=""):
        return self.assert_success(self.api.kv("GET", f"/{self.space}/keys{query}"))

    def put(self, key, value=b"value", query=""):
        return self.api.kv("PUT", self.api.value_path(self.space, key) + query, value)

    def all_keys(self, query=""):
        """Pages to the end, and requires what a listing promises."""
        names, cursor, pages = [], "", 0
        while True:
            document = self.keys(f"?{query}" + (f"&cursor={urllib.parse.quote(cursor)}" if cursor else ""))
            info = document["result_info"]
            self.assertEqual(info["count"], len(document["result"]))
            names += [item["name"] for item in document["result"]]
            pages += 1
            cursor = info["cursor"]
            if not cursor:
                self.assertEqual(len(names), len(set(names)), "a key is listed twice")
                return names, pages
