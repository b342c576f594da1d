//! Every field of a step is walked back to the messages it was made of, which another reader then finds there.

use std::collections::BTreeMap;

use arrow_array::{Array as _, cast::AsArray as _, types::Float64Type};
use serde_json::Value;

use crate::{
    command::Work,
    explain::{Log, pair},
    logs::fixture,
    tables::{Dataset, int64},
};

const PIPELINE: &str = "version: 1
source: teleop.mcap
steps: {clock: {rate_hz: 30}, time: log_time, tolerance_ms: 60}
fields:
  wrist: /camera/wrist/image/compressed
  depth: {from: /camera/depth/image_raw, tolerance_ms: 1}
  action: {from: /cmd/joints.data, align: hold, tolerance_ms: 1000}
  joints: {from: [/joint_states.position, /joint_states.velocity], by_name: [elbow, wrist_1]}
  turn: {from: /imu/data.angular_velocity.x, align: linear}
  robot: {value: arm}
";

/// Log times of every topic, in order, and the streams they are in.
struct Truth {
    log: Log,
    topics: Dataset,
    times: BTreeMap<String, Vec<i64>>,
}

impl Truth {
    fn of(work: &Work, log: &str) -> Self {
        work.run(["convert", log, "--out", "topics", "--undecoded", "*"]).exits(0);
        let topics = Dataset::open(work.path("topics"));
        let times =
            topics.tables().iter().map(|(name, rows)| (name.clone(), int64(rows, "log_time_ns"))).collect();
        Self { log: Log::open(&work.path(log)), topics, times }
    }

    /// The log time of the message that an answer points at.
    fn time_at(&self, message: &Value) -> i64 {
        let topic = message["topic"].as_str().unwrap();
        let stream = self.topics.streams().iter().find(|it| it["name"] == topic).unwrap();
        let found = self.log.messages(stream, pair(&message["bytes"]));
        found[message["record"].as_u64().unwrap() as usize].0
    }
}

fn fields(step: &Value) -> BTreeMap<&str, &Value> {
    step["fields"].as_array().unwrap().iter().map(|it| (it["field"].as_str().unwrap(), it)).collect()
}

#[test]
fn every_field_is_found_where_it_came_from() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    work.write("p.yaml", PIPELINE);
    work.run(["run", "p.yaml", "--out", "out"]).exits(0);
    let truth = Truth::of(&work, &log);
    let rows = Dataset::open(work.path("out")).tables()["steps"].clone();
    work.run(["convert", &log, "--out", "decoded"]).exits(0);
    let decoded = Dataset::open(work.path("decoded")).tables();
    let commands = &decoded["/cmd/joints"];
    let mut n_null = 0;
    for row in [0usize, 1, 7, 29, 30, 58] {
        let number = row.to_string();
        let ask = ["explain", "out", "--episode", "0", "--stream", "steps", "--row", &number];
        let told = work.run(ask.iter().chain(&["--source", &log, "--format", "json"])).exits(0).json();
        let step = &told["step"];
        let time = step["time_ns"].as_i64().unwrap();
        assert_eq!((&step["step"], &step["episode_key"]), (&row.into(), &Value::from(log.as_str())));
        let fields = fields(step);
        assert_eq!(
            fields.keys().copied().collect::<Vec<_>>(),
            ["action", "depth", "joints", "robot", "turn", "wrist"]
        );
        for (field, made) in &fields {
            for message in made["messages"].as_array().unwrap() {
                let at = truth.time_at(message);
                assert_eq!(message["time_ns"], at, "{field} of row {row}: {message}");
                assert_eq!(message["skew_ns"], at - time, "{field} of row {row}: {message}");
                assert_eq!(message["source"], log.as_str());
            }
        }
        let times = |topic: &str| truth.times[topic].iter().copied();
        let of = |field: &str| fields[field]["messages"].as_array().unwrap().clone();
        let nearest = times("/camera/wrist/image/compressed").map(|it| (it - time).abs()).min().unwrap();
        assert_eq!(of("wrist")[0]["skew_ns"].as_i64().unwrap().abs(), nearest);
        // A null has no message, and a value has one.
        let depth = rows.column_by_name("depth").unwrap();
        assert_eq!(of("depth").is_empty(), depth.is_null(row), "row {row}");
        n_null += usize::from(depth.is_null(row));
        // Two columns of one message are one message.
        assert_eq!(of("joints").len(), 1);
        assert_eq!(of("joints")[0]["columns"], serde_json::json!(["position", "velocity"]));
        let held = times("/cmd/joints").filter(|it| *it <= time).max();
        assert_eq!(of("action").first().map(|it| it["time_ns"].as_i64().unwrap()), held);
        if let Some(held) = held {
            let at = int64(commands, "log_time_ns").iter().position(|it| *it == held).unwrap();
            let data = commands.column_by_name("data").unwrap().as_list::<i32>().value(at);
            let action = rows.column_by_name("action").unwrap().as_list::<i32>().value(row);
            let values = |it: &arrow_array::ArrayRef| it.as_primitive::<Float64Type>().values().to_vec();
            assert_eq!(values(&data), values(&action), "row {row}");
        }
        // On the line between two messages: both are named, with their shares.
        let shares: Vec<f64> = of("turn").iter().filter_map(|it| it["weight"].as_f64()).collect();
        assert!(shares.is_empty() || (shares.len() == 2 && (shares.iter().sum::<f64>() - 1.0).abs() < 1e-9));
        assert_eq!(fields["robot"]["constant"], true);
    }
    assert!(0 < n_null, "no row lacks a depth image: the case is not looked at");
}

/// Where the clock is a topic and steps are dropped, rows are still found by their times.
#[test]
fn steps_of_a_topic_in_several_recordings() {
    let work = Work::new();
    let log = std::fs::read(fixture("teleop.mcap")).unwrap();
    work.write("runs/a.mcap", &log);
    work.write("runs/b.mcap", &log);
    work.write(
        "p.yaml",
        "version: 1\nsource: runs\nsteps: {clock: {topic: /camera/depth/image_raw}, tolerance_ms: 20, beyond: drop}\n\
         fields: {gripper: /gripper/state.tip_offset, thumb: {from: /camera/thumb/image_raw, tolerance_ms: 60}}\n",
    );
    work.run(["run", "p.yaml", "--out", "out"]).exits(0);
    let dataset = Dataset::open(work.path("out"));
    let steps = &dataset.tables()["steps"];
    let episodes = int64(steps, "episode_index");
    let n_second = episodes.iter().filter(|it| **it == 1).count();
    assert!(0 < n_second && n_second < 20, "{n_second} rows: nothing was dropped");
    let last = (n_second - 1).to_string();
    let ask = ["explain", "out", "--episode", "1", "--stream", "steps", "--row", &last, "--source", "runs"];
    let told = work.run(ask.iter().chain(&["--format", "json"])).exits(0).json();
    let fields = fields(&told["step"]);
    let thumb = &fields["thumb"]["messages"][0];
    assert_eq!(thumb["source"], "b.mcap");
    let text = work.run(ask).exits(0).stdout;
    assert!(text.contains("\nfield       gripper  /gripper/state (tip_offset) at 17000000"), "{text}");
}

#[test]
fn what_is_known_without_the_source_is_told() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    work.run(["convert", &log, "--out", "out", "--rate", "10"]).exits(0);
    let row = ["explain", "out", "--episode", "0", "--stream", "steps", "--row", "5"];
    let plain = work.run(row).exits(0);
    assert!(plain.stdout.contains("`--row N --source SRC` names those of each field"), "{}", plain.stdout);
    assert!(!plain.stdout.contains("of topic steps"), "{}", plain.stdout);
    let told = work.run(row.iter().chain(&["--format", "json"])).exits(0).json();
    assert_eq!(told["explained"][0]["origins"][0].get("records"), None);
    let gone = work.run(row.iter().chain(&["--source", "gone.mcap"]));
    assert_ne!(gone.code, 0);
    assert!(gone.stderr.contains("shard       data/train-00000.parquet"), "{}", gone.stderr);
    assert!(gone.stderr.contains("gone.mcap"), "{}", gone.stderr);
    // The same times, other bytes.
    let mut other = std::fs::read(work.path(&log)).unwrap();
    // The last letter of the header's `library`, which no checksum covers.
    other[56] ^= 1;
    work.write("other/teleop.mcap", other);
    let ran = work.run(row.iter().chain(&["--source", "other"])).exits(2);
    assert!(ran.stderr.contains("has changed since the dataset was made of it"), "{}", ran.stderr);
    work.run(["explain", "out", "--source", &log]).exits(2);
    work.run(["convert", &log, "--out", "topics"]).exits(0);
    let topic =
        ["explain", "topics", "--episode", "0", "--stream", "/imu/data", "--row", "5", "--source", &log];
    let ran = work.run(topic).exits(2);
    assert!(ran.stderr.contains("not made of messages"), "{}", ran.stderr);
}
