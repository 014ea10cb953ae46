//! Interfaces that come, go and change.

use super::super::{BindIndex, InterfaceTable};
use super::namespace::{Machine, ip, wait_until};
use super::peer::{Net, Peer};
use super::with_machine;

const GROUP: [u8; 4] = [239, 255, 0, 1];

fn is_at(net: &mut Net, bind: usize, address: Option<[u8; 4]>) {
    wait_until("the bind is there", || {
        net.turn();
        net.sockets().address(BindIndex(bind)).map(|own| own.octets()) == address
    });
}

fn hears(net: &mut Net, there: &Machine, text: &'static str) {
    there.run(move || Peer::open([0, 0, 0, 0]).send(GROUP, "a", text));
    assert_eq!(net.until(text), [(0, text.to_owned(), GROUP)]);
}

#[test]
fn an_interface_that_comes_late_goes_and_comes_back_is_joined_each_time() {
    with_machine!(|there| {
        let mut net = Net::open(&["a", "10.0.0.1"]);
        net.join(0, GROUP);
        assert!(net.sockets().note(BindIndex(0), None).is_some());
        for text in ["first", "second"] {
            there.connect("a", "10.0.0.1", "10.0.0.2");
            is_at(&mut net, 0, Some([10, 0, 0, 1]));
            is_at(&mut net, 1, Some([10, 0, 0, 1]));
            assert_eq!(net.sockets().note(BindIndex(0), None), None);
            hears(&mut net, there, text);
            ip("link del dev a");
            is_at(&mut net, 0, None);
            is_at(&mut net, 1, None);
        }
    });
}

#[test]
fn an_interface_that_is_switched_off_and_on_and_one_with_another_address_is_joined_again() {
    with_machine!(|there| {
        there.connect("a", "10.0.0.1", "10.0.0.2");
        let mut net = Net::open(&["a"]);
        net.join(0, GROUP);
        hears(&mut net, there, "before");
        ip("link set dev a down");
        is_at(&mut net, 0, None);
        ip("link set dev a up");
        wait_until("there is a link again", || {
            let table = InterfaceTable::read().expect("the kernel answers");
            table.by_name("a").is_some_and(|interface| interface.is_running)
        });
        is_at(&mut net, 0, Some([10, 0, 0, 1]));
        hears(&mut net, there, "up again");
        ip("addr flush dev a");
        is_at(&mut net, 0, None);
        ip("addr add 10.0.0.7/24 brd + dev a");
        is_at(&mut net, 0, Some([10, 0, 0, 7]));
        hears(&mut net, there, "elsewhere");
        let peer = there.run(|| Peer::open([0, 0, 0, 0]));
        net.send(0, [10, 0, 0, 2], "from there");
        net.flush();
        assert_eq!(peer.next(), ("from there".into(), [10, 0, 0, 7].into()));
    });
}

#[test]
fn all_interfaces_include_one_that_comes_later() {
    with_machine!(|there| {
        let mut net = Net::open(&["*"]);
        net.join(0, GROUP);
        there.connect("a", "10.0.0.1", "10.0.0.2");
        wait_until("it is known", || {
            net.turn();
            net.sockets().interfaces(BindIndex(0)).any(|interface| interface.name == "a")
        });
        hears(&mut net, there, "heard");
    });
}

#[test]
fn a_host_name_is_looked_up_and_its_interface_used() {
    with_machine!(|_there| {
        let mut net = Net::open(&["ip6-localhost-is-not-this", "* 5569"]);
        assert_eq!(net.sockets().address(BindIndex(0)), None);
        let answer = crate::resolver::ResolvedHost {
            host: "ip6-localhost-is-not-this".into(),
            addresses: vec!["[::1]:0".parse().unwrap(), "127.0.0.1:0".parse().unwrap()],
        };
        net.0.with(|net, cx| crate::backends::Backend::on_resolved(net, &answer, cx));
        is_at(&mut net, 0, Some([127, 0, 0, 1]));
    });
}
