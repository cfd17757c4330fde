"""`sluice cache`: entries, batches, sizes and upkeep, through the front and through the engine."""

import base64
import json
import os
import pathlib
import random
import re
import shutil
import sqlite3
import stat
import subprocess
import threading
import unittest

from harness import (DONE, FAILED, NOT_FOUND, SLUICE, SOME_FAILED, USAGE, SluiceTest)

ENGINE = str(pathlib.Path(SLUICE).resolve().parent.parent / "libexec/sluice/sluice-engine")
ODD_KEYS = [b"plain", b"-dash", b"--json", b" spaces ", b"line\nfeed", "ключ 鍵".encode(),
            b"\xff\xfe not utf-8", b"quote'\"\\", b"*", b"k" * 4096, b"a=b", b"%s%n"]


class CacheTest(SluiceTest):
    def cache(self, *words, code=DONE, **more):
        return self.sluice("cache", *words, code=code, **more)

    def size(self, **more):
        return self.cache("size", "--json", **more).json()

    def peak_of(self, *words, stdin, out, env=None):
        """Runs it with stdin and stdout from and to files. Returns the most memory it had, in kB."""
        # Started by a small program: what a process has before its exec counts as its own.
        script = ("import os, subprocess, sys\n"
                  "started = subprocess.Popen(sys.argv[1:])\n"
                  "_, status, usage = os.wait4(started.pid, 0)\n"
                  "print(status, usage.ru_maxrss, file=sys.stderr)\n")
        with open(stdin, "rb") as source, open(out, "wb") as target:
            done = subprocess.run(["python3", "-c", script, *map(str, words)], stdin=source,
                                  stdout=target, stderr=subprocess.PIPE, cwd=self.folder,
                                  env=self.environment(env), check=True)
        status, peak = map(int, done.stderr.split())
        self.assertEqual(status, 0)
        return peak

    def folder_of(self, namespace="default"):
        return self.home / "cache/sluice/cache" / namespace


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

    def test_delete(self):
        for i in range(10):
            self.cache("set", f"user:{i}", "v", "--tag", "even" if i % 2 == 0 else "odd")
        self.cache("delete", "user:0", "user:1", "absent")
        self.assertEqual(self.cache("delete", "--tag", "even", "--json").json()["deleted"], 4)
        self.assertEqual(self.cache("list").lines(), ["user:3", "user:5", "user:7", "user:9"])
        self.cache("delete", "--prefix", "user:3")
        would = self.cache("delete", "--pattern", "[57]$", "--dry-run", "--json").json()
        self.assertEqual((would["deleted"], would["would_delete"]), (0, 2))
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
        self.cache("set", "k", "v", "--ns", "shared")
        self.assertEqual(self.cache("list", "--namespaces").lines(), ["default", "shared"])


class Batch(CacheTest):
    def test_json_lines(self):
        lines = [{"op": "set", "key": "a", "value": "1", "ttl": 60, "tags": ["t"]},
                 {"op": "get", "key": "a"}, {"op": "get", "key": "none"},
                 {"op": "set", "key": "b", "value": base64.b64encode(b"\0\xff").decode(),
                  "base64": True},
                 {"op": "get", "key": "b"}, {"op": "delete", "key": "a"},
                 {"op": "delete", "key": "a"}]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        answers = [json.loads(line) for line in self.cache("batch", stdin=text).lines()]
        self.assertEqual(answers, [
            {"op": "set", "key": "a", "ok": True},
            {"op": "get", "key": "a", "ok": True, "found": True, "value": "1"},
            {"op": "get", "key": "none", "ok": True, "found": False},
            {"op": "set", "key": "b", "ok": True},
            {"op": "get", "key": "b", "ok": True, "found": True,
             "value": base64.b64encode(b"\0\xff").decode(), "base64": True},
            {"op": "delete", "key": "a", "ok": True, "found": True},
            {"op": "delete", "key": "a", "ok": True, "found": False}])

    def test_bad_lines_are_answered_in_their_place(self):
        text = ('{"op":"set","key":"a","value":"1"}\nnot json\n{"op":"frob","key":"a"}\n'
                '{"op":"set","key":""}\n{"op":"set","key":"","value":"x"}\n'
                '{"op":"set","key":"c","value":"x","colour":1}\n{"op":"get","key":"a"}')
        done = self.cache("batch", stdin=text, code=SOME_FAILED)
        answers = [json.loads(line) for line in done.lines()]
        self.assertEqual([a["ok"] for a in answers], [True] + [False] * 5 + [True])
        self.assertIn("line 2", answers[1]["error"])
        self.assertEqual(self.cache("list").lines(), ["a"])

    def test_nul_frames(self):
        fields = b"\0".join([b"set", b"line\nfeed", b"a\nb", b"get", b"line\nfeed", b"delete",
                             b"line\nfeed", b"get", b"line\nfeed", b""])
        self.assertEqual(self.cache("batch", "-0", stdin=fields).out,
                         b"ok\0\0hit\0a\nb\0ok\0\0miss\0\0")
        self.cache("batch", "-0", stdin=b"set\0k\0v\0frob\0", code=USAGE)
        self.assertEqual(self.cache("get", "k").out, b"v")
        self.cache("batch", "-0", stdin=b"set\0k2\0cut o", code=USAGE)
        self.cache("get", "k2", code=NOT_FOUND)

    def test_many(self):
        for count in (100, 25_000):
            keys = [f"key:{i:05}" for i in range(count)]
            text = b"".join(b"set\0%s\0value of %s\0" % (k.encode(), k.encode()) for k in keys)
            self.assertEqual(self.cache("batch", "-0", "--ns", f"n{count}", stdin=text).out,
                             b"ok\0\0" * count)
            asked = b"".join(b"get\0%s\0" % k.encode() for k in keys)
            answers = self.cache("batch", "-0", "--ns", f"n{count}", stdin=asked).out
            self.assertEqual(answers, b"".join(b"hit\0value of %s\0" % k.encode() for k in keys))
            size = self.size(env={"SLUICE_NS": f"n{count}"})
            self.assertEqual((size["entries"], size["bytes"]), (count, count * (9 + 18)))

    def test_answers_do_not_fill_memory(self):
        def value(key):
            if key.startswith("text"):
                return b"%s " % key.encode() * 200_000
            return random.Random(key).randbytes(60_000 if key.startswith("inline") else 100_000)
        # More files than a process may have open.
        keys = [f"inline:{i}" for i in range(1000)] + [f"file:{i}" for i in range(1200)]
        keys += [f"text:{i}" for i in range(20)]
        self.cache("limit", "--max-size", "1GB")
        for begin in range(0, len(keys), 100):
            self.cache("batch", stdin="".join(
                json.dumps({"op": "set", "key": key, "base64": True,
                            "value": base64.b64encode(value(key)).decode()}) + "\n"
                for key in keys[begin:begin + 100]))
        self.assertEqual(self.size()["entries"], len(keys))
        answers = self.folder / "answers"
        asked = self.file("asked", "".join(json.dumps({"op": "get", "key": key}) + "\n"
                                           for key in keys))
        # 220 MB of values.
        self.assertLess(self.peak_of(SLUICE, "cache", "batch", stdin=asked, out=answers), 64_000)
        with open(answers, "rb") as lines:
            for key, line in zip(keys, lines, strict=True):
                answer = json.loads(line)
                self.assertEqual((answer["key"], answer["found"]), (key, True))
                got = answer["value"]
                self.assertTrue(value(key) == (base64.b64decode(got) if answer.get("base64")
                                               else got.encode()), key)
        # Random bytes hold NUL: they cannot be answered so, and that is said in their place.
        asked.write_bytes(b"".join(b"get\0" + key.encode() + b"\0" for key in keys[900:]))
        done = self.cache("batch", "-0", stdin=asked.read_bytes(), code=SOME_FAILED)
        fields = done.out.split(b"\0")[:-1]
        self.assertEqual(fields[::2], [b"error"] * 1300 + [b"hit"] * 20)
        self.assertTrue(fields[-1] == value(keys[-1]))
        asked.write_bytes(b"".join(b"get\0" + key.encode() + b"\0" for key in keys[-20:] * 10))
        self.assertLess(self.peak_of(SLUICE, "cache", "batch", "-0", stdin=asked, out=answers),
                        32_000)
        self.assertEqual(answers.stat().st_size, 10 * sum(len(value(k)) + 5 for k in keys[-20:]))
        # What waited left nothing behind.
        self.assertEqual([path for path in self.folder_of().rglob("*spool*")], [])

    def test_a_large_value_in_json_does_not_fill_memory(self):
        asked, answers = self.file("asked", '{"op":"get","key":"k"}\n'), self.folder / "answers"
        # Characters lie across the ends of pieces, which are powers of 2 long.
        text = "xyz".encode() + "é\"\n".encode() * 5_000_000
        for tail in (b"", b"\xff", b"\xc3"):
            self.cache("set", "k", "--file", self.file("value", text + tail))
            for command in (["get", "k", "--json"], ["batch"]):
                peak = self.peak_of(SLUICE, "cache", *command, stdin=asked, out=answers)
                self.assertLess(peak, 48_000)
                line = json.loads(answers.read_bytes())
                self.assertTrue(text + tail == (base64.b64decode(line["value"]) if tail
                                                else line["value"].encode()))
                self.assertEqual(line.get("base64", False), tail != b"")

    def test_gets_need_nothing_but_reading(self):
        for lines, flags, answer in (('{"op":"get","key":"k"}\n', (), b'"found":false'),
                                     (b"get\0k\0", ("-0",), b"miss\0\0")):
            self.assertIn(answer, self.cache("batch", *flags, stdin=lines).out)
            self.assertIn(answer, self.cache("batch", "-n", *flags, stdin=lines).out)
        self.assertFalse(self.folder_of().exists())
        self.cache("batch", "-0", stdin=b"get\0k\0set\0k\0v\0get\0k\0get\0\0", code=SOME_FAILED)
        self.assertEqual(self.cache("batch", "-0", stdin=b"get\0k\0").out, b"hit\0v\0")

    def test_gets_of_a_value_that_is_being_replaced(self):
        def value(number):
            return b"%03d" % (number % 1000) + b"x" * 100_000
        self.cache("set", "k", stdin=value(0))
        done = threading.Event()

        def write():
            number = 0
            while not done.is_set():
                number += 1
                subprocess.run([SLUICE, "cache", "set", "k"], input=value(number), check=True,
                               env=self.environment())
        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(50):
                fields = self.cache("batch", "-0", stdin=b"get\0k\0" * 20).out.split(b"\0")[:-1]
                self.assertEqual(fields[::2], [b"hit"] * 20)
                self.assertTrue(all(v == value(int(v[:3])) for v in fields[1::2]))
        finally:
            done.set()
            writer.join()

    def test_gets_in_one_batch_see_one_state(self):
        self.cache("batch", "-0", stdin=b"set\0a\0000\0set\0b\0000\0")
        done = threading.Event()

        def write():
            number = 0
            while not done.is_set():
                number += 1
                text = b"set\0a\0%03d\0set\0b\0%03d\0" % (number % 1000, number % 1000)
                subprocess.run([SLUICE, "cache", "batch", "-0"], input=text, check=True,
                               stdout=subprocess.DEVNULL, env=self.environment())
        writer = threading.Thread(target=write)
        writer.start()
        try:
            seen = set()
            for _ in range(100):
                fields = self.cache("batch", "-0", stdin=b"get\0a\0get\0b\0").out.split(b"\0")
                self.assertEqual(fields[1], fields[3])
                seen.add(fields[1])
        finally:
            done.set()
            writer.join()
        self.assertGreater(len(seen), 1)

    def test_dry_run_changes_nothing(self):
        self.cache("set", "k", "v")
        text = '{"op":"set","key":"x","value":"1"}\n{"op":"delete","key":"k"}\n'
        self.cache("batch", "--dry-run", stdin=text)
        self.cache("batch", "-n", "-0", stdin=b"set\0x\0y\0")
        self.cache("set", "x", "y", "--dry-run")
        self.cache("clear", "--dry-run")
        self.cache("set", "other", "v")
        told = self.cache("limit", "-n", "--max-entries", "1", "--max-size", "2").complaint
        self.assertIn("at least 6 B and 1 entry would go", told)
        self.assertEqual(self.cache("list").lines(), ["k", "other"])


class Sizes(CacheTest):
    def test_exact_under_writers(self):
        def write(writer):
            for i in range(25):
                subprocess.run([SLUICE, "cache", "set", f"{writer}:{i:03}"], input=b"x" * 1000,
                               env=self.environment(), check=True)
        writers = [threading.Thread(target=write, args=(n,)) for n in range(8)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        size = self.size()
        self.assertEqual((size["entries"], size["bytes"]), (200, 200 * 1005))
        walked = self.size(env={"CACHE_SIZE_TRACKING": "disabled"})
        self.assertEqual((walked["entries"], walked["bytes"]), (200, 200 * 1005))
        self.cache("verify")

    def test_limits(self):
        self.assertEqual(self.size()["max_bytes"], 100_000_000)
        self.cache("limit", "--max-size", "10kB", "--max-entries", "5")
        for i in range(20):
            self.cache("set", f"k{i}", "x" * 1000)
            size = self.size()
            self.assertLessEqual(size["bytes"], 10_000)
            self.assertLessEqual(size["entries"], 5)
        self.assertEqual(self.cache("limit", "--json").json()["max_entries"], 5)
        self.refused("cache", "set", "big", "x" * 20_000, code=FAILED, mentions="limit")
        self.cache("limit", "--max-size", "2kB")
        self.assertEqual(self.size()["entries"], 1)
        self.refused("cache", "limit", "--max-size", "lots")

    def test_upkeep(self):
        self.cache("set", "old", "x", "--ttl", "1ms")
        self.cache("set", "new", "x")
        self.assertEqual(self.cache("gc", "--json").json()["expired"], 1)
        self.assertTrue(self.cache("verify", "--json").json()["intact"])
        self.refused("cache", "clear", mentions="--yes")
        shown = self.on_terminal("cache", "clear", answers=[(b"[y/N]", b"n\n")])
        self.assertEqual(shown.code, FAILED)
        self.assertEqual(self.cache("list").lines(), ["new"])
        shown = self.on_terminal("cache", "clear", answers=[(b"Delete 1 entry", b"y\n")])
        self.assertEqual((shown.code, self.size()["entries"]), (DONE, 0))
        self.assertEqual(self.cache("repair", "--json").json()["kept"], 0)

    def test_statistics(self):
        self.cache("set", "k", "v")
        self.cache("get", "k")
        self.cache("get", "none", code=NOT_FOUND)
        stats = self.cache("stats", "--json").json()
        self.assertEqual((stats["write_cache"]["count"], stats["read_cache"]["count"]), (1, 2))
        self.assertEqual(stats["counters"], {"hits": 1, "misses": 1, "stale_hits": 0, "evicted": 0,
                                             "expired": 0, "lost_hits": 0})
        self.assertEqual(set(stats["read_cache"]), {"count", "total", "avg", "p50", "p95", "p99"})
        lines = self.cache("stats", "--csv").lines()
        self.assertEqual(lines[0], "timestamp,operation,duration_ms")
        self.assertRegex(lines[1], r"^\d+\.\d{3},write_cache,\d+(\.\d+)?$")
        for line in self.cache("stats", "--prometheus").lines():
            self.assertRegex(line, r"^(#.*|[a-z_]+(\{.*\})? [0-9.e+-]+)$")
        self.assertIn("hits", self.cache("stats").text)
        self.cache("set", "k", "v", env={"CACHE_PERF_MONITORING": "disabled"})
        self.assertEqual(self.cache("stats", "--json").json()["write_cache"]["count"], 1)
        self.cache("stats", "--reset")
        self.assertEqual(self.cache("stats", "--json").json(),
                         {"counters": dict.fromkeys(stats["counters"], 0)})
        self.refused("cache", "stats", "--json", "--csv")

    def test_health(self):
        # Three of the checks measure time, which is not this test's business.
        done = self.run_sluice("cache", "health", "--json")
        health = done.json()
        self.assertEqual([check["check"] for check in health["checks"]],
                         ["size", "lock", "batch", "exact size", "statistics"])
        verdicts = [check["pass"] for check in health["checks"]]
        self.assertTrue(verdicts[3], health)
        self.assertIn("900 of 900 sets counted", health["checks"][4]["detail"])
        self.assertEqual((health["healthy"], done.code == DONE), (all(verdicts), all(verdicts)))
        # The scratch namespace is gone.
        self.assertEqual(self.cache("list", "--namespaces").lines(), [])
        text = self.run_sluice("cache", "health").text
        self.assertEqual(len(re.findall(r"(?m)^.* (PASS|FAIL) +[0-9.]+ ms ", text)), 5)


class BadInput(CacheTest):
    @unittest.skipIf(os.geteuid() == 0 and not os.path.exists("/usr/bin/setpriv"),
                     "root writes everywhere")
    def test_a_read_only_folder(self):
        self.cache("set", "k", "v")
        self.cache("set", "big", stdin=b"x" * 200_000)
        folder = self.folder_of()
        everything = [folder, *folder.rglob("*")]
        drop, program = [], pathlib.Path(SLUICE)
        if os.geteuid() == 0:
            # The checkout may be where only root can look.
            program = self.folder / "program/bin/sluice"
            for file, copy in ((SLUICE, program),
                               (ENGINE, self.folder / "program/libexec/sluice/sluice-engine")):
                copy.parent.mkdir(parents=True)
                shutil.copy(file, copy)
            # As somebody who may read all and write nothing.
            drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
            for path in [self.folder, self.home, self.home / "cache", *folder.parents[:2]]:
                if str(path).startswith(str(self.folder)):
                    path.chmod(0o755)
        for path in everything:
            path.chmod(0o555 if path.is_dir() else 0o444)

        def run(*words, stdin=b""):
            done = subprocess.run([*drop, program, "cache", *words], capture_output=True, cwd="/",
                                  input=stdin, env=self.environment(), check=False)
            return done.returncode, done.stdout, done.stderr
        self.addCleanup(lambda: [p.chmod(0o755 if p.is_dir() else 0o644) for p in everything])
        self.assertEqual(run("get", "k"), (0, b"v", b""))
        self.assertEqual(run("get", "big")[:2], (0, b"x" * 200_000))
        self.assertEqual(run("size", "--json")[0], 0)
        for flags, asked, answer in (((), b'{"op":"get","key":"k"}', b'"value":"v"'),
                                     (("-0",), b"get\0k\0", b"hit\0v\0")):
            code, out, err = run("batch", *flags, stdin=asked)
            self.assertEqual((code, err), (0, b""))
            self.assertIn(answer, out)
        # More than is kept in memory, where no file can be made beside the entries.
        code, out, err = run("batch", "-0", stdin=b"get\0big\0" * 50)
        self.assertEqual((code, err), (0, b""))
        self.assertTrue(out == (b"hit\0" + b"x" * 200_000 + b"\0") * 50)
        code, out, err = run("batch", "-0", stdin=b"set\0k\0v\0")
        self.assertEqual((code, out, len(err.splitlines())), (FAILED, b"", 1), err)
        code, out, err = run("set", "k", "other")
        self.assertEqual((code, out, len(err.splitlines())), (FAILED, b"", 1), err)

    def test_a_full_disk(self):
        self.cache("set", "k", "v")

        def small_files():
            import resource
            import signal
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
        done = subprocess.run([SLUICE, "cache", "set", "big"], input=b"\xff" + os.urandom(400_000),
                              capture_output=True, env=self.environment(), preexec_fn=small_files,
                              check=False)
        self.assertEqual((done.returncode, len(done.stderr.splitlines())), (FAILED, 1), done.stderr)
        self.cache("get", "big", code=NOT_FOUND)
        self.assertEqual(self.cache("get", "k").out, b"v")
        self.cache("verify")

    def test_foreign_newer_and_damaged_databases(self):
        self.cache("set", "k", "v")
        path = self.folder_of() / "cache.db"
        self.assertFalse((path.parent / "cache.db-wal").stat().st_size)
        whole = path.read_bytes()
        with sqlite3.connect(path) as database:
            version = database.execute("PRAGMA user_version").fetchone()[0]
            database.execute(f"PRAGMA user_version={version + 1}")
        database.close()
        for command in (("get", "k"), ("set", "k", "v"), ("size",)):
            self.refused("cache", *command, code=FAILED, mentions="newer")
        path.unlink()
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE someone (elses)")
        database.close()
        for command in (("get", "k"), ("set", "k", "v")):
            done = self.cache(*command, code=USAGE)
            self.assertEqual(done.out, b"")
        path.write_bytes(whole[:100] + b"\xa5" * (len(whole) - 100))
        for command in (("get", "k"), ("set", "k", "v"), ("size",)):
            self.refused("cache", *command, code=FAILED, mentions="repair")
        self.cache("repair")
        self.cache("set", "k", "new")
        self.assertEqual(self.cache("get", "k").out, b"new")

    def test_a_vanished_value(self):
        self.cache("set", "big", stdin=os.urandom(200_000))
        self.cache("set", "k", "v")
        for path in (self.folder_of() / "values").rglob("*"):
            if path.is_file():
                path.unlink()
        lost = self.run_sluice("cache", "get", "big")
        self.assertIn(lost.code, (FAILED, NOT_FOUND))
        self.assertEqual(lost.out, b"")
        done = self.cache("verify", code=FAILED)
        self.assertIn("repair", done.complaint)
        self.cache("repair")
        self.cache("verify")
        self.assertEqual(self.cache("list").lines(), ["k"])

    def test_closed_descriptors(self):
        """With stdout closed, the database must not be opened in its place and written into."""
        self.cache("set", "k", "v")
        for redirect in (">&-", "<&- >&- 2>&-"):
            done = subprocess.run(f"'{SLUICE}' cache get k {redirect}", shell=True, check=False,
                                  env=self.environment())
            self.assertNotEqual(done.returncode, 0)
        self.cache("verify")
        self.assertEqual(self.cache("get", "k").out, b"v")

    def test_the_deadline(self):
        late = self.start("cache", "set", "k", "--deadline", "100ms", stdin=subprocess.PIPE)
        self.assertEqual(late.process.wait(timeout=60), 6)  # its stdin never ends
        self.assertIn("deadline", late.end().complaint)
        for words in (["batch"], ["batch", "-0"]):
            late = self.start("cache", *words, "--deadline", "100ms", stdin=subprocess.PIPE)
            self.assertEqual(late.process.wait(timeout=60), 6, words)
            late.end()


if __name__ == "__main__":
    unittest.main()
