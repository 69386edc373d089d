"""What `rabc compare` does: trainings, rollouts, statistics, report."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rabc.comparison.arms import BASELINE, WEIGHTED, Arm, standard_arms
from rabc.comparison.pages.texts import P_HEADERS
from rabc.comparison.plan import (
    PlannedRun,
    comparison_folder,
    distinct,
    planned_run,
    prepare,
    with_plain_shared,
)
from rabc.config.arguments import command_line
from rabc.config.settings import Config
from rabc.pages.html import ends, points
from rabc.statistics.intervals import Proportion
from rabc.system.atomic import write_json
from rabc.system.errors import InputError
from rabc.system.lock import held
from rabc.system.terminal import duration, table

if TYPE_CHECKING:
    from rabc.comparison.results import PlayedRun


def compare(config: Config, arms: Sequence[Arm], training_seeds: int, sequential: bool) -> dict[str, Any]:
    """Train, play and compare the arms; writes the results and the report, and prints a table.

    Finished trainings and rollouts are kept and used again, those of a comparison with fewer seeds, rollouts
    or arms too.

    Args:
        config: of the arm `weighted`; `rollouts.episodes` for each arm and training seed.
        arms: the baseline first.
        training_seeds: trainings of each arm, with seeds from `config.seed` on.
        sequential: stop playing when the sequential test has decided.

    Raises InputError while another process is at work on the comparison, or on one of its runs.
    """
    from rabc.comparison.pages.board import write_scalars
    from rabc.comparison.pages.page import write_page
    from rabc.comparison.results import FILE, LEVEL, summarise
    from rabc.comparison.rollouts import play_all
    from rabc.comparison.trainings import train_all
    from rabc.pipeline.costs import jobs_at_once
    from rabc.system.quiet import no_library_bars, quiet_libraries

    quiet_libraries()
    no_library_bars()
    check_comparison(config, arms)
    jobs = jobs_at_once(config)
    runs = planned(config, arms, training_seeds, jobs)
    check_disk(config, runs, jobs)
    folder = comparison_folder(config)
    # Each of its trainings holds its own run; files of shuffled weights, logs and rollouts are nobody's.
    with held(folder / ".lock", f"comparison {config.run}", "wait for it, end it, or give another --run"):
        prepare(config, arms, [run.seed for run in runs[:: len(arms)]])
        runs = with_plain_shared(runs)
        for name in dict.fromkeys(run.arm.name for run in runs if run.made):
            print(f"arm {name}: its weights are all equal, so its trainings are those of {BASELINE}")
        train_all(runs, jobs)
        rollouts = replace(config.rollouts, processes=max(jobs, config.rollouts.processes))
        played, test = play_all(replace(config, rollouts=rollouts), runs, sequential, LEVEL)
        command = command_line()
        result = summarise(config, arms, played, command, test)
        write_json(folder / FILE, result)
        write_scalars(result, folder / "tensorboard")
        _print(result, write_page(result, folder))
        leave_receipts(config, played, result)
    return result


def leave_receipts(config: Config, played: Sequence["PlayedRun"], result: dict[str, Any]) -> None:
    """Write down for later trainings, and in the cards of the compared policies, what was found."""
    from rabc.comparison.receipt import write_receipts
    from rabc.pipeline import state
    from rabc.pipeline.summary import write_model_card

    try:
        written = write_receipts(config, played, result)
    except InputError as error:  # hours are done and their results written
        print(f"receipts: not written: {error}")
        return
    for path in written:
        print(f"receipt: {path}")
    for run in [one for one in played if not one.plan.made]:
        write_model_card(run.plan.config, state.paths(run.plan.config), run.results)


def check_comparison(config: Config, arms: Sequence[Arm]) -> None:
    """Raise InputError now for what would else fail when some or all trainings are done."""
    from rabc.pipeline.checks import check_beforehand, check_foreign, thresholds

    if not config.demonstrations.simulate:
        raise InputError(
            "demonstrations.simulate false: policies are compared in simulation; record rollouts on the arm "
            "and give them to --recorded"
        )
    for key in ("devices", "num_nodes"):
        if (value := getattr(config.trainer, key)) > 1:
            raise InputError(
                f"trainer.{key} {value}: every training of a comparison takes one device; give 1, and "
                "--comparison.jobs for several trainings side by side"
            )
    check_beforehand(config)
    root = Path(config.dataset.paths[0])
    for arm in arms:
        check_foreign(arm.weights)
        if root.exists():  # before the scoring that all arms share
            try:
                thresholds(config, arm.weights, root)
            except InputError as error:
                raise InputError(f"arm {arm.name}: {error}") from error


def planned(config: Config, arms: Sequence[Arm], training_seeds: int, jobs: int) -> list[PlannedRun]:
    """All runs: every arm with the first seed, then with the next."""
    return [
        planned_run(config, arm, config.seed + number, threads=1 if jobs > 1 else 0)
        for number in range(training_seeds)
        for arm in arms
    ]


def check_disk(config: Config, runs: Sequence[PlannedRun], jobs: int) -> None:
    """Raise InputError where all trainings together leave more than a disk has room for.

    Each of them looks for itself when it begins, and the first ones find room for themselves.
    """
    from rabc.pipeline import state
    from rabc.pipeline.costs import check_all_fit

    left = [run.config for run in distinct(runs) if "training" not in state.finished(run.config)]
    check_all_fit(config, left, jobs)


def describe(config: Config, arms: Sequence[Arm], training_seeds: int) -> str:
    """Table of the runs: what is trained and played, what is not and what that costs."""
    from rabc.comparison.rollouts import missing_rollouts
    from rabc.pipeline import state
    from rabc.pipeline.costs import cost_table, jobs_at_once, measured, rollouts_s, training_s

    jobs = jobs_at_once(config)
    runs = planned(config, arms, training_seeds, jobs)
    check_disk(config, runs, jobs)
    # The file of shuffled weights is only as new as the weights that it was made from.
    weights = planned_run(config, standard_arms(config)[WEIGHTED], config.seed, 0).config
    before = state.STAGES[: state.STAGES.index("training")]
    shared = [stage for stage in before if stage not in state.finished(weights)]
    runs = runs if shared else with_plain_shared(runs)
    trained = [
        (not shared or run.arm.made_from != "weights") and "training" in state.finished(run.config)
        for run in runs
    ]
    episodes = config.rollouts.episodes
    unplayed = [
        missing_rollouts(config, run) if done else episodes for run, done in zip(runs, trained, strict=True)
    ]
    rows = [
        [run.arm.name, str(run.seed), "done" if done else "to do", f"{episodes - left} of {episodes}"]
        for run, done, left in zip(runs, trained, unplayed, strict=True)
    ]
    # What arms share is done once.
    left = len({run.config.run for run, done in zip(runs, trained, strict=True) if not done})
    to_play = sum({run.config.run: many for run, many in zip(runs, unplayed, strict=True)}.values())
    known = measured(config, ["training"] * (left > 0) + ["rollouts"] * (to_play > 0))
    # Threads of one training speed it up less than trainings side by side: measured is one with all of them.
    one = training_s(config, known)
    played = rollouts_s(config, to_play, max(jobs, config.rollouts.processes), known)
    parts = [f"Before the trainings:\n{cost_table(weights, shared)}"] if shared else []
    parts += [
        table(rows, ["arm", "seed", "training", "rollouts"]),
        f"{left} of {len(distinct(runs))} trainings to do, at most about {_time(one and left * one)}; "
        f"{to_play} rollouts to play, about {_time(played)}\n{known.remark}".rstrip(),
    ]
    return "\n\n".join(parts)


def _time(seconds: float | None) -> str:
    return "an unknown time" if seconds is None else duration(seconds)


def _print(result: dict[str, Any], page: Path) -> None:
    pairs = {pair["arm"]: pair for pair in result["pairs"]}
    rows: list[list[str]] = []
    for arm in result["arms"]:
        row = [arm["name"], str(Proportion(**arm["success"]))]
        pair = pairs.get(arm["name"])
        if pair is None:
            row += [""] * 4
        elif pair["always_valid"]:
            row += [_points({**pair["difference"], **pair["always_valid"]}), "", "", ""]
        else:
            p_values = (f"{pair[name]:.2g}" for name in ("p", "p_states", "p_adjusted"))
            row += [_points(pair["difference"]), *p_values]
        rows.append(row)
    headers = ["arm", result["task_done"], "points more", *P_HEADERS]
    print("\n" + table(rows, headers))
    print(f"\n{result['answer']}\n\nresults: {page.parent}/comparison.json\nreport:  {page}")


def _points(difference: dict[str, Any]) -> str:
    limits = ends(difference, 0)
    return points(difference["value"], 0) + (f" ({limits})" if limits else "")
