"""The views: engine, accessor, tables, pictures and the Run object, across components, files and processes."""
from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from trendflow.core import manifest as manifests
from trendflow.core import samples
from trendflow.core.artifact import write_artifact
from trendflow.core.checks import cases
from trendflow.core.errors import ArtifactError, ContractError, ManifestError, MissingInput, UsageError
from trendflow.core.framesdir import metadata_faults, open_frames_dir
from trendflow.core.measure import measure
from trendflow.core.registry import discover
from trendflow.core.roles import motion, shots
from trendflow.core.sources import Frames
from trendflow.core.store import RunPaths
from trendflow.views import panels, plots
from trendflow.views.accessor import align, between, overlaps, per_shot
from trendflow.views.backend import dataset
from trendflow.views.browse import Run, table
from trendflow.views.checks import all_checks
from trendflow.views.seen import telling
from weights import REASON, lacks

CASES = [(c, name, check) for c in discover().values() for name, check in all_checks()]


@pytest.mark.parametrize(("c", "name", "check"), CASES, ids=[f"{c.id}-{name}" for c, name, _ in CASES])
def test_check(c, name, check) -> None:
    if lacks(c): pytest.skip(REASON)
    check(c)


# --- a run made by hand ---------------------------------------------------------------------------------------------------------

def ended(name: str, **more) -> dict:
    return {"name": name, "kind": "core", "status": "ok", "required": True, "duration_ms": 10.0, "cpu_ms": 8.0, "artifacts": [], "notes": [], **more}


def frames_folder(folder: Path, pictures, **change) -> None:
    (folder / "video").mkdir(parents=True)
    np.save(folder / "video" / "analysis.npy", pictures.pixels)
    n, (h, w) = len(pictures.pixels), pictures.size
    told = {"schema_version": "video_metadata_v1", "platform_id": "youtube", "video_id": "v", "run_id": "r", "config_hash": "0" * 16,
            "sampling_policy_version": "s1", "dataprocessor_version": "d1", "total_frames": n, "color_space": "RGB",
            "views": {"analysis": {"height": h, "width": w, "channels": 3, "rows": n, "union_positions": list(range(n))}},
            "source": {"readable_s": pictures.duration_s}, "union_timestamps_sec": pictures.times_s.tolist(),
            "union_frame_indices_source": pictures.source_frame_indices.tolist(),
            "toy": {"frame_indices": [0, 2], "view": "analysis", "policy": {"name": "Budget"}}}
    (folder / "video" / "metadata.json").write_text(json.dumps(told | change))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    paths = RunPaths(tmp_path / "store", tmp_path / "work", "youtube", "v", "r")
    for made in (samples.artifact(motion), samples.artifact(shots)): write_artifact(made, paths.artifact(made.meta["producer"]))
    broken = ended("toy_broken", status="error", required=False, error={"code": "internal", "type": "ValueError", "message": "<b>&'\"</b>"})
    manifests.upsert(paths, run={"profile": "<i>x</i>"}, components=[ended("sample_motion"), ended("sample_shots"), broken])
    frames_folder(paths.frames_dir, samples.frames())
    return Run.open(paths.run_dir, tmp_path / "work")


# --- engine ---------------------------------------------------------------------------------------------------------------------

def test_engine_is_registered() -> None:
    assert "trendflow" in xr.backends.list_engines()


def test_opening_a_run_and_reading_one_array_is_quick(run: Run) -> None:
    spent = []
    for _ in range(7):
        start = time.process_time()
        Run.open(run.dir)["sample_motion"].camera.values      # noqa: B018
        spent.append(time.process_time() - start)
    assert min(spent) < 0.05, f"{min(spent) * 1000:.0f} ms"


def test_opening_reads_headers_only(run: Run) -> None:
    path = run.paths.artifact("sample_motion")
    raw = bytearray(path.read_bytes())
    want = run["sample_motion"].camera.values.tobytes()
    at = raw.find(want)
    raw[at:at + len(want)] = bytes(len(want))                # the numbers of one array are gone, the headers are not
    path.write_bytes(raw)
    ds = run["sample_motion"]
    assert (ds.camera.values == 0).all() and ds.flow_mean.notnull().any()


def test_many_open_datasets_hold_few_files(run: Run, tmp_path: Path) -> None:
    made, held = samples.artifact(motion), []
    before = len(os.listdir("/proc/self/fd"))
    for i in range(150):
        write_artifact(made, tmp_path / f"{i}.npz")
        held.append(xr.open_dataset(tmp_path / f"{i}.npz", engine="trendflow"))
    assert len(os.listdir("/proc/self/fd")) - before <= 70
    assert all(np.array_equal(ds.flow_mean.values, made.flow_mean) for ds in held)


def test_values_can_be_changed_and_the_file_stays(run: Run) -> None:
    before = run.paths.artifact("sample_motion").read_bytes()
    ds = run["sample_motion"]
    ds.flow_mean.values[0] = 7
    ds["flow_mean"] = ds.flow_mean + 1
    assert run.paths.artifact("sample_motion").read_bytes() == before


def test_another_process_reads_the_same(run: Run) -> None:
    code = "import sys, pickle; ds = pickle.load(sys.stdin.buffer); print(float(ds.camera.sel(axis='zoom').sum()))"
    ds = run["sample_motion"]
    out = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(ds), capture_output=True, check=True, cwd=Path(__file__).parents[1])
    assert float(out.stdout) == float(ds.camera.sel(axis="zoom").sum())


def test_dask_chunks_equal_the_arrays(run: Run) -> None:
    ds = xr.open_dataset(run.paths.artifact("sample_motion"), engine="trendflow", chunks={"frame": 5})
    assert ds.camera.chunks[0][0] == 5
    assert ds.compute(scheduler="threads").identical(run["sample_motion"].load())


def test_a_file_that_changed_is_not_mixed(run: Run) -> None:
    ds = run["sample_motion"]
    write_artifact(samples.artifact(motion, seed=3), run.paths.artifact("sample_motion"))
    with pytest.raises(ArtifactError, match="written anew"): ds.camera.values      # noqa: B018


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY"])
def test_a_broken_file_is_named(run: Run, content: bytes) -> None:
    run.paths.artifact("sample_motion").write_bytes(content)
    for opening in (lambda: run["sample_motion"], lambda: run.tree):
        with pytest.raises(ArtifactError, match=r"sample_motion\.npz"): opening()


def test_tree_has_a_node_per_component(run: Run) -> None:
    tree = run.tree
    assert set(tree.children) == {"sample_motion", "sample_shots", "toy_broken"}
    assert tree.attrs["video_id"] == "v" and tree["toy_broken"].attrs["error_code"] == "internal" and not tree["toy_broken"].data_vars
    assert all(isinstance(v, (str, int, float)) for node in tree.subtree for v in node.attrs.values())


# --- accessor -------------------------------------------------------------------------------------------------------------------

def test_overlap_shares_out_all_of_the_time() -> None:
    rng = np.random.default_rng(0)
    edges = np.concatenate([[0], np.sort(rng.random(6)) * 9, [10]])
    target = np.stack([edges[:-1], edges[1:]], 1)
    start = rng.random(40) * 9
    rows = np.stack([start, np.minimum(start + rng.random(40), 10)], 1)
    assert np.allclose(overlaps(target, rows).sum(0), rows[:, 1] - rows[:, 0])
    assert ((overlaps(target, rows, at=start) > 0).sum(0) == 1).all()           # a moment belongs to one target


@pytest.mark.parametrize("stat", ["mean", "median", "min", "max"])
def test_a_constant_stays_a_constant(stat: str) -> None:
    flow, cuts = dataset(samples.artifact(motion)), dataset(samples.artifact(shots))
    flow["flow_mean"] = flow.flow_mean * 0 + 3
    assert np.allclose(per_shot(flow, cuts, stat).flow_mean, 3)
    assert np.allclose(align(cuts, flow, "shot", stat).flow_mean, 3)
    assert np.allclose(align(flow, flow, stat=stat).flow_mean, 3)


def test_a_shot_without_frames_is_nan_and_keeps_labels() -> None:
    flow, cuts = dataset(samples.artifact(motion)), dataset(samples.artifact(shots))
    pooled = per_shot(between(flow, 0, 3), cuts)
    assert pooled.camera.dims == ("shot", "axis") and list(pooled.axis.values) == ["pan_x", "pan_y", "zoom", "rotation"]
    assert pooled.camera.isel(shot=0).notnull().all() and pooled.camera.isel(shot=1).isnull().all()
    assert not {"transition_kind", "dt_s_present"} & set(per_shot(cuts, cuts).data_vars)        # kinds have no mean


def test_empty_measurements_pass_through() -> None:
    nothing, cuts = dataset(samples.artifact(motion, "empty")), dataset(samples.artifact(shots))
    assert per_shot(nothing, cuts).flow_mean.isnull().all()
    none = dataset(samples.artifact(shots, "empty"))
    assert per_shot(nothing, none).sizes["shot"] == 0
    assert align(cuts, none).sizes["shot"] == cuts.sizes["shot"]
    assert none.tf.at(1.0).sizes["shot"] == 0


# --- the engine on one artifact -------------------------------------------------------------------------------------------------

def test_an_artifact_explains_itself_through_the_engine(run: Run) -> None:
    made = samples.artifact(motion)
    ds = xr.open_dataset(run.paths.artifact("sample_motion"), engine="trendflow")
    assert ds.flow_mean.attrs == {"long_name": made.schema["arrays"]["flow_mean"]["doc"], "units": "s-1", "ancillary_variables": "flow_mean_present"}
    assert ds.camera.dims == ("frame", "axis") and list(ds.camera_units.values)[-1] == "degree s-1" and ds.times_s.attrs["units"] == "s"
    assert {k: ds.attrs[k] for k in ("producer", "status", "empty_reason")} == {"producer": "sample_motion", "status": "ok", "empty_reason": ""}
    absent = ~ds.flow_mean_present.values
    assert np.isnan(ds.flow_mean.values[absent]).all() and np.isfinite(ds.flow_mean.values[~absent]).all()
    assert not ds.camera.variable._in_memory, "values were kept"
    assert ds.sel(times_s=1.3, method="nearest").times_s.item() == pytest.approx(1.25)
    assert "flow_mean" not in xr.open_dataset(run.paths.artifact("sample_motion"), engine="trendflow", drop_variables="flow_mean")


def test_nothing_measured_is_nan_under_false_masks(tmp_path: Path) -> None:
    write_artifact(samples.artifact(motion, "empty"), tmp_path / "m.npz")
    ds = xr.open_dataset(tmp_path / "m.npz", engine="trendflow")
    assert ds.attrs["status"] == "empty" and ds.attrs["empty_reason"] and ds.sizes["frame"] > 0
    assert ds.flow_mean.isnull().all() and not ds.flow_mean_present.any() and not ds.tf.present("flow_mean").any()


def test_the_accessor_answers_on_an_opened_file(run: Run) -> None:
    flow, cuts = run["sample_motion"], run["shots"]
    assert flow.tf.at(1.3).times_s.values.tolist() == [1.25] and flow.tf.between(1, 2).times_s.values.min() >= 1
    assert flow.tf.per_shot(cuts).sizes["shot"] == cuts.sizes["shot"] and cuts.tf.align(flow, "shot").flow_mean.notnull().all()
    assert flow.tf.present("dt_s").all() and flow.tf.plot().png()[:4] == b"\x89PNG"
    with pytest.raises(UsageError, match="not installed"): flow.tf.row()
    with pytest.raises(UsageError, match=r"\['speeed'\] cannot be drawn"): flow.tf.plot(names=["speeed"])


def test_folders_and_other_files_are_refused_with_a_hint(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="open_datatree"): xr.open_dataset(run.dir, engine="trendflow")
    with pytest.raises(UsageError, match="no manifest"): xr.open_datatree(tmp_path, engine="trendflow")
    np.savez(tmp_path / "other.npz", a=1)
    with pytest.raises(ArtifactError, match=r"other\.npz"): xr.open_dataset(tmp_path / "other.npz", engine="trendflow")


# --- the run --------------------------------------------------------------------------------------------------------------------

def test_run_says_what_is_absent(run: Run) -> None:
    assert list(run) == ["sample_motion", "sample_shots"] and run._ipython_key_completions_() == list(run)
    with pytest.raises(MissingInput, match="toy_broken: failed with internal"): run["toy_broken"]
    with pytest.raises(MissingInput, match="did you mean 'sample_shots'"): run["sample_shot"]
    with pytest.raises(LookupError): run["../../etc"]
    for ask in (run.artifact, run.explain):
        with pytest.raises(MissingInput, match=r"'motio': is not in this run.*\['sample_motion', 'sample_shots'\]"): ask("motio")
        with pytest.raises(MissingInput, match="toy_broken: failed with internal"): ask("toy_broken")
    with pytest.raises(MissingInput, match=r"role 'depth_of_field'|'depth_of_field': is not in this run"): run["depth_of_field"]
    with pytest.raises(UsageError, match="'color_ligt' is not installed.*Did you mean 'color_light'"): run.features(["color_ligt"])


def test_roles_mean_their_provider(run: Run) -> None:
    assert run.artifact("shots").meta["producer"] == run["shots"].attrs["producer"] == run.component("shots") == "sample_shots"
    manifests.upsert(run.paths, components=[ended("second")])
    write_artifact(samples.artifact(shots, seed=1), run.paths.artifact("second"))
    again = Run.open(run.dir)
    with pytest.raises(MissingInput, match=r"role 'shots': filled by \['sample_shots', 'second'\]"): again["shots"]
    manifests.upsert(run.paths, run={"roles": {"shots": "second", "motion": "toy_broken"}})
    again = Run.open(run.dir)
    assert again.component("shots") == "second"
    with pytest.raises(MissingInput, match="toy_broken: failed"): again["motion"]


def test_an_artifact_is_checked_to_the_last_value(run: Run) -> None:
    path = run.paths.artifact("sample_motion")
    raw = bytearray(path.read_bytes())
    at = raw.find(run.artifact("sample_motion").camera.tobytes())
    raw[at] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ArtifactError, match=r"sample_motion\.npz: content_digest.*redo=\['sample_motion'\]"): run.artifact("sample_motion")
    path.unlink()
    for ask in (lambda: run.artifact("motion"), lambda: run["sample_motion"], lambda: run.tree, run.overview, lambda: run.explain("sample_motion")):
        with pytest.raises(ArtifactError, match="it is not there. Compute it anew with redo=.'sample_motion'"): ask()


def test_explain_says_how_and_from_what(run: Run) -> None:
    assert run.explain("shots").stored["@how"] == "computed"
    manifests.upsert(run.paths, components=[ended("sample_shots", reused_from="r0")])
    assert Run.open(run.dir).explain("sample_shots").stored["@how"] == "reused from run r0"
    told = run.explain("sample_shots", {"component": "sample_shots", "version": "9"})
    assert not told.same["version"] and told.now["version"] == "9"


@pytest.fixture
def skipped(tmp_path: Path) -> Run:
    paths = RunPaths(tmp_path / "store", tmp_path / "work", "youtube", "v", "s")
    manifests.upsert(paths, run={"skip_reason": "video_unreadable", "notes": ["no <video> in it"]})
    return Run.open(paths.run_dir, tmp_path / "work")


def test_a_skipped_run_says_why(skipped: Run) -> None:
    assert skipped.status == "skipped" and list(skipped) == [] and skipped.table.empty and skipped.features().shape == (1, 0)
    assert "video_unreadable" in repr(skipped) and "&lt;video&gt;" in skipped._repr_html_() and not skipped.tree.children
    for ask in (lambda: skipped["color_light"], lambda: skipped.frames, lambda: skipped.audio, skipped.contact_sheet):
        with pytest.raises(MissingInput, match="the video was skipped: video_unreadable"): ask()
    assert any("video unreadable" in t.get_text() for t in skipped.overview().axes[0].texts) and skipped.timeline().png()


def test_an_overview_is_saved_in_any_format(run: Run, tmp_path: Path) -> None:
    for kind in ("png", "svg", "pdf"):
        for i in range(2): run.overview().savefig(tmp_path / f"{i}.{kind}")
        assert (tmp_path / f"0.{kind}").read_bytes() == (tmp_path / f"1.{kind}").read_bytes()
    assert len(run.overview().axes) == len(run.timeline().axes) + 1        # the list of components


def test_no_run_and_no_manifest_are_told_apart(tmp_path: Path, run: Run) -> None:
    with pytest.raises(UsageError, match="is no run"): Run.open(tmp_path)
    run.paths.manifest.write_text("{")
    with pytest.raises(ManifestError, match="manifest.json: cannot be read"): Run.open(run.dir)
    assert table(run.dir.parents[2]).iloc[0].status == "corrupt"


def test_run_escapes_what_came_from_outside(run: Run) -> None:
    page = run._repr_html_()
    assert "<b>&'" not in page and "<i>x" not in page and "&lt;b&gt;" in page
    assert not any(word in page for word in ("<script", "http", "url(", "<link", "<img"))


def test_run_keeps_its_tables(run: Run) -> None:
    assert list(run.table.status) == ["ok", "ok", "error"] and run.table.loc["toy_broken", "error"].startswith("internal: ")
    assert run.timings.share.sum() == pytest.approx(1.0)
    assert table(run.dir.parents[2]).iloc[0][["video_id", "status", "ok", "error"]].tolist() == ["v", "ok", 2, 1]
    assert repr(run).count("\n") == 6


def test_frames_are_read_and_purged(run: Run) -> None:
    assert len(run.frames) == 24
    with pytest.raises(MissingInput, match="not decoded"): run.audio            # noqa: B018
    (run.paths.frames_dir / "audio").mkdir()
    (run.paths.frames_dir / "audio" / "segments.json").write_text("{}")         # looked for sound, and there is none
    assert run.audio is None
    toy = run.frames_dir.frames("toy")
    assert toy.frame_indices.tolist() == [0, 2] and np.array_equal(toy[1], samples.frames()[2])
    assert len(run.contact_sheet().axes) == 2
    (run.paths.frames_dir / "video" / "metadata.json").unlink()
    for ask in (lambda: run.frames, lambda: run.audio, run.contact_sheet):
        with pytest.raises(MissingInput, match="purged"): ask()
    run.timeline()


def test_every_fault_of_a_frames_folder_is_said(run: Run) -> None:
    folder = run.paths.frames_dir
    good = open_frames_dir(folder).metadata
    wrong = {**good, "color_space": "BGR", "union_timestamps_sec": [0.0], "toy": {"frame_indices": [3, 2], "view": "full", "policy": {}}}
    assert len(metadata_faults(wrong)) == 3
    (folder / "video" / "metadata.json").write_text(json.dumps(wrong))
    with pytest.raises(ContractError, match=r"BGR.*toy\.view"): run.frames      # noqa: B018
    (folder / "video" / "metadata.json").write_text("{")
    with pytest.raises(ContractError, match="cannot be read"): run.frames       # noqa: B018
    assert len(pickle.loads(pickle.dumps(open_frames_dir_of(good, folder))).view("analysis")) == 24


def open_frames_dir_of(good: dict, folder: Path):
    (folder / "video" / "metadata.json").write_text(json.dumps(good))
    return open_frames_dir(folder)


# --- pictures -------------------------------------------------------------------------------------------------------------------

def test_pictures_are_the_same_each_time_and_leave_matplotlib_alone(run: Run, tmp_path: Path) -> None:
    import matplotlib as mpl
    import matplotlib.pyplot as plt
    with mpl.rc_context({"font.size": 31, "figure.facecolor": "red"}):
        before = dict(mpl.rcParams)
        one = [p.png() for p in (run.timeline(), run.contact_sheet(), run["sample_motion"].tf.plot())]
        assert dict(mpl.rcParams) == before and not plt.get_fignums()
    assert one == [p.png() for p in (run.timeline(), run.contact_sheet(), run["sample_motion"].tf.plot())]
    first, second = (run.timeline().save(tmp_path / f"{i}.svg").read_bytes() for i in range(2))
    assert first == second and b"<dc:date>" not in first


@pytest.mark.parametrize("kind", ["normal", "one", "empty"])
def test_pictures_cope_with_little(kind: str) -> None:
    cuts, flow = dataset(samples.artifact(shots, kind)), dataset(samples.artifact(motion, kind))
    pictures = samples.frames("one" if kind == "one" else "scene")
    plots.contact_sheet(pictures, cuts).png()
    plots.shot_strip(cuts, {"motion": flow.flow_mean}).png()
    plots.arrays(flow).png(), plots.arrays(cuts).png()
    plots.overview({"a": cuts, "b": flow}, frames=pictures, audio=samples.audio("short")).png()


def test_overview_of_nothing() -> None:
    assert plots.overview({}).png()[:4] == b"\x89PNG"
    assert plots.overview({}, audio=samples.audio("silence"), status=[("x", "error", "timeout")]).png()


def test_a_long_video_keeps_its_contact_sheet_small() -> None:
    edges = np.linspace(0, 1200, 301)
    cuts = xr.Dataset(coords={"shot_start_s": ("shot", edges[:-1]), "shot_end_s": ("shot", edges[1:])})
    assert len(plots.contact_sheet(samples.frames(), cuts, most=40).axes) == 40
    assert len(panels.ticks(1200.0)) <= 13 and len(panels.ticks(7200.0)) <= 13


def overlapping(figure) -> list[str]:
    "Texts that lie on one another or beyond the edge of a figure."
    from matplotlib.text import Text
    renderer = figure.canvas.get_renderer()
    texts = [t for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible() and (t.axes is None or t.axes.axison or t in t.axes.texts)]
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in texts]
    outside = [name for name, b in boxes if b.x0 < 0 or b.y0 < 0 or b.x1 > figure.bbox.x1 or b.y1 > figure.bbox.y1]

    def meet(a, b) -> bool: return min(a.x1, b.x1) - max(a.x0, b.x0) > 1.5 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1.5
    return outside + [f"{a} | {b}" for i, (a, x) in enumerate(boxes) for b, y in boxes[:i] if meet(x, y)]


def many_cuts(n: int) -> xr.Dataset:
    edges = np.linspace(0, n * 4.0, n + 1)
    kinds = (np.arange(n - 1) % 5).astype("int32")
    return xr.Dataset({"transition_kind": ("event", kinds)}, {"shot_start_s": ("shot", edges[:-1]), "shot_end_s": ("shot", edges[1:]),
        "event_start_s": ("event", edges[1:-1] - 0.3), "event_end_s": ("event", edges[1:-1] + 0.3)}, {"empty_reason": "", "status": "ok"})


@pytest.mark.parametrize("n", [1, 6, 66])
def test_no_text_lies_on_another(n: int) -> None:
    names = [("tempo", "ok", ""), ("lexico_static_features", "empty", "audio_missing_or_extract_failed"), ("core_optical_flow", "error", "dependency_failed")]
    status = [names[i % 3] for i in range(n)]
    views = {"cuts": many_cuts(3 * n), "flow": dataset(samples.artifact(motion, "empty" if n == 6 else "normal"))}
    figure = plots.overview(views, frames=samples.frames(), audio=samples.audio("short"), status=status, title="v" * n, note="youtube · run 0123456789ab · 1200.0 s · error")
    assert overlapping(figure) == []


def test_panels_of_every_component_that_runs_over_time_are_readable() -> None:
    made = {c.id: next(iter(cases(c)))[1] for c in discover().values() if not lacks(c)}
    views = {k: dataset(measure(discover()[k], given)) for k, given in made.items()}
    figure = plots.overview(views, status=[(k, "ok", "") for k in views], title="all", note="youtube")
    assert overlapping(figure) == [] and len(figure.axes) >= 6
    for ds in views.values(): assert overlapping(ds.tf.plot()) == []


@pytest.mark.parametrize("size", [(36, 64), (64, 36), (8, 200), (200, 8), (1, 1)])
def test_pictures_of_any_shape_fit(size: tuple[int, int]) -> None:
    from dataclasses import replace
    frames = samples.frames()
    odd = replace(frames, pixels=np.full((len(frames.pixels), *size, 3), 200, np.uint8))
    for figure in (plots.overview({}, frames=odd, title="odd"), plots.contact_sheet(odd, many_cuts(2), title="odd"), plots.contact_sheet(odd, None, title="odd")):
        assert overlapping(figure) == [] and max(figure.get_size_inches()) < 40


def test_importing_run_is_quick_and_light() -> None:
    "Beside numpy, which it cannot do without, and as CPU time: a busy machine slows both."
    code = ("import sys, time; start = time.process_time(); import numpy; numpy_s = time.process_time() - start; from trendflow import Run; "
            "print(numpy_s, time.process_time() - start - numpy_s, *sorted({'matplotlib', 'xarray', 'pandas', 'scipy', 'torch'} & set(sys.modules)))")
    out = [subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1], capture_output=True, text=True).stdout.split() for _ in range(5)]
    assert not out[0][2:], f"from trendflow import Run imports {out[0][2:]}"
    numpy_s, own_s = (min(float(o[i]) for o in out) for i in (0, 1))
    assert own_s < 3 * numpy_s          # 0.5 on a quiet machine


def test_matplotlib_waits_until_a_picture_is_asked_for(run: Run) -> None:
    code = f"import sys; from trendflow import Run; r = Run.open({str(run.dir)!r}); repr(r), r._repr_html_(), r.artifact('shots'); " \
           "assert not {'pandas', 'xarray'} & set(sys.modules); r['shots'], r.table; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])


def test_stills_of_one_long_shot_are_spread_over_it() -> None:
    n = 10
    clip = Frames(np.zeros((n, 4, 4, 3), np.uint8), np.arange(n), np.arange(n, dtype=np.int32), np.arange(n, dtype=np.int32), np.arange(n, dtype=float), 10.0)
    one_shot = xr.Dataset({"shot_start_s": ("shot", [0.0])})
    chosen = telling(clip, {}, one_shot, 4)
    assert chosen[0] == 0 and chosen[-1] == n - 1 and np.diff(chosen).max() <= 5
    assert telling(clip, {}, one_shot, 40) == list(range(n))
