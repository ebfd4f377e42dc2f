"""The EAP peer of a simulated EAP-NOOB device (RFC 3748 section 4): one conversation."""

from __future__ import annotations

from collections.abc import Callable

from bootstrap.contract import Env
from bootstrap.errors import MalformedMessage
from bootstrap.protocols.eap_noob import device
from bootstrap.wire.eap import EapCode, EapPacket, EapType, nak, response


class EapNoobPeer:
    """Answers the server's packets; hands the association to ``keep`` before it answers."""

    def __init__(
        self,
        state: device.DeviceAssociation,
        facts: device.DeviceFacts,
        env: Callable[[], Env],
        keep: Callable[[device.DeviceAssociation], None],
    ) -> None:
        self.state = state
        self.keys: device.DeviceKeys | None = None
        self.sleep_time: int | None = None
        """The newest SleepTime in seconds, None when the server gave none."""
        self.error_code: int | None = None
        """Of the EAP-NOOB error notification that went either way."""
        self.succeeded = False
        """EAP-Success came where the method expected it."""
        self._facts = facts
        self._env = env
        self._keep = keep
        self._last: tuple[bytes, bytes] | None = None
        self._ended = False

    @property
    def msk(self) -> bytes:
        """The 64-octet Master Session Key once the method succeeded, else empty."""
        return self.keys.msk if self.keys else b""

    def respond(self, request: bytes) -> bytes | None:
        """The answer to one EAP packet; the repetition of the newest request gets the same answer again."""
        if self._ended:
            return None
        if self._last and self._last[0] == request:
            return self._last[1]
        try:
            packet = EapPacket.decode(request)
        except MalformedMessage:
            return None
        match packet.code:
            case EapCode.REQUEST:
                answer = self._answer(packet).encode()
                self._last = (request, answer)
                return answer
            case EapCode.SUCCESS if self.keys:
                self._end(success=True)
            case EapCode.FAILURE:
                self._end(success=False)
        return None

    def close(self, success: bool) -> None:
        """The lower layer is done; it may have seen the end where no EAP packet came through."""
        if not self._ended:
            self._end(success=success and self.keys is not None)

    def _answer(self, packet: EapPacket) -> EapPacket:
        identifier = packet.identifier
        if packet.type == EapType.IDENTITY:
            identity = device.identity(self.state, self._facts)
            return response(identifier, EapType.IDENTITY, identity.encode())
        if packet.type == EapType.NOTIFICATION:
            return response(identifier, EapType.NOTIFICATION)
        if packet.type != EapType.NOOB:
            return nak(identifier, EapType.NOOB)
        step = device.step(self.state, packet.data, self._facts, self._env())
        self.state = step.state
        self.keys = step.keys or self.keys
        self.error_code = step.error_code or self.error_code
        self.sleep_time = self.sleep_time if step.sleep_time is None else step.sleep_time
        self._keep(self.state)
        return response(identifier, EapType.NOOB, step.response)

    def _end(self, success: bool) -> None:
        self._ended = True
        self.succeeded = success
        self.state = device.on_success(self.state) if success else device.on_failure(self.state)
        if not success:
            self.keys = None
