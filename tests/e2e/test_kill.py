"""A hundred runs are killed at random moments and resumed: the end is the same every time."""

import concurrent.futures
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
import unittest

from harness import PATIENCE, SLUICE, SluiceTest

# Set it to see the same runs again, as far as a kill can be repeated.
SEED = int(os.environ.get("SLUICE_SEED", random.randrange(10**9)))

RUNS = 104  # in all, over four operations and two kinds of store
AT_ONCE = 2
MOST_KILLS = 4  # of one run

CONCURRENCY = 3
REMOTE_COUNT, REMOTE_BATCH = 1500, 25
LOCAL_COUNT, LOCAL_BATCH = 30_000, 200


def key(i):
    return f"item:{i:07}"


def line(i):
    tag = "fresh" if i % 3 == 0 else "stale"
    return (f'{{"key":"{key(i)}","value":"value {i} of an item",'
            f'"metadata":{{"tags":["{tag}","n{i % 7}"],"size":{i}}}}}\n')


def lines(count, kept=lambda i: True):
    return "".join(line(i) for i in range(count) if kept(i)).encode()


def left_by_delete(i):
    return i % 3 == 0


class Killed(SluiceTest):
    """What one worker thread has: a server, a home, and programs that it starts and kills."""

    def setUp(self):
        super().setUp()
        self.number = 0
        self.random = random.Random()

    def call(self, *arguments, kill_after=None):
        """Runs sluice. None: it was killed, `kill_after` seconds after its start."""
        process = subprocess.Popen([SLUICE, *map(str, arguments)], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=self.environment(self.env), cwd=self.folder)
        try:
            out, err = process.communicate(timeout=PATIENCE if kill_after is None else kill_after)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            out, err = process.communicate(timeout=PATIENCE)
        if process.returncode == -signal.SIGKILL and kill_after is not None:
            return None
        self.said = err.decode()
        self.assertEqual(process.returncode, 0, f"sluice {arguments}\n{out!r}\n{err.decode()}")
        return out

    def jobs(self):
        return [json.loads(text) for text in self.call("jobs", "list", "--json").splitlines()]

    def until_done(self, arguments, longest):
        """Runs, kills and resumes until it has ended. Returns the moments of the kills."""
        moments = []
        resume = []
        for _ in range(self.random.choice((1, 1, 2, MOST_KILLS))):
            moment = self.random.uniform(0, longest)
            if self.call(*arguments, *resume, kill_after=moment) is not None:
                return moments
            moments.append(round(moment, 4))
            resume = ["--resume"]
            states = [job["state"] for job in self.jobs()]
            # Killed when all was done; --resume would do it again.
            if states == ["finished"]:
                return moments
            self.assertLessEqual(len(states), 1, "the kills left more than one job")
        # The other way to continue, when there is something to continue.
        unfinished = [job["job"] for job in self.jobs()]
        if unfinished and self.random.random() < 0.5:
            self.call("jobs", "resume", unfinished[0], "--yes")
        else:
            self.call(*arguments, "--resume")
        return moments

    def run_case(self, operation, seed):
        """One run. Returns (kills, keys that were applied again)."""
        self.random.seed(seed)
        shutil.rmtree(self.home / "state", ignore_errors=True)
        longest = self.longest(operation)
        self.number += 1
        arguments, check = self.prepare(operation)
        moments = self.until_done(arguments, longest)
        check()
        self.assertEqual([job["state"] for job in self.jobs()], ["finished"], moments)
        again = self.applied_again()
        if again is not None and moments:
            # What was under way when it was killed, and nothing else.
            self.assertLessEqual(again, len(moments) * CONCURRENCY * REMOTE_BATCH, moments)
        return len(moments), again

    def longest(self, operation):
        """How long an undisturbed run takes, and a little more."""
        if operation not in self.durations:
            self.number += 1
            arguments, check = self.prepare(operation)
            begun = time.monotonic()
            self.call(*arguments)
            self.durations[operation] = (time.monotonic() - begun) * 1.05
            check()
            shutil.rmtree(self.home / "state")
        return self.durations[operation]


class Remote(Killed):
    """Over the Cloudflare-shaped server, slow enough to be caught in the middle."""

    def setUp(self):
        super().setUp()
        self.fake = self.server("--latency", "6ms")
        self.env = self.fake.environment()
        self.durations = {}

    def raw_fill(self, title):
        where = self.fake.create(title)
        body = b"[" + b",".join(lines(REMOTE_COUNT).splitlines()) + b"]"
        self.fake.ask("PUT", f"/client/v4/accounts/{self.fake.account}/storage/kv/namespaces/{where}/bulk",
                      body)

    def held(self, title):
        """What the server holds, from its own memory, as the lines of an export."""
        return "".join(entry.line() for entry in self.fake.entries(title).values()).encode()

    def prepare(self, operation):
        title, target = f"test-{self.number}", f"target-{self.number}"
        there = ["--store", "cloudflare:", "--namespace", title, "--rate", "off", "--batch-size",
                 REMOTE_BATCH, "--concurrency", CONCURRENCY, "--progress", "off"]
        everything = lines(REMOTE_COUNT)
        if operation == "import":
            self.fake.create(title)
            path = self.file(f"in-{self.number}", everything)
            arguments = ["kv", "import", *there, "--yes", path]
            expected, where = everything, title
        else:
            self.raw_fill(title)
        if operation == "delete":
            arguments = ["kv", "delete", *there, "--tag-field", "tags", "--tag-value", "stale", "--yes"]
            expected, where = lines(REMOTE_COUNT, left_by_delete), title
        elif operation == "copy":
            self.fake.create(target)
            arguments = ["kv", "copy", *there, "--to-namespace", target, "--yes"]
            expected, where = everything, target
        elif operation == "export":
            path = self.folder / f"out-{self.number}"
            arguments = ["kv", "export", *there, "-o", path]
            self.fake.count_applied()
            return arguments, lambda: self.assert_file(path, everything)
        self.fake.count_applied()
        return arguments, lambda: self.assert_same(self.held(where), expected)

    def applied_again(self):
        applied = self.fake.applied()
        return applied["put"]["again"] + applied["erased"]["again"]

    def assert_same(self, got, expected):
        """Bytes. Not by assertEqual, which takes minutes to tell how long texts differ."""
        if got == expected:
            return
        got, expected = got.splitlines(), expected.splitlines()
        missing = sorted(set(expected) - set(got))
        wrong = sorted(set(got) - set(expected))
        self.fail(f"{len(got)} lines instead of {len(expected)}; {len(missing)} missing: {missing[:2]}; "
                  f"{len(wrong)} that should not be there: {wrong[:2]}")

    def assert_file(self, path, expected):
        self.assert_same(path.read_bytes(), expected)
        self.assertEqual([p.name for p in path.parent.glob(path.name + "*")], [path.name])


class Local(Remote):
    """Over a database file."""

    def setUp(self):
        Killed.setUp(self)
        self.env = {}
        self.durations = {}
        self.everything = lines(LOCAL_COUNT)
        self.input = self.file("in", self.everything)
        self.full = self.folder / "full.db"
        self.call("kv", "import", "--store", f"sqlite:{self.full}", "--yes", self.input)
        shutil.rmtree(self.home / "state")

    def fresh(self, name, full=True):
        """A database of its own for one run; a killed process may have left more than one file."""
        for old in self.folder.glob(f"{name}*"):
            old.unlink()
        path = self.folder / f"{name}{self.number}.db"
        if full:
            shutil.copyfile(self.full, path)
        return f"sqlite:{path}"

    def prepare(self, operation):
        store = self.fresh("run-", full=operation != "import")
        there = ["--store", store, "--batch-size", LOCAL_BATCH, "--concurrency", CONCURRENCY,
                 "--progress", "off"]
        expected, where = self.everything, store
        if operation == "import":
            arguments = ["kv", "import", *there, "--yes", self.input]
        elif operation == "delete":
            arguments = ["kv", "delete", *there, "--tag-field", "tags", "--tag-value", "stale", "--yes"]
            expected = lines(LOCAL_COUNT, left_by_delete)
        elif operation == "copy":
            where = self.fresh("target-", full=False)
            arguments = ["kv", "copy", *there, "--to", where, "--yes"]
        else:
            path = self.folder / f"out-{self.number}"
            return ["kv", "export", *there, "-o", path], lambda: self.assert_file(path, self.everything)

        def check():
            self.assert_same(self.call("kv", "export", "--store", where), expected)
        return arguments, check

    def applied_again(self):
        return None


class Kills(unittest.TestCase):
    def test_every_run_ends_alike(self):
        print(f"SLUICE_SEED={SEED}", flush=True)
        # Each combination in turn, so that each worker meets all of them.
        cases = [(kind, operation) for operation in ("delete", "import", "export", "copy")
                 for kind in (Remote, Local)]
        plan = [(*cases[number % len(cases)], SEED + number) for number in range(RUNS)]

        def work(worker):
            kinds = {}
            kills, again, mistakes = 0, 0, []
            try:
                for kind, operation, seed in plan[worker::AT_ONCE]:
                    if kind not in kinds:
                        kinds[kind] = kind()
                        kinds[kind].setUp()
                    try:
                        killed, repeated = kinds[kind].run_case(operation, seed)
                    except Exception as problem:
                        mistakes.append(f"{kind.__name__} {operation}, seed {seed}: {problem}")
                        continue
                    kills += killed
                    again += repeated or 0
            finally:
                for each in kinds.values():
                    each.doCleanups()
            return kills, again, mistakes

        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            results = list(pool.map(work, range(AT_ONCE)))
        mistakes = [mistake for _, _, found in results for mistake in found]
        self.assertEqual(mistakes, [], f"SLUICE_SEED={SEED}\n" + "\n".join(mistakes)[:4000])
        kills = sum(killed for killed, _, _ in results)
        print(f"{RUNS} runs, {kills} kills, {sum(again for _, again, _ in results)} keys applied again",
              flush=True)
        # A run that ends before its moment has come is not killed; most are.
        self.assertGreater(kills, RUNS * 3 // 4)


class Hanging(Remote):
    """The first call that changes something hangs, and all others go on: what they have done is not
    done again."""

    def case(self, operation, route, least=REMOTE_BATCH, most=CONCURRENCY * REMOTE_BATCH):
        self.number += 1
        arguments, check = self.prepare(operation)
        # It is applied, and no answer comes.
        self.fake.faults(script=[{"route": route, "nth": 1, "fault": "stall"}], stall_ms=60_000)
        self.fake.reset()
        self.fake.count_applied()
        kind = "erased" if operation == "delete" else "put"
        expected = sum(not left_by_delete(i) for i in range(REMOTE_COUNT)) if operation == "delete" \
            else REMOTE_COUNT
        process = subprocess.Popen([SLUICE, *map(str, arguments)], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   env=self.environment(self.env), cwd=self.folder)
        try:
            limit = time.monotonic() + 30
            while self.fake.applied()[kind]["keys"] < expected:
                self.assertIsNone(process.poll(), "it ended, though one call hangs")
                self.assertLess(time.monotonic(), limit, "the others did not go on")
                time.sleep(0.02)
        finally:
            process.kill()
            process.wait()
        self.assertEqual(self.fake.applied()[kind]["again"], 0)
        self.fake.faults()
        self.call(*arguments, "--resume")
        check()
        self.assertEqual([job["state"] for job in self.jobs()], ["finished"])
        again = self.applied_again()
        print(f"{operation} behind a call that hung: {again} of {expected} keys applied again", flush=True)
        self.assertGreaterEqual(again, least, "the call that hung was not done again")
        self.assertLessEqual(again, most)

    def test_an_import_repeats_only_what_was_under_way(self):
        self.case("import", "PUT bulk")

    def test_a_copy_repeats_only_what_was_under_way(self):
        self.case("copy", "PUT bulk")

    def test_a_delete_repeats_only_what_was_under_way(self):
        # It was applied: the listing shows the resumed job that its keys are gone.
        self.case("delete", "POST bulk/delete", least=0, most=0)

    def test_a_delete_by_a_file_of_keys_repeats_only_what_was_under_way(self):
        listed = self.file("stale", "".join(f"{key(i)}\n" for i in range(REMOTE_COUNT)
                                            if not left_by_delete(i)))
        by_tag = self.prepare

        def prepare(operation):
            arguments, check = by_tag(operation)
            at = arguments.index("--tag-field")
            return arguments[:at] + ["--keys-file", listed, "--yes"], check
        self.prepare = prepare
        self.case("delete", "POST bulk/delete")


class TornJournal(Local):
    """The last record of a journal is cut off at every byte, as a crash in the middle of writing it
    does, or followed by what a disk may leave there: the job goes on from the record before."""

    def jobs_folder(self):
        return self.home / "state/sluice/jobs"

    def journal(self):
        return next(self.jobs_folder().glob("*.journal"))

    def killed_in_the_middle(self, operation):
        """Leaves a job whose journal ends with a checkpoint. Returns (job, check, what to restore)."""
        for attempt in range(1, 500):
            shutil.rmtree(self.home / "state", ignore_errors=True)
            self.number += 1
            arguments, check = self.prepare(operation)
            if self.call(*arguments, kill_after=0.005 + attempt % 60 / 1000) is not None:
                continue
            journals = list(self.jobs_folder().glob("*.journal"))
            if journals and journals[0].read_bytes().count(b"\n") > 3:
                job = self.jobs()[0]
                if job["state"] == "unfinished":
                    return job["job"], check
        self.fail("no run was caught in the middle")

    def resumes_from(self, job, check, variants):
        """For each content of the journal: resumes the job from the state in which it is now."""
        before = self.folder / "before"
        before.mkdir()
        kept = [path for path in self.folder.iterdir()
                if path.is_file() and path.name.startswith(("run-", "out-"))]
        for path in kept:
            shutil.copyfile(path, before / path.name)
        shutil.copytree(self.jobs_folder(), before / "jobs")
        for name, content in variants:
            with self.subTest(journal=name):
                for path in self.folder.glob("run-*"):
                    path.unlink()
                for path in self.folder.glob("out-*"):
                    path.unlink()
                for path in kept:
                    shutil.copyfile(before / path.name, path)
                shutil.rmtree(self.jobs_folder())
                shutil.copytree(before / "jobs", self.jobs_folder())
                self.journal().write_bytes(content)
                self.call("jobs", "resume", job, "--yes")
                self.assertRegex(self.said, f"resuming job {job}: [0-9,]+ of")
                check()
                self.assertEqual([one["state"] for one in self.jobs()], ["finished"])

    def cut(self, whole, step=1):
        last = whole.rindex(b"\n", 0, len(whole) - 1) + 1
        return [(f"cut {len(whole) - at} bytes before its end", whole[:at])
                for at in range(last, len(whole) + 1, step)]

    def test_an_export_goes_on_from_a_record_cut_at_every_byte(self):
        job, check = self.killed_in_the_middle("export")
        self.resumes_from(job, check, self.cut(self.journal().read_bytes()))

    def test_a_delete_goes_on_from_a_torn_record(self):
        job, check = self.killed_in_the_middle("delete")
        self.resumes_from(job, check, self.cut(self.journal().read_bytes(), step=13))

    def test_a_finished_export_whose_last_record_is_torn(self):
        """The file has its name already."""
        self.number += 1
        arguments, check = self.prepare("export")
        self.call(*arguments)
        whole = self.journal().read_bytes()
        self.resumes_from(self.jobs()[0]["job"], check, self.cut(whole)[:-1])

    def test_garbage_behind_the_last_record(self):
        job, check = self.killed_in_the_middle("export")
        whole = self.journal().read_bytes()
        last = whole[whole.rindex(b"\n", 0, len(whole) - 1) + 1:]
        some = random.Random(SEED).randbytes
        self.resumes_from(job, check, [
            ("random bytes", whole + some(300)),
            ("random lines", whole + b"\n".join(some(50) for _ in range(20))),
            ("zeros, as a file system leaves after a power cut", whole + bytes(2 << 20)),
            ("empty lines", whole + b"\n" * 100),
            ("a record with another hash", whole + b"0123456789abcdef" + last[16:]),
            ("a record with one bit changed", whole + last[:40] + bytes([last[40] ^ 1]) + last[41:]),
            ("a damaged record before good ones", whole + b"x" + last[1:] + last),
            ("one long line", whole + b"x" * (3 << 20)),
        ])


if __name__ == "__main__":
    unittest.main()
