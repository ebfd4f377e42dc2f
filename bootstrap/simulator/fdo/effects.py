"""What the owner's service info does to a simulated device: files under its own folder, commands in pretence."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from bootstrap.protocols.fdo.service_info.device import EffectFailed, Ran

FETCH_SECONDS = 30.0
FETCH_MAX_LENGTH = 16 * 1024 * 1024
RUN_SECONDS = 60
Tell = Callable[..., None]


class FolderEffects:
    """A device whose file system is one folder. ``really_run`` lets its owner run programs on this machine."""

    def __init__(self, root: Path, serial: str, tell: Tell, *, really_run: bool = False) -> None:
        self._root = root
        self._serial = serial
        self._tell = tell
        self._really_run = really_run
        root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def write_file(self, name: str, content: bytes) -> None:
        """Under the folder, whatever the name says."""
        path = self._inside(name)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise EffectFailed(error.strerror or "cannot be written") from error
        _replace(path, content)
        self._tell("file", path=name, octets=len(content))

    def read_file(self, name: str) -> bytes:
        """From the folder."""
        try:
            content = self._inside(name).read_bytes()
        except OSError as error:
            raise EffectFailed(error.strerror or "cannot be read") from error
        self._tell("sent-file", path=name, octets=len(content))
        return content

    def run(self, command: str, args: tuple[str, ...]) -> Ran:
        """Pretended: exit code 0, and standard output says what would have run."""
        self._tell("command", command=command, args=len(args))
        if not self._really_run:
            return Ran(0, f"pretended: {' '.join((command, *args))}\n".encode())
        try:
            done = subprocess.run(  # noqa: S603 - asked for with --really-run
                [command, *args], cwd=self._root, capture_output=True, timeout=RUN_SECONDS, check=False
            )
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            raise EffectFailed(type(error).__name__) from error
        return Ran(done.returncode, done.stdout, done.stderr)

    def fetch(self, url: str) -> bytes:
        """Really, over http and https."""
        try:
            # A device that is being onboarded trusts the digest that its owner sent, not the server.
            with httpx.stream(
                "GET", url, timeout=FETCH_SECONDS, verify=False, follow_redirects=True
            ) as reply:
                if reply.status_code != 200:
                    raise EffectFailed(f"HTTP {reply.status_code}")
                content = bytearray()
                for chunk in reply.iter_bytes():
                    content += chunk
                    if len(content) > FETCH_MAX_LENGTH:
                        raise EffectFailed("file is too large")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise EffectFailed(type(error).__name__) from error
        self._tell("fetched", url=url, octets=len(content))
        return bytes(content)

    def certificate_request(self) -> bytes | None:
        """Key and PKCS #10 are made once and kept."""
        file = self._root / "device.csr"
        if not file.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            subject = x509.Name([x509.NameAttribute(NameOID.SERIAL_NUMBER, self._serial[:64])])
            request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, SHA256())
            pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            _replace(self._root / "device.key", pem)
            _replace(file, request.public_bytes(Encoding.DER))
        return file.read_bytes()

    def certificate(self, certificate: bytes, authorities: bytes) -> None:
        """Beside the key."""
        _replace(self._root / "device.crt", certificate)
        _replace(self._root / "authorities.p7", authorities)
        self._tell("certificate", octets=len(certificate))

    def _inside(self, name: str) -> Path:
        inner = [part for part in PurePosixPath(name).parts if part != "/"]
        if not inner or ".." in inner or "\0" in name:
            raise EffectFailed("path leads nowhere on this device")
        path = self._root.joinpath(*inner)
        try:
            within = path.resolve().is_relative_to(self._root.resolve())
        except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
            raise EffectFailed("path leads nowhere on this device") from error
        if not within:
            raise EffectFailed("path leads nowhere on this device")
        return path


def _replace(path: Path, content: bytes) -> None:
    new = path.with_name(path.name + ".new")
    try:
        new.write_bytes(content)
        new.chmod(0o600)
        new.replace(path)
    except OSError as error:
        raise EffectFailed(error.strerror or "cannot be written") from error
