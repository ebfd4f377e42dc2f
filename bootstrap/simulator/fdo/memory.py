"""What a simulated FDO device remembers over a power cut."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class FdoMemory:
    """Key and credential in one file: neither is of use without the other."""

    key: bytes = field(default=b"", repr=False)
    """The device's key pair for life, PKCS#8."""
    credential: bytes = field(default=b"", repr=False)
    """``fdo.device.DeviceCredential``, frozen; empty before DI."""
    pss: bool = False
    """Its RSA key signs with PSS."""
    owner_kind: str = ""
    """Kind of the keys in its voucher: they decide the key exchange."""
    onboarded: int = 0
    """TO2 runs that ended well."""
