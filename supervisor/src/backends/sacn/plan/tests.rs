//! What is warned of, and what the mappings mean for instances.

use super::*;
use crate::backends::sacn::plans;
use crate::show_file::load_text;
use std::path::Path;

/// The plan of a show with a loopback instance `x`, and the warnings.
fn plan(text: &str) -> (SacnPlan, Vec<String>) {
    let loaded = load_text(Path::new("/show.cfg"), &format!("[loopback x]\n{text}"));
    let (mut diagnostics, show) = (loaded.diagnostics, LiveShow::new(loaded.show));
    let section = show.backends.iter().find(|section| section.backend == "sacn");
    let instances = show.instances_of("sacn");
    let plans = plans(Some(&show), section, &instances, &mut diagnostics);
    let plan: &dyn Any = &*plans[0];
    let plan = plan.downcast_ref::<SacnPlan>().expect("it is this one").clone();
    assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
    (plan, diagnostics.iter().map(|found| found.message().to_owned()).collect())
}

#[test]
fn only_instances_that_mappings_lead_from_receive() {
    let sections = "[sacn a]\nuniverse = 1\n[sacn b]\nuniverse = 2\npriority = 100\n";
    let (forth, found) = plan(&format!("{sections}[map]\na.1 > b.1\n"));
    assert_eq!(found, Vec::<String>::new());
    assert_eq!(forth.instances.iter().map(|instance| instance.receives).collect::<Vec<_>>(), [true, false]);
    let (back, found) = plan(&format!("{sections}[map]\na.1 < b.1\n"));
    assert_eq!(found, ["`a.1` is mapped as an output, but `a` has no `priority`"]);
    assert!(back.differs(&forth), "the channels are the same, but not what is received");
    assert!(!back.differs(&back.clone()));
}

#[test]
fn two_instances_that_send_one_universe_to_one_place_are_warned_of() {
    let two = |first: &str, second: &str| {
        let global = "[backend sacn]\nbind = lo\nbind = *\n";
        let instance = |name, settings| format!("[sacn {name}]\nuniverse = 7\n{settings}\n");
        plan(&format!("{global}{}{}[map]\nx.1 > a.1\n", instance("a", first), instance("b", second))).1
    };
    let warning = "`a` and `b` both send universe 7 to one place";
    assert_eq!(two("priority = 100", "priority = 50"), [warning]);
    let to = "priority = 1\ndestination = 10.0.0.1";
    assert_eq!(two(to, "priority = 1\ndestination = 10.0.0.1 5568"), [warning]);
    assert_eq!(two(to, "priority = 1"), Vec::<String>::new());
    assert_eq!(two("priority = 1", "priority = 1\ninterface = 1"), Vec::<String>::new());
    assert_eq!(two("priority = 1", ""), Vec::<String>::new());
}

#[test]
fn the_cid_of_the_show_file_counts() {
    let text = "[sacn a]\nuniverse = 1\n[map]\na.1 > x.1\n";
    let (own, _) = plan(text);
    assert!(!own.cid.is_configured);
    let (set, _) = plan(&format!("[backend sacn]\ncid = 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n{text}"));
    assert!(set.cid.is_configured && set.cid.cid != own.cid.cid && set.differs(&own));
}
