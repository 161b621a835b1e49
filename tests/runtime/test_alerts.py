"""The alert rules speak of metrics the desk really has, with labels those really have."""

from __future__ import annotations

import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.declared_metrics import declared
from tests.wallets.signer.doors import open_door

RULES = Path(__file__).resolve().parents[2] / "docs" / "alerts.yml"
#: What Prometheus itself makes, and the words of its language.
FOREIGN = {"up", "job", "and", "by", "on", "or", "sum", "rate", "increase", "time"}


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load(RULES.read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def known() -> dict[str, set[str]]:
    """Return the labels of every name a scrape may have."""
    from apps.console import scrape

    names = {f"{name}_total": set(metric._labelnames) for name, metric in declared().items()}
    names |= {name: set(metric._labelnames) for name, metric in declared().items()}
    for family in scrape.figures():
        for name in {family.name, *(sample.name for sample in family.samples)}:
            names[name] = {label for sample in family.samples for label in sample.labels}
    return names


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("rule", rules(), ids=[rule["alert"] for rule in rules()])
def test_a_rule_speaks_of_metrics_and_labels_that_exist(rule: dict[str, Any], settings: Any) -> None:
    from apps.core import heartbeats

    heartbeats.write("worker-trading")
    with open_door() if "signer_" in rule["expr"] else nullcontext() as settings.SIGNER_SOCKET:
        names = known()
    words = set(re.findall(r"[a-z_]{2,}", re.sub(r'"[^"]*"|\[[^\]]*\]', "", rule["expr"])))
    labels = {label for name in words & set(names) for label in names[name]}
    assert words & (set(names) | {"up"}), rule["expr"]
    assert words - set(names) - labels - FOREIGN == set()
    assert rule["annotations"]["summary"]
