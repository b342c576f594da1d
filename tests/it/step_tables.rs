//! What a table of steps says of itself: its clock, its names, its lengths, its frames.

use std::collections::HashMap;

use arrow_array::{Array as _, cast::AsArray as _, types::Int64Type};
use nodedata_testkit::corpus;
use serde_json::{Value, json};

use crate::{
    command::Work,
    logs::fixture,
    tables::{Dataset, int64},
};

/// First times of the steps of each episode, as the table and as the index have them.
fn clocks(dataset: &Dataset) -> Vec<(i64, Option<i64>, Option<i64>)> {
    let steps = &dataset.tables()["steps"];
    let (episodes, times) = (int64(steps, "episode_index"), int64(steps, "timestamp_ns"));
    let index = dataset.table(dataset.manifest["index"]["episodes"]["path"].as_str().unwrap());
    let streams = index.column_by_name("stream").unwrap().as_string::<i32>();
    let of = |name: &str, row: usize| {
        let column = index.column_by_name(name).unwrap().as_primitive::<Int64Type>();
        column.is_valid(row).then(|| column.value(row))
    };
    let rows = (0..index.num_rows()).filter(|it| streams.is_valid(*it) && streams.value(*it) == "steps");
    rows.map(|row| {
        let episode = of("episode_index", row).unwrap();
        let of_episode: Vec<i64> =
            episodes.iter().zip(&times).filter(|it| *it.0 == episode).map(|it| *it.1).collect();
        let (start, end) = (of("start_time_ns", row), of("end_time_ns", row));
        assert_eq!(
            end.zip(start).map(|(end, start)| end - start),
            of_episode.last().copied(),
            "episode {episode}"
        );
        (of_episode[0], start, end)
    })
    .collect()
}

#[test]
fn times_count_from_the_start_of_the_episode() {
    let work = Work::new();
    let log = std::fs::read(fixture("teleop.mcap")).unwrap();
    work.write("runs/a.mcap", &log);
    work.write("runs/b.mcap", &log);
    for (out, clock) in [("grid", ["--rate", "20"]), ("topic", ["--clock", "/camera/wrist/image/compressed"])]
    {
        work.run(["convert", "runs", "--out", out].iter().chain(&clock)).exits(0);
        let found = clocks(&Dataset::open(work.path(out)));
        assert_eq!(found.len(), 2);
        for (first, start, _) in found {
            assert_eq!(first, 0, "{out}");
            let start = start.unwrap();
            assert!(
                (1_700_000_000_000_000_000..1_700_000_000_100_000_000).contains(&start),
                "{out}: {start}"
            );
        }
        let steps = Dataset::open(work.path(out)).tables()["steps"].clone();
        assert_eq!(metadata(&steps, "timestamp_ns")["nodedata:unit"], "ns");
        work.run(["validate", "--deep", out]).exits(0);
    }
    // Also where the first steps are dropped, and where an episode starts late.
    work.write(
        "late.yaml",
        "version: 1\nsource: runs/a.mcap\nsteps: {clock: {topic: /imu/data}, tolerance_ms: 1, beyond: drop}\n\
         fields: {imu: /imu/data.orientation.x, thumb: /camera/thumb/image_raw}\n",
    );
    work.run(["run", "late.yaml", "--out", "late"]).exits(0);
    let late = clocks(&Dataset::open(work.path("late")));
    assert!(!late.is_empty() && late.iter().all(|it| it.0 == 0));
    // A step source has no clock but that of its episodes.
    let lerobot = corpus::fixtures("lerobot").join("v21_simple").display().to_string();
    work.run(["convert", &lerobot, "--out", "lerobot"]).exits(0);
    let lerobot = clocks(&Dataset::open(work.path("lerobot")));
    assert!(!lerobot.is_empty() && lerobot.iter().all(|it| (it.0, it.1) == (0, Some(0))));
}

/// The times of an episode do not depend on where its pieces, windows or threads end.
#[test]
fn the_clock_is_that_of_the_whole_episode() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    for (out, threads) in [("one", "1"), ("many", "8")] {
        let args = ["convert", &log, "--out", out, "--rate", "200", "--threads", threads];
        work.run(args).exits(0);
        let steps = Dataset::open(work.path(out)).tables()["steps"].clone();
        let times = int64(&steps, "timestamp_ns");
        let expected: Vec<i64> = (0..times.len() as i64).map(|it| it * 5_000_000).collect();
        assert_eq!(times, expected, "{out}");
    }
}

fn metadata(rows: &arrow_array::RecordBatch, column: &str) -> HashMap<String, String> {
    let schema = rows.schema();
    let metadata = schema.field_with_name(column).unwrap().metadata();
    metadata.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

#[test]
fn every_element_of_a_vector_has_a_name() {
    let work = Work::new();
    work.copy(&fixture("teleop.mcap"));
    work.write(
        "p.yaml",
        "version: 1\nsource: teleop.mcap\nsteps: {clock: {rate_hz: 10}}\nfields:\n  \
         one: {from: /joint_states.position, by_name: [elbow, wrist_1]}\n  \
         both: {from: [/joint_states.position, /joint_states.velocity], by_name: [elbow, wrist_1]}\n",
    );
    work.run(["run", "p.yaml", "--out", "out"]).exits(0);
    let dataset = Dataset::open(work.path("out"));
    let steps = &dataset.tables()["steps"];
    let schema = work.json("out/schema.json");
    for (field, names) in [
        ("one", json!(["elbow", "wrist_1"])),
        ("both", json!(["position.elbow", "position.wrist_1", "velocity.elbow", "velocity.wrist_1"])),
    ] {
        let told: Value = serde_json::from_str(&metadata(steps, field)["nodedata:names"]).unwrap();
        assert_eq!(told, names, "{field}");
        assert_eq!(schema["fields"][field]["names"], names, "{field}");
        let length = steps.column_by_name(field).unwrap().as_fixed_size_list().value_length();
        assert_eq!(length as usize, names.as_array().unwrap().len(), "{field}");
    }
}

/// What all raw frames are is said where rows do not say it; frames of two kinds are none.
#[test]
fn raw_frames_say_their_type_and_shape() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    work.write(
        "p.yaml",
        format!(
            "version: 1\nsource: {log}\nsteps: {{clock: {{rate_hz: 10}}}}\nfields: {{depth: /camera/depth/image_raw, wrist: /camera/wrist/image/compressed}}\n"
        ),
    );
    work.run(["run", "p.yaml", "--out", "out"]).exits(0);
    let steps = Dataset::open(work.path("out")).tables()["steps"].clone();
    let depth = metadata(&steps, "depth");
    let schema = work.json("out/schema.json")["fields"]["depth"].clone();
    assert_eq!(depth["nodedata:frame_type"], schema["type"].as_str().unwrap());
    let shape: Vec<i64> = serde_json::from_str(&depth["nodedata:frame_shape"]).unwrap();
    let declared: Vec<i64> =
        schema["shape"].as_array().unwrap().iter().skip(1).map(|it| it.as_i64().unwrap()).collect();
    assert_eq!(shape, declared);
    let n_bytes = steps.column_by_name("depth").unwrap().as_binary::<i32>();
    let row = (0..n_bytes.len()).find(|it| n_bytes.is_valid(*it)).unwrap();
    assert_eq!(n_bytes.value(row).len() as i64, shape.iter().product::<i64>() * 2, "{depth:?}");
    assert_eq!(depth["nodedata:frame_format"], "16UC1");
    let size: Vec<i64> = serde_json::from_str(&depth["nodedata:frame_size"]).unwrap();
    assert_eq!(size, shape);
    for fact in ["nodedata:frame_shape", "nodedata:frame_size", "nodedata:frame_format"] {
        assert_eq!(metadata(&steps, "wrist").get(fact), None, "{fact}");
    }
    // Tables of topics say it in their rows.
    work.run(["convert", &log, "--out", "topics"]).exits(0);
    let topics = Dataset::open(work.path("topics")).tables();
    assert_eq!(metadata(&topics["/camera/depth/image_raw"], "data").get("nodedata:frame_shape"), None);
}

/// Logs that were reported, whose bare frames could not be told apart in steps: the right answer stands beside them.
#[test]
fn steps_keep_what_is_needed_to_read_bare_frames() {
    let Some(folder) = corpus::folder("reported/lerobot/steps_raw_image") else { return };
    let work = Work::new();
    let pipeline = |log: &str, field: &str| {
        let log = folder.join(log).display().to_string();
        format!(
            "version: 1\nsource: {log:?}\nsteps: {{clock: {{rate_hz: 10}}}}\nfields: {{i: {{from: /img{field}}}}}\n"
        )
    };
    for (log, format) in
        [("e_img_bayer_rggb8.mcap", "bayer_rggb8"), ("e_img_yuv422_yuy2.mcap", "yuv422_yuy2")]
    {
        let work = Work::new();
        work.write("p.yaml", pipeline(log, ""));
        work.run(["run", "p.yaml", "--out", "out"]).exits(0);
        work.run(["validate", "--deep", "out"]).exits(0);
        let steps = Dataset::open(work.path("out")).tables()["steps"].clone();
        let facts = metadata(&steps, "i");
        assert_eq!(facts["nodedata:frame_format"], format);
        let [height, width]: [usize; 2] = serde_json::from_str(&facts["nodedata:frame_size"]).unwrap();
        let n_bytes = steps.column_by_name("i").unwrap().as_binary::<i32>().value(0).len();
        assert_eq!(n_bytes, height * width * if format.starts_with("yuv") { 2 } else { 1 });
    }
    work.write("amb.yaml", pipeline("e_img_amb.mcap", ""));
    let refused = work.run(["run", "amb.yaml", "--out", "amb"]).exits(1);
    for told in ["the first one of the field", "`fields.i.frames: vary`", "/img"] {
        assert!(refused.stderr.contains(told), "{}", refused.stderr);
    }
    assert!(!work.path("amb").exists());
    work.write("vary.yaml", pipeline("e_img_amb.mcap", ", frames: vary"));
    work.run(["run", "vary.yaml", "--out", "vary"]).exits(0);
    work.run(["validate", "--deep", "vary"]).exits(0);
    let steps = Dataset::open(work.path("vary")).tables()["steps"].clone();
    let sides = |name: &str| {
        let column = steps.column_by_name(name).unwrap().as_primitive::<arrow_array::types::UInt32Type>();
        column.values().to_vec()
    };
    let bytes = steps.column_by_name("i").unwrap().as_binary::<i32>();
    let mut sizes = std::collections::BTreeSet::new();
    for (row, (height, width)) in sides("i.height").into_iter().zip(sides("i.width")).enumerate() {
        assert_eq!(bytes.value(row).len() as u32, height * width * 3);
        sizes.insert((height, width));
    }
    assert_eq!(sizes, [(2, 4), (4, 2)].into());
    for field in ["", ", frames: vary"] {
        work.write("mix.yaml", pipeline("e_img_mix_enc.mcap", field));
        let refused = work.run(["run", "mix.yaml", "--out", "mix"]).exits(1);
        assert!(
            refused.stderr.contains("a change of type") && refused.stderr.contains("/img"),
            "{}",
            refused.stderr
        );
    }
}

#[test]
fn a_vector_has_the_length_that_its_schema_declares() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    work.write(
        "p.yaml",
        format!(
            "version: 1\nsource: {log}\nsteps: {{clock: {{rate_hz: 20}}, tolerance_ms: 4}}\nfields: {{joints: /joint_states.position, action: /cmd/joints.data}}\n"
        ),
    );
    work.run(["run", "p.yaml", "--out", "open"]).exits(0);
    let open = Dataset::open(work.path("open")).tables()["steps"].clone();
    assert!(open.column_by_name("joints").unwrap().as_list_opt::<i32>().is_some());
    std::fs::copy(work.path("open/schema.json"), work.path("schema.json")).unwrap();
    work.run(["run", "p.yaml", "--set", "schema=schema.json", "--out", "fixed"]).exits(0);
    work.run(["validate", "--deep", "fixed"]).exits(0);
    let fixed = Dataset::open(work.path("fixed")).tables()["steps"].clone();
    for column in ["joints", "action"] {
        let (lists, fixed) = (open.column_by_name(column).unwrap(), fixed.column_by_name(column).unwrap());
        let (lists, fixed) = (lists.as_list::<i32>(), fixed.as_fixed_size_list());
        assert_eq!((fixed.value_length(), fixed.len()), (6, lists.len()));
        for row in 0..lists.len() {
            assert_eq!(fixed.is_null(row), lists.is_null(row), "{column}, row {row}");
            if fixed.is_valid(row) {
                assert_eq!(&fixed.value(row), &lists.value(row), "{column}, row {row}");
            }
        }
    }
    assert!(0 < fixed.column_by_name("action").unwrap().null_count(), "no row lacks an action");
    // Another length is told by row, as ever.
    let mut schema = work.json("schema.json");
    schema["fields"]["joints"]["shape"] = json!([-1, 7]);
    work.write("wrong.json", schema.to_string());
    let ran = work.run(["run", "p.yaml", "--set", "schema=wrong.json", "--out", "wrong"]).exits(1);
    assert!(ran.stderr.contains("the schema declares [7]") && ran.stderr.contains("step"), "{}", ran.stderr);
}

#[test]
fn the_default_configuration_is_the_one_to_look_at() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    let default = |out: &str| {
        let card = std::fs::read_to_string(work.path(out).join("README.md")).unwrap();
        let lines: Vec<&str> = card.lines().collect();
        let at: Vec<usize> = (0..lines.len()).filter(|it| lines[*it] == "  default: true").collect();
        assert_eq!(at.len(), 1, "{card}");
        lines[at[0] - 1].to_owned()
    };
    work.run(["convert", &log, "--out", "topics"]).exits(0);
    let manifest = work.json("topics/manifest.json");
    let mut bytes: HashMap<&str, u64> = HashMap::new();
    for shard in manifest["shards"].as_array().unwrap() {
        *bytes.entry(shard["stream"].as_str().unwrap()).or_default() += shard["bytes"].as_u64().unwrap();
    }
    let largest = bytes.iter().max_by_key(|it| it.1).unwrap().0;
    let stream = manifest["streams"].as_array().unwrap().iter().find(|it| it["name"] == **largest).unwrap();
    let config = stream["folder"].as_str().unwrap().rsplit('/').next().unwrap();
    assert_eq!(default("topics"), format!("- config_name: \"{config}\""));
    work.write(
        "p.yaml",
        format!("version: 1\nsource: {log}\nstreams: keep\nsteps: {{clock: {{rate_hz: 10}}}}\nfields: {{imu: /imu/data.orientation.x}}\n"),
    );
    work.run(["run", "p.yaml", "--out", "steps"]).exits(0);
    let steps = work.json("steps/manifest.json")["streams"][0].clone();
    assert_eq!(steps["name"], "steps");
    assert_eq!(
        default("steps"),
        format!("- config_name: \"{}\"", steps["folder"].as_str().unwrap().rsplit('/').next().unwrap())
    );
}
