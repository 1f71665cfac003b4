"""`--report`: the given table again, in its order, with the result of each row."""

import csv
import io
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from reve_cli.sandbox import Sandbox, parse_faults
from tests.batch.test_files import FILES
from tests.conftest import Reve

ADDED = ["status", "file", "jobId", "credits", "error"]


def posts(sandbox: Sandbox) -> int:
    return sum(request.method == "POST" for request in sandbox.requests)


def rows(path: str = "report.csv", delimiter: str = ",", encoding: str = "utf-8") -> list[list[str]]:
    return list(csv.reader(io.StringIO(Path(path).read_bytes().decode(encoding), newline=""), delimiter=delimiter))


def test_a_report_is_the_table_with_the_results_in_its_order(reve: Reve, live: Sandbox) -> None:
    shutil.copy(FILES / "catalogue.csv", "list.csv")
    command = ["batch", "list.csv", "--out", "pics", "--report", "report.csv"]
    assert reve(*command).code == 0
    header, *made = rows()
    assert header == ["sku", "prompt", "price", "seed", *ADDED]
    assert [row[:4] for row in made] == list(csv.reader((FILES / "catalogue.csv").read_text().splitlines()[1:]))
    assert [(row[4], row[7], row[8]) for row in made] == [("COMPLETED", "4", "")] * 2
    assert {row[6] for row in made} == {job.id for job in live.jobs()}
    assert all(Path(row[5]).is_file() for row in made)
    before = Path("report.csv").read_bytes()
    assert reve(*command).code == 0
    assert (Path("report.csv").read_bytes(), posts(live)) == (before, 2)


@pytest.mark.parametrize(
    ("name", "delimiter", "encoding", "header"),
    [
        ("semicolon.csv", ";", "utf-8-sig", ["prompt", "seed", "aspectRatio"]),
        ("benchmark.tsv", "\t", "utf-8", ["Prompt", "Category", "Challenge"]),
        ("pandas.csv", ",", "utf-8", ["prompt", "seed"]),
        ("geneval.jsonl", ",", "utf-8", ["tag", "include", "prompt", "exclude"]),
        ("strings.json", ",", "utf-8", ["prompt"]),
        ("comments.txt", ",", "utf-8", ["prompt"]),
        ("excel.xlsx", ",", "utf-8-sig", ["Prompt", "Seed", "Aspect Ratio", "SKU"]),
    ],
)
def test_a_report_has_the_delimiter_and_columns_of_its_table(
    name: str, delimiter: str, encoding: str, header: list[str], reve: Reve, live: Sandbox
) -> None:
    shutil.copy(FILES / name, name)
    assert reve("batch", name, "--out", "pics", "--report", "report.csv").code == 0
    first, *made = rows(delimiter=delimiter, encoding=encoding)
    assert first == [*header, *ADDED]
    assert {row[len(header)] for row in made} == {"COMPLETED"}
    assert len(made) == posts(live)


def test_a_report_names_the_error_of_each_row(reve: Reve, simulate: Callable[..., Sandbox]) -> None:
    simulate(faults=parse_faults("outcome:fail*1"))
    Path("p.txt").write_text("a fox\na wolf\na bear\n")
    result = reve("batch", "p.txt", "--out", "pics", "--report", "report.csv", "--concurrency", "1")
    assert result.code == 5
    assert sorted((row[1], row[4], bool(row[5])) for row in rows()[1:]) == [
        ("COMPLETED", "4", False), ("COMPLETED", "4", False), ("FAILED", "0", True),
    ]  # fmt: skip


def test_an_interrupted_batch_writes_its_report(reve: Reve, simulate: Callable[..., Sandbox]) -> None:
    simulate(job_seconds=60)
    Path("p.txt").write_text("a fox\na wolf\n")
    assert reve("batch", "p.txt", "--out", "pics", "--report", "report.csv", "--timeout", "3").code == 75
    assert [(row[0], row[2], bool(row[3]), row[4], bool(row[5])) for row in rows()[1:]] == [
        ("a fox", "", True, "", True), ("a wolf", "", True, "", True),
    ]  # fmt: skip


def test_a_row_that_makes_several_images_is_there_for_each(reve: Reve, live: Sandbox) -> None:
    Path("p.txt").write_text("a fox\n")
    assert reve("batch", "p.txt", "--out", "pics", "--seeds", "1-3", "--report", "report.csv").code == 0
    assert len({row[3] for row in rows()[1:]}) == posts(live) == 3


def test_a_report_can_be_the_next_table(reve: Reve, live: Sandbox) -> None:
    Path("p.csv").write_text("prompt,seed\na fox,1\n")
    assert reve("batch", "p.csv", "--out", "pics", "--report", "report.csv").code == 0
    assert reve("batch", "report.csv", "--out", "pics", "--report", "again.csv").code == 0
    assert posts(live) == 1
    assert rows("again.csv") == rows("report.csv")


@pytest.mark.parametrize(
    ("report", "why", "code"),
    [
        ("p.csv --dry-run", "--report cannot be used with --dry-run", 2),
        ("p.csv", "--report names the file of the batch itself", 2),
        ("./p.csv", "--report names the file of the batch itself", 2),
        ("other.csv", "other.csv exists and is not a report", 7),
        ("-", "--report '-' is not the name of a file", 2),
        ("", "--report '' is not the name of a file", 2),
        (".", "--report '.' is not the name of a file", 2),
        ("nowhere/r.csv", "the folder nowhere does not exist", 7),
    ],
)
def test_a_report_that_cannot_be_written_is_refused_before_anything_is_sent(
    report: str, why: str, code: int, reve: Reve, live: Sandbox
) -> None:
    for name in ("p.csv", "other.csv"):
        Path(name).write_text("prompt\na fox\n")
    result = reve("batch", "p.csv", "--out", "pics", "--report", *(report.split() or [""]))
    assert (result.code, posts(live)) == (code, 0)
    assert why in result.stderr
    assert Path("other.csv").read_text() == "prompt\na fox\n"


def test_force_replaces_another_file(reve: Reve, live: Sandbox) -> None:
    Path("p.txt").write_text("a fox\n")
    Path("other.csv").write_text("mine\n")
    assert reve("batch", "p.txt", "--out", "pics", "--report", "other.csv", "--force").code == 0
    assert rows("other.csv")[0] == ["prompt", *ADDED]
