"""`tillwire estate`: what people and programs see of an estate file's effect."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run


def test_the_first_apply_creates_everything(run: Run, tmp_path: Path, estate_file: Path) -> None:
    ran = run("estate", "apply", estate_file, "--journal", tmp_path / "j.db", "--yes")
    assert ran.status == 0
    lines = ran.out.splitlines()
    assert lines[0] == "+ organisation The Shop (shop)"
    assert "+ terminal ACME-P2-PL1 (shop:till-1)" in lines
    assert "    time_zone  Europe/London" in lines
    assert lines[-2:] == ["Plan: 5 to create.", "Done."]


def test_a_second_apply_has_nothing_to_do(run: Run, journal: Path, estate_file: Path) -> None:
    ran = run("estate", "apply", estate_file, "--journal", journal)
    assert (ran.status, ran.out) == (0, "Nothing to do: the estate is as the file says.\n")


def test_a_change_is_shown_old_and_new(run: Run, journal: Path, estate_file: Path) -> None:
    estate_file.write_text(estate_file.read_text().replace("PL1", "PL9"))
    ran = run("estate", "apply", estate_file, "--journal", journal, "--yes")
    assert ran.out.splitlines() == [
        "~ terminal ACME-P2-PL9 (shop:till-1)",
        "    serial  PL1 -> PL9",
        "Plan: 1 to change.",
        "Done.",
    ]


def test_nothing_is_done_unasked(run: Run, tmp_path: Path, estate_file: Path) -> None:
    ran = run("estate", "apply", estate_file, "--journal", tmp_path / "j.db")
    assert ran.status == 1
    assert "say --yes" in ran.err
    assert run("estate", "show", "--journal", tmp_path / "j.db").out == "The estate is empty.\n"


def test_a_dry_run_changes_nothing(run: Run, journal: Path, estate_file: Path) -> None:
    estate_file.write_text(estate_file.read_text().replace("Corner", "Market"))
    first = run("estate", "apply", estate_file, "--journal", journal, "--dry-run")
    again = run("estate", "apply", estate_file, "--journal", journal, "--dry-run")
    assert first.status == again.status == 0
    assert first.out == again.out
    assert "Done." not in first.out


def test_a_dry_run_shows_what_a_new_journal_would_get(
    run: Run, estate_file: Path, tmp_path: Path
) -> None:
    ran = run("estate", "apply", estate_file, "--journal", tmp_path / "new.db", "--dry-run")
    assert ran.status == 0
    assert "+ terminal ACME-V1-PL2 (shop:till-2)" in ran.out
    assert not (tmp_path / "new.db").exists()


def test_pruning_removes_what_the_file_left_out(run: Run, journal: Path, estate_file: Path) -> None:
    estate_file.write_text(estate_file.read_text().rpartition("[[")[0])
    assert "Nothing to do" in run("estate", "apply", estate_file, "--journal", journal).out
    ran = run("estate", "apply", estate_file, "--journal", journal, "--prune", "--yes")
    assert "- terminal ACME-V1-PL2 (shop:till-2)" in ran.out
    assert "ACME-V1-PL2" not in run("estate", "show", "--journal", journal).out
    assert "ACME-V1-PL2" in run("estate", "show", "--all", "--journal", journal).out


def test_a_mistake_in_the_file_is_one_sentence(run: Run, journal: Path, estate_file: Path) -> None:
    estate_file.write_text(estate_file.read_text().replace("Europe/London", "Europe/Lundon"))
    ran = run("estate", "apply", estate_file, "--journal", journal, "--yes")
    assert ran.status == 2
    assert ran.out == ""
    assert ran.err == (
        f"Error: The configuration cannot be used. {estate_file}: "
        "organisations[0].merchants[0].stores[0].time_zone: 'Europe/Lundon' is not a time zone; "
        "did you mean 'Europe/London'? Allowed: a name of the IANA database such as "
        "Europe/Rome.\n"
    )


def test_a_file_that_does_not_fit_the_estate_is_one_sentence(
    run: Run, journal: Path, estate_file: Path
) -> None:
    text = estate_file.read_text() + 'lifecycle = "CREATED"\n'
    estate_file.write_text(text)
    ran = run("estate", "apply", estate_file, "--journal", journal, "--yes")
    assert ran.status == 2
    assert ran.err == (
        f"Error: The estate file does not fit the estate. {estate_file}: "
        "organisations[0].merchants[0].stores[0].terminals[1].lifecycle: a terminal that is "
        "ACTIVATED cannot become CREATED. Allowed: ACTIVATED or REMOVED.\n"
    )


def test_programs_get_the_plan_as_json(run: Run, tmp_path: Path, estate_file: Path) -> None:
    journal = tmp_path / "j.db"
    asked = run("estate", "apply", estate_file, "--journal", journal, "--json")
    assert (asked.status, asked.document["applied"]) == (1, False)
    done = run("estate", "apply", estate_file, "--journal", journal, "--json", "--yes")
    assert done.document["applied"] is True
    assert [change["kind"] for change in done.document["changes"]] == [
        "organisation",
        "merchant",
        "store",
        "terminal",
        "terminal",
    ]
    again = run("estate", "apply", estate_file, "--journal", journal, "--json", "--yes")
    assert (again.status, again.document) == (0, {"applied": False, "changes": []})


def test_the_estate_is_shown_with_what_is_missing(run: Run, journal: Path) -> None:
    out = run("estate", "show", "--journal", journal).out
    assert "The Shop (shop), API keys: 0" in out
    assert "Corner: 1 High Street, LS1 1AA Leeds, GB" in out
    (till_1,) = (line for line in out.splitlines() if line.startswith("ACME-P2-PL1"))
    assert till_1.endswith("ACTIVATED  no polling token yet")


def test_former_devices_are_shown_as_history(run: Run, journal: Path, estate_file: Path) -> None:
    estate_file.write_text(estate_file.read_text().replace("PL1", "PL9"))
    run("estate", "apply", estate_file, "--journal", journal, "--yes")
    assert "device 1: PL1" in run("estate", "show", "--all", "--journal", journal).out
    document = run("estate", "show", "--json", "--journal", journal).document
    (terminal,) = (each for each in document["terminals"] if each["id"] == "shop:till-1")
    assert [(each["serial"], each["lifecycle"]) for each in terminal["devices"]] == [
        ("PL1", "REMOVED"),
        ("PL9", "ACTIVATED"),
    ]


def test_json_holds_no_digest(run: Run, journal: Path) -> None:
    run("keys", "create", "-o", "shop", "-l", "till", "--journal", journal)
    run("keys", "device", "shop:till-1", "--journal", journal)
    out = run("estate", "show", "--json", "--journal", journal).out
    assert "digest" not in out


def test_the_journal_must_be_named(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = run("estate", "show")
    assert ran.status == 2
    assert "Say which journal is meant: --journal PATH" in ran.err


def test_the_journal_of_a_sandbox_beside_us_is_the_default(
    run: Run, tmp_path: Path, estate_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sandbox").mkdir()
    run("estate", "apply", estate_file, "--journal", tmp_path / "sandbox/journal.db", "--yes")
    monkeypatch.chdir(tmp_path)
    assert "The Shop" in run("estate", "show").out


def test_the_journal_may_be_named_by_the_configuration(
    run: Run, journal: Path, tmp_path: Path
) -> None:
    config = tmp_path / "tillwire.toml"
    config.write_text(
        f'journal.path = "{journal.name}"\n'
        '[[listener]]\nname = "ops"\nport = 0\npages = ["health"]\n'
    )
    assert "The Shop" in run("estate", "show", "--config", config).out


def test_looking_creates_no_journal(run: Run, tmp_path: Path) -> None:
    ran = run("estate", "show", "--journal", tmp_path / "none.db")
    assert (ran.status, (tmp_path / "none.db").exists()) == (2, False)
    assert "There is no journal at" in ran.err


def test_a_sandbox_is_named_by_its_folder_whatever_the_environment_says(
    run: Run, tmp_path: Path, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TILLWIRE_JOURNAL", str(tmp_path / "other.db"))
    assert journal == tmp_path / "journal.db"
    for command in (
        ("estate", "show"),
        ("keys", "list"),
        ("transactions", "list"),
        ("discrepancies", "list"),
    ):
        assert run(*command, "--data", tmp_path, "--json").status == 0
    ran = run("estate", "show", "--data", tmp_path / "nowhere")
    assert (ran.status, "There is no journal at" in ran.err) == (2, True)
