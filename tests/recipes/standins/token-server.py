"""STAND-IN for the servers of tokens that public registries have (Docker Hub, GHCR, Quay, GitLab), which can't
be had offline. Speaks Docker's token protocol ("Token Authentication Specification") for one user. The registry
that takes the tokens is real.

usage: token-server.py HOST PORT DIRECTORY
The directory has the certificate and key (leaf.pem, leaf.key) and the user's credentials (known)."""

import base64
import http.server
import json
import pathlib
import ssl
import subprocess
import sys
import time
import urllib.parse

HOST, PORT, DIRECTORY = sys.argv[1], int(sys.argv[2]), pathlib.Path(sys.argv[3])
KNOWN = "Basic " + (DIRECTORY / "known").read_text()


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signature(text):
    """An ECDSA signature as JWS wants it: both numbers in 32 bytes each, out of openssl's ASN.1."""
    command = ["openssl", "dgst", "-sha256", "-sign", DIRECTORY / "leaf.key"]
    der = subprocess.run(command, input=text, capture_output=True, check=True).stdout
    numbers, at = b"", 2
    for _ in range(2):
        length = der[at + 1]
        numbers += der[at + 2 : at + 2 + length].lstrip(b"\0").rjust(32, b"\0")
        at += 2 + length
    return numbers


def token(service, scopes):
    certificate = ssl.PEM_cert_to_DER_cert((DIRECTORY / "leaf.pem").read_text())
    header = {
        "typ": "JWT",
        "alg": "ES256",
        "x5c": [base64.b64encode(certificate).decode()],
    }
    now = int(time.time())
    access = []
    for scope in scopes:
        kind, name, actions = scope.split(":")
        access.append({"type": kind, "name": name, "actions": actions.split(",")})
    claims = {
        "iss": "testbed",
        "sub": "user",
        "aud": service,
        "nbf": now - 10,
        "iat": now,
        "exp": now + 300,
        "jti": str(time.time_ns()),
        "access": access,
    }
    text = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
    return text + "." + encoded(signature(text.encode()))


class Tokens(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.headers.get("Authorization") != KNOWN:
            return self.send_error(401)
        query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
        scopes = [scope for text in query.get("scope", []) for scope in text.split()]
        body = json.dumps({"token": token(query["service"][0], scopes)}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.send_error(405)


class Server(http.server.ThreadingHTTPServer):
    def __init__(self):
        super().__init__((HOST, PORT), Tokens)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(DIRECTORY / "leaf.pem", DIRECTORY / "leaf.key")

    def finish_request(self, request, client_address):
        # The handshake is the thread's, so that a client that sends none holds nobody up.
        request.settimeout(10)
        super().finish_request(self.tls.wrap_socket(request, server_side=True), client_address)


Server().serve_forever()
