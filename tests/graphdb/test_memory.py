"""How much memory the embedded engine gets, and what it says where that does not do."""

from __future__ import annotations

from pathlib import Path

import pytest

from circuitome.graphdb.stores.embedded import EmbeddedStore
from circuitome.graphdb.stores.memory import available_memory, in_words, pool_size
from circuitome.graphdb.stores.opening import open_store
from circuitome.graphdb.stores.protocol import StoreError
from tests.support.synthetic import write_bundle

MIB = 1 << 20


def machine(root: Path, files: dict[str, str]) -> Path:
    """A folder with files of ``/proc`` and ``/sys``; 8,000 MiB are free."""
    for name, text in {"proc/meminfo": f"MemAvailable: {8000 << 10} kB\n", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_a_machine_without_limits_gives_what_is_free(tmp_path: Path) -> None:
    assert available_memory(machine(tmp_path, {})) == 8000 * MIB


def test_the_group_of_a_batch_system_limits_its_processes(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/slurm/job_1"
    files = {
        "proc/self/cgroup": "0::/slurm/job_1/step_0\n",
        "sys/fs/cgroup/slurm/job_1/step_0/memory.max": "max\n",
        f"{group}/memory.max": f"{2000 * MIB}\n",
        f"{group}/memory.current": f"{700 * MIB}\n",
        f"{group}/memory.stat": f"anon 1\ninactive_file {100 * MIB}\n",
    }
    assert available_memory(machine(tmp_path, files)) == (2000 - 700 + 100) * MIB


def test_groups_of_the_first_version_limit_too(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "5:cpu,cpuacct:/other\n4:memory:/docker/1\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{3000 * MIB}\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{1000 * MIB}\n",
    }
    assert available_memory(machine(tmp_path, files)) == 2000 * MIB


def test_what_is_asked_for_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIRCUITOME_MEMORY", "3GiB")
    assert pool_size() == 3 << 30
    assert pool_size("500MB") == 500_000_000
    monkeypatch.delenv("CIRCUITOME_MEMORY")
    assert pool_size() >= 512 * MIB


@pytest.mark.parametrize("text", ["much", "0", "-4GiB", "4 PiB", "1e9", "4Gi B", "12"])
def test_what_is_no_memory_is_refused_where_it_was_given(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("CIRCUITOME_MEMORY", text)
    with pytest.raises(StoreError, match=r"^CIRCUITOME_MEMORY: .* is no memory; write 4GiB"):
        pool_size()
    with pytest.raises(StoreError, match=r"^--memory: .* is no memory; write 4GiB"):
        pool_size(text)


def test_a_load_with_too_little_memory_names_the_memory(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "toy")
    with EmbeddedStore(tmp_path / "x.db", create=True, memory="16MiB") as store:
        with pytest.raises(StoreError) as caught:
            store.load(bundle)
        assert not store.path.exists()
    said = str(caught.value)
    assert "16 MiB" in said and "`load --memory`" in said and "CIRCUITOME_MEMORY" in said
    assert "disk" not in said and "room" not in said


def test_a_database_that_does_not_open_for_want_of_memory_says_so(tmp_path: Path) -> None:
    path = str(tmp_path / "x.db")
    with open_store(path, create=True) as store:
        store.load(write_bundle(tmp_path / "toy"))
    with pytest.raises(StoreError, match=r"cannot be opened with 1 MiB of memory; .*_MEMORY"):
        open_store(path, memory="1MiB")
    with open_store(path, memory="256MiB") as store:
        assert [row["key"] for row in store.models()] == ["toy"]


def test_sizes_are_shown_in_round_numbers() -> None:
    assert [in_words(size) for size in (1, 1023 * MIB, 1 << 30, 5 << 31)] == [
        "1 MiB",
        "1023 MiB",
        "1 GiB",
        "10 GiB",
    ]
