"""The configuration: frozen dataclasses, one per section of the YAML.

Nothing here imports torch, so that `--help` and configuration errors answer at once.
Facts that the dataset or the policy already state (frame rate, camera names, state and
action sizes, time windows) are not options.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from rabc.config.training_settings import PolicyConfig, TrainerConfig


@dataclass(frozen=True)
class DatasetConfig:
    """Which demonstrations to learn from."""

    path: str | list[str] = "data/so101_pick"
    """Folder of a LeRobotDataset v3, or a hub id such as `lerobot/svla_so101_pickplace`; a list: several
    datasets of the same arm, trained together."""
    revision: str | None = None
    """Branch, tag or commit of a hub dataset; ignored for a folder."""
    episodes: str | list[int] | None = None
    """Episodes to use, e.g. `0:50,60` (the end of a range is left out) or `[0, 1, 2]`; null: all."""
    exclude: str | list[int] | None = None
    """Episodes to leave out, written likewise."""
    rename_map: dict[str, str] = field(default_factory=dict)
    """Columns that the dataset calls otherwise than LeRobot, e.g. `{actions: action}`: its name -> ours."""
    eval_split: float = 0.0
    """Share of the episodes of each task, the last ones as in LeRobot, that validation uses and training does
    not; 0: none."""
    cache: bool = True
    """Decode every video once, into files at the size the policy sees, in the user's cache (`rabc cache`);
    false: decode what a batch needs."""
    cache_gb: float | None = None
    """Most that the decoded frames may take on disk, GB; frames beyond it are decoded when a batch needs
    them; null: all are kept."""
    image_transforms: dict[str, Any] = field(default_factory=dict)
    """Image augmentation in training, as LeRobot configures it, at the size the policy sees: `enable: true`,
    and if wanted `max_num_transforms`, `random_order` and `tfs`."""

    @property
    def paths(self) -> tuple[str, ...]:
        """The datasets in `path`."""
        return (self.path,) if isinstance(self.path, str) else tuple(self.path)


@dataclass(frozen=True)
class DemonstrationsConfig:
    """Simulated demonstrations, recorded when `dataset.path` is a folder that is not there."""

    simulate: bool = True
    """Record the dataset in simulation when it is missing; false, and by default where `dataset.path` names
    one that was not recorded so: a missing dataset is an error."""
    task: Literal["pick", "place"] = "pick"
    """What is shown, and what rollouts play. pick: lift a cube; place: carry it onto a disc and let go."""
    episodes: int = 100
    """Number of episodes."""
    clean: float = 0.4
    """Share of clean demonstrations."""
    stall: float = 0.1
    """Share that stops for seconds on the way."""
    retry: float = 0.1
    """Share that misses the cube once or twice before it grasps it."""
    drop: float = 0.1
    """Share that drops the cube and grasps it again."""
    detour: float = 0.1
    """Share that wanders off before it approaches."""
    give_up: float = 0.2
    """Share that misses the cube, or with place the disc, and goes home: the failed episodes."""
    slow: float = 0.0
    """Share of clean demonstrations at half the speed."""
    pause: float = 0.0
    """Share that stops for one second, once to three times."""
    image_size: int = 96
    """Height and width of both cameras, pixels."""
    first_seed: int = 0
    """Offset of the first episode within the seeds set aside for demonstrations."""
    processes: int = 2
    """Recording processes."""


@dataclass(frozen=True)
class ScorerConfig:
    """The frozen video-language model that scores every prefix (TOPReward)."""

    model: str = "checkpoints/so101-scorer"
    """Folder or hub id of a Hugging Face video-language model, e.g. `Qwen/Qwen3-VL-8B-Instruct`."""
    revision: str | None = None
    """Branch, tag or commit of a hub model; ignored for a folder."""
    camera: str = "front"
    """Camera that the scorer watches: the part after `observation.images.`. Several, separated by commas, are
    averaged in log-probability; rollouts are scored from the first."""
    num_prefixes: int = 15
    """Prefixes scored per episode, uniform from the first frame to the last; 0: every sampled frame."""
    fps: float | None = None
    """Frames per second the scorer samples; null: what the model folder says (Qwen3-VL: 2)."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of the scorer; auto: float32 on CPU, bfloat16 on a GPU."""

    answers: str = "True,False"
    """Answer whose probability is the score, and its opposite: two words of one token each."""
    chat_template: bool = False
    """Wrap the question in the model's chat template (the paper's Table 5: worse)."""
    scores_folder: str | None = None
    """Where scores are kept, e.g. a folder that several machines see; null: in the user's data,
    `~/.local/share/rabc/scores`. What was scored once counts for every dataset with the same pictures."""

    @property
    def cameras(self) -> tuple[str, ...]:
        """The names in `camera`."""
        return tuple(name.strip() for name in self.camera.split(","))


@dataclass(frozen=True)
class PaperConfig:
    """A table of TOPReward's paper (arXiv 2602.19313), measured anew by rabc paper."""

    datasets: dict[str, Any] = field(default_factory=dict)
    """Hub id or folder of each dataset, and the figure that the paper reports for it, or null."""
    failed: dict[str, Any] = field(default_factory=dict)
    """Datasets whose failed episodes lie in another one, and that one's hub id or folder."""
    quantity: Literal["voc", "success_auc"] = "voc"
    """voc: rank correlation of score and time; success_auc: ROC-AUC of the success score."""
    episodes: int = 20
    """First episodes of each dataset; 0: all."""
    both_prompts: bool = False
    """Measure with the chat template as well as without."""


@dataclass(frozen=True)
class DiagnosticsConfig:
    """How the scorer is put to the test before anything is weighted by its scores."""

    episodes: int = 32
    """Episodes, spread evenly over the dataset, that are also scored as controls: first frame repeated,
    backwards, with a wrong instruction; 0: all of them."""
    wrong_instruction: str = "Pour water from the kettle into the cup."
    """The wrong instruction where the dataset has one task only; else it is the next other task."""


Apply = Literal["loss", "sampler", "ticks", "cuts"]
TICK_LOSSES = ("act", "diffusion")
"""Types of policies whose loss is kept for every action of a sample (`rabc.policies.losses`)."""


@dataclass(frozen=True)
class WeightsConfig:
    """How progress becomes sample weights."""

    scheme: Literal["none", "auto", "topreward", "rabc", "awr", "mask", "filter", "static"] = "auto"
    """none: plain behavior cloning; auto: without what advances too little, by a rule that follows from the
    data, and plain where the scorer is no good; topreward: TOPReward Eq. 3; rabc: SARM Eq. 8-9; awr:
    exponential of the standardised progress over a chunk, which lowers as much in clean data as in flawed;
    mask: without the chunks that advance too little; filter: without the worst episodes or frames; static:
    the weights of `weights_file`."""
    calibration: Literal["episode", "dataset", "logodds"] = "dataset"
    """Scale of progress. episode: min-max per episode (TOPReward Eq. 2); dataset: pooled bounds;
    logodds: sigmoid of log p(True) - log p(False), the same for every dataset."""
    length_bias: Literal["none", "subtract"] = "none"
    """subtract: take away what the episode's first frame, repeated, rises by; scores every episode twice."""
    accept_poor_scorer: bool = False
    """Weight by the scores even where their diagnosis says `do not weight`."""
    progress_file: str | None = None
    """Parquet with progress from elsewhere in LeRobot's columns (SARM, Robometer, TOPReward), which then
    takes the place of scoring and of the calibration."""
    progress_head: Literal["sparse", "dense"] = "sparse"
    """Column of `progress_file`: `progress_sparse` or `progress_dense`."""
    weights_file: str | None = None
    """static: parquet with columns `index` and `weight`, which then takes the place of scoring."""
    apply: Apply | None = None
    """Where weights act; null: on actions with the scheme auto, by ticks where the policy's loss has them and
    else by cuts, and in the loss with any other. loss: frames are drawn equally often, their losses
    multiplied; sampler: frames are drawn in proportion to their weights, and count the same; ticks: every
    action of a chunk has a weight of its own, by the progress around it; cuts: likewise, and what has weight
    0 is cut out: a chunk ends there as at an episode's end."""
    horizon: Literal["per_step", "clamped"] = "per_step"
    """Delta over a chunk that the episode's end cuts short. per_step: what lacks counts at the episode's
    average pace; clamped: left as it is (LeRobot)."""
    kappa: float = 0.01
    """rabc: progress over a chunk above which a sample has full weight."""
    epsilon: float = 1e-6
    """Guard against division by zero in the calibrations and in rabc."""
    tau: float = 2.0
    """topreward: scale of the exponential."""
    delta_max: float = 2.0
    """topreward: largest weight before normalisation."""
    beta: float = 1.0
    """awr: temperature, standard deviations of progress over a chunk that multiply the weight by e."""
    weight_max: float = 20.0
    """awr: largest weight before normalisation."""
    min_delta: float | None = 0.0
    """mask: progress over a chunk below which a sample is left out; null: half of what a chunk gains evenly
    in a demonstration of its task's median length."""
    drop: Literal["episodes", "frames"] = "episodes"
    """filter: what is left out. episodes: those of the lowest final progress; frames: those of the lowest
    progress over the chunk."""
    drop_share: float = 0.2
    """filter: share that is left out; ties with what stays, stay."""
    drop_below: float | None = None
    """filter: final progress below which an episode is left out, in place of `drop_share`: with a
    calibration over the dataset, only successes stay."""

    @property
    def judges_actions(self) -> bool:
        """Whether frames are judged as actions, by what is around them, and not as beginnings of chunks."""
        return self.apply in ("ticks", "cuts") or (self.apply is None and self.scheme == "auto")

    @property
    def foreign_file(self) -> str | None:
        """The file from elsewhere that takes the place of scoring, if one is given."""
        return self.weights_file or self.progress_file

    @property
    def unscored(self) -> str:
        """What makes scores of the demonstrations needless; empty where they are needed."""
        return "weights.scheme none" if self.scheme == "none" else self.foreign_file or ""


@dataclass(frozen=True)
class RolloutsConfig:
    """Evaluation of the trained policy in simulation."""

    episodes: int = 40
    """Rollouts; 0, and by default for a dataset that this simulator did not record: none."""
    first_seed: int = 0
    """Offset of the first start state within the seeds set aside for rollouts."""
    max_ticks: int = 100
    """Control ticks after which a rollout has failed."""
    videos: int = 4
    """Rollout videos with the progress curve drawn beside them."""
    processes: int = 2
    """Rollout processes."""


@dataclass(frozen=True)
class ComparisonConfig:
    """What `rabc compare` compares."""

    arms: dict[str, Any] = field(default_factory=dict)
    """Arms besides the standard ones, or in their place: name -> keys of `weights` that are not at their
    default, e.g. `awr: {scheme: awr, calibration: dataset, beta: 0.2}`."""
    jobs: int = 0
    """Trainings at the same time; 0: one for each CPU core, with one thread each, or one on a GPU."""


@dataclass(frozen=True)
class Config:
    """Everything `rabc train` needs, stage by stage."""

    run: str = "so101_pick"
    """Name of the run: results go to `outputs/<run>`, the policy to `checkpoints/<run>`."""
    seed: int = 0
    """Seed of initial weights, batch order and training noise."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where models run; auto: cuda, then mps, then cpu."""
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    demonstrations: DemonstrationsConfig = field(default_factory=DemonstrationsConfig)
    scorer: ScorerConfig = field(default_factory=ScorerConfig)
    paper: PaperConfig = field(default_factory=PaperConfig)
    diagnostics: DiagnosticsConfig = field(default_factory=DiagnosticsConfig)
    weights: WeightsConfig = field(default_factory=WeightsConfig)
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    rollouts: RolloutsConfig = field(default_factory=RolloutsConfig)
    comparison: ComparisonConfig = field(default_factory=ComparisonConfig)

    @property
    def apply(self) -> Apply:
        """Where weights act: `weights.apply`, or what follows from scheme and policy."""
        if self.weights.apply is not None:
            return self.weights.apply
        if not self.weights.judges_actions:
            return "loss"
        return "ticks" if self.policy.type in TICK_LOSSES else "cuts"
