"""Every message of FDO 1.1, one file for each sub-protocol; ``decode`` and ``encode`` are exact opposites."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..constants import MessageType
from .di import AppStart, DeviceMfgInfo, DiDone, SetCredentials, SetHmac
from .eat import Eat
from .error import ErrorMessage
from .service_info import (
    DeviceServiceInfo,
    DeviceServiceInfoReady,
    Done,
    Done2,
    KeyValues,
    OwnerServiceInfo,
    OwnerServiceInfoReady,
)
from .signed import Signed
from .to0 import AcceptOwner, OwnerSign, RvTo2Addr, To0d, To0Hello, To0HelloAck, To1d
from .to1 import HelloRv, HelloRvAck, ProveToRv, RvRedirect
from .to2 import GetOvNextEntry, HelloDevice, OvNextEntry, ProveDevice, ProveOvHdr, SetupDevice

__all__ = [
    "DECODERS",
    "AcceptOwner",
    "AppStart",
    "DeviceMfgInfo",
    "DeviceServiceInfo",
    "DeviceServiceInfoReady",
    "DiDone",
    "Done",
    "Done2",
    "Eat",
    "ErrorMessage",
    "GetOvNextEntry",
    "HelloDevice",
    "HelloRv",
    "HelloRvAck",
    "KeyValues",
    "OvNextEntry",
    "OwnerServiceInfo",
    "OwnerServiceInfoReady",
    "OwnerSign",
    "ProveDevice",
    "ProveOvHdr",
    "ProveToRv",
    "RvRedirect",
    "RvTo2Addr",
    "SetCredentials",
    "SetHmac",
    "SetupDevice",
    "Signed",
    "To0Hello",
    "To0HelloAck",
    "To0d",
    "To1d",
]

_MESSAGES: tuple[Any, ...] = (
    AppStart,
    SetCredentials,
    SetHmac,
    DiDone,
    To0Hello,
    To0HelloAck,
    OwnerSign,
    AcceptOwner,
    HelloRv,
    HelloRvAck,
    ProveToRv,
    RvRedirect,
    HelloDevice,
    ProveOvHdr,
    GetOvNextEntry,
    OvNextEntry,
    ProveDevice,
    SetupDevice,
    DeviceServiceInfoReady,
    OwnerServiceInfoReady,
    DeviceServiceInfo,
    OwnerServiceInfo,
    Done,
    Done2,
    ErrorMessage,
)

DECODERS: dict[MessageType, Callable[[bytes], Any]] = {message.TYPE: message.decode for message in _MESSAGES}
"""Number to decoder, of the plaintext where the message is encrypted."""
