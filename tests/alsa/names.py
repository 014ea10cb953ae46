"""Which device is meant by `read` and `write`, and what `detect` says."""

import subprocess

from events import ready
from machine import Usb, Virtual, wait
from show import PROGRAM, Program, Show, run, write

MAP = "[map]\nbox.ch0.cc1 > box.ch0.cc2\n"


def a_device_is_found_by_the_beginning_of_its_name_and_by_its_numbers():
    with Virtual() as virtual, Usb() as usb:
        usb.plug()
        for device, ways in [(virtual, ["Virtual", "VirMIDI 0"]), (usb, ["Fader", "Fader Box:Fader Box MIDI 1"])]:
            for text in [*ways, f"{device.number()}:0"]:
                with Show(f"[midi box]\nread = {text}\nwrite = {text}\n" + MAP) as show:
                    ready(show)
                    device.raw.send("b0 01 07")
                    device.raw.expect("b0 02 07")


def read_and_write_have_a_second_name_each():
    with Virtual() as device, Show("[midi box]\nsource = Virtual\ntarget = Virtual\n" + MAP) as show:
        ready(show)
        device.raw.send("b0 01 07")
        device.raw.expect("b0 02 07")


def an_instance_has_ports_of_its_own_name_for_anybody_to_connect():
    with Virtual() as device, Show("[backend midi]\nname = stage\n[midi box]\n" + MAP):
        wait("the ports", lambda: "stage box out" in run("aconnect", "-l"))
        run("aconnect", f"{device.number()}:0", "stage box in:0")
        run("aconnect", "stage box out:box", f"{device.number()}:0")
        device.raw.send("b0 01 07")
        device.raw.expect("b0 02 07")


def what_detect_says_can_be_mapped_as_it_is():
    text = "[backend midi]\ndetect = on\n[midi box]\nread = Virtual\n" + MAP
    with Virtual() as device, Show(text) as show:
        show.wait_for("receives from")
        device.raw.send("93 3c 7f b0 63 07 b0 62 04 b0 06 7f b0 26 7f e0 00 40 d1 01")
        show.wait_for("detect: box.ch1.aftertouch")
        said = [line.split("detect: ")[1].split(" = ") for line in show.lines if "detect: " in line]
    values = [("ch3.note60", "127 of 127"), ("ch0.nrpn900", "16383 of 16383"), ("ch0.pitch", "8192 of 16383")]
    expected = [*values, ("ch1.aftertouch", "1 of 127")]
    assert len(said) == len(expected), said
    for (channel, value), (name, raw) in zip(said, expected):
        assert channel == f"box.{name}" and raw in value, said
    mappings = "".join(f"{channel} > box.ch0.cc1\n" for channel, _ in said)
    folder = write(text + mappings, {})
    checked = subprocess.run([PROGRAM, "check", folder / "show.cfg"], capture_output=True, text=True)
    assert checked.returncode == 0, checked


def epn_tx_short_leaves_a_parameter_selected():
    text = "[midi box]\nread = Virtual\nwrite = Virtual\nepn-tx = short\n[map]\nbox.ch0.cc1 > box.ch0.rpn0\n"
    with Virtual() as device, Show(text) as show:
        ready(show)
        device.raw.send("b0 01 7f b0 01 00")
        device.raw.expect("b0 65 00", "b0 64 00", "b0 06 7f", "b0 26 7f", "b0 65 00", "b0 64 00", "b0 06 00", "b0 26 00")


CHECKS = [
    a_device_is_found_by_the_beginning_of_its_name_and_by_its_numbers,
    read_and_write_have_a_second_name_each,
    an_instance_has_ports_of_its_own_name_for_anybody_to_connect,
    what_detect_says_can_be_mapped_as_it_is,
    epn_tx_short_leaves_a_parameter_selected,
]
