"""Logins at an OpenID provider that others wrote: by a device, by a browser, and by the token of a job. Run by `cargo xtask
test`."""
import http.cookiejar
import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

from s3_server import free_ports

ABSENT = None if importlib.util.find_spec("nanoidp") else "nanoidp is not installed beside this Python"
READY_SECONDS_MAX = 60
# What the environment names as a proxy must not see these requests.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}

USERS = """
config_version: 1
users:
  ada: {password: lovelace, email: ada@example.org, roles: [USER], tenant: lab}
  Eve L.: {password: eve, email: eve@example.org, roles: [USER], tenant: lab}
"""
SETTINGS = """
config_version: 1
server: {{host: 127.0.0.1, port: {port}}}
oauth:
  issuer: {issuer}
  audience: https://data.example
  token_expiry_minutes: 30
  clients:
    - {{client_id: node-data, token_endpoint_auth_method: none, redirect_uris: ['{server}/login/callback']}}
device_flow: {{polling_interval: 1}}
"""
TRUST = """
- issuer: {issuer}
  audience: https://data.example
  claims: {{client_id: node-data, tenant: lab}}
  account: robots
  scopes: ['publish:robots/*']
"""


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


class Browser:
    """Keeps cookies and goes where it is sent, one step at a time."""

    def __init__(self):
        self.cookies = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), NoRedirect, urllib.request.HTTPCookieProcessor(self.cookies)
        )

    def ask(self, url, form=None):
        """Status, where it is sent, and the text."""
        data = None if form is None else urllib.parse.urlencode(form).encode()
        request = urllib.request.Request(url, data=data, headers={"Accept": "text/html"})
        try:
            with self.opener.open(request, timeout=30) as answer:
                return answer.status, answer.headers.get("Location"), answer.read().decode()
        except urllib.error.HTTPError as err:
            with err:
                return err.code, err.headers.get("Location"), err.read().decode()


@unittest.skipIf(ABSENT is not None, f"no OpenID provider: {ABSENT}")
class Logins(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if "NODEDATA_BINARY" not in os.environ:
            raise unittest.SkipTest("NODEDATA_BINARY is not set: run `cargo xtask test`")
        scratch = tempfile.TemporaryDirectory(prefix="node-data-logins-")
        cls.addClassCleanup(scratch.cleanup)
        cls.work = pathlib.Path(scratch.name)
        (port,) = free_ports(1)
        cls.issuer = f"http://127.0.0.1:{port}"
        (cls.work / "trust.yaml").write_text(TRUST.format(issuer=cls.issuer))
        server = subprocess.Popen(
            [os.environ["NODEDATA_BINARY"], "serve", "--listen", "127.0.0.1:0", "--quiet", "--store", "store", "--data", "data",
             "--oidc-issuer", cls.issuer, "--oidc-client-id", "node-data", "--oidc-account-claim", "sub", "--oidc-trust", "trust.yaml"],
            cwd=cls.work, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=ENVIRONMENT,
        )
        cls.addClassCleanup(cls.end, server)
        cls.server = server.stdout.readline().strip()
        configuration = cls.work / "provider"
        configuration.mkdir()
        (configuration / "users.yaml").write_text(USERS)
        (configuration / "settings.yaml").write_text(SETTINGS.format(port=port, issuer=cls.issuer, server=cls.server))
        with (cls.work / "provider.log").open("wb") as log:
            provider = subprocess.Popen(
                [sys.executable, "-m", "nanoidp", "--config", configuration, "--strict-config"],
                cwd=cls.work, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=ENVIRONMENT,
            )
        cls.addClassCleanup(cls.end, provider)
        cls.wait_for(provider)

    @staticmethod
    def end(process):
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()

    @classmethod
    def wait_for(cls, provider):
        deadline = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < deadline and provider.poll() is None:
            try:
                if Browser().ask(f"{cls.issuer}/.well-known/openid-configuration")[0] == 200:
                    return
            except OSError:
                time.sleep(0.2)
        raise AssertionError((cls.work / "provider.log").read_text(errors="replace")[-2000:])

    def command(self, home, *arguments):
        environment = {name: value for name, value in ENVIRONMENT.items() if name != "NODEDATA_TOKEN"}
        return subprocess.Popen(
            [os.environ["NODEDATA_BINARY"], *arguments, "--store", self.server, "--format", "json"], cwd=self.work,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environment | {"XDG_CONFIG_HOME": str(self.work / home)},
        )

    def ran(self, home, *arguments, stdin=""):
        process = self.command(home, *arguments)
        out, err = process.communicate(stdin, timeout=60)
        return process.returncode, out, err

    def allow(self, line, user, password, action="authorize"):
        address = re.search(r"open (http\S+) in a browser", line).group(1)
        code = re.search(r"the code is (\S+)", line).group(1)
        self.assertTrue(address.startswith(self.issuer), address)
        form = {"user_code": code, "username": user, "password": password, "action": action}
        return Browser().ask(address, form)[2]

    def log_in(self, home, user, password, action="authorize"):
        process = self.command(home, "login")
        line = process.stderr.readline()
        self.allow(line, user, password, action)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, line + err

    def test_a_device_is_allowed_in_a_browser(self):
        code, out, err = self.log_in("device", "ada", "lovelace")
        self.assertEqual(code, 0, err)
        told = json.loads(out)
        self.assertEqual((told["account"], told["scopes"]), ("ada", ["read", "roles"]))
        self.assertIn("expires", told)
        code, out, err = self.ran("device", "whoami")
        self.assertEqual((code, json.loads(out)["account"]), (0, "ada"), err)
        code, _, err = self.log_in("refused", "ada", "lovelace", "deny")
        self.assertEqual(code, 1, err)
        self.assertIn("refused in the browser", err)
        code, _, err = self.log_in("strange", "Eve L.", "eve")
        self.assertEqual(code, 1, err)
        self.assertIn("can be no account here", err)

    def test_a_browser_logs_in_and_out(self):
        browser = Browser()
        self.assertIn('href="/login"', browser.ask(f"{self.server}/")[2])
        status, address, _ = browser.ask(f"{self.server}/login")
        self.assertEqual(status, 303)
        self.assertTrue(address.startswith(f"{self.issuer}/authorize?"), address)
        self.assertEqual(browser.ask(address)[0], 200)
        status, back, page = browser.ask(f"{self.issuer}/authorize", {"username": "ada", "password": "lovelace"})
        self.assertIn(status, (302, 303), page)
        self.assertTrue(back.startswith(f"{self.server}/login/callback?"), back)
        status, start, page = browser.ask(back)
        self.assertEqual((status, start), (303, "/"), page)
        home = browser.ask(f"{self.server}/")[2]
        self.assertIn('<span class="who">ada</span>', home)
        # The code is worth nothing to another browser, nor a second time.
        self.assertEqual(Browser().ask(back)[0], 400)
        self.assertEqual(browser.ask(f"{self.server}/logout", {})[0], 303)
        self.assertIn('href="/login"', browser.ask(f"{self.server}/")[2])

    def job_token(self):
        form = {"grant_type": "password", "client_id": "node-data", "username": "ada", "password": "lovelace"}
        status, _, text = Browser().ask(f"{self.issuer}/token", form)
        self.assertEqual(status, 200, text)
        return json.loads(text)["access_token"]

    def test_the_token_of_a_job_is_exchanged_by_a_rule(self):
        token = self.job_token()
        code, out, err = self.ran("job", "login", "--id-token-stdin", stdin=token)
        self.assertEqual(code, 0, err)
        told = json.loads(out)
        self.assertEqual((told["account"], told["scopes"]), ("robots", ["publish:robots/*"]))
        head, claims, signature = token.split(".")
        other = "B" if signature[10] == "A" else "A"
        forged = ".".join([head, claims, signature[:10] + other + signature[11:]])
        code, _, err = self.ran("forged", "login", "--id-token-stdin", stdin=forged)
        self.assertEqual(code, 1, err)
        self.assertIn("has not signed it", err)
        self.assertFalse((self.work / "forged").exists())


if __name__ == "__main__":
    unittest.main()
