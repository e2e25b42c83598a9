"""A redis-server of our own under load, with a client that counts replies."""
import pathlib
import socket
import subprocess
import threading

from waiting import wait_until


class RedisServer:
    """Listens on a socket in `directory` only; keeps nothing on disk."""

    def __init__(self, directory):
        self.path = pathlib.Path(directory) / "redis.socket"
        self.log = pathlib.Path(directory) / "redis.log"
        with open(self.log, "wb") as output:
            self.process = subprocess.Popen(
                ["redis-server", "--port", "0", "--unixsocket", self.path,
                 "--save", "", "--appendonly", "no", "--daemonize", "no",
                 "--maxmemory", "200mb", "--maxmemory-policy", "allkeys-lru"],
                stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, cwd=directory)
        self.pid = self.process.pid
        wait_until(self.path.exists, "redis listens")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class CountingClient:
    """Sends batches as fast as they are answered, and checks each reply.

    A request that is lost or done twice shows in the counters that the
    requests advance.
    """

    BATCH = 32
    KEYS = 997

    def __init__(self, server):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(str(server.path))
        self.replies = self.socket.makefile("rb")
        self.requests = 0
        self.problem = None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()
        self.socket.close()

    def check(self):
        assert self.problem is None, self.problem

    @staticmethod
    def _command(*words):
        parts = [b"*%d\r\n" % len(words)]
        parts += [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
        return b"".join(parts)

    def _run(self):
        try:
            while not self.stopping.is_set():
                self._send_batch()
        except (OSError, AssertionError) as error:
            self.problem = f"after {self.requests} requests: {error!r}"

    def _send_batch(self):
        first = self.requests // 3 + 1
        values = []
        batch = bytearray()
        for number in range(first, first + self.BATCH):
            key = b"key:%d" % (number % self.KEYS)
            value = b"%d:" % number + b"v" * (number * 37 % 3000)
            values.append(value)
            batch += self._command(b"SET", key, value)
            batch += self._command(b"GET", key)
            batch += self._command(b"INCR", b"counter")
        self.socket.sendall(batch)
        for number, value in enumerate(values, first):
            assert self.replies.readline() == b"+OK\r\n"
            assert self.replies.readline() == b"$%d\r\n" % len(value)
            assert self.replies.read(len(value) + 2) == value + b"\r\n"
            assert self.replies.readline() == b":%d\r\n" % number
        self.requests += 3 * self.BATCH


class Benchmark:
    """redis-benchmark, over and over."""

    def __init__(self, server):
        self.process = subprocess.Popen(
            ["redis-benchmark", "-s", server.path, "-t", "set,get,lpush,lpop",
             "-c", "8", "-P", "16", "-d", "100", "-r", "10000", "-n", "100000",
             "-l", "-q"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def check(self):
        assert self.process.poll() is None
