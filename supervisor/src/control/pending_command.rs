//! A command whose instances have not all completed it; its client is answered when they have.

use super::protocol::Outcome;
use super::request::{InstanceCommand, Responder};
use crate::instances::transition::StartNumber;
use std::collections::HashMap;

/// A command in progress. Dropped before its end, it tells the client that the show is ending.
#[derive(Debug)]
pub struct PendingCommand {
    /// The command.
    pub command: InstanceCommand,
    responder: Responder,
    /// Each instance once, in the order of the request.
    outcomes: Vec<AwaitedOutcome>,
    /// By name: the place in `outcomes`.
    places: HashMap<String, usize>,
    /// Outcomes that are missing.
    missing: usize,
}

/// The outcome for one instance.
#[derive(Debug)]
struct AwaitedOutcome {
    /// What came of an earlier start of a worker does not count.
    first_start: StartNumber,
    outcome: Option<Outcome>,
}

impl PendingCommand {
    /// A command to these instances, for each of which only what comes of this start of a worker,
    /// or of a later one, counts.
    #[must_use]
    pub fn new(
        command: InstanceCommand,
        responder: Responder,
        instances: impl IntoIterator<Item = (String, StartNumber)>,
    ) -> Self {
        let (mut outcomes, mut places) = (Vec::new(), HashMap::new());
        for (name, first_start) in instances {
            places.entry(name).or_insert_with(|| {
                outcomes.push(AwaitedOutcome { first_start, outcome: None });
                outcomes.len() - 1
            });
        }
        let missing = outcomes.len();
        Self { command, responder, outcomes, places, missing }
    }

    /// Whether the outcome of that instance is still missing, and can be of this start.
    #[must_use]
    pub fn awaits(&self, instance: &str, start: StartNumber) -> bool {
        let awaited = self.places.get(instance).and_then(|place| self.outcomes.get(*place));
        awaited.is_some_and(|awaited| awaited.outcome.is_none() && start >= awaited.first_start)
    }

    /// Notes the outcome of an instance. The first outcome of each counts.
    pub fn record(&mut self, outcome: Outcome) {
        let place = self.places.get(&outcome.instance);
        let awaited = place.and_then(|place| self.outcomes.get_mut(*place));
        if let Some(awaited) = awaited.filter(|awaited| awaited.outcome.is_none()) {
            awaited.outcome = Some(outcome);
            self.missing -= 1;
        }
    }

    /// Whether no outcome is missing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing == 0
    }

    /// Whether the client still waits for the outcomes.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.responder.is_wanted()
    }

    /// Answers the client with the outcomes so far.
    pub fn respond(self) {
        let outcomes = self.outcomes.into_iter().filter_map(|awaited| awaited.outcome);
        self.responder.done(outcomes.collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::protocol::ControlReply;
    use crate::control::request::{Response, ResponseReceiver, response_channel};
    use std::time::Duration;

    const FIRST: StartNumber = StartNumber(7);

    fn pending(names: &[&str]) -> (PendingCommand, ResponseReceiver) {
        let instances = names.iter().map(|name| ((*name).to_owned(), FIRST));
        let (responder, receiver) = response_channel();
        (PendingCommand::new(InstanceCommand::Restart, responder, instances), receiver)
    }

    fn outcome(instance: &str, ok: bool) -> Outcome {
        Outcome { instance: instance.into(), ok, message: "so".into(), traceback: None }
    }

    fn reply(receiver: &ResponseReceiver) -> Option<ControlReply> {
        match receiver.receive(Duration::ZERO) {
            Some(Response::Reply(reply)) => Some(*reply),
            _ => None,
        }
    }

    #[test]
    fn the_answer_comes_with_the_last_outcome_in_the_order_of_the_asking() {
        let (mut pending, receiver) = pending(&["a", "b", "a"]);
        assert!(pending.awaits("b", FIRST));
        pending.record(outcome("b", false));
        assert!(!pending.awaits("b", FIRST));
        pending.record(outcome("b", true));
        pending.record(outcome("c", true));
        assert!(!pending.is_complete());
        assert_eq!(reply(&receiver), None);
        pending.record(outcome("a", true));
        assert!(pending.is_complete());
        pending.respond();
        let wanted = ControlReply::Done(vec![outcome("a", true), outcome("b", false)]);
        assert_eq!(reply(&receiver), Some(wanted));
    }

    #[test]
    fn what_came_of_an_earlier_start_does_not_count() {
        let (pending, _receiver) = pending(&["a"]);
        assert!(!pending.awaits("a", StartNumber(6)));
        assert!(pending.awaits("a", StartNumber(8)));
    }

    #[test]
    fn an_act_that_the_show_does_not_live_to_see_is_refused() {
        let (pending, receiver) = pending(&["a"]);
        drop(pending);
        assert!(matches!(reply(&receiver), Some(ControlReply::Refused(_))));
    }
}
