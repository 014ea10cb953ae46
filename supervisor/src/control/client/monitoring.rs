//! `monitor`: prints events as they pass.

use super::super::protocol::{ControlReply, EventDirection, EventReply};
use super::ClientError;
use super::connection::ShowConnection;
use super::text::{clean, dimmed, value};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;

/// How events are printed.
#[derive(Debug, Clone, Copy)]
pub(super) struct EventFormat {
    /// As JSON, one object per line.
    pub(super) json: bool,
    /// In colours.
    pub(super) color: bool,
}

/// Prints events until the show ends, or the output is closed.
pub(super) fn run(
    mut connection: ShowConnection,
    format: EventFormat,
    out: impl Write + AsFd,
) -> Result<(), ClientError> {
    // events may be hours apart
    connection.stream().set_read_timeout(None).map_err(ClientError::Io)?;
    let zone = TimeZone::system();
    let mut out = BufWriter::new(out);
    loop {
        if !connection.has_more() {
            out.flush()?;
            if !wait(&connection, out.get_ref())? {
                return Ok(());
            }
        }
        let reply = match connection.next() {
            Ok(reply) => reply,
            Err(error) => {
                out.flush()?;
                return Err(error);
            }
        };
        match line(&reply, format, &zone) {
            Some(line) => writeln!(out, "{line}")?,
            None => return Err(super::unexpected(reply)),
        }
    }
}

/// Waits for the show to send something. False: the output is closed.
fn wait(connection: &ShowConnection, out: &impl AsFd) -> Result<bool, ClientError> {
    loop {
        let mut descriptors = [
            PollFd::new(connection.stream().as_fd(), PollFlags::POLLIN),
            // for errors only, which are always reported: the reader of a pipe is gone
            PollFd::new(out.as_fd(), PollFlags::empty()),
        ];
        match poll(&mut descriptors, PollTimeout::NONE) {
            Ok(_) if descriptors[1].any().unwrap_or(true) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(ClientError::Io(io::Error::from(error))),
        }
    }
}

/// The line for an event or a gap; `None` for any other reply.
fn line(reply: &ControlReply, format: EventFormat, zone: &TimeZone) -> Option<String> {
    match reply {
        // the object itself, without its tag
        ControlReply::Event(event) if format.json => serde_json::to_string(event).ok(),
        ControlReply::Dropped(_) if format.json => serde_json::to_string(reply).ok(),
        ControlReply::Event(event) => Some(text(event, format, zone)),
        ControlReply::Dropped(count) => Some(format!("{count} events are not shown: they passed too fast")),
        _ => None,
    }
}

fn text(event: &EventReply, format: EventFormat, zone: &TimeZone) -> String {
    let time = i64::try_from(event.time_ms).ok().and_then(|time| Timestamp::from_millisecond(time).ok());
    let time = time.unwrap_or_default().to_zoned(zone.clone()).strftime("%H:%M:%S%.3f").to_string();
    let direction = match event.direction {
        EventDirection::In => "in ",
        EventDirection::Out => "out",
    };
    let name = clean(&format!("{}.{}", event.instance, event.channel));
    format!("{}  {}  {:<32} {}", dimmed(&time, format.color), direction, name, value(event.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(value: f64, direction: EventDirection) -> ControlReply {
        let (instance, channel) = ("desk".to_owned(), "/fader/1".to_owned());
        ControlReply::Event(EventReply { instance, channel, direction, value, time_ms: 1_700_000_000_123 })
    }

    fn printed(reply: &ControlReply, json: bool) -> String {
        line(reply, EventFormat { json, color: false }, &TimeZone::UTC).unwrap()
    }

    #[test]
    fn events_are_lines_that_align() {
        let lines = [
            printed(&event(0.5, EventDirection::Out), false),
            printed(&event(1.0 / 3.0, EventDirection::In), false),
            printed(&event(1.0, EventDirection::Out), false),
            printed(&ControlReply::Dropped(12), false),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r"
        22:13:20.123  out  desk./fader/1                    0.5
        22:13:20.123  in   desk./fader/1                    0.333333
        22:13:20.123  out  desk./fader/1                    1.0
        12 events are not shown: they passed too fast
        ");
    }

    #[test]
    fn as_json_an_event_is_one_object() {
        let lines =
            [printed(&event(0.1, EventDirection::In), true), printed(&ControlReply::Dropped(3), true)];
        insta::assert_snapshot!(lines.join("\n"), @r#"
        {"instance":"desk","channel":"/fader/1","way":"in","value":0.1,"time_ms":1700000000123}
        {"dropped":3}
        "#);
    }

    #[test]
    fn other_replies_are_no_lines() {
        assert_eq!(
            line(
                &ControlReply::Sent { destinations: 1 },
                EventFormat { json: false, color: false },
                &TimeZone::UTC
            ),
            None
        );
    }
}
