"""A store that does not exist yet: what makes it, and what leaves nothing behind."""

import unittest

from harness import FAILED, NOT_FOUND, SluiceTest, by_key, sample


class NewStore(SluiceTest):
    def setUp(self):
        super().setUp()
        self.load(sample(12))
        self.there = ["--store", self.store, "--namespace", "test"]
        self.new = self.folder / "new.db"
        self.input = self.file("in.ndjson", "".join(entry.line() for entry in sample(3)))

    def files(self):
        return sorted(path.name for path in self.folder.iterdir())

    def makes_nothing(self, *words, **more):
        before = self.files()
        result = self.sluice(*words, **more)
        self.assertEqual(self.files(), before, str(result))
        return result.complaint

    def test_a_dry_run_of_a_first_backup(self):
        for command in ("copy", "sync"):
            with self.subTest(command=command):
                words = ["kv", command, *self.there, "--to", f"sqlite:{self.new}"]
                text = self.makes_nothing(*words, "--create-namespace", "--dry-run")
                self.assertIn(f"would make the file {self.new}", text)
                self.assertIn('would create namespace "test"', text)
                self.assertRegex(text, "would have (copied|changed) 12 of 12")
                text = self.makes_nothing(*words, "--to-namespace", "default", "--dry-run")
                self.assertNotIn("would create namespace", text)
        self.sluice("kv", "sync", *self.there, "--to", f"sqlite:{self.new}", "--create-namespace")
        self.same(self.content(store=f"sqlite:{self.new}"), by_key(sample(12)))

    def test_dry_runs_of_other_first_writes(self):
        new = ["--store", f"sqlite:{self.new}"]
        for words in (["put", "key", "value"], ["import", self.input]):
            for namespace in ([], ["--namespace", "n", "--create-namespace"]):
                with self.subTest(words=words, namespace=namespace):
                    text = self.makes_nothing("kv", *words, *new, *namespace, "--dry-run")
                    self.assertIn(f"would make the file {self.new}", text)
                    self.assertEqual('would create namespace "n"' in text, bool(namespace), text)
        text = self.makes_nothing("kv", "namespace", "create", "n", *new, "--dry-run")
        self.assertIn(f"would make the file {self.new}", text)
        # The store of this user, with the folder that it lies in.
        self.makes_nothing("kv", "put", "key", "value", "--dry-run")
        self.assertEqual(list(self.home.iterdir()), [])

    def test_a_dry_run_fails_where_the_real_one_would(self):
        nowhere = ["--store", f"sqlite:{self.folder}/no-folder/new.db"]
        for words in (["put", "key", "value"], ["namespace", "create", "n"]):
            for dry in ([], ["--dry-run"]):
                self.makes_nothing("kv", *words, *nowhere, *dry, code=NOT_FOUND)
        # A source has to exist.
        self.makes_nothing("kv", "copy", "--store", f"sqlite:{self.new}", "--to", self.store,
                           "--to-namespace", "test", "--dry-run", code=NOT_FOUND)
        self.makes_nothing("kv", "delete", "key", "--store", f"sqlite:{self.new}", "--dry-run",
                           code=NOT_FOUND)

    def test_a_dry_run_compares_with_a_namespace_to_be_created(self):
        text = self.makes_nothing("kv", "sync", *self.there, "--to-namespace", "other",
                                  "--create-namespace", "--dry-run")
        self.assertIn("12 missing, 0 different, 0 equal", text)
        fake = self.server()
        text = self.makes_nothing("kv", "sync", *self.there, "--to", "cloudflare:",
                                  "--create-namespace", "--dry-run", env=fake.environment())
        self.assertIn("12 missing, 0 different, 0 equal", text)

    def test_a_mistyped_namespace_leaves_no_file(self):
        new = f"sqlite:{self.new}"
        for words in (["put", "key", "value", "--store", new, "--namespace", "nope"],
                      ["put", "key", "value", "--store", new, "--namespace-id", "7"],
                      ["import", self.input, "--store", new, "--namespace", "nope"],
                      ["copy", *self.there, "--to", new],
                      ["sync", *self.there, "--to", new],
                      ["delete", "key", "--store", new, "--namespace", "nope", "--yes"]):
            for dry in ([], ["--dry-run"]):
                with self.subTest(words=words, dry=dry):
                    text = self.makes_nothing("kv", *words, *dry, code=NOT_FOUND)
                    self.assertIn(f"there is no file {self.new}", text)
                    self.assertRegex(text, "--create-namespace makes|makes it")

    def test_the_default_namespace_is_in_every_file(self):
        for number, words in enumerate((["default"], ["1"])):
            new = f"sqlite:{self.folder}/{number}.db"
            self.sluice("kv", "put", "key", "value", "--store", new, "--namespace", *words)
            self.assertEqual(self.sluice("kv", "get", "key", "--store", new).out, b"value")

    def test_namespace_commands_leave_no_file(self):
        new = ["--store", f"sqlite:{self.new}"]
        self.assertIn("no file", self.makes_nothing("kv", "namespace", "list", *new))
        self.makes_nothing("kv", "namespace", "delete", "n", "--yes", *new, code=NOT_FOUND)
        self.makes_nothing("kv", "namespace", "rename", "n", "m", *new, code=NOT_FOUND)
        for dry in ([], ["--dry-run"]):
            self.makes_nothing("kv", "namespace", "create", "default", *new, *dry, code=FAILED)
        # What is the id of another namespace may be a title.
        self.makes_nothing("kv", "namespace", "create", "1", *new, "--dry-run")
        self.sluice("kv", "namespace", "create", "1", *new)


if __name__ == "__main__":
    unittest.main()
