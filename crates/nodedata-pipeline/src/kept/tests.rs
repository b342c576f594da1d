use nodedata_core::Partition;

use super::*;

const MIB: u64 = 1 << 20;

fn keeper(policy: KeepRows) -> Keeper {
    Keeper { policy, folders: BTreeMap::new(), found: BTreeMap::new(), partitions: BTreeSet::new() }
}

fn window(millis: u64, is_kept: bool) -> ReadWindow {
    let window = Window { unit: 0, range: 0..2, partitions: vec![0, 1] };
    let kept = is_kept.then(|| (Told::default(), 1));
    ReadWindow { window, parts: Vec::new(), kept, taken: Duration::from_millis(millis) }
}

/// A unit that takes long, a window that is slow, and neither alone.
#[test]
fn only_slow_windows_of_long_units_are_kept() {
    let partition = Partition { decoded_bytes: 8 * MIB, ..Partition::default() };
    let plan = SourcePlan { partitions: vec![partition.clone(), partition], ..SourcePlan::default() };
    let keeper = keeper(KeepRows { after: Duration::from_secs(5), slower_than: 256 * MIB });
    let long = Duration::from_secs(5);
    let short = Duration::from_millis(4_999);
    // 16 MiB in 63 ms are less than 256 MiB/s, in 62 ms more.
    for (millis, is_kept, spent, expected) in [
        (63, false, long, true),
        (63, false, short, false),
        (62, false, long, false),
        (62_000, false, short, false),
        (63, true, long, false),
    ] {
        let found = keeper.is_worth(&window(millis, is_kept), spent, &plan);
        assert_eq!(found, expected, "{millis} ms, after {spent:?}, kept before: {is_kept}");
    }
}

/// Of a unit that took long before it was stopped, the first slow window is kept at once.
#[test]
fn a_unit_that_was_begun_is_known_to_take_long() {
    let mut keeper = keeper(KeepRows::default());
    keeper.found.insert((3, 12), 7);
    keeper.found.insert((3, 18), 5);
    assert_eq!([2, 3, 4].map(|it| keeper.spent(it)), [Duration::ZERO, keeper.policy.after, Duration::ZERO]);
    assert_eq!(keeper.records(), BTreeMap::from([(3, 12)]));
}

#[test]
fn names_say_which_partitions_a_file_is_of() {
    let unit = Unit { split: 0, number: 0, partitions: (0..9).collect() };
    let found = |name: &str| range_of(Path::new(name), &unit);
    assert_eq!(found("rows/u/00000002-00000009"), Some(2..9));
    for other in ["00000002-00000010", "00000002-00000002", "00000002", "2-x", "00000002-00000009.77.tmp"] {
        assert_eq!(found(other), None, "{other}");
    }
}
