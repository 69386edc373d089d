"""A hub on this machine: serves dataset repositories from folders, as far as downloading them asks."""

import hashlib
import json
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlparse

import pytest

Revisions = dict[str, Path]
"""Branch or tag -> folder with the files of that revision."""


def commit(folder: Path) -> str:
    """The commit that a folder is served as."""
    return hashlib.sha1(str(folder).encode()).hexdigest()


@contextmanager
def serving(
    repositories: dict[str, Revisions], models: dict[str, Revisions] | None = None
) -> Generator[None]:
    """Lets `huggingface_hub` in this process find these by `owner/name`, and no others."""
    kinds = {"datasets": repositories, "models": models or {}}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def log_message(self, format: str, *args: object) -> None:
            pass

        def _answer(self) -> None:
            words = unquote(urlparse(self.path).path).strip("/").split("/")
            words = words[1:] if words[0] == "api" else words
            if words[0] not in kinds and len(words) > 1:  # the address of a model's file names no kind
                words = ["models", *words]
            revisions = kinds.get(words[0], {}).get("/".join(words[1:3]))
            if revisions is None:
                return self._send(404, b"", {"X-Error-Code": "RepoNotFound"})
            if words[3:] == ["refs"]:
                refs = [{"name": n, "ref": n, "targetCommit": commit(f)} for n, f in revisions.items()]
                return self._json({"branches": refs, "tags": [], "converts": []})
            by_commit = {commit(folder): folder for folder in revisions.values()}
            folder = {**revisions, **by_commit}.get(words[4]) if len(words) > 4 else None
            if folder is None:
                return self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})
            files = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
            if words[3] == "revision":
                siblings = [{"rfilename": name} for name in files]
                return self._json({"id": "/".join(words[1:3]), "sha": commit(folder), "siblings": siblings})
            if words[3] == "tree":
                tree = [
                    {"type": "file", "path": name, "size": (folder / name).stat().st_size, "oid": "0" * 40}
                    for name in files
                ]
                return self._json(tree)
            content = (folder / "/".join(words[5:])).read_bytes()
            facts = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": commit(folder)}
            self._send(200, content, facts)

        def _json(self, content: object) -> None:
            self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

        def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        with at(f"http://127.0.0.1:{server.server_port}"):
            yield
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def at(endpoint: str) -> Generator[None]:
    """Lets `huggingface_hub` in this process take `endpoint` for the hub."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
        template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        patched.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield


@contextmanager
def receiving() -> Generator[list[str]]:
    """A hub that takes whatever `huggingface_hub` in this process uploads; gives the paths of the files."""
    received: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body, address = self.rfile.read(int(self.headers.get("Content-Length") or 0)), self.path
            if "/preupload/" in address:
                facts = {"uploadMode": "regular", "shouldIgnore": False}
                return self._json(
                    {"files": [{"path": f["path"], **facts} for f in json.loads(body)["files"]]}
                )
            if "/commit/" in address:
                lines = [json.loads(line) for line in body.splitlines()]
                received.extend(line["value"]["path"] for line in lines if line["key"] in ("file", "lfsFile"))
                return self._json({"commitUrl": f"{url}/you/arm/commit/0", "commitOid": "0" * 40})
            self._json({"url": f"{url}/you/arm", "name": "you/arm", "warnings": [], "errors": []})

        def do_DELETE(self) -> None:
            self._json({})

        def do_GET(self) -> None:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

        def _json(self, content: object) -> None:
            answer = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        with at(url), pytest.MonkeyPatch.context() as patched:
            # Cards ask an address of their own, and are sent to the hub that was there at the import.
            patched.setattr("huggingface_hub.RepoCard.validate", lambda *_, **__: None)
            patched.setattr("huggingface_hub.hf_api.api.endpoint", url)
            yield received
    finally:
        server.shutdown()
        server.server_close()
