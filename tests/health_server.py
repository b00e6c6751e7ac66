"""An address of health on loopback, which answers as a test wants."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer


@contextmanager
def answering(is_well):
    """Yield the port of a server that answers 200 where `is_well(path)`, else 503."""

    class Site(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if is_well(self.path) else 503)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def healthy_until(path):
    """Yield an address that is well as long as there is no file `path`: a site that does not come back."""
    with answering(lambda _: not path.exists()) as port:
        yield f"http://127.0.0.1:{port}/"
