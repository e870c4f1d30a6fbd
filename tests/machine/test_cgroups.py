"""Limits of control groups, on file systems as each system lays them out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from nas.machine import allowance, cgroups

GIB = 2**30
TOP = 2**63 - 4096
"""What version 1 writes where there is no limit."""

V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
V1 = (
    "30 23 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "31 23 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "32 23 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw"
)


def machine(root: Path, mounts: str, ours: str, groups: Mapping[str, Mapping[str, object]]) -> Path:
    """A file system with these mounts, with this process in the groups `ours`, and with files by folder."""
    files: dict[str, object] = {"proc/self/mountinfo": f"1 0 8:1 / / rw - ext4 /dev/sda1 rw\n{mounts}"}
    files["proc/self/cgroup"] = ours
    files |= {
        f"sys/fs/cgroup/{group}/{name}": text for group in groups for name, text in groups[group].items()
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{text}\n")
    return root


def v2(limit: object = "max", high: object = "max", used: int = 0, cache: int = 0) -> dict[str, object]:
    stat = f"anon 5\nfile 7\nactive_file 3\ninactive_file {cache}"
    return {"memory.max": limit, "memory.high": high, "memory.current": used, "memory.stat": stat}


def v1(limit: int = TOP, used: int = 0, cache: int = 0) -> dict[str, object]:
    stat = f"inactive_file 1\ntotal_inactive_file {cache}"
    return {"memory.limit_in_bytes": limit, "memory.usage_in_bytes": used, "memory.stat": stat}


SCOPE = "user.slice/user-1000.slice/user@1000.service/app.slice/run-u7.scope"
SLURM = "system.slice/slurmstepd.scope/job_7"


@pytest.mark.parametrize(
    ("mounts", "ours", "groups", "left"),
    [
        pytest.param(V2, "0::/", {}, None, id="no group at all"),
        pytest.param(
            V2, "0::/", {".": v2(8 * GIB, used=3 * GIB, cache=GIB)}, 6 * GIB, id="docker, version 2"
        ),
        pytest.param(V2, f"0::/{SCOPE}", {SCOPE: v2(4 * GIB, used=GIB)}, 3 * GIB, id="a scope of systemd"),
        pytest.param(
            V2, "0::/a/b", {"a/b": v2(), "a": v2(high=2 * GIB)}, 2 * GIB, id="high, of a slice above"
        ),
        pytest.param(
            V2, "0::/a/b", {"a/b": v2(4 * GIB), "a": v2(9 * GIB, used=7 * GIB)}, 2 * GIB, id="neighbours"
        ),
        pytest.param(V2, "0::/a", {"a": v2(GIB, used=2 * GIB)}, 0, id="more than all"),
        pytest.param(
            V2,
            f"0::/{SLURM}/step_0/user/task_0",
            {f"{SLURM}/step_0/user/task_0": v2(), SLURM: v2(16 * GIB)},
            16 * GIB,
            id="SLURM, version 2",
        ),
        pytest.param(
            V1,
            "9:cpu,cpuacct:/x\n4:memory:/slurm/uid_7/job_7/step_0\n0::/",
            {"memory/slurm/uid_7/job_7/step_0": v1(), "memory/slurm/uid_7/job_7": v1(5 * GIB, GIB, GIB)},
            5 * GIB,
            id="SLURM, version 1",
        ),
        pytest.param(V1, "4:memory:/\n0::/", {"memory": v1()}, None, id="version 1 without a limit"),
        pytest.param(
            V1.replace("0:26 / ", "0:26 /docker/abc "),
            "4:memory:/docker/abc\n0::/",
            {"memory": v1(2 * GIB)},
            2 * GIB,
            id="docker, version 1",
        ),
        pytest.param(
            V2.replace("0:26 / ", "0:26 /../.. "),
            "0::/",
            {".": v2(GIB)},
            GIB,
            id="a mount of another namespace",
        ),
    ],
)
def test_the_least_that_any_group_above_leaves_counts(
    tmp_path: Path, mounts: str, ours: str, groups: Mapping[str, Mapping[str, object]], left: int | None
) -> None:
    assert cgroups.memory_left(machine(tmp_path, mounts, ours, groups)) == left


@pytest.mark.parametrize(
    ("mounts", "ours", "groups", "expected"),
    [
        pytest.param(V2, "0::/", {}, None, id="none"),
        pytest.param(V2, "0::/", {".": {"cpu.max": "200000 100000"}}, 2, id="docker --cpus 2"),
        pytest.param(V2, "0::/", {".": {"cpu.max": "max 100000"}}, None, id="no limit"),
        pytest.param(
            V2, "0::/a/b", {"a": {"cpu.max": "150000 100000"}}, 2, id="one and a half, of a slice above"
        ),
        pytest.param(V2, "0::/a", {"a": {"cpu.max": "10000 100000"}}, 1, id="a tenth"),
        pytest.param(
            V1,
            "3:cpu,cpuacct:/a\n4:memory:/a",
            {"cpu,cpuacct/a": {"cpu.cfs_quota_us": 400000, "cpu.cfs_period_us": 100000}},
            4,
            id="version 1",
        ),
        pytest.param(
            V1,
            "3:cpu,cpuacct:/",
            {"cpu,cpuacct": {"cpu.cfs_quota_us": -1, "cpu.cfs_period_us": 100000}},
            None,
            id="version 1 without a limit",
        ),
    ],
)
def test_a_quota_of_time_is_so_many_processors(
    tmp_path: Path, mounts: str, ours: str, groups: Mapping[str, Mapping[str, object]], expected: int | None
) -> None:
    assert cgroups.processors(machine(tmp_path, mounts, ours, groups)) == expected


@pytest.mark.parametrize(
    ("mounts", "ours", "groups", "kills"),
    [
        (V2, "0::/a", {"a": {"memory.events": "low 0\nhigh 2\nmax 9\noom 3\noom_kill 2"}}, 2),
        (
            V1,
            "4:memory:/a",
            {"memory/a": {"memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 4"}},
            4,
        ),
        (V2, "0::/", {"../../../proc": {"vmstat": "nr_free_pages 7\noom_kill 5"}}, 5),
        (V2, "0::/", {}, None),
    ],
    ids=["version 2", "version 1", "the whole machine", "nobody counts"],
)
def test_the_kernels_kills_are_counted(
    tmp_path: Path, mounts: str, ours: str, groups: Mapping[str, Mapping[str, object]], kills: int | None
) -> None:
    assert cgroups.oom_kills(machine(tmp_path, mounts, ours, groups)) == kills


def test_every_kill_counts_once(tmp_path: Path) -> None:
    root = machine(tmp_path, V2, "0::/a", {"a": {"memory.events": "oom_kill 2"}})
    kills = cgroups.OomKills(root)
    assert kills.one_more() is False
    machine(tmp_path, V2, "0::/a", {"a": {"memory.events": "oom_kill 4"}})
    assert [kills.one_more() for _ in range(3)] == [True, True, False]
    assert cgroups.OomKills(tmp_path / "nowhere").one_more() is None


def test_a_system_without_groups_has_no_limits(tmp_path: Path) -> None:
    assert cgroups.memory_left(tmp_path) is None
    assert cgroups.processors(tmp_path) is None
    assert cgroups.oom_kills(tmp_path) is None


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 64 processors with 100 GiB free, without groups, and a process of 1 GiB."""
    monkeypatch.setattr("joblib.cpu_count", lambda: 64)
    memory = type("Memory", (), {"available": 100 * GIB})
    monkeypatch.setattr(allowance.psutil, "virtual_memory", lambda: memory)
    monkeypatch.setattr(allowance, "own_memory", lambda: GIB)
    for name in ("processors", "memory_left"):
        monkeypatch.setattr(cgroups, name, lambda: None)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize(
    ("granted", "processors", "memory"),
    [
        ({}, 64, 100 * GIB),
        ({"SLURM_CPUS_PER_TASK": "4", "SLURM_MEM_PER_NODE": "8192"}, 4, 7 * GIB),
        ({"SLURM_CPUS_ON_NODE": "16", "SLURM_MEM_PER_CPU": "2048"}, 64, 31 * GIB),
        ({"SLURM_MEM_PER_NODE": "0"}, 64, 100 * GIB),  # all of the node
        ({"SLURM_CPUS_PER_TASK": "128", "SLURM_MEM_PER_NODE": "999999"}, 64, 100 * GIB),
    ],
    ids=str,
)
def test_what_a_batch_system_grants_is_a_limit(granted: dict[str, str], processors: int, memory: int) -> None:
    assert allowance.processors(granted) == processors
    assert allowance.free_memory(granted) == memory


@pytest.mark.usefixtures("large")
def test_the_limits_of_groups_hold_for_what_is_free_and_for_processors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cgroups, "processors", lambda: 3)
    monkeypatch.setattr(cgroups, "memory_left", lambda: 5 * GIB)
    assert (allowance.processors({}), allowance.free_memory({})) == (3, 5 * GIB)


@pytest.mark.usefixtures("large")
def test_a_limit_of_each_process_is_what_it_has_not_taken_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    size = type("Size", (), {"rss": 1, "vms": 4 * GIB, "data": GIB})
    monkeypatch.setattr(allowance.psutil.Process, "memory_info", lambda self: size)
    limits = {resource.RLIMIT_AS: resource.RLIM_INFINITY, resource.RLIMIT_DATA: 3 * GIB}
    monkeypatch.setattr(resource, "getrlimit", lambda which: (limits[which], resource.RLIM_INFINITY))
    assert allowance.free_for_one_process() == 2 * GIB
    limits[resource.RLIMIT_DATA] = resource.RLIM_INFINITY
    assert allowance.free_for_one_process() is None
