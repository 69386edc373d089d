"""Labels and stages that nobody can read, as notes: only a diagnosis of scores looks at them."""

from collections.abc import Callable, Iterator

from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

from rabc.datasets.preflight.findings import Finding
from rabc.datasets.stage_labels import stage_labels
from rabc.datasets.success_labels import find_labels
from rabc.system.errors import InputError


def label_findings(meta: LeRobotDatasetMetadata) -> Iterator[Finding]:
    """What a diagnosis will leave out of success labels and annotated stages."""
    reads: list[Callable[[], tuple[str, ...]]] = [
        lambda: find_labels(meta).remarks,
        lambda: stage_labels(meta).remarks,
    ]
    for read in reads:
        try:
            said = read()
        except InputError as error:
            said = (str(error),)
        for line in said:
            what, _, remedy = line.partition("; ")
            yield Finding("note", "label", what, remedy, concerns=("scoring",))
