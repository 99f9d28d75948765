"""A role says the same in its defaults, its argument specification and its README."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from aansluitkit.ebms.scenarios import Scenario
from aansluitkit.ebms.settings import StandInSettings

ROLES = sorted((Path(__file__).parents[2] / "roles").iterdir())


def specifications(role: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]
    return found


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_role_is_documented(role: Path) -> None:
    readme = (role / "README.md").read_text()
    names = [name for entry in specifications(role).values() for name in entry["options"]]
    assert [name for name in names if f"| `{name}` |" not in readme] == []
    assert all(name.startswith(f"{role.name}_") for name in names)


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_defaults_are_specified(role: Path) -> None:
    defaults = yaml.safe_load((role / "defaults/main.yml").read_text())
    options = {name: option for entry in specifications(role).values() for name, option in entry["options"].items()}
    assert set(defaults) <= set(options)
    templated = [name for name, value in defaults.items() if isinstance(value, str) and "{{" in value]
    specified = {name: option["default"] for name, option in options.items() if "default" in option}
    assert specified == {name: value for name, value in defaults.items() if name not in templated}


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_role_has_a_scenario(role: Path) -> None:
    scenario = role / "molecule/default"
    assert (scenario / "molecule.yml").is_file()
    assert (scenario / "converge.yml").is_file()
    assert list((scenario / "tests").glob("test_*.py"))


def test_units_that_need_an_address_wait_alike() -> None:
    """Role database has a text of its own: a server that its guard refuses must stay down."""
    texts = {
        role.name: (role / "templates/online.conf.j2") for role in ROLES if (role / "templates/online.conf.j2").exists()
    }
    assert {"dns", "firewall", "hardening", "keepalived", "monitoring", "database"} == set(texts)
    assert len({path.read_text() for name, path in texts.items() if name != "database"}) == 1
    assert all("After=network-online.target" in path.read_text() for path in texts.values())


def test_every_alert_is_tried_and_says_what_to_do_in_both_languages() -> None:
    [role] = [role for role in ROLES if role.name == "monitoring"]
    groups = yaml.safe_load((role / "files/alerts.yml").read_text())["groups"]
    rules = {rule["alert"]: rule for group in groups for rule in group["rules"]}
    for rule in rules.values():
        assert set(rule["annotations"]) == {"samenvatting", "actie", "summary", "action"}
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    tried = (role / "molecule/default/tests/alerts_test.yml").read_text()
    assert [name for name in rules if f'alertname="{name}"' not in tried] == []


def test_adapter_knows_every_scenario_of_a_stand_in() -> None:
    options = specifications(next(role for role in ROLES if role.name == "ebms_adapter"))["main"]["options"]
    given = options["ebms_adapter_stand_in"]["options"]
    assert set(given) == set(StandInSettings.model_fields)
    assert given["scenario"]["choices"] == [scenario.value for scenario in Scenario]
