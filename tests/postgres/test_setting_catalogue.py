"""The catalogue says what the servers say."""

from __future__ import annotations

from postgres.extensions import CONTRIB_LIBRARIES
from postgres.setting_catalogue import CATALOGUE, setting_rule
from postgres.versions import SUPPORTED_MAJORS

# Depends on how a server was built: the wheels of 15 lack zstd.
BUILD_DEPENDENT = {"wal_compression"}


def test_agrees_with_pg_settings(cluster):
    with cluster.connect() as session:
        rows = session.execute(
            "SELECT name, context, vartype, unit, min_val::float8, max_val::float8, enumvals FROM pg_settings"
        ).fetchall()
    real = {row[0].lower(): row[1:] for row in rows}
    problems = []
    for name in CATALOGUE:
        rule = setting_rule(name, cluster.major)
        if rule is None:
            if name in real:
                problems.append(f"{name} exists but is not offered")
            continue
        if rule.library not in (None, *CONTRIB_LIBRARIES):
            continue
        context, kind, unit, minimum, maximum, values = real[name]
        ours = (rule.context, rule.kind, rule.unit, rule.minimum, rule.maximum)
        if ours != (context, kind, unit, minimum, maximum):
            problems.append(f"{name}: {ours} is {(context, kind, unit, minimum, maximum)}")
        if name not in BUILD_DEPENDENT and set(rule.values) != set(values or ()):
            problems.append(f"{name}: {rule.values} is {values}")
    assert problems == []


def test_each_setting_has_one_form_per_major():
    for name, rules in CATALOGUE.items():
        for major in SUPPORTED_MAJORS:
            assert sum(rule.serves(major) for rule in rules) <= 1, name
