"""Plans as actions: every kind, names that are there and names that are not. No database."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.bindings.fdo.plan import PlanProblem, actions_of, names_in
from bootstrap.protocols.fdo.service_info import Command, Download, Upload, Wget
from bootstrap.protocols.fdo.service_info.actions import Csr
from devices.services.plans import FIELDS

VALUES = {"serial": "SN 1", "guid": "ab", "devmod.os": "linux", "tag.site": "Åbo"}


def item(kind: str, id: str = "x", **value: str) -> dict[str, Any]:
    return {"id": id, "kind": kind, "value": value}


def one(kind: str, **value: str) -> Any:
    (action,) = actions_of([item(kind, **value)], VALUES)
    return action


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("network", {"ssid": "net ${tag.site}", "security": "wpa2-psk", "passphrase": "p"}),
        ("server", {"name": "mqtt", "url": "mqtts://${devmod.os}"}),
        ("config", {"key": "k", "value": "${serial}"}),
    ],
)
def test_networks_servers_and_settings_are_one_document_each(kind: str, value: dict[str, str]) -> None:
    action = one(kind, **value)
    assert isinstance(action, Download)
    assert action.name == f"/etc/onward/{kind}.d/x.json"
    filled = {"net ${tag.site}": "net Åbo", "mqtts://${devmod.os}": "mqtts://linux", "${serial}": "SN 1"}
    assert json.loads(action.content) == {"id": "x", **{k: filled.get(v, v) for k, v in value.items()}}


def test_an_id_names_a_file_and_no_other_folder() -> None:
    (action,) = actions_of([item("config", "../../etc/passwd ä", key="k", value="v")], VALUES)
    assert action.name == "/etc/onward/config.d/..-..-etc-passwd--.json"


def test_a_files_content_goes_as_it_is() -> None:
    action = one("file", path="/x/${guid}", content="JHtzZXJpYWx9")
    assert action == Download("x", "/x/ab", b"${serial}")


def test_a_mode_is_a_command_behind_the_file() -> None:
    download, chmod = actions_of([item("file", path="/x", content="", mode="0755")], VALUES)
    assert isinstance(download, Download)
    assert (chmod.command, chmod.args, chmod.may_fail) == ("chmod", ("0755", "/x"), True)


def test_a_value_stays_in_its_word() -> None:
    action = one("command", command="echo", args="-n '${serial}' ${serial};x", output="yes", may_fail="yes")
    assert action == Command("x", "echo", ("-n", "SN 1", "SN 1;x"), True, True, True)


def test_output_is_not_asked_for_unless_wanted() -> None:
    action = one("command", command="true")
    assert (action.return_stdout, action.return_stderr, action.may_fail) == (False, False, False)


def test_files_to_collect_and_to_fetch_and_certificates() -> None:
    assert one("collect", name="/var/log/${serial}") == Upload("x", "/var/log/SN 1")
    fetched = one("fetch", name="fw", url="https://e.org/${guid}", sha384="00" * 48)
    assert fetched == Wget("x", "https://e.org/ab", "fw", bytes(48))
    assert one("certificate") == Csr("x")


@pytest.mark.parametrize("name", ["tag.nothing", "", "devmod", "SERIAL", "serial ", "__class__"])
def test_a_name_that_is_not_there_is_an_error(name: str) -> None:
    with pytest.raises(PlanProblem) as problem:
        one("config", key="k", value="a ${" + name + "} b")
    assert (problem.value.item, problem.value.name) == ("x", name)


def test_two_dollars_are_one() -> None:
    action = one("command", command="sh", args="-c 'echo $${HOME} $HOME'")
    assert action.args == ("-c", "echo ${HOME} $HOME")


def test_the_names_of_a_plan_can_be_listed() -> None:
    items = [item("config", key="${a}", value="${b} $${c}"), item("file", path="/${d}", content="${e}")]
    assert names_in(items) == {"a", "b", "d"}


def test_every_kind_of_item_has_an_action() -> None:
    for kind, fields in FIELDS.items():
        value = {field: "x" for field, needed in fields.items() if needed}
        value |= {"content": ""} if kind == "file" else {}
        assert actions_of([item(kind, **value)], VALUES)


@given(st.text(max_size=40), st.text(max_size=20))
def test_values_are_never_read_as_templates(text: str, value: str) -> None:
    (action,) = actions_of([item("config", key="k", value="${v}")], {"v": "${v}" + value + text})
    assert json.loads(action.content)["value"] == "${v}" + value + text
