//! From a state on, faults stop: one sink goes on, the others stay where they are for ever. It must come to
//! the end, with everything committed, in pcs.results and on the read side.

use crate::{
    invariants::{Rest, Violation, rest, violations},
    state::{FLIGHTS, NONE, State},
    steps::{Step, take},
    world::{Scenario, World},
};

/// More than any state needs: each offset is folded, sent, landed, published and brought to the read side,
/// with some take-overs between.
const STEPS: usize = 400;

/// The world after the last fault, in which there is room to finish.
pub struct Calm(World);

/// The same world with room for every produce: one of a sink that is gone holds a place in the bounds, and
/// none in a broker.
pub(crate) fn room(world: &World) -> World {
    World::new(&Scenario { flights: FLIGHTS, ..world.scenario.clone() }, world.rules)
}

impl Calm {
    /// The calm after the storms of `world`.
    pub fn after(world: &World) -> Self {
        Self(room(world))
    }

    /// Goes on with each sink that could be the one; says what is then missing, and by which steps.
    pub fn check(&self, state: &State) -> Result<(), (Violation, Vec<Step>)> {
        (0..self.0.scenario.sinks).try_for_each(|sink| self.go_on(state, sink))
    }

    fn go_on(&self, state: &State, sink: usize) -> Result<(), (Violation, Vec<Step>)> {
        let mut state = State { faults: 0, ..*state };
        // Whoever was about to restore does not any more.
        let others = state.sinks.iter_mut().enumerate().filter(|(which, _)| *which != sink);
        others.for_each(|(_, other)| other.watermark = NONE);
        let mut steps = Vec::new();
        let fails = |rest, steps| Err((Violation::NeverEnds(sink, rest), steps));
        while let Some((step, next)) = self.next(&state, sink) {
            state = next;
            steps.push(step);
            if let Some(violation) = violations(&self.0, &state).next() {
                return Err((violation, steps));
            }
            if steps.len() > STEPS {
                return fails(Rest::Position, steps);
            }
        }
        rest(&self.0, &state, sink).map_or(Ok(()), |rest| fails(rest, steps))
    }

    fn next(&self, state: &State, sink: usize) -> Option<(Step, State)> {
        // Asked in this order; an empty script comes when nothing else does.
        let taking_over = [Step::Assign(sink), Step::Ask(sink), Step::Watermark(sink), Step::Load(sink)];
        let steps = (0..state.flights.len()).map(|flight| Step::Land { flight, heard: true });
        let steps = [Step::Up].into_iter().chain(steps).chain([Step::Compact]).chain(taking_over);
        let working = [
            Step::Gap(sink),
            Step::Publish(sink),
            Step::Resend(sink, 0),
            Step::Resend(sink, 1),
            Step::Fold(sink),
            Step::Resume(sink),
            Step::Commit(sink),
            Step::Idle(sink),
        ];
        // Without a read side there is nothing to come back.
        steps
            .chain(working)
            .filter(|step| *step != Step::Up || self.0.scenario.read_side)
            .find_map(|step| take(&self.0, state, step).map(|next| (step, next)))
    }
}
