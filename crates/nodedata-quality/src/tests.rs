use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use expect_test::expect;
use nodedata_core::{DType, Dim, Feature, Storage, StreamId, StreamKind, StreamSchema};

use crate::{
    Contents, FeatureName, Level, QualityFinding, QualityReport, RangeBounds, RateBounds, Rule, Rules,
    StreamCheck, html, is_report, junit,
};

fn stream(kind: StreamKind, features: Vec<Feature>) -> StreamSchema {
    let mut all = match kind {
        StreamKind::Steps => vec![Feature::new("timestamp_ns", DType::Int64, vec![]).nullable()],
        StreamKind::Messages => ["log_time_ns", "publish_time_ns", "sequence"]
            .map(|it| Feature::new(it, DType::Int64, vec![]))
            .into(),
        StreamKind::Samples => vec![],
    };
    all.extend(features);
    let id = StreamId(0);
    StreamSchema { id, name: "/arm".into(), kind, features: all, metadata: Default::default() }
}

/// Rows with times every 10 ms from `first` on, and one column.
fn rows(stream: &StreamSchema, times: Vec<i64>, column: ArrayRef) -> RecordBatch {
    let times: ArrayRef = Arc::new(Int64Array::from(times));
    let mut columns = vec![Arc::clone(&times)];
    if stream.kind == StreamKind::Messages {
        columns.extend([Arc::clone(&times), times]);
    }
    columns.push(column);
    RecordBatch::try_new(stream.arrow(), columns).unwrap()
}

fn every_10_ms(n: i64) -> Vec<i64> {
    (0..n).map(|it| it * 10_000_000).collect()
}

fn vectors(dim: u32, n: usize, value: impl Fn(usize, usize) -> f64) -> (Feature, ArrayRef) {
    let feature = Feature::new("position", DType::Float64, vec![Dim::Fixed(dim)]);
    let values: Vec<f64> =
        (0..n * dim as usize).map(|it| value(it / dim as usize, it % dim as usize)).collect();
    let arrow_schema::DataType::FixedSizeList(item, size) = feature.arrow_type() else { panic!() };
    let values = Arc::new(arrow_array::Float64Array::from(values));
    let array = arrow_array::FixedSizeListArray::new(item, size, values, None);
    (feature, Arc::new(array))
}

fn found(rules: &Rules, stream: &StreamSchema, batches: &[(u64, RecordBatch)]) -> Vec<QualityFinding> {
    let mut check = StreamCheck::new(rules, stream);
    for (episode, rows) in batches {
        check.observe(*episode, rows);
    }
    check.finish().0
}

fn told(findings: &[QualityFinding]) -> String {
    findings.iter().map(|it| format!("{} {}: {}\n", it.code, it.place(), it.message)).collect()
}

#[test]
fn a_joint_that_never_moves_and_a_signal_that_freezes() {
    let (feature, column) = vectors(3, 1000, |row, element| match element {
        1 => 0.5,
        _ if row >= 300 => 3.0,
        _ => row as f64 + element as f64,
    });
    let stream = stream(StreamKind::Messages, vec![feature]);
    let rows = rows(&stream, every_10_ms(1000), column);
    // In two pieces: where batches end makes no difference.
    let pieces = [(4, rows.slice(0, 350)), (4, rows.slice(350, 650))];
    let all = found(&Rules::warn(), &stream, &pieces);
    assert_eq!(all, found(&Rules::warn(), &stream, &[(4, rows)]));
    expect![[r#"
        ND-Q005 episode 4 (), topic /arm, feature `position`, time 3000000000: stands still for 6.99 s after moving with most rows, 5.00 s are allowed
        ND-Q009 episode 4 (), topic /arm, feature `position`: element 1 never moves while others do
    "#]]
    .assert_eq(&told(&all));
}

#[test]
fn a_signal_that_is_calm_by_nature_is_not_frozen() {
    let (feature, column) = vectors(2, 2000, |row, _| (row / 900) as f64);
    let stream = stream(StreamKind::Messages, vec![feature]);
    let rows = rows(&stream, every_10_ms(2000), column);
    assert_eq!(told(&found(&Rules::warn(), &stream, &[(0, rows)])), "");
}

#[test]
fn times_numbers_and_bounds() {
    let (feature, column) = vectors(2, 6, |row, element| match (row, element) {
        (2, 1) => f64::NAN,
        (4, 0) => f64::NEG_INFINITY,
        (5, 1) => 7.5,
        _ => row as f64,
    });
    let stream = stream(StreamKind::Messages, vec![feature]);
    let times = vec![0, 10_000_000, 5_000_000, 20_000_000, 4_000_000_000, 4_010_000_000];
    let rows = rows(&stream, times, column);
    let mut rules = Rules::warn();
    rules.rates.push(RateBounds { stream: "/arm".to_owned(), min_hz: Some(50.0), max_hz: None });
    let bounds = RangeBounds { stream: None, feature: "position".to_owned(), min: Some(0.0), max: Some(6.0) };
    rules.ranges.push(bounds);
    expect![[r#"
        ND-Q001 episode 0 (), topic /arm: 1.25 rows a second, at least 50 are declared
        ND-Q002 episode 0 (), topic /arm, time 20000000: 3.98 s without a row, 1.00 s are allowed
        ND-Q004 episode 0 (), topic /arm, time 5000000: a row is 5.0 ms earlier than its predecessor
        ND-Q007 episode 0 (), topic /arm, feature `position`, row 2: 2 numbers are not finite, the first is NaN in element 1
        ND-Q008 episode 0 (), topic /arm, feature `position`, row 5: one number is outside of the range declared: 7.5 in element 1
    "#]]
    .assert_eq(&told(&found(&rules, &stream, &[(0, rows)])));
}

#[test]
fn a_clock_that_is_set() {
    let stamp = Feature::new("header.stamp", DType::Int64, vec![]);
    let stream = stream(StreamKind::Messages, vec![stamp]);
    let times = every_10_ms(20);
    let stamps: Int64Array = times
        .iter()
        .enumerate()
        .map(|(idx, it)| Some(it - 3_000_000 + if idx < 12 { 0 } else { 3_600_000_000_000 }))
        .collect();
    let rows = rows(&stream, times, Arc::new(stamps));
    expect![[r#"
        ND-Q003 episode 0 (), topic /arm, time 120000000: the stamps move by 3600.00 s against the log time from one row to the next, 500.0 ms are allowed
    "#]]
    .assert_eq(&told(&found(&Rules::warn(), &stream, &[(0, rows)])));
}

#[test]
fn frames_that_repeat_and_frames_that_miss() {
    let mut feature = Feature::new("rgb", DType::UInt8, vec![]).nullable();
    feature.storage = Storage::RawMedia;
    let stream = stream(StreamKind::Steps, vec![feature]);
    let frames: Vec<Option<&[u8]>> = (0..20)
        .map(|it| {
            if it == 15 {
                None
            } else if (4..11).contains(&it) {
                Some(&b"same"[..])
            } else {
                Some([b"a", b"b"][it % 2].as_slice())
            }
        })
        .collect();
    let column: ArrayRef = Arc::new(arrow_array::BinaryArray::from(frames));
    let rows = rows(&stream, every_10_ms(20), column);
    let all = found(&Rules::warn(), &stream, &[(0, rows.slice(0, 7)), (0, rows.slice(7, 13))]);
    expect![[r#"
        ND-Q006 episode 0 (), topic /arm, feature `rgb`, row 4: 7 equal frames in a row, 5 are allowed
        ND-Q010 episode 0 (), topic /arm, feature `rgb`, row 15: 19 frames in 20 rows
    "#]]
    .assert_eq(&told(&all));
}

#[test]
fn a_stack_of_frames_is_one_frame() {
    let mut feature = Feature::new("rgb", DType::UInt8, vec![]).in_lists(vec![Dim::Variable]).nullable();
    feature.storage = Storage::RawMedia;
    let arrow_schema::DataType::List(item) = feature.arrow_type() else { panic!() };
    let stream = stream(StreamKind::Steps, vec![feature]);
    // Stacks that move on by a frame, then seven alike, then one of no frame.
    let stacks: Vec<Vec<Option<Vec<u8>>>> = (0..20u8)
        .map(|row| match row {
            15 => vec![None],
            _ => {
                let row = if (4..11).contains(&row) { 4 } else { row };
                vec![Some(vec![row]), Some(vec![row + 1])]
            }
        })
        .collect();
    let offsets = arrow_buffer::OffsetBuffer::from_lengths(stacks.iter().map(Vec::len));
    let frames: arrow_array::BinaryArray = stacks.into_iter().flatten().collect();
    let column = arrow_array::ListArray::new(item, offsets, Arc::new(frames), None);
    let rows = rows(&stream, every_10_ms(20), Arc::new(column));
    let all = found(&Rules::warn(), &stream, &[(0, rows.slice(0, 7)), (0, rows.slice(7, 13))]);
    expect![[r#"
        ND-Q006 episode 0 (), topic /arm, feature `rgb`, row 4: 7 equal frames in a row, 5 are allowed
        ND-Q010 episode 0 (), topic /arm, feature `rgb`, row 15: 19 frames in 20 rows
    "#]]
    .assert_eq(&told(&all));
}

#[test]
fn an_episode_ends_where_the_next_begins() {
    let (feature, column) = vectors(2, 100, |row, element| (row * 2 + element) as f64);
    let stream = stream(StreamKind::Messages, vec![feature]);
    let rows = rows(&stream, every_10_ms(100), column);
    // The second episode is earlier than the first; no interval leads from one to the other.
    let all = found(&Rules::warn(), &stream, &[(0, rows.clone()), (1, rows)]);
    assert_eq!(told(&all), "");
}

#[test]
fn rows_without_a_value_are_counted_where_somebody_wants_one() {
    let feature = Feature::new("state", DType::Int64, vec![]).nullable();
    let column = |first: i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter((0..100).map(|it| (it % 10 != 3).then_some(first + it))))
    };
    let told_of = |rules: &Rules, kind| {
        let stream = stream(kind, vec![feature.clone()]);
        let rows = |first| rows(&stream, every_10_ms(100), column(first));
        let found = found(rules, &stream, &[(0, rows(0)), (0, rows(100))]);
        told(&found.into_iter().filter(|it| it.code == "ND-Q012").collect::<Vec<_>>())
    };
    let mut rules = Rules::off();
    assert_eq!(told_of(&rules, StreamKind::Steps), "");
    rules.set(Rule::Nulls, Level::Warn);
    let message = "20 of 200 rows have no value, a share of 0 is allowed";
    assert_eq!(
        told_of(&rules, StreamKind::Steps),
        format!("ND-Q012 episode 0 (), topic /arm, feature `state`, row 3: {message}\n")
    );
    // What a message may leave out, its own definition says, unless somebody names it.
    assert_eq!(told_of(&rules, StreamKind::Messages), "");
    rules.null_fields = vec![FeatureName::parse("/arm.st*")];
    assert!(told_of(&rules, StreamKind::Messages).contains(message));
    rules.null_fields = vec![FeatureName::parse("/leg.state")];
    assert_eq!(told_of(&rules, StreamKind::Messages), "");
    rules.null_share = 0.1;
    rules.null_fields = Vec::new();
    assert_eq!(told_of(&rules, StreamKind::Steps), "");
    assert_eq!(told_of(&Rules::warn(), StreamKind::Steps), "");
}

/// What a level means, and reports that hold names which look like markup.
fn report() -> QualityReport {
    let mut rules = Rules::warn();
    rules.set(Rule::NonFinite, Level::Quarantine);
    rules.set(Rule::Gap, Level::Off);
    let (feature, column) = vectors(1, 3, |row, _| if row == 1 { f64::INFINITY } else { 0.0 });
    let mut stream = stream(StreamKind::Messages, vec![feature]);
    stream.name = "/<b>&\"arm\u{1}".into();
    let mut check = StreamCheck::new(&rules, &stream);
    check.observe(1, &rows(&stream, vec![0, 10, 5], column));
    let (mut findings, mut summary, pace) = check.finish();
    summary.timeline = pace.timeline.cells(0, 10, 4);
    let mut contents = Contents::default();
    contents.add(0, [7; 32]);
    contents.add(1, [7; 32]);
    findings.extend(contents.findings(rules.level(Rule::DuplicateEpisode)));
    QualityReport::new(&rules, findings, vec![summary], &["a.mcap".to_owned(), "<i>.mcap".to_owned()])
}

#[test]
fn a_report_is_recognised_in_each_of_its_forms() {
    let report = report();
    let json = serde_json::to_string(&report).unwrap();
    for text in [json, junit(&report), html("a title", &report)] {
        assert!(is_report(&text), "{text}");
    }
    for other in ["", "{\"nd\":\"report/1\"}", "<testsuites><testsuite name=\"pytest\">", "<!doctype html>"] {
        assert!(!is_report(other), "{other}");
    }
}

#[test]
fn levels_decide() {
    let report = report();
    assert_eq!(report.quarantined.len(), 1);
    assert_eq!((report.quarantined[0].key.as_str(), report.quarantined[0].code), ("<i>.mcap", "ND-Q007"));
    assert_eq!(report.failure(), None);
    assert_eq!(report.n_findings(), 3);
    assert!(report.rules.iter().all(|it| it.code != "ND-Q002"));
}

#[test]
fn junit_counts_what_is_more_than_a_warning() {
    let text = junit(&report());
    let kept: String = text.lines().filter(|it| !it.ends_with("/>")).map(|it| format!("{it}\n")).collect();
    expect![[r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites>
        <testsuite name="node-data quality" tests="11" failures="1">
        <testcase classname="ND-Q004" name="backward_time: a row that is earlier than its predecessor">
        <system-out>a row is 0.0 µs earlier than its predecessor
          --&gt; episode 1 (&lt;i&gt;.mcap), topic /&lt;b&gt;&amp;&quot;arm\u{1}, time 5
        </system-out>
        </testcase>
        <testcase classname="ND-Q007" name="non_finite: NaN or infinite numbers">
        <failure message="1 found" type="ND-Q007">one number is not finite: inf in element 0
          --&gt; episode 1 (&lt;i&gt;.mcap), topic /&lt;b&gt;&amp;&quot;arm\u{1}, feature `position`, row 1
        </failure>
        </testcase>
        <testcase classname="ND-Q011" name="duplicate_episode: an episode with the content of another one">
        <system-out>has the content of episode 0, row for row
          --&gt; episode 1 (&lt;i&gt;.mcap)
        </system-out>
        </testcase>
        </testsuite>
        </testsuites>
    "#]]
    .assert_eq(&kept);
}

#[test]
fn the_page_runs_nothing_and_escapes_everything() {
    let page = html("<script>alert(1)</script>", &report());
    assert!(!page.contains("<script") && !page.contains("<b>") && !page.contains("<i>"), "{page}");
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("src="));
    assert!(page.contains("&lt;i&gt;.mcap") && page.contains("<svg") && page.contains("ND-Q011"));
    assert_eq!(page.matches("<table>").count(), page.matches("</table>").count());
}
