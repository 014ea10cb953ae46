"""A show that runs, and the programs of alsa-utils beside it."""

import itertools
import json
import os
import re
import signal
import socket
import struct
import subprocess
import threading
from pathlib import Path

from machine import PATIENCE, wait

PROGRAM = Path(os.environ["MM_PROGRAMS"], "mm-supervisor")
# every line of the log; whatever else is on the terminal comes from a library
LINE = re.compile(r"^\S+ \S+ (INFO |WARN |ERROR) ")

numbers = itertools.count()


class Program:
    """A program and the lines that it writes."""

    def __init__(self, *command, **options):
        self.lines = []
        self.process = subprocess.Popen(
            # line by line, though it writes into a pipe
            ["stdbuf", "-oL", *map(str, command)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **options,
        )
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    def wait_for(self, *words, within=PATIENCE):
        """Waits for a line with all these words."""
        def find():
            return next((line for line in self.lines if all(word in line for word in words)), None)
        try:
            return wait(f"a line with {words}", find, within)
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *self.lines[-30:]])) from None

    def count(self, word):
        return sum(word in line for line in self.lines)

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.reader.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Show(Program):
    """Our program with a show; it has to end well, and to be quiet on the terminal."""

    def __init__(self, text, **scripts):
        folder = write(text, scripts)
        super().__init__(PROGRAM, "--config", folder / "show.cfg", env=os.environ | {"XDG_RUNTIME_DIR": str(folder)})
        self.folder = folder
        self.wait_for("show is running")

    def ask(self, *words):
        """What one of the other commands prints."""
        return ask(self.folder, *words)

    def instance(self, name):
        instances = json.loads(self.ask("status", "--json"))["instances"]
        return next(one for one in instances if one["name"] == name)

    def __exit__(self, kind, *_):
        status = self.stop()
        if kind is None:
            assert status == 0, (status, self.lines)
            foreign = [line for line in self.lines if not LINE.match(line)]
            assert not foreign, foreign
        else:
            print("\n".join(["     the show said:", *self.lines[-40:]]))


def write(text, scripts):
    """A folder of its own with the show and its scripts."""
    folder = Path("/run", f"show{next(numbers)}")
    folder.mkdir()
    (folder / "show.cfg").write_text(text)
    for name, script in scripts.items():
        (folder / f"{name}.py").write_text(script)
    return folder


def ask(folder, *words):
    environment = os.environ | {"XDG_RUNTIME_DIR": str(folder)}
    return subprocess.run([PROGRAM, *words], env=environment, capture_output=True, text=True, check=True).stdout


def run(*command):
    """A program that ends by itself."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


# a stream of events that the others of a show have to get whatever happens to MIDI
STEADY = """
[osc calm]
bind = 127.0.0.1 7100
[python steady]
module = steady
[map]
calm./steady > steady.steady.tick
calm./report > steady.steady.report
"""
STEADY_SCRIPT = Path(__file__).resolve().parents[1].joinpath("src/scripts/counter.py").read_text()


class Steady:
    """Sends that stream, 100 events a second, and asks in the end whether all have come."""

    def __init__(self, show):
        self.show, self.sent, self.over = show, 0, threading.Event()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.thread = threading.Thread(target=self.send)

    def __enter__(self):
        self.thread.start()
        return self

    def osc(self, path, value):
        def padded(text):
            return text.encode() + b"\0" * (4 - len(text) % 4)
        self.socket.sendto(padded(path) + padded(",f") + struct.pack(">f", value), ("127.0.0.1", 7100))

    def send(self):
        while not self.over.wait(0.01):
            self.sent += 1
            self.osc("/steady", self.sent / 2**23)

    def __exit__(self, kind, *_):
        self.over.set()
        self.thread.join()
        if kind is not None:
            return
        self.osc("/report", 1)
        self.show.wait_for(f"{self.sent} seen, 0 out of place")
