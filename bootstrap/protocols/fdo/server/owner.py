"""The owner in TO2: one message of a device to the next, as a pure function (section 5.5).

Whatever a step raises, nothing has changed; the device may send the right message yet, or begin again at 60.
A message that is merely sent twice is not for here: the engine answers it as before.
"""

from __future__ import annotations

from collections.abc import Callable

from bootstrap.contract import Env, Outcome
from bootstrap.errors import MalformedMessage, UnexpectedMessage

from ..constants import MESSAGE_NAMES, MessageType, ResourceNotFound
from .owner_info import device_service_info, done, error_received, service_info_ready
from .owner_proof import hello_device, next_entry, prove_device
from .state import OwnerFacts, OwnerMessage, OwnerState

_Answer = Callable[[OwnerState, bytes, OwnerFacts, Env], Outcome[OwnerState]]

ANSWER: dict[int, _Answer] = {
    MessageType.TO2_HELLO_DEVICE: hello_device,
    MessageType.TO2_GET_OV_NEXT_ENTRY: next_entry,
    MessageType.TO2_PROVE_DEVICE: prove_device,
    MessageType.TO2_DEVICE_SERVICE_INFO_READY: service_info_ready,
    MessageType.TO2_DEVICE_SERVICE_INFO: device_service_info,
    MessageType.TO2_DONE: done,
    MessageType.ERROR: error_received,
}

FOLLOWS: dict[int, frozenset[int]] = {
    MessageType.TO2_GET_OV_NEXT_ENTRY: frozenset(
        {MessageType.TO2_HELLO_DEVICE, MessageType.TO2_GET_OV_NEXT_ENTRY}
    ),
    MessageType.TO2_PROVE_DEVICE: frozenset({MessageType.TO2_GET_OV_NEXT_ENTRY}),
    MessageType.TO2_DEVICE_SERVICE_INFO_READY: frozenset({MessageType.TO2_PROVE_DEVICE}),
    MessageType.TO2_DEVICE_SERVICE_INFO: frozenset(
        {MessageType.TO2_DEVICE_SERVICE_INFO_READY, MessageType.TO2_DEVICE_SERVICE_INFO}
    ),
    MessageType.TO2_DONE: frozenset({MessageType.TO2_DEVICE_SERVICE_INFO}),
}
"""Which answered message each may follow (``OwnerState.stage``). TO2.HelloDevice and Error may come any time."""


def step(state: OwnerState, message: OwnerMessage, facts: OwnerFacts, env: Env) -> Outcome[OwnerState]:
    """Answer one message of TO2; the reply's number is the request's plus one, and 255 has an empty answer.

    Raises the PeerError whose code message 255 will carry (constants.ERROR_CODES): MalformedMessage for what
    cannot be read, UnexpectedMessage for what may not come now or asks for what does not exist,
    NotAuthenticated for a wrong proof, Replayed, ResourceNotFound when we do not serve this device.
    """
    answer = ANSWER.get(message.number)
    if answer is None:
        raise UnexpectedMessage(f"message {message.number} is none that a device sends in TO2")
    if not facts.serves:
        raise ResourceNotFound("this device is not served here")
    if len(message.body) > facts.max_message:
        raise MalformedMessage(f"message of {len(message.body)} octets, over maxOwnerMessageSize")
    may_follow = FOLLOWS.get(message.number)
    if may_follow is not None and state.stage not in may_follow:
        raise UnexpectedMessage(f"{MESSAGE_NAMES[message.number]} after message {state.stage or 'none'}")
    outcome = answer(state, message.body, facts, env)
    size, most = len(outcome.reply.body), outcome.state.max_message
    if size > most:
        raise UnexpectedMessage(f"the answer has {size} octets and the device takes {most}")
    return outcome
