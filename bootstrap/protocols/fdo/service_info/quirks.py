"""What a device wants otherwise than the specification says, guessed from what it shows of itself.

The table for people is in the protocol's README; every row there that names a field is a field here.
"""

from __future__ import annotations

from dataclasses import dataclass

from bootstrap.protocols.fdo.service_info.devmod import Devmod, SerialForm

C_CLIENT_MESSAGE_SIZE = 2000
"""maxDeviceMessageSize that client-sdk-fidoiot announces in HelloDevice."""


@dataclass(frozen=True, slots=True)
class Quirks:
    """One profile."""

    name: str = "specification"
    args_as_array: bool = False
    """``fdo.command:args`` as a bare array instead of a bstr that holds one."""
    ipv6: bool = True
    """False: an IPv6 address in RVInfo makes the device give up, so leave it out."""
    address_length_ipv4: int = 4
    """Octets of an IPv4 address in RVInfo and RVTO2Addr. Every device read so far takes 4."""


SPECIFICATION = Quirks()
C_CLIENT = Quirks(name="client-sdk-fidoiot", args_as_array=True, ipv6=False)
JAVA_CLIENT = Quirks(name="pri-fidoiot", args_as_array=True)


def quirks_of(devmod: Devmod | None = None, max_message: int = 0, said: str = "") -> Quirks:
    """The profile of a device, from its devmod, its HelloDevice, or the text of an earlier error of it.

    Before devmod only ``max_message`` is known; that is enough for addresses, which travel first.
    """
    if "args array" in said:
        return C_CLIENT
    if devmod is None:
        return C_CLIENT if max_message == C_CLIENT_MESSAGE_SIZE else SPECIFICATION
    if devmod.sn_form == SerialForm.TEXT:
        return C_CLIENT
    if devmod.sn_form == SerialForm.ABSENT and "java" in devmod.progenv.lower():
        return JAVA_CLIENT
    return SPECIFICATION
