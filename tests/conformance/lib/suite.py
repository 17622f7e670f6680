"""Runs units of the Redis 7.0.15 Tcl suite against one server binary.

The suite tree is copied once per port range and kept; only the server binary
is replaced at each run. The hooks (hooks.tcl) write one record per event,
which is what results are made of.
"""

import collections
import contextlib
import fcntl
import hashlib
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
if not TARGET.is_absolute():
    TARGET = REPOSITORY / TARGET

# Each run takes its own range of ports: servers at PORT.., their cluster bus
# at PORT + 10000.., the harness's own socket in the 32 ports below.
PORTS_FIRST, PORTS_STEP, PORTS_USED, RANGES = 21111, 1000, 900, 8
TOOLS = ("redis-cli", "redis-benchmark", "redis-check-aof", "redis-check-rdb", "redis-sentinel")
NUDGES_MAX = 8
CLASHES_MAX = 5


class SuiteError(Exception):
    """The suite cannot be run at all; the text says why."""


def default_binary():
    """The server under test: $REDSTART_BIN, else the release build."""
    return pathlib.Path(os.environ.get("REDSTART_BIN") or TARGET / "release" / "redstart")


class Result:
    """What one run of a unit gave."""

    def __init__(self, unit):
        self.unit = unit
        self.passed = collections.Counter()
        self.failed = collections.defaultdict(list)  # test name -> details
        self.not_run = collections.Counter()  # skipped by tags or name
        self.between = []  # (where, detail) of errors outside of tests
        self.notes = []
        self.status = "ok"
        self.seconds = 0.0

    def read(self, path):
        """Takes the records of a results file in."""
        open_tests = collections.Counter()
        finished = False
        for line in path.read_text(errors="surrogateescape").split("\n"):
            if not line:
                continue
            status, name, _, detail = (line.split("\t") + ["", "", ""])[:4]
            detail = detail.replace("\\n", "\n")
            if status == "testing":
                open_tests[name] += 1
            elif status == "ok":
                open_tests[name] -= 1
                self.passed[name] += 1
            elif status == "err" and name.startswith(("(between tests", "(harness)")):
                self.between.append((name, detail))
            elif status == "err":
                open_tests[name] -= 1
                self.failed[name].append(detail)
            elif status == "skip":
                self.not_run[name] += 1
            elif status == "ignore":  # "<test>: <reason>"
                self.not_run[name.rsplit(": ", 1)[0]] += 1
            elif status == "exception":
                self.between.append(("(exception)", name))
            elif status == "note":
                self.notes.append(name)
            elif status == "done":
                finished = True
        for name, count in open_tests.items():
            self.failed[name] += ["started, never finished (hang, or the harness ended)"] * max(count, 0)
            if not self.failed[name]:
                del self.failed[name]
        if self.status == "ok" and not finished:
            self.status = "aborted"


class Suite:
    """A prepared copy of the suite with a port range of its own."""

    def __init__(self, binary):
        self.binary = pathlib.Path(binary).resolve()
        if not os.access(self.binary, os.X_OK) or self.binary.is_dir():
            raise SuiteError(f"no server binary {self.binary} (cargo build --release makes it)")
        self.tclsh = shutil.which("tclsh8.6") or shutil.which("tclsh")
        if not self.tclsh:
            raise SuiteError("no tclsh; tests/run install gets it")
        self.unit_timeout_s = float(os.environ.get("UNIT_TIMEOUT", 600))
        self.test_timeout_s = float(os.environ.get("TEST_TIMEOUT", 60))
        self.runtest_args = shlex.split(os.environ.get("RUNTEST_ARGS", ""))
        self.port = self._take_ports()
        self.home = TARGET / "conformance" / str(self.port)
        self.tree = self.home / "tree"
        self.out = self.home / "out"
        self._prepare_tree()
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir(parents=True)

    def _take_ports(self):
        """Locks a port range for the life of this process."""
        locks = pathlib.Path(tempfile.gettempdir()) / f"redstart-conformance.{os.getuid()}"
        locks.mkdir(exist_ok=True)
        if "BASEPORT" in os.environ:
            ports = [int(os.environ["BASEPORT"])]
        else:
            ports = [PORTS_FIRST + PORTS_STEP * i for i in range(RANGES)]
        for port in ports:
            self.lock = open(locks / str(port), "a")
            try:
                fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return port
            except BlockingIOError:
                self.lock.close()
        raise SuiteError(f"every port range is taken by another run: {ports}")

    def _prepare_tree(self):
        hooks = HERE / "hooks.tcl"
        fetched = subprocess.run([HERE.parent / "get-suite"], check=True, stdout=subprocess.PIPE, text=True)
        source = pathlib.Path(fetched.stdout.strip())
        stamp_text = f"{source} {hashlib.sha256(hooks.read_bytes()).hexdigest()}\n"
        stamp = self.home / "stamp"
        if not stamp.exists() or stamp.read_text() != stamp_text:
            shutil.rmtree(self.home, ignore_errors=True)
            (self.tree / "src").mkdir(parents=True)
            for part in ("tests", "utils"):
                shutil.copytree(source / part, self.tree / part, symlinks=True)
            shutil.copy2(source / "redis.conf", self.tree)
            helper = self.tree / "tests" / "test_helper.tcl"
            text = helper.read_text(errors="surrogateescape")
            entry = "\nif {$::client} {"
            if text.count(entry) != 1:
                raise SuiteError(f"cannot place the hooks in {helper}")
            text = text.replace(entry, "\nsource tests/support/hooks.tcl" + entry)
            helper.write_text(text, errors="surrogateescape")
            shutil.copy2(hooks, self.tree / "tests" / "support" / "hooks.tcl")
            for tool in TOOLS:
                found = shutil.which(tool)
                if not found:
                    raise SuiteError(f"no {tool}; tests/run install gets it")
                shutil.copy(found, self.tree / "src" / tool)
            stamp.write_text(stamp_text)
        # A copy, so that a build during the run cannot change what is tested;
        # by rename, as a server of an earlier run may still execute the old one.
        new = self.tree / "src" / "redis-server.new"
        shutil.copy(self.binary, new)
        new.rename(self.tree / "src" / "redis-server")

    def units(self):
        """The units of the suite, in its own order."""
        listed = subprocess.run(
            [self.tclsh, "tests/test_helper.tcl", "--list-tests"],
            cwd=self.tree, check=True, stdout=subprocess.PIPE, text=True,
        )
        return [unit for unit in listed.stdout.split() if "moduleapi" not in unit]

    def has_unit(self, unit):
        """Whether the suite has a file for the unit, listed or not."""
        return (self.tree / "tests" / f"{unit}.tcl").exists()

    def log_of(self, unit):
        """Where the harness's output of a unit is kept."""
        return self.out / (unit.replace("/", "_") + ".log")

    def run(self, unit):
        """Runs one unit to its end, its limits or its death."""
        for _ in range(CLASHES_MAX):
            result = self._run_once(unit)
            log = self.log_of(unit).read_text(errors="surrogateescape")
            if result.passed or result.failed or "address already in use" not in log:
                break
            time.sleep(1)  # somebody took the harness's own port: again
        return result

    def _run_once(self, unit):
        result = Result(unit)
        records = self.log_of(unit).with_suffix(".tsv")
        records.write_text("")
        scratch = self.tree / "tests" / "tmp"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        command = [
            self.tclsh, "tests/test_helper.tcl", "--single", unit, "--clients", "1",
            "--durable", "--dont-clean", "--timeout", str(int(self.unit_timeout_s) + 60),
            "--baseport", str(self.port), "--portcount", str(PORTS_USED), *self.runtest_args,
        ]  # fmt: skip
        environment = {**os.environ, "HK_RESULTS": str(records), "TERM": "dumb"}
        started = time.monotonic()
        with open(self.log_of(unit), "wb") as log:
            child = subprocess.Popen(
                command, cwd=self.tree, env=environment, stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        try:
            result.status = self._watch(child, records, started, result)
        finally:
            # The child is not reaped yet, so its group cannot be another's.
            for number in (signal.SIGTERM, signal.SIGKILL):
                os.killpg(child.pid, number)
                time.sleep(0.05)
            child.wait()
            kill_all(self._servers(records))
        result.seconds = time.monotonic() - started
        result.read(records)
        if result.failed or result.between or result.status != "ok":
            self._keep_server_logs(unit)
        return result

    def _watch(self, child, records, started, result):
        """Waits for the harness; hung tests lose their servers and so end."""
        nudges, seen_size, progress = 0, 0, started
        while not exited(child):
            time.sleep(0.05)
            now, size = time.monotonic(), records.stat().st_size
            if size != seen_size:
                seen_size, progress = size, now
            if now - started > self.unit_timeout_s:
                return "unit-timeout"
            if now - progress > self.test_timeout_s:
                nudges, progress = nudges + 1, now
                victims = self._servers(records)
                result.notes.append(f"no progress for {self.test_timeout_s:.0f} s: {len(victims)} servers killed")
                if nudges > NUDGES_MAX or (not victims and nudges > 1):
                    return "hung"
                kill_all(victims)
        return "ok"

    def _servers(self, records):
        """Live servers that this run started: by record, path and directory."""
        pids = set()
        for line in records.read_text(errors="surrogateescape").split("\n"):
            status, _, rest = line.partition("\t")
            pid = rest.split("\t")[0]
            if status == "server-spawned":
                pids.add(int(pid))
            elif status == "server-killed":
                pids.discard(int(pid))
        alive = []
        for pid in pids:
            try:
                if os.readlink(f"/proc/{pid}/cwd").startswith(str(self.tree)):
                    alive.append(pid)
            except OSError:
                pass  # gone, or another user's
        return alive

    def _keep_server_logs(self, unit):
        """Keeps what the servers of a unit with failures printed."""
        kept = self.log_of(unit).with_suffix(".servers")
        for path in sorted((self.tree / "tests" / "tmp").rglob("*")):
            if not path.is_file() or path.stat().st_size > 2_000_000:
                continue
            if path.name in ("stdout", "stderr") or path.name.startswith("redis.conf"):
                goal = kept / path.relative_to(self.tree / "tests" / "tmp")
                goal.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, goal)


def kill_all(pids):
    """Kills processes, some of which may be gone by now."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def exited(child):
    """Whether the process has ended; leaves it unreaped."""
    flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return os.waitid(os.P_PID, child.pid, flags) is not None
