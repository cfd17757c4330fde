"""What tests of purges share: an account with four zones."""

import json

from harness import SluiceTest


class Purges(SluiceTest):
    zones = ("example.com", "example.org", "shop.example.net", "other.test")
    flags = ()

    def setUp(self):
        super().setUp()
        zones = [flag for zone in self.zones for flag in ("--zone", zone)]
        self.fake = self.server(*zones, *self.flags)
        self.env = self.fake.environment()

    def purge(self, *arguments, **more):
        return self.sluice("purge", *arguments, env=self.env, **more)

    def purged(self, zone="example.com", kind="tags"):
        return json.loads(self.fake.ask("GET", "/__control/purged")).get(zone, {}).get(kind, [])

    def calls(self, route="POST purge_cache"):
        return self.fake.stats()["requests"].get(route, 0)

    def zone_id(self, zone="example.com"):
        return self.sluice("zones", "get", zone, "--json", env=self.env).json()["id"]

    def nothing_purged(self):
        self.assertEqual(self.fake.ask("GET", "/__control/purged"), b"{}")
        self.assertEqual(self.calls(), 0)
