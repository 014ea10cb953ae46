//! Nodes that answer, change and go, and floods of replies.

use super::*;
use crate::backends::artnet::codec::{ARTNET_PORT, ReplyPort};

const ETH: BindIndex = BindIndex(0);

fn universe(low: u8) -> PortAddress {
    PortAddress::new(0, low).expect("a net")
}

fn node(last: u8) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, last), ARTNET_PORT)
}

fn reply(bind_index: u8, outputs: &[u8], inputs: &[u8]) -> ArtPollReply {
    let output = |low: &u8| ReplyPort { output: Some(universe(*low)), ..ReplyPort::default() };
    let input = |low: &u8| ReplyPort { input: Some(universe(*low)), ..ReplyPort::default() };
    ArtPollReply {
        ip: Ipv4Addr::UNSPECIFIED,
        udp_port: ARTNET_PORT,
        version: 0,
        short_name: "dimmer".into(),
        long_name: String::new(),
        report: String::new(),
        mac: [0; 6],
        bind_index,
        fails_to_zero: false,
        ports: outputs.iter().map(output).chain(inputs.iter().map(input)).collect(),
    }
}

/// Takes a reply and returns the universes that have a new node with it.
fn note(
    nodes: &mut ArtnetNodes,
    bind: BindIndex,
    from: SocketAddrV4,
    reply: &ArtPollReply,
    now: Instant,
) -> Vec<SentUniverse> {
    nodes.note_reply(bind, from, reply, now);
    nodes.settle(now)
}

/// Nodes for these universes of one bind.
fn nodes(universes: &[u8], now: Instant) -> ArtnetNodes {
    let mut nodes = ArtnetNodes::new();
    nodes.want(universes.iter().map(|low| (ETH, universe(*low))).collect(), now);
    nodes
}

#[test]
fn frames_go_to_the_nodes_that_list_the_universe() {
    let now = Instant::now();
    let mut nodes = nodes(&[1, 2], now);
    assert_eq!(nodes.subscribers((ETH, universe(1))), []);
    assert_eq!(note(&mut nodes, ETH, node(1), &reply(1, &[1], &[]), now), [(ETH, universe(1))]);
    assert_eq!(note(&mut nodes, ETH, node(1), &reply(2, &[2, 3], &[]), now), [(ETH, universe(2))]);
    assert_eq!(note(&mut nodes, ETH, node(2), &reply(0, &[], &[1]), now), [(ETH, universe(1))]);
    assert_eq!(note(&mut nodes, ETH, node(3), &reply(0, &[9], &[]), now), []);
    assert_eq!(note(&mut nodes, BindIndex(1), node(3), &reply(0, &[1], &[]), now), [], "another network");
    assert_eq!(nodes.subscribers((ETH, universe(1))), [node(1), node(2)]);
    assert_eq!(nodes.subscribers((ETH, universe(2))), [node(1)]);
    assert_eq!(note(&mut nodes, ETH, node(1), &reply(1, &[1], &[]), now), [], "it is known");
}

#[test]
fn a_node_that_lists_another_universe_from_now_on_is_not_sent_to() {
    let now = Instant::now();
    let mut nodes = nodes(&[1], now);
    note(&mut nodes, ETH, node(1), &reply(1, &[1], &[]), now);
    note(&mut nodes, ETH, node(1), &reply(1, &[9], &[]), now);
    assert_eq!(nodes.subscribers((ETH, universe(1))), []);
}

#[test]
fn nodes_are_asked_every_2_500_ms_and_forgotten_after_three_questions() {
    let start = Instant::now();
    let mut nodes = nodes(&[1], start);
    let mut now = start;
    note(&mut nodes, ETH, node(1), &reply(1, &[1], &[]), now);
    let mut polls = Vec::new();
    while !nodes.subscribers((ETH, universe(1))).is_empty() {
        now = nodes.deadline().expect("it asks");
        if nodes.tick(now) {
            polls.push((now - start).as_millis());
        }
    }
    assert_eq!(polls, [0, 2500, 5000, 7500]);
    assert_eq!((now - start).as_millis(), 8500);
}

#[test]
fn without_a_universe_to_send_no_node_is_asked() {
    let now = Instant::now();
    let mut nodes = nodes(&[1], now);
    note(&mut nodes, ETH, node(1), &reply(1, &[1], &[]), now);
    nodes.want(BTreeSet::new(), now);
    assert_eq!((nodes.deadline(), nodes.subscribers((ETH, universe(1)))), (None, &[][..]));
    assert!(nodes.polled_binds().is_empty());
}

#[test]
fn a_reload_keeps_what_is_known_and_asks_at_once_for_a_new_universe() {
    let now = Instant::now();
    let mut nodes = nodes(&[1], now);
    note(&mut nodes, ETH, node(1), &reply(1, &[1, 2], &[]), now);
    assert!(nodes.tick(now));
    let later = now + Duration::from_secs(1);
    nodes.want(BTreeSet::from([(ETH, universe(1)), (ETH, universe(2))]), later);
    assert_eq!(nodes.subscribers((ETH, universe(1))), [node(1)]);
    assert!(nodes.tick(later));
}

#[test]
fn a_flood_of_replies_uses_bounded_memory_and_bounded_sending() {
    let now = Instant::now();
    let mut nodes = nodes(&[1], now);
    for address in 0..5000_u32 {
        let from = SocketAddrV4::new(Ipv4Addr::from(0x0A00_0000 + address), ARTNET_PORT);
        nodes.note_reply(ETH, from, &reply(1, &[1], &[]), now);
        nodes.note_reply(ETH, from, &reply(1, &[7], &[]), now);
        nodes.note_reply(ETH, from, &reply(2, &[1], &[]), now);
    }
    nodes.settle(now);
    assert_eq!(nodes.pages.len(), PAGES_LIMIT);
    assert_eq!(nodes.subscribers((ETH, universe(1))).len(), SUBSCRIBERS_LIMIT);
    assert!(nodes.ignored() > 3000);
}
