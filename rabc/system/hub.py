"""Where something lies that a user names: a folder or file here, or a repository of the Hugging Face hub.

One rule for all of them: `~` and `$NAME` are replaced, a slash at the end is nothing, an address of the hub
stands for its repository.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from rabc.system.errors import InputError

Kind = Literal["dataset", "model"]

_ID = re.compile(r"\w[\w.-]*/[\w.-]+", re.ASCII)
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_HUB = re.compile(r"hf://|(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/", re.IGNORECASE)
_KINDS: dict[str, Kind | None] = {"datasets": "dataset", "models": "model", "spaces": None, "buckets": None}
_PAGES = ("tree", "blob", "resolve", "raw", "commit", "commits")
_IN_DATASET = ("meta", "data", "videos", "images", "README.md", "viewer", "discussions")
_IN_MODEL = ("config.json", "model.safetensors")
_HERE = "data"
_OF_A_CHECKOUT = (".git", "pyproject.toml", "setup.py")
"""What a folder of source code has at its top."""
_LONGEST = 255
"""Bytes of one name in a path: no file system here takes more."""


@dataclass(frozen=True)
class Place:
    """What a user's text stands for."""

    name: str
    """A path, or the hub repository `owner/name`."""
    revision: str | None = None
    """Branch, tag or commit that the text names; None: it names none, or the main branch."""


def looks_like_hub_id(name: str) -> bool:
    """Whether `name` is written as a hub repository, `owner/name`, whatever lies here.

    `data/` is the folder that this program keeps datasets in, there or not; `./owner/name` is always a path.
    """
    return _ID.fullmatch(name) is not None and name.partition("/")[0] != _HERE


def is_hub_id(name: str) -> bool:
    """Whether `name` can only be a hub repository, `owner/name`, and not a folder.

    Asking an unreachable hub takes a minute of retries, so what looks like a path is not asked for: one whose
    first folder is here. A clone of LeRobot beside one's work is none that datasets or policies lie in.
    """
    owner = Path(name.partition("/")[0])
    ours = owner.is_dir() and not any((owner / file).exists() for file in _OF_A_CHECKOUT)
    return looks_like_hub_id(name) and not ours and not Path(name).exists()


def place(label: str, text: str, kind: Kind) -> Place:
    """What `text` stands for where a folder or a hub repository is wanted.

    Args:
        label: the key or option that gives it, for messages.
        text: as the user wrote it: a path, also to a file within the folder, `owner/name`, or an address.
        kind: of repository.

    Raises:
        InputError: an address of something else, a variable that is not set, a name no file system takes.
    """
    found = _HUB.match(text)
    if found is None:
        return Place(_whole(local_path(label, text), kind))
    words = re.split(r"[?#]", text[found.end() :])[0].strip("/").split("/")
    named = _KINDS[words.pop(0)] if words[0] in _KINDS else "model"
    if named != kind:
        wanted = "hf://datasets/owner/name" if kind == "dataset" else "hf://owner/name"
        raise InputError(f"{label} {text}: is no address of a {kind}; give a folder, owner/name or {wanted}")
    name, _, revision = "/".join(words[:2]).partition("@")
    rest = words[2:]
    if rest and rest[0] in _PAGES:
        revision, rest = "".join(rest[1:2]), rest[2:]
    whole = not rest or (rest[0] in _IN_DATASET if kind == "dataset" else len(rest) == 1 and "." in rest[0])
    if not _ID.fullmatch(name) or not whole:
        raise InputError(
            f"{label} {text}: is no address of a whole repository; give owner/name, or download a part with "
            "`hf download` and give its folder"
        )
    return Place(name, None if revision in ("", "main") else unquote(revision))


def local_path(label: str, text: str) -> str:
    """The path that `text` stands for where a file or folder of this machine is wanted.

    Args and Raises as in `place`.
    """
    text = text.removeprefix("file://")
    if found := _HUB.match(text):
        raise InputError(
            f"{label} {text}: is not read from the hub; download it with `{_download(text[found.end() :])}`, "
            "give its path"
        )
    if _SCHEME.match(text):
        raise InputError(f"{label} {text}: is no path of this machine; copy it here and give its path")
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise InputError(f"{label} {text!r}: has characters that are no text; give a path")
    path = text if os.path.lexists(text) else os.path.expandvars(os.path.expanduser(text))
    unset = re.search(r"\$(\w+|\{[^}]*\})", path)
    if unset and not os.path.lexists(path):
        raise InputError(
            f"{label} {text}: the variable {unset[1].strip('{}')} is not set; write the path out"
        )
    if any(len(os.fsencode(part)) > _LONGEST for part in Path(path).parts):
        raise InputError(f"{label} {path}: a name in it is longer than {_LONGEST} bytes; give a shorter one")
    return path.rstrip("/") or path[:1]


def _download(address: str) -> str:
    """The command that downloads what lies at an address of the hub, without `hf://` or its site."""
    words = re.split(r"[?#]", address)[0].strip("/").split("/")
    kind = _KINDS[words.pop(0)] if words[0] in _KINDS else "model"
    name, _, revision = "/".join(words[:2]).partition("@")
    rest = words[2:]
    if rest and rest[0] in _PAGES:
        revision, rest = "".join(rest[1:2]), rest[2:]
    parts = ["hf download", name, "/".join(rest), f"--repo-type {kind}" if kind == "dataset" else ""]
    parts += [f"--revision {revision}" if revision not in ("", "main") else "", "--local-dir ."]
    return " ".join(part for part in parts if part)


def _whole(text: str, kind: Kind) -> str:
    """The folder that `text` is a part of, or holds as LeRobot's training folders do; else `text` itself."""
    path = Path(text)
    if kind == "dataset":
        for root in () if _is_dataset(path) else path.parents[:4]:
            if _is_dataset(root) and path.exists() and path.relative_to(root).parts[0] in _IN_DATASET:
                return str(root)
    elif path.name in _IN_MODEL and path.is_file():
        return str(path.parent)
    elif not (path / _IN_MODEL[0]).exists() and (path / "pretrained_model" / _IN_MODEL[0]).is_file():
        return str(path / "pretrained_model")
    return text


def _is_dataset(folder: Path) -> bool:
    return (folder / "meta" / "info.json").is_file()
