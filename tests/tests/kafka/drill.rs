//! The drill: everything that is derived is deleted at once, the read side, the sinks' indexes, and the groups' offsets.
//! What is on the topics is enough: the same results stand.

use flk_tests::{DEADLINE, Role, audit, kafka::delete_groups};

use super::{all_is_well, fleet, under_load};

#[test]
fn without_redis_indexes_and_offsets_the_same_results_stand() {
    let mut service = fleet(1, 2, 2).start();
    let traffic = under_load(&mut service, 6, |_, _| {});
    all_is_well(&service, &traffic);
    let stand = service.stand().unwrap().clone();
    let before = audit::settled(&stand, DEADLINE);

    assert!(service.terminate().success());
    stand.redis().flush().unwrap();
    for n in 0..2 {
        std::fs::remove_dir_all(service.directory(Role::Sink, n)).unwrap();
    }
    delete_groups(&stand);

    service.start();
    // Everything is judged again and met again, and comes to the same.
    let after = audit::settled(&stand, DEADLINE);
    assert_eq!(after.results, before.results);
    assert_eq!(after.outcomes, before.outcomes);
    all_is_well(&service, &traffic);
    for (id, result) in traffic.told().into_iter().take(20) {
        assert_eq!(service.result(&id).expect(200).json(), result);
    }
    // And it goes on: new ones settle, old ones stand.
    let more = under_load(&mut service, 4, |_, _| {});
    let all = audit::settled(&stand, DEADLINE);
    assert!(all.results.len() >= before.results.len());
    for (id, result) in more.told() {
        assert_eq!(service.result(&id).expect(200).json(), result);
    }
}
