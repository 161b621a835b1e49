"""Adapters for config_validation and config_merge."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from apps.agents.domain import trading_config
from apps.agents.domain.validation import ConfigIssue


def config_validation(given: dict[str, Any]) -> dict[str, Any]:
    return _verdict(trading_config.validate(given["config"]))


def config_merge(given: dict[str, Any]) -> dict[str, Any]:
    document = trading_config.effective(given["stored"])
    if "patch" in given:
        patched = trading_config.apply_patch(given["stored"], given["patch"])
        document = trading_config.default_document() if patched is None else patched
    return {"config": trading_config.shown(document), **_verdict(trading_config.validate(document))}


def sorted_issues(expected: dict[str, Any]) -> dict[str, Any]:
    """Return the expectation with its issues in one order, whatever order the file has them in."""
    if "issues" not in expected:
        return expected
    return {**expected, "issues": sorted(expected["issues"], key=lambda issue: (issue["path"], issue["kind"]))}


def _verdict(issues: Iterable[ConfigIssue]) -> dict[str, Any]:
    found = [{"path": issue.path, "kind": issue.kind} for issue in issues]
    return sorted_issues({"valid": not found, "issues": found})
