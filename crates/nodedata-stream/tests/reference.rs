//! The order `lanes/1` held against its reference implementation: by the vectors and plans of `fixtures/lanes`, and by plans of
//! the moment where the reference is there.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use nodedata_stream::{Blocks, Keys, Lanes, Mixture, Order, Samples, Selection, Unit, order::mix};
use serde_json::Value;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/lanes").join(name)
}

fn read(name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(fixture(name)).unwrap()).unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn numbers(value: &Value) -> Vec<u64> {
    value.as_array().unwrap().iter().map(number).collect()
}

fn order(lengths: &[u64], unit: Unit, block: u64, seed: u64, epoch: u64, lanes: Lanes) -> Order {
    let samples = Samples::new(lengths, &Selection { unit, ..Selection::default() }).unwrap();
    let blocks = Blocks::new(Arc::new(samples), block).unwrap();
    Order::shuffled(Arc::new(blocks), seed, epoch, lanes).unwrap()
}

fn places(order: &Order) -> Vec<u64> {
    (0..order.len()).map(|it| order.sample(it).unwrap()).collect()
}

fn digest(places: &[u64]) -> String {
    let mut hasher = blake3::Hasher::new();
    for place in places {
        hasher.update(&place.to_le_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

#[test]
fn functions_are_those_of_the_vectors() {
    let vectors = read("lanes1-vectors.json");
    let hex = |it: u64| format!("{it:#018x}");
    assert_eq!(vectors["mix(1)"], hex(mix(1)));
    assert_eq!(vectors["mix(2**64-1)"], hex(mix(u64::MAX)));
    let keys = Keys::of(&[7, 0, 1]);
    let expected = vectors["keys(7, 0, 1)"].as_array().unwrap();
    assert!(expected.iter().eq(keys.words().map(|it| Value::from(hex(it))).iter()));
    let ten: Vec<u64> = (0..10).map(|it| keys.permute(10, it)).collect();
    assert_eq!(numbers(&vectors["permute(keys(7,0,1), 10, 0..10)"]), ten);
    let n = (1 << 33) + 1;
    let large = [0, 1, 1 << 33].map(|it| keys.permute(n, it));
    assert_eq!(numbers(&vectors["permute(keys(7,0,1), 2**33+1, [0,1,2**33])"]), large);
}

#[test]
fn orders_are_those_of_the_vectors() {
    let vectors = read("lanes1-vectors.json");
    let it = &vectors["order"];
    let (lengths, block) = (numbers(&it["rows"]), number(&it["block"]));
    let (seed, epoch) = (number(&it["seed"]), number(&it["epoch"]));
    let lanes = Lanes { lanes: number(&it["lanes"]), window: number(&it["window"]) };
    let made = |epoch, lanes| places(&order(&lengths, Unit::Step, block, seed, epoch, lanes));
    let all = made(epoch, lanes);
    assert_eq!(numbers(&it["first 32"]), all[..32]);
    assert_eq!(numbers(&it["last 8"]), all[all.len() - 8..]);
    assert_eq!(it["b3 of all as <u64"], digest(&all));
    assert_eq!(numbers(&vectors["order epoch 1, first 8"]), made(1, lanes)[..8]);
    let uniform = made(0, Lanes { lanes: 1, window: 799 });
    assert_eq!(numbers(&vectors["uniform (lanes 1, window N), first 16"]), uniform[..16]);
}

#[test]
fn mixtures_are_those_of_the_vectors() {
    let vectors = read("lanes1-vectors.json");
    let mixture = Mixture::new(&[7, 3], 7).unwrap();
    let sources: Vec<u64> = (0..16).map(|it| mixture.source(it) as u64).collect();
    assert_eq!(numbers(&vectors["mixture [7,3] seed 7, first 16"]), sources);
}

#[test]
fn the_specification_shows_the_vectors() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/lanes-1.md");
    let page = fs::read_to_string(page).unwrap();
    let vectors = read("lanes1-vectors.json");
    let shows = |text: &str| assert!(page.contains(text), "{text}");
    let hex = |it: &Value| format!("`{}`", it.as_str().unwrap().trim_start_matches("0x"));
    let row = |it: &Value| numbers(it).iter().map(u64::to_string).collect::<Vec<_>>().join(" ");
    shows(&format!("| `mix(1)` | {} |", hex(&vectors["mix(1)"])));
    shows(&format!("| `mix(2^64 − 1)` | {} |", hex(&vectors["mix(2**64-1)"])));
    let keys: Vec<String> = vectors["keys(7, 0, 1)"].as_array().unwrap().iter().map(hex).collect();
    shows(&format!("| `keys(7, 0, 1)` | {} |", keys.join(" ")));
    shows(&format!("| {} |", row(&vectors["permute(keys(7,0,1), 10, 0..10)"])));
    shows(&format!("| {} |", row(&vectors["permute(keys(7,0,1), 2**33+1, [0,1,2**33])"])));
    shows(&format!("| {} |", row(&vectors["mixture [7,3] seed 7, first 16"])));
    let order = &vectors["order"];
    shows(&format!("| begins {}, ends {} |", row(&order["first 32"]), row(&order["last 8"])));
    shows(&format!("| begins {} |", row(&vectors["order epoch 1, first 8"])));
    shows(&format!("| begins {} |", row(&vectors["uniform (lanes 1, window N), first 16"])));
    shows(&format!("`{}`", order["b3 of all as <u64"].as_str().unwrap()));
}

/// Holds the crate against plans of `random_plans.py`.
#[track_caller]
fn check(plans: &Value, n_orders: usize) {
    let orders = plans["orders"].as_array().unwrap();
    assert_eq!(orders.len(), n_orders);
    for plan in orders {
        let lanes = Lanes { lanes: number(&plan["lanes"]), window: number(&plan["window"]) };
        let (seed, epoch) = (number(&plan["seed"]), number(&plan["epoch"]));
        let unit = plan["unit"].as_str().unwrap().parse().unwrap();
        let made = order(&numbers(&plan["lengths"]), unit, number(&plan["block"]), seed, epoch, lanes);
        assert_eq!(plan["order"], digest(&places(&made)), "{plan}");
    }
    for plan in plans["mixtures"].as_array().unwrap() {
        let mixture = Mixture::new(&numbers(&plan["weights"]), number(&plan["seed"])).unwrap();
        let first = number(&plan["first"]);
        let sources: Vec<u64> = (first..first + 1500).map(|it| mixture.source(it) as u64).collect();
        assert_eq!(plan["sources"], digest(&sources), "{plan}");
    }
}

#[test]
fn a_hundred_orders_are_those_that_the_reference_made() {
    check(&read("random-plans.json"), 100);
}

/// A word that says which plans are made: another one for each process, told when they differ.
fn seed() -> String {
    env::var("NODEDATA_LANES_SEED").unwrap_or_else(|_| std::process::id().to_string())
}

#[test]
fn a_hundred_orders_are_those_that_the_reference_makes() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/design/lanes/lanes1.py");
    let reference = env::var_os("NODEDATA_LANES_REFERENCE").map_or(beside, PathBuf::from);
    if !reference.is_file() {
        return nodedata_testkit::skipped("the reference of the order lanes/1 is not there");
    }
    let python = env::var_os("NODEDATA_LANES_PYTHON").unwrap_or_else(|| "python3".into());
    let has_blake3 = Command::new(&python).args(["-c", "import blake3"]).output();
    if !has_blake3.is_ok_and(|it| it.status.success()) {
        return nodedata_testkit::skipped(
            "no Python with `blake3` to run the reference of the order lanes/1",
        );
    }
    let seed = seed();
    let output = Command::new(python)
        .arg("-B")
        .arg(fixture("random_plans.py"))
        .arg(reference)
        .args([seed.as_str(), "100"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    println!("NODEDATA_LANES_SEED={seed}");
    check(&serde_json::from_slice(&output.stdout).unwrap(), 100);
}
