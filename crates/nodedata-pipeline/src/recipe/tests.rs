use std::collections::BTreeMap;

use nodedata_core::{
    DType, MediaEncoding, MessageText, MessageTexts, Moments, OnMisfit, OptionValue, Reference, TimeRange,
};
use nodedata_normalize::{
    Against, Align, Beyond, ByName, Change, Clock, Constant, Cut, Degenerate, DeltaEnd, DropSteps, End,
    EpisodeColumn, EpisodeList, EpisodeName, EpisodeRange, FactType, FarStamps, FieldFrom, FieldSpec,
    FieldTransform, FrameCoding, FramesOf, GroupBy, Idle, Items, Join, ListTable, Marker, MetadataFrom,
    Missing, PathMetadata, PoseFrom, Rate, ResizeWay, RotationForm, Speed, Start, StepTransform, TableFile,
    TableMetadata, Take, TimeSource, Tolerance, TopicMetadata, TopicTime, Trim, Zero,
};
use proptest::prelude::*;

use super::*;
use crate::{SplitKey, StepFlags};

fn text() -> impl Strategy<Value = String> {
    "[/a-z0-9.\u{e9}\"*-]{0,6}"
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(text(), 0..3)
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>().prop_filter("equal to itself", |it| !it.is_nan()), Just(0.1 + 0.2), Just(-0.0)]
}

fn option() -> impl Strategy<Value = OptionValue> {
    prop_oneof![
        any::<bool>().prop_map(OptionValue::Bool),
        any::<i64>().prop_map(OptionValue::Integer),
        text().prop_map(OptionValue::Text),
    ]
}

prop_compose! {
    fn open()(
        topics in prop::option::of(texts()),
        undecoded in texts(),
        messages in prop::collection::vec((text(), any::<bool>(), text()), 0..3),
        start_ns in any::<i64>(),
        end_ns in any::<Option<i64>>(),
        verify_checksums in any::<bool>(),
        keeps_misfits in any::<bool>(),
        sizes in any::<(u64, u64)>(),
        decode in prop::collection::btree_map(text(), prop::sample::select(MediaEncoding::ALL.map(|it| it.0).to_vec()), 0..3),
        embed in prop::collection::btree_map(text(), prop::sample::select(Reference::ALL.map(|it| it.0).to_vec()), 0..3),
        options in prop::collection::btree_map(text(), option(), 0..3),
    ) -> OpenOptions {
        // Every field is named: a new one has to be given values here, and is then held against what is read back.
        OpenOptions {
            topics,
            undecoded,
            message_paths: MessageTexts::new(
                messages.into_iter().map(|(name, is_idl, text)| MessageText { name, is_idl, text }).collect(),
            ),
            time_range: TimeRange { start_ns, end_ns },
            salvage: false,
            on_misfit: if keeps_misfits { OnMisfit::Keep } else { OnMisfit::Fail },
            verify_checksums,
            partition_bytes: sizes.0,
            decode,
            embed,
            record_bytes_max: sizes.1,
            options,
            // None of them is a part of recipes.
            moments: Moments::default(),
            deal: None,
            scratch: None,
            episode_facts: false,
            frames: Vec::new(),
            learned: None,
        }
    }
}

fn time() -> impl Strategy<Value = TimeSource> {
    prop_oneof![Just(TimeSource::LogTime), Just(TimeSource::PublishTime), text().prop_map(TimeSource::Field)]
}

fn align() -> impl Strategy<Value = Align> {
    prop::sample::select(vec![Align::Nearest, Align::Hold, Align::Linear, Align::Slerp])
}

fn beyond() -> impl Strategy<Value = Beyond> {
    prop::sample::select(vec![Beyond::Null, Beyond::Drop, Beyond::Fail])
}

fn tolerance() -> impl Strategy<Value = Tolerance> {
    (any::<Option<i64>>(), beyond()).prop_map(|(max_ns, beyond)| Tolerance { max_ns, beyond })
}

fn cut() -> impl Strategy<Value = Cut> {
    let marker = (text(), texts(), texts(), texts(), prop::option::of(text()));
    let marker =
        marker.prop_map(|(field, start, end, discard, task)| Marker { field, start, end, discard, task });
    let range = (prop::option::of(text()), any::<i64>(), any::<i64>());
    let range = range.prop_map(|(recording, start_ns, end_ns)| EpisodeRange { recording, start_ns, end_ns });
    let change = (text(), texts(), prop::option::of(text()))
        .prop_map(|(field, without, task)| Cut::Change(Change { field, without, task }));
    prop_oneof![
        Just(Cut::Whole),
        change,
        marker.prop_map(Cut::Marker),
        (any::<i64>(), prop::option::of(text())).prop_map(|(gap_ns, topic)| Cut::Gap { gap_ns, topic }),
        prop::collection::vec(range, 0..3).prop_map(Cut::Ranges),
    ]
}

fn number_transforms() -> impl Strategy<Value = FieldTransform> {
    let item = || any::<Option<i32>>();
    let items = prop_oneof![
        prop::collection::vec(any::<i32>(), 0..3).prop_map(Items::Places),
        texts().prop_map(Items::Names),
        any::<(i32, Option<i32>)>().prop_map(|(start, end)| Items::Range { start, end }),
    ];
    let against = prop_oneof![any::<i32>().prop_map(Against::Step), text().prop_map(Against::Field)];
    let ends = prop::sample::select(vec![DeltaEnd::Null, DeltaEnd::Drop, DeltaEnd::Zero]);
    let form = || {
        prop::sample::select(RotationForm::NAMES.to_vec()).prop_filter_map("a form", RotationForm::from_name)
    };
    let degenerate = prop::sample::select(vec![Degenerate::Fail, Degenerate::Null]);
    prop_oneof![
        (number(), item()).prop_map(|(by, item)| FieldTransform::Scale { by, item }),
        (number(), item()).prop_map(|(by, item)| FieldTransform::Offset { by, item }),
        (text(), text(), item()).prop_map(|(from, to, item)| FieldTransform::Unit { from, to, item }),
        items.prop_map(|items| FieldTransform::Slice { items }),
        (against, ends).prop_map(|(against, end)| FieldTransform::Delta { against, end }),
        (form(), form(), any::<Option<u32>>(), degenerate).prop_map(|(from, to, start, degenerate)| {
            FieldTransform::Rotation { from, to, start, degenerate }
        }),
    ]
}

fn picture_transforms() -> impl Strategy<Value = FieldTransform> {
    let ways = prop::sample::select(vec![None, Some(ResizeWay::Triangle), Some(ResizeWay::Nearest)]);
    let codings = prop::sample::select(FrameCoding::ALL.map(|it| it.0).to_vec());
    let zeros = prop::sample::select(vec![Zero::Keep, Zero::Nan]);
    prop_oneof![
        (any::<(u32, u32)>(), ways).prop_map(|((height, width), way)| FieldTransform::Resize {
            height,
            width,
            way
        }),
        any::<(u32, u32, Option<u32>, Option<u32>)>()
            .prop_map(|(height, width, top, left)| FieldTransform::Crop { height, width, top, left }),
        (codings, any::<(Option<u8>, Option<u32>)>(), prop::option::of(text())).prop_map(
            |(coding, (quality, group), encoder)| FieldTransform::Encode { coding, quality, group, encoder }
        ),
        (prop::option::of(text()), text(), zeros).prop_map(|(from, to, zero)| FieldTransform::Depth {
            from,
            to,
            zero
        }),
        (texts(), any::<(Option<u32>, bool)>()).prop_map(|(fields, (max, fill))| FieldTransform::Points {
            fields,
            max,
            fill
        }),
    ]
}

fn transforms() -> impl Strategy<Value = (Vec<FieldTransform>, Option<MediaEncoding>)> {
    let item = || any::<Option<i32>>();
    let one = prop_oneof![
        (any::<i32>(), prop::sample::select(vec![End::Null, End::Drop]))
            .prop_map(|(steps, end)| FieldTransform::Shift { steps, end }),
        item().prop_map(|item| FieldTransform::Invert { item }),
        (number(), item()).prop_map(|(threshold, item)| FieldTransform::Binarize { threshold, item }),
        (prop::option::of(number()), prop::option::of(number()), item())
            .prop_map(|(min, max, item)| FieldTransform::Clip { min, max, item }),
        Just(FieldTransform::Flac {}),
        Just(FieldTransform::FromCodes {}),
        Just(FieldTransform::FlipChannels {}),
        Just(FieldTransform::Rotate180 {}),
        number_transforms(),
        picture_transforms(),
    ];
    let encodings = MediaEncoding::ALL.map(|it| it.0).to_vec();
    (prop::collection::vec(one, 0..3), prop::option::of(prop::sample::select(encodings)))
}

fn constant() -> impl Strategy<Value = Constant> {
    prop_oneof![
        any::<bool>().prop_map(Constant::Bool),
        any::<i64>().prop_map(Constant::Int),
        number().prop_map(Constant::Float),
        text().prop_map(Constant::Text),
        prop::collection::vec(number(), 0..3).prop_map(Constant::Floats),
    ]
}

fn from() -> impl Strategy<Value = FieldFrom> {
    let pose = (text(), text(), texts()).prop_map(|(of, within, from)| PoseFrom { of, within, from });
    prop_oneof![
        texts().prop_map(FieldFrom::Paths),
        constant().prop_map(FieldFrom::Constant),
        pose.prop_map(FieldFrom::Pose)
    ]
}

prop_compose! {
    fn field()(
        name in text(),
        from in from(),
        by_name in prop::option::of((texts(), prop::option::of(text()), prop::option::of(beyond()))),
        align in prop::option::of(align()),
        tolerance in prop::option::of(tolerance()),
        dtype in prop::option::of(prop::sample::select(DType::ALL.to_vec())),
        (skew, hold_across) in any::<(Option<bool>, Option<bool>)>(),
        unit in prop::option::of(text()),
        description in prop::option::of(text()),
        ((transform, encoding), frames) in
            (transforms(), prop::sample::select(vec![FramesOf::Same, FramesOf::Vary])),
    ) -> FieldSpec {
        let by_name = by_name.map(|(names, at, absent)| ByName { names, at, absent });
        let may_be_empty = false;
        FieldSpec {
            name, from, by_name, align, tolerance, dtype, skew, hold_across, unit, description, transform, encoding,
            frames,
            may_be_empty,
        }
    }
}

fn clock() -> impl Strategy<Value = Clock> {
    let rate =
        (1..1_000_000u64, 1..1_000_000u64).prop_map(|(num, den)| Clock::Rate(Rate::new(num, den).unwrap()));
    prop_oneof![rate, text().prop_map(Clock::Topic), any::<u64>().prop_map(Clock::Every), Just(Clock::Own)]
}

fn grouped() -> impl Strategy<Value = GroupBy> {
    let by_field = (text(), prop::option::of(text()));
    prop_oneof![
        text().prop_map(|pattern| GroupBy::Key { pattern }),
        by_field.prop_map(|(field, order)| GroupBy::Field { field, order }),
    ]
}

prop_compose! {
    fn steps()(
        episodes in cut(),
        clock in clock(),
        time in time(),
        topic_times in prop::collection::vec((text(), time()), 0..3),
        (align, tolerance, skew) in (align(), tolerance(), any::<bool>()),
        start in prop::sample::select(vec![Start::First, Start::All]),
        (order_bound_ns, upsample, hold_across) in any::<(Option<i64>, bool, bool)>(),
        far_stamps in prop::sample::select(vec![FarStamps::Drop, FarStamps::Fail]),
        fields in prop::collection::vec(field(), 0..3),
        keep_streams in any::<bool>(),
        transform in prop::collection::vec(text().prop_map(|field| StepTransform::DropLastPadding { field }), 0..2),
    ) -> StepSpec {
        let topic_times = topic_times.into_iter().map(|(topic, time)| TopicTime { topic, time }).collect();
        StepSpec {
            episodes, clock, time, topic_times, align, tolerance, skew, start, upsample, order_bound_ns,
            hold_across, far_stamps, fields, keep_streams, transform,
        }
    }
}

fn splits() -> impl Strategy<Value = SplitPlan> {
    let key = prop_oneof![
        Just(SplitKey::Episode),
        Just(SplitKey::Task),
        text().prop_map(SplitKey::Metadata),
        Just(SplitKey::Row),
        text().prop_map(SplitKey::Field),
    ];
    let fractions = prop::collection::vec((text(), number()), 0..3);
    prop_oneof![
        (fractions, key).prop_map(|(fractions, key)| SplitPlan::Hash { fractions, key }),
        prop::collection::vec((text(), texts()), 0..3).prop_map(SplitPlan::Lists),
        Just(SplitPlan::Source),
        Just(SplitPlan::SourceOrTrain),
    ]
}

fn schema() -> impl Strategy<Value = Schema> {
    // That every schema survives its text is a test of the schema's own; here the order of fields must.
    let fields = prop::sample::subsequence(vec!["state", "action", "b", "a"], 1..4).prop_shuffle();
    fields.prop_map(|names| {
        let fields: Vec<String> = names
            .iter()
            .map(|it| {
                format!(
                    "{it:?}: {{\"type\": \"float64\", \"shape\": [-1, 7], \"min\": -0.1, \"max\": 1e300}}"
                )
            })
            .collect();
        Schema::from_json(&format!("{{\"splits\": [\"train\"], \"fields\": {{{}}}}}", fields.join(", ")))
            .unwrap()
    })
}

fn missing() -> impl Strategy<Value = Missing> {
    prop::sample::select(vec![Missing::Error, Missing::Null])
}

fn list() -> impl Strategy<Value = EpisodeList> {
    let name = prop_oneof![
        Just(EpisodeName::Key),
        Just(EpisodeName::Recording),
        Just(EpisodeName::File),
        Just(EpisodeName::Stem),
        text().prop_map(EpisodeName::Metadata),
    ];
    let table = (text(), text(), name, missing(), texts()).prop_map(|(path, key, equals, missing, names)| {
        ListTable { file: TableFile { path, b3: "00".to_owned() }, key, equals, missing, names }
    });
    (texts(), prop::option::of(table)).prop_map(|(names, table)| EpisodeList { names, table })
}

fn metadata() -> impl Strategy<Value = MetadataFrom> {
    let dtype = || prop::sample::select(FactType::ALL.to_vec());
    let types = prop::collection::btree_map(text(), dtype(), 0..3);
    let path = (text(), types, missing())
        .prop_map(|(pattern, types, missing)| MetadataFrom::Path(PathMetadata { pattern, types, missing }));
    let take = prop::sample::select(vec![Take::First, Take::Last, Take::Latched]);
    let topic = (text(), text(), take, prop::option::of(dtype()), missing()).prop_map(
        |(from, name, take, dtype, missing)| {
            MetadataFrom::Topic(TopicMetadata { from, name, take, dtype, missing })
        },
    );
    let columns = prop::collection::vec((text(), dtype()), 0..3);
    let row = prop::collection::vec(prop::option::of(text()), 0..3);
    let rows = prop::collection::btree_map(text(), row, 0..3);
    let table = (text(), text(), columns, missing(), rows).prop_map(|(path, key, columns, missing, rows)| {
        let file = TableFile { path, b3: "00".to_owned() };
        let equals = EpisodeName::Stem;
        MetadataFrom::Table(TableMetadata { file, key, equals, columns, missing, rows })
    });
    prop_oneof![path, topic, table]
}

prop_compose! {
    fn episodes()(
        include in prop::option::of(list()),
        exclude in prop::option::of(list()),
        min_steps in any::<Option<u64>>(),
        min_ns in any::<Option<i64>>(),
        join in prop::option::of(prop_oneof![text().prop_map(Join::Pattern), any::<i64>().prop_map(Join::Gap)]),
        trim in (any::<i64>(), any::<i64>(), prop::option::of((text(), number(), any::<i64>(), any::<Option<i64>>()))),
        drop_steps in prop::collection::vec((text(), texts()), 0..3),
        metadata in prop::collection::vec(metadata(), 0..3),
        columns in prop::collection::vec((text(), text()), 0..3),
    ) -> EpisodeSpec {
        let columns = columns.into_iter().map(|(name, metadata)| EpisodeColumn { name, metadata });
        let (start_ns, end_ns, idle) = trim;
        let idle = idle.map(|(field, below, keep_ns, stretches_ns)| {
            Idle { field, below: Speed(below), keep_ns, stretches_ns }
        });
        let trim = Trim { start_ns, end_ns, idle };
        let columns = columns.collect();
        let drop_steps = drop_steps.into_iter().map(|(column, values)| DropSteps { column, values }).collect();
        EpisodeSpec { join, include, exclude, min_steps, min_ns, trim, drop_steps, metadata, columns }
    }
}

prop_compose! {
    fn options()(
        open in open(),
        grouped in prop::option::of(grouped()),
        episodes in episodes(),
        steps in prop::option::of(steps()),
        schema in prop::option::of(schema()),
        splits in splits(),
        quarantine in prop::collection::btree_map(text(), text(), 0..3),
        on_error in prop::sample::select(vec![OnError::Fail, OnError::Salvage]),
        shard_bytes in any::<u64>(),
        access in prop::sample::select(Access::ALL.to_vec()),
    ) -> ConvertOptions {
        ConvertOptions {
            sources: vec!["source".to_owned()],
            from: Some("mcap".to_owned()),
            out: "out".into(),
            overwrite: false,
            open,
            grouped,
            episodes,
            steps,
            step_flags: StepFlags::default(),
            schema,
            splits,
            quarantine,
            on_error,
            refuse_empty: false,
            threads: None,
            shard_bytes,
            access,
            keep_rows: crate::KeepRows::default(),
            peak_heap: None,
        }
    }
}

proptest! {
    /// What is written says every option, and is read by the same type.
    #[test]
    fn options_come_back_from_their_recipe(options in options()) {
        let recipe = Recipe::new(&options, "mcap");
        let text = recipe.to_json();
        let read = Recipe::from_json(text.as_bytes()).unwrap();
        prop_assert_eq!(&read, &recipe);
        prop_assert_eq!(read.to_json(), text);
        // Texts of definitions are known by their digest; whoever reads the recipe names them again.
        let again = read.options_with(&["source".to_owned()], "out", &options.open.message_paths).unwrap();
        prop_assert_eq!(format!("{again:?}"), format!("{options:?}"));
    }
}

/// Frozen: these bytes are what recipes are known by.
#[test]
fn a_recipe_is_spelled_so() {
    let plain = Recipe::new(&ConvertOptions::new("a.mcap", "out"), "mcap");
    expect_test::expect![[r#"
        {"nd":"recipe/1","rows":{"format":"mcap","on_error":"fail","open":{}},"shards":{"shard_bytes":536870912,"splits":"source_or_train"}}
    "#]]
    .assert_eq(&plain.to_json());
    let clock = Clock::Rate(Rate::parse("29.97").unwrap());
    let constant =
        FieldSpec { from: FieldFrom::Constant(Constant::Float(0.1)), ..FieldSpec::new("scale", "") };
    let options = ConvertOptions {
        open: OpenOptions { verify_checksums: false, ..OpenOptions::default() },
        steps: Some(StepSpec {
            fields: vec![FieldSpec::new("joints", "/joints"), constant],
            ..StepSpec::new(clock)
        }),
        splits: SplitPlan::fractions(vec![("train".to_owned(), 0.9), ("val".to_owned(), 0.1)]),
        quarantine: BTreeMap::from([("a.mcap".to_owned(), "ND-Q001: black".to_owned())]),
        ..ConvertOptions::new("a.mcap", "out")
    };
    expect_test::expect![[r#"
        {"nd":"recipe/1","rows":{"format":"mcap","on_error":"fail","open":{"verify_checksums":false},"steps":{"clock":{"rate":"2997/100"},"fields":[{"from":{"paths":["/joints"]},"name":"joints"},{"from":{"constant":{"float":"0.1"}},"name":"scale"}]}},"shards":{"quarantine":{"a.mcap":"ND-Q001: black"},"shard_bytes":536870912,"splits":{"hash":{"fractions":[["train","0.9"],["val","0.1"]],"key":"episode"}}}}
    "#]]
    .assert_eq(&Recipe::new(&options, "mcap").to_json());
    let random = ConvertOptions { access: Access::Random, ..ConvertOptions::new("a.mcap", "out") };
    expect_test::expect![[r#"
        {"nd":"recipe/1","rows":{"format":"mcap","on_error":"fail","open":{}},"shards":{"access":"random","shard_bytes":536870912,"splits":"source_or_train"}}
    "#]]
    .assert_eq(&Recipe::new(&random, "mcap").to_json());
    let grouped = ConvertOptions {
        grouped: Some(GroupBy::Field { field: "run".to_owned(), order: None }),
        steps: Some(StepSpec { fields: vec![FieldSpec::new("a", "b")], ..StepSpec::new(Clock::Own) }),
        ..ConvertOptions::new("a.jsonl", "out")
    };
    expect_test::expect![[r#"
        {"nd":"recipe/1","rows":{"format":"jsonl","grouped@1":{"field":{"field":"run"}},"on_error":"fail","open":{},"steps":{"clock":"own","fields":[{"from":{"paths":["b"]},"name":"a"}]}},"shards":{"shard_bytes":536870912,"splits":"source_or_train"}}
    "#]]
    .assert_eq(&Recipe::new(&grouped, "jsonl").to_json());
}

/// An option that this version does not know decides bytes: it is never passed over.
#[test]
fn recipes_of_other_versions_are_refused() {
    let plain = Recipe::new(&ConvertOptions::new("a.mcap", "out"), "mcap").to_json();
    for (from, to) in
        [("\"open\":{}", "\"open\":{\"depth\":1}"), ("recipe/1", "recipe/2"), ("\"fail\"", "\"skip\"")]
    {
        let err = Recipe::from_json(plain.replace(from, to).as_bytes()).unwrap_err();
        assert_eq!(
            (err.kind(), err.hint()),
            (ErrorKind::Unsupported, Some("run the version that made the dataset"))
        );
    }
    assert_eq!(Recipe::from_json(&plain.as_bytes()[..40]).unwrap_err().kind(), ErrorKind::Corrupt);
}

/// Element types are spelled as everywhere else.
#[test]
fn types_have_one_spelling() {
    for dtype in DType::ALL {
        assert_eq!(serde_json::to_value(dtype).unwrap(), dtype.name());
    }
}
