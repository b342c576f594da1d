use std::path::Path;

use expect_test::{Expect, expect};
use nodedata_core::{Moment, Reference};
use nodedata_normalize::{
    Align, Beyond, Clock, Cut, EpisodeName, FieldFrom, GroupBy, Join, MetadataFrom, Missing, TimeSource,
};
use nodedata_quality::{Level, Rule};

use super::{Mistake, Parsed, SplitKey, TableOf, is_pipeline, parse_pipeline, pipeline_json_schema};
use crate::SplitPlan;

fn environment(name: &str) -> Option<String> {
    match name {
        "DATA" => Some("/data".to_owned()),
        "MB" => Some("64".to_owned()),
        _ => None,
    }
}

fn parse(text: &str, settings: &[&str]) -> Result<Parsed, Vec<Mistake>> {
    let settings: Vec<String> = settings.iter().map(|it| (*it).to_owned()).collect();
    parse_pipeline(text, Path::new("lab/p.yaml"), &settings, &environment)
}

#[track_caller]
fn sound(text: &str) -> Parsed {
    parse(text, &[]).unwrap_or_else(|mistakes| panic!("{}", told(&mistakes)))
}

fn told(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(|it| format!("{it}\n")).collect()
}

#[track_caller]
fn broken(text: &str, expected: &Expect) {
    expected.assert_eq(&told(&parse(text, &[]).unwrap_err()));
}

/// The file of the design, word for word but for `on_error` values that do not exist yet.
const DESIGN: &str = "
version: 1
source:
  path: runs/2026-06/**/*.mcap
episodes:
  by: file
steps:
  clock: {rate_hz: 30}
  time: header.stamp
  align: nearest
  tolerance_ms: 50
fields:
  rgb: {from: /camera/wrist/compressed}
  proprioception:
    from: [/joint_states.position, /joint_states.velocity]
    by_name: [panda_joint1, panda_joint2]
  action: {from: /cmd.data, align: hold, type: float32}
  task: {from: /instruction.data, align: hold}
schema: schema.json
splits: {train: 0.9, val: 0.05, test: 0.05, key: episode}
shards: {target_mb: 512, compression: zstd:1, access: balanced}
on_error: fail
publish:
  dataset: acme/panda-arm-grasp-100k
  revision: auto
  license: CC-BY-4.0
  price_usd: 199
  modality: [rgb, depth, proprioception, action]
  sensitivity: none
";

#[test]
fn references_are_named_with_how_they_refer() {
    let file = sound("version: 1\nsource: {path: a, embed: {image: path, messages.raw: base64}}\n").file;
    let embed: Vec<(&str, Reference)> =
        file.source.embed.iter().map(|(name, how)| (name.as_str(), *how)).collect();
    assert_eq!(embed, [("image", Reference::Path), ("messages.raw", Reference::Base64)]);
    let mistakes = parse("version: 1\nsource: {path: a, embed: {image: pth}}\n", &[]).unwrap_err();
    let told = told(&mistakes);
    assert!(told.contains("source.embed.image") && told.contains("did you mean `path`?"), "{told}");
}

#[test]
fn the_file_of_the_design_is_read() {
    let file = sound(DESIGN).file;
    assert_eq!(file.source.paths, ["lab/runs/2026-06/**/*.mcap"]);
    let steps = file.steps.unwrap();
    assert_eq!(steps.episodes, Cut::Whole);
    assert!(matches!(steps.clock, Clock::Rate(rate) if rate.hz() == 30.0));
    assert_eq!(steps.time, TimeSource::Field("header.stamp".to_owned()));
    assert_eq!((steps.tolerance.max_ns, steps.tolerance.beyond), (Some(50_000_000), Beyond::Null));
    let names: Vec<&str> = steps.fields.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["rgb", "proprioception", "action", "task"]);
    let FieldFrom::Paths(paths) = &steps.fields[1].from else { panic!() };
    assert_eq!(paths.len(), 2);
    assert_eq!(steps.fields[1].by_name.as_ref().unwrap().names.len(), 2);
    assert_eq!(steps.fields[2].align, Some(Align::Hold));
    assert_eq!(file.shard_bytes, 512 << 20);
    let SplitPlan::Hash { fractions, key } = file.splits else { panic!() };
    assert_eq!((fractions.len(), key), (3, SplitKey::Episode));
    assert_eq!(file.publish.unwrap().license, "CC-BY-4.0");
}

#[test]
fn every_mistake_is_told_at_once() {
    broken(
        "version: 2
source:
  path: \"${env:NOWHERE}/x.mcap\"
  fromat: mcap
  start_ns: 10
  end_ns: 5
episodes: {by: gap, field: /a.b}
steps:
  clock: {rate_hz: fast, topic: /a}
  align: nearset
  tolerance_ms: [1]
fields:
  rgb: /cam
  rgb: /cam2
  both: {from: /a.x, value: 3}
  none: {unit: m}
  state: {from: /j.position, by_name: []}
  pose: {from: [], align: linear, type: string}
  step_index: /a.y
splits: {train: 0.9, val: 0.3}
shards: {target_mb: 0, compresion: zstd:1}
on_error: ignore
quality: {gap: {level: qarantine}, rate: {level: warn, streams: {/imu: {min_hz: 5, max_hz: 1}}}, frozne: warn}
publish: {dataset: Acme/X, license: CCBY, token: hunter2, revision: v1}
tests: [{name: a, source: x.mcap, expect: {}}]
",
        &expect![[r#"
            line 1, column 10: `version` is 2 (it must be 1)
            line 3, column 9: the environment has no variable `NOWHERE` (set it, or write `${env:NOWHERE:-default}`)
            line 4, column 3: unknown key `fromat` in `source` (did you mean `format`?)
            line 6, column 3: `source.end_ns` is 5, not after `start_ns` 10 (swap them)
            line 7, column 12: `episodes` by gap has no `gap_ms` (add `gap_ms: 2000`)
            line 7, column 21: `episodes.field` has no meaning with `by: gap` (write `by: marker` or `by: change` or `by: field`, or remove the key)
            line 9, column 3: `steps.clock` has both `rate_hz` and `topic` (write `{rate_hz: 30}` or `{topic: /camera/wrist}`)
            line 9, column 20: `steps.clock.rate_hz`: `fast` is not a rate: write `30`, `29.97` or `30000/1001` (write steps per second, such as `30`)
            line 10, column 10: `steps.align` is `nearset` (did you mean `nearest`?)
            line 11, column 17: `steps.tolerance_ms` is a list (expected a number; or one of: any)
            line 14, column 3: key `rgb` stands twice in `fields` (remove one of them)
            line 15, column 22: `fields.both` has both `from` and `value` (keep one of them)
            line 16, column 3: `fields.none` has neither `from` nor `value` nor `pose` (add `from: /topic.field`)
            line 17, column 39: `fields.state.by_name` is empty (name at least one, or remove the key)
            line 18, column 16: `fields.pose.from` is empty (name at least one, or remove the key)
            line 18, column 20: `fields.pose` is string, and there is nothing between two values of that type (use `align: hold` or `align: nearest`)
            line 19, column 3: `step_index` cannot be the name of a feature (the step table has columns of that name; choose another)
            line 20, column 1: the fractions add up to 1.2, not to 1 (change one of them)
            line 21, column 21: `shards.target_mb` is 0 (it must be from 1 to 1048576)
            line 21, column 24: unknown key `compresion` in `shards` (did you mean `compression`?)
            line 22, column 11: `on_error` is `ignore` (one of: fail, salvage)
            line 23, column 24: `quality.gap.level` is `qarantine` (did you mean `quarantine`?)
            line 23, column 84: `quality.rate.streams./imu.max_hz` is 1, less than `min_hz` 5 (swap them)
            line 23, column 98: unknown key `frozne` in `quality` (did you mean `frozen`?)
            line 24, column 11: `Acme/X` is no name for a dataset (write `owner/name` in small letters, digits, `-`, `_` and `.`)
            line 24, column 28: `CCBY` is no SPDX licence expression (write an identifier such as `CC-BY-4.0`, `Apache-2.0 OR MIT`, or `LicenseRef-own-terms`)
            line 24, column 50: `publish.token` holds text, and a secret never stands in a file (write `{env: NAME}` and set the variable NAME)
            line 24, column 59: `publish.revision` is `v1` (expected `auto`, or a version such as `1.2.0`)
            line 25, column 35: `expect` names nothing (add `episodes`, `rows` or `content_root`)
        "#]],
    );
}

#[test]
fn what_stands_between_stages_is_told() {
    broken(
        "version: 1\nsource: x.mcap\nfields: {a: /a.b}\nstreams: keep\n",
        &expect![[r#"
        line 4, column 1: `streams` has no meaning without `steps` (add `steps: {clock: {rate_hz: 30}}`, or remove the key for tables per topic)
    "#]],
    );
    broken(
        "version: 1\nsource: x.mcap\nepisodes: {by: gap, gap_ms: 5}\nsteps: {align: hold}\nfields: {a: /a.b}\n",
        &expect![[r#"
        line 4, column 1: `steps` has no `clock` (add `clock`: what makes a step, a rate or the messages of a topic)
    "#]],
    );
    broken(
        "version: 1\nsource: x.mcap\nsteps: {clock: {}}\n",
        &expect![[r#"
        line 3, column 1: there are `steps` but no `fields` (add `fields: {action: /cmd.data}`; `node-data init SRC` proposes them)
        line 3, column 9: `steps.clock` has neither `rate_hz` nor `topic` nor `every` (write `{rate_hz: 30}` or `{topic: /camera/wrist}`)
    "#]],
    );
    broken(
        "version: 1\nsource: x\nsteps: {clock: {topic: /a}}\nfields: {a: /a.b}\nepisodes:\n  by: ranges\n  ranges:\n  - {start_ns: 0, end_ns: 10}\n  - {start_ns: 5, end_ns: 2}\n  - {start_ns: 9, end_ns: 12}\n",
        &expect![[r#"
            line 9, column 5: a range overlaps the one from 0 to 10 (no moment belongs to two episodes)
            line 9, column 19: `episodes.ranges[1].end_ns` is 2, not after `start_ns` 5 (swap them)
            line 10, column 5: a range overlaps the one from 0 to 10 (no moment belongs to two episodes)
        "#]],
    );
    broken(
        "version: 1\nsource: x\nsplits: {train: [a, b], val: [b], test: 0.1}\n",
        &expect![[r#"
        line 3, column 1: some splits are fractions and some are lists (give all of them as fractions, or all as lists)
    "#]],
    );
    broken(
        "version: 1\nsource: x\nsplits: {train: [a, b], val: [b], quarantine: [c]}\n",
        &expect![[r#"
        line 3, column 31: episode `b` is in `val` and in `train` (no episode belongs to two splits)
        line 3, column 35: the split `quarantine` belongs to the quality gate (choose another name)
    "#]],
    );
    broken(
        "version: 1\nsource: x\nsplits: {train: 1, key: scene}\n",
        &expect![[r#"
        line 3, column 20: `splits.key` is `scene` (expected `episode`, `task`, `episode.<name>`, `metadata.<name>`, or for samples `row` or `field.<name>`)
    "#]],
    );
}

#[test]
fn episodes_are_chosen_and_described() {
    let text = "version: 1
source: x
episodes:
  join: {gap_ms: 250}
  exclude: [a*, b]
  include: {table: good.csv, key: run, equals: stem, missing: null}
  min_steps: 10
  min_s: 1.5
  trim: {start_s: 0.25, idle: {field: /a.b, below: 0.1, stretches_s: 2}}
  metadata:
  - {path: '(?<day>\\d+)/(?<run>\\w+)', types: {day: text}}
  - {topic: /task.data, name: task, take: latched, type: text}
  - {table: runs.csv, key: run, equals: metadata.run, columns: {worked: success}, types: {worked: bool}}
  columns: {what: task}
splits: {train: 1, key: episode.day}
";
    let file = sound(text).file;
    let spec = &file.episodes.spec;
    assert_eq!(spec.join, Some(Join::Gap(250_000_000)));
    assert_eq!(spec.exclude.as_ref().unwrap().names, ["a*", "b"]);
    let list = spec.include.as_ref().unwrap().table.as_ref().unwrap();
    assert_eq!(
        (list.equals.clone(), list.missing, list.key.as_str()),
        (EpisodeName::Stem, Missing::Null, "run")
    );
    assert_eq!((spec.min_steps, spec.min_ns), (Some(10), Some(1_500_000_000)));
    let idle = spec.trim.idle.as_ref().unwrap();
    assert_eq!((spec.trim.start_ns, idle.keep_ns, idle.stretches_ns), (250_000_000, 0, Some(2_000_000_000)));
    let names: Vec<Vec<String>> = spec.metadata.iter().map(MetadataFrom::names).collect();
    assert_eq!(names, [vec!["day", "run"], vec!["task"], vec!["worked"]]);
    let MetadataFrom::Table(table) = &spec.metadata[2] else { panic!("a table") };
    assert_eq!(table.equals, EpisodeName::Metadata("run".to_owned()));
    assert_eq!((spec.columns[0].name.as_str(), spec.columns[0].metadata.as_str()), ("what", "task"));
    let SplitPlan::Hash { key, .. } = &file.splits else { panic!("by hash") };
    assert_eq!(*key, SplitKey::Metadata("day".to_owned()));
    let asked: Vec<(TableOf, &Path)> =
        file.episodes.tables.iter().map(|it| (it.of, it.path.as_path())).collect();
    let (good, runs) = (Path::new("lab/good.csv"), Path::new("lab/runs.csv"));
    assert_eq!(asked, [(TableOf::Include, good), (TableOf::Metadata(2), runs)]);
    assert_eq!(file.episodes.tables[1].columns, Some(vec![("worked".to_owned(), "success".to_owned())]));
    let change = sound(
        "version: 1\nsource: x\nepisodes: {by: change, field: /e.id, without: '0'}\nsteps: {clock: {rate_hz: 1}}\nfields: {a: /a}\n",
    );
    assert!(matches!(change.file.steps.unwrap().episodes, Cut::Change(it) if it.without == ["0"]));
}

#[test]
fn what_is_said_of_episodes_has_a_meaning() {
    broken(
        "version: 1
source: x
episodes:
  gap_ms: 3
  join: {pattern: '(.*)', gap_ms: 1}
  trim: {}
  exclude: ['[a']
  metadata:
  - {topic: /a.b, key: c}
  - {table: a.csv, equals: metadata.run}
  - {name: d}
  - {path: '(?<e>.)', topic: /e}
",
        &expect![[r#"
            line 4, column 3: `episodes.gap_ms` has no meaning without `by` (write `by: gap`, or remove the key)
            line 5, column 3: files are joined by `pattern` and by `gap_ms` (write `pattern` or `gap_ms`)
            line 6, column 3: `episodes.trim` leaves out nothing (write `start_s`, `end_s` or `idle`)
            line 7, column 13: `[a` is not a pattern: invalid range pattern (`*` stands for any letters, `?` for one, `[a-z]` for one of these; `[*]` is a plain `*`)
            line 9, column 5: the value of the topic has no `name` (add `name: task`)
            line 9, column 19: `key` has no meaning with `topic` (remove it)
            line 10, column 5: the table has no `key` (add `key: episode`, the column that says which episode a row is about)
            line 10, column 20: `episodes.metadata[1].equals` is `metadata.run` (one of: key, recording, file, stem)
            line 11, column 5: the entry does not say where metadata are from (write one of `path`, `topic` and `table` in each entry)
            line 12, column 5: the entry takes metadata from a `path` and from a `topic` (write one of `path`, `topic` and `table` in each entry)
        "#]],
    );
    broken(
        "version: 1
source: x
episodes:
  metadata:
  - {path: 'a(b)'}
  - {path: '(?<f>.)(?<f2>.)', types: {f3: int}}
  - {topic: /f, name: f}
",
        &expect![[r#"
            line 5, column 6: `a(b)` has no group with a name (write groups with names: `(?<operator>[^/]+)/(?<scene>[^/]+)/`)
            line 5, column 6: `a(b)` has a group without a name (write groups with names: `(?<operator>[^/]+)/(?<scene>[^/]+)/`; `(?:…)` is a group that nothing asks for)
            line 6, column 39: `(?<f>.)(?<f2>.)` has no group `f3` (did you mean `f`?)
            line 7, column 5: metadata `f` is told twice (take it from one place, or call one otherwise)
        "#]],
    );
}

#[test]
fn samples_become_the_steps_of_episodes() {
    let by_key = sound(
        "version: 1\nsource: x.tar\nepisodes: {by: key, pattern: '(?<episode>ep\\d+)_(?<step>\\d+)'}\n",
    );
    let pattern = r"(?<episode>ep\d+)_(?<step>\d+)".to_owned();
    assert_eq!((by_key.file.grouped, by_key.file.steps), (Some(GroupBy::Key { pattern }), None));
    let by_field = sound(
        "version: 1\nsource: x.jsonl\nepisodes: {by: field, field: run, order: frame}\nfields: {a: b}\n",
    );
    let by = GroupBy::Field { field: "run".to_owned(), order: Some("frame".to_owned()) };
    assert_eq!(by_field.file.grouped, Some(by));
    let steps = by_field.file.steps.unwrap();
    assert_eq!((steps.clock, steps.episodes, steps.fields.len()), (Clock::Own, Cut::Whole, 1));
    // Fields of samples, and of a source of steps, need no clock.
    assert_eq!(sound("version: 1\nsource: x\nfields: {a: b}\n").file.steps.unwrap().clock, Clock::Own);
    // `n` and `y` are names, no truths.
    let named =
        sound("version: 1\nsource: {path: x, topics: [n]}\nfields: {n: y, on: no}\n").file.steps.unwrap();
    let names: Vec<&str> = named.fields.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["n", "on"]);
    broken(
        "version: 1\nsource: x\nepisodes: {by: key, field: run}\nstreams: keep\nsteps: {clock: {rate_hz: 10}, align: nearest, transform: rlds/drop_last_padding}\nfields: {a: b}\n",
        &expect![[r#"
            line 3, column 12: `episodes` by key has no `pattern` (add `pattern: '(?<episode>ep\d+)_(?<step>\d+)'`)
            line 3, column 21: `episodes.field` has no meaning with `by: key` (write `by: marker` or `by: change` or `by: field`, or remove the key)
            line 4, column 1: `streams` has no meaning with `episodes` by key or field (remove it: samples are no topics)
            line 5, column 9: `steps.clock` has no meaning with `episodes` by key or field (remove it: each row of the samples is a step)
            line 5, column 31: `steps.align` has no meaning with `episodes` by key or field (remove it: each row of the samples is a step)
        "#]],
    );
    broken(
        "version: 1\nsource: x\nepisodes: {by: key, pattern: '(ep\\d+)_(\\d+)', order: a}\n",
        &expect![[r#"
            line 3, column 21: `(ep\d+)_(\d+)` has a group without a name (write `(?<episode>ep\d+)_(?<step>\d+)`; `(?:…)` is a group that nothing asks for)
            line 3, column 47: `episodes.order` has no meaning with `by: key` (write `by: field`, or remove the key)
        "#]],
    );
    broken(
        "version: 1\nsource: x\nepisodes: {by: filed, field: a}\n",
        &expect![[r#"
            line 3, column 16: `episodes.by` is `filed` (did you mean `field`?)
        "#]],
    );
}

#[test]
fn what_is_no_pipeline_is_told_once() {
    broken(
        "",
        &expect![[r#"
        line 1, column 1: the file is empty (`node-data init SRC` writes one to start from)
    "#]],
    );
    broken(
        "- a\n- b\n",
        &expect![[r#"
        line 1, column 1: found a list, expected a mapping of stages
    "#]],
    );
    broken(
        "version: 1\nsource: {path: a\nsteps: 3\n",
        &expect![[r#"
        line 3, column 6: this is not YAML that can be read: while parsing a flow mapping, did not find expected ',' or '}' (look at the indentation, quotes and brackets here and just above)
    "#]],
    );
    broken(
        "version: 1\nsource: &a x\nout: *a\n",
        &expect![[r#"
        line 2, column 12: this is not YAML that can be read: budget breached: Anchors { anchors: 1 } (look at the indentation, quotes and brackets here and just above)
    "#]],
    );
    broken(
        "a: \"\\q\"\n",
        &expect![[r#"
        line 1, column 4: this is not YAML that can be read: while parsing a quoted scalar, found unknown escape character (look at the indentation, quotes and brackets here and just above)
    "#]],
    );
    let deep = format!("{}x{}", "[".repeat(200), "]".repeat(200));
    assert_eq!(parse(&deep, &[]).unwrap_err().len(), 1);
}

/// Whatever happens to a file, nothing panics and no mistake lacks its place.
#[test]
fn any_piece_of_a_file_is_refused_or_read() {
    for end in (0..DESIGN.len()).filter(|it| DESIGN.is_char_boundary(*it)) {
        let cut = &DESIGN[..end];
        drop(parse(cut, &[]));
        let dotted = format!("{cut}\u{0}{}", &DESIGN[end..]);
        drop(parse(&dotted, &[]));
    }
}

#[test]
fn variables_and_settings() {
    let text = "version: 1\nsource: '${env:DATA}/x.mcap'\nshards: {target_mb: '${env:MB}'}\ndescription: a $${b} ${env:C:-c}\n";
    let file = sound(text).file;
    assert_eq!(
        (file.source.paths.as_slice(), file.shard_bytes),
        (&["/data/x.mcap".to_owned()][..], 64 << 20)
    );
    assert_eq!(file.description.as_deref(), Some("a ${b} c"));
    let set = parse(
        text,
        &[
            "shards.target_mb=128",
            "splits={train: 0.5, val: 0.5}",
            "steps.clock.rate_hz=10",
            "fields.\"observation.state\".from=/j.position",
        ],
    );
    let file = set.unwrap().file;
    assert_eq!(file.shard_bytes, 128 << 20);
    assert_eq!(file.steps.unwrap().fields[0].name, "observation.state");
    let wrong =
        parse(text, &["shards.target=1", "nothing", "source.x[0]=1", "shards[0]=1", "shards.target_mb=x"]);
    expect![[r#"
        --set nothing: there is no `=` (write it as `--set shards.target_mb=128`)
        --set shards.target=1: unknown key `target` in `shards` (one of: target_mb, compression, access)
        --set shards.target_mb=x: `shards.target_mb` is text (`x`) (expected a whole number)
        --set shards[0]=1: a part of the path is no list (write it as `--set shards.target_mb=128`)
        --set source.x[0]=1: a part of the path is no mapping (write it as `--set shards.target_mb=128`)
    "#]]
    .assert_eq(&told(&wrong.unwrap_err()));
}

#[test]
fn a_secret_is_never_told() {
    for token in ["hunter2", "[hunter2]", "{env: NAME, hunter2: x}", "{env: 'hunter2-!'}", "12345"] {
        let text = format!("version: 1\nsource: x\npublish: {{dataset: a, license: MIT, token: {token}}}\n");
        let mistakes = told(&parse(&text, &[]).unwrap_err());
        let without_key = mistakes.replace("unknown key `hunter2`", "");
        assert!(!without_key.contains("hunter2") && !mistakes.contains("12345"), "{mistakes}");
        assert!(mistakes.contains("{env: NAME}"), "{mistakes}");
    }
    let file =
        sound("version: 1\nsource: x\npublish: {dataset: a, license: MIT, token: {env: TOKEN}}\n").file;
    assert_eq!(file.publish.unwrap().token.unwrap().env, "TOKEN");
}

#[test]
fn rules_are_read() {
    let file = sound(
        "version: 1\nsource: x\nquality:\n  rate: {level: fail, streams: {/imu: {min_hz: 190}}}\n  gap: {level: quarantine, max_ms: 100}\n  non_finite: warn\n  frozen: off\n  range: {level: warn, features: {/cmd.data: {max: 1}, action: {min: -1}}}\n",
    )
    .file;
    let rules = file.quality.unwrap();
    assert_eq!(rules.level(Rule::Rate), Level::Fail);
    assert_eq!((rules.level(Rule::Gap), rules.gap_ns), (Level::Quarantine, Some(100_000_000)));
    assert_eq!((rules.level(Rule::NonFinite), rules.level(Rule::Frozen)), (Level::Warn, Level::Off));
    assert_eq!(rules.level(Rule::DeadJoint), Level::Off);
    let first = &rules.ranges[0];
    assert_eq!((first.stream.as_deref(), first.feature.as_str()), (Some("/cmd"), "data"));
    assert_eq!((rules.ranges[1].stream.as_deref(), rules.ranges[1].min), (None, Some(-1.0)));
}

#[test]
fn mistakes_of_the_source_find_their_keys() {
    let parsed = sound(DESIGN);
    let places = |key: &str| parsed.places.of(key);
    assert_eq!(format!("{:?}", places("fields.proprioception.from[1]")), "File(15, 36)");
    assert_eq!(places("fields.action.type.x"), places("fields.action.type"));
    assert_eq!(format!("{:?}", places("fields.action")), "File(17, 3)");
    assert_eq!(format!("{:?}", places("nowhere")), "File(1, 1)");
}

/// The schema for editors and the parser go by one table; this holds them together where it matters.
#[test]
fn the_json_schema_knows_every_stage() {
    let schema = pipeline_json_schema();
    for key in ["version", "source", "steps", "fields", "quality", "splits", "publish", "tests"] {
        assert!(schema["properties"][key]["description"].is_string(), "{key}");
    }
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["required"], serde_json::json!(["version", "source"]));
    for rule in Rule::ALL {
        let about = &schema["properties"]["quality"]["properties"][rule.name()]["description"];
        assert!(about.as_str().unwrap().starts_with(rule.code()), "{rule:?}");
    }
}

/// Times have one grammar: the schema's pattern is that of the reader, for every key that takes one.
#[test]
fn the_json_schema_takes_the_times_that_the_reader_takes() {
    let schema = pipeline_json_schema().to_string();
    for takes_offsets in [true, false] {
        let pattern = serde_json::json!(Moment::pattern(takes_offsets)).to_string();
        assert!(schema.contains(&format!("\"pattern\":{pattern}")), "offsets: {takes_offsets}");
    }
    assert!(!schema.contains("(h|m|s|ms|us|µs|ns)"), "there is no second table of units");
    for text in ["1h30m", "\"1700000000000000000\"", "1700000000123ms", "2023-11-14T22:13Z", "+1m30s"] {
        sound(&format!("version: 1\nsource: {{path: a.mcap, start: {text}}}\n"));
    }
}

#[test]
fn files_of_other_programs_are_told_apart() {
    for (text, expected) in [
        ("version: 1\nsource: a.mcap\n", true),
        ("source: {path: a.mcap}\n", true),
        ("version: 1\nsurce: a.mcap\n", true),
        ("{version: 1, source: a.mcap}", true),
        ("version: 1\nsource: [a.mcap\n", true),
        ("apiVersion: batch/v1\nkind: Job\nspec: {source: x}\n", false),
        ("version: \"3.8\"\nservices: {a: {image: b}}\n", false),
        ("apiVersion: v1\n---\nkind: Service\n", false),
        ("- a\n- b\n", false),
        ("", false),
    ] {
        assert_eq!(is_pipeline(text), expected, "{text}");
    }
}
