"""What PyPI shows, made while the package is built: the description and the links beside it.

``DOCUMENTATION`` in ``pytest_coveralls_submit/__init__.py`` is the one place that says where the
docs can be read. While it is empty PyPI gets no link that leads nowhere.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from hatchling.metadata.plugin.interface import MetadataHookInterface

RELATIVE_LINK = re.compile(r"\[([^\]]+)\]\((?!https?://|mailto:)([^)\s]+)\)")
RELEASE = re.compile(r"^## \[(.+?)\]", re.MULTILINE)


class Metadata(MetadataHookInterface):
    """Adds the description, and the links if there are any."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Complete the table ``project``; hatchling calls this."""
        root = Path(self.root)
        documentation = documentation_of(root)
        text = with_links((root / "README.md").read_text("utf-8"), documentation)
        if documentation:
            changes = (root / "CHANGELOG.md").read_text("utf-8")
            text += f"\n{newest_changes(changes, documentation)}"
            metadata["urls"] = project_urls(documentation)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def documentation_of(root: Path) -> str:
    """Read the address of the docs from the package; nothing is imported."""
    package = (root / "pytest_coveralls_submit/__init__.py").read_text("utf-8")
    found = re.search(r'^DOCUMENTATION = "(.*)"$', package, re.MULTILINE)
    assert found, "DOCUMENTATION is a text on one line"
    return found[1]


def repository(documentation: str) -> str:
    """Return the address of the repository, empty without documentation."""
    return documentation.partition("/blob/")[0]


def project_urls(documentation: str) -> dict[str, str]:
    """Return the links that PyPI shows beside the description."""
    return {
        "Documentation": f"{documentation}/settings.md",
        "Messages": f"{documentation}/messages.md",
        "Changelog": urljoin(f"{documentation}/", "../CHANGELOG.md"),
        "Source": repository(documentation),
        "Issues": f"{repository(documentation)}/issues",
    }


def with_links(text: str, documentation: str) -> str:
    """Return a page of the repository's top with absolute links.

    Args:
        text: Markdown.
        documentation: address of the folder ``docs``; links become plain text if it is empty.
    """

    def absolute(link: re.Match[str]) -> str:
        label, target = link.groups()
        if not documentation:
            return label
        target = f"README.md{target}" if target.startswith("#") else target
        return f"[{label}]({urljoin(f'{documentation}/', f'../{target}')})"

    return RELATIVE_LINK.sub(absolute, text)


def compare_links(changelog: str, documentation: str) -> str:
    """Return where each ``[release]`` of a changelog leads: to what changed in it."""
    releases = RELEASE.findall(changelog)
    source = repository(documentation)
    tags = ["HEAD" if release == "Unreleased" else f"v{release}" for release in releases]
    lines = [
        f"[{release}]: {source}/compare/{before}...{tag}"
        for release, tag, before in zip(releases, tags, tags[1:], strict=False)
    ]
    lines.append(f"[{releases[-1]}]: {source}/releases/tag/{tags[-1]}")
    return "\n".join(lines) + "\n"


def newest_changes(changelog: str, documentation: str) -> str:
    """Return the newest section of the changelog, and links of its releases."""
    section = re.split(r"^(?=## \[)", changelog, flags=re.MULTILINE)[1]
    links = compare_links(changelog, documentation)
    return f"{with_links(section.strip(), documentation)}\n\n{links}"
