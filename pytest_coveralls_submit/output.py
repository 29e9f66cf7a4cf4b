"""The header, the closing lines, and the commands to type."""

import re
import shlex
import sys
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from .context import RunContext
from .outcome import BuildResult, Built, ChangedLines, Failed, NotSent, Outcome, Sent
from .settings.table import COVERALLS, OPTIONS, Settings
from .text import escaped, percentage, shorten_list, typed_path

PREFIX = "coveralls: "
RANGES = 10  # ranges of missed lines listed without ``-v``
SENDING = (
    *("repo_token_file", "ca_bundle", "skip_ssl_verify", "compress", "retries"),
    *("connect_timeout", "read_timeout", "deadline"),
)
"""Settings repeated in printed commands if they were given as flags."""
_IN_QUOTES = re.compile(r"""(?=.*[^\w@+=:./-])[^"$`%!\\]+""", re.ASCII)


def command_for(settings: Settings, name: str, argument: str) -> str:
    """Return one of our commands for the host and with the flags of this run."""
    host = [] if settings.host == COVERALLS else [f"--coveralls-host={settings.host}"]
    flags = *host, *_sending_flags(settings)
    return command_line("python", "-m", "pytest_coveralls_submit", name, *flags, argument)


def command_line(*words: str, is_windows: bool = sys.platform == "win32") -> str:
    """Return a command as it is typed.

    Args:
        words: program and arguments, paths with forward slashes.
        is_windows: for cmd, PowerShell and Git's bash alike; cmd knows no single quotes.
    """
    return " ".join(
        f'"{word}"' if is_windows and _IN_QUOTES.fullmatch(word) else shlex.quote(word)
        for word in words
    )


def _sending_flags(settings: Settings) -> Iterator[str]:
    for name in SENDING:
        origin, value = settings.origins.get(name), getattr(settings, name)
        if origin is None or origin.kind != "flag":
            continue
        flag = OPTIONS[name].flag
        if isinstance(value, Path):
            yield f"{flag}={value.as_posix()}"
        elif isinstance(value, bool):
            yield flag if value else flag.replace("--", "--no-", 1)
        else:
            yield f"{flag}={value:g}" if isinstance(value, float) else f"{flag}={value}"


def header(context: RunContext, problems: Iterable[str]) -> list[str]:
    """Return the header lines: target, job, problems."""
    identity = context.identity
    named = {
        "branch": identity.get("service_branch"),
        "commit": identity.get("commit_sha", "")[:7],
        "flag": identity.get("flag_name"),
    }
    facts = [f"{label} {value}" for label, value in named.items() if value]
    facts.append(f"token from {context.token.origin}" if context.token else "no token")
    service, number = identity.get("service_name"), identity.get("service_number")
    build = (f" as {service}" if service else "") + (f" #{number}" if number else "")
    main = f"{context.settings.host}{build} ({', '.join(facts)})"
    return [PREFIX + escaped(line) for line in (main, *problems)]


def closing_lines(
    outcome: Outcome, verbosity: int, start: Path, known: Collection[str] = ()
) -> list[str]:
    """Return an outcome's lines.

    Args:
        outcome: with no secret in it.
        verbosity: pytest's; below 0 one line, above 0 details too.
        start: the directory to show paths from.
        known: problems in the header; their remedy is not repeated.
    """
    if isinstance(outcome, NotSent) and outcome.full_reason in known:
        outcome = replace(outcome, remedy="")
    first, *more = _main_lines(outcome, start)
    if verbosity < 0:
        kept = outcome.kept if isinstance(outcome, Failed) else None
        also = (f"kept in {typed_path(kept, start)}" if kept else "", outcome.shortfall)
        texts = ["; ".join(filter(None, (first, *also)))]
    else:
        texts = [first, *more, *_results(outcome, verbosity), *outcome.notices]
    if verbosity > 0:
        texts += outcome.details
        texts += outcome.traceback.splitlines() if isinstance(outcome, Failed) else []
    return [PREFIX + escaped(text) for text in texts]


def _main_lines(outcome: Outcome, start: Path) -> Iterator[str]:
    yield with_link(headline(outcome), outcome.url if isinstance(outcome, Sent) else None)
    if isinstance(outcome, Sent) and outcome.finish:
        yield f"when all jobs of the build have arrived, close it with: {outcome.finish}"
    if isinstance(outcome, Failed):
        yield from outcome.advice
        if outcome.kept:
            path = command_line(typed_path(outcome.kept, start))
            yield f"kept in {path}; send it with: {outcome.command}"
    if outcome.saved:
        yield f"saved in {typed_path(outcome.saved, start)}"


def _results(outcome: Outcome, verbosity: int) -> Iterator[str]:
    if outcome.changed is not None:
        yield changed_lines_line(outcome.changed, limit=None if verbosity > 0 else RANGES)
        partial = [f"{file.name}:{line}" for file in outcome.changed.files for line in file.partial]
        if verbosity > 0 and partial:
            yield f"partly covered: {', '.join(partial)}"
    if outcome.shortfall:
        yield f"failed: {outcome.shortfall}"
    if isinstance(outcome, Sent) and outcome.build is not None:
        yield with_link(build_line(outcome.build), outcome.build.url)


def headline(outcome: Outcome) -> str:
    """Return the outcome in one line, without its link."""
    if isinstance(outcome, Failed):
        return f"failed: {outcome.reason}"
    if isinstance(outcome, NotSent):
        return f"not sent: {outcome.full_reason}"
    assert isinstance(outcome, Built)
    count = f"{len(outcome.files)} file" + "s" * (len(outcome.files) != 1)
    totals = f"{count}, {percentage(outcome.percent)}% covered"
    return f"sent {totals}" if isinstance(outcome, Sent) else f"built {totals}; not sent (dry run)"


def changed_lines_line(changed: ChangedLines, limit: int | None = RANGES) -> str:
    """Return the changed lines in one line, with ``limit`` missed ranges."""
    if not changed.total:
        return "changed lines: none measured"
    covered = f"changed lines: {changed.covered} of {changed.total} covered"
    missed = [
        f"{file.name}:{line_range(*lines)}" for file in changed.files for lines in file.missed
    ]
    also = f"; missed: {shorten_list(missed, limit)}" if missed else ""
    return f"{covered} ({percentage(changed.percent)}%){also}"


def build_line(build: BuildResult) -> str:
    """Return the result of the whole build, without its link."""
    if build.percent is None:
        return f"build: {build.problem or 'still processing'}"
    # Adding 0.0 makes -0.0 positive.
    change = "" if build.change is None else f", {round(build.change, 2) + 0.0:+.2f}%"
    return f"build: {percentage(build.percent)}% covered{change}"


def with_link(text: str, url: str | None) -> str:
    """Append a link, if there is one."""
    return f"{text} -> {url}" if url else text


def line_range(first: int, last: int) -> str:
    """Return a range of lines: ``10-11``, or ``3`` alone."""
    return str(first) if first == last else f"{first}-{last}"
