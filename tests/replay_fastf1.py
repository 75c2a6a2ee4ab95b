"""A small race as Formula 1's timing archive, the schedule and Jolpica tell it, and FastF1 at it.

FastF1 has its servers' names built in and takes seconds to start. So it is started once, pointed
at this machine, and forks itself for each load: `launcher` gives a program to set as
`sys.executable`, behind which a forked FastF1 does what the child process is asked to, with its
output, and ends when the program is killed.

    python -m tests.replay_fastf1 SOCKET        the process that forks
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.replay import Answer, Replay

if TYPE_CHECKING:
    from collections.abc import Iterator

URL_VARIABLE: Final = "REPLAY_FASTF1_URL"
FOLDER: Final = "/static/2024/2024-05-05_Test_Grand_Prix/2024-05-05_Race/"
READY: Final = b"+"

DRIVERS: Final = {"4": ("NOR", "Lando", "Norris"), "81": ("PIA", "Oscar", "Piastri")}
LAP_TIMES: Final = {"4": ("1:35.000", "1:33.500", "1:33.000"), "81": ("1:36", "1:34.5", "1:34.1")}
LAP_ENDS: Final = {"4": (3695.0, 3788.5, 3881.5), "81": (3696.0, 3790.5, 3884.6)}
"""Session clock at the end of each lap, s; the race starts at 3600 s."""

_CLIENT: Final = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as line:
    line.connect({address!r})
    wanted = json.dumps([os.environ[{variable!r}], sys.argv[-1]]).encode()
    socket.send_fds(line, [wanted], [1])
    code = line.recv(1)
sys.exit(code[0] if code else 1)
"""


class Race(Replay):
    """A server of one race of two cars and three laps."""

    def __init__(self) -> None:
        super().__init__(Path())
        pages = {f"{FOLDER}{name}.jsonStream": _stream(*rows) for name, rows in _pages().items()}
        self._bodies = {
            **{host + path: text for host in ("/live", "/mirror") for path, text in pages.items()},
            "/schedule/schedule_2024.json": json.dumps(_schedule()),
            "/ergast/2024.json": json.dumps(_jolpica()),
            "/ergast/2024/1/results.json": json.dumps(_jolpica(Results=_results())),
            "/ergast/2024/1/laps/1.json": json.dumps(_jolpica(Laps=_first_lap())),
        }

    @property
    def url(self) -> str:
        """Where all of it is."""
        return self._url("/")

    def _right(self, target: str) -> Answer:
        text = self._bodies.get(target.partition("?")[0])
        return Answer(404, b"") if text is None else Answer(200, text.encode())


@contextlib.contextmanager
def race() -> Iterator[Race]:
    """Run the server as long as the block lasts."""
    running = Race()
    thread = threading.Thread(target=running.serve, name="race")
    thread.start()
    try:
        yield running
    finally:
        running.stop()
        thread.join()


@contextlib.contextmanager
def launcher(folder: Path) -> Iterator[Path]:
    """Start FastF1 and give the program that makes it load something, as long as the block lasts.

    Args:
        folder: for the program and its socket; the path must be short.
    """
    address, program = folder / "socket", folder / "python"
    text = _CLIENT.format(python=sys.executable, address=str(address), variable=URL_VARIABLE)
    program.write_text(text, encoding="utf-8")
    program.chmod(0o700)
    forking = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.replay_fastf1", str(address)],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        cwd=Path(__file__).resolve().parents[1],
    )
    try:
        assert forking.stdout is not None
        assert forking.stdout.read(1) == READY
        yield program
    finally:
        forking.kill()
        forking.communicate()


def main(address: str) -> None:
    """Import FastF1, then fork for each that calls."""
    import signal  # noqa: PLC0415 -- this process only

    import fastf1.req  # noqa: PLC0415 -- this process only

    from loaders.providers import fastf1_child  # noqa: PLC0415 -- this process only

    fastf1.req._SessionWithRateLimiting._RATE_LIMITS.clear()  # the server is ours
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        os.write(1, READY)
        while True:
            line, _ = listener.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _load(line, fastf1_child.main)
            line.close()


def _load(line: socket.socket, load: Any) -> None:
    """Do what the caller wants, in a process of its own; does not return."""
    code = 1
    try:
        wanted, (out,), _, _ = socket.recv_fds(line, 65536, 1)
        url, request = json.loads(wanted)
        os.dup2(out, 1)
        os.dup2(out, 2)
        threading.Thread(target=_end_with, args=(line,), daemon=True).start()
        _point_at(url)
        load(json.loads(request))
        sys.stdout.flush()
        code = 0
    finally:
        line.send(bytes([code]))
        os._exit(code)


def _end_with(line: socket.socket) -> None:
    """End this process when its caller is gone."""
    line.recv(1)
    os._exit(1)


def _point_at(url: str) -> None:
    import fastf1._api  # noqa: PLC0415 -- this process only
    import fastf1.ergast.interface  # noqa: PLC0415 -- this process only
    import fastf1.ergast.legacy  # noqa: PLC0415 -- this process only
    import fastf1.events  # noqa: PLC0415 -- this process only

    fastf1.events._SCHEDULE_BASE_URL = f"{url}/schedule/"
    fastf1._api.base_url = f"{url}/live"
    fastf1._api.base_url_mirror = f"{url}/mirror"
    fastf1.ergast.interface.BASE_URL = f"{url}/ergast"
    fastf1.ergast.legacy.base_url = f"{url}/ergast"


def _stream(*rows: tuple[float, dict[str, Any]]) -> str:
    """Rows of a page, each with the session clock (s) before it."""
    return "".join(f"{_clock(at_s)}{json.dumps(row)}\r\n" for at_s, row in rows)


def _clock(at_s: float) -> str:
    return f"{int(at_s) // 3600:02}:{int(at_s) // 60 % 60:02}:{at_s % 60:06.3f}"


def _pages() -> dict[str, list[tuple[float, dict[str, Any]]]]:
    status = [(3600.0, "Started"), (3890.0, "Finished"), (3900.0, "Finalised"), (3910.0, "Ends")]
    air = {"AirTemp": "25.0", "Humidity": "40.0", "Pressure": "1015.0", "Rainfall": "0"}
    track = {"TrackTemp": "40.0", "WindDirection": "10", "WindSpeed": "1.5"}
    stint = {"Compound": "MEDIUM", "New": "true", "TotalLaps": 0, "StartLaps": 0}
    start = {"Utc": "2024-05-05T20:00:00", "Lap": 1, "Category": "Flag", "Flag": "GREEN"}
    return {
        "SessionInfo": [(0.0, _session_info())],
        "DriverList": [(0.0, {number: _driver_info(number) for number in DRIVERS})],
        "SessionStatus": [(at_s, {"Status": word}) for at_s, word in status],
        "TrackStatus": [(0.0, {"Status": "1", "Message": "AllClear"})],
        "LapCount": [(3600.0, {"CurrentLap": 1, "TotalLaps": 3})],
        "TimingData": _timing(),
        "TimingAppData": [(0.0, {"Lines": {n: {"Stints": {"0": stint}} for n in DRIVERS}})],
        "WeatherData": [(at_s, {**air, **track}) for at_s in (3600.0, 3660.0, 3720.0)],
        "RaceControlMessages": [
            (3600.0, {"Messages": [{**start, "Scope": "Track", "Message": "GREEN LIGHT"}]})
        ],
    }


def _session_info() -> dict[str, Any]:
    times = {"StartDate": "2024-05-05T16:00:00", "EndDate": "2024-05-05T18:00:00"}
    return {"Meeting": {"Key": 1234}, "Key": 9876, **times, "GmtOffset": "-04:00:00"}


def _driver_info(number: str) -> dict[str, Any]:
    code, first, last = DRIVERS[number]
    return {
        "RacingNumber": number, "Tla": code, "FirstName": first, "LastName": last,
        "FullName": f"{first} {last.upper()}", "BroadcastName": last, "TeamName": "McLaren",
        "TeamColour": "FF8000", "CountryCode": "", "HeadshotUrl": "",
    }  # fmt: skip


def _timing() -> list[tuple[float, dict[str, Any]]]:
    rows: list[tuple[float, dict[str, Any]]] = [
        (10.0, {"Lines": {number: {"InPit": True, "Position": "1"} for number in DRIVERS}}),
        (3000.0, {"Lines": {number: {"InPit": False} for number in DRIVERS}}),
    ]
    for number in DRIVERS:
        for lap, (end_s, text) in enumerate(zip(LAP_ENDS[number], LAP_TIMES[number], strict=True)):
            line = {"NumberOfLaps": lap + 1, "LastLapTime": {"Value": text}}
            rows.append((end_s, {"Lines": {number: line}}))
    return sorted(rows, key=lambda row: row[0])


def _schedule() -> dict[str, dict[str, Any]]:
    names = ["Practice 1", "Practice 2", "Practice 3", "Qualifying", "Race"]
    days = [*(f"2024-05-0{day}T{hour}:00:00" for day in (3, 4) for hour in (12, 16))]
    row = {
        "round_number": 1, "country": "Nowhere", "location": "Nowhere", "event_name":
        "Test Grand Prix", "official_event_name": "TEST GRAND PRIX",
        "event_date": "2024-05-05T00:00:00",
        "event_format": "conventional", "f1_api_support": True, "gmt_offset": "-04:00",
        **{f"session{n}": name for n, name in enumerate(names, 1)},
        **{f"session{n}_date": day for n, day in enumerate([*days, "2024-05-05T16:00:00"], 1)},
    }  # fmt: skip
    return {name: {"0": value} for name, value in row.items()}


def _jolpica(**rows: list[dict[str, Any]]) -> dict[str, Any]:
    place = {"lat": "0", "long": "0", "locality": "Nowhere", "country": "Nowhere"}
    event = {
        "season": "2024", "round": "1", "url": "", "raceName": "Test Grand Prix", "date":
        "2024-05-05", "time": "20:00:00Z", **rows, "Circuit":
        {"circuitId": "nowhere", "url": "", "circuitName": "Nowhere Park", "Location": place},
    }  # fmt: skip
    table = {"season": "2024", "round": "1", "Races": [event]}
    page = {"xmlns": "", "series": "f1", "url": "", "limit": "30", "offset": "0", "total": "2"}
    return {"MRData": {**page, "RaceTable": table}}


def _results() -> list[dict[str, Any]]:
    times = {"4": {"millis": "281500", "time": "4:41.500"}, "81": {"time": "+3.100"}}
    return [
        {
            "number": number, "position": str(place), "positionText": str(place), "points":
            {"4": "25", "81": "18"}[number], "grid": str(place), "laps": "3", "status": "Finished",
            "Time": {"millis": "284600", **times[number]},
            "Driver": {
                "driverId": last.lower(), "permanentNumber": number, "code": code, "url": "",
                "givenName": first, "familyName": last, "dateOfBirth": "2000-01-01",
                "nationality": "",
            },
            "Constructor": {
                "constructorId": "mclaren", "url": "", "name": "McLaren", "nationality": "British",
            },
        }
        for place, (number, (code, first, last)) in enumerate(DRIVERS.items(), 1)
    ]  # fmt: skip


def _first_lap() -> list[dict[str, Any]]:
    timings = [
        {"driverId": driver, "position": str(place), "time": text}
        for place, (driver, text) in enumerate((("norris", "1:35.000"), ("piastri", "1:36.000")), 1)
    ]
    return [{"number": "1", "Timings": timings}]


if __name__ == "__main__":
    main(sys.argv[1])
