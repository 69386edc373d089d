"""Paths and hub ids as people write them: every command gets the plain ones, or says what it wants."""

import importlib
import pkgutil
import re
from dataclasses import replace
from pathlib import Path

import pytest

from rabc import commands
from rabc.comparison.arms import arms_of
from rabc.config import cli
from rabc.config.settings import Config
from rabc.system.errors import InputError
from rabc.system.hub import is_hub_id


def parsed(*argv: str) -> Config:
    return cli.parse(argv, "").config


def refusal(*argv: str) -> str:
    with pytest.raises(InputError) as error:
        parsed(*argv)
    assert "\n" not in str(error.value)
    return str(error.value)


def make_dataset(folder: Path) -> Path:
    for part in ("meta", "data/chunk-000"):
        (folder / part).mkdir(parents=True)
    (folder / "meta/info.json").touch()
    (folder / "data/chunk-000/file-000.parquet").touch()
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return make_dataset(tmp_path / "pick")


@pytest.mark.parametrize(
    "text",
    [
        "{home}/pick/", "~/pick", "$DATA/pick", "${{DATA}}/pick//", "file://{home}/pick", "{home}/pick/meta",
        "{home}/pick/meta/info.json", "~/pick/data", "{home}/pick/data/chunk-000/file-000.parquet",
    ],
)  # fmt: skip
def test_a_folder_however_it_is_written(home: Path, text: str) -> None:
    assert parsed("--dataset.path", text.format(home=home.parent)).dataset.path == str(home)


@pytest.mark.parametrize("text", ["pick", "./pick", "a $5 set", "data/not there yet"])
def test_a_plain_path_stays_as_it_is(home: Path, text: str) -> None:
    make_dataset(home.parent / "a $5 set")
    assert parsed("--dataset.path", text).dataset.path == text


@pytest.mark.parametrize(
    ("text", "revision"),
    [
        ("hf://datasets/you/pick", None),
        ("hf://datasets/you/pick@v3.0", "v3.0"),
        ("hf://datasets/you/pick@refs%2Fpr%2F1/meta/info.json", "refs/pr/1"),
        ("https://huggingface.co/datasets/you/pick/", None),
        ("huggingface.co/datasets/you/pick/tree/main", None),
        ("https://huggingface.co/datasets/you/pick/blob/abc123/meta/info.json?row=1", "abc123"),
        ("https://hf.co/datasets/you/pick/viewer/default/train", None),
        ("you/pick/", None),
    ],
)
def test_an_address_of_a_hub_dataset_is_its_id(home: Path, text: str, revision: str | None) -> None:
    dataset = parsed("--dataset.path", text).dataset
    assert (dataset.path, dataset.revision) == ("you/pick", revision)
    assert is_hub_id(str(dataset.path))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "hf://you/pick",
            "is no address of a dataset; give a folder, owner/name or hf://datasets/owner/name",
        ),
        ("https://huggingface.co/spaces/you/pick", "is no address of a dataset"),
        ("https://huggingface.co/datasets/you", "is no address of a whole repository"),
        ("hf://datasets/you/many/pick", "download a part with `hf download`"),
        ("s3://bucket/pick", "is no path of this machine"),
        ("$NOWHERE/pick", "the variable NOWHERE is not set"),
        ("pi\tck", r"dataset.path 'pi\tck': has characters that are no text"),
        ("a" * 300, "is longer than 255 bytes; give a shorter one"),
        ("data/" + "ä" * 130, "is longer than 255 bytes"),
    ],
)
def test_what_is_no_place_of_a_dataset_is_refused(home: Path, text: str, words: str) -> None:
    assert words in refusal("--dataset.path", text)


def test_an_address_and_a_key_name_one_revision(home: Path) -> None:
    address = "hf://datasets/you/pick@v3.0"
    assert parsed("--dataset.path", address, "--dataset.revision", "v3.0").dataset.revision == "v3.0"
    assert refusal("--dataset.path", address, "--dataset.revision", "main").endswith(
        "names another revision than dataset.revision main; give one of them"
    )


def test_arms_of_a_comparison_find_their_files_as_the_weights_do(home: Path) -> None:
    (home.parent / "arms.yaml").write_text(
        "comparison: {arms: {own: {scheme: static, weights_file: ~/file.parquet}, "
        "far: {progress_file: hf://datasets/you/pick/file.parquet}}}"
    )
    config = parsed("--config", "arms.yaml")
    with pytest.raises(InputError, match=r"comparison\.arms\.far\.progress_file hf.* not read from the hub"):
        arms_of(config, "own")
    own = {name: arm for name, arm in config.comparison.arms.items() if name == "own"}
    found = arms_of(replace(config, comparison=replace(config.comparison, arms=own)), "own")
    assert found[-1].weights.foreign_file == f"{home.parent}/file.parquet"


@pytest.mark.parametrize("name", ["~/own.yaml", "$DATA/own.yaml", "file://{home}/own.yaml"])
def test_a_configuration_is_found_as_other_files_are(home: Path, name: str) -> None:
    """`--config=~/own.yaml` is one word, in which no shell replaces anything."""
    (home.parent / "own.yaml").write_text("run: mine")
    assert parsed(f"--config={name.format(home=home.parent)}").run == "mine"
    assert "hf://you/pick/own.yaml: is not read from the hub" in refusal("--config", "hf://you/pick/own.yaml")


@pytest.mark.parametrize("command", sorted(one.name for one in pkgutil.iter_modules(commands.__path__)))
def test_every_option_for_a_file_or_folder_takes_what_the_others_take(command: str) -> None:
    module = importlib.import_module(f"rabc.commands.{command}")
    for item in vars(module).values():
        if isinstance(item, cli.Argument) and item.type in (str, str | None):
            about = re.search(r"\b(file|folder|page|PNG|checkpoint)\b", item.help, re.IGNORECASE)
            named = item.name == "push"  # a folder is uploaded to what it names
            assert item.is_path == (about is not None and not named), f"{command} --{item.name}"


def test_a_folder_of_several_datasets_names_them(home: Path) -> None:
    make_dataset(home.parent / "you/place")
    assert refusal("--dataset.path", str(home.parent)) == (
        f"dataset.path {home.parent}: is no dataset and holds {home}, {home.parent}/you/place; give one of "
        f"them, or those to train on together: --dataset.path {home} --dataset.path {home.parent}/you/place"
    )
    for number in range(9):
        make_dataset(home.parent / f"them/{number}")
    assert "holds them/0, them/1, them/2, them/3, ...; give" in refusal("--dataset.path", "them")


def test_several_datasets_are_settled_each(home: Path) -> None:
    several = parsed("--dataset.path", "~/pick/", "--dataset.path", "hf://datasets/you/pick@v3.0").dataset
    assert several.paths == (str(home), "you/pick")
    assert several.revision == "v3.0"
    assert refusal("--dataset.path=[~/pick,$DATA/pick/meta]").endswith("named twice; name it once")


def test_models(home: Path) -> None:
    training = home.parent / "last"
    (training / "pretrained_model").mkdir(parents=True)
    (training / "pretrained_model/config.json").touch()
    frozen = ("--policy.batch_norm", "frozen")
    for text in ("~/last", "last/pretrained_model", "$DATA/last/pretrained_model/config.json"):
        for key in ("scorer.model", "policy.pretrained_path"):
            section, _, name = key.partition(".")
            found = getattr(getattr(parsed(f"--{key}", text, *frozen), section), name)
            assert Path(found).resolve() == training / "pretrained_model"
    scorer = parsed("--scorer.model", "https://huggingface.co/Qwen/Qwen3-VL-2B-Instruct/tree/abc").scorer
    assert (scorer.model, scorer.revision) == ("Qwen/Qwen3-VL-2B-Instruct", "abc")
    assert (
        parsed("--policy.pretrained_path", "hf://lerobot/act", *frozen).policy.pretrained_path
        == "lerobot/act"
    )
    assert "`hf download lerobot/act --revision abc" in refusal(
        "--policy.pretrained_path", "hf://lerobot/act@abc", *frozen
    )
    assert "is no address of a model" in refusal("--scorer.model", "hf://datasets/you/pick")


@pytest.mark.parametrize("key", ["weights.progress_file", "weights.weights_file"])
def test_files_are_of_this_machine(home: Path, key: str) -> None:
    scheme = ["--weights.scheme", "static"] if key == "weights.weights_file" else []
    weights = parsed(f"--{key}", "~/file.parquet", *scheme).weights
    assert weights.foreign_file == f"{home.parent}/file.parquet"
    assert refusal(f"--{key}", "hf://datasets/you/pick/file.parquet", *scheme) == (
        f"{key} hf://datasets/you/pick/file.parquet: is not read from the hub; download it with "
        "`hf download you/pick file.parquet --repo-type dataset --local-dir .`, give its path"
    )
    assert "`hf download you/pick a/b.parquet --repo-type dataset --revision v2 --local-dir .`" in refusal(
        f"--{key}", "https://huggingface.co/datasets/you/pick/blob/v2/a/b.parquet", *scheme
    )
