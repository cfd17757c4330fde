"""Caches are purged of exactly what was named, once, and a failure is told as one."""

import json
import os
import signal
import socket
import time
import unittest

from harness import (DONE, ESCAPE, FAILED, INTERRUPTED, NOT_FOUND, PATIENCE, SOME_FAILED,
                     UNAUTHORIZED)
from purge_case import Purges


class Zones(Purges):
    flags = tuple(flag for i in range(120) for flag in ("--zone", f"zone-{i:03}.test=" + ("free" if i == 119 else "pro" if i == 0 else "")))

    def test_lists_all_pages(self):
        listed = [json.loads(line) for line in self.sluice("zones", "list", "--json",
                                                           env=self.env).lines()]
        self.assertEqual(len(listed), 124)
        self.assertEqual([zone["name"] for zone in listed], sorted(zone["name"] for zone in listed))
        self.assertEqual(listed[-1]["plan"], "free")
        self.assertEqual(listed[0]["account"]["id"], self.fake.account)
        self.assertEqual(self.calls("GET zones"), 3)  # 50 a page, and none for an empty one
        named = self.sluice("zones", "list", "--name", "EXAMPLE", env=self.env).text
        self.assertEqual(named.count("example"), 3)

    def test_gets_one_by_name_and_by_id(self):
        zone = self.sluice("zones", "get", "Example.com", "--json", env=self.env).json()
        self.assertEqual((zone["name"], zone["status"]), ("example.com", "active"))
        again = self.sluice("zones", "get", zone["id"], "--json", env=self.env).json()
        self.assertEqual(again, zone)
        self.refused("zones", "get", "nowhere.test", env=self.env, code=NOT_FOUND,
                     mentions="zones list")
        self.refused("zones", "get", "0" * 32, env=self.env, code=NOT_FOUND)

    def test_purges_all_zones(self):
        result = self.purge("tags", "a", "--all-zones", "--json").json()
        self.assertEqual((result["items"], result["purged"], len(result["zones"])), (124, 124, 124))
        self.assertEqual(self.purged("zone-119.test"), ["a"])

    def test_many_hosts_take_a_listing_and_not_a_look_up_each(self):
        hosts = [f"www.zone-{i:03}.test" for i in range(120)]
        self.purge("hosts", ",".join(hosts))
        self.assertEqual(self.calls("GET zones"), 3)
        self.assertEqual(self.calls(), 120)


class Items(Purges):
    def test_arguments_and_lists_each_once(self):
        result = self.purge("tags", "--zone", "example.com", "a,b", "c", "a", "--json")
        self.assertEqual(sorted(self.purged()), ["a", "b", "c"])
        found = result.json()
        self.assertEqual((found["items"], found["duplicates"], found["purged"], found["failed"]),
                         (3, 1, 3, 0))
        self.assertEqual(found["zones"][0]["requests"], 1)
        self.assertIn("purged 3 of 3 tags", result.complaint)

    def test_batches_of_a_hundred_in_several_zones(self):
        tags = [f"tag-{i}" for i in range(250)]
        path = self.file("tags.txt", "\n".join(tags) + "\n")
        self.purge("tags", "--zone", "example.com,example.org", "--zone", "other.test", "--from",
                   path)
        self.assertEqual(self.calls(), 9)
        for zone in ("example.com", "example.org", "other.test"):
            self.assertEqual(sorted(self.purged(zone)), sorted(tags))
        self.fake.reset()
        self.purge("tags", "--zone", "example.com", "--from", path, "--batch-size", "50")
        self.assertEqual(self.calls(), 5)

    def test_files_of_every_format(self):
        wanted = ["a", "b-1", "c"]
        texts = {
            "list.txt": "a\r\nb-1\n\nc", "unnamed": "a\nb-1\nc\n",
            "list.csv": "id,tag\n1,a\n2,b-1\n3,c\n",
            "list.json": '["a", {"tag": "b-1", "x": [1]}, {"tag": ["c"]}]',
            "list.ndjson": '{"tag":"a"}\n"b-1"\n{"key":"c","code":"x","error":"y"}\n',
        }
        for name, text in texts.items():
            with self.subTest(name=name):
                self.fake.ask("POST", "/__control/purged", b"")
                self.purge("tags", "--zone", "example.com", "--from", self.file(name, text))
                self.assertEqual(sorted(self.purged()), wanted)
        choices = [
            ("named.csv", "Tag;x,Label\n1,a\n2,b-1\n3,c\n", ["--column", "label"]),
            ("number.csv", "1,a\n2,b-1\n3,c\n", ["--column", "2"]),
            ("field.json", '[{"x":"a"},{"x":["b-1","c"]}]', ["--field", "x"]),
            ("nul.txt", "a\0b-1\0c", ["-0"]),
            ("strange.log", '"a"\n"b-1"\n"c"\n', ["--format", "ndjson"]),
        ]
        for name, text, flags in choices:
            with self.subTest(name=name):
                self.fake.ask("POST", "/__control/purged", b"")
                self.purge("tags", "--zone", "example.com", "--from", self.file(name, text), *flags)
                self.assertEqual(sorted(self.purged()), wanted)
        self.fake.ask("POST", "/__control/purged", b"")
        self.purge("tags", "--zone", "example.com", "--from", "-", stdin="a\nb-1,c\n")
        self.assertEqual(sorted(self.purged()), wanted)

    def test_a_file_with_a_mistake_purges_nothing(self):
        for name, text, words in (
                ("bad.csv", "name,x\na,1\n", "--column"), ("bad.json", '["a", 7]', "byte"),
                ("cut.json", '["a", "b"', "truncated"), ("bad.ndjson", '"a"\n{"x":1}\n', "line 2"),
                ("bad.txt", "a\nt\xe4g\n", "printable")):
            with self.subTest(name=name):
                self.refused("purge", "tags", "--zone", "example.com", "--from",
                             self.file(name, text), env=self.env, mentions=words)
        self.refused("purge", "tags", "--zone", "example.com", "x" * 1025, env=self.env)
        self.refused("purge", "hosts", "https://www.example.com", env=self.env)
        self.refused("purge", "prefixes", "https://www.example.com/a", env=self.env,
                     mentions="scheme")
        self.refused("purge", "files", "/logo.png", env=self.env, mentions="https://")
        self.refused("purge", "files", env=self.env, mentions="--from")
        self.refused("purge", "tags", "a", env=self.env, mentions="--zone")
        self.refused("purge", "tags", "a", "--zone", "nowhere.test", env=self.env, code=NOT_FOUND)
        self.nothing_purged()

    def test_a_list_that_holds_nothing_is_told(self):
        empty, blank = self.file("empty.txt", ""), self.file("blank.txt", "\n\n")
        for flags in ((), ("--dry-run",)):
            result = self.purge("tags", "--zone", "example.com", "--from", empty, "--from", blank,
                                "--json", *flags)
            self.assertIn("empty.txt", result.complaint)
            self.assertIn("blank.txt hold no tags: there is nothing to purge", result.complaint)
            self.assertEqual((result.json()["items"], result.json()["purged"]), (0, 0))
        self.nothing_purged()

    def test_one_is_told_as_one(self):
        told = self.purge("tags", "a", "--zone", "example.com").complaint
        self.assertRegex(told, r"purged 1 of 1 tag of example\.com, in .*; [2-9] requests, ")
        told = self.purge("everything", "--zone", self.zone_id(), "--yes").complaint
        self.assertRegex(told, r"purged everything of 1 of 1 zone, in ")
        told = self.purge("tags", "a", "--zone", self.zone_id()).complaint
        self.assertRegex(told, r"; 1 request, ")

    def test_files_find_their_zone(self):
        self.purge("files", "https://a.b.shop.example.net/x,y?z=1", "http://WWW.Example.com:8080/",
                   "https://example.org")
        self.assertEqual(self.purged("shop.example.net", "files"),
                         ["https://a.b.shop.example.net/x,y?z=1"])
        self.assertEqual(self.purged("example.com", "files"), ["http://WWW.Example.com:8080/"])
        self.assertEqual(self.purged("example.org", "files"), ["https://example.org"])
        self.assertEqual(self.calls("GET zones"), 1)
        self.purge("prefixes", "www.example.com/a,img.example.com")
        self.assertEqual(sorted(self.purged(kind="prefixes")),
                         ["img.example.com", "www.example.com/a"])
        self.refused("purge", "files", "https://example.com/", "https://www.nowhere.test/",
                     env=self.env, code=NOT_FOUND, mentions="www.nowhere.test")

    def test_variants_of_files(self):
        items = self.file("files.json", json.dumps([
            "https://example.com/a",
            {"url": "https://example.com/b", "headers": {"Accept-Language": "de"}}]))
        self.purge("files", "--from", items, "--header", "CF-Device-Type: mobile")
        self.assertEqual(sorted(map(json.dumps, self.purged(kind="files"))), sorted(map(json.dumps, [
            {"url": "https://example.com/a", "headers": {"CF-Device-Type": "mobile"}},
            {"url": "https://example.com/b",
             "headers": {"Accept-Language": "de", "CF-Device-Type": "mobile"}}])))
        self.refused("purge", "files", "https://example.com/", "--header", "nonsense", env=self.env)

    def test_five_hundred_files_a_call_on_enterprise(self):
        path = self.file("urls", "".join(f"https://example.com/{i}\n" for i in range(1001)))
        self.purge("files", "--from", path)
        self.assertEqual(self.calls(), 3)
        self.fake.reset()
        self.purge("files", "--from", path, "--plan", "business")
        self.assertEqual(self.calls(), 11)

    def test_an_id_needs_no_look_up(self):
        zone = self.zone_id()
        self.fake.reset()
        self.purge("tags", "a", "--zone", zone)
        self.env["CLOUDFLARE_ZONE_ID"] = zone
        self.purge("tags", "b")
        self.purge("files", "https://elsewhere.test/")
        self.assertEqual(self.calls("GET zones") + self.calls("GET zone"), 0)
        self.assertEqual(self.purged(), ["a", "b"])
        self.purge("tags", "c", "--zone", "example.org")  # a flag goes before the environment
        self.assertEqual(self.purged("example.org"), ["c"])

    def test_dry_run_sends_nothing_that_changes(self):
        path = self.file("tags", "".join(f"t{i}\n" for i in range(201)))
        result = self.purge("tags", "--zone", "example.com,example.org", "--from", path, "-n",
                            "--json")
        found = result.json()
        self.assertEqual((found["dry_run"], found["items"], found["purged"]), (True, 402, 0))
        self.assertEqual([zone["requests"] for zone in found["zones"]], [3, 3])
        self.assertIn("would purge 201 tags of zone example.com in 3 calls", result.complaint)
        self.purge("everything", "--all-zones", "-n")
        self.nothing_purged()


class Everything(Purges):
    def test_without_a_terminal_it_needs_yes(self):
        self.refused("purge", "everything", "--zone", "example.com", env=self.env, mentions="--yes")
        self.refused("purge", "everything", "--yes", env=self.env, mentions="--zone")
        self.nothing_purged()
        self.purge("everything", "--zone", "example.com", "--yes")
        self.assertEqual(self.purged(kind="everything"), 1)

    def test_asks_and_names_the_zones(self):
        zone = self.zone_id("example.org")
        shown = self.on_terminal("purge", "everything", "--zone", f"example.com,{zone}",
                                 answers=[(b"?", b"n\n")], env=self.env)
        self.assertEqual(shown.code, FAILED, str(shown))
        self.assertIn(b"example.com, example.org", shown.err)
        self.nothing_purged()
        shown = self.on_terminal("purge", "everything", "--zone", "example.com", "-i", "--yes",
                                 answers=[(b"?", b"y\n")], env=self.env)
        self.assertEqual(shown.code, DONE, str(shown))
        self.assertEqual(self.purged(kind="everything"), 1)

    def test_one_zone_that_refuses_does_not_keep_the_others(self):
        self.fake.faults(script=[{"route": "POST purge_cache", "nth": 1, "fault": "403"}])
        result = self.purge("everything", "--zone", "example.com,example.org", "--yes", "--json",
                            "--concurrency", "1", code=SOME_FAILED)
        zones = result.json()["zones"]
        self.assertEqual([zone["purged"] for zone in zones], [0, 1])
        self.assertEqual(zones[0]["error"]["code"], "unauthorized")
        self.assertIn("Cache Purge", result.complaint)


class Failures(Purges):
    def write(self, count=120, bad=()):
        return self.file("tags", "".join(f"t{i}-{'bad' if i in bad else 'good'}\n"
                                         for i in range(count)))

    def test_a_failure_in_an_answer_of_200_is_one(self):
        self.fake.faults(rates={"success_false": 100}, routes=["POST purge_cache"])
        result = self.purge("tags", "a", "b", "--zone", "example.com", "--json", code=SOME_FAILED)
        self.assertEqual((result.json()["purged"], result.json()["failed"]), (0, 2))
        self.assertFalse(result.json()["complete"])
        self.assertEqual(self.purged(), [])

    def test_passing_failures_are_tried_again(self):
        for fault in ("429", "429_html", "500", "503", "524", "success_false", "malformed",
                      "cut_before", "cut_after", "cut_middle"):
            with self.subTest(fault=fault):
                self.fake.ask("POST", "/__control/purged", b"")
                self.fake.faults(script=[{"route": "POST purge_cache", "nth": 1, "fault": fault}])
                self.purge("tags", "a", "--zone", "example.com")
                self.assertIn("a", self.purged())
        self.assertEqual(self.fake.stats()["during_retry_after"], 0)

    def test_the_items_that_are_refused_are_found_and_told(self):
        self.fake.faults(fail_items=["-bad"])
        path = self.write(bad=(7, 77, 110))
        result = self.purge("tags", "--zone", "example.com,example.org", "--from", path, "--json",
                            code=SOME_FAILED)
        found = result.json()
        self.assertEqual((found["items"], found["purged"], found["failed"]), (240, 234, 6))
        self.assertEqual([zone["failed"] for zone in found["zones"]], [3, 3])
        self.assertIn("please check the values", found["reasons"][0]["error"])
        for zone in ("example.com", "example.org"):
            self.assertEqual(len(set(self.purged(zone))), 117)
        # What was not purged is purged by the command that is told, and nothing else is.
        self.fake.faults()
        self.fake.ask("POST", "/__control/purged", b"")
        told = result.complaint.split("Purge just that with: sluice ")[1].split("\n")[0]
        self.purge(*told.split()[1:])
        self.assertEqual(sorted(self.purged()), ["t110-bad", "t7-bad", "t77-bad"])

    def test_credentials_that_may_not_end_the_zone(self):
        self.fake.faults(rates={"403": 100}, routes=["POST purge_cache"])
        result = self.purge("tags", "--zone", "example.com", "--from", self.write(), "--json",
                            code=UNAUTHORIZED)
        self.assertEqual(result.json()["failed"], 120)
        self.assertLessEqual(self.calls(), 2)
        with open(result.json()["failed_items_file"], encoding="utf-8") as file:
            self.assertEqual(len(file.readlines()), 120)

    def test_failures_go_where_they_are_told_to(self):
        self.fake.faults(fail_items=["-bad"])
        path = self.folder / "not purged"
        self.purge("tags", "--zone", "example.com", "--from", self.write(3, (1,)), "--failures",
                   path, code=SOME_FAILED)
        self.assertEqual(json.loads(path.read_text())["key"], "t1-bad")
        self.refused("purge", "tags", "--zone", "example.com", "--from", path, "--failures", path,
                     env=self.env)


class Unreachable(Purges):
    zones = ("example.com=free",)

    def setUp(self):
        super().setUp()
        self.zone = self.zone_id()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.away = self.env | {
                "CLOUDFLARE_API_BASE_URL": f"http://127.0.0.1:{free.getsockname()[1]}/client/v4"}

    def test_it_is_said_while_it_waits_and_at_the_end(self):
        """A plan of 24 calls at once, then 5 a minute: attempts that reach nobody spend none."""
        path = self.file("tags", "".join(f"t{i}\n" for i in range(30)))
        run = self.start("purge", "tags", "--zone", self.zone, "--plan", "free", "--batch-size", "1",
                         "--from", path, "--progress", "bar", env=self.away)
        shown = b""
        while b"trying again: 127.0.0.1" not in shown:
            piece = os.read(run.process.stderr.fileno(), 65536)
            self.assertTrue(piece, shown)
            shown += piece
        run.send(signal.SIGINT)
        result = run.end()
        self.assertEqual(result.code, INTERRUPTED, str(result))
        told = ESCAPE.sub(b"", shown + result.err).decode()
        self.assertNotRegex(told, r"[0-9][smh] left")
        self.assertNotIn("for the rate budget", told)
        self.assertRegex(told, r"interrupted; before that: 127\.0\.0\.1:[0-9]+ could not be reached")

    def test_kv_purge_names_the_cause_too(self):
        self.sluice("kv", "put", "--store", self.store, "--namespace", "p", "--create-namespace",
                    "k", "v", "--metadata", '{"tag":"t"}')
        run = self.start("kv", "purge", "--store", self.store, "--namespace", "p", "k", "--zone",
                         self.zone, "--yes", "--deadline", "6s", env=self.away)
        result = run.end()
        self.assertEqual(result.code, 6, str(result))
        self.assertIn("before that: 127.0.0.1", result.complaint)


class Pace(Purges):
    zones = ("example.com=free", "example.org")

    def test_the_plan_of_the_zone_is_kept(self):
        """Five a minute after a burst: the 25th call of a minute would wait for 12 s."""
        path = self.file("tags", "".join(f"t{i}\n" for i in range(30)))
        run = self.start("purge", "tags", "--zone", "example.com,example.org", "--from", path,
                         "--batch-size", "1", "--progress", "plain", env=self.env)
        deadline = time.monotonic() + PATIENCE
        while len(self.purged("example.org")) < 30 or len(self.purged("example.com")) < 24:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        # The faster zone is not held up, and the slower one is not sent more.
        self.assertLessEqual(len(self.purged("example.com")), 25)
        run.send(signal.SIGINT)
        result = run.end()
        self.assertEqual(result.code, 130, str(result))
        self.assertIn("--zone example.com --from", result.complaint)
        # What is in the bucket is known to the next process, too.
        limited = self.sluice("purge", "tags", "x", "y", "--zone", "example.com", "--deadline",
                              "1s", env=self.env, code=6)
        self.assertNotIn("x", self.purged(), str(limited))
        # --rate takes its place.
        self.purge("tags", "x", "--zone", "example.com", "--rate", "off")
        self.assertIn("x", self.purged())


if __name__ == "__main__":
    unittest.main()
