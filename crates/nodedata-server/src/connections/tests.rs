use std::time::Duration;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn connections(change: impl FnOnce(&mut Limits)) -> Arc<Connections> {
    let mut limits = Limits { connections: 8, connections_per_address: 6, ..Limits::default() };
    change(&mut limits);
    Connections::new(limits)
}

fn address(last: u8) -> IpAddr {
    [10, 0, 0, last].into()
}

fn ended(slots: &[Slot]) -> Vec<usize> {
    slots.iter().enumerate().filter(|(_, it)| it.connection.is_ended()).map(|(idx, _)| idx).collect()
}

#[test]
fn an_address_gets_its_own_number_whatever_the_server_has() {
    let (all, now) = (connections(|_| ()), Instant::now());
    let slots: Vec<Slot> = (0..6).map(|_| all.admit(address(1), false, now).unwrap()).collect();
    assert_eq!(all.admit(address(1), false, now + SECOND).unwrap_err(), Full);
    all.admit(address(2), false, now + SECOND).unwrap();
    // One that stands still makes room for the next of the same address.
    slots[3].connection.enter(Phase::Idle, now);
    for (idx, slot) in slots.iter().enumerate().filter(|(idx, _)| *idx != 3) {
        slot.connection.enter(Phase::Body, now + 9 * SECOND - SECOND * idx as u32);
    }
    let _next = all.admit(address(1), false, now + 10 * SECOND).unwrap();
    assert_eq!(ended(&slots), [3]);
    assert_eq!((all.displaced.load(Ordering::Relaxed), all.refused.load(Ordering::Relaxed)), (1, 1));
    drop(slots);
    assert_eq!(all.n_open(), 1);
    assert_eq!(all.lock().held.values().sum::<usize>(), 1);
}

#[test]
fn the_slowest_of_whoever_has_most_makes_room() {
    let (all, now) = (connections(|_| ()), Instant::now());
    let mut slots: Vec<Slot> = (0..2).map(|_| all.admit(address(2), false, now).unwrap()).collect();
    slots.extend((0..6).map(|_| all.admit(address(1), false, now + SECOND).unwrap()));
    // All stand still; those of the second address for longest, those of the first are most.
    let third = all.admit(address(3), false, now + 10 * SECOND).unwrap();
    assert_eq!(ended(&slots), [2]);
    // All of the first move. It has most all the same, and one that moves goes, the one that the server works for last.
    for slot in &slots[3..] {
        slot.connection.enter(Phase::Body, now + 10 * SECOND);
    }
    slots[3].connection.enter(Phase::Work, now + 9 * SECOND);
    slots[0].connection.enter(Phase::Body, now + 10 * SECOND);
    slots[1].connection.enter(Phase::Body, now + 10 * SECOND);
    let fourth = all.admit(address(4), false, now + 11 * SECOND).unwrap();
    assert_eq!(ended(&slots), [2, 4]);
    assert!(!third.connection.is_ended() && !fourth.connection.is_ended());
    // Nobody is shut out for one that has as many already.
    assert_eq!(all.admit(address(1), false, now + 11 * SECOND).unwrap_err(), Full);
}

#[test]
fn a_crowd_of_single_connections_gives_way_where_it_stands_still() {
    let (all, now) = (connections(|_| ()), Instant::now());
    let slots: Vec<Slot> =
        (1..=8).map(|it| all.admit(address(it), false, now + SECOND * u32::from(it)).unwrap()).collect();
    assert_eq!(all.admit(address(9), false, now + SECOND).unwrap_err(), Full, "all of them are new");
    all.admit(address(9), false, now + 20 * SECOND).unwrap();
    assert_eq!(ended(&slots), [0]);
}

#[test]
fn accounts_have_their_own_number_wherever_they_come_from() {
    let (all, now) = (connections(|it| it.connections_per_account = 2), Instant::now());
    let account = Asker::Account("kit".to_owned());
    let slots: Vec<Slot> = (1..=3).map(|it| all.admit(address(it), false, now).unwrap()).collect();
    for slot in &slots {
        slot.connection.enter(Phase::Work, now);
    }
    slots[0].hold(&account, now).unwrap();
    slots[0].hold(&account, now).unwrap();
    slots[1].hold(&account, now).unwrap();
    assert_eq!(slots[2].hold(&account, now + 10 * SECOND), Err(Full), "both are worked for");
    slots[2].hold(&Asker::Account("other".to_owned()), now).unwrap();
    slots[0].answered(now);
    slots[2].hold(&account, now + 10 * SECOND).unwrap();
    assert_eq!(ended(&slots), [0]);
    slots[2].answered(now);
    slots[2].hold(&Asker::at(address(3)), now).unwrap();
    assert_eq!(all.lock().n_of(&account), 1);
}

#[test]
fn in_a_proxys_connections_those_behind_it_count() {
    let (all, now) = (connections(|it| it.connections_per_address = 2), Instant::now());
    let slots: Vec<Slot> = (0..5).map(|_| all.admit(address(1), true, now).unwrap()).collect();
    let client = Asker::at([192, 0, 2, 1].into());
    for slot in &slots {
        slot.connection.enter(Phase::Work, now);
    }
    slots[0].hold(&client, now).unwrap();
    slots[1].hold(&client, now).unwrap();
    assert_eq!(slots[2].hold(&client, now), Err(Full));
    slots[2].hold(&Asker::at([192, 0, 2, 2].into()), now).unwrap();
    slots[1].answered(now);
    slots[3].hold(&client, now).unwrap();
    assert_eq!(ended(&slots), [0usize; 0], "what the proxy keeps open is its own affair");
}
