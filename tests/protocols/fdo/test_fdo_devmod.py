"""devmod, as devices really send it."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.errors import MalformedMessage
from bootstrap.protocols.fdo.service_info import Devmod, OwnerModules, Quirks, advance, quirks_of
from bootstrap.protocols.fdo.service_info.constants import MODULES_MAX, TEXT_LENGTH_MAX
from bootstrap.protocols.fdo.service_info.devmod import TEXTS, collect, messages
from bootstrap.protocols.fdo.service_info.kv import assemble, message_of
from bootstrap.protocols.fdo.service_info.quirks import C_CLIENT, JAVA_CLIENT
from bootstrap.wire.frozen import freeze, thaw

FULL = Devmod(
    active=True,
    os="Linux",
    arch="x86_64",
    version="6.1",
    device="lamp",
    sn="S-1",
    sn_form="bytes",
    pathsep="/",
    sep=":",
    nl="\n",
    tmp="/tmp",
    dir=".",
    progenv="bin:py3",
    bin="x86_64",
    mudurl="https://mud.example/lamp",
    num_modules=3,
    modules=("devmod", "fdo.download", "fdo.command"),
    listed=3,
)


def collected(*said: tuple[str, Any]) -> Devmod:
    devmod = Devmod()
    for message, item in said:
        devmod = collect(devmod, message, item)
    return devmod


@pytest.mark.parametrize("limit", [256, 1300, 64_000])
def test_what_a_device_sends_is_what_the_owner_reads(limit: int) -> None:
    devmod = Devmod()
    for key, item in assemble(messages(FULL, limit), {"devmod"}).items:
        devmod = collect(devmod, message_of(key), item)
    assert devmod == FULL
    assert devmod.complete
    assert devmod.missing == ()
    assert thaw(Devmod, freeze(devmod)) == devmod


def test_a_long_list_of_modules_is_cut_to_the_size_and_joined_again() -> None:
    names = tuple(f"vendor.module-{n:03}" for n in range(100))
    said = messages(Devmod(os="x", modules=names), 256)
    lists = [cbor2.loads(value) for key, value in said if key == "devmod:modules"]
    assert len(lists) > 5
    assert all(start == sum(len(one) - 2 for one in lists[:n]) for n, (start, *_) in enumerate(lists))
    devmod = collected(("os", "x"), ("nummodules", 100), *(("modules", one) for one in lists))
    assert devmod.modules == names
    assert devmod.complete


@pytest.mark.parametrize(
    "form",
    [[0, 2, "a", "b"], [0, 2, ["a", "b"]], ["a", "b"], cbor2.dumps([0, 2, "a", "b"])],
    ids=["flat", "nested", "names only", "in a bstr"],
)
def test_every_form_of_the_list_of_modules_is_read(form: Any) -> None:
    assert collected(("modules", form)).modules == ("a", "b")


def test_the_serial_number_is_read_in_both_forms() -> None:
    assert (collected(("sn", b"S-1")).sn, collected(("sn", b"S-1")).sn_form) == ("S-1", "bytes")
    assert (collected(("sn", "S-1")).sn, collected(("sn", "S-1")).sn_form) == ("S-1", "text")
    assert collected(("sn", b"\x00\xff")).sn == "00ff"


def test_the_list_is_complete_only_when_all_announced_modules_came() -> None:
    some = collected(("os", "x"), ("nummodules", 3), ("modules", [0, 2, "a", "b"]))
    assert not some.complete
    assert collect(some, "modules", [2, 1, "c"]).complete


def test_devmod_spread_over_messages_is_waited_for() -> None:
    state = OwnerModules()
    for message in messages(FULL, 256)[:-1]:
        answer = advance(state, (message,), True, (), 1300)
        assert (answer.kvs, answer.is_more, answer.is_done) == ((), False, False)
        state = answer.state
    paused = advance(state, (), False, (), 1300)
    assert not paused.is_done, "an empty message before the last of devmod ends nothing"
    answer = advance(paused.state, messages(FULL, 256)[-1:], False, (), 1300)
    assert answer.is_done
    assert answer.state.device() == FULL


def test_a_device_that_never_completes_devmod_is_taken_as_it_is() -> None:
    state = advance(OwnerModules(), [("devmod:os", cbor2.dumps("x"))], False, (), 1300).state
    for _ in range(3):
        answer = advance(state, (), False, (), 1300)
        state = answer.state
    assert answer.is_done
    assert state.device().missing == ("arch", "version", "device", "sep", "bin")


def test_templates_see_every_value() -> None:
    values = FULL.values()
    assert values["devmod.os"] == "Linux"
    assert values["devmod.modules"] == "devmod,fdo.download,fdo.command"
    assert set(values) == {f"devmod.{name}" for name in (*TEXTS, "modules")}


def test_values_and_lists_are_bounded() -> None:
    devmod = collected(("os", "x" * 5000), ("modules", [0, 500, *(str(n) for n in range(500))]))
    assert len(devmod.os) == TEXT_LENGTH_MAX
    assert len(devmod.modules) == MODULES_MAX
    devmod = collect(devmod, "modules", [0, 500, *(str(n) for n in range(500))])
    with pytest.raises(MalformedMessage):
        collect(devmod, "modules", [0, 500, *(str(n) for n in range(500))])


scalars = st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.floats(allow_nan=False)


@given(st.sampled_from([*TEXTS, "active", "nummodules", "modules", "news"]), st.recursive(scalars, st.lists))
def test_any_value_of_any_message_leaves_a_devmod_that_freezes(message: str, item: Any) -> None:
    devmod = collect(FULL, message, item)
    assert thaw(Devmod, freeze(devmod)) == devmod


@pytest.mark.parametrize(
    ("devmod", "expected"),
    [
        (FULL, Quirks()),
        (Devmod(os="linux", arch="amd64", sep=";"), Quirks()),
        (collected(("os", "Linux"), ("sn", "1234"), ("progenv", "bin:java:py3:py2")), C_CLIENT),
        (collected(("os", "Linux"), ("progenv", "bin:java")), JAVA_CLIENT),
        (collected(("sn", b"1"), ("progenv", "bin:java")), Quirks()),
    ],
)
def test_the_profile_follows_from_what_the_device_shows(devmod: Devmod, expected: Quirks) -> None:
    assert quirks_of(devmod) == expected
    assert quirks_of(thaw(Devmod, freeze(devmod))) == expected


def test_before_devmod_the_hello_decides_and_an_error_decides_for_good() -> None:
    assert quirks_of(max_message=2000) == C_CLIENT
    assert quirks_of(max_message=65_535) == Quirks()
    assert quirks_of(FULL, said="Failed to read module command args array length") == C_CLIENT
