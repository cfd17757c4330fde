"""The whole program over a real PostgreSQL."""

import base64
import json
import re
import shutil
import signal
import socket
import subprocess
import time
import unittest

from harness import (DONE, FAILED, INTERRUPTED, NOT_FOUND, ODD_ENTRIES, SOME_FAILED, THROTTLED,
                     UNAUTHORIZED, UNKNOWN_HOST, USAGE, Entry, SluiceTest, by_key,
                     code_of_unknown_host, parse_ndjson, sample)
from postgres_server import PASSWORD, PostgresServer

SERVER = None


def setUpModule():
    global SERVER
    SERVER = PostgresServer().start()


def tearDownModule():
    SERVER.close()


class PostgresTest(SluiceTest):
    def setUp(self):
        super().setUp()
        self.database = SERVER.database()
        self.store = SERVER.url(self.database)

    def sql(self, text):
        return SERVER.sql(text, self.database)

    def no_secret(self, result):
        for text in (PASSWORD, "correct", "hunter2"):
            self.assertNotIn(text, result.complaint)
            self.assertNotIn(text, result.text)


class Commands(PostgresTest):
    def test_the_default_namespace_is_there_and_needs_no_name(self):
        self.assertEqual(self.sluice("kv", "list", "--store", self.store, "--format", "keys").out, b"")
        self.assertEqual(self.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "0",
                         "reading made a table")
        self.sluice("kv", "put", "--store", self.store, "greeting", "hello")
        got = self.sluice("kv", "get", "--store", self.store, "greeting")
        self.assertEqual(got.out.rstrip(b"\n"), b"hello")
        self.assertEqual(self.sql("SELECT key, value FROM sluice_kv"),
                         "\\x6772656574696e67\t\\x68656c6c6f")
        self.sluice("kv", "get", "--store", self.store, "absent", code=NOT_FOUND)
        self.sluice("kv", "delete", "--store", self.store, "greeting", "--yes")
        self.assertEqual(self.sql("SELECT count(*) FROM sluice_kv"), "0")

    def test_a_dry_run_makes_nothing(self):
        entries = self.file("in.ndjson", "".join(entry.line() for entry in sample(50)))
        for more in ([], ["--namespace", "new", "--create-namespace"]):
            self.sluice("kv", "import", "--store", self.store, "--dry-run", *more, entries)
        self.sluice("kv", "delete", "--store", self.store, "--all", "--dry-run")
        self.sluice("doctor", "--store", self.store)
        self.assertEqual(self.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "0")

    def test_every_kind_of_entry_comes_back_byte_for_byte(self):
        entries = ODD_ENTRIES + sample(3000) + [
            Entry("metadata", "v", '{ "z":1, "a": 1.10 ,"u":"\\u0041\\u0000","same":1,"same":2 }')]
        self.load(entries)
        self.same(self.content(), by_key(entries))
        # Sluice is not needed to read them.
        row = self.sql("SELECT convert_from(value, 'UTF8'), metadata FROM sluice_kv_1 WHERE key = "
                       "'metadata'")
        self.assertEqual(row, 'v\t{ "z":1, "a": 1.10 ,"u":"\\u0041\\u0000","same":1,"same":2 }')

    def test_binary_keys_of_the_servers_own(self):
        self.sql("CREATE TABLE sluice_kv(key bytea PRIMARY KEY, value bytea, metadata json, "
                 "expires_at timestamptz)")
        self.sql("INSERT INTO sluice_kv SELECT decode(lpad(to_hex(i), 4, '0'), 'hex'), 'v', NULL, NULL "
                 "FROM generate_series(0, 65535, 97) AS i")
        out = self.sluice("kv", "export", "--store", self.store, "--format", "ndjson").out
        self.assertEqual(sorted(parse_ndjson(out)), [i.to_bytes(2, "big") for i in range(0, 65536, 97)])
        self.sluice("kv", "copy", "--store", self.store, "--to", f"sqlite:{self.db}")
        self.same(self.content("default", f"sqlite:{self.db}"), self.content("default"))

    def test_what_has_expired_is_gone(self):
        entries = [Entry("stays", "v"), Entry("expires", "v", "", 4_102_444_800)]
        self.load(entries)
        self.same(self.content(), by_key(entries))
        self.sql("UPDATE sluice_kv_1 SET expires_at = now() - interval '1 second' WHERE key = 'expires'")
        self.same(self.content(), by_key(entries[:1]))
        self.sluice("kv", "get", "--store", self.store, "--namespace", "test", "expires",
                    code=NOT_FOUND)
        self.assertEqual(self.sql("SELECT count(*) FROM sluice_kv_1"), "2", "it is not ours to delete")

    def test_namespaces(self):
        there = ["--store", self.store]
        self.sluice("kv", "namespace", "create", *there, "My ünï/code; DROP TABLE \"x\"")
        listed = self.sluice("kv", "namespace", "list", *there, "--json").lines()
        self.assertEqual([json.loads(line)["title"] for line in listed],
                         ["My ünï/code; DROP TABLE \"x\"", "default"])
        self.sluice("kv", "namespace", "create", *there, "default", code=FAILED)
        self.sluice("kv", "namespace", "rename", *there, "My ünï/code; DROP TABLE \"x\"", "other")
        self.load(sample(10), "other")
        self.refused("kv", "list", *there, "--namespace", "absent", code=NOT_FOUND, mentions="absent")
        self.refused("kv", "list", *there, "--namespace-id", "77", code=NOT_FOUND, mentions="77")
        self.refused("kv", "list", *there, "--namespace-id", "x; y", code=NOT_FOUND, mentions="x; y")
        self.sluice("kv", "namespace", "delete", *there, "other", "--yes")
        self.assertEqual(self.sql("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'sluice_kv%'"),
                         "0")

    def test_selection_and_deletion(self):
        entries = sample(500)
        self.load(entries)
        self.assertEqual(self.keys("--all"), [entry.key.decode() for entry in entries])
        self.assertEqual(len(self.keys("--search", "old-DATA", "--all")), 100)
        self.assertEqual(self.keys("--prefix", "item:000"), [f"item:{i:04}" for i in range(10)])
        self.sluice("kv", "delete", "--store", self.store, "--namespace", "test", "--tag-field", "tags",
                    "--tag-value", "even", "--yes")
        self.assertEqual(len(self.keys("--all")), 250)

    def test_an_import_again_replaces(self):
        self.load(sample(5000))
        entries = [Entry(entry.key, b"new", "", 0) for entry in sample(5000)]
        self.load(entries)
        self.same(self.content(), by_key(entries))

    def test_a_bad_entry_fails_alone(self):
        self.sql("CREATE TABLE sluice_kv(key bytea PRIMARY KEY, value bytea, metadata json, expires_at "
                 "timestamptz, CHECK (value <> 'bad'))")
        lines = "".join(Entry(f"k{i:04}", "bad" if i in (77, 1500) else "good").line()
                        for i in range(2000))
        failed = self.folder / "failed"
        result = self.sluice("kv", "import", "--store", self.store, "--yes", "--failures", failed,
                             self.file("in", lines), code=SOME_FAILED)
        self.assertIn("constraint", result.complaint)
        self.assertIn("k0077", failed.read_text())
        self.assertIn("k1500", failed.read_text())
        self.assertEqual(len(failed.read_text().splitlines()), 2)
        self.assertEqual(self.sql("SELECT count(*) FROM sluice_kv"), "1998")

    def test_a_table_and_a_schema_of_the_operators(self):
        self.sql('CREATE SCHEMA "their data"; CREATE TABLE "their data"."kv table"(key bytea PRIMARY '
                 'KEY, value bytea, metadata json, expires_at timestamptz, seen int DEFAULT 7)')
        url = self.store + "?schema=their%20data&table=kv%20table"
        self.sluice("kv", "put", "--store", url, "a", "1")
        self.assertEqual(self.sql('SELECT seen FROM "their data"."kv table"'), "7")
        self.refused("kv", "put", "--store", self.store + "?table=absent", "a", "1", code=NOT_FOUND,
                     mentions=["absent", "create table"])
        self.sql("CREATE TABLE other(key text PRIMARY KEY, value bytea, metadata jsonb)")
        self.refused("kv", "list", "--store", self.store + "?table=other",
                     mentions=["other", "jsonb"])

    def test_copies_to_and_from_other_stores(self):
        entries = sample(1200)
        self.load(entries)
        self.sluice("kv", "copy", "--store", self.store, "--namespace", "test", "--to",
                    f"sqlite:{self.db}", "--create-namespace")
        self.same(self.content("test", f"sqlite:{self.db}"), by_key(entries))
        self.sluice("kv", "copy", "--store", f"sqlite:{self.db}", "--namespace", "test", "--to",
                    self.store, "--to-namespace", "back", "--create-namespace")
        self.same(self.content("back"), by_key(entries))


class Connecting(PostgresTest):
    def test_refusals_say_what_to_do_and_no_secret(self):
        refusals = [
            (SERVER.url(self.database, password="hunter2"), UNAUTHORIZED, ["password", "PGPASSWORD"]),
            (SERVER.url(self.database, user="nobody", password="hunter2"), UNAUTHORIZED, ["nobody"]),
            (SERVER.url(self.database, password=""), UNAUTHORIZED, ["password"]),
            (SERVER.url("absent"), NOT_FOUND, ["absent", "createdb"]),
            (self.store + "?sslmode=require", FAILED, ["sslmode"]),
            (self.store + "?sslmod=require", USAGE, ["sslmode"]),
            (self.store + "?schema=absent", NOT_FOUND, ["schema"]),
        ]
        for url, code, words in refusals:
            with self.subTest(url=url):
                self.no_secret(self.refused("kv", "put", "--store", url, "k", "v", code=code,
                                            mentions=words))

    def test_a_schema_that_is_not_there_is_not_an_empty_one(self):
        absent = self.store + "?schema=absent"
        target = f"sqlite:{self.folder / 'target.db'}"
        self.load(sample(3), "default", store=target)
        self.refused("kv", "list", "--store", absent, code=NOT_FOUND, mentions=["absent", "schema="])
        self.sluice("kv", "sync", "--store", absent, "--to", target, "--delete", "--yes", code=NOT_FOUND)
        self.assertEqual(len(self.content("default", store=target)), 3)

    def test_an_unknown_host_and_a_server_that_is_gone(self):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            for host, code in ((UNKNOWN_HOST, code_of_unknown_host()),
                               (f"127.0.0.1:{closed.getsockname()[1]}", THROTTLED)):
                began = time.monotonic()
                result = self.refused("kv", "list", "--store", f"postgres://u:hunter2@{host}/x",
                                      "--deadline", "5s", code=code, mentions=[host.split(":")[0]])
                self.assertLess(time.monotonic() - began, 60)
                self.no_secret(result)

    def test_passwords_come_from_where_libpq_looks(self):
        url = SERVER.url(self.database, password="")
        self.sluice("kv", "put", "--store", url, "k", "v", env={"PGPASSWORD": PASSWORD})
        passfile = self.file("pass", f"127.0.0.1:*:*:owner:{PASSWORD}\n")
        passfile.chmod(0o600)
        self.sluice("kv", "get", "--store", url, "k", env={"PGPASSFILE": passfile})
        service = self.file("service", f"[there]\nhost=127.0.0.1\nport={SERVER.port}\nuser=owner\n"
                                       f"dbname={self.database}\npassword={PASSWORD}\n")
        self.sluice("kv", "get", "--store", "postgres:", "k",
                    env={"PGSERVICEFILE": service, "PGSERVICE": "there"})
        self.sluice("kv", "get", "--store", "postgresql:", "k",
                    env={"PGHOST": SERVER.folder, "PGPORT": SERVER.port, "PGUSER": "owner",
                         "PGDATABASE": self.database, "PGHOSTADDR": ""})
        self.sluice("kv", "get", "--store", SERVER.socket_url(self.database), "k")

    def test_no_secret_is_logged_or_kept(self):
        entries = self.file("in.ndjson", "".join(entry.line() for entry in sample(200)))
        result = self.sluice("kv", "import", "--store", self.store, "--yes", "--log-level", "debug",
                             "-v", entries)
        self.no_secret(result)
        self.assertIn("PostgreSQL", result.complaint)
        kept = b"".join(path.read_bytes() for path in self.home.rglob("*") if path.is_file())
        # A journal keeps its words in base64.
        kept += b"".join(base64.b64decode(word) for word in re.findall(rb'"([A-Za-z0-9+/]+=*)"', kept)
                         if len(word) % 4 == 0)
        self.assertIn(b"postgres://owner", kept, "the journal is looked at")
        self.assertNotIn(b"correct", kept)

    def test_notices_are_not_printed(self):
        self.load(sample(50))
        result = self.load(sample(50))  # the temporary table exists: a NOTICE
        self.assertNotIn("NOTICE", result.complaint)
        self.assertNotIn("skipping", result.complaint)


class Trouble(PostgresTest):
    """The server goes away in the middle."""

    def setUp(self):
        super().setUp()
        self.own = PostgresServer().start()
        self.addCleanup(self.own.close)
        self.store = self.own.url()

    def wait_for_rows(self, table, least):
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                if int(self.own.sql(f"SELECT count(*) FROM {table}")) >= least:
                    return
            except AssertionError:
                pass
            time.sleep(0.02)
        self.fail("no rows came")

    def test_a_restart_is_survived(self):
        entries = sample(40_000)
        path = self.file("in.ndjson", "".join(entry.line() for entry in entries))
        run = self.start("kv", "import", "--store", self.store, "--yes", "--batch-size", "500",
                         "--rate", "20/1s", path)
        self.wait_for_rows("sluice_kv", 1000)
        self.own.stop()
        time.sleep(0.3)
        self.own.start()
        result = run.end()
        self.assertEqual(result.code, DONE, str(result))
        self.same(self.content("default"), by_key(entries))

    def test_a_server_that_stays_away_leaves_a_job_to_resume(self):
        entries = sample(40_000)
        path = self.file("in.ndjson", "".join(entry.line() for entry in entries))
        words = ["kv", "import", "--store", self.store, "--yes", "--batch-size", "500", "--rate",
                 "20/1s", path]
        run = self.start(*words, "--deadline", "8s")
        self.wait_for_rows("sluice_kv", 1000)
        self.own.stop()
        result = run.end()
        self.assertIn(result.code, (FAILED, THROTTLED, INTERRUPTED), str(result))
        self.no_secret(result)
        self.own.start()
        kept = int(self.own.sql("SELECT count(*) FROM sluice_kv"))
        self.assertTrue(1000 <= kept < len(entries), kept)
        # By its id, where the journal has no password: that comes from elsewhere.
        job = self.sluice("jobs", "list", "--json").lines()
        resumed = self.sluice("jobs", "resume", json.loads(job[0])["job"],
                              env={"PGPASSWORD": PASSWORD})
        self.assertIn("resuming", resumed.complaint)
        self.same(self.content("default"), by_key(entries))

    def test_a_killed_import_is_resumed_with_its_own_command(self):
        entries = sample(40_000)
        path = self.file("in.ndjson", "".join(entry.line() for entry in entries))
        words = ["kv", "import", "--store", self.store, "--yes", "--batch-size", "500", path]
        run = self.start(*words, "--rate", "20/1s")
        self.wait_for_rows("sluice_kv", 2000)
        run.send(signal.SIGKILL)
        run.end()
        result = self.sluice(*words, "--resume")
        self.assertIn("resuming", result.complaint)
        self.same(self.content("default"), by_key(entries))

    def test_a_wait_for_a_lock_ends_in_time(self):
        self.load(sample(10))
        locker = subprocess.Popen(
            ["psql", "-X", "-q", "-h", self.own.folder, "-p", str(self.own.port), "-U", "owner", "-d",
             "postgres"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(locker.communicate)
        locker.stdin.write("BEGIN; LOCK TABLE sluice_kv_1; \\echo locked\n")
        locker.stdin.flush()
        self.assertEqual(locker.stdout.readline(), "locked\n")
        result = self.run_sluice("kv", "put", "--store", self.store, "--namespace", "test", "k", "v",
                                 "--timeout", "300ms", "--deadline", "3s")
        self.assertEqual(result.code, THROTTLED, str(result))
        locker.stdin.write("ROLLBACK;\n")
        locker.stdin.flush()
        self.sluice("kv", "put", "--store", self.store, "--namespace", "test", "k", "v")


@unittest.skipUnless(shutil.which("openssl"), "needs openssl for certificates")
class Tls(SluiceTest):
    def test_certificates_are_checked_as_asked(self):
        server = PostgresServer()
        self.addCleanup(server.close)
        for name, subject in (("good", "localhost"), ("other", "elsewhere.example")):
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                 f"/CN={subject}", "-addext", f"subjectAltName=DNS:{subject}", "-keyout",
                 self.folder / f"{name}.key", "-out", self.folder / f"{name}.crt"],
                check=True, capture_output=True)
        certificate = self.folder / "good.crt"
        key = server.write("server.key", (self.folder / "good.key").read_text())
        crt = server.write("server.crt", certificate.read_text())
        server.start("ssl=on", f"ssl_cert_file={crt}", f"ssl_key_file={key}")
        there = server.url(host="localhost")

        def put(more, **options):
            return self.run_sluice("kv", "put", "--store", there + more, "k", "v", **options)

        self.assertEqual(put("?sslmode=require").code, DONE)
        self.assertEqual(
            server.sql("SELECT count(*) FROM sluice_kv"), "1")
        self.assertEqual(put(f"?sslmode=verify-full&sslrootcert={certificate}").code, DONE)
        self.assertEqual(put("?sslmode=verify-full", env={"SSL_CERT_FILE": certificate}).code, DONE)
        for more, words in ((f"?sslmode=verify-full&sslrootcert={self.folder}/other.crt", "certificate"),
                            ("?sslmode=verify-full", "certificate")):
            result = put(more)
            self.assertEqual(result.code, FAILED, str(result))
            self.assertIn(words, result.complaint)
            self.assertIn("sslrootcert", result.complaint)
        # The right authority, but another name.
        by_address = server.url(host="127.0.0.1")
        result = self.run_sluice("kv", "put", "--store",
                                 f"{by_address}?sslmode=verify-full&sslrootcert={certificate}", "k", "v")
        self.assertEqual(result.code, FAILED, str(result))
        self.assertIn("127.0.0.1", result.complaint)


if __name__ == "__main__":
    unittest.main()
