"""What PyPI will show, with an address of the docs and without one."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from docs_tables import ROOT

from pytest_coveralls_submit.delivery import answers
from pytest_coveralls_submit.delivery.sender import Answer

PROJECT = "https://github.com/octo/sample"
DOCS = f"{PROJECT}/blob/main/docs"
LINK = re.compile(r"\]\(([^)]*)\)")

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("hatchling") is None,
    reason="HATCHLING IS MISSING: NO METADATA IS MADE",
)


def metadata(folder: Path, documentation: str) -> dict[str, Any]:
    """Return the metadata of a copy of the project whose docs have this address."""
    for name in ("README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / ".ci", folder / ".ci")
    package = folder / "pytest_coveralls_submit"
    package.mkdir()
    constants = (ROOT / "pytest_coveralls_submit/__init__.py").read_text("utf-8")
    constants = re.sub(r'DOCUMENTATION = ".*"', f'DOCUMENTATION = "{documentation}"', constants)
    (package / "__init__.py").write_text(constants, "utf-8")
    ended = subprocess.run(
        [sys.executable, "-m", "hatchling", "metadata"],
        cwd=folder,
        capture_output=True,
        check=True,
        timeout=60,
    )
    made: dict[str, Any] = json.loads(ended.stdout)
    return made


def test_without_an_address_there_is_no_link_to_the_docs(tmp_path: Path) -> None:
    made = metadata(tmp_path, "")

    description = made["readme"]["text"]
    assert "urls" not in made
    assert description.startswith("# pytest-coveralls-submit\n")
    assert {link for link in LINK.findall(description) if "coveralls.io" not in link} == set()
    assert "docs/settings.md" in description  # as plain text
    assert "/compare/" not in description


def test_with_an_address_every_link_is_absolute(tmp_path: Path) -> None:
    made = metadata(tmp_path, DOCS)

    description = made["readme"]["text"]
    links = LINK.findall(description)
    assert made["urls"]["Documentation"] == f"{DOCS}/settings.md"
    assert made["urls"]["Source"] == PROJECT
    assert all(link.startswith("https://") for link in links)
    assert f"{DOCS}/settings.md" in links
    assert f"{PROJECT}/blob/main/CONTRIBUTING.md" in links
    start = f"{PROJECT}/blob/main/"
    ours = [link.removeprefix(start) for link in links if link.startswith(start)]
    assert all((ROOT / name.partition("#")[0]).is_file() for name in ours), ours
    assert f"\n[Unreleased]: {PROJECT}/compare/v0.1.0...HEAD\n" in description
    assert f"\n[0.1.0]: {PROJECT}/releases/tag/v0.1.0\n" in description


def test_a_refusal_links_to_its_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "DOCUMENTATION", DOCS)

    verdict = answers.judge_job(Answer(status=413), answers.RunFacts(host="https://coveralls.io"))

    assert verdict.advice[-1] == f"more about this: {DOCS}/messages.md#too-large"
