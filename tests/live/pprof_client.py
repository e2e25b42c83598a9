"""Asks pprofd by HTTP, as curl would: no redirects, nothing decoded."""
import concurrent.futures
import dataclasses
import http.client
import socket
import time
import urllib.parse

from pprof_profile import Profile


def free_port():
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclasses.dataclass(frozen=True)
class Reply:
    status: int
    headers: http.client.HTTPMessage
    body: bytes
    seconds: float

    @property
    def text(self):
        return self.body.decode()


class PprofClient:
    """All requests go to `base`, "http://127.0.0.1:PORT"."""

    def __init__(self, base):
        self.base = base
        self.address = urllib.parse.urlsplit(base)

    def connect(self, timeout=90):
        return http.client.HTTPConnection(
            self.address.hostname, self.address.port, timeout=timeout)

    def request(self, path, method="GET", body=None, headers=(), timeout=90):
        start = time.monotonic()
        connection = self.connect(timeout)
        try:
            connection.request(method, path, body=body, headers=dict(headers))
            answer = connection.getresponse()
            content = answer.read()
            return Reply(answer.status, answer.headers, content,
                         time.monotonic() - start)
        finally:
            connection.close()

    def get(self, name, timeout=90, **parameters):
        """GET /debug/pprof/NAME; parameters become the query."""
        # from= is a word of Python: spelt from_.
        query = urllib.parse.urlencode(
            {key.rstrip("_"): value for key, value in parameters.items()})
        return self.request(f"/debug/pprof/{name}?{query}", timeout=timeout)

    def profile(self, pid=None, **parameters):
        """A decoded CPU profile; without pid of the whole host."""
        if pid is not None:
            parameters["pid"] = pid
        reply = self.get("profile", **parameters)
        assert reply.status == 200, f"{reply.status} {reply.body[:300]!r}"
        return Profile(reply.body)

    def profiles(self, pids, **parameters):
        """Profiles of several processes, all measured at the same time."""
        with concurrent.futures.ThreadPoolExecutor(len(pids)) as pool:
            return list(pool.map(
                lambda pid: self.profile(pid, **parameters), pids))

    def in_background(self, function, *arguments, **parameters):
        """A future of function(...), running on a thread of its own."""
        pool = concurrent.futures.ThreadPoolExecutor(1)
        future = pool.submit(function, *arguments, **parameters)
        pool.shutdown(wait=False)
        return future
