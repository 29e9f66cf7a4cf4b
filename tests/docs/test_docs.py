"""The README and the docs say what the code does, and what they show can be copied."""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from docs_tables import ROOT, ROW, TABLES

from pytest_coveralls_submit.settings.table import OPTIONS

PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
}
FOR_USERS = {
    name: text
    for name, text in PAGES.items()
    if name == "README.md" or name.startswith("docs/")
    if name != "docs/moving-over.md"  # it names what other clients know
}
SCHEMAS = {
    ".github/workflows/": "vendor.github-workflows",
    ".gitlab-ci.yml": "vendor.gitlab-ci",
    "azure-pipelines.yml": "vendor.azure-pipelines",
    ".buildkite/": "vendor.buildkite",
}
"""Start of a file's name -> the schema that check-jsonschema has of it."""


class Example(NamedTuple):
    """A file that a page shows; its first line is a comment with the file's name."""

    page: str
    file: str
    text: str


def examples() -> Iterator[Example]:
    """Yield the YAML of all pages."""
    for page, text in PAGES.items():
        for block in re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            yield Example(page, block.partition("\n")[0].removeprefix("# "), block)


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", TABLES)
def test_the_tables_are_the_codes(page: str) -> None:
    """Each setting and each CI service has one row, with the code's own words."""
    rows = {row[1]: row[0] for row in ROW.finditer(PAGES[f"docs/{page}"])}

    assert rows == TABLES[page], "`python tests/support/docs_tables.py` writes them"
    assert len(ROW.findall(PAGES[f"docs/{page}"])) == len(rows)


def test_the_flags_and_variables_that_the_docs_name_exist() -> None:
    """What a user copies is accepted."""
    ours = "\n".join(FOR_USERS.values()).replace("COVERALLS_FOO", "")
    parser = argparse.ArgumentParser()
    for option in OPTIONS.values():
        parser.add_argument(option.flag, **option.keywords())
    flags = set(parser._option_string_actions)
    named = set(re.findall(r"\bCOVERALLS_[A-Z][A-Z_]*[A-Z]\b", ours))

    assert set(re.findall(r"--(?:no-)?coveralls-[a-z-]+", ours)) <= flags
    assert named <= {variable for option in OPTIONS.values() for variable in option.variables}


def test_the_readme_is_for_those_who_come_to_use_it() -> None:
    readme = PAGES["README.md"]

    assert len(readme) <= 10_000
    for command in ("tox", "tox -e demo"):
        assert f"\npython3 -m venv .venv && .venv/bin/pip install tox && .venv/bin/{command}\n" in (
            readme
        )


@pytest.mark.parametrize("page", PAGES)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    """To a file of the repository, and to a heading of it."""
    for target in re.findall(r"\]\((?!https?://)([^)]+)\)", PAGES[page]):
        name, _, anchor = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page

        assert path.exists(), target
        assert not anchor or anchor in anchors(path.read_text("utf-8")), target


def test_each_checkout_that_is_shown_is_deep_enough() -> None:
    """Who copies a quick start sees the changed lines of pull requests."""
    for example in examples():
        assert example.text.count("/checkout@") == example.text.count("fetch-depth: 2"), example


def test_each_example_measures_what_it_installs() -> None:
    """A copy in site-packages is measured only where `--cov` names it."""
    for example in examples():
        assert "pip install ." not in example.text, example


def test_the_actions_that_are_shown_are_those_of_the_workflows() -> None:
    workflows = "\n".join(path.read_text("utf-8") for path in ROOT.glob(".github/workflows/*.yml"))
    ours = dict(re.findall(r"uses: (actions/[\w-]+)@\w+ # (v\d+)", workflows))

    for example in examples():
        for action, version in re.findall(r"uses: ([\w/-]+)@(\w+)", example.text):
            assert version == ours[action], example.page


@pytest.mark.skipif(
    importlib.util.find_spec("check_jsonschema") is None,
    reason="CHECK-JSONSCHEMA IS MISSING: YAML IS NOT CHECKED",
)
@pytest.mark.parametrize("start", SCHEMAS)
def test_the_yaml_that_is_shown_is_valid(start: str, tmp_path: Path) -> None:
    """Each example is a whole file, as the CI service would accept it."""
    paths = list(ROOT.glob(".github/workflows/*.yml")) if "workflows" in start else []
    for number, example in enumerate(examples()):
        assert example.file.startswith(tuple(SCHEMAS)), f"{example.page} names no file we know"
        if example.file.startswith(start):
            paths.append(tmp_path / f"{number}.yml")
            paths[-1].write_text(example.text, "utf-8")
    assert paths

    words = ("--regex-variant=nonunicode", "--builtin-schema", SCHEMAS[start], *map(str, paths))
    ended = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout
