"""Build one zip per function, with bytecode for its runtime, and check that the bytecode is used.

    python scripts/build.py [--runtime python3.13] [--architecture x86_64|arm64] [--mappings mappings] [--out build]

A zip holds the function's package, `common` and the third-party code that it needs. boto3 is part of the runtime.
The zips of a pipeline also hold the mappings with their prepare files, so that a rollback brings the old mapping back
with the old code. The same input gives the same bytes: names are sorted, times and modes are fixed. `manifest.json`
beside the zips names their runtime, which Terraform reads, and the hashes of zips and mappings. `sbom.cdx.json` names
the third-party code in them. Every file that is fetched must have a hash of `requirements.txt`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from backstream import __version__
from supply_chain import wheels
from supply_chain.lock import LOCK, Pin, locked_versions
from supply_chain.sbom import FILE_NAME, BuiltZip, bill_of_materials
from supply_chain.wheels import DownloadError, Wheel, closure, download, lambda_environment

ROOT = Path(__file__).resolve().parent.parent
PROOF = Path(__file__).resolve().with_name("prove_bytecode.py")
CHECK = Path(__file__).resolve().with_name("check_mappings.py")

# The direct requirements of each package. A package that is not listed gets everything in requirements.txt.
NEEDS = {
    "api": ("aws-lambda-powertools", "aws-xray-sdk", "jsonschema"),
    "stream_consumer": ("aws-lambda-powertools", "aws-xray-sdk", "certifi", "PyMySQL"),
    "dlq_replayer": ("aws-lambda-powertools", "aws-xray-sdk", "certifi", "jsonschema", "msgspec", "PyMySQL"),
    "monitor": ("aws-lambda-powertools", "aws-xray-sdk", "PyMySQL"),  # a mapping names MySQL's types
    "reconciler": ("aws-lambda-powertools", "aws-xray-sdk", "certifi", "jsonschema", "msgspec", "PyMySQL"),
}
# The packages whose zips contain the mappings.
MAPPED = {"stream_consumer", "dlq_replayer", "monitor", "reconciler"}
MAPPINGS = "mappings"  # the folder in a zip, beside `common`
MAPPING_SCHEMA = "mapping.schema.json"
WHEELS = "wheels.json"  # in the folder of a package's requirements: its wheels and their hashes
# boto3 and its own requirements: Lambda's Python runtimes have them.
IN_RUNTIME = {"boto3", "botocore", "s3transfer", "python-dateutil", "six", "urllib3"}

RUNTIMES = ("python3.11", "python3.12", "python3.13")  # the provider in versions.tf has no later one
WHEEL_PLATFORM = {"x86_64": "manylinux2014_x86_64", "arm64": "manylinux2014_aarch64"}
ARCHITECTURE = {"x86_64": "x86_64", "amd64": "x86_64", "arm64": "arm64", "aarch64": "arm64"}

# The earliest time that a zip can hold, and plain read permissions: nothing depends on the building machine.
ZIP_TIME = (1980, 1, 1, 0, 0, 0)
ZIP_MODE = 0o100644 << 16

COMPILED = (".so", ".pyd", ".dylib")
DROPPED_FOLDERS = {"tests", "test", "benchmarks", "__pycache__", "bin"}
DROPPED_SUFFIXES = (".pyi", ".pyc", "py.typed", ".c", ".pyx")


class BuildError(Exception):
    """A step of the build failed; the message says which and what to do."""


@dataclass(frozen=True)
class BuildTarget:
    """The runtime of the zips, and the interpreter of the same version that compiles for it."""

    runtime: str
    architecture: str
    interpreter: Path

    @property
    def version(self) -> str:
        return self.runtime.removeprefix("python")


@dataclass(frozen=True)
class BuildInput:
    """The folder of the packages; by their names in the zip, the checked mappings and their prepare files."""

    source: Path
    mappings: dict[str, Path]


def progress(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def run(step: str, hint: str, command: list[str], **environment: str) -> str:
    """Run a command and return its output. Raises BuildError with the hint and the output when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    if done.returncode:
        raise BuildError(f"{step} failed: {hint}\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout


# The machine and its interpreters


def own_version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def machine() -> str:
    return ARCHITECTURE.get(platform.machine().lower(), "x86_64")


def interpreters(version: str) -> Iterable[Path]:
    if version == own_version():
        yield Path(sys.executable)
    on_path = shutil.which(f"python{version}")
    if on_path:
        yield Path(on_path)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"))


def is_version(interpreter: Path, version: str) -> bool:
    """Runs it: a shim on PATH may have no interpreter behind it."""
    ask = [str(interpreter), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    done = subprocess.run(ask, capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stdout.strip() == version


def find_interpreter(runtime: str) -> Path:
    if runtime not in RUNTIMES:  # argparse does not check a default against the choices
        raise BuildError(f"{runtime} cannot be deployed: pass --runtime, one of {', '.join(RUNTIMES)}")
    version = runtime.removeprefix("python")
    for candidate in interpreters(version):
        if is_version(candidate, version):
            return candidate
    raise BuildError(
        f"no Python {version} found to compile bytecode for {runtime}: install Python {version}, "
        f"or pass --runtime with a version you have (this one is python{own_version()})"
    )


# Third-party code


def needs(package: str) -> tuple[str, ...]:
    """The direct requirements of a package. Raises BuildError for one that the lock does not have."""
    pinned = locked_versions()
    names = tuple(canonicalize_name(name) for name in NEEDS.get(package, tuple(pinned)))
    missing = [name for name in names if name not in pinned]
    if missing:
        raise BuildError(f"{package} needs {missing}, which requirements.txt does not pin: add it to requirements.in")
    return names


def fetch(pins: list[Pin], into: Path, *options: str) -> list[Wheel]:
    progress(f"  fetching {', '.join(pin.name for pin in pins)}")
    try:
        return download(pins, into, *options)
    except DownloadError as error:
        hint = "pip must reach its index, and find wheels there that have a hash of requirements.txt"
        raise BuildError(f"downloading wheels failed: {hint}\n{error}") from error


def lambda_wheels(target: BuildTarget, cache: Path) -> list[Wheel]:
    """Everything in the lock, for the target; fetched once for all packages."""
    options = ["--platform", WHEEL_PLATFORM[target.architecture], "--implementation", "cp"]
    options += ["--python-version", target.version]
    folder = cache / f"wheels-{cache_key(target, ())}"
    once(folder, lambda new: fetch(list(locked_versions().values()), new, *options))
    return [Wheel(path) for path in sorted(folder.glob("*.whl"))]


def machine_wheels(target: BuildTarget, compiled: list[Wheel], into: Path) -> list[Wheel]:
    """Compiled wheels for this machine, where emulators run the functions and the proof imports them.

    The names of compiled files contain interpreter and platform, so that they do not replace Lambda's.
    """
    same = platform.system() == "Linux" and machine() == target.architecture
    versions = {own_version(), target.version} - ({target.version} if same else set())
    pins = [locked_versions()[wheel.name] for wheel in compiled]
    found: list[Wheel] = []
    for version in sorted(versions) if pins else []:
        try:
            found += fetch(pins, into / version, "--python-version", version)
        except BuildError:
            progress(f"  no wheels of these for Python {version} here: emulators cannot run this zip")
    return found


def wanted(name: str) -> bool:
    """Whether a file of a wheel goes into a zip: code, data, metadata and licences do."""
    *folders, file = name.split("/")
    if folders and folders[0].endswith(".dist-info"):
        return file == "METADATA" or "licenses" in folders or file.startswith(("LICENSE", "NOTICE"))
    if folders and folders[0].endswith((".data", "-stubs")):
        return False
    return not DROPPED_FOLDERS.intersection(folders) and not file.endswith(DROPPED_SUFFIXES)


def unpack(wheel: Path, into: Path, keep: Callable[[str], bool]) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if keep(name) and not name.endswith("/") and not (into / name).exists():
                archive.extract(name, into)


def cache_key(target: BuildTarget, what: tuple[str, ...]) -> str:
    """A hash of everything that the result depends on, the scripts included."""
    parts = [*what, *(path.read_text() for path in (LOCK, Path(__file__), Path(wheels.__file__)))]
    parts += [target.runtime, target.architecture, own_version(), platform.platform()]
    parts += [run("asking", "broken", [str(target.interpreter), "-VV"])]
    return sha256(*(part.encode() for part in parts))[:16]


def once(folder: Path, fill: Callable[[Path], object]) -> None:
    """Fills `folder` when it does not exist. Filled under another name and renamed, it is whole or not there."""
    if folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        fill(Path(scratch, "new"))
        try:
            Path(scratch, "new").rename(folder)
        except OSError:  # a simultaneous build was first
            if not folder.exists():
                raise


def fill(target: BuildTarget, what: tuple[str, ...], fetched: list[Wheel], folder: Path) -> None:
    """Writes what goes into the zip, compiled, to `folder/site`, and what Lambda has already to `folder/runtime`.

    `folder/wheels.json` holds the hashes of the wheels in `site`, by their file names.
    """
    needed = closure([*what, "boto3"], fetched, lambda_environment(target.version, target.architecture))
    for wheel in needed:
        unpack(wheel.path, folder / ("runtime" if wheel.name in IN_RUNTIME else "site"), wanted)
    zipped = [wheel for wheel in needed if wheel.name not in IN_RUNTIME]
    with tempfile.TemporaryDirectory() as scratch:
        local = machine_wheels(target, [wheel for wheel in zipped if not wheel.is_pure], Path(scratch))
        for wheel in local:
            unpack(wheel.path, folder / "site", lambda name: name.endswith(COMPILED))
        write_json(folder / WHEELS, {wheel.path.name: wheel.sha256() for wheel in [*zipped, *local]})
    compile_tree(target, folder / "site")


def third_party(target: BuildTarget, package: str, cache: Path) -> Path:
    """The cached folder of a package's requirements; filled when it does not exist."""
    what = needs(package)
    folder = cache / cache_key(target, what)
    once(folder, lambda new: fill(target, what, lambda_wheels(target, cache), new))
    return folder


# Mappings


def mapping_files(folder: Path) -> dict[str, Path]:
    """By file name, the mappings of `folder` and their prepare files. Raises BuildError with every problem."""
    found = {path.name: path for path in sorted(folder.glob("*.json")) if path.name != MAPPING_SCHEMA}
    if not found:
        raise BuildError(f"no mapping found: {folder} has no .json file besides {MAPPING_SCHEMA}; see --mappings")
    own = {"PYTHONPATH": os.pathsep.join(str(ROOT / name) for name in ("lambdas", "scripts"))}
    hint = "correct what is listed; requirements.txt must be installed for the Python that runs this"
    run(f"checking {folder}", hint, [sys.executable, str(CHECK), *map(str, found.values())], **own)
    prepared = (json.loads(path.read_bytes()).get("prepare") for path in list(found.values()))
    return found | {name: folder / name for name in sorted({name for name in prepared if name})}


# Bytecode and zips


def compile_tree(target: BuildTarget, tree: Path) -> None:
    """Compile every module to bytecode that is loaded without checking its source: the zip's times are fixed.

    Paths inside the bytecode are Lambda's, and a fixed hash seed fixes the order of constant sets: the bytes do not
    depend on when and where they were made.
    """
    command = [str(target.interpreter), "-m", "compileall", "-q", "-f"]
    command += ["--invalidation-mode", "unchecked-hash", "-s", str(tree), "-p", "/var/task", str(tree)]
    run("compiling", "the source does not compile for this runtime", command, PYTHONHASHSEED="0")


def stage(target: BuildTarget, package: str, given: BuildInput, into: Path) -> None:
    for name in (package, "common"):
        if (given.source / name).is_dir():
            skip = shutil.ignore_patterns("__pycache__", "*.pyc", ".*", "py.typed")
            shutil.copytree(given.source / name, into / name, ignore=skip)
    for name, file in given.mappings.items() if package in MAPPED else ():
        (into / MAPPINGS).mkdir(exist_ok=True)
        shutil.copyfile(file, into / MAPPINGS / name)
    compile_tree(target, into)


def files(*trees: Path) -> dict[str, Path]:
    return {p.relative_to(tree).as_posix(): p for tree in trees for p in tree.rglob("*") if p.is_file()}


def write_zip(content: dict[str, Path], destination: Path) -> None:
    """Replaces the zip in one step: a simultaneous Terraform run never reads half of it."""
    handle, temporary = tempfile.mkstemp(dir=destination.parent, suffix=".zip")
    os.close(handle)
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name in sorted(content):
            entry = zipfile.ZipInfo(name, ZIP_TIME)
            entry.external_attr, entry.create_system = ZIP_MODE, 3
            archive.writestr(entry, content[name].read_bytes(), zipfile.ZIP_DEFLATED, 6)
    Path(temporary).chmod(0o644)
    Path(temporary).replace(destination)


def write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")


def sha256(*contents: bytes) -> str:
    return hashlib.sha256(b"\0".join(contents)).hexdigest()


def prove_once(target: BuildTarget, archive: Path, package: str, libraries: Path) -> None:
    """Proves a zip once: the same bytes and interpreter give the same result."""
    known = libraries / f"proven-{sha256(archive.read_bytes(), PROOF.read_bytes())}"
    if not known.exists():
        prove(target, archive, package, libraries / "runtime")
        known.touch()


def prove(target: BuildTarget, archive: Path, package: str, runtime: Path) -> None:
    """Import the function from its zip in the interpreter of its runtime, with boto3 and nothing else."""
    with tempfile.TemporaryDirectory() as scratch:
        with zipfile.ZipFile(archive) as content:
            content.extractall(scratch)
        tree = Path(scratch).resolve()
        command = [str(target.interpreter), "-P", "-S", str(PROOF), str(tree), package]
        hint = "the zip does not load from its own bytecode, so it would start slowly or not at all"
        # Empty is unset: both would make the interpreter look for other bytecode than Lambda does.
        plain = {"PYTHONOPTIMIZE": "", "PYTHONPYCACHEPREFIX": ""}
        run(f"proving {archive.name}", hint, command, PYTHONPATH=f"{tree}{os.pathsep}{runtime}", **plain)


def build_one(target: BuildTarget, package: str, given: BuildInput, out: Path, cache: Path) -> BuiltZip:
    libraries = third_party(target, package, cache)
    with tempfile.TemporaryDirectory() as scratch:
        stage(target, package, given, Path(scratch))
        archive = out / f"{package}.zip"
        write_zip(files(libraries / "site", Path(scratch)), archive)
    prove_once(target, archive, package, libraries)
    progress(f"  {archive.name}: {archive.stat().st_size // 1024} KiB, loads from its bytecode")
    return BuiltZip(archive, json.loads((libraries / WHEELS).read_text()))


def packages(source: Path) -> list[str]:
    found = sorted(path.parent.name for path in source.glob("*/handler.py"))
    if not found:
        raise BuildError(f"no function found: {source} has no folder with a handler.py")
    return found


def build(target: BuildTarget, given: BuildInput, out: Path, cache: Path) -> None:
    progress(f"building for {target.runtime} on {target.architecture} with {target.interpreter}")
    out.mkdir(parents=True, exist_ok=True)
    zips = [build_one(target, package, given, out, cache) for package in packages(given.source)]
    digests = {built.path.name: sha256(built.path.read_bytes()) for built in zips}
    mappings = {name: sha256(file.read_bytes()) for name, file in sorted(given.mappings.items())}
    manifest = {"runtime": target.runtime, "architecture": target.architecture, "zips": digests, "mappings": mappings}
    write_json(out / "manifest.json", manifest)
    (out / FILE_NAME).write_text(bill_of_materials(zips, __version__))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--runtime",
        choices=RUNTIMES,
        default=f"python{own_version()}",
        help="Lambda's runtime; default: the version of the Python that runs this",
    )
    parser.add_argument("--architecture", choices=WHEEL_PLATFORM, default=machine(), help="default: this machine's")
    parser.add_argument("--mappings", type=Path, default=ROOT / "mappings", help="folder of the mappings")
    parser.add_argument("--out", type=Path, default=ROOT / "build", help="folder for zips and their lists")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / ".cache", help="folder for what pip fetched")
    parser.add_argument("--source", type=Path, default=ROOT / "lambdas", help="folder of the packages")
    return parser.parse_args()


def main() -> int:
    given = arguments()
    try:
        target = BuildTarget(given.runtime, given.architecture, find_interpreter(given.runtime))
        what = BuildInput(given.source.resolve(), mapping_files(given.mappings.resolve()))
        build(target, what, given.out.resolve(), given.cache.resolve())
    except BuildError as error:
        progress(f"build: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
