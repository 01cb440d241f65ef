"""A wheel carries the kernels: who installs it needs no compiler."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from benchmarks.support import tiny
from tests.support.kernels import needs_kernels
from tui.host import kernel_compiler
from tui.worker.kernels import build

pytestmark = [needs_kernels, pytest.mark.slow]

ROOT = Path(__file__).parents[3]


def pip(python: Path, *args: str, **variables: str) -> None:
    command = [str(python), "-m", "pip", "--disable-pip-version-check", *args]
    subprocess.run(command, check=True, env=os.environ | variables)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment, which has this one's other packages."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    # As other packages: what is installed there comes first. `addsitedir` also heeds their .pth.
    seen = [path for path in sys.path if path.endswith("-packages")]
    (packages / "zz.pth").write_text(
        "\n".join(f"import site; site.addsitedir({p!r})" for p in seen)
    )
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def wheels(python: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {}
    for prebuilt in ("0", "1"):
        folder = tmp_path_factory.mktemp("wheel")
        given = ("wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT))
        pip(python, *given, DUIBI_PREBUILT=prebuilt)
        (made[prebuilt],) = folder.iterdir()
    return made


def test_one_wheel_is_for_every_platform_and_one_carries_the_kernels(
    wheels: dict[str, Path],
) -> None:
    assert wheels["0"].name.endswith("-py3-none-any.whl")
    assert f"_{os.uname().machine}.whl" in wheels["1"].name and "-manylinux_2_" in wheels["1"].name
    names = [zipfile.ZipFile(one).namelist() for one in wheels.values()]
    assert not any(name.endswith(".so") for name in names[0])
    best = kernel_compiler.library_file_name(build._usable_variants()[0])
    assert f"tui/worker/kernels/prebuilt/{best}" in names[1]


def copy_source(folder: Path) -> set[str]:
    """What is kept under version control, copied with rights for its owner alone; the names."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a clone of the source")
    names = set(listed.stdout.splitlines())
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
        (folder / name).chmod((ROOT / name).stat().st_mode & 0o700)
    return names


def build_all(python: Path, source: Path, folder: Path, umask: int, zone: str) -> dict[str, bytes]:
    """The names of the sdist and the wheel of a source, and what is in them."""
    pip(python, "install", "--quiet", "hatchling")
    command = [str(python), "-m", "hatchling", "build", "-t", "sdist", "-t", "wheel", "-d"]
    variables = os.environ | {"TZ": zone, "SOURCE_DATE_EPOCH": "1577836800"}
    subprocess.run([*command, str(folder)], check=True, cwd=source, env=variables, umask=umask)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_source_makes_the_same_bytes_in_another_folder(
    python: Path, tmp_path: Path
) -> None:
    """Also with other rights of the files, for another umask, and in another time zone."""
    copy = tmp_path / "another place"
    copy_source(copy)
    made = build_all(python, ROOT, tmp_path / "made", 0o022, "UTC")
    assert len(made) == 2
    assert build_all(python, copy, tmp_path / "again", 0o077, "Asia/Shanghai") == made


def test_the_source_holds_what_is_kept_under_version_control_and_nothing_else(
    python: Path, tmp_path: Path
) -> None:
    """Names of ours in a folder of others, which lies beside them, are not ours."""
    copy = tmp_path / "copy"
    names = copy_source(copy)
    for name in ("README.md", "tui/a.py", "docs/b.md"):
        (copy / "elsewhere" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / "README.md", copy / "elsewhere" / name)
    pip(python, "install", "--quiet", "hatchling")
    build = [str(python), "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path / "made")]
    subprocess.run(build, check=True, cwd=copy)
    (made,) = (tmp_path / "made").iterdir()
    with tarfile.open(made) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert held ^ names == {"PKG-INFO"}


def test_an_installed_wheel_replays_its_recordings_from_another_folder(
    wheels: dict[str, Path], python: Path, tmp_path: Path
) -> None:
    pip(python, "install", "--quiet", "--no-deps", "--force-reinstall", str(wheels["0"]))
    for line, wanted in {
        "replay english --plain --speed max": "tok/s",
        "sessions list": "english, tongji",
        "help services --lang zh": "服务",
        "help readme": "# duibi",
    }.items():
        command = [str(python), "-P", "-m", "tui", *line.split()]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert wanted in done.stdout + done.stderr


def test_an_installed_wheel_computes_by_its_kernels_and_calls_no_compiler(
    wheels: dict[str, Path], python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip(python, "install", "--quiet", "--no-deps", "--force-reinstall", str(wheels["1"]))
    checkpoint = tiny.write_llama(tmp_path / "tiny")
    (checkpoint / "generation_config.json").write_text("{}")
    # Before compilers fail: this process may have to compile them first.
    kernels, called = build.variant_name(), tmp_path / "called"
    for name in kernel_compiler._COMPILERS:
        compiler = tmp_path / "bin" / name
        compiler.parent.mkdir(exist_ok=True)
        compiler.write_text(f"#!/bin/sh\necho {name} >> {called}\nexit 1\n")
        compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    cache = tmp_path / "empty"
    monkeypatch.setenv("DUIBI_CACHE_DIR", str(cache))
    command = [str(python), "-P", "-m", "tui", "bench", f"{checkpoint}@int8", "--json"]
    command += ["--prompt", "16", "--new", "2", "--repeat", "1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"int8, own kernels, {kernels}" in done.stderr
    assert json.loads(done.stdout)["results"][0]["kernels"] == kernels
    assert not called.exists() and not (cache / "kernels").exists()
