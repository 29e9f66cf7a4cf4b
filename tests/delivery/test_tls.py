"""Certificates: whom the token is given to, and whom not."""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from running import Runner, told
from standin import COVERALLS_TOKEN, StandIn

from pytest_coveralls_submit.delivery import transport
from pytest_coveralls_submit.delivery.sender import Answer, Call, Policy

if TYPE_CHECKING:
    from typing_extensions import Self

BODY = json.dumps({"repo_token": COVERALLS_TOKEN, "source_files": []}).encode()
PLUGINS = ("-p", "pytest_cov", "-p", "pytest_coveralls_submit.plugin")
UNTRUSTED = "the certificate is not trusted: "


class Secure(socketserver.ThreadingTCPServer):
    """Accepts jobs over TLS, and counts the connections that did not get that far as well."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.context = context
        self.connections = 0
        self.received: list[bytes] = []
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        """The address, without a closing slash."""
        return f"https://127.0.0.1:{self.server_address[1]}"

    def get_request(self) -> tuple[socket.socket, Any]:
        """Take a connection and count it."""
        self.connections += 1
        return super().get_request()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Exchange(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Secure)
        with (
            contextlib.suppress(OSError),  # the client hangs up on a certificate it rejects
            self.server.context.wrap_socket(self.request, server_side=True) as secured,
        ):
            received = b""
            while not received.endswith(b"--\r\n"):
                block = secured.recv(65536)
                if not block:  # urllib3 1 looks at the name after the handshake
                    return
                received += block
            self.server.received.append(received)
            secured.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


def context_of(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """A server's side of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """The authority that signed the server's certificate."""
    return trustme.CA()


@pytest.fixture
def right(authority: trustme.CA, tmp_path: Path) -> Path:
    """The PEM file of the authority that signed the server's certificate."""
    path = tmp_path / "right.pem"
    authority.cert_pem.write_to_path(path)
    return path


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    """The PEM file of another authority."""
    path = tmp_path / "wrong.pem"
    trustme.CA().cert_pem.write_to_path(path)
    return path


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[Secure]:
    """A server with a certificate for the address it has."""
    with Secure(context_of(authority.issue_cert("127.0.0.1"))) as server:
        yield server


def deliver(url: str, **policy: Any) -> tuple[Answer, list[str]]:
    """Hand in a job; the answer, and the attempts that were repeated."""
    progress: list[str] = []
    call = Call(method="POST", url=f"{url}/api/v1/jobs", form="json_file", compress=True)
    given = Policy(**{"retries": 2, "connect_timeout": 5, "read_timeout": 5, **policy})
    return transport.deliver(call, BODY, given, progress.append, sleep=lambda _: None), progress


def refused(server: Secure, **policy: Any) -> str:
    """Hand in a job in vain: one connection, no byte of the job; why."""
    answer, progress = deliver(server.url, retry_ambiguous=True, **policy)
    assert (answer.status, answer.attempts, answer.ambiguous) == (None, 1, False)
    assert progress == []
    assert server.connections == 1
    assert server.received == []
    return answer.problem


def test_the_variable_of_requests_is_honoured(
    secure: Secure, right: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(right))

    assert deliver(secure.url)[0].status == 200


def test_ca_bundle_wins_over_the_variable(
    secure: Secure, right: Path, wrong: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(wrong))
    assert deliver(secure.url, ca_bundle=str(right))[0].status == 200

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(right))
    assert deliver(secure.url, ca_bundle=str(wrong))[0].problem.startswith(UNTRUSTED)


def test_a_directory_of_certificates_is_a_ca_bundle(
    secure: Secure, right: Path, wrong: Path, tmp_path: Path
) -> None:
    """A directory holds certificates under their subjects' hashes, as ``c_rehash`` names them."""
    folder = tmp_path / "certificates"
    folder.mkdir()
    for path in (wrong, right):
        (folder / f"{subject_hash(path)}.0").write_bytes(path.read_bytes())

    assert deliver(secure.url, ca_bundle=str(folder))[0].status == 200


def subject_hash(path: Path) -> str:
    """The name under which OpenSSL looks for a certificate in a directory."""
    command = ["openssl", "x509", "-hash", "-noout", "-in", str(path)]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except FileNotFoundError:
        pytest.skip("the program openssl is not here to name certificates in a directory")


def test_an_unknown_authority_is_refused(secure: Secure, wrong: Path) -> None:
    problem = refused(secure, ca_bundle=str(wrong))

    assert problem.startswith(UNTRUSTED)
    assert "issuer" in problem


def test_by_default_only_public_authorities_are_trusted(secure: Secure) -> None:
    """Loopback is no excuse: https is verified for every host."""
    assert refused(secure).startswith(UNTRUSTED)


def test_a_certificate_for_another_name_is_refused(authority: trustme.CA, right: Path) -> None:
    with Secure(context_of(authority.issue_cert("coveralls.example.org"))) as server:
        problem = refused(server, ca_bundle=str(right))

    assert problem.startswith(UNTRUSTED)
    assert "127.0.0.1" in problem


def test_an_expired_certificate_is_refused(authority: trustme.CA, right: Path) -> None:
    now = datetime.now(timezone.utc)
    expired = authority.issue_cert(
        "127.0.0.1", not_before=now - timedelta(days=9), not_after=now - timedelta(days=1)
    )
    with Secure(context_of(expired)) as server:
        problem = refused(server, ca_bundle=str(right))

    assert problem == UNTRUSTED + "certificate has expired"


def test_a_self_signed_certificate_is_refused(tmp_path: Path) -> None:
    signer = trustme.CA()
    pem = tmp_path / "self.pem"
    signer.private_key_pem.write_to_path(pem)
    signer.cert_pem.write_to_path(pem, append=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with Secure(context) as server:
        problem = refused(server)

    assert problem.startswith(UNTRUSTED)
    assert "self-signed" in problem or "self signed" in problem


@pytest.mark.parametrize("content", ["", "this is no certificate\n"], ids=["empty", "text"])
def test_a_bundle_that_holds_no_certificate_is_not_tried_again(
    secure: Secure, tmp_path: Path, content: str
) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(content)
    answer, progress = deliver(secure.url, ca_bundle=str(bundle))

    assert (answer.attempts, progress, secure.received) == (1, [], [])
    assert answer.problem


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_verification_can_be_switched_off(
    secure: Secure, wrong: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(wrong))

    assert deliver(secure.url, verify=False, ca_bundle=str(wrong))[0].status == 200


# --- through a proxy -------------------------------------------------------------------------


class Tunnel(socketserver.ThreadingTCPServer):
    """A proxy that connects any name to one server, and keeps what it could read."""

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Tunnelled)
        self.port = int(target.rpartition(":")[2])
        self.asked: list[bytes] = []
        self.passed = b""

    @property
    def url(self) -> str:
        """The address, without a closing slash."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Tunnelled(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Tunnel)
        asked = b""
        while b"\r\n\r\n" not in asked:
            asked += self.request.recv(4096)
        self.server.asked.append(asked)
        with socket.create_connection(("127.0.0.1", self.server.port)) as inner:
            self.request.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            back = threading.Thread(target=_pump, args=(inner, self.request, lambda _: None))
            back.start()
            _pump(self.request, inner, self._note)
            back.join()

    def _note(self, block: bytes) -> None:
        assert isinstance(self.server, Tunnel)
        self.server.passed += block


def _pump(source: socket.socket, target: socket.socket, note: Callable[[bytes], None]) -> None:
    with contextlib.suppress(OSError):
        while block := source.recv(65536):
            note(block)
            target.sendall(block)
        target.shutdown(socket.SHUT_WR)


def test_a_proxy_sees_the_name_of_the_host_and_nothing_of_the_job(
    authority: trustme.CA, right: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = authority.issue_cert("coveralls.example.org")
    with Secure(context_of(certificate)) as server, Tunnel(server.url) as tunnel:
        thread = threading.Thread(target=tunnel.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("https_proxy", tunnel.url)
        answer, _ = deliver("https://coveralls.example.org", ca_bundle=str(right))
        tunnel.shutdown()
        thread.join()

        (asked,) = tunnel.asked
        assert asked.startswith(b"CONNECT coveralls.example.org:443 HTTP/1.")
        for hidden in (COVERALLS_TOKEN.encode(), b"/api/v1/jobs", b"json_file"):
            assert hidden not in asked + tunnel.passed
        assert b"json_file" in server.received[0]
    assert answer.status == 200


# --- whole runs ------------------------------------------------------------------------------


@pytest.fixture
def run_secure(project: Path, authority: trustme.CA) -> Iterator[Runner]:
    """Run pytest in the sample project against a stand-in that speaks TLS."""
    with StandIn(ssl_context=context_of(authority.issue_cert("127.0.0.1"))) as standin:
        runner = Runner(project, standin)
        runner.env |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COVERALLS_RETRIES": "2"}
        yield runner
        assert standin.findings == []


@pytest.mark.parametrize("variable", ["COVERALLS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_a_run_submits_to_a_server_whose_authority_it_is_given(
    run_secure: Runner, right: Path, variable: str
) -> None:
    result = run_secure(*PLUGINS, "--coveralls", env={variable: str(right)})

    assert result.returncode == 0, result.stdout
    assert len(run_secure.server.jobs) == 1
    assert "sent 5 files" in told(result.stdout)[-1]


def test_a_run_against_an_untrusted_server_says_what_to_set(
    run_secure: Runner, wrong: Path
) -> None:
    result = run_secure(*PLUGINS, "--coveralls", env={"COVERALLS_CA_BUNDLE": str(wrong)})

    lines = told(result.stdout)
    assert result.returncode == 0, result.stdout
    assert run_secure.server.requests == []
    assert lines[1].startswith("coveralls: failed: the certificate is not trusted: ")
    assert f" {wrong} (from COVERALLS_CA_BUNDLE)" in lines[2]
    assert lines[3].startswith("coveralls: kept in .pytest_cache/")
    assert not any("attempt" in line for line in lines)


def test_a_run_without_verification_warns_each_time(run_secure: Runner) -> None:
    result = run_secure(*PLUGINS, "--coveralls", "--coveralls-skip-ssl-verify")

    assert result.returncode == 0, result.stdout
    assert len(run_secure.server.jobs) == 1
    assert any("TLS is not verified" in line for line in told(result.stdout))


def test_verification_cannot_be_switched_off_for_coveralls_io(run: Runner) -> None:
    env = {"COVERALLS_HOST": "https://coveralls.io", "COVERALLS_SKIP_SSL_VERIFY": "1"}
    result = run("--coveralls", env=env)

    assert result.returncode == 4
    assert "TLS is always verified for coveralls.io" in result.stdout
    assert "passed" not in result.stdout
