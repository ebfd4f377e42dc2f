"""A simulated device takes its plan: settings and files land under its own folder."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from bootstrap.errors import LocalError
from bootstrap.protocols.provisioning import ItemResult, PlanDocument, PlanItem
from bootstrap.protocols.provisioning.items import Certificate, Config, File, Network, Server

SETTINGS = "settings.json"


def plan_apply(plan: PlanDocument, root: Path, serial: str) -> tuple[ItemResult, ...]:
    """Write every item; one that fails is a result, not an exception. Doing it again changes nothing."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    return tuple(_item_apply(item, root, serial) for item in plan.items)


def _item_apply(item: PlanItem, root: Path, serial: str) -> ItemResult:
    try:
        detail = _write(item, root, serial)
    except OSError as error:
        # Where the simulator keeps a device's files is nobody's business but its own.
        return ItemResult(item.id, False, error.strerror or type(error).__name__)
    except (ValueError, LocalError) as error:
        return ItemResult(item.id, False, str(error) or type(error).__name__)
    return ItemResult(item.id, True, detail)


def _write(item: PlanItem, root: Path, serial: str) -> str:
    match item.value:
        case Network(ssid, security, passphrase, hidden):
            network = {"security": security, "passphrase": passphrase, "hidden": hidden}
            return _set(root, "networks", ssid, network)
        case Server(name, url):
            return _set(root, "servers", name, url)
        case Config(key, value):
            return _set(root, "config", key, value)
        case File():
            return _file_write(item.value, root)
        case Certificate(wanted, profile):
            return _certificate_prepare(root, serial, profile) if wanted else "no certificate wanted"
        case _:
            raise LocalError(f"this firmware does not know item kind {item.value.number}")


def _set(root: Path, section: str, key: str, value: object) -> str:
    path = root / SETTINGS
    settings = json.loads(path.read_text()) if path.exists() else {}
    settings.setdefault(section, {})[key] = value
    _replace(path, json.dumps(settings, indent=2).encode(), 0o600)
    return f"{section} set"


def _file_write(file: File, root: Path) -> str:
    parts = PurePosixPath(file.path).parts
    inner = [part for part in parts if part != "/"]
    if not inner or ".." in inner or "\0" in file.path:
        raise LocalError("path leads nowhere on this device")
    path = root.joinpath(*inner)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _replace(path, file.content, file.mode)
    return f"{len(file.content)} octets written"


def _certificate_prepare(root: Path, serial: str, profile: str) -> str:
    """Key and certificate request; enrollment itself is another protocol."""
    key_file, csr_file = root / "device.key", root / "device.csr"
    if not csr_file.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.SERIAL_NUMBER, serial[:64])])
        csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, SHA256())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _replace(key_file, pem, 0o600)
        _replace(csr_file, csr.public_bytes(Encoding.PEM), 0o644)
    return f"key and request made{f', profile {profile}' if profile else ''}"


def _replace(path: Path, content: bytes, mode: int) -> None:
    new = path.with_name(path.name + ".new")
    new.write_bytes(content)
    new.chmod(mode)
    new.replace(path)
