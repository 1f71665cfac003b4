"""A journal shared by several machines, or written before this machine's last restart.

A request that another machine may have sent is never sent again; an accepted job's images are saved. A mount namespace
gives one child process another `/etc/machine-id` or boot id.
"""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from reve_cli.sandbox import Sandbox
from reve_cli.sandbox.faults import parse_faults
from tests.batch.test_batch import posts
from tests.conftest import Result, Reve
from tests.support.namespaces import within
from tests.support.terminal import PATIENCE

IDS = {"another machine": "/etc/machine-id", "after a restart": "/proc/sys/kernel/random/boot_id"}
BEGIN = {"batch": ["batch", "prompts.txt", "--out", "pics"], "resume": ["generate", "a fox", "--out", "fox.png"]}
GO_ON = {"batch": BEGIN["batch"], "resume": ["resume"]}

Elsewhere = Callable[..., Result]


@pytest.fixture(params=IDS)
def elsewhere(reve: Reve, request: pytest.FixtureRequest, tmp_path: Path) -> Elsewhere:
    """Runs reve with another machine id or boot id."""
    place = Path(IDS[request.param])
    if not place.is_file():
        pytest.skip(f"{place} is not there")
    other = tmp_path / "id"
    other.write_text("0123456789abcdef0123456789abcdef\n")

    def run(*arguments: str) -> Result:
        command = within({place: other}, reve.command(*arguments))
        done = subprocess.run(command, env=reve.environ, capture_output=True, timeout=PATIENCE, check=False)
        return Result(done.returncode, done.stdout, done.stderr.decode())

    Path("prompts.txt").write_text("a fox\n")
    return run


@pytest.mark.parametrize("command", BEGIN)
def test_a_request_sent_by_another_machine_is_not_sent_again(
    reve: Reve, simulate: Callable[..., Sandbox], elsewhere: Elsewhere, command: str
) -> None:
    sandbox = simulate(faults=parse_faults("submit:drop-after*99"))
    assert reve(*BEGIN[command]).code == 75
    sandbox.faults.clear()
    asked = posts(sandbox)
    result = elsewhere(*GO_ON[command])
    assert result.code == 75
    assert "may have been accepted, but" in result.stderr
    assert "reve resume" in result.stderr
    assert "--abandon" in result.stderr
    assert posts(sandbox) == asked


@pytest.mark.parametrize("command", BEGIN)
def test_a_job_accepted_for_another_machine_is_saved(
    reve: Reve, simulate: Callable[..., Sandbox], elsewhere: Elsewhere, command: str
) -> None:
    sandbox = simulate(faults=parse_faults("image:redirect-private*99"))
    assert reve(*BEGIN[command]).code == 75
    sandbox.faults.clear()
    result = elsewhere(*GO_ON[command])
    assert result.code == 0, result.stderr
    assert len(sandbox.jobs()) == len([*Path().rglob("*.png")]) == 1
