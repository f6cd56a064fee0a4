"""Real TLS servers on loopback with certificates of our own, and the system's real resolver."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from holdfast.checks.dns import Dns, DnsName
from holdfast.checks.tls_expiry import TlsExpiry, TlsHost
from holdfast.kernel.errors import BadInputError
from holdfast.response.ports import CheckResult, Health
from tests.io_parts import answering, context, read_and_hang

REAL_NOW = datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Authority:
    """A certificate authority of our own."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    directory: Path

    @property
    def file(self) -> Path:
        return self.directory / "ca.pem"

    def issue(self, name: str, *, begins: timedelta, ends: timedelta) -> Path:
        """Issue a certificate for loopback; give the file that a server needs."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
        certificate = (
            _unsigned(name, self.certificate.subject, key, begins, ends)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        path = self.directory / f"{name}.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
        return path


def _unsigned(
    name: str,
    issuer: x509.Name | None,
    key: ec.EllipticCurvePrivateKey,
    begins: timedelta,
    ends: timedelta,
) -> x509.CertificateBuilder:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    authority = issuer is None
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(REAL_NOW + begins)
        .not_valid_after(REAL_NOW + ends)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    made = _unsigned("test authority", None, key, -timedelta(days=400), timedelta(days=400))
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = made.add_extension(usage, critical=True).sign(key, hashes.SHA256())
    directory = tmp_path_factory.mktemp("authority")
    (directory / "ca.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    return Authority(key=key, certificate=certificate, directory=directory)


@contextmanager
def served(certificate: Path) -> Iterator[int]:
    trust = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trust.load_cert_chain(certificate)

    def handshake(connection: socket.socket) -> None:
        with suppress(OSError), trust.wrap_socket(connection, server_side=True) as secured:
            secured.recv(1)

    with answering(socket.AF_INET, ("127.0.0.1", 0), handshake) as (_, port):
        yield port


def looked(
    port: int, ca: Path | None, name: str | None = None, host: str = "127.0.0.1"
) -> CheckResult:
    host_ = TlsHost(
        host=host, port=port, server_name=name, ca_file=str(ca) if ca else None, service="api"
    )
    return TlsExpiry([host_], timeout_s=1.0).run(context(now=REAL_NOW))


def test_a_certificate_with_time_left_is_healthy_and_says_how_much(authority: Authority) -> None:
    long = authority.issue("long", begins=-timedelta(days=1), ends=timedelta(days=90))
    with served(long) as port:
        result = looked(port, authority.file)

    facts = result.data["hosts"][f"127.0.0.1:{port}"]
    assert result.status is Health.HEALTHY, result.summary
    assert 89 < facts["days_left"] <= 90
    assert facts["issuer"] == "commonName=test authority"
    assert facts["service"] == "api"


def test_a_certificate_that_ends_soon_is_degraded(authority: Authority) -> None:
    short = authority.issue("short", begins=-timedelta(days=80), ends=timedelta(days=10))
    with served(short) as port:
        result = looked(port, authority.file)

    assert result.status is Health.DEGRADED
    assert "ends in 10.0 days (threshold 21)" in result.summary


def test_what_can_not_be_verified_is_down_and_says_why(authority: Authority) -> None:
    old = authority.issue("old", begins=-timedelta(days=80), ends=-timedelta(days=1))
    good = authority.issue("good", begins=-timedelta(days=1), ends=timedelta(days=90))
    with served(old) as port:
        expired = looked(port, authority.file)
    with served(good) as port:
        misnamed = looked(port, authority.file, "shop.example")
        unknown = looked(port, None)

    assert {expired.status, misnamed.status, unknown.status} == {Health.DOWN}
    assert "certificate has expired" in expired.summary
    assert "not valid for 'shop.example'" in misnamed.summary
    assert "unable to get local issuer certificate" in unknown.summary


def test_a_server_that_is_not_there_or_hangs_is_unknown_and_one_without_tls_is_down() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = listener.getsockname()[1]
    gone = looked(nobody, None)
    with answering(socket.AF_INET, ("127.0.0.1", 0), read_and_hang) as (_, port):
        hanging = TlsExpiry([TlsHost(host="127.0.0.1", port=port)], timeout_s=0.2).run(context())
    with answering(
        socket.AF_INET, ("127.0.0.1", 0), lambda c: c.sendall(b"220 mail ready\r\n" * 20)
    ) as (_, port):
        plain = looked(port, None)

    assert gone.status is Health.UNKNOWN
    assert "can't be reached" in gone.summary
    assert hanging.status is Health.UNKNOWN
    assert plain.status is Health.DOWN
    assert "handshake failed" in plain.summary


def test_a_ca_file_that_is_none_is_an_error_with_its_field(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(BadInputError, match="can't be read as PEM"):
        looked(1, tmp_path / "ca.pem", host="localhost")


def test_a_name_that_resolves_is_healthy_and_is_compared_as_an_address() -> None:
    names = [DnsName(name="localhost", expect=("127.0.0.1",), service="api")]

    result = Dns(names).run(context())

    assert result.status is Health.HEALTHY
    assert result.data["names"]["localhost"]["addresses"] == ["127.0.0.1"]
    assert result.data["names"]["localhost"]["service"] == "api"


def test_a_name_that_resolves_to_something_else_is_degraded() -> None:
    result = Dns([DnsName(name="localhost", expect=("10.0.0.1",))]).run(context())

    assert result.status is Health.DEGRADED
    assert result.summary == "localhost resolves to 127.0.0.1, not to 10.0.0.1"


def test_a_name_that_does_not_resolve_is_down_and_the_others_are_still_told() -> None:
    names = [DnsName(name="holdfast.invalid"), DnsName(name="localhost")]

    result = Dns(names).run(context())

    assert result.status is Health.DOWN
    assert result.summary.startswith("holdfast.invalid ")
    assert result.data["names"]["localhost"]["status"] == "healthy"


def test_an_ipv6_address_may_be_written_in_any_way() -> None:
    asked = DnsName(name="::1", type="AAAA", expect=("0:0:0:0:0:0:0:1",))

    assert Dns([asked]).run(context()).status is Health.HEALTHY
