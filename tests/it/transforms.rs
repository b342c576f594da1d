//! Pipelines that transform the values of steps, over LeRobot, RLDS and logs: what comes out, what is counted, and what is
//! told of mistakes.

use std::path::Path;

use arrow_array::{
    Array as _, RecordBatch,
    cast::AsArray as _,
    types::{Float32Type, Float64Type, Int32Type},
};
use nodedata_media::{Decoded, decode_image};
use nodedata_testkit::corpus;
use serde_json::{Value, json};

use crate::{
    command::Work,
    logs::fixture,
    tables::{Dataset, int64},
};

fn copy_folder(work: &Work, from: &Path, to: &str) {
    for file in corpus::files(from, "") {
        let name = file.strip_prefix(from).unwrap().display().to_string();
        work.write(&format!("{to}/{name}"), std::fs::read(&file).unwrap());
    }
}

fn steps_of(work: &Work, name: &str) -> RecordBatch {
    Dataset::open(work.path(name)).tables().remove("steps").unwrap()
}

fn floats(rows: &RecordBatch, name: &str) -> Vec<Option<Vec<f32>>> {
    let lists = rows.column_by_name(name).unwrap().as_fixed_size_list();
    let row = |idx: usize| lists.value(idx).as_primitive::<Float32Type>().values().to_vec();
    (0..lists.len()).map(|idx| lists.is_valid(idx).then(|| row(idx))).collect()
}

fn frames(rows: &RecordBatch, name: &str) -> Vec<Decoded> {
    let column = rows.column_by_name(name).unwrap();
    let bytes = column.as_struct().column(0).as_binary::<i32>();
    (0..bytes.len()).map(|it| decode_image(bytes.value(it)).unwrap()).collect()
}

/// The pixels of a frame, turned by half a turn.
fn turned(frame: &Decoded) -> Vec<u8> {
    let pixels: Vec<&[u8]> = frame.pixels.chunks_exact(frame.channels as usize).collect();
    pixels.into_iter().rev().flatten().copied().collect()
}

const LEROBOT: &str = "version: 1
source: {path: src, format: lerobot}
steps: {clock: {rate_hz: 10}}
fields:
  action: {from: action, transform: [{action/clip: {min: -0.1, max: 0.1}}, {gripper/binarize: {threshold: 0, item: -1}}]}
  next: {from: observation.state, transform: {action/shift: {steps: 1, end: null}}}
  state: observation.state
  own: action
splits: {by: source}
";

#[test]
fn a_pipeline_over_lerobot_transforms_and_is_made_again() {
    let work = Work::new();
    let source = corpus::fixtures("lerobot/v30_image").display().to_string();
    work.write("p.yaml", LEROBOT.replace("path: src", &format!("path: {source:?}")));
    let planned = work.run(["run", "p.yaml", "--dry-run"]).exits(0);
    for told in [
        "action: float32[7]  from action  by action/clip@1 {min: -0.1, max: 0.1}",
        "action/shift@1 {steps: 1, end: null}",
    ] {
        assert!(planned.stdout.contains(told), "{}", planned.stdout);
    }
    work.run(["run", "p.yaml", "--out", "out"]).exits(0);
    work.run(["validate", "--deep", "out"]).exits(0);
    let rows = steps_of(&work, "out");
    let episodes = int64(&rows, "episode_index");
    assert_eq!(episodes.len(), 36);
    let (own, action) = (floats(&rows, "own"), floats(&rows, "action"));
    for (own, action) in own.iter().flatten().zip(action.iter().flatten()) {
        let clipped: Vec<f32> = own.iter().map(|it| it.clamp(-0.1, 0.1)).collect();
        assert_eq!(action[..6], clipped[..6]);
        assert_eq!(action[6], f32::from(own[6] > 0.0));
    }
    let (state, next) = (floats(&rows, "state"), floats(&rows, "next"));
    for idx in 0..36 {
        let expected =
            (episodes.get(idx + 1) == Some(&episodes[idx])).then(|| state[idx + 1].clone().unwrap());
        assert_eq!(next[idx], expected, "row {idx}");
    }
    statistics_are_those_of_the_transformed_values(&work);
    let recipe = work.json("out/recipe.json");
    assert_eq!(
        recipe["rows"]["steps"]["fields"][0]["transform"],
        json!([
            {"action/clip@1": {"item": null, "max": "0.1", "min": "-0.1"}},
            {"gripper/binarize@1": {"item": -1, "threshold": "0.0"}},
        ])
    );
    work.run(["explain", "out", "--rebuild", "--source", &source]).exits(0);
    let explained = work
        .run(["explain", "out", "--episode", "0", "--stream", "steps", "--row", "3", "--format", "json"])
        .exits(0);
    assert_eq!(explained.json()["explained"][0]["transforms"]["next"][0]["action/shift@1"]["steps"], 1);
}

fn statistics_are_those_of_the_transformed_values(work: &Work) {
    let stats = work.json("out/stats.json");
    let of = |field: &str, fact: &str| -> Vec<f64> {
        let all = &stats["streams"]["steps"][field]["per_element"][fact];
        all.as_array().unwrap().iter().map(|it| it.as_f64().unwrap()).collect()
    };
    assert!(of("own", "max")[..6].iter().all(|it| 0.15 < *it), "bounds that nothing passes prove nothing");
    assert_eq!(of("action", "max"), [[f64::from(0.1f32); 6].as_slice(), &[1.0]].concat());
    assert_eq!(of("action", "min")[6], 0.0);
}

/// The first member of that name, wherever it is.
fn find<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Object(members) => {
            members.get(name).or_else(|| members.values().find_map(|it| find(it, name)))
        }
        Value::Array(items) => items.iter().find_map(|it| find(it, name)),
        _ => None,
    }
}

#[test]
fn units_are_made_again_only_where_a_transform_changed() {
    let work = Work::new();
    let source = corpus::fixtures("lerobot/v30_image").display().to_string();
    let pipeline = LEROBOT.replace("path: src", &format!("path: {source:?}"));
    work.write("p.yaml", &pipeline);
    work.run(["run", "p.yaml", "--out", "out"]).exits(0);
    let first = work.json("out/manifest.json")["recipe"].clone();
    let again = work.run(["run", "p.yaml", "--out", "out", "--overwrite", "--format", "json"]).exits(0);
    assert_eq!(work.json("out/manifest.json")["recipe"], first, "{}", again.stdout);
    let reused = |work: &Work| work.json("out/report.json")["units_reused"].as_u64().unwrap();
    assert_ne!(reused(&work), 0);
    work.write("p.yaml", pipeline.replace("max: 0.1", "max: 0.2"));
    work.run(["run", "p.yaml", "--out", "out"]).exits(2);
    work.run(["run", "p.yaml", "--out", "out", "--overwrite"]).exits(0);
    assert_ne!(work.json("out/manifest.json")["recipe"], first);
    assert_eq!(reused(&work), 0);
}

#[test]
fn neighbours_do_not_depend_on_who_reads_first() {
    let work = Work::new();
    let source = corpus::fixtures("lerobot/v30_image").display().to_string();
    let pipeline = "version: 1\nsource: {path: src}\n\
         fields:\n  \
           action: {from: action, transform: {action/shift: {steps: 3, end: drop}}}\n  \
           before: {from: action, transform: {action/shift: {steps: -2}}}\n";
    work.write("p.yaml", pipeline.replace("path: src", &format!("path: {source:?}")));
    let roots = ["1", "8"].map(|threads| {
        work.run(["run", "p.yaml", "--out", threads, "--threads", threads]).exits(0);
        work.json(&format!("{threads}/manifest.json"))["shards"].clone()
    });
    assert_eq!(roots[0], roots[1]);
}

#[test]
fn padding_of_rlds_is_left_out_and_counted() {
    let work = Work::new();
    let source = corpus::fixtures("rlds/arm/1.2.0");
    copy_folder(&work, &source, "src/arm/1.2.0");
    work.write(
        "p.yaml",
        "version: 1
source: src
steps: {transform: rlds/drop_last_padding}
fields:
  action: action
  image: {from: observation.image, transform: [image/rotate_180, image/flip_channels]}
  jpeg: {from: observation.image, transform: image/rotate_180, encoding: jpeg}
  bare: {from: observation.image, transform: image/rotate_180, encoding: raw}
  plain: observation.image
splits: {by: source}
",
    );
    let ran = work.run(["run", "p.yaml", "--out", "out"]).exits(0);
    assert!(!ran.stdout.contains("incomplete"), "{}", ran.stdout);
    work.run(["validate", "--deep", "out"]).exits(0);
    let ledger = work.json("out/report.json")["streams"]["steps"].clone();
    assert_eq!((&ledger["read"], &ledger["written"]), (&json!(10), &json!(6)));
    assert_eq!(ledger["dropped"], json!({"rlds/drop_last_padding@1": 4}));
    let rows = steps_of(&work, "out");
    assert_eq!(int64(&rows, "step_index"), [0, 1, 0, 1, 2, 0]);
    let (plain, image) = (frames(&rows, "plain"), frames(&rows, "image"));
    for (plain, image) in plain.iter().zip(&image) {
        let mut expected = turned(plain);
        expected.chunks_exact_mut(3).for_each(|it| it.swap(0, 2));
        assert_eq!(image.pixels, expected);
    }
    let bare = rows.column_by_name("bare").unwrap().as_binary::<i32>();
    assert_eq!(bare.value(0), turned(&plain[0]));
    let jpeg = rows.column_by_name("jpeg").unwrap().as_struct().column(0).as_binary::<i32>();
    assert!(jpeg.value(0).starts_with(&[0xff, 0xd8]));
    let schema = work.json("out/schema.json");
    assert_eq!(find(&schema, "image").unwrap()["shape"], json!([-1, 8, 8, 3]));
    work.run(["explain", "out", "--rebuild", "--source", "src"]).exits(0);
}

/// As language_table has its instructions.
#[test]
fn codes_of_an_rlds_set_become_text() {
    let work = Work::new();
    let source = corpus::fixtures("rlds/kinds/1.0.0").display().to_string();
    let fields = "fields: {own: codes, text: {from: codes, transform: text/from_codes}}";
    work.write("p.yaml", format!("version: 1\nsource: {source:?}\n{fields}\n"));
    work.run(["run", "p.yaml", "--out", "out"]).exits(0);
    work.run(["validate", "--deep", "out"]).exits(0);
    let rows = steps_of(&work, "out");
    let own = rows.column_by_name("own").unwrap().as_fixed_size_list();
    let codes = own.values().as_primitive::<Int32Type>().values();
    let expected = "go".bytes().map(i32::from).chain([0]).collect::<Vec<_>>().repeat(rows.num_rows());
    assert!(rows.num_rows() > 0 && codes[..] == expected);
    let text = rows.column_by_name("text").unwrap().as_string::<i32>();
    assert!(text.iter().all(|it| it == Some("go")), "{text:?}");
    let schema = work.json("out/schema.json");
    assert_eq!(find(&schema, "text").unwrap()["type"], "string");
}

/// Whoever passes over damage loses the steps whose values do not fit, and is told which.
#[test]
fn a_value_that_does_not_fit_costs_its_step_where_damage_is_passed_over() {
    let work = Work::new();
    let source = corpus::fixtures("lerobot/v30_image").display().to_string();
    let field = "frame: {from: frame_index, transform: gripper/invert, type: uint8}";
    let next = "next: {from: action, transform: {action/shift: {steps: 1, end: null}}}";
    work.write(
        "p.yaml",
        format!("version: 1\nsource: {source:?}\nsteps: {{clock: {{rate_hz: 10}}}}\nfields:\n  {field}\n  {next}\n"),
    );
    let refused = work.run(["run", "p.yaml", "--out", "out"]).exits(1);
    assert!(refused.stderr.contains("2 becomes -1, which UInt8 cannot hold"), "{}", refused.stderr);
    assert!(refused.stderr.contains("`on_error: salvage` leaves out such steps"), "{}", refused.stderr);
    let text = std::fs::read_to_string(work.path("p.yaml")).unwrap();
    work.write("p.yaml", text + "on_error: salvage\n");
    work.run(["run", "p.yaml", "--out", "out"]).exits(3);
    work.run(["validate", "--deep", "out"]).exits(0);
    let report = work.json("out/report.json");
    let ledger = &report["streams"]["steps"];
    let n_left = ledger["written"].as_u64().unwrap();
    assert_eq!((&ledger["read"], &ledger["dropped"]), (&json!(36), &json!({"not_transformed": 36 - n_left})));
    let rows = steps_of(&work, "out");
    let episodes = int64(&rows, "episode_index");
    assert_eq!(int64(&rows, "step_index"), [0, 1].repeat(episodes.len() / 2));
    // The step behind each of them is there, though it is left out itself.
    assert!(floats(&rows, "next").iter().all(Option::is_some));
    work.run(["explain", "out", "--rebuild", "--source", &source]).exits(0);
}

/// Coded video becomes frames by itself where pictures are worked on, and is never cut.
#[test]
fn coded_video_is_decoded_for_a_transform_of_pictures() {
    let work = Work::new();
    let source = corpus::fixtures("lerobot/v30_video_h264").display().to_string();
    let pipeline = |fields: &str| {
        format!(
            "version: 1\nsource: {source:?}\nsteps: {{clock: {{rate_hz: 10}}}}\nfields:\n{fields}splits: {{by: source}}\n"
        )
    };
    work.write(
        "turned.yaml",
        pipeline("  front: {from: observation.images.front, transform: image/rotate_180}\n"),
    );
    work.run(["run", "turned.yaml", "--out", "turned"]).exits(0);
    work.write("plain.yaml", pipeline("  front: {from: observation.images.front, encoding: png}\n"));
    work.run(["run", "plain.yaml", "--out", "plain"]).exits(0);
    let (turned_rows, plain) = (steps_of(&work, "turned"), steps_of(&work, "plain"));
    assert_eq!(turned_rows.num_rows(), 36);
    for (found, plain) in frames(&turned_rows, "front").iter().zip(&frames(&plain, "front")) {
        assert_eq!(found.pixels, turned(plain));
    }
    work.run(["explain", "turned", "--rebuild", "--source", &source]).exits(0);
    work.write(
        "cut.yaml",
        pipeline("  front: observation.images.front\n  action: {from: action, transform: {action/shift: {end: drop}}}\n"),
    );
    let refused = work.run(["run", "cut.yaml", "--out", "cut"]).exits(2);
    assert!(refused.stderr.contains("`front` is coded video, which needs all of them"), "{}", refused.stderr);
}

/// Pictures of a camera in a log are cut, made smaller and coded anew; what is done is told, and done again.
#[test]
fn pictures_are_made_smaller_and_coded_anew() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    let pipeline = |transform: &str| {
        format!(
            "version: 1\nsource: {log:?}\nsteps: {{clock: {{rate_hz: 10}}, tolerance_ms: 60}}\nfields: {{wrist: {{from: /camera/wrist/image/compressed{transform}}}}}\n"
        )
    };
    work.write("plain.yaml", pipeline(""));
    work.run(["run", "plain.yaml", "--out", "plain"]).exits(0);
    let transform = "[{image/crop: {height: 64, width: 64, top: 0, left: 0}}, {image/resize: {height: 32, width: 32}}, {encode: png}]";
    work.write("p.yaml", pipeline(&format!(", transform: {transform}")));
    let planned = work.run(["run", "p.yaml", "--dry-run"]).exits(0);
    for told in
        ["image/crop@1 {height: 64, width: 64, top: 0, left: 0}", "image/resize@1", "encode@1 {as: png}"]
    {
        assert!(planned.stdout.contains(told), "{}", planned.stdout);
    }
    work.run(["run", "p.yaml", "--out", "out"]).exits(0);
    work.run(["validate", "--deep", "out"]).exits(0);
    work.run(["explain", "out", "--rebuild", "--source", &log]).exits(0);
    let (plain, made) =
        (frames(&steps_of(&work, "plain"), "wrist"), frames(&steps_of(&work, "out"), "wrist"));
    assert!(made.len() > 10 && made.len() == plain.len());
    for (plain, made) in plain.iter().zip(&made) {
        assert_eq!((made.height, made.width, made.channels), (32, 32, 3));
        // Two by two pixels are near one, whatever the filter.
        let at = |frame: &Decoded, row: usize, column: usize| {
            let start = (row * frame.width as usize + column) * 3;
            f64::from(frame.pixels[start])
        };
        let (mut far, mut n) = (0.0, 0.0);
        for row in 4..28 {
            for column in 4..28 {
                let mean =
                    [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(y, x)| at(plain, 2 * row + y, 2 * column + x));
                far += (mean.iter().sum::<f64>() / 4.0 - at(made, row, column)).abs();
                n += 1.0;
            }
        }
        assert!(far / n < 12.0, "{}", far / n);
    }
    work.write("twice.yaml", pipeline(&format!(", encoding: png, transform: {transform}")));
    let refused = work.run(["run", "twice.yaml", "--out", "twice"]).exits(2);
    assert!(refused.stderr.contains("`encode@1` does, too"), "{}", refused.stderr);
}

/// A field that is shifted is walked back to the messages of the step that it takes its value of.
#[test]
fn steps_of_a_log_are_explained_as_they_are_shifted() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    work.write(
        "p.yaml",
        "version: 1
source: teleop.mcap
steps: {clock: {rate_hz: 30}, time: log_time, tolerance_ms: 60}
fields:
  now: {from: /imu/data.angular_velocity.x}
  next: {from: /imu/data.angular_velocity.x, transform: {action/shift: {steps: 2, end: drop}}}
",
    );
    work.run(["run", "p.yaml", "--out", "out"]).exits(0);
    let rows = steps_of(&work, "out");
    let values = |name: &str| {
        rows.column_by_name(name).unwrap().as_primitive::<Float64Type>().iter().collect::<Vec<_>>()
    };
    let (now, next) = (values("now"), values("next"));
    assert_eq!(next[..now.len() - 2], now[2..]);
    assert_eq!(work.json("out/report.json")["streams"]["steps"]["dropped"], json!({"action/shift@1": 2}));
    let of = |row: &str, field: usize| {
        let ask = ["explain", "out", "--episode", "0", "--stream", "steps", "--row", row, "--source", &log];
        let told = work.run(ask.iter().chain(&["--format", "json"])).exits(0).json();
        told["step"]["fields"][field].clone()
    };
    let (shifted, plain) = (of("5", 1), of("7", 0));
    assert_eq!(shifted["field"], "next");
    for fact in ["topic", "time_ns", "bytes", "record"] {
        assert_eq!(shifted["messages"][0][fact], plain["messages"][0][fact], "{fact}");
    }
    assert_eq!(shifted["transform"], json!(["action/shift@1 {steps: 2, end: drop}"]));
}

/// What people get wrong, and what they are told, with line and column.
#[test]
fn mistakes_are_told_where_they_stand() {
    let work = Work::new();
    let source = corpus::fixtures("lerobot/v30_image").display().to_string();
    let cases: [(&str, &str, &str); 19] = [
        ("gripper/invrt", "5:37", "did you mean `gripper/invert`?"),
        ("action/clip@2", "5:37", "this program has `action/clip@1`"),
        ("rlds/drop_last_padding", "5:37", "write it in `steps.transform`"),
        ("{action/clip: {mni: 0}}", "5:52", "did you mean `min`?"),
        ("{action/clip: {min: high}}", "5:57", "expected a number"),
        ("{action/clip: {min: 1, max: 0}}", "5:60", "swap them"),
        ("action/clip", "5:37", "give at least one of them"),
        ("{action/shift: {steps: 0}}", "5:53", "remove the transform"),
        ("{action/shift: {end: dorp}}", "5:58", "did you mean `drop`?"),
        ("{gripper/invert: {}, action/clip: {min: 0}}", "5:58", "write a list"),
        ("[]", "5:37", "name at least one"),
        (
            "text/from_codes",
            "5:26",
            "`text/from_codes@1` takes vectors of whole numbers, but `action` is float32[7]",
        ),
        ("[gripper/invert, image/rotate_180]", "5:54", "but `action` is float32[7]"),
        ("{unit: {from: deg, to: radd}}", "5:56", "did you mean `rad`?"),
        ("{unit: {from: furlong, to: m}}", "5:45", "one of: rad, mrad, deg, turn; m, km"),
        ("{scale: fast}", "5:45", "expected a number"),
        ("{slice: [0, x]}", "5:45", "expected whole numbers"),
        ("{delta: {against: sate}}", "5:26", "there is no other field `sate`"),
        ("{rotation: {from: quat_xyzw, to: euler}}", "5:70", "one of: quat_xyzw"),
    ];
    for (transform, place, told) in cases {
        let text = format!(
            "version: 1\nsource: {source:?}\nsteps: {{clock: {{rate_hz: 10}}}}\nfields:\n  action: {{from: action, transform: {transform}}}\n"
        );
        work.write("p.yaml", text);
        let ran = work.run(["run", "p.yaml", "--out", "out", "--format", "json"]).exits(2);
        let error: Value = serde_json::from_str(&ran.stderr).unwrap();
        let mistake = &error["mistakes"][0];
        let all = format!("{} ({})", mistake["message"].as_str().unwrap(), mistake["hint"].as_str().unwrap());
        assert!(all.contains(told), "{transform}: {all}");
        assert_eq!(format!("{}:{}", mistake["line"], mistake["column"]), place, "{transform}: {all}");
        assert!(!work.path("out").exists());
    }
}

/// The list of transforms is what pipelines take: every example of it is one.
#[test]
fn every_example_is_a_pipeline() {
    let work = Work::new();
    let told = work.run(["transforms", "--format", "json"]).exits(0).json();
    let all = told["transforms"].as_array().unwrap();
    assert!(20 <= all.len());
    for transform in all {
        let example = transform["example"].as_str().unwrap();
        let steps = if example.starts_with("steps:") { "" } else { "steps: {clock: {rate_hz: 10}}\n" };
        let fields = if example.contains("fields:") { "" } else { "fields: {action: action}\n" };
        work.write("p.yaml", format!("version: 1\nsource: nowhere\n{steps}{example}\n{fields}"));
        work.run(["pipeline", "check", "p.yaml"]).exits(0);
        let text = work.run(["transforms"]).exits(0).stdout;
        assert!(
            text.contains(transform["name"].as_str().unwrap())
                && text.contains(transform["formula"].as_str().unwrap())
        );
    }
    let schema = work.run(["pipeline", "schema"]).exits(0).json();
    let of_field = find(&schema, "fields").unwrap().to_string();
    assert!(
        all.iter()
            .filter(|it| it["key"] != "steps.transform")
            .all(|it| of_field.contains(it["name"].as_str().unwrap()))
    );
}
