#!/usr/bin/env python3
"""Runs the blocks of the documents that are marked `sh` or `python`, in order, in a new folder with drawn images.

Usage: run_commands.py ROOT BINADE
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```", re.M | re.S)
PAGES = ["docs/tutorial.md", "docs/files.md"]  # files.md reads what the tutorial's commands leave


def has_h5py():
    return subprocess.run([sys.executable, "-c", "import h5py"], capture_output=True, check=False).returncode == 0


def main():
    root, binade = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
    ran = {"sh": 0, "python": 0}
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(root / "configs", f"{folder}/configs")
        os.mkdir(f"{folder}/bin")
        os.symlink(binade, f"{folder}/bin/binade")
        environment = {**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}"}
        for page in PAGES:
            text = (root / page).read_text()
            for block in BLOCK.finditer(text):
                line = text[: block.start()].count("\n") + 1
                language, code = block.groups()
                if language == "python" and not has_h5py():
                    print(f"{page}:{line}: not run, as h5py is not installed (Debian: python3-h5py)")
                    continue
                shell = ["bash", "-euo", "pipefail", "-c", code] if language == "sh" else [sys.executable, "-c", code]
                begin = time.time()
                done = subprocess.run(shell, cwd=folder, env=environment, text=True, capture_output=True, check=False)
                print(f"{page}:{line}: exit {done.returncode}, {time.time() - begin:.1f} s", flush=True)
                if done.returncode != 0:
                    print(code, done.stdout, done.stderr, sep="\n")
                    return 1
                ran[language] += 1
    print(f"{ran['sh']} blocks of commands and {ran['python']} of Python ran")
    return 0 if ran["sh"] >= 8 else 1


if __name__ == "__main__":
    sys.exit(main())
