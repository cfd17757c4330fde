"""Nothing is deleted that was not asked for, clearly, by somebody who was shown the count."""

import signal
import unittest

from harness import DONE, FAILED, INTERRUPTED, USAGE, SluiceTest, by_key, sample

CHANGES = ("POST bulk/delete", "DELETE bulk", "PUT bulk", "PUT values", "DELETE values",
           "DELETE namespace", "POST namespaces", "PUT namespace")


class DeleteSafety(SluiceTest):
    def setUp(self):
        super().setUp()
        self.fake = self.server()
        self.env = self.fake.environment()
        self.fake.fill("test", sample(25))
        self.there = ["--store", "cloudflare:", "--namespace", "test"]

    def untouched(self):
        self.same(self.fake.entries("test"), by_key(sample(25)))
        requests = self.fake.stats()["requests"]
        self.assertEqual([route for route in CHANGES if route in requests], [])

    def test_no_selection_is_refused(self):
        for flags in ([], ["--yes"], ["--force"], ["--limit", "5", "--yes"], ["--bulk", "--yes"]):
            with self.subTest(flags=flags):
                self.refused("kv", "delete", *self.there, *flags, env=self.env,
                             mentions="--all-keys")
        self.assertEqual(self.fake.stats()["total"], 0)

    def test_no_terminal_and_no_yes_is_refused(self):
        self.refused("kv", "delete", *self.there, "--prefix", "item", env=self.env, mentions="--yes")
        self.refused("kv", "delete", *self.there, "--all-keys", env=self.env, mentions="--yes")
        self.untouched()

    def test_interactive_needs_a_terminal(self):
        result = self.run_sluice("kv", "delete", *self.there, "--prefix", "item", "-i", env=self.env)
        self.assertNotEqual(result.code, DONE, str(result))
        self.untouched()

    def test_a_pattern_that_does_not_compile_sends_nothing(self):
        self.refused("kv", "delete", *self.there, "--pattern", "a(b", "--yes", env=self.env,
                     mentions="a(b")
        self.assertEqual(self.fake.stats()["total"], 0)

    def test_an_empty_selection_value_is_not_everything(self):
        for flags in (["--prefix", ""], ["--search", ""], ["--pattern", ""], ["--tag-field", ""]):
            with self.subTest(flags=flags):
                result = self.run_sluice("kv", "delete", *self.there, *flags, "--yes", env=self.env)
                self.assertEqual(result.code, USAGE, str(result))
        self.untouched()

    def test_an_empty_keys_file_deletes_nothing(self):
        self.sluice("kv", "delete", *self.there, "--keys-file", self.file("none", ""), "--yes",
                    env=self.env)
        self.untouched()

    def test_a_selection_that_matches_nothing_deletes_nothing(self):
        self.sluice("kv", "delete", *self.there, "--search", "nowhere", "--yes", env=self.env)
        self.untouched()

    def test_a_tag_value_needs_its_field(self):
        for command in (["delete", "--yes"], ["list"], ["delete", "--yes", "--prefix", "item"]):
            self.refused("kv", *command, *self.there, "--tag-value", "x", env=self.env)
        self.untouched()

    def test_dry_run_sends_no_change(self):
        for flags in (["-n"], ["--dry-run", "--yes"]):
            result = self.sluice("kv", "delete", *self.there, "--tag-field", "tags", "--tag-value",
                                 "even", *flags, env=self.env)
            self.assertIn("13", (result.out + result.err).decode(), str(result))
        self.untouched()

    def test_max_delete_stops_before_the_first(self):
        result = self.sluice("kv", "delete", *self.there, "--prefix", "item", "--max-delete", "24",
                             "--yes", env=self.env, code=FAILED)
        self.assertIn("25", result.complaint)
        self.untouched()
        self.sluice("kv", "delete", *self.there, "--prefix", "item", "--max-delete", "25", "--yes",
                    env=self.env)
        self.assertEqual(self.fake.entries("test"), {})
        # The count came from one listing, not two.
        self.assertEqual(self.fake.stats()["requests"]["GET keys"], 2)

    def test_prompt_shows_count_account_and_namespace(self):
        shown = self.on_terminal("kv", "delete", *self.there, "--prefix", "item:000",
                                 answers=[(b"?", b"n\n")], env=self.env)
        self.assertNotEqual(shown.code, DONE, str(shown))
        self.assertIn(b"10", shown.err)
        self.assertIn(b"test", shown.err)
        self.assertIn(self.fake.account[:6].encode(), shown.err)
        self.untouched()

    def test_prompt_accepts_yes(self):
        shown = self.on_terminal("kv", "delete", *self.there, "--prefix", "item:000",
                                 answers=[(b"?", b"y\n")], env=self.env)
        self.assertEqual(shown.code, DONE, str(shown))
        self.assertEqual(len(self.fake.entries("test")), 15)
        self.assertEqual(self.fake.stats()["requests"]["GET keys"], 1)

    def test_prompt_and_end_of_input(self):
        shown = self.on_terminal("kv", "delete", *self.there, "--prefix", "item:000",
                                 answers=[(b"?", b"\x04")], env=self.env)
        self.assertNotEqual(shown.code, DONE, str(shown))
        self.untouched()

    def test_a_question_that_is_declined_leaves_no_job(self):
        question = ["kv", "delete", *self.there, "--all-keys"]
        for answer, code, reason in ((b"n\n", FAILED, b"not confirmed"),
                                     (signal.SIGINT, INTERRUPTED, b"interrupted"),
                                     (signal.SIGTERM, INTERRUPTED, b"interrupted")):
            with self.subTest(answer=answer):
                shown = self.on_terminal(*question, answers=[(b"[y/N]", answer)], env=self.env)
                self.assertEqual(shown.code, code, str(shown))
                self.assertEqual(shown.err.count(b"sluice: "), 1, str(shown))
                self.assertIn(b"sluice: " + reason + b": nothing was deleted", shown.err)
                self.assertNotIn(b"stopping", shown.err)
                self.assertNotIn(b"resume", shown.err)
                self.assertEqual(self.sluice("jobs", "list", "--json").lines(), [])
                self.assertEqual(list((self.home / "state/sluice/jobs").iterdir()), [])
                self.untouched()
        shown = self.on_terminal(*question, "--deadline", "1s", env=self.env)
        self.assertIn(b"sluice: the deadline of 1s is over: nothing was deleted", shown.err)
        self.assertEqual(self.sluice("jobs", "list", "--json").lines(), [])

    def test_prompt_is_not_fed_by_the_keys(self):
        """With the keys on stdin there is nobody to ask, whatever they say."""
        self.refused("kv", "delete", *self.there, "--keys-file", "-", env=self.env,
                     stdin="y\nyes\nitem:0001\n", mentions="--yes")
        self.untouched()

    def test_deletes_exactly_the_selected(self):
        self.sluice("kv", "delete", *self.there, "--search", "old-data", "--bulk", "--concurrency",
                    "50", "--yes", env=self.env)
        expected = {key: entry for key, entry in by_key(sample(25)).items()
                    if int(key.decode()[-4:]) % 5 != 0}
        self.same(self.fake.entries("test"), expected)

    def test_environment_cannot_widen_a_delete(self):
        """SLUICE_… flags are flags: a dry run by environment stays dry."""
        self.sluice("kv", "delete", *self.there, "--all-keys", "--yes",
                    env={**self.env, "SLUICE_DRY_RUN": "1"})
        self.untouched()


if __name__ == "__main__":
    unittest.main()
