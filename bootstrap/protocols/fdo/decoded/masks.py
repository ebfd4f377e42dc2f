"""What of a message may be seen: values that are or may be secret are replaced by their length."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from bootstrap.protocols.fdo.decoded.notation import (
    Major,
    Node,
    Unreadable,
    octets_shown,
    plain,
    read,
    text_shown,
)
from bootstrap.protocols.fdo.service_info.constants import Module

OCTETS_OF_A_PROOF = 4
OUTPUT_SHOWN = 200
TEXT_SEARCHED = 600
"""Characters of a text that are searched for secrets, and so the most that is shown of it."""

_WORDS = "pass(?:word|wd|phrase|code)?|pwd|secret|token|psk|pin|credential|(?:api|private|access|shared)[-_]?key|key"
_SECRET_NAME = re.compile(rf"(?i)(?:^|[^a-z])(?:{_WORDS})s?$")
_ASSIGNED = re.compile(rf"(?i)([\w-]{{0,40}}(?:{_WORDS})s?[\"']?\s?[=:]\s?)([^\s,;&|]+)")
_OPTION = re.compile(rf"(?i)((?:^|\s)--?[\w-]{{0,40}}(?:{_WORDS})s?\s+)([^\s,;&|]+)")
_USERINFO = re.compile(r"(://)[^/@\s]+@")
_SECRET_TOOL = re.compile(r"(?i)chpasswd|htpasswd|mkpasswd|wpa_|psk|PRIVATE KEY")
_BLOB = re.compile(r"^[A-Za-z0-9+_=-]{24,}$")

_MASKED_KEYS = frozenset(
    {"fdo.download:data", "fdo.upload:data", "fdo.csr:serverkeygen-res", "fdo.csr:serverkeygen-req"}
)
_OUTPUTS = frozenset({"fdo.command:stdout", "fdo.command:stderr"})
_SHOWN_MODULES = frozenset(Module)


def masked(octets: bytes) -> str:
    """A bstr of which only the length may be known."""
    return f"h'' / {len(octets)} octets masked /"


def shortened(node: Node, indent: int = 0) -> str:
    """Proofs, signatures, ciphertext: the beginning tells two apart and proves nothing."""
    return octets_shown(node.octets, OCTETS_OF_A_PROOF) if node.major is Major.OCTETS else plain(node)


def secret(node: Node, indent: int = 0) -> str:
    """Nothing of the value but its size."""
    if node.major in (Major.OCTETS, Major.TEXT):
        return (
            masked(node.octets)
            if node.major is Major.OCTETS
            else f'"" / {len(node.text)} characters masked /'
        )
    return "null / masked /"


def text_masked(text: str) -> str:
    """The beginning of a text, without the passwords, tokens and user names that stand in it in the usual ways."""
    if _SECRET_TOOL.search(text):
        return f"/ {len(text)} characters masked /"
    rest = "…" if len(text) > TEXT_SEARCHED else ""
    text = _USERINFO.sub(r"\1…@", text[:TEXT_SEARCHED])
    return _OPTION.sub(r"\1…", _ASSIGNED.sub(r"\1…", text)) + rest


def arguments_masked(args: list[str]) -> list[str]:
    """Arguments of a command: what follows ``--password``, what looks like a key, what is assigned to one."""
    shown: list[str] = []
    after_secret = False
    for arg in args:
        hide = (after_secret and not arg.startswith("-")) or bool(_BLOB.match(arg))
        shown.append(f"/ {len(arg)} characters masked /" if hide else text_masked(arg))
        after_secret = arg == "-p" or (arg.startswith("-") and bool(_SECRET_NAME.search(arg)))
    return shown


def url_masked(url: str) -> str:
    """A URL without user information and without the values of its query."""
    try:
        parts = urlsplit(url[:TEXT_SEARCHED])
    except ValueError:
        return f"/ {len(url)} characters masked /"
    query = re.sub(r"=[^&]*", "=…", parts.query) if "=" in parts.query else "…" if parts.query else ""
    host = parts.netloc.rpartition("@")
    netloc = f"…@{host[2]}" if host[1] else parts.netloc
    return parts._replace(query=query, netloc=netloc, fragment="").geturl()


def odd(node: Node) -> str:
    """Something where something else belongs: numbers and flags are shown, of the rest only the kind."""
    if node.major in (Major.UNSIGNED, Major.NEGATIVE, Major.SIMPLE):
        return plain(node)
    return f"/ {node.major.name.lower()} out of place, masked /"


def service_info_value(key: str, octets: bytes) -> str:
    """The value of one key-value; of modules that we do not speak only flags are shown."""
    if key in _MASKED_KEYS:
        return masked(octets)
    try:
        node = read(octets)
    except Unreadable:
        return masked(octets)
    if (
        node.major in (Major.UNSIGNED, Major.NEGATIVE, Major.SIMPLE)
        and key.partition(":")[0] in _SHOWN_MODULES
    ):
        return f"<< {plain(node)} >>"
    if node.major is Major.SIMPLE and not node.octets:
        return f"<< {plain(node)} >>"
    if key.partition(":")[0] not in _SHOWN_MODULES:
        return masked(octets)
    return f"<< {_known_value(key, node)} >>"


def _known_value(key: str, node: Node) -> str:
    if key == "fdo.command:args":
        return _args(node)
    if key in _OUTPUTS:
        return text_shown(text_masked(node.text), OUTPUT_SHOWN)
    if node.major is Major.TEXT:
        return text_shown(url_masked(node.text) if key == "fdo.wget:url" else text_masked(node.text))
    return plain(node)


def _args(node: Node) -> str:
    """Both forms: a bare array, and a bstr with one in it."""
    if node.major is Major.OCTETS:
        try:
            return f"<< {_args(read(node.octets))} >>"
        except Unreadable:
            return masked(node.octets)
    if node.major is not Major.ARRAY or any(item.major is not Major.TEXT for item in node.items):
        return f"/ {node.major.name.lower()} masked /"
    shown = arguments_masked([item.text for item in node.items])
    return f"[{', '.join(text_shown(arg) for arg in shown)}]"
