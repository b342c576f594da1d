"""`node-data serve` holds to its own description: `schemathesis` asks what /openapi.json says, and much that it does not, and looks
at every answer. Run by `cargo xtask test`."""
import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import urllib.request

SEED = 2026
# Of each operation and each run, and longer where tests are.
EXAMPLES = 200 if os.environ.get("NODEDATA_TEST_LONG") == "1" else 10
RUN_SECONDS_MAX = 900
COMMAND_SECONDS_MAX = 120

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
    "missing_required_header",
    "ignored_auth",
]
# Left out, each with its reason:
# - negative_data_rejection: of query and headers the server reads what it knows and passes over the rest, as HTTP servers do, so
#   that a request with one more parameter is answered; names in paths that are none are 404, as names that nobody has.
# - positive_data_acceptance: a schema cannot say that a dataset is there, that a digest is that of the bytes, or who may do it.
# - use_after_free, ensure_resource_availability, object_level_authorization: need links between operations, which there are none of.


class OpenApi(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.absent = None
        if "NODEDATA_BINARY" not in os.environ:
            cls.absent = "NODEDATA_BINARY is not set: run `cargo xtask test`"
            return
        if importlib.util.find_spec("schemathesis") is None:
            cls.absent = "schemathesis is not installed, so nobody holds the server against its description"
            return
        scratch = tempfile.TemporaryDirectory(prefix="node-data-openapi-")
        cls.addClassCleanup(scratch.cleanup)
        cls.work = pathlib.Path(scratch.name)
        cls.fill()
        cls.serve()

    def setUp(self):
        if self.absent is not None:
            self.skipTest(self.absent)

    @classmethod
    def command(cls, *arguments):
        own = {name: value for name, value in os.environ.items() if not name.startswith(("NODEDATA_STORE", "NODEDATA_TOKEN"))}
        done = subprocess.run(
            [os.environ["NODEDATA_BINARY"], *map(str, arguments)], cwd=cls.work, capture_output=True, text=True,
            timeout=COMMAND_SECONDS_MAX,
            env=own | {"NODEDATA_STORE": str(cls.work / "store"), "XDG_CACHE_HOME": str(cls.work / "cache"), "NODEDATA_USER": "acme"},
        )
        if done.returncode != 0:
            raise AssertionError(f"{arguments}: {done.stderr}{done.stdout}")
        return done.stdout

    @classmethod
    def fill(cls):
        """A public dataset with several revisions, one behind a gate, and a private one."""
        fixture = pathlib.Path(os.environ["NODEDATA_FIXTURES"]) / "mcap" / "teleop.mcap"
        cls.command("convert", fixture, "--out", "made")
        (cls.work / "agreement.txt").write_text("I will not identify anybody.\n")
        public = ["--license", "CC-BY-4.0", "--visibility", "public", "--data-class"]
        cls.command("dataset", "push", "--name", "acme/open", *public, "pseudonymous", "made")
        cls.command("dataset", "push", "--name", "acme/open", "--title", "Teleoperation")
        gated = ["identifying", "--category", "face", "--agreement", "agreement.txt"]
        cls.command("dataset", "push", "--name", "acme/gated", *public, *gated, "made")
        cls.command("dataset", "push", "--name", "acme/hidden", "made")
        cls.tokens = {
            account: cls.command("serve", "--data", "server", "--new-token", account, *sum((["--scope", it] for it in scopes), [])).strip()
            for account, scopes in {
                "root": ["admin"],
                "acme": ["read", "push:acme/*", "publish:acme/*", "review:acme/*", "steward:acme/*"],
                "reader": ["read"],
            }.items()
        }

    @classmethod
    def serve(cls):
        # One asker has the rate of all that is asked here.
        rate = ["--cost-per-second", "1000000000", "--cost-burst", "1000000000"]
        server = subprocess.Popen(
            [os.environ["NODEDATA_BINARY"], "serve", "--listen", "127.0.0.1:0", "--quiet", "--data", "server", "--store", "store", *rate],
            cwd=cls.work, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        cls.addClassCleanup(server.stdout.close)
        cls.addClassCleanup(server.wait)
        cls.addClassCleanup(server.kill)
        cls.url = server.stdout.readline().strip()
        cls.description = json.loads(cls.get("openapi.json"))

    @classmethod
    def get(cls, path):
        with urllib.request.urlopen(f"{cls.url}/{path}", timeout=COMMAND_SECONDS_MAX) as answer:
            return answer.read().decode()

    def answered(self):
        """How often each route was answered with which status, as the server counts."""
        pattern = r'nodedata_requests_total\{route="([^"]*)",method="([^"]*)",status="(\d+)"\} (\d+)'
        found = re.findall(pattern, self.get("metrics"))
        self.assertTrue(found, "the server counts its answers")
        return {(route, method, int(status)): int(n) for route, method, status, n in found}

    def hold(self, account=None, dataset=None, phases="examples,coverage,fuzzing", **there):
        """Asks everything as one account, of anything or of one dataset and what is there; returns how often which route gave which
        status."""
        if dataset is not None:
            there["owner"], there["name"] = dataset.split("/")
        settings = ["[parameters]"] + [f'"path.{name}" = "{value}"' for name, value in there.items()]
        config = self.work / "schemathesis.toml"
        config.write_text("\n".join(settings) + "\n")
        before = self.answered()
        arguments = [
            "--config-file", config, "run", f"{self.url}/openapi.json", "--phases", phases, "--mode", "all",
            "--checks", ",".join(CHECKS), "--max-examples", EXAMPLES, "--seed", SEED, "--continue-on-failure",
            "--suppress-health-check", "all", "--warnings", "off", "--no-color",
        ]
        if account is not None:
            arguments += ["--header", f"Authorization: Bearer {self.tokens[account]}"]
        done = subprocess.run(
            [sys.executable, "-c", "import sys; from schemathesis.cli import schemathesis; sys.exit(schemathesis())", *map(str, arguments)],
            cwd=self.work, capture_output=True, text=True, timeout=RUN_SECONDS_MAX,
            env=os.environ | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"},
        )
        self.assertEqual(done.returncode, 0, f"{done.stdout[-20000:]}\n{done.stderr[-5000:]}")
        after = self.answered()
        return {key: n - before.get(key, 0) for key, n in after.items() if n > before.get(key, 0)}

    def everything_was_asked(self, answered):
        described = {
            (path, method.upper()) for path, operations in self.description["paths"].items() for method in operations
        }
        asked = {(route.replace("{*", "{"), method) for route, method, _ in answered}
        self.assertEqual(described - asked, set())

    def gave(self, answered, path, method, status):
        self.assertIn((path, method, status), answered, sorted(answered))

    def test_strangers(self):
        manifest = json.loads(self.get("v1/d/acme/open/manifest"))
        schema = manifest["schema"]
        answered = self.hold(dataset="acme/open", table="episodes", path=schema["path"], b3=schema["b3"])
        self.everything_was_asked(answered)
        served = ["index/{table}", "files/{*path}", "blobs/{b3}", "shards/{idx}"]
        for path in ["manifest", "schema", "readme", "croissant.json", "log", "head", "provenance", *served]:
            self.gave(answered, f"/v1/d/{{owner}}/{{name}}/{path}", "GET", 200)
        self.gave(answered, "/v1/d/{owner}/{name}/commits", "POST", 401)

    def test_readers_before_a_gate(self):
        answered = self.hold("reader", "acme/gated", phases="fuzzing")
        self.everything_was_asked(answered)
        self.gave(answered, "/v1/d/{owner}/{name}/provenance", "GET", 403)
        self.gave(answered, "/v1/d/{owner}/{name}/agreement", "GET", 200)

    def test_owners(self):
        answered = self.hold("acme", "acme/hidden")
        self.everything_was_asked(answered)
        self.gave(answered, "/v1/d/{owner}/{name}/provenance", "GET", 200)
        self.gave(answered, "/v1/d/{owner}/{name}/commits", "POST", 422)

    def test_operators(self):
        answered = self.hold("root", phases="fuzzing")
        self.everything_was_asked(answered)
        self.gave(answered, "/v1/tokens", "GET", 200)
        self.gave(answered, "/v1/tokens", "POST", 422)
        self.gave(answered, "/v1/audit", "GET", 200)


if __name__ == "__main__":
    unittest.main()
