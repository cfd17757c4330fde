"""`sluice cache`: entries and namespaces, through the front and through the engine."""

import json
import os
import pathlib
import stat
import subprocess
import unittest

from cache_case import ENGINE, CacheTest
from harness import FAILED, NOT_FOUND, PATIENCE, SLUICE

ODD_KEYS = [b"plain", b"-dash", b"--json", b" spaces ", b"line\nfeed", "ключ 鍵".encode(),
            b"\xff\xfe not utf-8", b"quote'\"\\", b"*", b"k" * 4096, b"a=b", b"%s%n"]


class Entries(CacheTest):
    def test_a_value_comes_back_byte_for_byte(self):
        for value in (b"", b"hello", b"line\n", bytes(range(1, 256)), b"x" * 70_000):
            self.cache("set", "key", stdin=value)
            self.assertEqual(self.cache("get", "key").out, value)
        self.cache("set", "key", "from the command line")
        self.assertEqual(self.cache("get", "key").out, b"from the command line")
        with_nul = self.file("value", b"a\0b\0")
        self.cache("set", "key", "--file", with_nul)
        self.assertEqual(self.cache("get", "key").out, b"a\0b\0")

    def test_any_key(self):
        for key in ODD_KEYS:
            with self.subTest(key=key[:20]):
                for command in ((b"set", b"--", key, b"value of " + key[:9]), (b"get", b"--", key),
                                (b"delete", b"--", key)):
                    done = subprocess.run([SLUICE, b"cache", *command], capture_output=True,
                                          env=self.environment(), check=False)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    if command[0] == b"get":
                        self.assertEqual(done.stdout, b"value of " + key[:9])
                self.assertEqual(self.size()["entries"], 0)
        self.refused("cache", "set", "k" * 4097, "v", mentions="4096")
        self.refused("cache", "set", "", "v", mentions="empty")

    def test_a_miss_is_silent(self):
        miss = self.cache("get", "nothing", code=NOT_FOUND)
        self.assertEqual((miss.out, miss.err), (b"", b""))
        self.assertIn("nothing", self.cache("get", "nothing", "-v", code=NOT_FOUND).complaint)
        # Looking makes nothing.
        self.assertFalse(self.folder_of().exists())

    def test_expiry(self):
        self.cache("set", "brief", "v", "--ttl", "1ms")
        self.cache("set", "long", "v", "--ttl", "3600")
        self.cache("get", "long")
        self.cache("get", "brief", code=NOT_FOUND)
        self.assertEqual(self.cache("get", "brief", "--stale-ok").out, b"v")
        self.cache("get", "long", "--max-age", "1ms", code=NOT_FOUND)
        self.cache("get", "long", "--max-age", "1h")
        self.refused("cache", "set", "k", "v", "--ttl", "0", mentions="--ttl")
        self.refused("cache", "set", "k", "v", "--ttl", "soon", mentions="--ttl")
        # Beyond what 64 bits of milliseconds count it would be short.
        for seconds in (18446744073709552, 9223372036854775807, 4_000_000_000):
            self.refused("cache", "set", "k", "v", "--ttl", seconds, mentions="too long")
            self.refused("cache", "exec", "--ttl", seconds, "--", "true", code=125,
                         mentions="too long")

    def test_set_tells_what_it_stored(self):
        name = self.size()["namespace"]
        told = self.cache("set", "k", "hello", "--json").json()
        self.assertEqual(told, {"namespace": name, "key": "k", "bytes": 5, "dry_run": False})
        told = self.cache("set", "long", "-", "--json", stdin=b"x" * 3_000_000).json()
        self.assertEqual(told, {"namespace": name, "key": "long", "bytes": 3_000_000,
                                "dry_run": False})
        told = self.cache("set", "other", "x", "--json", "--dry-run").json()
        self.assertEqual(told, {"namespace": name, "key": "other", "dry_run": True})
        self.assertEqual(self.size()["entries"], 2)
        self.assertEqual(self.cache("set", "k", "hello").text, "")

    def test_delete(self):
        for i in range(10):
            self.cache("set", f"user:{i}", "v", "--tag", "even" if i % 2 == 0 else "odd")
        self.cache("delete", "user:0", "user:1", "absent")
        self.assertEqual(self.cache("delete", "--tag", "even", "--json").json()["deleted"], 4)
        self.assertEqual(self.cache("list").lines(), ["user:3", "user:5", "user:7", "user:9"])
        self.cache("delete", "--prefix", "user:3")
        would = self.cache("delete", "--pattern", "[57]$", "--dry-run", "--json").json()
        self.assertEqual((would["deleted"], would["would_delete"]), (0, 2))
        # What is counted before is what goes, also where it is named twice.
        self.cache("set", "both", "v", "--tag", "a", "--tag", "b")
        for words in (("--tag", "a", "--tag", "b"), ("both", "both")):
            would = self.cache("delete", *words, "--dry-run", "--json").json()
            self.assertEqual(would["would_delete"], 1)
        self.cache("delete", "--tag", "a", "--tag", "b", "--max-delete", "1")
        self.cache("delete", "--pattern", "[57]$", "--max-delete", "1", code=FAILED)
        self.assertEqual(self.size()["entries"], 3)
        self.cache("delete", "--pattern", "[57]$", "--max-delete", "2")
        self.assertEqual(self.cache("list").lines(), ["user:9"])
        self.refused("cache", "delete", mentions="cache clear")
        self.refused("cache", "delete", "--prefix", "", mentions="cache clear")
        self.refused("cache", "delete", "k", "--tag", "t")

    def test_somebody_at_a_terminal_is_told_what_is_awaited(self):
        shown = self.on_terminal("cache", "set", "k", answers=[(b"Ctrl-D", b"typed\n\x04")])
        self.assertEqual((shown.code, self.cache("get", "k").out), (0, b"typed\n"))
        shown = self.on_terminal("cache", "batch",
                                 answers=[(b"Ctrl-D", b'{"op":"get","key":"k"}\n\x04')])
        self.assertEqual(shown.code, 0)
        self.assertEqual(json.loads(shown.out)["value"], "typed\n")
        self.refused("cache", "exec", "ls", "-l", mentions="after --", code=125)

    def test_a_value_on_a_terminal_ends_its_line(self):
        for value in ("v", "v\n"):
            self.cache("set", "k", stdin=value.encode())
            shown = self.on_terminal("cache", "get", "k", whole=True)
            self.assertEqual(shown.err.replace(b"\r", b""), b"v\n")
            self.assertEqual(self.cache("get", "k").out, value.encode())

    def test_interactive_asks_before_each_kind_of_change(self):
        self.cache("set", "k", "v")
        for words in (["set", "k", "w"], ["delete", "k"], ["limit", "--max-entries", "1"], ["gc"],
                      ["repair"], ["clear"]):
            shown = self.on_terminal("cache", *words, "-i", answers=[(b"?", b"no\n")])
            self.assertNotEqual(shown.code, 0, words)
            self.assertEqual(self.cache("get", "k").out, b"v", words)
            self.assertEqual(self.size()["max_entries"], 0)
        shown = self.on_terminal("cache", "set", "k", "w", "-i", answers=[(b"?", b"yes\n")])
        self.assertEqual((shown.code, self.cache("get", "k").out), (0, b"w"))
        for words in (["set", "k", "-i"], ["batch", "-0", "-i"], ["batch", "-i"]):
            self.refused("cache", *words, stdin=b"", mentions="cannot ask")

    def test_times_may_be_bare_seconds(self):
        self.cache("set", "k", "v", "--ttl", "60")
        self.cache("get", "k", "--max-age", "60", "--timeout", "5")
        self.cache("lock", "l", "--timeout", "0", "--", "true")

    def test_a_selection_by_an_unset_variable_is_refused(self):
        self.cache("set", "k", "v")
        for flag in ("--tag", "--prefix", "--pattern"):
            self.refused("cache", "delete", flag, "", mentions=flag)
        self.assertEqual(self.cache("get", "k").out, b"v")

    def test_deleting_from_nothing_makes_nothing(self):
        for words in (("k",), ("--prefix", "a"), ("--pattern", "a"), ("--tag", "t"), ("-n", "k")):
            self.assertEqual(self.cache("delete", *words, "--json").json()["deleted"], 0)
        self.assertFalse(self.folder_of().exists())
        self.refused("cache", "delete", "k", "--ns", "a/b")

    def test_a_config_file_that_is_named_is_read(self):
        broken = self.file("broken.toml", "nonsense [")
        for words in (("get", "k"), ("set", "k", "v"), ("list",), ("delete", "k")):
            self.refused("cache", *words, "--config", broken, mentions="broken.toml")
            self.refused("cache", *words, mentions="broken.toml", env={"SLUICE_CONFIG": str(broken)})
            # Not NOT_FOUND: a script would take that for a miss.
            self.refused("cache", *words, "--config", "absent.toml", mentions="absent.toml",
                         code=FAILED)
            self.refused("cache", *words, "--config", self.folder, mentions="is a folder", code=FAILED)
        self.refused("cache", "exec", "--config", broken, "--", "true", mentions="broken.toml",
                     code=125)
        self.assertFalse(self.folder_of().exists())

    def test_list(self):
        self.cache("set", "a:1", "1", "--tag", "x", "--cost", "250")
        self.cache("set", "a:2", "22", "--tag", "y", "--ttl", "1h")
        self.cache("set", "b", "")
        self.assertEqual(self.cache("list", "--prefix", "a:", "-0").out, b"a:1\0a:2\0")
        self.assertEqual(self.cache("list", "--tag", "x", "--tag", "y").lines(), ["a:1", "a:2"])
        self.assertEqual(self.cache("list", "--pattern", "2$").lines(), ["a:2"])
        self.assertEqual(self.cache("list", "--limit", "2").lines(), ["a:1", "a:2"])
        entries = [json.loads(line) for line in self.cache("list", "--json").lines()]
        self.assertEqual([(e["key"], e["bytes"], e["tags"], e["cost_ms"]) for e in entries],
                         [("a:1", 1, ["x"], 250), ("a:2", 2, ["y"], 100), ("b", 0, [], 100)])
        self.assertIn("expires", entries[1])
        self.assertIn("a:1", self.cache("list", "-l").text)
        self.assertNotIn("command", entries[0])

    def test_list_shows_what_was_memoized(self):
        self.cache("exec", "--tag", "t", "--", "printf", "%s", "a b", "x" * 300)
        self.cache("set", "exec:mine", "not a result")
        first, second = [json.loads(line) for line in self.cache("list", "--json").lines()]
        if first["key"] == "exec:mine":
            first, second = second, first
        self.assertTrue(first["command"].startswith("printf %s 'a b' xxx"), first)
        self.assertLess(len(first["command"]), 210)
        self.assertNotIn("command", second)
        self.assertIn("printf %s 'a b' xxx", self.cache("list", "-l").text)
        # Looking is no use.
        self.assertEqual(self.cache("stats", "--json").json()["counters"]["hits"], 0)

    def test_the_front_and_the_engine_do_the_same(self):
        for program in (SLUICE, ENGINE):
            def run(*words, program=program, stdin=b""):
                done = subprocess.run([program, "cache", *words], input=stdin, check=False,
                                      capture_output=True,
                                      env=self.environment({"XDG_CACHE_HOME": program_home}))
                return done.returncode, done.stdout, done.stderr
            program_home = self.folder / pathlib.Path(program).name
            with self.subTest(program=program):
                self.assertEqual(run("set", "k", "v", "--tag=t", "--ns", "n"), (0, b"", b""))
                self.assertEqual(run("get", "k", "--ns", "n"), (0, b"v", b""))
                self.assertEqual(run("get", "none", "--ns=n"), (4, b"", b""))
                self.assertEqual(json.loads(run("size", "--json", "--ns", "n")[1])["bytes"], 2)
                self.assertEqual(run("batch", "-0", "--ns", "n", stdin=b"get\0k\0get\0x\0"),
                                 (0, b"hit\0v\0miss\0\0", b""))
                self.assertEqual(run("exec", "--ns", "n", "--", "sh", "-c", "echo o; exit 9"),
                                 (9, b"o\n", b""))
                self.assertEqual(run("lock", "l", "--ns", "n", "--", "sh", "-c", "exit 8")[0], 8)
                self.assertEqual(run("delete", "k", "--ns", "n", "-v"),
                                 (0, b"", b"deleted 1 entry\n"))
                self.assertEqual(run("get")[0], 2)
                self.assertEqual(run("exec")[0], 125)
                self.assertEqual(run("lock")[0], 125)
                self.assertEqual(run("lock", "name", "--frob", "--", "true")[0], 125)

    def test_a_reader_that_goes_away_is_no_error(self):
        self.cache("set", "big", stdin=b"x" * 5_000_000)
        for program in (SLUICE, ENGINE):
            done = subprocess.run(f"'{program}' cache get big | head -c 1 | wc -c; echo ok",
                                  shell=True, capture_output=True, env=self.environment(),
                                  check=False)
            self.assertEqual((done.stdout.split(), done.stderr), ([b"1", b"ok"], b""))

    def test_values_stream(self):
        size = 300_000_000
        self.cache("limit", "--max-size", "1GB")
        big = self.folder / "big"
        with open(big, "wb") as file:
            file.truncate(size)  # no disk for it
        self.assertLess(self.peak_of(SLUICE, "cache", "set", "big", "--file", big,
                                     stdin="/dev/null", out="/dev/null"), 60_000)
        out = self.folder / "out"
        self.assertLess(self.peak_of(SLUICE, "cache", "get", "big", stdin="/dev/null", out=out),
                        60_000)
        self.assertEqual(subprocess.run(["cmp", big, out], check=False).returncode, 0)


class Identity(CacheTest):
    def ns(self, env=None, cwd=None):
        done = subprocess.run([SLUICE, "cache", "size", "--json"], capture_output=True, cwd=cwd,
                              env=self.environment(env), check=True)
        return json.loads(done.stdout)["namespace"]

    def test_the_chain(self):
        nowhere = {"GIT_CONFIG_NOSYSTEM": "1"}
        self.assertEqual(self.ns(nowhere, self.folder), "default")
        (self.home / ".gitconfig").write_text("[user]\n\temail = home@example.com ; mine\n")
        self.assertEqual(self.ns(nowhere, self.folder), "home@example.com")
        work = self.folder / "work/deep"
        git = self.folder / "work/.git"
        work.mkdir(parents=True)
        git.mkdir()
        (git / "HEAD").write_text("ref: refs/heads/main\n")
        (git / "config").write_text("[core]\n\tbare = false\n[include]\n\tpath = more\n")
        self.assertEqual(self.ns(nowhere, work), "home@example.com")
        (git / "more").write_text('[USER]\n  Email = "work@example.com"\n')
        self.assertEqual(self.ns(nowhere, work), "work@example.com")
        env = dict(nowhere, FLOWFORGE_DEVELOPER="dev1")
        self.assertEqual(self.ns(env, work), "dev1")
        env["SLUICE_NS"] = "mine"
        self.assertEqual(self.ns(env, work), "mine")
        self.assertEqual(self.cache("size", "--json", "--ns", "flag", env=env).json()["namespace"],
                         "flag")

    def test_as_git_says(self):
        """Against git itself: a conditional include, the environment, a work tree."""
        inner = self.folder / "src/a/repo"
        inner.mkdir(parents=True)
        env = {"GIT_CONFIG_NOSYSTEM": "1"}

        def git(*words, **more):
            return subprocess.run(["git", *words], cwd=inner, env=self.environment({**env, **more}),
                                  capture_output=True, text=True, check=False).stdout.strip()
        git("init", "-q", ".")
        (self.home / "work.inc").write_text("[user]\n\temail = by-include@example.com\n")
        for condition, holds in ((f"gitdir:{self.folder}/src/", True),
                                 (f"gitdir:{self.folder}/other/", False),
                                 ("gitdir:repo/", True), ("gitdir:nope/", False),
                                 (f"gitdir/i:{str(self.folder).upper()}/SRC/", True),
                                 (f"gitdir:{self.folder}/**/repo/.git", True)):
            (self.home / ".gitconfig").write_text(
                "[user]\n\temail = home@example.com\n"
                f'[includeIf "{condition}"]\n\tpath = ~/work.inc\n')
            told = git("config", "user.email")
            with self.subTest(condition=condition):
                self.assertEqual(told == "by-include@example.com", holds)
                self.assertEqual(self.ns(env, inner), told)
        more = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "user.email",
                "GIT_CONFIG_VALUE_0": "env@example.com"}
        self.assertEqual(self.ns({**env, **more}, inner), git("config", "user.email", **more))

    @unittest.skipUnless(os.geteuid() == 0, "only root can make what belongs to others")
    def test_a_repository_of_somebody_else_says_nothing(self):
        """As git: anybody may put one above where others work."""
        repository = self.folder / "theirs"
        repository.mkdir()
        config = self.home / ".gitconfig"

        def says(**more):
            env = {"GIT_CONFIG_NOSYSTEM": "1", **more}
            git = subprocess.run(["git", "config", "user.email"], cwd=repository, check=False,
                                 env=self.environment(env), capture_output=True, text=True)
            self.assertEqual(self.ns(env, repository), git.stdout.strip())
            return git.stdout.strip()
        config.write_text("[user]\n\temail = home@example.com\n")
        subprocess.run(["git", "init", "-q", "."], cwd=repository, check=True)
        subprocess.run(["git", "config", "user.email", "theirs@example.com"], cwd=repository,
                       check=True)
        self.assertEqual(says(), "theirs@example.com")
        for path in (repository, repository / ".git"):
            os.chown(path, 65534, 65534)
            self.assertEqual(says(), "home@example.com")
            self.assertEqual(says(SUDO_UID="65534"), "theirs@example.com")
            self.assertEqual(says(GIT_DIR=".git"), "theirs@example.com")
            for safe, holds in (("*", True), (repository, True), ("/elsewhere", False)):
                config.write_text("[user]\n\temail = home@example.com\n"
                                  f"[safe]\n\tdirectory = {safe}\n")
                self.assertEqual(says() == "theirs@example.com", holds)
            config.write_text("[user]\n\temail = home@example.com\n")
            os.chown(path, 0, 0)

    def test_hostile_configuration_is_no_obstacle(self):
        repository = self.folder / "repository"
        subprocess.run(["git", "init", "-q", repository], check=True)
        config = repository / ".git/config"
        includes = ("[include]\n\tpath = config\n" * 8,  # 8^10 times itself
                    "[include]\n\tpath = /dev/stdin\n",
                    f"[include]\n\tpath = {self.folder}/pipe\n",
                    '[includeIf "gitdir:' + "**/a" * 60 + '"]\n\tpath = other\n')
        os.mkfifo(self.folder / "pipe")
        for number, text in enumerate(includes):
            with self.subTest(number=number):
                config.write_text("[user]\n\temail = me@example.com\n" + text)
                self.assertEqual(self.ns({"GIT_CONFIG_NOSYSTEM": "1"}, repository), "me@example.com")
                for words, given, told in ((("set", "k"), b"the value", b""),
                                           (("get", "k"), b"", b"the value")):
                    done = subprocess.run([SLUICE, "cache", *words], input=given, cwd=repository,
                                          env=self.environment(), capture_output=True, check=True,
                                          timeout=PATIENCE)
                    self.assertEqual(done.stdout, told)

    def test_names_that_leave_the_folder(self):
        for name in ("../other", "a/b", ".hidden", "..", "", "a\nb", "n" * 300):
            with self.subTest(name=name):
                self.refused("cache", "set", "k", "v", "--ns", name)
        self.refused("cache", "get", "k", mentions="FLOWFORGE_DEVELOPER",
                     env={"FLOWFORGE_DEVELOPER": "../../etc"})
        self.assertEqual(list(self.home.rglob("cache.db")), [])

    def test_modes_and_shared_folders(self):
        previous = os.umask(0)
        self.addCleanup(os.umask, previous)
        self.cache("set", "k", "v")
        for folder in (self.folder_of(), self.folder_of().parent):
            self.assertEqual(stat.S_IMODE(folder.stat().st_mode), 0o700)
        self.assertEqual(stat.S_IMODE((self.folder_of() / "cache.db").stat().st_mode), 0o600)
        os.umask(0o077)
        group = self.folder / "group"
        self.cache("set", "k", "v", "--dir", "group", "--ns", "team")
        self.assertEqual(stat.S_IMODE(group.stat().st_mode), 0o2770)
        self.assertEqual(stat.S_IMODE((group / "team").stat().st_mode), 0o2770)
        self.assertEqual(stat.S_IMODE((group / "team/cache.db").stat().st_mode), 0o660)
        self.assertEqual(self.cache("get", "k", "--dir", group, "--ns", "team").out, b"v")
        # Whoever names nothing there has the same as all others.
        for developer in ("ada", "grace"):
            self.cache("set", developer, "v", "--dir", group, env={"FLOWFORGE_DEVELOPER": developer})
        self.assertEqual(self.cache("list", "--dir", group, "--ns", "shared").lines(), ["ada", "grace"])
        self.cache("set", "k", "v", "--ns", "shared")
        self.assertEqual(self.cache("list", "--namespaces").lines(), ["default", "shared"])


if __name__ == "__main__":
    unittest.main()
