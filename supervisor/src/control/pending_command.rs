//! Waits until every instance that was acted on has come to an end of it, then answers.

use super::protocol::Outcome;
use super::request::Answer;

/// An act on instances that goes on. Dropped before its end, it tells the client that the show is ending.
#[derive(Debug)]
pub struct Gathering {
    answer: Answer,
    /// In the order in which they were asked for.
    awaited: Vec<(String, Option<Outcome>)>,
}

/// Whether anything is still awaited.
#[derive(Debug)]
pub enum Gathered {
    /// It goes on.
    Waiting(Gathering),
    /// The client has been answered.
    Complete,
}

impl Gathering {
    /// Awaits these instances.
    #[must_use]
    pub fn new(answer: Answer, instances: impl IntoIterator<Item = String>) -> Self {
        let mut awaited: Vec<(String, Option<Outcome>)> = Vec::new();
        for name in instances {
            if !awaited.iter().any(|(known, _)| *known == name) {
                awaited.push((name, None));
            }
        }
        Self { answer, awaited }
    }

    /// Whether it still waits for that instance.
    #[must_use]
    pub fn awaits(&self, instance: &str) -> bool {
        self.awaited.iter().any(|(name, outcome)| name == instance && outcome.is_none())
    }

    /// Takes in what came of an instance. The first outcome of each counts.
    #[must_use]
    pub fn settle(mut self, outcome: Outcome) -> Gathered {
        let awaited = self.awaited.iter_mut().find(|(name, _)| *name == outcome.instance);
        if let Some((_, slot)) = awaited {
            slot.get_or_insert(outcome);
        }
        self.check()
    }

    /// Answers if nothing is awaited any more.
    #[must_use]
    pub fn check(self) -> Gathered {
        if self.awaited.iter().any(|(_, outcome)| outcome.is_none()) {
            return Gathered::Waiting(self);
        }
        self.answer.done(self.awaited.into_iter().filter_map(|(_, outcome)| outcome).collect());
        Gathered::Complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::protocol::Reply;
    use crate::control::request::{Act, Ask, Heard, Lane, lane};
    use mm_shared::Doorbell;
    use std::sync::Arc;

    fn gathering(names: &[&str]) -> (Gathering, Lane) {
        let instances: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let ask = Ask::Act { act: Act::Restart, instances: instances.clone() };
        let (answer, lane) = lane(&ask, &Arc::new(Doorbell::new().unwrap()));
        (Gathering::new(answer, instances), lane)
    }

    fn outcome(instance: &str, ok: bool) -> Outcome {
        Outcome { instance: instance.into(), ok, message: "so".into(), traceback: None }
    }

    #[test]
    fn the_answer_comes_with_the_last_outcome_in_the_order_of_the_asking() {
        let (gathering, lane) = gathering(&["a", "b", "a"]);
        assert!(gathering.awaits("b"));
        let Gathered::Waiting(gathering) = gathering.settle(outcome("b", false)) else { panic!("complete") };
        assert!(!gathering.awaits("b"));
        let Gathered::Waiting(gathering) = gathering.settle(outcome("b", true)) else { panic!("complete") };
        let Gathered::Waiting(gathering) = gathering.settle(outcome("c", true)) else { panic!("complete") };
        assert_eq!(lane.hear(), Heard::Nothing);
        assert!(matches!(gathering.settle(outcome("a", true)), Gathered::Complete));
        let wanted = Reply::Done(vec![outcome("a", true), outcome("b", false)]);
        assert_eq!(lane.hear(), Heard::Reply(wanted));
    }

    #[test]
    fn an_act_that_the_show_does_not_live_to_see_is_refused() {
        let (gathering, lane) = gathering(&["a"]);
        drop(gathering);
        assert!(matches!(lane.hear(), Heard::Reply(Reply::Refused(_))));
    }
}
