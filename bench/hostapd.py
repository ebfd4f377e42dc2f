"""Debian's hostapd as RADIUS server with EAP-PSK, driven by eapol_test: C beside our Python, per round trip."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from bench.measure import Row, cpu_seconds

ROUND_TRIPS = 3
"""Access-Requests of one EAP-PSK authentication."""
PSK = "0123456789abcdef0123456789abcdef"


def measure(authentications: int) -> list[Row]:
    """One row; none (and a line that says so) where Debian's packages are missing."""
    hostapd, eapol_test = shutil.which("hostapd"), shutil.which("eapol_test")
    if hostapd is None or eapol_test is None:
        print("hostapd or eapol_test is not installed: no row for them")
        return []
    folder = Path(tempfile.mkdtemp(prefix="onward-bench-"))
    port = _free_port()
    (folder / "users").write_text(f'"psk@example.com" PSK {PSK}\n')
    (folder / "clients").write_text("127.0.0.1/32 testing123\n")
    (folder / "hostapd.conf").write_text(
        f"driver=none\ninterface=lo\neap_server=1\neap_user_file={folder}/users\n"
        f"radius_server_clients={folder}/clients\nradius_server_auth_port={port}\n"
    )
    (folder / "psk.conf").write_text(
        f'network={{\nkey_mgmt=WPA-EAP\neap=PSK\nidentity="psk@example.com"\npassword={PSK}\n}}\n'
    )
    server = subprocess.Popen([hostapd, str(folder / "hostapd.conf")], stdout=subprocess.DEVNULL)
    try:
        time.sleep(1)
        before = cpu_seconds([server.pid])
        command = [eapol_test, "-c", str(folder / "psk.conf"), "-a", "127.0.0.1", "-p", str(port)]
        command += ["-s", "testing123", "-r", str(authentications - 1), "-t", "60"]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True, timeout=120)
        spent = max(cpu_seconds([server.pid]) - before, 0.01)  # the clock ticks in hundredths
        return [Row("hostapd 2.10 (C), EAP-PSK: one RADIUS round trip", authentications * ROUND_TRIPS, spent)]
    finally:
        server.terminate()
        server.wait(timeout=10)
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
