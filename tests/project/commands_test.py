"""docs/commands.md is what `sluice tree` prints. `commands_test.py --update` writes it anew."""

import os
import subprocess
import sys
import unittest

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("SLUICE_BUILD", os.path.join(TOP, "build", "release"))
PAGE = os.path.join(TOP, "docs", "commands.md")


def page():
    tree = subprocess.run([os.path.join(BUILD, "bin", "sluice"), "tree"], capture_output=True,
                          text=True, check=True).stdout
    return ("# Commands\n\nWhat `sluice tree` prints; `sluice tree --flags` adds every flag, and "
            "`sluice help COMMAND`\nexplains one with examples. Written by "
            f"`tests/project/commands_test.py --update`.\n\n```text\n{tree}```\n")


class Commands(unittest.TestCase):
    maxDiff = None

    def test_the_page_is_up_to_date(self):
        with open(PAGE, encoding="utf-8") as current:
            self.assertEqual(current.read(), page(),
                             "run: python3 tests/project/commands_test.py --update")


if __name__ == "__main__":
    if sys.argv[1:] == ["--update"]:
        with open(PAGE, "w", encoding="utf-8") as out:
            out.write(page())
    else:
        unittest.main()
