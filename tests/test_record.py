"""What is recorded beside a result."""

import subprocess

import pytest

from greedymm import record


def test_a_record_names_versions_hardware_and_the_commit() -> None:
    made = record.surroundings("cpu")

    assert made["device"] == "cpu"
    assert made["versions"].keys() == set(record.LIBRARIES)
    assert made["hardware"]["cpu"]
    assert made["hardware"]["cores"] >= 1
    assert made["hardware"]["memory_gib"] > 0
    assert made["commit"] == record.commit()


def test_the_commit_is_empty_without_git(monkeypatch: pytest.MonkeyPatch) -> None:
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    if head:  # in a repository, not in an archive of it
        assert record.commit().removesuffix("-dirty") == head

    monkeypatch.setenv("PATH", "")
    assert record.commit() == ""
