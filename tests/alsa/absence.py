"""A machine without the sequencer: its module is not loaded yet."""

import os

from machine import load, wait
from show import STEADY, STEADY_SCRIPT, Program, Show, Steady, run

SHOW = """
[midi one]
read = pad
[midi two]
write = pad
[midi three]
[map]
one.ch0.cc1 > two.ch0.cc1
three.ch0.cc1 > three.ch0.cc2
""" + STEADY


def without_the_sequencer_there_is_one_warning_and_the_rest_runs_until_it_is_there():
    assert not os.path.exists("/dev/snd/seq")
    warning = "`/dev/snd/seq` is missing"
    with Show(SHOW, steady=STEADY_SCRIPT) as show, Steady(show):
        show.wait_for("WARN", warning, "the rest of the show runs")
        assert warning in show.instance("one")["note"], show.instance("one")
        load("snd-seq")
        show.wait_for("INFO", "MIDI available")
        # each of the three finds it by itself
        show.wait_for("`read = pad` matches no device")
        show.wait_for("`write = pad` matches no device")
        wait("the ports", lambda: "mm-supervisor three out" in run("aconnect", "-l"))
        with Program("aseqdump", "-p", "mm-supervisor three out") as dump:
            dump.wait_for("Source")
            show.ask("send", "three.ch0.cc1", "1.0")
            dump.wait_for("Control change", "controller 2, value 127")
        assert show.count(warning) == 1, show.lines


CHECKS = [without_the_sequencer_there_is_one_warning_and_the_rest_runs_until_it_is_there]
