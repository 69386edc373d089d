"""The main job: demonstrations -> scores -> weights -> training -> rollouts -> summary.

Every stage reads what the one before left on disk and is skipped when nothing it depends on changed.
"""

import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from rabc.config.settings import Config
from rabc.pipeline.checks import check_beforehand, check_once
from rabc.pipeline.costs import check_fits, cost_table
from rabc.pipeline.receipt import note
from rabc.pipeline.state import STAGES, Paths, finished, inputs, lost, paths, stage_state
from rabc.system import stages
from rabc.system.atomic import write_json
from rabc.system.lock import held
from rabc.system.processes import global_rank
from rabc.system.stages import Result, Stages
from rabc.system.terminal import table


def run(
    config: Config, dry_run: bool = False, last: str = STAGES[-1], compared: bool = False
) -> dict[str, Result]:
    """Do what is not done yet and print the summary; with `dry_run` only say what that would be.

    last: stage to end with; before the last of all there is no summary. compared: in a comparison, so that
    nobody need be told whether there was one. Returns the results by stage, none where nothing was done.
    Raises InputError while another process is at work on the run.
    """
    from rabc.datasets.source import find_dataset
    from rabc.system.quiet import quiet_libraries

    quiet_libraries()
    if global_rank(config.trainer.devices, config.trainer.num_nodes) > 0:
        if not dry_run:
            train_along(config)
        return {}
    check_beforehand(config)
    if all(Path(path).exists() for path in config.dataset.paths):
        # What was sound for another chunk, camera or policy need not be for this one.
        check_once(config, find_dataset(config), keep=not dry_run)
    if last == STAGES[-1]:
        check_fits(config, [name for name, state, _ in stage_rows(config) if state != "done"])
    if dry_run:
        print(describe(config))
        return {}
    where = paths(config)
    # Two at once would write one configuration, one summary and one policy folder.
    with held(where.outputs / ".lock", f"run {config.run}", "wait for it, end it, or give another --run"):
        return _stages(config, where, last, compared)


def _stages(config: Config, where: Paths, last: str, compared: bool) -> dict[str, Result]:
    from rabc.pipeline import work
    from rabc.pipeline.summary import print_summary, write_model_card, write_summary

    markers = Stages(where.outputs / "stages")
    write_json(where.outputs / "config.json", asdict(config))
    done: dict[str, stages.Finished] = {}
    results: dict[str, Result] = {}
    for name in STAGES[: STAGES.index(last) + 1]:
        to_train = name == "training" and stage_state(config, name, markers, results).status != "done"
        if to_train and not compared:
            for line in note(config, results):
                print(line)
        done[name] = markers.run(
            name,
            inputs(config, name, results),
            partial(_do, work.DO[name], config, where, results),
            partial(lost, config, name, results),
        )
        results[name] = done[name].result
    if last == STAGES[-1]:
        write_model_card(config, where, results)
        print_summary(write_summary(config, where, done))
    return results


def _do(
    work: Callable[[Config, Paths, dict[str, Result]], Result],
    config: Config,
    where: Paths,
    results: dict[str, Result],
) -> Result:
    from rabc.system.quiet import no_library_bars

    no_library_bars()  # imports the libraries, which takes seconds that a finished stage need not wait for
    return work(config, where, results)


def train_along(config: Config) -> None:
    """What every process but the first does: wait until it comes to training, and take part in that."""
    from rabc.pipeline import work

    where = paths(config)
    markers = Stages(where.outputs / "stages")
    results: dict[str, Result] = {}
    for name in STAGES[: STAGES.index("training")]:
        lacking = partial(_lacking, config, name, results)
        while markers.state(name, inputs(config, name, results), lacking).status != "done":
            time.sleep(1)
        results[name] = markers.result(name)
    if stage_state(config, "training", markers, results).status != "done":
        work.do_training(config, where, results)


def _lacking(config: Config, stage: str, results: dict[str, Result], result: Result) -> str:
    """`lost`, of what a process beside the first needs itself: scores may be on that one's machine alone."""
    if stage == "scores":
        return ""
    if stage == "weights":
        gone = [path for path in (result["weights_file"], result["page"]) if not Path(path).exists()]
        return f"{gone[0]} is gone" if gone else ""
    return lost(config, stage, results, result)


def describe(config: Config) -> str:
    """Table of the stages: what is done, what is stale and why, what the rest will cost."""
    rows = stage_rows(config)
    unfinished = [name for name, state, _ in rows if state != "done"]
    parts = [table(rows, ["stage", "state", "why"]), "", cost_table(config, unfinished)]
    return "\n".join([*parts, *(note(config, finished(config)) if "training" in unfinished else [])])


def stage_rows(config: Config) -> list[tuple[str, str, str]]:
    """(stage, state, why) of every stage: `done`, `stale`, `to do`."""
    markers = Stages(paths(config).outputs / "stages")
    rows: list[tuple[str, str, str]] = []
    results: dict[str, Result] = {}
    waiting = ""
    for name in STAGES:
        if waiting:
            rows.append((name, "to do", f"after {waiting}"))
            continue
        state = stage_state(config, name, markers, results)
        rows.append((name, state.status, state.reason))
        if state.status == "done":
            results[name] = markers.result(name)
        else:
            waiting = name
    return rows
