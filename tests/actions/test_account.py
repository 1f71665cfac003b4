"""`reve account` and `reve model`."""

import json
import os
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from reve_cli.core.clock import Clock
from reve_cli.sandbox import Sandbox, parse_faults
from reve_cli.sandbox.outcomes import UGLY
from tests.conftest import KEY, Result, Reve
from tests.support.servers import Reply, answered, json_reply
from tests.support.terminal import Terminal

Simulate = Callable[..., Sandbox]
ME: dict[str, Any] = {
    "user": {"id": "5a2d0000-0000-4000-8000-000000000002", "email": "ada@example.com", "role": "MEMBER"},
    "team": {"id": "5a2d0000-0000-4000-8000-000000000001", "name": "Ada's", "plan": "pro", "credits": 1234567},
    "apiKey": {"id": "5a2d0000-0000-4000-8000-000000000003", "name": "ci", "prefix": "afk_1234"},
}
COMMANDS = pytest.mark.parametrize("command", ["account", "model", "jobs"])


def answer(reve: Reve, data: Any, *command: str, status: int = 200) -> Result:
    """Run `command` against an API that answers `data`."""
    with answered(reve.environ, lambda _: json_reply(data, status)):
        return reve(*command)


def fields(result: Result) -> dict[str, str]:
    """Return the printed lines as fields by name."""
    return dict(line.split(": ", 1) for line in result.out.splitlines())


# The account


def test_account_prints_one_line_for_each_field(reve: Reve) -> None:
    result = answer(reve, ME, "account")
    assert (result.code, result.stderr) == (0, "")
    assert result.out == (
        "email: ada@example.com\nrole: MEMBER\nteam: Ada's\nplan: pro\ncredits: 1234567\n"
        "key name: ci\nkey prefix: afk_1234\n"
    )


def test_credits_go_down_by_the_price_of_an_image(reve: Reve, sandbox: Sandbox) -> None:
    before = reve("account", "--json").document["credits"]
    reve("generate", "fox", "--out", "fox.png")
    assert reve("account", "--json").document["credits"] == before - 4


@pytest.mark.parametrize(("credits", "text"), [(0, "0"), (2.5, "2.5"), (10**14, "1" + "0" * 14), ("many", "unknown")])
def test_credits_are_shown_as_the_api_sends_them(reve: Reve, credits: Any, text: str) -> None:
    me = {**ME, "team": {**ME["team"], "credits": credits}}
    assert fields(answer(reve, me, "account"))["credits"] == text
    document = answer(reve, me, "account", "--json").document
    assert document["credits"] == (None if credits == "many" else credits)


@pytest.mark.parametrize("missing", ["null", "absent"])
def test_missing_team_and_key_fields_are_unknown(reve: Reve, missing: str) -> None:
    me = {"user": ME["user"], **({"team": None, "apiKey": None} if missing == "null" else {})}
    assert fields(answer(reve, me, "account")) == {
        "email": "ada@example.com", "role": "MEMBER", "team": "unknown", "plan": "unknown", "credits": "unknown",
        "key name": "unknown", "key prefix": "unknown",
    }  # fmt: skip
    document = answer(reve, me, "account", "--json").document
    assert document == {
        "email": "ada@example.com", "role": "MEMBER", "team": None, "plan": None, "credits": None,
        "keyName": None, "keyPrefix": None, "simulated": False,
    }  # fmt: skip


def test_a_simulated_account_says_so(reve: Reve, sandbox: Sandbox) -> None:
    assert reve("account", "--json").document["simulated"] is True


@pytest.mark.parametrize("data", [{}, [], None, {"user": None}, {"user": {"email": "ada@example.com"}}])
def test_an_answer_without_a_user_is_a_gateway_error(reve: Reve, data: Any) -> None:
    result = answer(reve, data, "account", "--json")
    assert (result.code, result.document["error"]["code"]) == (6, "gateway")


def test_control_characters_from_the_server_are_escaped(reve: Reve) -> None:
    me = {**ME, "team": {**ME["team"], "name": UGLY, "plan": "a\nb: c"}}
    result = answer(reve, me, "account")
    assert len(result.out.splitlines()) == 7
    assert "\x1b" not in result.out
    assert fields(result)["plan"] == r"a\nb: c"


@pytest.mark.parametrize("options", [(), ("--json",), ("--debug",)])
def test_a_key_in_the_answer_is_hidden(reve: Reve, options: tuple[str, ...]) -> None:
    key = "afk_of_an_odd_server"
    me = {**ME, "user": {**ME["user"], "email": f"{key}@example.com"}, "apiKey": {"name": key, "prefix": key}}
    result = answer(reve, me, "account", *options)
    assert result.code == 0
    assert "afk_[hidden]" in result.out
    assert key not in result.out + result.stderr


# The model


def test_model_prints_price_and_limits(reve: Reve, sandbox: Sandbox) -> None:
    result = reve("model")
    assert (result.code, result.stderr) == (0, "")
    found = fields(result)
    assert found["model"] == "reve-create"
    assert found["offered"] == "yes"
    assert (found["pricing mode"], found["price"]) == ("flat", "4 simulated credits per image")
    assert found["prompt limit"] == "2,000 characters (an emoji counts as 2)"
    assert found["aspect ratios"] == "16:9, 9:16, 3:2, 2:3, 4:3, 3:4, 1:1"
    assert found["seeds"] == "-9007199254740991 to 9007199254740991"
    assert found["versions"] == "any text, such as latest"


def test_the_configured_model_is_the_default(reve: Reve) -> None:
    reve.environ["REVE_MODEL"] = "reve-2"
    models = {"models": [{"id": "reve-create"}, {"id": "reve-2", "costMin": 1.5, "costMax": 6.0}]}
    document = answer(reve, models, "model", "--json").document
    assert (document["model"], document["offered"]) == ("reve-2", True)
    assert (document["costMin"], document["costMax"], document["label"]) == (1.5, 6.0, None)
    assert fields(answer(reve, models, "model", "reve-2"))["price"] == "1.5 to 6 credits per image"
    assert fields(answer(reve, models, "model", "reve-create"))["price"] == "unknown"


def test_a_model_that_is_not_offered_is_8_and_names_the_others_nearest_first(reve: Reve) -> None:
    models = {"models": [{"id": name} for name in ("flux", "reve-edit", "reve-create-2", "imagen")]}
    result = answer(reve, models, "model", "--json")
    assert result.code == 8
    assert "does not offer the image model reve-create; it offers reve-create-2, reve-edit, " in result.stderr
    assert (result.document["model"], result.document["offered"]) == ("reve-create", False)
    assert result.document["error"]["code"] == "not_found"
    assert result.document["error"]["details"]["offered"][:2] == ["reve-create-2", "reve-edit"]
    assert fields(answer(reve, models, "model"))["offered"] == "no"


def test_the_error_names_the_nearest_models_and_the_document_names_all(reve: Reve) -> None:
    result = answer(reve, {"models": [{"id": f"model-{number}"} for number in range(40)]}, "model", "--json")
    assert result.stderr.rstrip().endswith(" and 30 more")
    assert len(result.document["error"]["details"]["offered"]) == 40


def test_an_empty_list_of_models_means_not_offered(reve: Reve) -> None:
    result = answer(reve, {"models": []}, "model")
    assert (result.code, result.stderr) == (
        8, "error: the API does not offer the image model reve-create; it offers none\n",
    )  # fmt: skip


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404])
def test_if_the_api_refuses_the_list_the_price_is_unknown_and_the_exit_code_0(
    reve: Reve, simulate: Simulate, status: int
) -> None:
    """`generate` does not need the list, so a script that checks the model first must not stop."""
    simulate(faults=parse_faults(f"models:{status}"))
    result = reve("model", "--json")
    assert result.code == 0
    assert result.stderr.startswith(f"price unknown: the API answered {status}")
    assert (result.document["offered"], result.document["costMax"], result.document["error"]) == (None, None, None)
    assert fields(reve("model"))["offered"] == "unknown"


@pytest.mark.parametrize("fault", ["429/9", "500", "503", "html-403", "drop-before", "not-json"])
def test_if_the_list_of_models_fails_the_exit_code_is_6(reve: Reve, simulate: Simulate, fault: str) -> None:
    simulate(faults=parse_faults(f"models:{fault}"))
    result = reve("model", "--json")
    assert (result.code, result.document["error"]["exitCode"]) == (6, 6)


def test_the_key_is_sent_to_the_list_of_models(reve: Reve, sandbox: Sandbox) -> None:
    assert reve("model").code == 0
    assert [request.headers["x-api-key"] for request in sandbox.requests] == [KEY]


@pytest.mark.parametrize("name", ["", "two words", "\udcff", "x\n"])
def test_an_invalid_model_name_is_a_usage_error(reve: Reve, sandbox: Sandbox, name: str) -> None:
    assert reve("model", name).code == 2
    assert not sandbox.requests


def test_a_models_name_is_completed(ask: Callable[..., list[str]]) -> None:
    assert ask("model", "") == ["reve-create"]


# All commands that read the account


@COMMANDS
def test_without_a_key_nothing_is_sent(reve: Reve, sandbox: Sandbox, command: str) -> None:
    del reve.environ["APIFRAME_API_KEY"]
    result = reve(command, "--json")
    assert (result.code, result.document["error"]["code"]) == (3, "no_key")
    assert not sandbox.requests


@pytest.mark.parametrize("command", ["account", "jobs"])
def test_a_wrong_key_exits_with_3(reve: Reve, sandbox: Sandbox, command: str) -> None:
    result = reve(command, "--json", env={"APIFRAME_API_KEY": "afk_wrong"})
    assert (result.code, result.document["error"]["code"]) == (3, "invalid_key")


@COMMANDS
def test_a_server_that_does_not_answer_exits_with_6(reve: Reve, simulate: Simulate, command: str) -> None:
    simulate(faults=parse_faults("me:hang-before,models:hang-before,jobs:hang-before"))
    result = reve(command, "--json")
    assert (result.code, result.document["error"]["code"]) == (6, "network")


@COMMANDS
def test_the_time_limit_also_ends_a_name_lookup_that_hangs(
    reve: Reve, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()

    def never(*_: Any, **__: Any) -> Any:
        over.wait()
        raise socket.gaierror("over")

    monkeypatch.setattr(socket, "getaddrinfo", never)
    reve.clock = Clock()  # type: ignore[assignment]  # the one that goes on while a thread hangs
    env = {"APIFRAME_BASE_URL": "https://api.reve.example", "APIFRAME_API_KEY": "afk_x"}
    try:
        result = reve(command, "--json", "--timeout", "0.2", env=env)
    finally:
        over.set()
    assert (result.code, result.document["error"]["code"]) == (6, "timed_out")


@COMMANDS
def test_the_sandbox_answers_without_an_account(reve: Reve, command: str) -> None:
    result = reve(command, "--sandbox")
    assert result.code == 0
    assert "simulated on this machine" in result.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
@pytest.mark.parametrize("columns", [40, 120])
@pytest.mark.parametrize(("command", "data"), [("account", {**ME, "team": {"name": UGLY}}), ("model", None)])
def test_no_control_character_reaches_a_terminal(reve: Reve, command: str, data: Any, columns: int) -> None:
    models = {"models": [{"id": "reve-create", "label": UGLY, "description": UGLY}]}

    def say(_: Any) -> Reply:
        return json_reply(data or models)

    with (
        answered(reve.environ, say),
        Terminal(reve.command(command), env=reve.environ, columns=columns) as terminal,
    ):
        assert terminal.wait() == 0
        assert r"\x1b[31mred" in terminal.screen.text  # which fails for what must not be there


def test_documents_are_one_line_each(reve: Reve, sandbox: Sandbox) -> None:
    for command in ("account", "model"):
        (line,) = reve(command, "--json").out.splitlines()
        assert isinstance(json.loads(line), dict)
