"""scripts/setup, with a made-up apt: it asks for what is missing and for nothing else."""

import os
import subprocess
import tempfile
import unittest

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
SETUP = os.path.join(TOP, "scripts", "setup")

# $WORLD/installed and $WORLD/known hold package names; $WORLD/calls records what apt-get was told.
DPKG_QUERY = """#!/bin/bash
[[ $1 == -W && $2 == -f ]] || exit 2
shift 3
for package in "$@"; do
  if grep -qx "$package" "$WORLD/installed"; then printf '%s=installed ' "$package"
  elif grep -qx "$package" "$WORLD/removed"; then printf '%s=config-files ' "$package"
  fi
done
exit 1
"""
APT_CACHE = """#!/bin/bash
if grep -qx "${@: -1}" "$WORLD/known"; then
  printf 'Package: %s\\nFilename: pool/x.deb\\n' "${@: -1}"
  # More than a pipe holds.
  head -c 200000 /dev/zero | tr '\\0' 'd'
fi
"""
APT_GET = """#!/bin/bash
[[ $DEBIAN_FRONTEND == noninteractive ]] || exit 9
echo "$*" >>"$WORLD/calls"
case " $* " in
  *" update "*) if [[ -e $WORLD/offline ]]; then echo "W: Failed to fetch"; exit 0; fi
    cat "$WORLD/archive" >>"$WORLD/known" ;;
  *" install "*) if [[ -e $WORLD/stale ]]; then rm "$WORLD/stale"; exit 100; fi ;;
esac
"""
SUDO = '#!/bin/bash\nexec "$@"\n'


class Setup(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.world = folder.name
        for name, text in {"dpkg-query": DPKG_QUERY, "apt-cache": APT_CACHE, "apt-get": APT_GET,
                           "sudo": SUDO}.items():
            self.write("bin/" + name, text)
            os.chmod(os.path.join(self.world, "bin", name), 0o755)
        listed = subprocess.run([SETUP, "--list"], capture_output=True, text=True, check=True)
        self.packages = listed.stdout.split()
        for name in ("installed", "known", "archive"):
            self.write(name, "".join(package + "\n" for package in self.packages))
        self.write("removed", "")
        self.write("calls", "")

    def write(self, name, text):
        path = os.path.join(self.world, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)

    def without(self, *gone):
        return "".join(package + "\n" for package in self.packages if package not in gone)

    def calls(self):
        with open(os.path.join(self.world, "calls"), encoding="utf-8") as calls:
            return calls.read().splitlines()

    def run_setup(self, *arguments, path=None):
        environment = {"WORLD": self.world,
                       "PATH": path if path is not None else self.world + "/bin:/usr/bin:/bin"}
        return subprocess.run(["/bin/bash", SETUP, *arguments], env=environment, capture_output=True,
                              text=True, stdin=subprocess.DEVNULL)

    def test_silent_when_nothing_is_missing(self):
        for arguments in ([], ["--test"]):
            result = self.run_setup(*arguments)
            self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))
        self.assertEqual(self.calls(), [])

    def test_installs_what_is_missing_and_removes_nothing(self):
        self.write("installed", self.without("ninja-build", "zlib1g-dev", "libgtest-dev"))
        self.write("removed", "ninja-build\n")
        result = self.run_setup()
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(len(self.calls()), 1)
        self.assertTrue(self.calls()[0].endswith(" ninja-build zlib1g-dev"), self.calls())
        self.assertIn("--no-remove", self.calls()[0])
        self.assertIn("--no-install-recommends", self.calls()[0])

    def test_the_tests_need_more(self):
        self.write("installed", self.without("libgtest-dev"))
        self.assertEqual(self.run_setup().stdout, "")
        self.assertIn("libgtest-dev", self.run_setup("--test").stdout)

    def test_updates_the_lists_of_a_fresh_container(self):
        self.write("installed", "")
        self.write("known", "")
        result = self.run_setup()
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual([call.split()[-1] == "update" for call in self.calls()], [True, False])

    def test_lists_that_are_out_of_date(self):
        self.write("installed", self.without("ccache"))
        self.write("stale", "")
        result = self.run_setup()
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(len(self.calls()), 3)

    def test_a_release_without_the_compiler(self):
        for name in ("installed", "known", "archive"):
            self.write(name, self.without("clang-19"))
        result = self.run_setup()
        self.assertEqual(result.returncode, 1)
        self.assertIn("has no package clang-19", result.stderr)
        self.assertIn("Debian 12", result.stderr)

    def test_offline(self):
        self.write("installed", "")
        self.write("known", "")
        self.write("offline", "")
        result = self.run_setup()
        self.assertEqual(result.returncode, 1)
        self.assertIn("network is down", result.stderr)
        self.assertIn("W: Failed to fetch", result.stderr)

    def test_another_distribution(self):
        result = self.run_setup(path=self.world)
        self.assertEqual(result.returncode, 1)
        self.assertIn("not Debian", result.stderr)
        self.assertIn("clang-19", result.stderr)

    def test_an_unknown_flag(self):
        self.assertEqual(self.run_setup("--tests").returncode, 2)


if __name__ == "__main__":
    unittest.main()
