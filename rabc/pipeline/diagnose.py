"""What `rabc diagnose` does: scores what the controls lack, judges, and leaves a page."""

from dataclasses import replace

from rabc.config.settings import Config
from rabc.diagnosis.dataset import diagnose_scores, write_diagnosis
from rabc.pipeline.checks import check_beforehand, check_dataset
from rabc.pipeline.state import paths
from rabc.scoring.configured import load_scorer
from rabc.scoring.plan import carry_out, plan_scoring


def diagnose_dataset(config: Config) -> None:
    """Prints the figures, the verdict and the calibrations of a dataset's scores, and writes its page.

    Scores and controls that are missing are made first. Raises InputError for what cannot be scored.
    """
    from rabc.datasets.source import find_dataset

    # Diagnosing never records: a folder that is not there is a mistake, or on the hub.
    check_beforehand(
        replace(
            config,
            demonstrations=replace(config.demonstrations, simulate=False),
            rollouts=replace(config.rollouts, episodes=0),
            weights=replace(config.weights, progress_file=None, weights_file=None),
        )
    )
    root = find_dataset(config)
    check_dataset(config, root, trains=False)
    scorer = load_scorer(config.scorer, config.device)
    plan = plan_scoring(config, root, scorer)
    carry_out(config, plan, scorer)
    found = diagnose_scores(config, root, plan.stores)
    page = write_diagnosis(config, root, found, paths(config).outputs / "diagnosis")
    print(f"\n{found}\n\npage: {page}\nfigures: {page.with_name('diagnosis.json')}")
