"""Certificates: whom the token is given to, and whom not."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import trustme
from commanding import Command
from faulty import Scripted
from standin import COVERALLS_TOKEN, StandIn

from pytest_coveralls_submit.delivery import transport
from pytest_coveralls_submit.delivery.sender import Answer, Call, Policy

BODY = f'{{"repo_token": "{COVERALLS_TOKEN}", "source_files": []}}'.encode()
UNTRUSTED = "the certificate is not trusted: "


def serve(certificate: trustme.LeafCert) -> StandIn:
    """Speak TLS with a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return StandIn(ssl_context=context)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """The authority that signed the server's certificate."""
    return trustme.CA()


@pytest.fixture
def right(authority: trustme.CA, tmp_path: Path) -> str:
    """The PEM file of the authority that signed the server's certificate."""
    authority.cert_pem.write_to_path(tmp_path / "right.pem")
    return str(tmp_path / "right.pem")


@pytest.fixture
def wrong(tmp_path: Path) -> str:
    """The PEM file of another authority."""
    trustme.CA().cert_pem.write_to_path(tmp_path / "wrong.pem")
    return str(tmp_path / "wrong.pem")


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[StandIn]:
    """A server with a certificate for the address it has."""
    with serve(authority.issue_cert("127.0.0.1")) as server:
        yield server


def deliver(url: str, **policy: Any) -> Answer:
    """Hand in a job."""
    call = Call(method="POST", url=f"{url}/api/v1/jobs", form="json_file", compress=True)
    given = Policy(**{"retries": 2, "connect_timeout": 5, "read_timeout": 5, **policy})
    return transport.deliver(call, BODY, given, print)


def refused(server: StandIn, **policy: Any) -> str:
    """Hand in a job in vain: one attempt, no byte of the job; why."""
    answer = deliver(server.url, retry_ambiguous=True, **policy)
    assert (answer.status, answer.attempts, answer.ambiguous) == (None, 1, False)
    assert server.requests == []
    return answer.problem


def test_ca_bundle_wins_over_the_variable(
    secure: StandIn, right: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", wrong)
    assert deliver(secure.url, ca_bundle=right).status == 200

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", right)
    assert deliver(secure.url, ca_bundle=wrong).problem.startswith(UNTRUSTED)


def test_a_directory_of_certificates_is_a_ca_bundle(
    secure: StandIn, right: str, wrong: str, tmp_path: Path
) -> None:
    """A directory holds certificates under their subjects' hashes, as ``c_rehash`` names them."""
    for path in (wrong, right):
        command = ["openssl", "x509", "-hash", "-noout", "-in", path]
        try:
            name = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        except FileNotFoundError:
            pytest.skip("the program openssl is not here to name certificates in a directory")
        shutil.copy(path, tmp_path / f"{name.strip()}.0")

    assert deliver(secure.url, ca_bundle=str(tmp_path)).status == 200


NOW = datetime.now(timezone.utc)
EXPIRED = {"not_before": NOW - timedelta(days=9), "not_after": NOW - timedelta(days=1)}


@pytest.mark.parametrize(
    ("name", "times", "bundle", "words"),
    [
        ("127.0.0.1", {}, "wrong.pem", "issuer"),
        ("127.0.0.1", {}, "", ""),  # https is verified for this machine, too
        ("coveralls.example.org", {}, "right.pem", "127.0.0.1"),
        ("127.0.0.1", EXPIRED, "right.pem", "certificate has expired"),
    ],
    ids=["unknown authority", "no authority", "other name", "expired"],
)
@pytest.mark.usefixtures("right", "wrong")
def test_a_server_that_is_not_trusted_gets_nothing(
    authority: trustme.CA, tmp_path: Path, name: str, times: Any, bundle: str, words: str
) -> None:
    with serve(authority.issue_cert(name, **times)) as server:
        problem = refused(server, ca_bundle=str(tmp_path / bundle) if bundle else None)

    assert problem.startswith(UNTRUSTED)
    assert words in problem


@pytest.mark.parametrize("content", ["", "this is no certificate\n"], ids=["empty", "text"])
def test_a_bundle_that_holds_no_certificate_is_not_tried_again(
    secure: StandIn, tmp_path: Path, content: str
) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(content)

    assert "certificate" in refused(secure, ca_bundle=str(bundle))


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_verification_can_be_switched_off(
    secure: StandIn, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", wrong)

    assert deliver(secure.url, verify=False, ca_bundle=wrong).status == 200


class Tunnel(Scripted):
    """A proxy that connects any name to one server."""

    def __init__(self, port: int) -> None:
        super().__init__(lambda _: b"HTTP/1.1 200 Connected\r\n\r\n")
        self.port = port

    def exchange(self, connection: socket.socket) -> None:
        """Answer and pass on all that comes, both ways."""
        super().exchange(connection)
        with socket.create_connection(("127.0.0.1", self.port)) as inner:
            back = threading.Thread(target=pump, args=(inner, connection))
            back.start()
            pump(connection, inner)
            back.join()


def pump(source: socket.socket, target: socket.socket) -> None:
    """Pass on all that comes."""
    with contextlib.suppress(OSError):
        while block := source.recv(65536):
            target.sendall(block)
        target.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize(("bundle", "problem"), [("empty.pem", "no secure"), ("/no", "OSError: ")])
def test_a_proxy_is_not_blamed_for_a_bundle(
    secure: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundle: str, problem: str
) -> None:
    (tmp_path / "empty.pem").touch()
    with Tunnel(secure.port) as tunnel:
        monkeypatch.setenv("https_proxy", tunnel.url)
        answer = deliver("https://coveralls.example.org", ca_bundle=str(tmp_path / bundle))

    assert (answer.problem[: len(problem)], answer.attempts) == (problem, 1)


def test_a_proxy_sees_the_name_of_the_host_alone(
    authority: trustme.CA, right: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    secure = serve(authority.issue_cert("coveralls.example.org"))
    with secure as server, Tunnel(server.port) as tunnel:
        monkeypatch.setenv("https_proxy", tunnel.url)
        answer = deliver("https://coveralls.example.org", ca_bundle=right)

    (asked,) = tunnel.received
    assert asked.startswith(b"CONNECT coveralls.example.org:443 HTTP/1.")
    assert COVERALLS_TOKEN.encode() not in asked
    assert (answer.status, len(server.requests)) == (200, 1)


def test_a_command_trusts_the_servers_that_it_is_told_to(
    command: Command, secure: StandIn, right: str, wrong: str
) -> None:
    command.env(COVERALLS_HOST=secure.url, COVERALLS_CA_BUNDLE=wrong)
    status, refused = command("send", str(command.job()))
    requests = len(secure.requests)
    command.env(COVERALLS_CA_BUNDLE=right)
    trusted = command("send", str(command.job()))
    command.env(COVERALLS_CA_BUNDLE="")
    any_server = command("send", str(command.job()), "--coveralls-skip-ssl-verify")

    assert (status, requests, len(secure.jobs)) == (1, 0, 2)
    assert refused[0].startswith("coveralls: failed: the certificate is not trusted: ")
    assert f" {wrong} (from COVERALLS_CA_BUNDLE)" in refused[1]
    assert (trusted[0], any_server[0]) == (0, 0)
    assert "TLS is not verified" not in "".join(trusted[1])
    assert "TLS is not verified" in "".join(any_server[1])
