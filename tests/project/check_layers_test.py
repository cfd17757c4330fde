"""scripts/check-layers accepts this source, and refuses each kind of breach."""

import os
import subprocess
import sys
import tempfile
import unittest

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
SCRIPT = os.path.join(TOP, "scripts", "check-layers")


def check(root):
    return subprocess.run([sys.executable, SCRIPT, root], capture_output=True, text=True)


def check_files(files):
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            full = os.path.join(root, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8") as out:
                out.write(text)
        return check(root)


class CheckLayers(unittest.TestCase):
    def refused(self, path, text, words):
        result = check_files({path: text})
        self.assertEqual(result.returncode, 1, f"{path}: {text!r} was accepted")
        self.assertIn(words, result.stderr)
        self.assertIn(path, result.stderr)

    def accepted(self, path, text):
        result = check_files({path: text})
        self.assertEqual((result.returncode, result.stderr), (0, ""), f"{path}: {text!r}")

    def test_the_source_keeps_its_layers(self):
        result = check(TOP)
        self.assertEqual((result.returncode, result.stderr), (0, ""))

    def test_no_source_at_all_is_not_a_success(self):
        with tempfile.TemporaryDirectory() as root:
            self.assertEqual(check(root).returncode, 1)

    def test_includes_point_down(self):
        self.accepted("src/flow/a.cc", '#include "io/task.h"\n#include "flow/b.h"\n')
        self.accepted("src/store/cloudflare/a.cc", '#include "store/store.h"\n#include "http/client.h"\n')
        self.accepted("apps/sluice-engine/a.cc", '#include "bulk/copy.h"\n#include "base/error.h"\n')
        self.refused("src/base/a.h", '#include "io/task.h"\n', "io is not below it")
        self.refused("src/flow/a.cc", '#  include "store/store.h"\n', "store is not below it")
        self.refused("src/store/sqlite/a.cc", '#include "bulk/copy.h"\n', "bulk is not below it")
        self.refused("src/http/a.cc", '#include "redis/reply.h"\n', "redis is not below it")
        self.refused("src/bulk/a.cc", '#include "apps/sluice-engine/context.h"\n', "program's")

    def test_an_unknown_room_and_a_nameless_include(self):
        self.refused("src/utils/a.cc", "\n", "not in the list of rooms")
        self.refused("src/flow/a.cc", '#include "gate.h"\n', 'write "room/gate.h"')

    def test_tests_may_look_anywhere(self):
        self.accepted("src/flow/gate_test.cc", '#include "store/store.h"\nint f() { return printf("x"); }\n')

    def test_only_programs_print(self):
        for text in ('std::cout << 1;', 'std::printf("x");', 'printf("x");', 'fmt::print("{}", 1);',
                     'std::fprintf(stderr, "x");', 'fputs("x", stdout);', 'std::cerr << 1;'):
            self.refused("src/bulk/a.cc", f"void f() {{ {text} }}\n", "writes to the terminal")
            self.accepted("apps/sluice-engine/a.cc", f"void f() {{ {text} }}\n")
        self.accepted("src/bulk/a.cc", '// printf("x")\n/* std::cout\n << 1 */\nauto s = "std::cout";\n')
        self.accepted("src/bulk/a.cc", 'int n = std::snprintf(b, 4, "x");\nvoid f() { out.print(x); }\n')

    def test_heavy_headers_stay_out_of_ours(self):
        self.accepted("src/http/a.cc", "#include <curl/curl.h>\n")
        self.accepted("src/http/a.h", "#include <curl/curl.h>\n")
        self.accepted("src/sqlite/a.h", "#include <sqlite3.h>\n")
        for slow in ("curl/curl.h", "boost/json.hpp", "simdjson.h", "sqlite3.h"):
            result = check_files({"src/http/a.h": f"#include <{slow}>\n",
                                  "src/http/b.h": '#include "http/a.h"\n'})
            self.assertEqual(result.returncode, 1)
            self.assertIn("slow to parse", result.stderr)

    def test_cli11_is_in_one_file(self):
        self.accepted("apps/sluice-engine/command_line.cc", "#include <CLI/CLI.hpp>\n")
        self.refused("apps/sluice-engine/doctor.cc", "#include <CLI/CLI.hpp>\n", "CLI11")

    def test_the_front_stays_small(self):
        self.accepted("apps/sluice/main.cc", '#include "base/error.h"\n#include "localcache/cache.h"\n')
        self.refused("apps/sluice/main.cc", '#include "store/store.h"\n', "front binary")
        self.refused("apps/sluice/main.cc", "#include <boost/asio.hpp>\n", "front binary")
        self.refused("apps/cache/get.cc", '#include "store/store.h"\n', "front binary")
        self.refused("apps/cache/get.cc", "#include <boost/json.hpp>\n", "front binary")
        self.refused("src/sqlite/a.cc", "#include <boost/asio.hpp>\n", "no event loop")


if __name__ == "__main__":
    unittest.main()
