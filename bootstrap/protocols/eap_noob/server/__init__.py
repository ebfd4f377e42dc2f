"""The EAP server's side of EAP-NOOB (RFC 9140): pure, one association per peer."""

from .oob import (
    can_make_oob,
    expire,
    initial_state,
    oob_again,
    oob_check,
    oob_expires_at,
    oob_make,
    oob_receive,
    recovered,
    reset,
    to_reconnecting,
)
from .state import ExportedKeys, Facts, NoobStep, OobResult, Result, ServerAssociation
from .step import EXCHANGE, decode, refuse, start, step

__all__ = [
    "EXCHANGE",
    "ExportedKeys",
    "Facts",
    "NoobStep",
    "OobResult",
    "Result",
    "ServerAssociation",
    "can_make_oob",
    "decode",
    "expire",
    "initial_state",
    "oob_again",
    "oob_check",
    "oob_expires_at",
    "oob_make",
    "oob_receive",
    "recovered",
    "refuse",
    "reset",
    "start",
    "step",
    "to_reconnecting",
]
