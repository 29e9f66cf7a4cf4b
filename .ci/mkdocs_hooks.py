"""Hooks of mkdocs: pages of the repository's top join those of ``docs``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from metadata import compare_links, documentation_of  # it lies beside this file
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent


def on_files(files: Files, config: Any) -> None:
    """Add README and the others; mkdocs makes README the first page."""
    for path in ROOT.glob("*.md"):
        files.append(File.generated(config, path.name, content=path.read_text("utf-8")))


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Let links lead to where the pages lie on the site: all in one folder."""
    documentation = documentation_of(ROOT)
    if page.file.src_uri == "CHANGELOG.md" and documentation:
        markdown += "\n" + compare_links(markdown, documentation)
    return re.sub(r"\]\((?:\.\./|docs/)", "](", markdown)
