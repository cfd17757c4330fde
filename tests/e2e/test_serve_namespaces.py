"""`sluice serve --cloudflare`: namespaces, their titles and pages."""

import unittest

from served_api import ApiTest


class Namespaces(ApiTest):
    def test_create_get_rename_delete(self):
        made = self.api.result("POST", "", {"title": "one ü"})
        self.assertEqual(made["title"], "one ü")
        self.assertRegex(made["id"], "^[0-9a-f]{32}$")
        self.assertIs(made["supports_url_encoding"], True)
        self.assertEqual(self.api.result("GET", f"/{made['id']}"), made)
        self.assert_refused(self.api.kv("POST", "", {"title": "one ü"}), 400, 10014)
        self.api.put(made["id"], "key", b"kept")
        self.assert_success(self.api.kv("PUT", f"/{made['id']}", {"title": "two"}))
        self.assertEqual(self.api.result("GET", f"/{made['id']}")["title"], "two")
        self.assertEqual(self.api.get(made["id"], "key"), b"kept")
        self.assert_refused(self.api.kv("PUT", f"/{made['id']}", {"title": "test"}), 400, 10014)
        self.assert_success(self.api.kv("DELETE", f"/{made['id']}"))
        for method, path, body in [("GET", "", None), ("DELETE", "", None), ("PUT", "", {"title": "x"}),
                                   ("GET", "/keys", None), ("GET", "/values/key", None),
                                   ("PUT", "/values/key", b"x"), ("DELETE", "/values/key", None),
                                   ("GET", "/metadata/key", None), ("PUT", "/bulk", [{"key": "a", "value": "b"}]),
                                   ("POST", "/bulk/delete", ["a"]), ("DELETE", "/bulk", ["a"]),
                                   ("POST", "/bulk/get", {"keys": ["a"]})]:
            with self.subTest(method=method, path=path):
                self.assert_refused(self.api.kv(method, f"/{made['id']}{path}", body), 404, 10013)

    def test_titles(self):
        self.assertEqual(self.api.result("POST", "", {"title": "t" * 512})["title"], "t" * 512)
        for title in ("", "t" * 513, None, 5, ["x"]):
            with self.subTest(title=title):
                self.assert_refused(self.api.kv("POST", "", {"title": title}), 400)
                self.assert_refused(self.api.kv("PUT", f"/{self.space}", {"title": title}), 400)

    def test_pages(self):
        before = {item["title"] for item in self.api.result("GET", "?per_page=1000")}
        made = {f"space {i:02}" for i in range(45)}
        for title in made:
            self.api.create(title)
        everything = made | before
        for query, size in [("", 20), ("per_page=7", 7), ("per_page=1000", 1000),
                            ("per_page=10&order=title&direction=asc", 10), ("order=id&direction=desc", 20)]:
            with self.subTest(query=query):
                found, page = [], 1
                while True:
                    document = self.assert_success(self.api.kv("GET", f"?{query}&page={page}"))
                    info, items = document["result_info"], document["result"]
                    self.assertEqual((info["page"], info["per_page"], info["count"], info["total_count"]),
                                     (page, size, len(items), len(everything)))
                    if not items:  # how wrangler sees the end
                        break
                    self.assertLessEqual(len(items), size)
                    found += items
                    page += 1
                self.assertEqual(len(found), len(everything))
                self.assertEqual({item["title"] for item in found}, everything)
                by = "title" if "order=title" in query else "id"
                if "order" in query:
                    listed = [item[by] for item in found]
                    self.assertEqual(listed, sorted(listed, reverse="desc" in query))
        for query in ("page=0", "page=x", "page=-1", "per_page=0", "per_page=1001", "per_page=x", "order=size",
                      "direction=up"):
            with self.subTest(query=query):
                self.assert_refused(self.api.kv("GET", f"?{query}"), 400)


if __name__ == "__main__":
    unittest.main()
