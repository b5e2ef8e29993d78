"""A stand-in for Lambda and for an intake, on the loopback: starts the function and measures its process.

    stand_in.py memory BOOTSTRAP EVENT BACKEND  one invocation: its outcome, and the peak of the process's memory
    stand_in.py cold_start BOOTSTRAP TIMES      time until the function first asks for an invocation
    stand_in.py backends                        backends, each on a line

Prints one JSON object. Needs Linux, as it reads /proc. Every process that it starts is ended, by its id.
"""

import gzip
import json
import os
import statistics
import subprocess
import sys
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
                "Lambda-Runtime-Deadline-Ms": str(int((time.time() + PATIENCE) * 1000)),
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

    def __init__(self, events, backend):
        super().__init__(("127.0.0.1", 0), Handler)
        self.events = events
        self.backend = backend
        self.idle = threading.Event()
        self.idle_since = None
        self.over = threading.Event()
        self.outcome = None
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


def main(what, bootstrap="", argument="", backend="datadog"):
    if what == "memory":
        print(json.dumps(run(bootstrap, [Path(argument).read_bytes()], peak, backend)))
    elif what == "backends":
        print("\n".join(BACKENDS))
    elif what == "cold_start":
        rounds = [run(bootstrap, [], times) for _ in range(int(argument))]
        print(json.dumps({key: statistics.median(each[key] for each in rounds) for key in rounds[0]}))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
