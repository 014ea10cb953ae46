//! Warns of what the network does not have now: hosts that do not resolve, and addresses that are
//! not this machine's.
//!
//! A show starts without them, and uses them when they come; so they are warnings. Nothing is
//! opened for this. Names are looked up all at once, and given up on after [`LOOK_UP_TIMEOUT`].

use crate::backends::{AddressUse, NeededAddress, Plan};
use crate::resolver::Resolver;
use mm_config::Diagnostics;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long all names together may take to be looked up.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(3);

/// The most names that are looked up.
const NAMES_LIMIT: usize = 64;

/// Adds a warning for each address that is not there.
pub fn check(plans: &[Box<dyn Plan>], diagnostics: &mut Diagnostics) {
    let needed: Vec<NeededAddress> = plans.iter().flat_map(|plan| plan.needed_addresses()).collect();
    if needed.is_empty() {
        return;
    }
    let machine = Machine::look();
    let is_name = |need: &&NeededAddress| !need.is_known() && !machine.has_interface(need);
    let names = needed.iter().filter(is_name).map(|need| need.host.clone()).take(NAMES_LIMIT);
    let resolved = look_up(names.collect());
    for need in &needed {
        let addresses = match need.addresses() {
            Some(addresses) => addresses,
            None if machine.has_interface(need) => continue,
            None => match resolved.get(&need.host) {
                Some(Some(addresses)) => addresses.clone(),
                Some(None) => {
                    let seconds = LOOK_UP_TIMEOUT.as_secs();
                    warn(need, &format!("not resolved within {seconds} s"), diagnostics);
                    continue;
                }
                None => continue,
            },
        };
        if addresses.is_empty() {
            warn(need, "does not resolve", diagnostics);
        } else if need.usage == AddressUse::Own && !addresses.iter().any(|address| machine.has(*address)) {
            warn(need, "this machine does not have this address", diagnostics);
        }
    }
}

fn warn(need: &NeededAddress, reason: &str, diagnostics: &mut Diagnostics) {
    let message = format!("`{}` is not there now", need.host);
    let warning = diagnostics.warning(need.span, message).label(reason);
    warning.hint("the show starts without it, and uses it as soon as it is there");
}

/// The addresses of names; `None` where there was no answer in time.
fn look_up(names: BTreeSet<String>) -> HashMap<String, Option<Vec<IpAddr>>> {
    let (sender, receiver) = mpsc::channel();
    let resolver = Resolver::new(move |answer| {
        // After the time is over, no one listens.
        let _ = sender.send(answer);
    });
    names.iter().for_each(|name| resolver.look_up(name));
    let deadline = Instant::now() + LOOK_UP_TIMEOUT;
    let mut resolved: HashMap<String, Option<Vec<IpAddr>>> =
        names.into_iter().map(|name| (name, None)).collect();
    let mut open = resolved.len();
    while open > 0 {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(answer) = receiver.recv_timeout(left) else { break };
        let addresses = answer.addresses.iter().map(|address| address.ip()).collect();
        resolved.insert(answer.host, Some(addresses));
        open -= 1;
    }
    resolved
}

/// The interfaces of this machine.
struct Machine {
    names: BTreeSet<String>,
    /// `None`: they cannot be read, so every address counts as there.
    addresses: Option<Vec<IpAddr>>,
}

impl Machine {
    fn look() -> Self {
        let Ok(interfaces) = nix::ifaddrs::getifaddrs() else {
            return Self { names: BTreeSet::new(), addresses: None };
        };
        let (mut names, mut addresses) = (BTreeSet::new(), Vec::new());
        for interface in interfaces {
            names.insert(interface.interface_name);
            let Some(address) = interface.address else { continue };
            let v4 = address.as_sockaddr_in().map(|address| IpAddr::from(address.ip()));
            let v6 = address.as_sockaddr_in6().map(|address| IpAddr::from(address.ip()));
            addresses.extend(v4.or(v6));
        }
        Self { names, addresses: Some(addresses) }
    }

    fn has_interface(&self, need: &NeededAddress) -> bool {
        need.usage == AddressUse::Own && self.names.contains(&need.host)
    }

    fn has(&self, address: IpAddr) -> bool {
        let is_anywhere = address.is_unspecified() || address.is_loopback();
        is_anywhere || self.addresses.as_ref().is_none_or(|addresses| addresses.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends;
    use crate::show::LiveShow;
    use crate::show_file::load_text;
    use std::path::Path;

    /// The warnings about a show.
    fn found(text: &str) -> String {
        let loaded = load_text(Path::new("/show.cfg"), text);
        let mut diagnostics = loaded.diagnostics;
        let plans = backends::plan(&LiveShow::new(loaded.show), &mut diagnostics);
        check(&plans, &mut diagnostics);
        diagnostics.render(false)
    }

    #[test]
    fn addresses_of_this_machine_and_of_others_are_there() {
        let text = "[osc a]\nbind = 127.0.0.1 8000\ndestination = 192.0.2.1 9000\n\
                    [osc b]\nbind = * 8001\ndestination = localhost 9000\n[osc c]\nbind = :: 8002\n";
        assert_eq!(found(text), "");
    }

    #[test]
    fn an_address_of_another_machine_and_a_name_that_no_server_knows_are_not() {
        let found = found("[osc a]\nbind = 192.0.2.1 8000\ndestination = nowhere.invalid 9000\n");
        assert!(found.contains("`192.0.2.1` is not there now"), "{found}");
        assert!(found.contains("this machine does not have this address"), "{found}");
        assert!(found.contains("`nowhere.invalid` is not there now"), "{found}");
        assert!(found.contains("2 warnings"), "{found}");
    }
}
