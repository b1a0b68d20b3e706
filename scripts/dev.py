"""Set up the project's own environment and run what a developer runs: ``python3 scripts/dev.py COMMAND [ARGS]``.

    demo [ARGS]         set up what the demo needs, and run `vision-stream demo ARGS` until Ctrl-C
    test [--yolo] [ARGS]  set up, lint, and run the tests; ARGS go to pytest; --yolo (or CI=1) adds ultralytics, 6 GB
    lint                ruff, pyright and import-linter alone
    setup [--yolo]      only set up, for development
    audit               look for known holes in what requirements.lock pins; asks PyPI
    lock                write requirements.lock and the list of Kafka's jars anew
    clean               remove the environment, caches and what processes wrote

Needs Python 3.11 or later and nothing else: it makes .venv, and installs into it what requirements.lock names, with
every file's hash checked. Done again only when the lock changes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.lock"
MARKER = VENV / "installed.json"  # what of which lock is in the environment
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")

SECTIONS = ("demo", "dev", "yolo")  # of the lock, each with what the ones before it lack
TOOLS = ("uv", "setuptools>=77")  # to install with, and to build the project itself with
SCRATCH = (".pytest_cache", ".ruff_cache", ".import_linter_cache", ".hypothesis", "build", "dist", "var", "logs")


def main(argv: list[str]) -> int:
    if sys.version_info < (3, 11):  # noqa: UP036 (that is the question here)
        return run_with_newer_python(argv)
    command, args = (argv[0], argv[1:]) if argv else ("", [])
    commands = {"demo": demo, "test": test, "lint": lint, "setup": setup, "lock": lock, "audit": audit, "clean": clean}
    if command not in commands:
        print(__doc__)
        return 0 if command in ("-h", "--help", "help") else 2
    os.chdir(ROOT)
    return commands[command](args)


def run_with_newer_python(argv: list[str]) -> int:
    for name in ("python3.13", "python3.12", "python3.11"):
        newer = shutil.which(name)
        if newer:
            return subprocess.call([newer, __file__, *argv])
    found = ".".join(map(str, sys.version_info[:3]))
    return fail(
        f"Vision Stream needs Python 3.11 or later; this is {found}", "install it, then: python3.11 " + __file__
    )


# --- commands ----------------------------------------------------------------------------------------------------


def demo(args: list[str]) -> int:
    install(("demo",))
    run([PYTHON, "-m", "vision_stream.kafka_jars", "fetch"])
    program = str(BIN / "vision-stream")
    sys.stdout.flush()
    if os.name == "nt":
        return subprocess.call([program, "demo", *args])
    os.execv(program, [program, "demo", *args])  # in our place: Ctrl-C and the exit code are its own


def test(args: list[str]) -> int:
    with_yolo, args = take_flag(args, "--yolo")
    install(SECTIONS if with_yolo or in_ci() else ("demo", "dev"))
    run([PYTHON, "-m", "vision_stream.kafka_jars", "fetch"])
    checks = lint_steps()
    checks.append(("doctests", [PYTHON, "-m", "pytest", "-q", "--doctest-modules", "vision_stream", "workers"]))
    # Most of the time the tests wait for servers, so two files at once take half as long. A file stays in one process.
    checks.append(("tests", [PYTHON, "-m", "pytest", "-q", "--durations=15", "-n2", "--dist=loadfile", *args]))
    return run_steps(checks)


def lint(args: list[str]) -> int:
    install(("demo", "dev"))
    return run_steps(lint_steps())


def setup(args: list[str]) -> int:
    with_yolo, _ = take_flag(args, "--yolo")
    install(SECTIONS if with_yolo else ("demo", "dev"))
    print(f"Ready. Use it: {BIN / 'vision-stream'} --help")
    return 0


def lock(args: list[str]) -> int:
    make_venv()
    run_pip_install_uv()
    write_lock(args)
    install(("demo",))
    run([PYTHON, "-m", "vision_stream.kafka_jars", "lock"])
    return 0


def audit(args: list[str]) -> int:
    make_venv()
    run_pip_install_uv()
    # Strict: without it a package that PyPI could not be asked about counts as one without holes.
    tool = ["tool", "run", "pip-audit", "--strict", "--require-hashes", "--disable-pip", "-r", LOCK]
    return subprocess.call([str(part) for part in (BIN / "uv", *tool, *args)])


def clean(args: list[str]) -> int:
    for path in (VENV, *(ROOT / name for name in SCRATCH), *ROOT.glob("*.egg-info")):
        if path.exists():
            print(f"removing {path.relative_to(ROOT)}")
            shutil.rmtree(path)
    return 0


def lint_steps() -> list[tuple[str, list[object]]]:
    return [
        ("ruff check", [BIN / "ruff", "check", "."]),
        ("ruff format", [BIN / "ruff", "format", "--check", "."]),
        ("pyright", [BIN / "pyright", "--pythonpath", PYTHON]),
        ("import-linter", [BIN / "lint-imports"]),
    ]


def run_steps(steps: list[tuple[str, list[object]]]) -> int:
    """Run all, also after one has failed; the code of the first that failed."""
    results = []
    for name, command in steps:
        print(f"\n== {name}", flush=True)
        started = time.monotonic()
        code = subprocess.call([str(part) for part in command])
        results.append((name, code, time.monotonic() - started))
    print("\n== summary")
    for name, code, seconds in results:
        print(f"  {'ok    ' if code == 0 else f'FAILED ({code})'} {name} ({seconds:.0f} s)")
    return next((code for _, code, _ in results if code), 0)


# --- the environment ---------------------------------------------------------------------------------------------


def install(sections: tuple[str, ...]) -> None:
    """Bring .venv to what the lock says for ``sections``; nothing where it is there already."""
    installed = read_marker()
    have = installed.get("sections", [])
    keep = [name for name in SECTIONS if name in sections or name in have]  # what was asked for once stays up to date
    wanted = {"lock": digest(LOCK), "project": digest(ROOT / "setup.cfg"), "sections": keep}
    if installed == wanted:
        return
    make_venv()
    MARKER.unlink(missing_ok=True)
    run_pip_install_uv()
    blocks = [block for name in keep for block in read_lock()[name]]
    say(f"Installing {len(blocks)} packages ({', '.join(keep)}); the first time they are downloaded")
    install_blocks(blocks, [BIN / "uv", "pip", "install", "--python", PYTHON])
    say("Installing Vision Stream itself")
    run([BIN / "uv", "pip", "install", "--python", PYTHON, "--no-deps", "--no-build-isolation", "--quiet", "-e", "."])
    MARKER.write_text(json.dumps(wanted))


def make_venv() -> None:
    if PYTHON.exists():
        return
    say(f"Making an environment in {VENV.relative_to(ROOT)} with Python {sys.version.split()[0]}")
    if subprocess.call([sys.executable, "-m", "venv", "--clear", str(VENV)]):
        shutil.rmtree(VENV, ignore_errors=True)
        sys.exit(fail("Python's venv module does not work here", "Debian and Ubuntu: apt install python3-venv"))


def run_pip_install_uv() -> None:
    """uv by pip, and everything else by uv: 8 to 30 times faster."""
    if (BIN / "uv").exists() or (BIN / "uv.exe").exists():
        return
    say("Installing uv, which installs the rest")
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if LOCK.exists():
        install_blocks([block for block in read_lock()["demo"] if block.startswith("uv==")], pip)
    else:
        run([*pip, "uv"])


def install_blocks(blocks: list[str], command: list[object]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        chosen = Path(scratch) / "requirements.txt"
        chosen.write_text("".join(blocks))
        run([*command, "--require-hashes", "-r", chosen])


def read_marker() -> dict:
    try:
        return json.loads(MARKER.read_text()) if PYTHON.exists() else {}
    except (OSError, ValueError):
        return {}


# --- the lock ----------------------------------------------------------------------------------------------------


def read_lock() -> dict[str, list[str]]:
    """The lock's blocks (a pinned package with its hashes) by section."""
    return parse_lock(LOCK.read_text())


def parse_lock(text: str) -> dict[str, list[str]]:
    """
    >>> parse_lock("# about\\n\\n# section: demo\\na==1\\n    # via b\\n# section: dev\\nc==2\\n")
    {'demo': ['a==1\\n    # via b\\n'], 'dev': ['c==2\\n']}
    """
    _, *parts = re.split(r"^# section: (\w+).*\n", text, flags=re.MULTILINE)
    return {name: blocks_of(body) for name, body in zip(parts[::2], parts[1::2], strict=True)}


def blocks_of(text: str) -> list[str]:
    """
    >>> blocks_of("a==1 \\\\\\n    --hash=sha256:0\\nb==2\\n")
    ['a==1 \\\\\\n    --hash=sha256:0\\n', 'b==2\\n']
    """
    return re.findall(r"^[A-Za-z0-9].*\n(?:[ \t].*\n)*", text, flags=re.MULTILINE)


def write_lock(args: list[str]) -> None:
    """Resolve all sections together, so that they fit each other, then say which package is in which."""
    everything = compile_lock(SECTIONS, args, keep=LOCK.read_text() if LOCK.exists() else "")
    with tempfile.TemporaryDirectory() as scratch:
        pins = Path(scratch) / "pins.txt"
        pins.write_text(everything)
        of = {n: {b.split()[0] for b in blocks_of(compile_lock(SECTIONS[:n], ["-c", str(pins)]))} for n in (1, 2)}
    text = "# Every package with its hashes: made by `python3 scripts/dev.py lock`, installed by scripts/dev.py.\n"
    text += "# Each section holds what the ones before it lack; the first has the project's own dependencies too.\n"
    blocks = blocks_of(everything)
    parts = (
        [b for b in blocks if b.split()[0] in of[1]],
        [b for b in blocks if b.split()[0] in of[2] - of[1]],
        [b for b in blocks if b.split()[0] not in of[2]],
    )
    for name, part in zip(SECTIONS, parts, strict=True):
        text += f"\n# section: {name}\n" + "".join(part)
    LOCK.write_text(text)
    print(f"{LOCK.name}: {', '.join(f'{n} {len(p)}' for n, p in zip(SECTIONS, parts, strict=True))} packages")


def compile_lock(extras: tuple[str, ...], args: list[str], keep: str = "") -> str:
    """uv's answer for the project with ``extras``, for every platform and Python from 3.11 on.

    Versions of the lock ``keep`` stay where they still fit, unless ``args`` say ``--upgrade``.
    """
    with tempfile.TemporaryDirectory() as scratch:
        tools = Path(scratch) / "tools.in"
        tools.write_text("\n".join(TOOLS) + "\n")
        output = Path(scratch) / "output.txt"
        output.write_text(keep)
        command = [
            BIN / "uv",
            "pip",
            "compile",
            "--quiet",
            "--output-file",
            output,
            "--universal",
            "--python-version",
            "3.11",
        ]
        command += ["--generate-hashes", "--no-header", "--no-annotate", *args]
        command += [part for extra in extras for part in ("--extra", extra)]
        run([*command, "setup.cfg", tools], stdout=subprocess.DEVNULL)
        return output.read_text()


# --- small things ------------------------------------------------------------------------------------------------


def run(command: list[object], stdout: int | None = None) -> None:
    """Run it, and end with its code where it fails; uv and pip say why themselves."""
    code = subprocess.call([str(part) for part in command], stdout=stdout)
    if code:
        sys.exit(code)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def take_flag(args: list[str], flag: str) -> tuple[bool, list[str]]:
    """
    >>> take_flag(["-k", "x", "--yolo"], "--yolo")
    (True, ['-k', 'x'])
    """
    return flag in args, [arg for arg in args if arg != flag]


def say(what: str) -> None:
    print(f"» {what}", flush=True)


def fail(what: str, remedy: str) -> int:
    print(f"error: {what}\n  remedy: {remedy}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
