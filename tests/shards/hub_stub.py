"""A stub of the part of the Hugging Face Hub's HTTP API that publishing and pulling use. NOT the Hub.

It was written from what `huggingface_hub` sends, so it proves that our calls are well formed and in order, not
that the Hub itself takes them.
"""

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

LFS = (".tar", ".parquet")


@dataclass
class StubHub:
    """One repository `org/toy` in memory. `fail_commits` commits after the next `let_pass` are refused with 503."""

    files: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    exists: bool = False
    tags: list[str] = field(default_factory=list)
    commits: list[list[str]] = field(default_factory=list)
    uploaded: list[str] = field(default_factory=list)
    refuse_after: int = 10**9
    url: str = ""

    def start(self) -> ThreadingHTTPServer:
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"hub": self}))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        return server

    def info(self, path: str) -> dict[str, Any]:
        data = self.files[path]
        entry: dict[str, Any] = {"type": "file", "path": path, "size": len(data), "oid": blob(data)}
        if path.endswith(LFS):
            entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
            entry["oid"] = blob(b"pointer")
        return entry

    def folders(self) -> set[str]:
        return {"/".join(path.split("/")[:depth]) for path in self.files for depth in range(1, path.count("/") + 1)}


def blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Handler(BaseHTTPRequestHandler):
    hub: StubHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def answer(self, value: Any, status: int = 200, **headers: str) -> None:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def missing(self, code: str = "EntryNotFound") -> None:
        self.answer({"error": "not found"}, 404, X_Error_Code=code, X_Error_Message="not found")

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            chunks = []
            while size := int(self.rfile.readline().strip(), 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def do_POST(self) -> None:
        path, hub = urlsplit(self.path).path, self.hub
        raw = self.body()
        if not (self.headers.get("Authorization") or "").startswith("Bearer ") and "paths-info" not in path:
            self.answer({"error": "no token"}, 401)
        elif path == "/api/repos/create":
            hub.exists = True
            self.answer({"url": f"{hub.url}/datasets/org/toy", "name": "org/toy"})
        elif path == "/api/validate-yaml":
            self.answer({"errors": [], "warnings": []})
        elif not hub.exists:
            self.missing("RepoNotFound")
        elif "/preupload/" in path:
            asked = [entry["path"] for entry in json.loads(raw)["files"]]
            modes = [{"path": p, "uploadMode": "lfs" if p.endswith(LFS) else "regular", "shouldIgnore": False} for p in asked]
            self.answer({"files": modes})
        elif path.endswith("/objects/batch"):
            self.answer({"transfer": "basic", "objects": [self._lfs(entry) for entry in json.loads(raw)["objects"]]})
        elif "/commit/" in path:
            self._commit([json.loads(line) for line in raw.splitlines()])
        elif "/paths-info/" in path:
            asked = parse_qs(raw.decode()).get("paths", []) if raw[:1] != b"{" else json.loads(raw)["paths"]
            self.answer([hub.info(p) for p in asked if p in hub.files] + self._directories(asked))
        elif "/tag/" in path:
            tag = json.loads(raw)["tag"]
            self.answer({"error": "exists"}, 409) if tag in hub.tags else (hub.tags.append(tag), self.answer({}))
        else:
            self.missing()

    def _directories(self, asked: list[str]) -> list[dict[str, Any]]:
        return [{"type": "directory", "path": p, "oid": "0" * 40} for p in asked if p in self.hub.folders()]

    def _lfs(self, entry: dict[str, Any]) -> dict[str, Any]:
        if entry["oid"] in self.hub.blobs:
            return entry
        return {**entry, "actions": {"upload": {"href": f"{self.hub.url}/blob/{entry['oid']}"}}}

    def _commit(self, lines: list[dict[str, Any]]) -> None:
        if len(self.hub.commits) >= self.hub.refuse_after:
            self.answer({"error": "try later"}, 503)
            return
        names = []
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                self.hub.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                self.hub.files[value["path"]] = self.hub.blobs[value["oid"]]
            else:
                continue
            names.append(value["path"])
        self.hub.commits.append(names)
        self.answer({"commitUrl": f"{self.hub.url}/datasets/org/toy/commit/{'1' * 40}", "commitOid": "1" * 40})

    def do_PUT(self) -> None:
        data = self.body()
        digest = hashlib.sha256(data).hexdigest()
        assert self.path == f"/blob/{digest}"
        self.hub.blobs[digest] = data
        self.hub.uploaded.append(digest)
        self.answer({})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub, path = self.hub, unquote(urlsplit(self.path).path)
        if not hub.exists:
            self.missing("RepoNotFound")
        elif found := re.fullmatch(r"/datasets/org/toy/resolve/[^/]+/(.+)", path):
            self._resolve(found[1])
        elif found := re.fullmatch(r"/api/datasets/org/toy/tree/[^/]+/?(.*)", path):
            self._tree(found[1])
        elif re.fullmatch(r"/api/datasets/org/toy(/revision/.+)?", path):
            siblings = [{"rfilename": name} for name in sorted(hub.files)]
            self.answer({"id": "org/toy", "sha": "1" * 40, "siblings": siblings, "private": False, "tags": [], "downloads": 0,
                         "likes": 0})  # fmt: skip
        else:
            self.missing()

    def _resolve(self, name: str) -> None:
        if name not in self.hub.files:
            self.missing()
            return
        data = self.hub.files[name]
        headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X_Repo_Commit": "1" * 40, "Accept_Ranges": "bytes"}
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if span:
            end = int(span[2]) + 1 if span[2] else len(data)
            headers["Content_Range"] = f"bytes {span[1]}-{min(end, len(data)) - 1}/{len(data)}"
            self.answer(data[int(span[1]) : end], 206, **headers)
        else:
            self.answer(data, **headers)

    def _tree(self, folder: str) -> None:
        prefix = f"{folder}/" if folder else ""
        if prefix and not any(name.startswith(prefix) for name in self.hub.files):
            self.missing()
            return
        deep = "recursive=True" in self.path or "recursive=true" in self.path
        names = [n for n in sorted(self.hub.files) if n.startswith(prefix) and (deep or "/" not in n[len(prefix) :])]
        inner = sorted(f for f in self.hub.folders() if f.startswith(prefix) and (deep or "/" not in f[len(prefix) :]))
        self.answer([{"type": "directory", "path": f, "oid": "0" * 40} for f in inner] + [self.hub.info(n) for n in names])
