//! A command whose instances have not all completed it; its client is answered when they have.

use super::protocol::Outcome;
use super::request::{InstanceCommand, Responder};

/// A command in progress. Dropped before its end, it tells the client that the show is ending.
#[derive(Debug)]
pub struct PendingCommand {
    /// The command.
    pub command: InstanceCommand,
    responder: Responder,
    /// Each instance once, in the order of the request.
    outcomes: Vec<(String, Option<Outcome>)>,
}

impl PendingCommand {
    /// A command to these instances.
    #[must_use]
    pub fn new(command: InstanceCommand, responder: Responder, instances: &[String]) -> Self {
        let mut outcomes: Vec<(String, Option<Outcome>)> = Vec::new();
        for name in instances {
            if !outcomes.iter().any(|(known, _)| known == name) {
                outcomes.push((name.clone(), None));
            }
        }
        Self { command, responder, outcomes }
    }

    /// Whether the outcome of that instance is still missing.
    #[must_use]
    pub fn awaits(&self, instance: &str) -> bool {
        self.outcomes.iter().any(|(name, outcome)| name == instance && outcome.is_none())
    }

    /// Notes the outcome of an instance. The first outcome of each counts.
    pub fn record(&mut self, outcome: Outcome) {
        if let Some((_, slot)) = self.outcomes.iter_mut().find(|(name, _)| *name == outcome.instance) {
            slot.get_or_insert(outcome);
        }
    }

    /// Whether no outcome is missing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.outcomes.iter().all(|(_, outcome)| outcome.is_some())
    }

    /// Answers the client with the outcomes so far.
    pub fn respond(self) {
        let outcomes = self.outcomes.into_iter().filter_map(|(_, outcome)| outcome);
        self.responder.done(outcomes.collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::protocol::ControlReply;
    use crate::control::request::{Response, ResponseReceiver, response_channel};
    use std::time::Duration;

    fn pending(names: &[&str]) -> (PendingCommand, ResponseReceiver) {
        let instances: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let (responder, receiver) = response_channel();
        (PendingCommand::new(InstanceCommand::Restart, responder, &instances), receiver)
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
        assert!(pending.awaits("b"));
        pending.record(outcome("b", false));
        assert!(!pending.awaits("b"));
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
    fn an_act_that_the_show_does_not_live_to_see_is_refused() {
        let (pending, receiver) = pending(&["a"]);
        drop(pending);
        assert!(matches!(reply(&receiver), Some(ControlReply::Refused(_))));
    }
}
