"""A proxy that remembers the requests that went through it."""
import ctypes
import http.client
import http.server
import os
import threading
import urllib.parse


CLONE_NEWNET = 0x40000000


def enter_network(pid):
    """Sockets that this thread makes from now on are in that of `pid`."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/proc/{pid}/ns/net", "rb") as network:
        if libc.setns(network.fileno(), CLONE_NEWNET) != 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))


class RecordingProxy:
    """Forwards to `upstream`; `requests` is a list of (method, path).

    `upstream` is in the network namespace of the process `network_of`, if any.
    """

    def __init__(self, upstream, network_of=None):
        self.requests = []
        address = urllib.parse.urlsplit(upstream)
        requests = self.requests

        class Handler(http.server.BaseHTTPRequestHandler):
            """Forwards one request, body and headers as they are."""

            def setup(self):
                if network_of is not None:
                    enter_network(network_of)
                super().setup()

            def forward(self):
                requests.append((self.command, self.path))
                size = int(self.headers.get("Content-Length", 0))
                connection = http.client.HTTPConnection(
                    address.hostname, address.port, timeout=90)
                body = self.rfile.read(size) or None
                try:
                    connection.request(self.command, self.path, body=body)
                except OSError as error:
                    self.send_error(502, str(error))
                    return
                answer = connection.getresponse()
                body = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("transfer-encoding", "connection",
                                            "content-length"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                connection.close()

            do_GET = do_POST = do_HEAD = forward

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                                      Handler)
        self.base = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever,
                         daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
