"""The one check of a dataset: all looks at it, kept in the user's cache, and what of it concerns a run."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

from rabc.datasets.episodes import read_episodes
from rabc.datasets.fingerprint import annotations, derived_folder, fingerprint
from rabc.datasets.preflight.cameras import camera_findings
from rabc.datasets.preflight.columns import column_findings
from rabc.datasets.preflight.findings import Finding, Use, refusal, sorted_findings
from rabc.datasets.preflight.labels import label_findings
from rabc.datasets.preflight.offsets import UNDECIDED, decided
from rabc.datasets.preflight.pictures import sample_pictures
from rabc.datasets.preflight.recording import recording_findings
from rabc.datasets.preflight.rows import RATE, action_findings, read_rows, row_findings
from rabc.datasets.preflight.statistics import statistics_findings
from rabc.datasets.preflight.tasks import task_findings
from rabc.datasets.preflight.videos import video_findings
from rabc.system.atomic import write_json
from rabc.system.errors import InputError

_VERSION = 3
"""Of what is looked at: what an earlier one found is looked at anew."""


def preflight(meta: LeRobotDatasetMetadata, decoded: bool = False, progress: bool = True) -> list[Finding]:
    """What is wrong with a dataset, and what is worth knowing, the gravest first.

    Looked at once: what came out is kept in the user's cache for as long as that stays the same, so that a
    second call reads no table and no video.

    Args:
        meta: of a local dataset.
        decoded: look at a few pictures of every episode as well, which takes time; once done, their findings
            are among those of every later call.
        progress: show a bar meanwhile.

    Raises:
        InputError: there is no dataset to look at.
    """
    root = Path(meta.root)
    # With info.json and labels as they are: the identity of a dataset leaves out what no training sees.
    facts = (
        f"{_VERSION}:{fingerprint(root)}:{annotations(root)}:".encode()
        + (root / "meta" / "info.json").read_bytes()
    )
    identity = hashlib.sha256(facts).hexdigest()[:16]
    folder = derived_folder(root) / "preflight"
    cheap = _kept(folder / f"{identity}.json", lambda: _cheap(meta))
    with_pictures = folder / f"{identity}-pictures.json"
    if decoded or with_pictures.exists():
        seen = _kept(with_pictures, lambda: _decoded(meta, cheap, progress))
        known = {(one.column, one.episodes) for one in seen if one.kind == UNDECIDED}
        cheap = [one for one in cheap if one.kind != UNDECIDED or (one.column, one.episodes) not in known]
        cheap += seen
    _remove_others(folder, identity)
    return sorted_findings(cheap)


def refusals_and_warnings(
    findings: Iterable[Finding], uses: Collection[Use], cameras: Collection[str], episodes: Collection[int],
    root: Path,
) -> None:  # fmt: skip
    """Stop a run that the dataset would spoil, or say in a line each what it will learn wrongly.

    Args:
        findings: of `preflight`.
        uses: what the run does with the dataset.
        cameras: keys of those that it looks at.
        episodes: those that it looks at.
        root: folder of the dataset.

    Raises:
        InputError: a finding that this program does not go on with; the others are counted.
    """
    mine = [one for one in findings if _concerns(one, uses, cameras, episodes)]
    refused = [one for one in mine if one.severity == "refused"]
    if refused:
        more = f" ({len(refused) - 1} more: `rabc check-dataset {root}`)" if len(refused) > 1 else ""
        raise InputError(f"{_line(refused[0], root)}{more}")
    for one in mine:
        if one.severity == "wrong":
            print(f"warning: {_line(one, root)}", flush=True)


def _line(finding: Finding, root: Path) -> str:
    """The finding in one line that begins with a thing; one without a place names its dataset or file."""
    return f"dataset {root}, {finding}" if finding.place else str(finding)


def _concerns(
    finding: Finding, uses: Collection[Use], cameras: Collection[str], episodes: Collection[int]
) -> bool:
    of_camera = finding.kind in ("video", "picture", UNDECIDED) and finding.column
    return (
        not set(uses).isdisjoint(finding.concerns)
        and (not of_camera or finding.column in cameras)
        and (not finding.episodes or not set(episodes).isdisjoint(finding.episodes))
    )


def _cheap(meta: LeRobotDatasetMetadata) -> Iterator[Finding]:
    """All that needs no picture."""
    try:
        read_episodes(meta)
    except InputError as error:
        yield refusal(error, "episodes")
        return
    yield from action_findings(meta)
    yield from column_findings(meta)
    rows, problems = read_rows(meta)
    yield from problems
    looks: list[Callable[[], Iterator[Finding]]] = []
    if rows is not None:
        looks += [
            lambda: row_findings(meta, rows), lambda: task_findings(meta, rows),
            lambda: statistics_findings(meta, rows), lambda: recording_findings(meta, rows),
        ]  # fmt: skip
    if not problems:
        looks.append(lambda: video_findings(meta))
    kinds: set[str] = set()
    for look in looks:
        try:
            found = [] if RATE in kinds else list(look())
        except InputError as error:
            found = [refusal(error, "dataset")]
        kinds.update(one.kind for one in found)
        yield from found
    yield from label_findings(meta)


def _decoded(meta: LeRobotDatasetMetadata, cheap: list[Finding], progress: bool) -> Iterator[Finding]:
    """What pictures say; nothing of episodes whose videos are known to be no good."""
    try:
        rows, _ = read_rows(meta)
        pictures = sample_pictures(meta, progress)
    except InputError:
        return  # said by the cheap look
    known = {
        (one.column, episode)
        for one in cheap
        if one.kind == "video" and one.severity == "refused"
        for episode in one.episodes
    }
    if rows is not None:
        yield from decided(meta, rows, [one for one in cheap if one.kind == UNDECIDED])
    said = {one.what for one in cheap}  # of a table that cannot be read, whose pictures cannot be either
    found = camera_findings(
        meta, rows, {key: sampled for key, sampled in pictures.items() if key not in known}
    )
    yield from (one for one in found if one.what not in said)


def _kept(path: Path, look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """The findings in `path`, or of `look`, which are kept there where that can be written."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return [_read(one) for one in json.loads(path.read_text())]
    found = list(look())
    with contextlib.suppress(InputError):
        write_json(path, [asdict(one) for one in found])
    return found


def _read(fields: dict[str, Any]) -> Finding:
    """Lists of JSON as tuples."""
    found: dict[str, Any] = {
        name: one if isinstance(one, str) else tuple(one) for name, one in fields.items()
    }
    return Finding(**found)


def _remove_others(folder: Path, identity: str) -> None:
    """What was found about the dataset as it was before; hidden files are being written by others."""
    for path in folder.glob("[!.]*.json"):
        if not path.name.startswith(identity):
            with contextlib.suppress(OSError):
                path.unlink()
