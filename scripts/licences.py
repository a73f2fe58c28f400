#!/usr/bin/env python3
"""Checks that every crate in the binary has a licence that deny.toml allows, from what Cargo knows and nothing else.

`make lint` has cargo-deny read the licence files as well; this takes a second, and is part of what every change must pass.
"""

import json
import re
import subprocess
import sys
import tomllib


def allowed(expression, licences):
    """Whether an SPDX expression of AND, OR and brackets can be met."""
    words = re.findall(r"[()]|[^\s()/]+|/", expression)
    at = 0

    def either():
        nonlocal at
        met = both()
        while at < len(words) and words[at] in ("OR", "/"):
            at += 1
            met = both() or met
        return met

    def both():
        nonlocal at
        met = one()
        while at < len(words) and words[at] == "AND":
            at += 1
            met = one() and met
        return met

    def one():
        nonlocal at
        word = words[at]
        at += 1
        if word == "(":
            met = either()
            at += 1
            return met
        # An exception only permits more.
        if at + 1 < len(words) and words[at] == "WITH":
            at += 2
        return word in licences

    return either()


def main():
    with open("deny.toml", "rb") as file:
        rules = tomllib.load(file)
    licences = set(rules["licenses"]["allow"])
    wrong = set()
    for target in rules["graph"]["targets"]:
        command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target]
        known = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        packages = {package["id"]: package for package in known["packages"]}
        for node in known["resolve"]["nodes"]:
            package = packages[node["id"]]
            if not allowed(package["license"] or "none", licences):
                wrong.add(f"{package['name']} {package['version']}: {package['license']}")
    for line in sorted(wrong):
        print(line, file=sys.stderr)
    if wrong:
        sys.exit("error: these licences are not in deny.toml; hint: choose another crate, or add the licence there on purpose")


if __name__ == "__main__":
    main()
