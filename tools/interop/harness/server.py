"""Starts and stops the server under test."""

import contextlib
import dataclasses
import signal
import socket
import subprocess
import tempfile
import time

from harness.clients import BUILD

READY_TIMEOUT_S = 10
STOP_TIMEOUT_S = 20


@dataclasses.dataclass
class Server:
    """`complaint` is set at the end of the run: None, or what was wrong with how the server ended."""

    bootstrap: str
    complaint: str | None = None


@contextlib.contextmanager
def running_torc(binary):
    """Runs `torc serve` with two shards, so that requests change them, on free loopback ports and an empty directory;
    yields a Server. Its output goes to logs/torc.log."""
    kafka, metrics = free_port(), free_port()
    log_path = BUILD / "logs" / "torc.log"
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="torc-interop-") as data, open(log_path, "wb") as log:
        server = subprocess.Popen(
            [binary, "serve", "--shards", "2", "--data-dir", data,
             "--kafka", f"127.0.0.1:{kafka}", "--metrics", f"127.0.0.1:{metrics}"],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            wait_until_ready(server, kafka, log_path)
            running = Server(f"127.0.0.1:{kafka}")
            yield running
            if server.poll() is not None:
                running.complaint = f"exited by itself with {server.returncode}; see {log_path}"
            elif stop(server) != 0:
                running.complaint = f"answered SIGTERM with exit code {server.returncode}; see {log_path}"
        finally:
            stop(server)


def wait_until_ready(server, port, log_path):
    deadline = time.monotonic() + READY_TIMEOUT_S
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if server.poll() is not None:
            raise RuntimeError(f"the server exited with {server.returncode} before it listened; see {log_path}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"the server does not listen after {READY_TIMEOUT_S} s; see {log_path}")
        time.sleep(0.05)


def stop(server):
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
    return server.returncode


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
