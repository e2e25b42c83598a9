"""A proxy that remembers the requests that went through it."""
import http.client
import http.server
import threading
import urllib.parse


class RecordingProxy:
    """Forwards to `upstream`; `requests` is a list of (method, path)."""

    def __init__(self, upstream):
        self.requests = []
        address = urllib.parse.urlsplit(upstream)
        requests = self.requests

        class Handler(http.server.BaseHTTPRequestHandler):
            """Forwards one request, body and headers as they are."""

            def forward(self):
                requests.append((self.command, self.path))
                size = int(self.headers.get("Content-Length", 0))
                connection = http.client.HTTPConnection(
                    address.hostname, address.port, timeout=90)
                connection.request(self.command, self.path,
                                   body=self.rfile.read(size) or None)
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
