"""Charts that come with the market, each for one way out of a position, with what a trader will see.

Percentages count from the price at the start: what was bought about there meets every level it is meant for. Key prices
are held for seconds, so that a desk that looks once a second sees each. Levels are passed by a little: fees are part of
a position's average price.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from apps.sandbox.domain.scripts import Point, Script
from apps.sandbox.domain.sources import Source


class Topic(StrEnum):
    """What a chart is about: a way out of a position, DCA, or whether a price is believed."""

    STOP_LOSS = "stop loss"
    TAKE_PROFIT = "take profit"
    DCA = "dca"
    STALE = "stale close"
    PRICE_TRUST = "price trust"


@dataclass(frozen=True, slots=True)
class ReadyMade:
    """One chart: its name on the wire, its title on the page, what it is about and what a trader will see."""

    name: str
    title: str
    about: Topic
    sentence: str
    script: Script
    #: Whether the price ends well above where it began (1), well below (-1), or about there (0).
    direction: int


def _chart(
    name: str,
    title: str,
    about: Topic,
    sentence: str,
    *moves: tuple[float, float],
    direction: int = 0,
    told: Mapping[int, tuple[Source, str]] | None = None,
) -> ReadyMade:
    """Return a chart from (seconds, percent) pairs; `told` says which point one source misreports, by what factor."""
    points = []
    for index, (seconds, percent) in enumerate(moves):
        lie = (told or {}).get(index)
        points.append(
            Point(
                at_ms=round(seconds * 1000),
                percent=Decimal(str(percent)),
                told={} if lie is None else {lie[0]: Decimal(lie[1])},
            )
        )
    return ReadyMade(name, title, about, sentence, Script(name, tuple(points)), direction)


_CHARTS = (
    _chart(
        "trailing_fixed",
        "Trailing stop, fixed",
        Topic.STOP_LOSS,
        "Climbs to +60 % and falls back to +30 %. A fixed stop follows ten points under the peak: it stands at +50"
        " % when the fall begins, and sells there.",
        (0, 0), (2, 12), (4, 25), (6, 40), (8, 52), (10, 60), (13, 54), (15, 47), (17, 38), (19, 30), (22, 30),
        direction=1,
    ),
    _chart(
        "trailing_exponential",
        "Trailing stop, exponential",
        Topic.STOP_LOSS,
        "Climbs to +50 %, dips to +38 %, climbs to +100 % and falls. An exponential stop leaves a young gain its"
        " room (+31 % at the first peak, so the dip sells nothing) and closes in on a large one: +90 % at the"
        " second.",
        (0, 0), (2, 16), (4, 32), (6, 50), (9, 38), (12, 60),
        (14, 82), (16, 101), (19, 94), (21, 84), (23, 70), (26, 70),
        direction=1,
    ),
    _chart(
        "trailing_zones",
        "Trailing stop, zones",
        Topic.STOP_LOSS,
        "Climbs to +50 %, dips to +36 %, climbs to +120 %, dips to +104 % and falls. A stop in zones keeps 60 % of"
        " the first gain and 80 % of the second (+96 %): both dips are sat out, the fall is sold.",
        (0, 0), (2, 18), (4, 36), (6, 50), (9, 36), (12, 60),
        (14, 90), (16, 121), (19, 104), (22, 92), (24, 75), (27, 75),
        direction=1,
    ),
    _chart(
        "trailing_custom",
        "Trailing stop, own levels",
        Topic.STOP_LOSS,
        "Climbs to +55 %, dips to +26 %, climbs to +105 %, dips to +66 % and falls to +30 %. With levels such as 50"
        " → 20 and 100 → 60 the stop moves in steps: both dips are sat out, the fall is sold at +60 %.",
        (0, 0), (2, 18), (4, 38), (6, 55), (9, 26), (12, 55),
        (14, 82), (16, 106), (19, 66), (22, 52), (24, 30), (27, 30),
        direction=1,
    ),
    _chart(
        "take_profit_ladder",
        "Take-profit ladder",
        Topic.TAKE_PROFIT,
        "1 → 1.5 → 2.5 → 4 → 5, a little above each. Moderate levels sell a quarter at +50, +150 and +300 % and the"
        " rest at +400 %, all but the moon bag; aggressive ones are through at +150 %.",
        (0, 0), (2, 25), (4, 52), (8, 95), (10, 153), (14, 220), (16, 304), (20, 350), (22, 406), (27, 406),
        direction=1,
    ),
    _chart(
        "take_profit_jump",
        "Jump past every level",
        Topic.TAKE_PROFIT,
        "1 → 5 at once. The jump is wild, so a second source is heard first; then one sale takes every level it"
        " passed and leaves the moon bag.",
        (0, 0), (3, 406), (9, 406), (12, 398),
        direction=1,
    ),
    _chart(
        "moon_bag_crash",
        "Moon bag, then a crash",
        Topic.TAKE_PROFIT,
        "Climbs past +300 %, where take profit sells and sets the moon bag aside, then falls to +60 %. The bag is"
        " not sold by take profit any more; the stop sells it.",
        (0, 0), (2, 35), (4, 80), (6, 155), (9, 240), (11, 320), (16, 250), (18, 160), (20, 60), (23, 60),
        direction=1,
    ),
    _chart(
        "dca_recovery",
        "DCA twice, then recovery",
        Topic.DCA,
        "Falls 21 %, waits longer than the cool-down, falls more than 20 % under the new average and recovers to"
        " +12 %. Moderate DCA buys at both lows, so that the position is well in profit before the price is back.",
        (0, 0), (2, -10), (4, -21), (40, -29.5), (46, -22), (49, -12), (52, 0), (55, 12), (59, 12),
    ),
    _chart(
        "dca_then_stop",
        "DCA, then the stop",
        Topic.DCA,
        "Falls 21 %, where DCA buys and the stop starts anew under the lower average, and falls on to -62 %: what"
        " was bought more than once is sold at a loss.",
        (0, 0), (2, -10), (4, -21), (16, -30), (19, -40), (21, -50), (23, -62), (27, -62),
        direction=-1,
    ),
    _chart(
        "stale_drift",
        "Stale drift",
        Topic.STALE,
        "Drifts around +5 % for two minutes. A position that is older than its hold time, with a profit inside the"
        " stale range, is closed: it goes nowhere.",
        (0, 0), (2, 3), (4, 5), *((14 + 10 * turn, 5.6 if turn % 2 else 4.6) for turn in range(11)),
    ),
    _chart(
        "gap_through_stop",
        "Gap through the stop",
        Topic.STOP_LOSS,
        "Falls 56 % between two looks. The stop cannot sell at its level: it sells at what is there, once a second"
        " source or the sell quote has confirmed the fall.",
        (0, 0), (4, -56), (12, -56),
        direction=-1,
    ),
    _chart(
        "bad_tick",
        "Bad ticks",
        Topic.PRICE_TRUST,
        "The price stands still, but first Jupiter's price service, then DexScreener tells a tenth of it, and then"
        " Jupiter ten times it. The other source and the sell quote disagree: nothing is sold, no peak rises.",
        (0, 0), (3, 0), (6, 0), (9, 0), (12, 0), (15, 0), (18, 0),
        told={
            1: (Source.JUPITER_PRICE, "0.1"),
            3: (Source.DEXSCREENER, "0.1"),
            5: (Source.JUPITER_PRICE, "10"),
        },
    ),
    _chart(
        "flash_crash",
        "Flash crash",
        Topic.STOP_LOSS,
        "Falls 42 % and is back within seconds. A stop that fired stays fired: the tokens are sold although the"
        " price has recovered by then.",
        (0, 0), (3, -18), (4.5, -42), (7, -20), (9, -6), (11, 1), (14, 1),
    ),
)  # fmt: skip

READY_MADE: Mapping[str, ReadyMade] = {chart.name: chart for chart in _CHARTS}
