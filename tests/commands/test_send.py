"""``send`` sends what was kept or saved."""

from __future__ import annotations

import io
import json

import pytest
from commanding import FILE, GITHUB, Command
from standin import COVERALLS_TOKEN, StandIn


def test_send_sends_a_kept_job_and_removes_it(command: Command, server: StandIn) -> None:
    """Once it is accepted."""
    path = command.job(service_name="test-ci", service_number="77", run_at="2026-02-18T00:52:48Z")

    status, said = command("send", str(path))

    assert (status, said) == (
        0,
        [f"coveralls: sent 1 file, 66.67% covered -> {server.url}/jobs/105971882"],
    )
    assert not path.exists()
    assert server.jobs == [
        {
            "repo_token": COVERALLS_TOKEN,
            "service_name": "test-ci",
            "service_number": "77",
            "run_at": "2026-02-18T00:52:48Z",
            "source_files": [FILE],
        }
    ]


def test_send_says_more_where_it_is_asked_to(command: Command) -> None:
    """Sizes and times."""
    path = command.job()

    _, said = command("send", "-v", str(path))

    assert len(said) > 1
    assert said[-1].endswith(" s, 1 attempt")


def test_send_keeps_a_job_that_is_not_accepted(command: Command, server: StandIn) -> None:
    """And says how to send it again."""
    path = command.job(service_number="77")
    server.respond(503)

    status, said = command("send", "job.json")

    assert status == 1
    assert said[0].startswith("coveralls: failed: 503 ")
    again = "python -m pytest_coveralls_submit send job.json"
    assert f"coveralls: kept in job.json; send it with: {again}" in said
    assert path.exists()


def test_send_without_a_token_sends_nothing(command: Command, server: StandIn) -> None:
    """And fails: that was the whole purpose."""
    command.env(COVERALLS_REPO_TOKEN="")
    path = command.job()

    status, said = command("send", str(path))

    assert status == 1
    assert said[0].startswith("coveralls: not sent: no token: ")
    assert path.exists()
    assert server.requests == []


def test_send_as_a_dry_run_checks_the_job(command: Command, server: StandIn) -> None:
    """And keeps it."""
    path = command.job()

    assert command("send", "--coveralls-dry-run", str(path)) == (
        0,
        ["coveralls: built 1 file, 66.67% covered; not sent, this is a dry run"],
    )
    assert path.exists()
    assert server.requests == []


def test_send_of_a_job_without_lines(command: Command) -> None:
    """Nothing to cover is covered."""
    path = command.job(source_files=[])

    assert "sent 0 files, 100.00% covered" in command("send", str(path))[1][0]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"source_files": [{}]}', '{"source_files": [], "x": 1}']
)
def test_send_names_a_damaged_file(command: Command, server: StandIn, content: str) -> None:
    """One line, nothing sent, nothing removed."""
    path = command.folder / "job.json"
    path.write_text(content)

    status, said = command("send", str(path))

    assert status == 2
    assert len(said) == 1
    assert said[0].startswith(f"coveralls: {path}")
    assert path.exists()
    assert server.requests == []


def test_send_names_a_missing_file(command: Command) -> None:
    """With the system's reason."""
    status, said = command("send", "gone.json")

    expected = "coveralls: gone.json cannot be read: No such file or directory"
    assert (status, said) == (2, [expected])


def test_send_reads_standard_input(command: Command, server: StandIn) -> None:
    """For ``-``; there is nothing to remove."""
    content = json.dumps({"source_files": [FILE], "service_number": "5"}).encode()
    command.monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))

    assert command("send", "-")[0] == 0
    assert server.jobs[0]["service_number"] == "5"


def test_send_gives_source_files_alone_the_identity_of_the_checkout(
    command: Command, server: StandIn
) -> None:
    """The official reporter's format has no commit and no service."""
    command.env(CI_NAME="test-ci", CI_BUILD_NUMBER="77", CI_COMMIT_ID="a" * 40)
    path = command.job(source_files=[{"name": "a.go", "coverage": [1, 0]}])
    server.findings.clear()

    status, _ = command("send", str(path), "--coveralls-flag-name=go")

    (job,) = server.jobs
    assert status == 0
    assert (job["service_name"], job["service_number"], job["flag_name"]) == (
        "test-ci",
        "77",
        "go",
    )
    assert job["git"] == {"head": {"id": "a" * 40}}
    # Without digest and source Coveralls shows the file all the same.
    server.findings.clear()


@pytest.mark.parametrize(
    ("kept", "env", "sent"),
    [
        ("github-actions", {"COVERALLS_REPO_TOKEN": "ghs_x"}, ("github", "octo/sample")),
        ("github", {"COVERALLS_REPO_TOKEN": COVERALLS_TOKEN}, ("github-actions", None)),
        ("github", {"COVERALLS_REPO_TOKEN": "ghs_x"}, ("github", "octo/sample")),
        ("my-ci", {"COVERALLS_REPO_TOKEN": COVERALLS_TOKEN}, ("my-ci", None)),
    ],
)
def test_send_fits_the_service_name_to_the_token(
    command: Command,
    server: StandIn,
    kept: str,
    env: dict[str, str],
    sent: tuple[str, str | None],
) -> None:
    """The job may have been built where there was another token or none."""
    command.env(**GITHUB, **env)
    path = command.job(service_name=kept, service_number="9001")

    status, said = command("send", str(path))

    assert status == 0, said
    (job,) = server.jobs
    assert (job["service_name"], job.get("repo_name")) == sent


def test_send_takes_the_repository_from_a_flag(command: Command, server: StandIn) -> None:
    """On a developer's machine no variable names it."""
    command.env(COVERALLS_REPO_TOKEN="ghp_x")
    path = command.job(service_name="github-actions", service_number="9001")

    status, said = command("send", str(path), "--coveralls-repo-name=octo/sample")

    assert status == 0, said
    assert server.jobs[0]["repo_name"] == "octo/sample"


def test_send_heeds_a_flag_over_what_the_file_says(command: Command, server: StandIn) -> None:
    """A setting that is given on the command line is not passed over in silence."""
    path = command.job(service_name="test-ci", service_number="1")

    command("send", str(path), "--coveralls-service-number=2", "--coveralls-flag-name=web")

    assert (server.jobs[0]["service_number"], server.jobs[0].get("flag_name")) == ("2", "web")


def test_send_tells_how_to_close_the_build_that_the_job_is_in(
    command: Command, server: StandIn
) -> None:
    """By the job's own number, wherever it is sent from."""
    path = command.job(service_name="test-ci", service_number="77", parallel=True)

    _, said = command("send", str(path))

    assert any("finish --coveralls-service-number=77" in line for line in said)
