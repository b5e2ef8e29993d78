"""A stand-in for Lambda and for an intake, on the loopback: starts the function and measures its process.

    stand_in.py memory BOOTSTRAP EVENT BACKEND  one invocation: its outcome, and the peak of the process's memory
    stand_in.py cold_start BOOTSTRAP TIMES FLOOR  time until the function first asks for an invocation, and until another
                                                program does that does nothing else, in turn
    stand_in.py soak BOOTSTRAP EVENT SECONDS    invocations without a pause, with an intake that is at fault now and then
    stand_in.py backends                        backends, each on a line

Prints one JSON object; `soak` prints a table, and fails when the function grows or an item is unaccounted for. Needs Linux, as it reads /proc. Every process that it starts is ended, by its id.
"""

import base64
import gzip
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

RUNTIME_API = "/2018-06-01/runtime"
FUNCTION_ARN = "arn:aws:lambda:eu-west-1:123456789012:function:logferry"

# What each backend is told beside its name; ADDRESS is the intake's.
BACKENDS = {
    "datadog": {"DD_API_KEY": "0" * 32, "DD_URL": "ADDRESS", "DD_API_URL": "ADDRESS"},
    "elasticsearch": {"ELASTICSEARCH_URL": "ADDRESS"},
    "guance": {"ENV_DATAWAY": "ADDRESS?token=tkn_" + "0" * 32},
    "loki": {"LOKI_URL": "ADDRESS"},
    "newrelic": {
        "NEW_RELIC_LICENSE_KEY": "0" * 36 + "NRAL",
        "NR_LOGGING_ENDPOINT": "ADDRESS/log/v1",
        "LOGFERRY_NEWRELIC_METRICS_URL": "ADDRESS/metric/v1",
    },
    "otlp": {"OTEL_EXPORTER_OTLP_ENDPOINT": "ADDRESS"},
    "prometheus": {"LOGFERRY_PROMETHEUS_URL": "ADDRESS"},
    "remote_write": {"PROMETHEUS_REMOTE_WRITE_URL": "ADDRESS"},
    "splunk": {"SPLUNK_HEC_URL": "ADDRESS", "SPLUNK_HEC_TOKEN": "0" * 32},
    "stdout": {},
}

# The longest that anything here may take, in seconds.
PATIENCE = 120


class Handler(BaseHTTPRequestHandler):
    """Lambda's Runtime API, and an intake that takes everything."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # Head and body of an answer in one piece.

    def do_GET(self):
        if self.path != f"{RUNTIME_API}/invocation/next":
            return self.answer(404, b"")
        event = self.server.next_event()
        if event is None:
            # Nothing more to do: the function waits, as it does between invocations, until it is ended.
            self.server.over.wait(PATIENCE)
            self.close_connection = True
            return None
        return self.answer(
            200,
            event,
            {
                "Lambda-Runtime-Aws-Request-Id": "8edab1f8-7d34-4a2d-9cd9-1b0c1d7b7a11",
                "Lambda-Runtime-Deadline-Ms": str(int((time.time() + self.server.deadline) * 1000)),
                "Lambda-Runtime-Invoked-Function-Arn": FUNCTION_ARN,
            },
        )

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = self.chunks()
        if self.path.startswith(RUNTIME_API):
            self.server.outcome = self.path.rsplit("/", 1)[-1]
            if self.server.outcome == "error":
                self.server.errors += 1
                self.server.outcome += ": " + body.decode(errors="replace")
            return self.answer(202, b"{}")
        self.server.requests += 1
        return self.taken(body)

    def taken(self, body):
        """As the backend says that it has taken all."""
        if "/loki/" in self.path:
            return self.answer(204, b"")
        if "/services/collector" in self.path:
            return self.answer(200, b'{"text":"Success","code":0}')
        if "/_bulk" in self.path:
            # An action and a document, each on a line.
            items = gzip.decompress(body).count(b"\n") // 2
            answer = {"errors": False, "items": [{"create": {"status": 201}}] * items}
            return self.answer(200, json.dumps(answer).encode())
        return self.answer(202, b"{}")

    def chunks(self):
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def answer(self, status, body, headers=()):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    """Hands out events, then tells that it was asked for one more."""

    daemon_threads = True
    handler = Handler
    deadline = PATIENCE

    def __init__(self, events, backend="datadog"):
        super().__init__(("127.0.0.1", 0), self.handler)
        self.events = events
        self.backend = backend
        self.idle = threading.Event()
        self.idle_since = None
        self.over = threading.Event()
        self.outcome = None
        self.errors = 0
        self.requests = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def next_event(self):
        if self.events:
            return self.events.pop(0)
        self.idle_since = time.monotonic_ns()
        self.idle.set()
        return None

    def environment(self):
        address = f"127.0.0.1:{self.server_port}"
        return {
            "AWS_LAMBDA_RUNTIME_API": address,
            "AWS_LAMBDA_FUNCTION_NAME": "logferry",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/logferry",
            "AWS_LAMBDA_LOG_STREAM_NAME": "2026/11/20/[$LATEST]0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f",
            "AWS_REGION": "eu-west-1",
            "LOGFERRY_BACKENDS": self.backend,
        } | {name: value.replace("ADDRESS", f"http://{address}") for name, value in BACKENDS[self.backend].items()}


def run(bootstrap, events, measure, backend="datadog"):
    """Starts the function, waits until it has nothing to do, measures, and ends it."""
    server = Server(events, backend)
    started = time.monotonic_ns()
    process = subprocess.Popen([bootstrap], env=server.environment(), stdout=subprocess.DEVNULL)
    try:
        waited = 0
        while not server.idle.wait(0.1):
            waited += 0.1
            if process.poll() is not None:
                sys.exit(f"{bootstrap} ended with status {process.returncode}")
            if waited > PATIENCE:
                sys.exit(f"{bootstrap} did nothing for {PATIENCE} s")
        sleeping(process.pid)
        return measure(process.pid, server, server.idle_since - started)
    finally:
        end(process, server)


def end(process, server):
    process.kill()
    process.wait()
    server.over.set()
    server.shutdown()
    server.server_close()


def sleeping(pid):
    """Waits until the process does: its times are then up to date."""
    for _ in range(1000):
        if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "S":
            return
        time.sleep(0.001)


def peak(pid, server, _):
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    peak_kib = int(status["VmHWM"].split()[0])
    return {"peak_bytes": peak_kib * 1024, "outcome": server.outcome, "requests": server.requests}


def times(pid, _, wall):
    # The first number of a thread's schedstat: nanoseconds on a CPU.
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return {"cpu_ns": sum(int(thread.read_text().split()[0]) for thread in threads), "wall_ns": wall}


# Of so many requests of a soak, in percent, something goes wrong.
FAULTS = 5

# Seconds that an invocation of a soak has, and between two samples.
DEADLINE = 5
SAMPLING = 10

# What the last third of a soak may have more than the first: memory in bytes, open files, threads.
GROWTH = {"rss": 2_000_000, "files": 2, "threads": 1}

REDRIVE = b'{"redrive":true}'
REDRIVE_ALL = b'{"redrive":{"set_aside":true}}'


class SoakHandler(Handler):
    """An intake that refuses, breaks off, is slow, or hangs."""

    def answer(self, status, body, headers=()):
        if self.path.startswith(RUNTIME_API) or not self.server.at_fault():
            return super().answer(status, body, headers)
        match self.server.fault():
            case "asked":
                return super().answer(429, b"", {"Retry-After": "1"})
            case "close":
                self.close_connection = True
                return None
            case "cut":
                self.wfile.write(b"HTTP/1.1 202 Acc")
                self.close_connection = True
                return None
            case "slow":
                time.sleep(0.2)
                return super().answer(status, body, headers)
            case "hang":
                time.sleep(2)
                self.close_connection = True
                return None
        return super().answer(self.server.random.choice([400, 401, 403, 404, 413, 429, 500, 503]), b"no")


class Soak(Server):
    """Hands out the same event again and again, and a redrive now and then."""

    handler = SoakHandler
    deadline = DEADLINE

    def __init__(self, event, seconds):
        self.event = event
        self.until = time.monotonic() + seconds
        self.random = random.Random(4711)
        self.handed = 0
        self.faults = 0
        self.last = [REDRIVE_ALL] * 3 + [REDRIVE] * 3
        super().__init__([])

    def at_fault(self):
        if time.monotonic() > self.until or self.random.randrange(100) >= FAULTS:
            return False
        self.faults += 1
        return True

    def fault(self):
        # Those that cost a second are seldom: it is to go on at full speed.
        if self.random.randrange(100) == 0:
            return "hang"
        return self.random.choice(["status"] * 12 + ["asked", "close", "cut", "slow"])

    def next_event(self):
        if time.monotonic() > self.until:
            # What was stored is sent when all is well again.
            return self.last.pop() if self.last else super().next_event()
        self.handed += 1
        if self.handed % 1000 == 0:
            return REDRIVE_ALL
        return REDRIVE if self.handed % 100 == 0 else self.event

    def environment(self):
        return super().environment() | {"LOGFERRY_STORE": self.folder, "LOGFERRY_SEND_TIMEOUT": "1s"}


class Ledger:
    """Adds up the summaries that the function writes."""

    def __init__(self, stream):
        self.sums = dict.fromkeys(["invocations", "received", "made", "sent", "stored", "dropped", "retries"], 0)
        self.unaccounted = 0
        self.thread = threading.Thread(target=self.read, args=[stream], daemon=True)
        self.thread.start()

    def read(self, stream):
        for line in stream:
            if line.startswith(b'{"kind":"summary"'):
                self.add(json.loads(line))

    def add(self, summary):
        account = summary["backends"]["datadog"]
        made = summary["logs"] + summary["metrics"]
        dropped = sum(account["dropped"].values())
        self.unaccounted += abs(made - account["sent"] - account["stored"] - account["filtered"] - dropped)
        more = account | {"invocations": 1, "received": summary["received"], "made": made, "dropped": dropped}
        for name in self.sums:
            self.sums[name] += more.get(name, 0)


def sample(pid):
    process = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    return {
        "rss": int(status["VmRSS"].split()[0]) * 1024,
        "files": len(list((process / "fd").iterdir())),
        "threads": int(status["Threads"]),
    }


def renewed(event):
    """The same log events, the oldest of them now: what is too old for a backend is not sent again."""
    document = gzip.decompress(base64.b64decode(json.loads(event)["awslogs"]["data"]))
    times = [int(time) for time in re.findall(rb'"timestamp":(\d+)', document)]
    later = int(time.time() * 1000) - min(times)
    document = re.sub(rb'"timestamp":(\d+)', lambda found: b'"timestamp":%d' % (int(found[1]) + later), document)
    data = base64.b64encode(gzip.compress(document)).decode()
    return json.dumps({"awslogs": {"data": data}}).encode()


def soak(bootstrap, event, seconds):
    if seconds < 4 * SAMPLING:
        sys.exit(f"a soak has to take {4 * SAMPLING} s: its first third is compared with its last")
    server = Soak(renewed(event), seconds)
    with tempfile.TemporaryDirectory() as server.folder:
        process = subprocess.Popen([bootstrap], env=server.environment(), stdout=subprocess.PIPE)
        ledger = Ledger(process.stdout)
        samples = []
        print(f"{'s':>6} {'invocations':>12} {'faults':>7} {'RSS, MB':>8} {'files':>6} {'threads':>8} {'stored':>7}")
        try:
            started = time.monotonic()
            while not server.idle.wait(SAMPLING):
                if process.poll() is not None:
                    sys.exit(f"{bootstrap} ended with status {process.returncode}")
                if time.monotonic() > server.until + PATIENCE:
                    sys.exit(f"{bootstrap} did not come to an end")
                samples.append(sample(process.pid))
                stored = sum(1 for _ in Path(server.folder).rglob("*.json"))
                now = samples[-1]
                print(
                    f"{time.monotonic() - started:6.0f} {ledger.sums['invocations']:12} {server.faults:7} "
                    f"{now['rss'] / 1e6:8.2f} {now['files']:6} {now['threads']:8} {stored:7}",
                    flush=True,
                )
        finally:
            end(process, server)
        ledger.thread.join()
        stored = sum(1 for _ in Path(server.folder).rglob("*.json"))
    return verdict(samples, ledger, server, stored)


def verdict(samples, ledger, server, stored):
    third = len(samples) // 3
    good = third > 0 and ledger.unaccounted == 0 and stored == 0 and server.errors == 0
    for name, most in GROWTH.items():
        first = statistics.mean(each[name] for each in samples[:third]) if third else 0
        last = statistics.mean(each[name] for each in samples[-third:]) if third else 0
        good = good and last - first <= most
        print(f"{name}: mean of the first third {first:.0f}, of the last {last:.0f}, may grow by {most}")
    print(", ".join(f"{name} {number}" for name, number in ledger.sums.items()))
    print(f"faults {server.faults}, items unaccounted for {ledger.unaccounted}, failed invocations {server.errors}, requests left in the store {stored}")
    print("holds" if good else "MISSED")
    return good


def main(what, bootstrap="", argument="", last=""):
    if what == "memory":
        print(json.dumps(run(bootstrap, [Path(argument).read_bytes()], peak, last)))
    elif what == "soak":
        sys.exit(0 if soak(bootstrap, Path(argument).read_bytes(), float(last)) else 1)
    elif what == "backends":
        print("\n".join(BACKENDS))
    elif what == "cold_start":
        rounds = [(run(bootstrap, [], times), run(last, [], times)) for _ in range(int(argument))]
        of_each = [{key: statistics.median(each[key] for each in runs) for key in runs[0]} for runs in zip(*rounds)]
        print(json.dumps(of_each[0] | {f"floor_{key}": value for key, value in of_each[1].items()}))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
