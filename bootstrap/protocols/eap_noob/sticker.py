"""The OOB message as a URL (RFC 9140 Appendix D): what a QR code or an NFC tag holds.

``https://<host>[:<port>]/[<path>]?P=<PeerId>&N=<Noob>&H=<Hoob>``, parameters in any order. The bare query is
read too: it is what remains when a page has taken the secret out of its own address.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

from bootstrap.errors import LocalError, MalformedMessage

from .constants import HOOB_LENGTH, NOOB_LENGTH
from .messages.members import base64url, from_base64url, is_peer_id

MAX_LENGTH = 1024
"""Characters; a real one has about 140."""
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_ALPHABET = re.compile(r"[A-Za-z0-9_-]{22}")


@dataclass(frozen=True, slots=True)
class Oob:
    """The out-of-band message (section 3.2.3). Whoever holds ``noob`` can complete the association."""

    peer_id: str
    noob: bytes = field(repr=False)
    hoob: bytes = field(repr=False)


def is_server_url(text: str) -> bool:
    """Whether ``text`` may stand in front of the query: https with a host, no query and no fragment.

    Appendix D demands a server-authenticated scheme. Plain http is taken for a loopback host only, where
    nothing leaves the machine: for trying things out.
    """
    if len(text) > MAX_LENGTH or not text.isascii() or not text.isprintable() or set(text) & set(' ?#"<>\\'):
        return False
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK))


def encode(oob: Oob, server_url: str) -> str:
    """The URL for a QR code. Raises LocalError when ``server_url`` is none."""
    if not is_server_url(server_url):
        raise LocalError("ServerURL is not https")
    return f"{server_url}?{encode_query(oob)}"


def encode_query(oob: Oob) -> str:
    """The query alone."""
    return f"P={quote(oob.peer_id, safe='')}&N={base64url(oob.noob)}&H={base64url(oob.hoob)}"


def decode(text: str) -> Oob:
    """Read a URL or a bare query; raises MalformedMessage.

    Other parameters are ignored: Appendix D does not speak of them, and nothing hangs on them. A repeated P,
    N or H is refused. Noob enters hashes as text and must be canonical base64url; Hoob need not be (the
    RFC's own example is not).
    """
    values = _parameters(_query(text))
    peer_id = values["P"]
    if not is_peer_id(peer_id):
        raise MalformedMessage("P is no PeerId")
    noob = from_base64url(values["N"], NOOB_LENGTH) if values["N"].isascii() else None
    if noob is None:
        raise MalformedMessage("N is not 16 octets of base64url")
    if not _ALPHABET.fullmatch(values["H"]):
        raise MalformedMessage("H is not 16 octets of base64url")
    return Oob(peer_id, noob, base64.urlsafe_b64decode(values["H"] + "==")[:HOOB_LENGTH])


def _query(text: str) -> str:
    text = text.strip()
    if len(text) > MAX_LENGTH:
        raise MalformedMessage(f"OOB message of {len(text)} characters")
    if "://" in text:
        url, mark, query = text.partition("?")
        if not mark or not is_server_url(url):
            raise MalformedMessage("OOB URL without query, or not https")
        text = query.partition("#")[0]
    return text.removeprefix("?").removeprefix("#")


def _parameters(query: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name not in ("P", "N", "H"):
            continue
        if name in values:
            raise MalformedMessage(f"{name} is repeated in the OOB message")
        try:
            values[name] = unquote(value, errors="strict")
        except UnicodeDecodeError as error:
            raise MalformedMessage(f"{name} of the OOB message is not UTF-8") from error
    if len(values) != 3:
        raise MalformedMessage("OOB message without all of P, N and H")
    return values
