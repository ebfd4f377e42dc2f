"""Whole simulated devices against the real protocol cores over real HTTP."""

import json
import stat
from dataclasses import replace

import pytest

from bootstrap.protocols.eap_noob import device
from bootstrap.protocols.eap_noob.constants import PeerState
from bootstrap.protocols.provisioning import PlanDocument, PlanItem
from bootstrap.simulator.__main__ import main
from bootstrap.simulator.store import Memory
from bootstrap.wire.eap import EapType
from bootstrap.wire.frozen import thaw
from tests.simulator.conftest import TOKEN


class Run:
    """One call of the command line with ``--json``."""

    def __init__(self, capsys, portal, *arguments):
        common = ["--via", portal.url, "--claim", portal.url, "--token", TOKEN, "--json", "--timeout", "20"]
        self.code = main(["eap-noob", *common, *arguments])
        self.out = capsys.readouterr().out
        *events, self.summary = [json.loads(line) for line in self.out.splitlines()]
        self.events = [event for event in events if event["event"] != "item"]
        self.items = {event["id"]: event for event in events if event["event"] == "item"}
        self.names = [event["event"] for event in self.events]


LIFE = [
    *("started", "initial", "code", "claimed", "waiting"),
    *("bootstrapped", "plan", "reported", "online", "onboarded"),
]


@pytest.mark.parametrize("suite", ["1", "2"])
def test_one_device_is_onboarded_and_says_each_step(capsys, portal, suite, tmp_path):
    portal.facts = replace(portal.facts, sleep_time_seconds=1)
    run = Run(capsys, portal, "--serial", "K/1", "--suite", suite, "--state", str(tmp_path))
    assert (run.code, run.names) == (0, LIFE)
    assert set(run.summary) == {"devices", "onboarded", "failed", "p50_seconds", "p95_seconds"}
    assert (run.summary["devices"], run.summary["onboarded"], run.summary["failed"]) == (1, 1, {})
    assert 1 <= run.summary["p50_seconds"] == run.summary["p95_seconds"] < 10, "SleepTime was obeyed"
    (association,) = portal.registered()
    assert association.cryptosuitep == int(suite)
    _, plan_state = portal.plans[association.peer_id]
    assert (plan_state.reported_version, plan_state.online, plan_state.phase) == (3, True, "online")


def test_the_plan_lands_in_the_state_folder(capsys, portal, tmp_path):
    run = Run(capsys, portal, "--serial", "K-1", "--state", str(tmp_path))
    assert run.code == 0
    assert all(item["ok"] for item in run.items.values())
    assert set(run.items) == {"net", "mqtt", "tz", "motd", "id"}
    root = tmp_path / "K-1"
    assert (root / "etc/motd").read_bytes() == b"hello"
    assert stat.S_IMODE((root / "etc/motd").stat().st_mode) == 0o644
    settings = json.loads((root / "settings.json").read_text())
    assert settings["servers"] == {"telemetry": "mqtts://broker.example"}
    assert settings["config"] == {"timezone": "UTC"}
    assert "Factory" in settings["networks"]
    assert (root / "device.csr").read_text().startswith("-----BEGIN CERTIFICATE REQUEST")


def test_restarted_with_the_same_folder_it_reconnects_with_new_keys(capsys, portal, tmp_path):
    arguments = ("--serial", "K-1", "--state", str(tmp_path))
    Run(capsys, portal, *arguments)
    file = tmp_path / "K-1.state"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = thaw(Memory, file.read_bytes())
    assert thaw(device.DeviceAssociation, before.association).state == PeerState.REGISTERED
    again = Run(capsys, portal, *arguments)
    assert (again.code, again.names) == (0, ["resumed", "bootstrapped", "online", "onboarded"])
    after = thaw(Memory, file.read_bytes())
    assert after.provisioning != before.provisioning
    assert len(portal.claims) == 1


def test_a_device_whose_power_went_away_between_claim_and_completion_goes_on(capsys, portal, tmp_path):
    portal.facts = replace(portal.facts, sleep_time_seconds=2)
    arguments = ("--serial", "K-1", "--state", str(tmp_path))
    short = Run(capsys, portal, *arguments, "--timeout", "0.7")
    assert short.code == 1
    assert short.summary["failed"] == {"timeout while waiting for the code to be claimed": 1}
    again = Run(capsys, portal, *arguments)
    assert (again.code, again.names[:2]) == (0, ["resumed", "bootstrapped"])


def test_server_to_device_takes_the_code_of_the_portal(capsys, portal):
    run = Run(capsys, portal, "--direction", "server-to-device", "--serial", "K-1")
    assert (run.code, "code-entered" in run.names) == (0, True)
    assert "waiting" not in run.names, "with the code in hand it need not wait (section 3.2.5)"
    assert portal.claims == [{"serial": "K-1", "direction": "server-to-device"}]


def test_a_claim_that_must_merge_is_said_again_with_merge(capsys, portal):
    portal.merge_first = True
    assert Run(capsys, portal).code == 0
    assert [claim.get("merge", False) for claim in portal.claims] == [False, True]


def test_reconnects_on_demand(capsys, portal):
    run = Run(capsys, portal, "--reconnect", "2")
    assert (run.code, run.names.count("reconnected"), run.names.count("online")) == (0, 2, 3)


def test_a_fleet_through_a_bad_network_loses_nobody(capsys, portal):
    faults = ("--loss", "0.1", "--repeat", "0.1", "--reorder", "0.1", "--seed", "7")
    run = Run(capsys, portal, "--count", "8", "--serial", "F", "--rate", "100", *faults)
    assert (run.code, run.summary["onboarded"], run.summary["failed"]) == (0, 8, {})
    assert sorted(portal.serials) == [f"F-{number:04}" for number in range(1, 9)]
    assert len(portal.registered()) == 8


def test_a_server_that_is_busy_is_asked_again(capsys, portal):
    portal.refuse_next = [429, 503]
    assert Run(capsys, portal).code == 0
    assert portal.statuses[:3] == [("eap", 429), ("eap", 503), ("eap", 201)]


def test_without_a_plan_it_waits_for_one(capsys, portal):
    portal.plan = None
    run = Run(capsys, portal, "--timeout", "1.5")
    assert run.summary["failed"] == {"timeout while taking its plan": 1}
    assert "no-plan" in run.names


def test_an_item_that_cannot_be_applied_stops_it_and_is_reported(capsys, portal):
    portal.plan = PlanDocument(1, (PlanItem.build("x", "file", {"path": "/../x", "content": ""}),))
    run = Run(capsys, portal)
    assert (run.code, list(run.summary["failed"])) == (
        1,
        ["plan item failed: x: path leads nowhere on this device"],
    )
    ((_, state),) = portal.plans.values()
    assert state.results == (("x", False, "path leads nowhere on this device"),)


def test_a_server_that_does_not_speak_of_plans_ends_with_success(capsys, portal):
    portal.facts = replace(portal.facts, server_info='{"ServerURL":"https://portal.example/n"}')
    assert Run(capsys, portal).names[-2:] == ["bootstrapped", "onboarded"]


def test_provision_overrides_what_the_server_says(capsys, portal):
    run = Run(capsys, portal, "--provision", f"{portal.url}/nowhere")
    assert run.summary["failed"] == {"provisioning: HTTP 404": 1}


def test_another_method_gets_a_nak_and_a_clean_end(capsys, portal):
    portal.offer_type = EapType.MD5_CHALLENGE
    run = Run(capsys, portal, "--timeout", "1")
    assert run.code == 1
    assert ("eap", 200) in portal.statuses


def test_an_unwanted_device_stops_with_the_error(capsys, portal):
    portal.facts = replace(portal.facts, wanted=False)
    assert Run(capsys, portal).summary["failed"] == {"error 2001: Unwanted peer": 1}


def test_a_wrong_token_is_the_reason(capsys, portal):
    run = Run(capsys, portal, "--token", "wrong")
    assert run.summary["failed"] == {"claim: HTTP 404": 1}


def test_a_server_that_forgot_a_registered_device_makes_the_person_reset_it(capsys, portal, tmp_path):
    arguments = ("--serial", "K-1", "--state", str(tmp_path))
    Run(capsys, portal, *arguments)
    portal.associations.clear()
    run = Run(capsys, portal, *arguments)
    assert (run.code, run.names[:3]) == (0, ["resumed", "reset", "retry"])


def test_a_code_is_renewed_at_half_of_its_life(capsys, portal):
    portal.facts = replace(portal.facts, sleep_time_seconds=2)
    run = Run(capsys, portal, "--noob-timeout", "2")
    codes = [event["url"] for event in run.events if event["event"] == "code"]
    assert (run.code, len(set(codes)), len(codes) >= 2) == (0, len(codes), True)


def test_usage_errors_exit_with_two(capsys, portal):
    for arguments in (
        ["eap-noob", "--via", "ftp://x"],
        ["eap-noob", "--via", portal.url, "--claim", portal.url],
        ["eap-noob", "--via", portal.url, "--count", "0"],
        ["eap-noob", "--via", portal.url, "--count", "2", "--direction", "server-to-device"],
    ):
        assert main(arguments) == 2
        assert "python -m bootstrap.simulator:" in capsys.readouterr().err


def test_no_key_is_in_what_the_simulator_prints(capsys, portal, tmp_path):
    run = Run(capsys, portal, "--serial", "K-1", "--state", str(tmp_path))
    memory = thaw(Memory, (tmp_path / "K-1.state").read_bytes())
    kz = thaw(device.DeviceAssociation, memory.association).kz
    assert len(kz) == 32
    assert kz.hex() not in run.out
    assert repr(kz)[2:-1] not in run.out + repr(memory)
