"""Installs into a temporary prefix, looks at what is there, and builds and runs examples/ against it.

The prefix is moved before it is used: an installed Sluice may not know where it was built."""

import os
import shutil
import subprocess
import tempfile
import unittest

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("SLUICE_BUILD", os.path.join(TOP, "build", "release"))


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.environment = {
            "PATH": os.environ["PATH"], "HOME": cls.folder, "LC_ALL": "C.UTF-8",
            **{f"XDG_{kind}_HOME": os.path.join(cls.folder, kind.lower())
               for kind in ("CONFIG", "DATA", "STATE", "CACHE")}}
        staged = os.path.join(cls.folder, "staged")
        # With the build's own compiler cache; --component is left out, so all is installed.
        cls.do(["cmake", "--install", BUILD, "--prefix", "/opt/sluice"],
               environment={**os.environ, "DESTDIR": staged})
        cls.prefix = os.path.join(cls.folder, "moved")
        shutil.move(os.path.join(staged, "opt", "sluice"), cls.prefix)
        cls.outside = [name for _, _, names in os.walk(staged) for name in names]

    @classmethod
    def do(cls, arguments, environment=None, **options):
        done = subprocess.run(arguments, env=environment or cls.environment, capture_output=True,
                              text=True, stdin=subprocess.DEVNULL, **options)
        if done.returncode != 0:
            raise AssertionError(f"{arguments} exited with {done.returncode}:\n"
                                 f"{done.stdout[-3000:]}{done.stderr[-3000:]}")
        return done.stdout

    def path(self, *names):
        return os.path.join(self.prefix, *names)

    def sluice(self, *arguments):
        return self.do([self.path("bin", "sluice"), *arguments])

    def test_nothing_is_installed_outside_of_the_prefix(self):
        self.assertEqual(self.outside, [])

    def test_the_program_runs_from_where_it_was_moved(self):
        self.assertIn("sluice", self.sluice("version"))
        self.assertIn("kv", self.sluice("tree"))

    def test_what_goes_with_the_program(self):
        for name, words in {"share/man/man1/sluice.1": ".TH",
                            "share/bash-completion/completions/sluice": "complete",
                            "share/zsh/site-functions/_sluice": "#compdef sluice",
                            "share/fish/vendor_completions.d/sluice.fish": "complete -c sluice",
                            "share/doc/sluice/LICENSE": "Apache License",
                            "share/doc/sluice/third-party.md": "Boost"}.items():
            with open(self.path(*name.split("/")), encoding="utf-8") as text:
                self.assertIn(words, text.read(), name)
        self.do(["bash", "-n", self.path("share", "bash-completion", "completions", "sluice")])

    def test_headers(self):
        installed = {os.path.relpath(os.path.join(folder, name), self.path("include", "sluice"))
                     for folder, _, names in os.walk(self.path("include")) for name in names}
        self.assertIn("store/store.h", installed)
        self.assertTrue(all(name.endswith(".h") for name in installed), installed)
        for name in installed:
            with open(self.path("include", "sluice", name), encoding="utf-8") as header:
                self.assertNotIn("gtest/", header.read(), f"{name} belongs to the tests")

    def test_examples(self):
        build = os.path.join(self.folder, "examples")
        compiler = "CMAKE_CXX_COMPILER:"
        with open(os.path.join(BUILD, "CMakeCache.txt"), encoding="utf-8") as cache:
            chosen = next(line.strip().split("=", 1)[1] for line in cache
                          if line.startswith(compiler))
        self.do(["cmake", "-S", os.path.join(TOP, "examples"), "-B", build, "-G", "Ninja",
                 f"-DCMAKE_PREFIX_PATH={self.prefix}", f"-DCMAKE_CXX_COMPILER={chosen}"])
        self.do(["ninja", "-C", build])
        for name in ("copy_stores.cc", "delete_by_tag.cc"):
            with open(os.path.join(TOP, "examples", name), encoding="utf-8") as source:
                self.assertLess(len(source.readlines()), 40, f"{name} is to stay short")

        source = "sqlite:" + os.path.join(self.folder, "source.db")
        target = "sqlite:" + os.path.join(self.folder, "target.db")
        lines = "".join(
            f'{{"key":"page:{i}","value":"v{i}","metadata":{{"tags":["t{i % 10}"], "n":{i}.0}}}}\n'
            for i in range(1000))
        with open(os.path.join(self.folder, "in.ndjson"), "w", encoding="utf-8") as out:
            out.write(lines)
        self.sluice("kv", "import", "--store", source, "--namespace", "default", "--yes",
                    out.name)
        export = ("kv", "export", "--namespace", "default", "--store")

        self.do([os.path.join(build, "copy_stores"), source, target])
        self.assertEqual(self.sluice(*export, target), self.sluice(*export, source))
        self.assertEqual(sorted(self.sluice(*export, target).splitlines()),
                         sorted(lines.splitlines()))

        self.do([os.path.join(build, "delete_by_tag"), target, "tags", "t3"])
        left = self.sluice(*export, target).splitlines()
        self.assertEqual(sorted(left),
                         sorted(line for line in lines.splitlines() if '"t3"' not in line))

        # A store that does not exist is a failure with a sentence, not a crash.
        wrong = subprocess.run([os.path.join(build, "copy_stores"), "nothing:", target],
                               env=self.environment, capture_output=True, text=True)
        self.assertEqual(wrong.returncode, 2)
        self.assertIn("nothing", wrong.stderr)


if __name__ == "__main__":
    unittest.main()
