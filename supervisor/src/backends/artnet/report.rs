//! What `status` shows of an instance.

use super::backend::{ArtnetBackend, ArtnetInstance};
use super::tx::TxDestination;
use crate::backends::{BackendState, BackendStatus, LocalInstance};
use crate::status::UniverseStatus;
use std::time::Instant;

/// The values of an instance go nowhere.
pub fn warn_of_silence(name: &str) {
    tracing::warn!(
        event = "artnet_destination_missing",
        instance = %name,
        "values are mapped to `{name}`, but it has no `destination`; nothing is sent\n\
         hint: write `destination = HOST` or `destination = discover` into `[artnet {name}]`"
    );
}

/// State, counters and universe of an instance.
pub fn status(backend: &ArtnetBackend, instance: LocalInstance, now: Instant) -> BackendStatus {
    let Some(instance) = backend.instances.get(instance.0) else { return BackendStatus::default() };
    let ArtnetInstance { options, rx, tx, .. } = instance;
    let subscribers = match tx.destination() {
        TxDestination::Discover => backend.nodes.subscribers(instance.universe()),
        TxDestination::None | TxDestination::Host(_) => &[],
    };
    let (destination, is_waiting, waits_for) = match tx.destination() {
        TxDestination::None => (None, false, None),
        TxDestination::Host(host) => (Some(host.spec().to_string()), host.address().is_none(), host.fault()),
        TxDestination::Discover => {
            let none = subscribers.is_empty();
            let note =
                none.then(|| format!("no node has universe {} yet; asking every 2.5 s", options.address));
            (Some("discover".to_owned()), none, note)
        }
    };
    let host = match tx.destination() {
        TxDestination::Host(host) => host.address(),
        TxDestination::None | TxDestination::Discover => None,
    };
    let receivers: Vec<_> = host.iter().chain(subscribers).copied().collect();
    let to = || receivers.iter().map(|to| Some(*to.ip())).chain([None]);
    let fault = to().find_map(|to| backend.sockets.note(options.bind, to));
    let sole = rx.sole_sender();
    let sole = sole.map(|sole| format!("{sole} has cancelled merging; other senders are ignored"));
    let is_merging = rx.is_merging() && !rx.watch().is_lost();
    let merging = is_merging.then(|| {
        let how = if rx.is_ltp() { "the latest level counts" } else { "the highest level counts" };
        format!("two sources are merged: {how}")
    });
    let traffic = backend.traffic.of(options.bind);
    // A wrong number in the show file or at the console.
    let elsewhere = traffic
        .last_unused
        .filter(|_| rx.watch().last_frame().is_none() && matches!(tx.destination(), TxDestination::None));
    let elsewhere =
        elsewhere.map(|last| format!("nothing received yet; universe {last} arrives, which no instance has"));
    let ago = |time: Option<Instant>| {
        time.map(|time| u64::try_from(now.saturating_duration_since(time).as_millis()).unwrap_or(u64::MAX))
    };
    BackendStatus {
        state: if is_waiting { BackendState::Connecting } else { BackendState::Running },
        errors: traffic.malformed + backend.polls.dropped() + backend.nodes.ignored() + rx.errors(),
        conflated: tx.conflated(),
        peers: receivers.iter().map(ToString::to_string).collect(),
        note: waits_for.or(fault).or(sole).or(merging).or(elsewhere),
        universes: vec![UniverseStatus {
            universe: options.address.low().into(),
            net: Some(options.address.net()),
            interface: Some(backend.sockets.bind_name(options.bind)),
            destination,
            sources: rx.watch().sources(now),
            is_lost: rx.watch().is_lost(),
            frames_in: rx.watch().frames(),
            last_in_ms: ago(rx.watch().last_frame()),
            frames_out: tx.sent(),
            last_out_ms: ago(tx.last_sent()),
        }],
    }
}
