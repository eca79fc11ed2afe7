"""The npm packages: exact versions, and a lock file that holds for every registry."""

import json
import re

from web import npm

PACKAGE = json.loads((npm.HERE / "package.json").read_text(encoding="utf-8"))
LOCK = json.loads((npm.HERE / "package-lock.json").read_text(encoding="utf-8"))
ASKED = PACKAGE["dependencies"] | PACKAGE["devDependencies"]


def test_every_version_is_exact():
    assert [v for v in ASKED.values() if not re.fullmatch(r"\d+\.\d+\.\d+", v)] == []


def test_the_lock_holds_these_versions():
    assert {n: LOCK["packages"][f"node_modules/{n}"]["version"] for n in ASKED} == ASKED


def test_the_lock_names_no_registry_and_has_a_checksum_for_every_package():
    packages = {name: entry for name, entry in LOCK["packages"].items() if name}
    assert [name for name, entry in packages.items() if "resolved" in entry] == []
    assert [name for name, entry in packages.items() if "integrity" not in entry] == []


def test_the_packages_run_on_the_node_that_is_asked_for():
    oldest = int(re.search(r"\d+", PACKAGE["engines"]["node"])[0])
    engines = [entry.get("engines", {}).get("node", ">=0") for entry in LOCK["packages"].values()]
    assert [e for e in engines if int(re.search(r"\d+", e)[0]) > oldest] == []
