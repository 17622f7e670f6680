"""The ledger: what every test of the suite is expected to do, and why.

One row per unit, test name and expectation, tab-separated:

    unit  test  count  expected  reason

`expected` is pass, fail (with what it waits for) or excused (can never apply;
the reason names what stands in). Test names repeat inside units, so `count`
says how many runs of that name are meant. `~N` means any number of them, about
N: for the units whose loops are random; `#` in such a name stands for digits. A `fail`
row named `(between tests)` is no test: it says what errors outside of tests
wait for, in a unit whose tests all pass.
"""

import collections
import fnmatch
import pathlib
import re

PATH = pathlib.Path(__file__).resolve().parent.parent / "ledger.tsv"
EXPECTATIONS = ("pass", "fail", "excused")
# These draw their steps at random: names carry random numbers, counts vary.
RANDOM_UNITS = ("integration/psync2", "integration/psync2-reg")


class LedgerError(Exception):
    """A ledger that cannot be used; the text names the line."""


def plain(unit, test):
    """The name under which the ledger keeps a test."""
    return re.sub(r"\d+", "#", test) if unit in RANDOM_UNITS else test


class Entry:
    """Expectations of one test name: runs per expectation, and the reasons."""

    def __init__(self):
        self.counts = collections.Counter()
        self.reasons = {}
        self.any_number = False

    def total(self):
        """How many tests this stands for."""
        return sum(self.counts.values())

    def move(self, count, source, goal, reason=""):
        """Moves that many runs from one expectation to another."""
        self.counts[source] -= count
        self.counts[goal] += count
        if goal != "pass":
            self.reasons[goal] = reason


class Ledger:
    """The ledger file in memory: units, then tests, in the file's order."""

    def __init__(self, path=PATH):
        self.path = path
        self.head = []
        self.units = {}
        for number, line in enumerate(path.read_text(errors="surrogateescape").splitlines(), 1):
            if line.startswith("#"):
                self.head.append(line)
                continue
            fields = line.split("\t")
            if len(fields) != 5 or fields[3] not in EXPECTATIONS:
                raise LedgerError(f"{path}:{number}: not unit, test, count, expected, reason")
            unit, test, count, expected, reason = fields
            entry = self.units.setdefault(unit, {}).setdefault(test, Entry())
            if expected in entry.counts:
                raise LedgerError(f"{path}:{number}: a second {expected} row of this test")
            if expected != "pass" and not reason.strip():
                raise LedgerError(f"{path}:{number}: '{expected}' without a reason: what does it wait for?")
            if not re.fullmatch("~?[1-9][0-9]*", count):
                raise LedgerError(f"{path}:{number}: count is a positive number, or ~ and one")
            entry.any_number = count.startswith("~")
            entry.counts[expected] = int(count.lstrip("~"))
            entry.reasons[expected] = reason

    def save(self):
        """Writes the ledger back, rows in their order."""
        lines = list(self.head)
        for unit, tests in self.units.items():
            for test, entry in tests.items():
                for expected in EXPECTATIONS:
                    if entry.counts[expected] > 0:
                        count = f"{'~' * entry.any_number}{entry.counts[expected]}"
                        lines.append(f"{unit}\t{test}\t{count}\t{expected}\t{entry.reasons.get(expected, '')}")
        new = self.path.with_suffix(".new")
        new.write_text("\n".join(lines) + "\n", errors="surrogateescape")
        new.rename(self.path)

    def entry(self, unit, test):
        """The entry of a test; an empty one is made for a new test."""
        return self.units.setdefault(unit, {}).setdefault(plain(unit, test), Entry())

    def expected(self, unit, expectation):
        """How many tests of a unit have that expectation."""
        return sum(entry.counts[expectation] for entry in self.units.get(unit, {}).values())

    def total(self, expectation=None):
        """How many tests there are in all, or with that expectation."""
        if expectation is None:
            return sum(entry.total() for tests in self.units.values() for entry in tests.values())
        return sum(self.expected(unit, expectation) for unit in self.units)

    def matching(self, unit_glob, test_glob):
        """(unit, test, entry) of the rows that both patterns match."""
        for unit, tests in self.units.items():
            for test, entry in tests.items():
                unit_fits = unit == unit_glob or fnmatch.fnmatchcase(unit, unit_glob)
                if unit_fits and (test == test_glob or fnmatch.fnmatchcase(test, test_glob)):
                    yield unit, test, entry


class Verdict:
    """A unit's result held against the ledger."""

    def __init__(self, ledger, result, skips_allowed):
        unit = result.unit
        passed, failed, not_run = (collections.Counter() for _ in range(3))
        for source, goal in ((result.passed, passed), (result.not_run, not_run)):
            for test, count in source.items():
                goal[plain(unit, test)] += count
        self.details = collections.defaultdict(list)
        for test, details in result.failed.items():
            failed[plain(unit, test)] += len(details)
            self.details[plain(unit, test)] += details
        self.unit = unit
        self.passed = sum(passed.values())
        self.regressions = collections.Counter()  # expected pass, did not
        self.upward = collections.Counter()  # expected fail, passed
        self.new_passed = collections.Counter()  # not in the ledger
        self.new_failed = collections.Counter()
        self.known_failing = 0
        rows = ledger.units.get(unit, {})
        for test, entry in rows.items():
            want = entry.counts["pass"]
            if entry.any_number:
                if want and failed[test]:
                    self.regressions[test] = failed[test]
                elif not want and passed[test] and not failed[test]:
                    self.upward[test] = entry.counts["fail"]
                continue
            missing = want - passed[test]
            if skips_allowed:
                missing -= not_run[test]
            if missing > 0:
                self.regressions[test] = missing
            spare = passed[test] - want
            if spare > 0 and entry.counts["fail"]:
                self.upward[test] = min(spare, entry.counts["fail"])
            self.known_failing += entry.counts["fail"] - self.upward[test]
            self._note_new(test, passed[test] + failed[test] - entry.total(), spare)
        for test in (passed | failed).keys() - rows.keys():
            self.new_passed[test] = passed[test]
            self.new_failed[test] = failed[test]
        for counter in (self.upward, self.new_passed, self.new_failed):
            for test in [name for name, count in counter.items() if count <= 0]:
                del counter[test]
        # A unit of which everything is expected to pass has to run cleanly too.
        self.unclean = []
        if not any(entry.counts["fail"] for entry in rows.values()):
            self.unclean = list(result.between)
            if result.status != "ok":
                self.unclean.append((f"the unit ended as '{result.status}'", "\n".join(result.notes)))

    def _note_new(self, test, extra, spare):
        """More runs of a name than the ledger knows: new, passed or failed."""
        if extra > 0:
            self.new_passed[test] = min(extra, max(spare - self.upward[test], 0))
            self.new_failed[test] = extra - self.new_passed[test]

    def failures(self):
        """How many failures this counts for."""
        return sum(self.regressions.values()) + sum(self.new_failed.values()) + len(self.unclean)

    def merge_retry(self, second):
        """Keeps the failures that a second run confirms; returns the others."""
        lost = (self.regressions + self.new_failed) - (second.regressions + second.new_failed)
        self.regressions &= second.regressions
        self.new_failed &= second.new_failed
        if not second.unclean:
            self.unclean = []
        self.details = second.details
        self.passed += sum(lost.values())
        return lost


def waits_for(unit):
    """The first reason for a failing test of a unit: the feature of waits.tsv."""
    for line in (PATH.parent / "waits.tsv").read_text().splitlines():
        pattern, _, feature = line.partition("\t")
        if feature and not line.startswith("#") and fnmatch.fnmatchcase(unit, pattern):
            return f"waits for: {feature}"
    raise LedgerError(f"waits.tsv has no feature for {unit}")
