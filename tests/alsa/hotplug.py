"""Devices that come and go while a show runs. The others of the show never notice."""

from events import ready
from machine import Usb, Virtual, wait
from show import STEADY, STEADY_SCRIPT, Program, Show, Steady

# a device that has come back is connected within this time
BACK_WITHIN = 2.0

SHOW = """
[midi box]
read = Fader Box
write = Fader Box
[map]
box.ch0.cc{1..3} > box.ch1.cc{1..3}
""" + STEADY


def values(device):
    device.raw.send("b0 01 11 b0 03 33 b0 01 12")
    device.raw.expect("b1 01 11", "b1 03 33", "b1 01 12")


def comes_back(show, device):
    """The last values are there in time, and the log says so once for each direction."""
    device.raw.expect("b1 01 12", "b1 03 33", within=BACK_WITHIN)
    wait("the log", lambda: show.count("is back: sends to it again") == 1)
    wait("the log", lambda: show.count("is back: receives from it again") == 1)
    device.raw.send("b0 02 22")
    device.raw.expect("b1 02 22")


def a_device_that_is_missing_at_the_start_is_a_warning_and_is_connected_when_it_appears():
    with Usb() as device, Show(SHOW, steady=STEADY_SCRIPT) as show, Steady(show):
        show.wait_for("WARN", "`read = Fader Box` matches no device")
        show.wait_for("WARN", "`write = Fader Box` matches no device")
        assert "read: `Fader Box` is missing, write: `Fader Box` is missing" in show.instance("box")["note"]
        device.plug()
        show.wait_for("`Fader Box:Fader Box MIDI 1` has appeared: receives from it", within=BACK_WITHIN)
        show.wait_for("`Fader Box:Fader Box MIDI 1` has appeared: sends to it", within=BACK_WITHIN)
        values(device)
        assert "is missing" not in show.instance("box")["note"]


def a_device_that_comes_back_under_another_number_is_connected_within_two_seconds_with_its_values():
    with Usb() as device:
        device.plug()
        before = device.number()
        with Show(SHOW, steady=STEADY_SCRIPT) as show, Steady(show):
            ready(show)
            values(device)
            device.unplug()
            show.wait_for("WARN", "`Fader Box:Fader Box MIDI 1` is gone")
            wait("both directions", lambda: show.count("is gone") == 2)
            assert "read: `Fader Box:Fader Box MIDI 1` is gone" in show.instance("box")["note"]
            # takes the number that it had
            with Virtual(0):
                device.plug()
                comes_back(show, device)
                assert device.number() != before
                assert show.count("is gone") == 2, show.lines
                assert "read: `Fader Box:Fader Box MIDI 1`, write: " in show.instance("box")["note"]
                device.unplug()


def a_device_that_was_given_by_its_number_is_found_again_by_its_name():
    with Usb() as device:
        device.plug()
        text = SHOW.replace("= Fader Box", f"= {device.number()}:0")
        with Show(text, steady=STEADY_SCRIPT) as show, Steady(show):
            ready(show)
            values(device)
            device.unplug()
            wait("both directions", lambda: show.count("is gone") == 2)
            # another device has its number now
            with Virtual(0):
                device.plug()
                comes_back(show, device)
                device.unplug()


def a_driver_that_is_taken_off_its_device_through_sysfs_and_put_back_is_the_same():
    with Usb() as device:
        device.plug()
        with Show(SHOW, steady=STEADY_SCRIPT) as show, Steady(show):
            ready(show)
            values(device)
            interfaces = device.interfaces()
            for interface in interfaces:
                if (device.DRIVER / interface).exists():
                    (device.DRIVER / "unbind").write_text(interface)
            wait("both directions", lambda: show.count("is gone") == 2)
            (device.DRIVER / "bind").write_text(interfaces[0])
            comes_back(show, device)


def a_module_that_is_unloaded_and_loaded_again_is_the_same():
    show_text = SHOW.replace("Fader Box", "Virtual Raw MIDI 0")
    with Show(show_text, steady=STEADY_SCRIPT) as show, Steady(show):
        with Virtual() as device:
            ready(show)
            values(device)
        for round in 1, 2, 3:
            wait("both directions", lambda: show.count("is gone") == 2 * round)
            with Virtual() as device:
                # the last values are there before anybody could have opened the far side
                wait("the log", lambda: show.count("is back: sends to it again") == round, within=BACK_WITHIN)
                wait("the log", lambda: show.count("is back: receives from it again") == round, within=BACK_WITHIN)
                device.raw.forget()
                device.raw.send("b0 02 22")
                device.raw.expect("b1 02 22")


def values_sent_while_a_device_is_away_reach_it_when_it_is_back_the_last_of_each_channel():
    text = SHOW.replace("box.ch0.cc{1..3} > box.ch1.cc{1..3}", "calm./a > box.ch0.cc1\ncalm./b > box.ch0.pitch")
    with Usb() as device, Show(text, steady=STEADY_SCRIPT) as show, Steady(show):
        show.wait_for("`write = Fader Box` matches no device")
        for value in "0.25", "0.5", "1.0":
            show.ask("send", "calm./a", value)
        show.ask("send", "calm./b", "1")
        device.plug()
        device.raw.expect("b0 01 7f", "e0 7f 7f", within=BACK_WITHIN)


def a_program_that_is_started_again_is_a_device_too():
    text = "[midi box]\nwrite = aseqdump\n[map]\nbox.ch0.cc1 > box.ch0.cc2\n" + STEADY
    with Show(text, steady=STEADY_SCRIPT) as show, Steady(show):
        for round in range(3):
            with Program("aseqdump") as dump:
                wait("the connection", lambda: show.count("sends to it") == round + 1)
                if round:
                    dump.wait_for("Control change", f"controller 2, value {round - 1}", within=BACK_WITHIN)
                show.ask("send", "box.ch0.cc1", str(round / 127))
                dump.wait_for("Control change", f"controller 2, value {round}")
            wait("the end", lambda: show.count("is gone") == round + 1)


CHECKS = [
    a_device_that_is_missing_at_the_start_is_a_warning_and_is_connected_when_it_appears,
    a_device_that_comes_back_under_another_number_is_connected_within_two_seconds_with_its_values,
    a_device_that_was_given_by_its_number_is_found_again_by_its_name,
    a_driver_that_is_taken_off_its_device_through_sysfs_and_put_back_is_the_same,
    a_module_that_is_unloaded_and_loaded_again_is_the_same,
    values_sent_while_a_device_is_away_reach_it_when_it_is_back_the_last_of_each_channel,
    a_program_that_is_started_again_is_a_device_too,
]
