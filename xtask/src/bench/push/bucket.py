"""A SeaweedFS with a bucket `bench`, until standard input ends. Prints where it is, or why there is none."""

import pathlib
import sys

tests, folder = sys.argv[1:]
sys.path.insert(0, tests)

from s3_server import S3Server, ServerAbsent

try:
    server = S3Server(pathlib.Path(folder).resolve())
    server.wait_until_it_stores("bench")
except ServerAbsent as err:
    print(f"absent: {err}", flush=True)
    sys.exit(0)
print(server.endpoint, flush=True)
sys.stdin.read()
server.stop()
