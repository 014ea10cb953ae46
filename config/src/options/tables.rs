//! The tables themselves.

use std::time::Duration;

use super::kinds::ValueKind;
use super::{OptionSpec, Scope};

const fn option(
    name: &'static str,
    kind: ValueKind,
    default: &'static str,
    help: &'static str,
) -> OptionSpec {
    OptionSpec {
        name,
        placeholder: "",
        aliases: &[],
        kind,
        default,
        accumulates: false,
        help,
        scope: Scope::Both,
    }
}

impl OptionSpec {
    const fn global_only(self) -> Self {
        Self { scope: Scope::Global, ..self }
    }

    const fn instance_only(self) -> Self {
        Self { scope: Scope::Instance, ..self }
    }

    const fn accumulating(self) -> Self {
        Self { accumulates: true, ..self }
    }

    const fn followed_by(self, placeholder: &'static str) -> Self {
        Self { placeholder, ..self }
    }

    const fn also_called(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }
}

const MILLISECOND: Duration = Duration::from_millis(1);
const DURATION: ValueKind = ValueKind::Duration { least: Duration::ZERO, off: false };
const TIMEOUT: ValueKind = ValueKind::Duration { least: MILLISECOND, off: false };
const TIMEOUT_OR_OFF: ValueKind = ValueKind::Duration { least: MILLISECOND, off: true };

pub(super) static MIDI: &[OptionSpec] = &[
    option("name", ValueKind::Text, "mm-supervisor", "what the names of all its ports begin with")
        .global_only(),
    option("detect", ValueKind::Switch, "off", "log every message that arrives, as a channel to be mapped")
        .global_only(),
    option(
        "read",
        ValueKind::Text,
        "",
        "the device to receive from: what its name begins with, or its number as `client:port`",
    )
    .also_called(&["source"])
    .instance_only(),
    option("write", ValueKind::Text, "", "the device to send to, named like that of `read`")
        .also_called(&["target"])
        .instance_only(),
    option(
        "epn-tx",
        ValueKind::Word(&["short", "full"]),
        "full",
        "`full` deselects the parameter after each `rpn` and `nrpn` that is sent",
    )
    .instance_only(),
    option(
        "rate",
        ValueKind::Count { least: 1, most: 16_000 },
        "1000",
        "messages sent in a second, beyond a burst of 1000; a MIDI cable carries 1041",
    )
    .instance_only(),
];

pub(super) static OSC: &[OptionSpec] = &[
    option("detect", ValueKind::Switch, "off", "log the path of every packet that arrives").global_only(),
    option("bind", ValueKind::Address, "", "where to listen: `* 8000` or `:: 8000` for every address")
        .instance_only(),
    option(
        "destination",
        ValueKind::Destination,
        "",
        "where to send; `learn` answers whoever sent last, `learn@PORT` on a port of its own",
    )
    .also_called(&["dest"])
    .instance_only(),
    option("root", ValueKind::OscRoot, "", "put in front of every path sent, required of every path received")
        .instance_only(),
    option(
        "/",
        ValueKind::OscFormat,
        "",
        "types (`i`, `f`, `h`, `d`) and ranges of the parameters of all paths that match; the first match wins",
    )
    .followed_by("pattern")
    .accumulating()
    .instance_only(),
];

pub(super) static PYTHON: &[OptionSpec] = &[
    option("module", ValueKind::Module, "", "a module to import, by name or by file")
        .accumulating()
        .instance_only(),
    option(
        "default-handler",
        ValueKind::Handler,
        "",
        "`module.function`, called for every channel whose name has no dot",
    )
    .instance_only(),
    option("venv", ValueKind::Path, "", "a virtual environment whose packages this instance uses")
        .instance_only(),
    option(
        "watchdog",
        TIMEOUT_OR_OFF,
        "5s",
        "no progress for this long while there is work: the instance is killed and restarted",
    ),
    option(
        "restart",
        ValueKind::Word(&["always", "on-failure", "never"]),
        "always",
        "when an instance that ended is started again",
    ),
    option(
        "backoff",
        DURATION,
        "100ms",
        "delay before the second restart in a row; doubles with each further one",
    ),
    option("backoff-max", DURATION, "30s", "the longest delay between two restarts"),
    option("stable", DURATION, "10s", "running for this long makes the next restart an immediate one again"),
    option("max-restarts", ValueKind::Rate, "off", "more restarts than `N/SECONDS`: the instance stays down"),
    option("start-timeout", TIMEOUT, "30s", "how long importing the modules may take"),
    option("stop-timeout", DURATION, "2s", "how long the cleanup handler may take"),
    option(
        "queue",
        ValueKind::Count { least: 1, most: 1 << 30 },
        "1048576",
        "events kept for an instance that is busy or down, before only the last of each channel is kept",
    ),
    option(
        "failsafe",
        ValueKind::Word(&["hold", "zero"]),
        "hold",
        "what output channels are set to while the instance is down",
    ),
    option("failsafe.", ValueKind::Fraction, "", "the same for one channel").followed_by("CHANNEL"),
    option("failsafe-after", DURATION, "1s", "down for this long: the failsafe values go out"),
    option(
        "memory-limit",
        ValueKind::Size { least: 1 << 20, off: true },
        "off",
        "resident memory over this: the instance is restarted",
    ),
    option("watch", ValueKind::Switch, "off", "reload the instance when a file of its modules changes"),
];

pub(super) static SUPERVISOR: &[OptionSpec] = &[
    option("socket", ValueKind::Path, "", "where the control socket is").global_only(),
    option("state-file", ValueKind::Path, "", "keeps the last value of every channel over a restart")
        .global_only(),
    option(
        "low-latency",
        ValueKind::Switch,
        "off",
        "keep the processor out of deep sleep while the show runs",
    )
    .global_only(),
    option("priority", ValueKind::Priority, "", "of the core loop: a nice value, or `fifo:N`").global_only(),
];
