from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lumbargrade.steps import RECORD, Step, do_step, states_of


def chain(
    settings: Mapping[str, Any] | None = None, done: list[str] | None = None, *, fail: str = ""
) -> list[Step]:
    """a → b, and c by itself; each writes its settings."""
    of = {"a": {"x": 1, "deep": {"y": 2}}, "b": {"x": 1}, "c": {"x": 1}, **(settings or {})}

    def step(name: str, after: tuple[str, ...]) -> Step:
        def work(folder: Path) -> None:
            if not (folder / "half.txt").exists():
                (folder / "half.txt").write_text("half")
            if name == fail:
                raise KeyboardInterrupt
            (folder / "out.txt").write_text(str(of[name]))
            if done is not None:
                done.append(name)

        return Step(name=name, kind="kind", settings=of[name], after=after, work=work)

    return [step("a", ()), step("b", ("a",)), step("c", ())]


def do_all(run: Path, steps: list[Step]) -> None:
    states = states_of(run, steps)
    hashes = {state.step.name: state.inputs_sha256 for state in states}
    for state in states:
        if not state.done:
            do_step(run, state, {name: hashes[name] for name in state.step.after})


def reasons(run: Path, steps: list[Step]) -> dict[str, str]:
    return {state.step.name: state.reason for state in states_of(run, steps)}


def test_a_step_is_done_once(tmp_path: Path) -> None:
    done: list[str] = []
    assert reasons(tmp_path, chain()) == dict.fromkeys("abc", "not done yet")
    do_all(tmp_path, chain(done=done))
    do_all(tmp_path, chain(done=done))
    assert done == ["a", "b", "c"]
    assert reasons(tmp_path, chain()) == dict.fromkeys("abc", "")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"a": {"x": 1, "deep": {"y": 3}}}, {"a": "other settings: deep.y", "b": "after a"}),
        ({"b": {"x": 2}}, {"b": "other settings: x"}),
        ({"c": {"x": 1, "z": 0}}, {"c": "other settings: z"}),
    ],
)
def test_a_changed_setting_does_again_what_depends_on_it(
    tmp_path: Path, settings: dict[str, Any], expected: dict[str, str]
) -> None:
    do_all(tmp_path, chain())
    found = reasons(tmp_path, chain(settings))
    assert {name: reason for name, reason in found.items() if reason} == expected
    done: list[str] = []
    do_all(tmp_path, chain(settings, done))
    assert done == list(expected)


def test_a_step_that_was_cut_off_is_gone_on_with_and_replaces_the_old_one_at_its_end(
    tmp_path: Path,
) -> None:
    do_all(tmp_path, chain())
    changed = {"a": {"x": 5}}
    with pytest.raises(KeyboardInterrupt):
        do_all(tmp_path, chain(changed, fail="a"))
    assert (tmp_path / "a" / "out.txt").read_text() == str({"x": 1, "deep": {"y": 2}})
    halves = list(tmp_path.rglob("half.txt"))
    unfinished = next(path for path in halves if "unfinished" in path.parts)
    unfinished.write_text("kept")
    do_all(tmp_path, chain(changed))
    assert (tmp_path / "a" / "half.txt").read_text() == "kept"
    assert (tmp_path / "a" / "out.txt").read_text() == str({"x": 5})
    assert not list((tmp_path / "unfinished").iterdir())


def test_what_was_killed_between_its_record_and_its_place_is_put_there(tmp_path: Path) -> None:
    done: list[str] = []
    do_all(tmp_path, chain(done=done))
    state = states_of(tmp_path, chain())[2]
    beside = tmp_path / "unfinished" / f"c-{state.inputs_sha256[:16]}"
    (tmp_path / "c").rename(beside)
    do_all(tmp_path, chain(done=done))
    assert done == ["a", "b", "c"]
    assert (tmp_path / "c" / RECORD).is_file()


@pytest.mark.parametrize("damage", ["missing", "cut off", "no record"])
def test_an_output_that_is_not_whole_is_made_again(tmp_path: Path, damage: str) -> None:
    do_all(tmp_path, chain())
    path = tmp_path / "b" / ("out.txt" if damage != "no record" else RECORD)
    if damage == "cut off":
        path.write_text("x")
    else:
        path.unlink()
    found = reasons(tmp_path, chain())
    assert path.name in found["b"]
    assert found["a"] == found["c"] == ""
    do_all(tmp_path, chain())
    assert reasons(tmp_path, chain())["b"] == ""
