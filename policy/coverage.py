"""What a pack says nothing about: resources of clouds whose type no rule reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set

from policy.resources import Stack

CLOUDS = frozenset(
    {
        "alicloud",
        "aws",
        "aws-native",
        "azure",
        "azure-native",
        "azuread",
        "cloudflare",
        "digitalocean",
        "exoscale",
        "gcp",
        "google-native",
        "hcloud",
        "ibm",
        "kubernetes",
        "linode",
        "oci",
        "openstack",
        "ovh",
        "scaleway",
        "vultr",
    }
)
"""Packages whose resources are machines, networks, data or permissions of a cloud."""
_LISTED = 20


def unjudged(stack: Stack, judged: Set[str]) -> str:
    """One line that counts the resources of clouds that no rule reads; empty where there are none.

    Args:
        stack: The stack, after every stack rule has looked at it.
        judged: Types that rules are about. What a stack rule looked up counts as read as well.
    """
    read = judged | stack.read
    of_rules = {each.urn for each in stack.resources if each.type in read}
    counts = Counter(
        each.declared
        for each in stack.resources
        if each.urn not in of_rules and each.declared.partition(":")[0] in CLOUDS
    )
    if not counts:
        return ""
    total = counts.total()
    listed = ", ".join(f"{token} ({count})" for token, count in sorted(counts.items())[:_LISTED])
    more = f" and {len(counts) - _LISTED} more types" if len(counts) > _LISTED else ""
    resources = "1 resource" if total == 1 else f"{total} resources"
    types = "1 type is" if len(counts) == 1 else f"{len(counts)} types are"
    return f"{resources} of {types} judged by no rule: {listed}{more}"
