//! Rebalances under load: members come, leave, die and stand still for a while; nothing is lost, and nothing settled
//! twice.

use flk_tests::Role;

use super::{all_is_well, answered, every_partition_settles, fleet, under_load};

/// For longer than a rebalance takes, and shorter than a session.
const MEANWHILE: u64 = 150;

fn members_move(role: Role) {
    let mut service = fleet(2, 2, 2).start();
    let traffic = under_load(&mut service, 6, |service, traffic| {
        // One leaves, and comes again.
        assert!(service.process(role, 0).terminate().success());
        answered(traffic, MEANWHILE);
        service.start_one(role, 0);
        answered(traffic, MEANWHILE);
        // One dies, and comes again.
        service.process(role, 1).kill9();
        service.start_one(role, 1);
        answered(traffic, MEANWHILE);
        // One stands still for a moment.
        service.process(role, 0).pause();
        answered(traffic, 20);
        service.process(role, 0).resume();
        answered(traffic, MEANWHILE);
        every_partition_settles(service);
    });
    all_is_well(&service, &traffic);
}

#[test]
fn sinks_come_leave_die_and_stand_still_under_load() {
    members_move(Role::Sink);
}

#[test]
fn verifiers_come_leave_die_and_stand_still_under_load() {
    members_move(Role::Verifier);
}

#[test]
fn an_ingest_that_dies_takes_nothing_with_it_that_was_durable() {
    let mut service = fleet(2, 1, 1).start();
    let traffic = under_load(&mut service, 6, |service, traffic| {
        for n in [1, 0] {
            service.process(Role::Ingest, n).kill9();
            service.start_one(Role::Ingest, n);
            traffic.moved(n, service.process(Role::Ingest, n).addr());
            answered(traffic, MEANWHILE);
        }
    });
    all_is_well(&service, &traffic);
}

#[test]
fn one_of_each_role_dies_for_good_and_the_others_take_over() {
    let mut service = fleet(1, 2, 2).start();
    let traffic = under_load(&mut service, 6, |service, traffic| {
        service.process(Role::Verifier, 0).kill9();
        service.process(Role::Sink, 1).kill9();
        every_partition_settles(service);
        answered(traffic, MEANWHILE);
    });
    all_is_well(&service, &traffic);
}
