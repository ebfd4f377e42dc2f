"""The EAP peer's side of EAP-NOOB (RFC 9140): the mirror of the server, pure."""

from .oob import (
    identity,
    initial_state,
    on_failure,
    on_success,
    oob_input,
    oob_output,
    rekey,
    reset,
    timeout,
)
from .state import DeviceAssociation, DeviceFacts, DeviceKeys, DeviceOobResult, DeviceStep, Expectation
from .step import EXPECTED, step

__all__ = [
    "EXPECTED",
    "DeviceAssociation",
    "DeviceFacts",
    "DeviceKeys",
    "DeviceOobResult",
    "DeviceStep",
    "Expectation",
    "identity",
    "initial_state",
    "on_failure",
    "on_success",
    "oob_input",
    "oob_output",
    "rekey",
    "reset",
    "step",
    "timeout",
]
