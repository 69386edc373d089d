"""Documents as a reader meets them: the commands, spans, links and headings in a text."""

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from inspect import cleandoc
from pathlib import Path

from tests.support import REPO

_PROGRAM = re.compile(r"(uv|uvx|pip|rabc|python(?= -m| scripts/)|torchrun|lerobot-[\w-]+|scripts/\w+\.py)\s")
_SPAN = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_MEASURED = re.compile(r"<!-- ([\w ]+) -->\n(.*?)<!-- /\1 -->", re.DOTALL)


@dataclass(frozen=True)
class Text:
    """Markdown, or what reads like it: the comments of a YAML, a docstring."""

    path: Path
    """File that it stands in."""
    content: str

    @property
    def name(self) -> str:
        return str(self.path.relative_to(REPO))

    @property
    def code(self) -> list[str]:
        """Lines of fenced and indented blocks, those that end with a backslash joined with the next."""
        lines, fenced = [], False
        for line in self.content.splitlines():
            if line.startswith("```"):
                fenced = not fenced
            elif fenced or line.startswith("    "):
                if lines and lines[-1].endswith("\\"):
                    lines[-1] = f"{lines[-1][:-1].rstrip()} {line.strip()}"
                else:
                    lines.append(line.strip())
        return lines

    @property
    def spans(self) -> list[str]:
        """What stands between backticks in running text; there a line may end anywhere."""
        prose = [line for line in self.content.splitlines() if not line.startswith("    ")]
        return [" ".join(found.split()) for found in _SPAN.findall("\n".join(prose))]

    @property
    def links(self) -> list[str]:
        """Targets of the links to this repository's own files and headings."""
        return [target for target in _LINK.findall(self.content) if "://" not in target]

    @property
    def anchors(self) -> set[str]:
        """The names that GitHub gives the headings."""
        headings = re.findall(r"^#+ (.+)$", self.content, re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}

    @property
    def measured(self) -> str:
        """The parts that a command wrote."""
        return "\n".join(part for _, part in _MEASURED.findall(self.content))

    @property
    def written(self) -> str:
        """The other parts."""
        return _MEASURED.sub("", self.content)

    def commands(self) -> Iterator[tuple[str, bool]]:
        """Command lines, and whether each stands in running text, where its last option may have no value."""
        yield from ((line, False) for line in self.code if _PROGRAM.match(line))
        yield from ((span, True) for span in self.spans if _PROGRAM.match(span))


@cache
def documents() -> tuple[Text, ...]:
    """What a user reads, in Markdown."""
    names = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**/*.md", "checkpoints/so101-*/README.md")
    return tuple(Text(path, path.read_text()) for name in names for path in sorted(REPO.glob(name)))


@cache
def comments() -> tuple[Text, ...]:
    """The comments of the shipped configurations, and the docstrings of the modules."""
    yamls = sorted((REPO / "configs").rglob("*.yaml"))
    modules = sorted((REPO / "rabc").rglob("*.py"))
    docs = [(path, ast.get_docstring(ast.parse(path.read_text()), clean=False)) for path in modules]
    return (
        *(Text(path, "\n".join(re.findall(r"# ?(.*)$", path.read_text(), re.MULTILINE))) for path in yamls),
        *(Text(path, cleandoc(doc)) for path, doc in docs if doc),
    )


def words_of(command: str) -> list[list[str]]:
    """The words of each program of a command line; what the reader fills in is `placeholder`."""
    filled = re.sub(r"<[^<>]*>|…", "placeholder", command)
    words = [word for word in shlex.split(filled, comments=True) if word != "..."]
    programs: list[list[str]] = [[]]
    for word in words:
        if word == "&&":
            programs.append([])
        else:
            programs[-1].append(word)
    return programs
