"""The API reference builds without a warning, and no link between our pages is broken."""

import glob
import os
import re
import subprocess
import tempfile
import unittest

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
LINK = re.compile(r"\]\(([^)\s]+)\)")


def pages():
    found = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
                           cwd=TOP, capture_output=True, text=True, check=False).stdout.split()
    return found or [os.path.relpath(page, TOP) for page in
                     glob.glob(TOP + "/*.md") + glob.glob(TOP + "/[!b]*/**/*.md", recursive=True)]


class Docs(unittest.TestCase):
    def test_the_reference_builds_without_a_warning(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(TOP, "docs", "Doxyfile"), encoding="utf-8") as doxyfile:
                settings = doxyfile.read() + f"\nOUTPUT_DIRECTORY = {folder}\n"
            done = subprocess.run(["doxygen", "-"], input=settings, cwd=TOP, capture_output=True,
                                  text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            # The plain comments of the headers have arrived.
            with open(os.path.join(folder, "html", "store_8h.html"), encoding="utf-8") as page:
                self.assertIn("the interface that every key-value service is spoken to through",
                              page.read())

    def test_links_lead_somewhere(self):
        self.assertIn("README.md", pages())
        for page in pages():
            with open(os.path.join(TOP, page), encoding="utf-8") as text:
                for link in LINK.findall(text.read()):
                    if "://" in link or link.startswith("#"):
                        continue
                    target = os.path.join(TOP, os.path.dirname(page), link.split("#")[0])
                    self.assertTrue(os.path.exists(target), f"{page} links to {link}")


if __name__ == "__main__":
    unittest.main()
