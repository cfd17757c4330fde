"""Config file, precedence, doctor, tree, completion, version."""

import json
import os
import shutil
import subprocess
import unittest

from harness import DONE, FAILED, USAGE, SluiceTest, sample


class Config(SluiceTest):
    def path(self):
        return self.sluice("config", "path").text.strip()

    def write(self, text):
        path = self.path()
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o600)

    def test_path_is_in_the_home(self):
        self.assertEqual(self.path(), str(self.home / "config" / "sluice" / "config.toml"))

    def test_init_writes_a_commented_sample_once(self):
        self.sluice("config", "init")
        with open(self.path(), encoding="utf-8") as file:
            text = file.read()
        self.assertIn("#", text)
        self.assertEqual(os.stat(self.path()).st_mode & 0o777, 0o600)
        self.sluice("config", "show")
        with open(self.path(), "a", encoding="utf-8") as file:
            file.write("# mine\n")
        again = self.run_sluice("config", "init")
        self.assertNotEqual(again.code, DONE, str(again))
        with open(self.path(), encoding="utf-8") as file:
            self.assertTrue(file.read().endswith("# mine\n"))
        self.sluice("config", "init", "--yes")
        with open(self.path(), encoding="utf-8") as file:
            self.assertEqual(file.read(), text)

    def test_precedence(self):
        """Flag over environment over file over default."""
        for name in ("file", "environment", "flag"):
            self.load(sample(1), name)
            self.sluice("kv", "put", "--store", self.store, "--namespace", name, "who", name)
        self.write(f'store = "{self.store}"\nnamespace = "file"\n')
        self.assertEqual(self.sluice("kv", "get", "who").text, "file")
        env = {"SLUICE_NAMESPACE": "environment"}
        self.assertEqual(self.sluice("kv", "get", "who", env=env).text, "environment")
        self.assertEqual(self.sluice("kv", "get", "who", "--namespace", "flag", env=env).text, "flag")

    def test_config_flag(self):
        self.load(sample(1), "n")
        path = self.file("own.toml", f'store = "{self.store}"\nnamespace = "n"\n')
        self.assertEqual(self.sluice("kv", "list", "--config", path, "--format", "keys").lines(),
                         ["item:0000"])
        result = self.run_sluice("kv", "list", "--config", self.folder / "absent.toml")
        self.assertNotEqual(result.code, DONE, str(result))
        self.assertIn("absent.toml", result.complaint)

    def test_unknown_key_names_the_nearest(self):
        self.write('namespac = "x"\n')
        result = self.run_sluice("kv", "list", "--store", self.store)
        self.assertNotEqual(result.code, DONE, str(result))
        self.assertIn("namespace", result.complaint)

    def test_malformed_file_is_named_with_its_line(self):
        self.write('store = "memory:"\nnamespace = \n')
        result = self.run_sluice("kv", "list")
        self.assertNotEqual(result.code, DONE, str(result))
        self.assertIn("config.toml", result.complaint)
        self.assertIn("2", result.complaint)

    def test_show_has_no_secret(self):
        self.write('[cloudflare]\napi_token = "very-secret-token"\n')
        for flags in ([], ["--json"]):
            out = self.sluice("config", "show", *flags)
            self.assertNotIn(b"very-secret-token", out.out + out.err)
            self.assertIn("api_token", out.text)

    def test_token_from_the_file(self):
        fake = self.server("--namespaces", 1)
        self.write(f'store = "cloudflare:"\n[cloudflare]\napi_token = "{fake.token}"\n'
                   f'account_id = "{fake.account}"\napi_base_url = "{fake.url}/client/v4"\n')
        self.assertIn("namespace-00000", self.sluice("kv", "namespace", "list").text)


class Doctor(SluiceTest):
    def test_all_is_well(self):
        self.load(sample(1))
        result = self.sluice("doctor", "--store", self.store)
        self.assertNotIn("FAIL", result.text)
        self.assertIn("PASS", result.text)

    def test_json(self):
        out = self.sluice("doctor", "--store", self.store, "--json").text
        checks = [json.loads(line) for line in out.splitlines()] if out.count("\n") > 1 \
            else json.loads(out)
        self.assertTrue(checks)

    def test_refused_token(self):
        fake = self.server()
        env = {**fake.environment(), "CLOUDFLARE_API_TOKEN": "a-wrong-token"}
        result = self.run_sluice("doctor", "--store", "cloudflare:", env=env)
        self.assertEqual(result.code, FAILED, str(result))
        self.assertIn("FAIL", result.text)
        self.assertNotIn("a-wrong-token", result.text + result.complaint)

    def test_good_token(self):
        fake = self.server()
        self.assertNotIn("FAIL", self.sluice("doctor", "--store", "cloudflare:",
                                             env=fake.environment()).text)

    def test_no_server(self):
        fake = self.server()
        env = fake.environment()
        fake.close()
        result = self.run_sluice("doctor", "--store", "cloudflare:", "--timeout", "5s", env=env)
        self.assertEqual(result.code, FAILED, str(result))


class Small(SluiceTest):
    def test_version(self):
        self.assertRegex(self.sluice("version").text, r"\d+\.\d+\.\d+")
        self.assertRegex(self.sluice("version", "--json").json()["version"], r"^\d+\.\d+\.\d+")

    def test_tree(self):
        text = self.sluice("tree").text
        for word in ("kv", "namespace", "export", "jobs", "doctor", "completion"):
            self.assertIn(word, text)

    def test_completion(self):
        for shell in ("bash", "zsh", "fish"):
            with self.subTest(shell=shell):
                script = self.sluice("completion", shell).out
                self.assertIn(b"sluice", script)
                if shutil.which(shell):
                    subprocess.run([shell, "-n"], input=script, check=True)
        self.refused("completion", code=USAGE)


if __name__ == "__main__":
    unittest.main()
