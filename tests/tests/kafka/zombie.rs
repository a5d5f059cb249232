//! A process that stops for longer than its session, and goes on as if nothing had been: somebody else has its
//! partitions, and it does not know.

use flk_tests::{DEADLINE, Role, until};

use super::{all_is_well, answered, every_partition_settles, fleet, under_load};

fn goes_on_after_somebody_took_over(role: Role) {
    let mut service = fleet(1, 2, 2).start();
    let traffic = under_load(&mut service, 6, |service, traffic| {
        service.process(role, 0).pause();
        // Those whose partition it has wait for as long as its session lasts.
        every_partition_settles(service);
        answered(traffic, 100);
        service.process(role, 0).resume();
        answered(traffic, 300);
        every_partition_settles(service);
    });
    let zombie = service.process(role, 0);
    let addr = zombie.addr();
    until("it is a member again", DEADLINE, || {
        let asked = flk_tests::Client::new(addr).send(&flk_tests::Request::get("/readyz"));
        asked.is_ok_and(|answer| answer.status == 200)
    });
    all_is_well(&service, &traffic);
}

#[test]
fn a_sink_that_was_stopped_and_goes_on_changes_no_winner_and_no_result() {
    goes_on_after_somebody_took_over(Role::Sink);
}

#[test]
fn a_verifier_that_was_stopped_and_goes_on_changes_no_verdict() {
    goes_on_after_somebody_took_over(Role::Verifier);
}
