"""Scores of the same pictures that lie beside other datasets, taken over instead of made again.

Of a dataset that is trained together with others, and of the one that LeRobot's edits leave as `<name>_old`
when they write a dataset in its place. What counts is what a line says it is about, as within a store.
"""

from collections.abc import Mapping
from pathlib import Path

from rabc.datasets.view import made_of
from rabc.scoring.camera_store import CameraStore
from rabc.scoring.store import ScoreStore, scores_root
from rabc.scoring.store_part import Shown
from rabc.scoring.variants import Variant


def take_over(dataset_root: Path, stores: Mapping[Variant, ScoreStore]) -> None:
    """Adds to `stores`, of the dataset in `dataset_root`, what they lack and others have.

    Raises InputError as `CameraStore.part` does.
    """
    before = dataset_root.with_name(f"{dataset_root.name}_old")
    others = [part for part in (*made_of(dataset_root), before) if part.is_dir()]
    for folder in map(scores_root, others):
        for store in stores.values():
            for place, camera in enumerate(store.cameras):
                theirs = CameraStore(folder / camera.folder.name, camera.meta)
                if theirs.folder.is_dir():
                    _copy(theirs, camera, {shown[place] for shown in store.episodes.values()})


def _copy(source: CameraStore, target: CameraStore, wanted: set[Shown]) -> None:
    found = source.read()
    missing = wanted.difference(target.read())
    lacking = [shown for shown in found if shown in missing]
    if lacking:
        with target.part() as part:
            for shown in lacking:
                part.append(found[shown])
        target.merge()
