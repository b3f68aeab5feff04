import contextlib
import json
import pickle
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from sweeps import results
from sweeps.results import (
    CURVE,
    LATER,
    SCHEMA,
    STATUSES,
    TRIALS,
    read_study,
    write_curve,
    write_results,
    write_trials,
)


def row(**given):
    full = {
        "study": "s", "base": "all-on", "arm": "baseline", "changed": "", "settings": "",
        "trial": None, "lr": 0.003, "seed": 0, "task": "mqar", "split": "test", "slice": "all",
        "metric": "accuracy", "value": 0.5, "status": "finished", "fingerprint": "ab12",
        "parameters": 10, "state_bytes": 4, "steps": 100, "seconds": 1.5, "device": "cpu",
    }  # fmt: skip
    return full | given


def plan(**given):
    full = {
        "schema": 1,
        "study": "s",
        "seeds": [0, 1],
        "arms": [{"name": "baseline"}, {"name": "decay=off"}],
        "primary": {"metric": "accuracy", "split": "test", "slice": "all"},
    }
    return full | given


@pytest.fixture
def study(tmp_path):
    """Two arms, two seeds; one run never ran; files of runs for one of them."""
    directory = tmp_path / "out" / "s"
    directory.mkdir(parents=True)
    (directory / "plan.json").write_text(json.dumps(plan()))
    rows = [
        row(fingerprint="a0"),
        row(fingerprint="a0", metric="loss", value=1.25),
        row(fingerprint="a1", seed=1, value=0.75, trial=2),
        row(fingerprint="b0", arm="decay=off", value=None, status="killed", seconds=None),
        row(fingerprint="b1", arm="decay=off", seed=1, value=0.1, status="diverged"),
    ]
    write_results(directory / "results.parquet", rows)
    run = tmp_path / "out" / "runs" / "a0"
    run.mkdir(parents=True)
    write_curve(
        run / "curve.parquet",
        [
            {"step": 10, "split": "validation", "slice": "all", "metric": "accuracy", "value": 0.2},
            {
                "step": 20,
                "split": "validation",
                "slice": "all",
                "metric": "accuracy",
                "value": None,
            },
        ],
    )
    np.savez(run / "kernels.npz", **{"initial/m": np.ones((2, 3)), "final/m": np.zeros((2, 3))})
    result = {"status": "finished", "still_improving": True, "resumed_from": [40, 80]}
    result["identity"] = {"code": "3f", "threads": 2}
    (run / "result.json").write_text(json.dumps(result))
    (run / "provenance.json").write_text(json.dumps({"threads": 2}))
    return directory


def test_a_study_comes_back_as_it_was_written(study):
    found = read_study(study)
    assert found.results.schema == pl.Schema(SCHEMA)
    assert found.results.row(2, named=True) == row(fingerprint="a1", seed=1, value=0.75, trial=2)
    assert found.results["value"].to_list() == [0.5, 1.25, 0.75, None, 0.1]
    assert found.curves.rows() == [
        ("baseline", 0, 10, "validation", "all", "accuracy", 0.2),
        ("baseline", 0, 20, "validation", "all", "accuracy", None),
    ]
    assert found.kernels["baseline"]["final/m"].shape == (2, 3)
    assert found.provenance == {"threads": 2}
    assert len(found.trials) == 0
    assert found.trials.schema == pl.Schema(TRIALS)


def test_there_is_one_row_per_run_with_what_its_result_says(study):
    runs = read_study(study).runs
    assert runs.select("arm", "seed", "status").rows() == [
        ("baseline", 0, "finished"),
        ("baseline", 1, "finished"),
        ("decay=off", 0, "killed"),
        ("decay=off", 1, "diverged"),
    ]
    assert runs["still_improving"].to_list() == [True, None, None, None]
    assert runs["resumed_from"].to_list() == ["40 80", "", "", ""]
    assert runs["code"].to_list() == ["3f", None, None, None]


def test_the_study_s_own_provenance_goes_before_a_run_s(study):
    (study / "provenance.json").write_text('{"threads": 7}')
    assert read_study(study).provenance == {"threads": 7}


def test_trials_are_read_where_there_are_some(study):
    trial = {"arm": "baseline", "number": 0, "parameters": '{"train.lr": 0.003}', "seed": 10_000}
    write_trials(study / "trials.parquet", [trial | {"value": 0.4, "state": "COMPLETE"}])
    assert read_study(study).trials.rows() == [
        ("baseline", 0, '{"train.lr": 0.003}', 10_000, 0.4, "COMPLETE", *[None] * len(LATER))
    ]


def test_columns_are_exactly_the_record_s_and_in_its_order(tmp_path):
    path = tmp_path / "r.parquet"
    shuffled = dict(reversed(row().items()))
    write_results(path, [shuffled])
    assert pl.read_parquet(path).columns == list(SCHEMA)
    write_results(path, pl.DataFrame([shuffled], schema_overrides={"trial": pl.Int32}))
    assert pl.read_parquet(path).schema == pl.Schema(SCHEMA)
    write_results(path, [])
    assert pl.read_parquet(path).schema == pl.Schema(SCHEMA)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row(foreign=1)], "unknown column 'foreign'"),
        ([{k: v for k, v in row().items() if k != "lr"}], "no column 'lr'"),
        ([row(status="crashed")], "status 'crashed'; one of finished"),
        ([row(), row(value=0.7)], "two rows for .*'accuracy'"),
        ([row(seed="first")], "a value has the wrong type"),
        ([row(value="high")], "a value has the wrong type"),
    ],
)
def test_wrong_rows_are_refused_and_the_old_file_stays(tmp_path, rows, message):
    path = tmp_path / "results.parquet"
    write_results(path, [row(value=0.25)])
    with pytest.raises(ValueError, match=message):
        write_results(path, rows)
    assert pl.read_parquet(path)["value"].to_list() == [0.25]
    assert [p.name for p in tmp_path.iterdir()] == ["results.parquet"]


def test_every_status_may_be_written(tmp_path):
    rows = [row(seed=i, status=s) for i, s in enumerate(STATUSES)]
    write_results(tmp_path / "r.parquet", rows)
    assert pl.read_parquet(tmp_path / "r.parquet")["status"].to_list() == list(STATUSES)


def edit(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("plan.json", "{", "plan.json: not JSON"),
        ("plan.json", "[]", "a JSON object was expected, got list"),
        ("plan.json", json.dumps(plan(schema=2)), "schema 2, this code reads 1"),
        ("plan.json", json.dumps(plan(arms=[])), "no arms"),
        ("plan.json", json.dumps(plan(arms=[{"name": "a"}] * 2)), "two arms of one name"),
        ("plan.json", json.dumps({"study": "s"}), "plan.json: no 'arms'"),
        ("plan.json", json.dumps(plan(arms=[{"name": "baseline"}])), "results of 'decay=off'"),
        ("results.parquet", "PAR1 no", "results.parquet: not a parquet file"),
        ("results.parquet", "", "results.parquet: not a parquet file"),
        ("../runs/a0/curve.parquet", "PAR1", "curve.parquet: not a parquet file"),
        ("../runs/a0/result.json", "nul", "result.json: not JSON"),
        ("../runs/a0/kernels.npz", b"PK\x03\x04 cut off", "kernels.npz: not an npz file"),
    ],
)
def test_a_spoilt_file_is_one_line(study, name, text, message):
    edit(study / name, text)
    with pytest.raises(ValueError, match=message) as caught:
        read_study(study)
    assert "\n" not in str(caught.value)


def test_a_directory_without_a_study_is_one_line(tmp_path, study):
    with pytest.raises(ValueError, match=r"no plan\.json; name the directory of a study"):
        read_study(tmp_path / "nothing")
    (study / "results.parquet").unlink()
    with pytest.raises(ValueError, match=r"no results\.parquet; run the study's command first"):
        read_study(study)


def test_no_file_is_unpickled(study):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was loaded",))

    path = study.parent / "runs" / "a0" / "kernels.npz"
    bomb = np.empty(1, dtype=object)
    bomb[0] = Bomb()
    np.savez(path, **{"initial/m": bomb}, allow_pickle=True)
    with pytest.raises(ValueError, match="not an npz file of plain arrays"):
        read_study(study)
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match="not an npz file of plain arrays"):
        read_study(study)


def test_however_an_archive_is_damaged_it_is_one_line(tmp_path):
    """A thousand archives with some bytes changed: read whole, or refused in one way."""
    path, dice = tmp_path / "kernels.npz", np.random.default_rng(0)
    np.savez_compressed(path, **{"initial/m": np.arange(40.0), "final/m": np.zeros((2, 3))})
    whole, refused = bytearray(path.read_bytes()), 0
    for _ in range(1000):
        data = bytearray(whole)
        for place in dice.integers(len(data), size=dice.integers(1, 9)):
            data[place] = dice.integers(256)
        path.write_bytes(data)
        with contextlib.suppress(ValueError):
            results._read_arrays(path)
            continue
        refused += 1
    assert refused > 500


@pytest.mark.parametrize("name", ["../s", "/etc", "a/../../s"])
def test_a_fingerprint_cannot_lead_out_of_the_runs(study, name):
    write_results(study / "results.parquet", [row(fingerprint=name)])
    with pytest.raises(ValueError, match="leads outside"):
        read_study(study)


def test_a_curve_has_its_own_columns(tmp_path):
    with pytest.raises(ValueError, match="no column 'slice'"):
        write_curve(tmp_path / "c", [{"step": 1, "split": "train", "metric": "loss", "value": 1.0}])
    assert list(CURVE) == ["step", "split", "slice", "metric", "value"]


def test_reading_results_needs_no_torch():
    code = (
        "import sys, sweeps.results; print([m for m in ('torch','pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_module_says_what_it_offers():
    assert all(hasattr(results, name) for name in results.__all__)
