"""The command line: what a person types, and what comes back."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from nas import cli
from nas.datasets import open_data
from tests.chaos.killing import Epochs
from tests.grids import first_of

TINY = ("--space", "mlp", "--epochs", "1", "--workers", "1", "--threads", "1", "--device", "cpu")


@pytest.mark.parametrize(
    "command",
    [[], ["search"], ["recipe"], ["show"], ["spaces"], ["data"], ["export"], ["inspect"], ["new-space"]],
)
def test_every_command_has_help_with_examples(nas, command):
    code, out, _ = nas(*command, "--help")
    assert code == 0
    assert "Usage" in out
    assert re.search(r"nas \w+", out.split("Usage")[1])


def test_help_needs_no_torch():
    check = """
import sys
import nas.cli
sys.argv = ["nas", "--help"]
try:
    nas.cli.main()
finally:
    print("torch" in sys.modules, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert done.stderr.strip() == "False"


def test_a_recipe_prints_as_the_file_that_reads_it_back(nas, tmp_path):
    _, printed, _ = nas("recipe", "--trials", 7, "--time-limit", "30m", "--space", "mlp")
    (tmp_path / "mine.toml").write_text(printed)
    code, again, _ = nas("recipe", "--recipe", "mine.toml")
    assert (code, again) == (0, printed)
    assert "trials = 7" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["serch"], "Did you mean 'search'"),
        (["search", "--trails", "3"], "--trials"),
        (["search", "--trials", "0"], "trials cannot be '0'"),
        (["search", "--trials", "x"], "trials cannot be 'x'"),
        (["search", "--time-limit", "soon"], "a duration such as 90s, 30m or 1h30m"),
        (["search", "--sampler", "tpo"], "'gp', 'random' or 'tpe'"),
        (["search", "--space", "cnn_fx"], "Did you mean 'cnn_fc'?"),
        (["search", "--space", "nowhere/space.py"], "there is no such file"),
        (["search", "--data", "digit"], "Did you mean 'digits'?"),
        (["search", "--data", "empty/"], "empty"),
        (["search", "--data", "broken"], "scratched.png"),
        (["search", "--recipe", "missing.toml"], "missing.toml cannot be read"),
        (["search", "--recipe", "bad.toml"], "bad.toml is not valid TOML"),
        (["search", "--space", "mine.py"], "mine.py, line 2: NameError"),
        (["search", "--device", "gpu"], "No device is called 'gpu'"),
        (["search", "--device", "cuda:99"], "This machine has no device 'cuda:99'"),
        (["search", "--study", "a/b"], "A study cannot be called 'a/b'"),
        (["search", "--storage", "nosuch://host"], "is no database URL"),
        (["search", "--storage", "sqlite:///bad.toml"], "bad.toml is no SQLite database"),
        (["search", "--folder", "bad.toml/below"], "cannot be written"),
        (["show"], "There is no study yet"),
        (["show", "--storage", "sqlite:///bad.toml"], "is no SQLite database"),
        (["show", "--trial", "x"], "--trial"),
        (["spaces", "cnn_fx"], "Did you mean 'cnn_fc'?"),
    ],
    ids=" ".join,
)
def test_what_the_user_can_mend_is_one_clear_line_and_exit_code_2(nas, tmp_path, arguments, message):
    (tmp_path / "bad.toml").write_text("this is = = no recipe")
    (tmp_path / "mine.py").write_text("import math\nwidth = heigth\n")
    (tmp_path / "empty").mkdir()
    for name in ("cat", "dog"):
        (tmp_path / "broken" / name).mkdir(parents=True)
        for index in range(10):
            Image.new("L", (8, 8), index).save(tmp_path / "broken" / name / f"{index}.png")
    (tmp_path / "broken" / "cat" / "scratched.png").write_bytes(b"\x89PNG\r\n\x1a\n no image")
    code, out, err = nas(*arguments)
    assert code == 2
    assert message in err
    assert err.startswith("nas: ")
    assert err.count("\n") == 1
    assert "Traceback" not in out + err


def test_a_search_a_second_one_and_what_show_tells_of_them(nas):
    code, out, _ = nas("search", *TINY, "--trials", 2)
    assert code == 0
    for said in ("fc1", "classifier", "nas show mlp-digits", "studies/nas.db"):
        assert said in out

    code, out, _ = nas("search", *TINY, "--trials", 3, "--quiet")
    assert (code, out.count("\n")) == (0, 1)

    code, out, _ = nas("show", "--json")
    shown = json.loads(out)
    assert (code, shown["study"], shown["counts"]["completed"]) == (0, "mlp-digits", 3)
    assert [trial["number"] for trial in shown["trials"]] == [0, 1, 2]
    for trial in shown["trials"]:
        assert (trial["state"], trial["outcome"], trial["reason"]) == ("COMPLETE", "completed", None)
        assert trial["value"] == trial["epochs"][-1]["val_accuracy"]
        assert trial["num_parameters"] > 0
        assert trial["versions"]["torch"]
        assert (trial["device"], type(trial["seed"])) == ("cpu", int)
    assert shown["best"]["value"] == max(trial["value"] for trial in shown["trials"])
    assert shown["best"]["params"]
    data = open_data("digits")
    assert (shown["data"]["fingerprint"], shown["data"]["split_digest"]) == (
        data.fingerprint,
        data.split_digest,
    )

    code, out, _ = nas("show", "mlp-digits", "--trial", 1)
    assert code == 0
    assert "classifier" in out
    code, out, _ = nas("show", "mlp-digits", "--trial", 1, "--json")
    one = json.loads(out)
    assert [each["name"] for each in one.pop("recalls")] == list("0123456789")
    assert one == shown["trials"][1]
    code, _, err = nas("show", "--trial", 9)
    assert (code, err) == (2, "nas: Study 'mlp-digits' has no trial 9. It has trials 0 to 2.\n")
    code, _, err = nas("show", "mlp-digit")
    assert code == 2
    assert "Did you mean 'mlp-digits'?" in err


@pytest.mark.usefixtures("scripted")
def test_the_database_may_be_named_in_the_environment(nas, monkeypatch, tmp_path):
    monkeypatch.setenv("NAS_STORAGE", f"sqlite:///{tmp_path}/elsewhere.db")
    nas("search", *TINY, "--trials", 1, "--quiet")
    assert (tmp_path / "elsewhere.db").exists()
    assert not (tmp_path / "studies" / "nas.db").exists()
    assert json.loads(nas("show", "--json")[1])["counts"]["completed"] == 1


@pytest.mark.usefixtures("scripted")
def test_other_settings_that_make_trials_incomparable_are_refused(nas):
    nas("search", *TINY, "--trials", 1, "--quiet")
    code, _, err = nas("search", "--space", "mlp", "--epochs", 5)
    assert code == 2
    assert "epochs 1 (asked: 5)" in err
    assert "--study OTHER" in err


def test_spaces_lists_the_spaces_and_the_parameters_of_one(nas):
    code, out, _ = nas("spaces")
    assert code == 0
    assert "cnn_fc" in out
    assert "mlp" in out
    code, out, _ = nas("spaces", "cnn_fc")
    assert code == 0
    for parameter in ("conv_stages", "log2_filters", "optimizer", "schedule"):
        assert parameter in out


def test_the_best_network_is_exported_once_there_is_one(nas, tmp_path):
    assert nas("export")[0] == 2, "there is nothing to export yet"
    nas("search", *TINY, "--trials", 1, "--quiet")
    code, out, _ = nas("export", "--out", "mine", "--format", "source")
    assert code == 0
    assert "read back in fresh processes on 269 validation images" in out
    assert (tmp_path / "mine" / "model.py").exists()  # tests/exporters run it

    code, _, err = nas("export", "--format", "sources", "--out", "other")
    assert code == 2
    assert "Did you mean 'source'?" in err
    code, _, err = nas("export", "--trial", 7)
    assert code == 2
    assert "has no trial 7" in err


def test_inspect_tells_what_a_network_costs_before_it_is_trained(nas):
    chosen = ("--set", "conv_stages=2", "--set", "log2_filters=5")
    code, out, _ = nas("inspect", "--space", "cnn_fc", *chosen, "--memory-cap", "1GiB")
    assert code == 0
    for said in ("14,122", "45,888", "optimizer state", "Fits the memory cap in batches of 32 x 1"):
        assert said in out
    code, out, _ = nas("inspect", "--space", "cnn_fc", *chosen, "--memory-cap", "10KiB")
    assert code == 0
    assert "Does not fit: needs" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--space=cnn_fc", "--set", "conv_stages"], "--set takes name=value, not 'conv_stages'"),
        (["--space=cnn_fc", "--set", "conv_stage=2"], "Did you mean 'conv_stages'?"),
        (["--space=cnn_fc", "--set", "conv_stages=9"], "conv_stages cannot be '9'. It lies between 1 and 2."),
        (["--space=cnn_fc", "--set", "optimizer=lion"], "optimizer cannot be 'lion'. Choices: sgd, adam"),
        (["--space=cnn_fc", "--memory-cap", "lots"], "'lots' is no amount of memory"),
        (["--space=cnn_fc", "--device", "gpu"], "--device"),
        (["--space=cnn_fc", "--trial", "3"], "A study with --trial, or a --space"),
        (["study", "--set", "conv_stages=2"], "--set chooses the parameters of a --space"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_inspected_is_one_clear_line(nas, arguments, message):
    code, _, err = nas("inspect", *arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_a_dataset_is_shown_with_its_counts_and_its_images(nas, tmp_path):
    code, out, _ = nas("data", "digits", "--sheet", "sheet.png")
    assert code == 0
    assert "1×8×8, 10 classes" in out
    assert Image.open(tmp_path / "sheet.png").width > 500
    assert "digits" in nas("data")[1].split()
    code, _, err = nas("data", "digit")
    assert code == 2
    assert "Did you mean 'digits'?" in err


def test_the_cache_is_cleared_on_demand(nas, tmp_path, monkeypatch):
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "cache"))
    nas("data", "digits")
    assert list((tmp_path / "cache" / "datasets").glob("digits-*"))
    code, out, _ = nas("data", "--clear")
    assert code == 0
    assert "deleted" in out
    assert not list((tmp_path / "cache" / "datasets").glob("digits-*/info.json"))


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "nas", "search", *TINY[:2], *TINY[4:], *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def wait_for_an_epoch(folder: Path) -> None:
    epochs = Epochs(f"sqlite:///{folder}/studies/nas.db")
    while not epochs.trained():
        time.sleep(0.05)


@pytest.mark.parametrize("times", first_of(1, [2, 1]))
def test_ctrl_c_once_stops_cleanly_and_twice_at_once_and_nothing_stays_running(nas, tmp_path, times):
    search = start(tmp_path, "--epochs", "100000", "--trials", "2")
    wait_for_an_epoch(tmp_path)
    for _ in range(times):
        search.send_signal(signal.SIGINT)
    out, err = search.communicate()
    assert search.returncode == 130
    assert "Traceback" not in out + err
    shown = json.loads(nas("show", "--json")[1])
    assert shown["counts"]["running"] == 0
    assert shown["counts"]["interrupted"] == 1


@pytest.mark.usefixtures("scripted")
def test_a_search_that_has_nothing_left_to_train_ends_at_once_without_a_word_of_complaint(nas, tmp_path):
    nas("search", *TINY, "--trials", 1, "--quiet")
    search = start(tmp_path, "--epochs", "1", "--trials", "1", "--quiet")
    _, err = search.communicate()
    assert (search.returncode, err) == (0, "")


def test_a_second_driver_is_refused_with_the_name_of_the_first(nas, tmp_path):
    search = start(tmp_path, "--epochs", "100000", "--trials", "2")
    try:
        wait_for_an_epoch(tmp_path)
        code, _, err = nas("search", *TINY[:2])
        assert code == 2
        assert f"already being searched by process {search.pid}" in err
    finally:
        search.kill()
        search.communicate()
    code, _, _ = nas("search", *TINY[:2], "--study", "mlp-digits", "--time-limit", "0.1", "--quiet")
    assert code == 0, "a killed driver leaves no lock"


@pytest.mark.usefixtures("scripted")
def test_piped_output_has_no_control_characters(nas):
    code, out, err = nas("search", *TINY, "--trials", 2)
    assert code == 0
    assert "\x1b" not in out + err
    assert len(re.findall(r"completed", out)) >= 2


in_the_command_line = pytest.mark.parametrize(
    ("form", "url"),
    [
        (["--storage", "{url}"], "me:secret@{server}/studies"),
        (["--storage={url}"], "{server}/studies?user=me&password=secret"),
    ],
)


class Replaced(Exception):
    """This process by another."""


@pytest.mark.skipif(os.name != "posix", reason="a process cannot change its command line there")
@in_the_command_line
def test_the_password_of_a_database_moves_from_the_command_line_into_the_environment(monkeypatch, form, url):
    def execv(*command):
        raise Replaced(*command)

    url = "postgresql://" + url.format(server="127.0.0.1:1")
    arguments = ["show", *(part.format(url=url) for part in form)]
    monkeypatch.setattr(sys, "argv", ["nas", *arguments])
    monkeypatch.setattr(sys, "orig_argv", [sys.executable, "-m", "nas", *arguments])
    monkeypatch.setattr(os, "execv", execv)
    monkeypatch.setenv("NAS_STORAGE", "another")
    with pytest.raises(Replaced) as replaced:
        cli.main()
    assert replaced.value.args == (sys.executable, [sys.executable, "-m", "nas", "show"])
    assert os.environ["NAS_STORAGE"] == url


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="a process cannot change its command line there")
@pytest.mark.usefixtures("real_start")
@in_the_command_line
def test_a_process_list_does_not_show_the_password_of_a_database(form, url):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # a server that never answers keeps it waiting
        url = "postgresql://" + url.format(server=f"127.0.0.1:{silent.getsockname()[1]}")
        arguments = [part.format(url=url) for part in form]
        with subprocess.Popen([sys.executable, "-m", "nas", "show", *arguments]) as process:
            connection, _ = silent.accept()
            shown = psutil.Process(process.pid).cmdline()
            process.kill()
            connection.close()
    assert shown[-1] == "show"


@pytest.mark.slow
def test_two_networks_are_shown_side_by_side_with_the_saving(nas, tmp_path):
    images = np.zeros((40, 32, 32, 3), np.uint8)
    np.savez(tmp_path / "images.npz", images=images, labels=np.arange(40) % 10)
    settings = ("--data", tmp_path / "images.npz", "--memory-cap", "8MiB")
    code, out, _ = nas("inspect", "--space", "cnn_400", "--versus", "cnn_bottleneck", *settings)
    assert code == 0
    assert "cnn_400 on images: Does not fit" in out
    assert "cnn_bottleneck: Fits the memory cap" in out
    first = 3 * 9 * 32 + 32 + 32 * 9 * 64 + 64 + (64 * 8 * 8 + 1) * 400 + 401 * 10
    second = 3 * 9 * 32 + 32 + 32 * 9 * 64 + 64 + 65 * 10 + (10 * 8 * 8 + 1) * 200 + 201 * 10
    assert f"{first - second:,} ({1 - second / first:.1%})" in out
