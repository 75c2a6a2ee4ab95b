"""The made-up world of the simulator: who races, where, and what happens on which lap.

Everything here is truth that a grade should find again: the pace of every driver and car, how
much a driver's laps scatter, how often he errs, how he starts, attacks and defends. Signs are
those of lap times: a negative pace in seconds is faster. Names are invented; nobody is meant.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from engine.tables import SessionKey

NeutralKind = Literal["safety_car", "virtual_safety_car", "red_flag"]
PenaltyKind = Literal["time", "drive_through", "stop_and_go"]
RetirementKind = Literal["on_track", "in_the_pits"]


@dataclass(frozen=True)
class Team:
    """A car: `pace_s` is its lap time against the median car, in seconds per lap."""

    team_id: str
    name: str
    pace_s: float


@dataclass(frozen=True)
class Driver:
    """A driver and the truth about him.

    Attributes:
        pace_s: lap time against the median driver in the same car, in seconds per lap.
        dispersion_s: standard deviation of his dry laps, in seconds.
        error_rate: share of racing laps with an error that costs time, 0..1.
        start_s: time won on the first lap against the median start, in seconds.
        attack: added to the log-odds of a pass he tries.
        defence: taken from the log-odds of a pass tried on him.
    """

    driver_id: str
    code: str
    number: int
    name: str
    team: Team
    pace_s: float
    dispersion_s: float
    error_rate: float
    start_s: float
    attack: float
    defence: float


@dataclass(frozen=True)
class Circuit:
    """A track.

    Attributes:
        lap_s: lap of the median car and driver, dry, fresh MEDIUM, empty tank, in seconds.
        passing_logit: log-odds of a pass between equals within reach; higher is easier.
        lane_s: time from pit entry to pit exit at the speed limit, in seconds.
        bypass_s: time that the same stretch takes on the track at racing speed, in seconds.
        turns: number of turns, for the stewards' messages.
    """

    circuit_id: str
    name: str
    lap_s: float
    passing_logit: float
    lane_s: float
    bypass_s: float
    turns: int


@dataclass(frozen=True)
class Neutralization:
    """Racing suspended, counted on the leader's lap.

    Attributes:
        lap: leader's lap on which it is called.
        share: how far into that lap, 0..1.
        laps: further laps the safety car leads before the restart; 0 for the other kinds.
        duration_s: length of a virtual safety car or of a red-flag stoppage, in seconds.
    """

    kind: NeutralKind
    lap: int
    share: float
    laps: int = 0
    duration_s: float = 0.0


@dataclass(frozen=True)
class Penalty:
    """A penalty the stewards announce when the leader begins `lap`; `seconds` 0 if none."""

    driver_id: str
    lap: int
    kind: PenaltyKind
    seconds: int
    reason: str


@dataclass(frozen=True)
class Retirement:
    """A car that ends its race on its own lap `lap`: on the track, or in the pits at its end."""

    driver_id: str
    lap: int
    kind: RetirementKind


@dataclass(frozen=True)
class Scenario:
    """One session: who takes part, where, for how many laps, and what befalls them.

    Attributes:
        wetness: (lap, wetness 0..1) knots, linear between them; empty means dry throughout.
        stops_planned: a dry race is planned with one or two tyre changes; a sprint with none.
    """

    session: SessionKey
    event_name: str
    circuit: Circuit
    started_at: datetime
    laps: int
    drivers: tuple[Driver, ...]
    stops_planned: bool = True
    neutralizations: tuple[Neutralization, ...] = ()
    penalties: tuple[Penalty, ...] = ()
    retirements: tuple[Retirement, ...] = ()
    wetness: tuple[tuple[float, float], ...] = ()
    pit_lane_starts: frozenset[str] = frozenset()
    did_not_start: frozenset[str] = frozenset()
    disqualified: frozenset[str] = frozenset()


TEAMS: Final = tuple(
    Team(f"sim_{name.lower().replace(' ', '_')}", name, pace_s)
    for name, pace_s in (
        ("Vireo Works", -0.85),
        ("Quartz Falcon", -0.70),
        ("Norlund", -0.55),
        ("Ember Six", -0.25),
        ("Calder Line", -0.05),
        ("Tessera", 0.05),
        ("Brightwater", 0.30),
        ("Onyx Kestrel", 0.50),
        ("Marrow and Pell", 0.75),
        ("Palisade", 1.15),
    )
)

DRIVERS: Final = tuple(
    Driver(f"sim_{name.split()[-1].lower()}", code, number, name, TEAMS[team], *truth)
    for code, number, name, team, truth in (
        # pace s, dispersion s, error rate, start s, attack, defence
        ("TAL", 2, "Mirek Talvane", 0, (-0.25, 0.14, 0.010, 0.30, 0.50, 0.60)),
        ("QUI", 71, "Petra Quillon", 0, (0.05, 0.20, 0.020, 0.00, 0.10, 0.10)),
        ("SOR", 8, "Jun Sorrelby", 1, (-0.15, 0.18, 0.015, -0.20, 0.40, 0.00)),
        ("ANQ", 15, "Ilse Anquist", 1, (-0.05, 0.24, 0.030, 0.25, 0.60, -0.30)),
        ("DRO", 36, "Tomas Drovan", 2, (-0.20, 0.16, 0.012, 0.10, 0.00, 0.50)),
        ("YEL", 52, "Nadia Yelverin", 2, (0.15, 0.26, 0.028, -0.10, -0.20, 0.00)),
        ("KAS", 9, "Bram Kastell", 3, (-0.10, 0.17, 0.018, 0.20, 0.20, 0.30)),
        ("OVE", 67, "Rui Overmont", 3, (0.10, 0.22, 0.022, -0.30, 0.00, -0.10)),
        ("FEN", 13, "Sanna Fennimar", 4, (-0.30, 0.19, 0.014, 0.15, 0.45, 0.20)),
        ("GRI", 40, "Otto Grisevald", 4, (0.20, 0.30, 0.035, 0.05, -0.40, -0.20)),
        ("LUM", 25, "Kofi Lumbray", 5, (0.00, 0.21, 0.016, 0.35, 0.30, 0.10)),
        ("HAS", 88, "Elin Haskeray", 5, (-0.05, 0.15, 0.010, -0.15, -0.10, 0.40)),
        ("ZAB", 5, "Dario Zabriel", 6, (0.05, 0.28, 0.032, 0.10, 0.55, -0.40)),
        ("WIN", 76, "Maud Winterhal", 6, (-0.10, 0.18, 0.015, 0.00, 0.05, 0.05)),
        ("PRU", 17, "Levi Prudhane", 7, (0.10, 0.23, 0.024, -0.25, -0.15, 0.15)),
        ("CAS", 60, "Aiko Cassander", 7, (-0.20, 0.20, 0.018, 0.20, 0.25, 0.25)),
        ("BEL", 29, "Hugo Belmarsh", 8, (0.00, 0.25, 0.026, 0.00, 0.00, 0.00)),
        ("NIV", 94, "Tova Nivenko", 8, (0.15, 0.19, 0.020, -0.05, -0.30, -0.05)),
        ("MOR", 32, "Ezra Mordaunt", 9, (0.25, 0.32, 0.040, 0.15, 0.10, -0.25)),
        ("ISH", 48, "Vera Ishgrove", 9, (0.05, 0.22, 0.019, -0.20, -0.05, 0.10)),
    )
)

HARBOUR: Final = Circuit("sim_harbour", "Simulated Harbour Ring", 88.4, -1.4, 20.0, 7.0, 16)
HIGHLAND: Final = Circuit("sim_highland", "Simulated Highland Park", 81.7, -2.0, 18.5, 6.5, 14)
LAKESIDE: Final = Circuit("sim_lakeside", "Simulated Lakeside Circuit", 93.1, -1.1, 21.0, 7.5, 19)

WEEKENDS: Final = (
    Scenario(
        session=SessionKey(2099, 1),
        event_name="Simulated Harbour Grand Prix",
        circuit=HARBOUR,
        started_at=datetime(2099, 3, 15, 15, 0, tzinfo=UTC),
        laps=57,
        drivers=DRIVERS,
        neutralizations=(Neutralization("safety_car", lap=31, share=0.35, laps=4),),
        penalties=(
            Penalty("sim_zabriel", 9, "time", 5, "FORCING ANOTHER DRIVER OFF THE TRACK"),
            Penalty("sim_prudhane", 47, "time", 5, "SPEEDING IN THE PIT LANE"),
            Penalty("sim_grisevald", 7, "drive_through", 0, "FALSE START"),
            Penalty("sim_anquist", 50, "time", 10, "CAUSING A COLLISION"),
        ),
        retirements=(
            Retirement("sim_mordaunt", 31, "on_track"),
            Retirement("sim_overmont", 19, "in_the_pits"),
        ),
    ),
    Scenario(
        session=SessionKey(2099, 2, "sprint"),
        event_name="Simulated Highland Grand Prix",
        circuit=HIGHLAND,
        started_at=datetime(2099, 3, 28, 11, 0, tzinfo=UTC),
        laps=19,
        drivers=DRIVERS,
        stops_planned=False,
        penalties=(
            Penalty("sim_prudhane", 11, "time", 5, "LEAVING THE TRACK AND GAINING AN ADVANTAGE"),
        ),
        retirements=(Retirement("sim_belmarsh", 6, "in_the_pits"),),
    ),
    Scenario(
        session=SessionKey(2099, 2),
        event_name="Simulated Highland Grand Prix",
        circuit=HIGHLAND,
        started_at=datetime(2099, 3, 29, 14, 0, tzinfo=UTC),
        laps=60,
        drivers=DRIVERS,
        neutralizations=(
            Neutralization("virtual_safety_car", lap=24, share=0.55, duration_s=130.0),
        ),
        penalties=(
            Penalty("sim_lumbray", 6, "time", 5, "FALSE START"),
            Penalty("sim_winterhal", 37, "stop_and_go", 10, "FAILING TO SLOW UNDER YELLOW FLAGS"),
        ),
        retirements=(Retirement("sim_yelverin", 24, "on_track"),),
        pit_lane_starts=frozenset({"sim_cassander"}),
        did_not_start=frozenset({"sim_nivenko"}),
    ),
    Scenario(
        session=SessionKey(2099, 3),
        event_name="Simulated Lakeside Grand Prix",
        circuit=LAKESIDE,
        started_at=datetime(2099, 4, 12, 13, 0, tzinfo=UTC),
        laps=53,
        drivers=DRIVERS,
        neutralizations=(
            Neutralization("red_flag", lap=21, share=0.45, duration_s=1500.0),
            Neutralization("virtual_safety_car", lap=44, share=0.20, duration_s=95.0),
        ),
        penalties=(
            Penalty("sim_haskeray", 6, "time", 5, "CAUSING A COLLISION"),
            Penalty("sim_zabriel", 33, "time", 10, "UNSAFE RELEASE"),
        ),
        retirements=(
            Retirement("sim_ishgrove", 1, "on_track"),
            Retirement("sim_sorrelby", 21, "on_track"),
            Retirement("sim_grisevald", 21, "on_track"),
            Retirement("sim_kastell", 29, "in_the_pits"),
            Retirement("sim_belmarsh", 51, "on_track"),
        ),
        wetness=((13, 0.0), (16, 0.45), (21, 0.95), (26, 0.85), (38, 0.2), (43, 0.0)),
        disqualified=frozenset({"sim_drovan"}),
    ),
)
"""The bundled sessions: a dry race, a sprint weekend, and a wet race with a red flag."""

SEED: Final = 2099
"""Seed of the bundled sessions."""
