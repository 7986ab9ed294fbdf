"""Receives callbacks of nodes: receiver.py KEYS.json PORT

KEYS.json is the output of `nkd secrets callback-keys OUT --format json`.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

# No event is nearly as large.
LARGEST = 1 << 20


def signer(event):
    """Returns the name of the key: all machines of an open pool sign with the key of the pool."""
    return event.get("pool") or event["node"]


def name(event):
    """Returns the node. A machine of an open pool can claim any name, so the name is one within the pool."""
    return f"{event['pool']}/{event['node']}" if "pool" in event else event["node"]


class Receiver:
    def __init__(self, keys):
        self.webhooks = {node["name"]: Webhook(node["key"]) for node in keys["nodes"]}
        self.seen = set()

    def receive(self, headers, body):
        """Returns the HTTP status for a callback."""
        try:
            # Only the choice of the key depends on this name, so it need not be true yet.
            webhook = self.webhooks.get(signer(json.loads(body)["data"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            return 400
        if webhook is None:
            return 503
        try:
            event = webhook.verify(body, headers)
        except WebhookVerificationError:
            # The key or a clock may be wrong for now. The node sends the event again with a new signature.
            return 503
        if event["id"] not in self.seen:
            self.handle(event["data"])
            self.seen.add(event["id"])
        return 204

    def handle(self, event):
        needs_a_person = event["kind"] == "failed" and "retryAfter" not in event
        note = " (a person is needed)" if needs_a_person else ""
        print(f"{name(event)}: {event['kind']}: {event['message']}{note}", flush=True)


def handler(receiver):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            length = int(self.headers.get("content-length", 0))
            if length > LARGEST:
                status = 413
            else:
                status = receiver.receive(dict(self.headers), self.rfile.read(length))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    return Handler


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        receiver = Receiver(json.load(file))
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), handler(receiver)).serve_forever()
