//! Pushes and pulls through a network that cuts, stalls, drips and truncates, in requests and in answers.

use std::{collections::BTreeMap, path::Path, time::Duration};

use nodedata_registry::{DatasetName, Revision};
use nodedata_testkit::registry::{ShardSpec, write_shard};
use serde_json::Value;

use super::{
    asked,
    commands::{Side, Tries, run_until_done},
    is_long,
    proxy::{FAULTS, Plan, Proxy, Way},
    weather::{is_broken_connection, is_sound, open, replayed},
};
use crate::{
    command::Work,
    served::Served,
    tables::differing,
    trust::{local, run as ask},
};

/// Steps of the large shard, which is sent in two parts.
const STEPS_OF_TWO_PARTS: usize = 330_000;
/// Rounds beyond those that were asked for, at most, until each fault was met both ways.
const ROUNDS_MORE: u64 = 40;

/// Two shards: one of several parts in each third round, else small ones.
fn write(folder: &Path, round: u64) {
    let n_steps = if round.is_multiple_of(3) { STEPS_OF_TWO_PARTS } else { 300 };
    for (idx, n_steps) in [n_steps, 50].into_iter().enumerate() {
        let first_episode = (round * 2).cast_signed() + idx as i64;
        let spec = ShardSpec { first_episode, n_episodes: 1, n_steps, seed: round };
        write_shard(&folder.join(format!("train-{idx}.parquet")), &spec);
    }
}

#[derive(Default)]
struct Tally {
    n: u64,
    tries: u64,
    refused: u64,
}

impl Tally {
    fn add(&mut self, tries: &Tries) {
        self.n += 1;
        self.tries += tries.n;
        self.refused += tries.refused;
    }
}

/// A command through the proxy, as often as it takes.
fn through(work: &Work, proxy: &str, token: &str, args: &[&str]) -> Tries {
    let side = Side { store: proxy, token, user: "acme" };
    run_until_done(work, side, args, || None, || {}, is_broken_connection)
}

#[test]
fn what_is_cut_off_ends_as_if_it_had_not_been() {
    let n_rounds = asked("NODEDATA_STORM_ROUNDS", 4, 60);
    let work = Work::new();
    local(&work, &["store", "init"]).exits(0);
    let new_token =
        ["serve", "--data", "server", "--new-token", "acme", "--scope", "read", "--scope", "publish:acme/*"];
    let token = local(&work, &new_token).exits(0).stdout.trim().to_owned();
    let server = Served::new(&work);
    let seed = asked("NODEDATA_STORM_SEED", 2026, 2026);
    // Not as long as a client waits, which is tested with clocks that are set: here it is cut off then.
    let stall = Duration::from_millis(if is_long() { 1_000 } else { 150 });
    let proxy = Proxy::new(&server.url, stall, move |idx| Plan::of(seed, idx));
    let url = proxy.url();
    let (mut pushes, mut pulls) = (Tally::default(), Tally::default());
    let mut found_done = 0;
    // Until there was all of the weather, which follows from how connections come.
    let has_all = || FAULTS.iter().all(|it| proxy.done().of(*it).iter().all(|n| *n > 0));
    for round in 0..n_rounds + ROUNDS_MORE {
        if round >= n_rounds && has_all() {
            break;
        }
        let (name, folder) = (format!("acme/cut-{round}"), format!("shards/{round}"));
        write(&work.path(&folder), round);
        let op_id = format!("cut-{round}");
        let mut args = vec!["dataset", "push", "--name", &name, "--format", "json", &folder];
        if round % 2 == 0 {
            args.extend(["--op-id", &op_id]);
        }
        let pushed = through(&work, &url, &token, &args);
        pushes.add(&pushed);
        let report: Value = serde_json::from_str(&pushed.stdout).unwrap();
        let is_new = report["outcome"] == "published";
        assert!(is_new || pushed.refused > 0, "nobody else pushes {name}: {report}");
        found_done += u64::from(!is_new);
        let out = format!("pulled-{round}");
        pulls.add(&through(&work, &url, &token, &["dataset", "pull", &name, "--out", &out]));
        is_whole(&work, &name, &folder, &out);
        ask(&work, &server.url, &token, &["dataset", "verify", &name]).exits(0);
    }
    is_sound(&open(&work.path("store")));
    let done: BTreeMap<String, [u64; 2]> =
        FAULTS.iter().map(|it| (format!("{it:?}").to_lowercase(), proxy.done().of(*it))).collect();
    eprintln!(
        "storm of cuts: {} pushes in {} tries ({} refused, {found_done} of them had published), {} pulls in {} tries ({} refused); \
         {} connections, {} faults, of requests and answers: {done:?}",
        pushes.n,
        pushes.tries,
        pushes.refused,
        pulls.n,
        pulls.tries,
        pulls.refused,
        proxy.n_connections(),
        proxy.done().total(),
    );
    assert!(has_all(), "there was too little weather");
}

/// One revision, published by one record, and what was pulled is what a folder of the store gives and what was pushed.
fn is_whole(work: &Work, name: &str, folder: &str, out: &str) {
    let direct = open(&work.path("store"));
    let dataset: DatasetName = name.parse().unwrap();
    let (state, _) = replayed(&direct, &dataset);
    assert_eq!((state.revisions.len(), state.next_seq), (1, 2), "{name}: created once, published once");
    let revision = Revision::open(&direct.shared(), &dataset, &state.revisions[0]).unwrap();
    assert_eq!(revision.contents().unwrap().0.len(), 2, "{name}");
    local(work, &["dataset", "pull", name, "--out", "straight"]).exits(0);
    assert_eq!(differing(&work.path("straight"), &work.path(out)), Vec::<String>::new(), "{name}");
    for shard in ["train-0.parquet", "train-1.parquet"] {
        let (pushed, pulled) = (work.path(folder).join(shard), work.path(out).join("data").join(shard));
        assert_eq!(std::fs::read(pushed).unwrap(), std::fs::read(pulled).unwrap(), "{name}, {shard}");
    }
    for gone in ["straight", out, folder] {
        std::fs::remove_dir_all(work.path(gone)).unwrap();
    }
}

#[test]
fn a_seed_does_each_fault_to_both_ways() {
    let plans: Vec<Option<Plan>> = (0..90).map(|it| Plan::of(7, it)).collect();
    assert_eq!(plans.iter().filter(|it| it.is_none()).count(), 10);
    for fault in FAULTS {
        for way in [Way::Request, Way::Answer] {
            let of = plans.iter().flatten().filter(|it| it.fault == fault && it.way == way);
            assert_eq!(of.count(), 10, "{fault:?} {way:?}");
        }
    }
    let afters: std::collections::BTreeSet<u64> = plans.iter().flatten().map(|it| it.after).collect();
    assert!(afters.len() > 60 && afters.iter().any(|it| *it > 1 << 20), "{afters:?}");
}
