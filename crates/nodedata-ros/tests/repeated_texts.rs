//! Texts that are the same in every message take a shorter way into the columns, with the same result.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod support;

use nodedata_core::Columns;
use nodedata_ros::{Definitions, Dialect};
use nodedata_testkit::damaged::Random;
use serde_json::Value;
use support::{
    Topic,
    cdr::{Encoding, Writer},
    cell,
};

const TEXT: &str = "string frame\nuint8 shift\nstring[] name\nTool[] tools\nuint8 last\n\
                    ================\nMSG: lab/Tool\nstring[] tags\nstring z\n";

/// A message whose lists are those of a few kinds, at different places of the payload.
fn payload(random: &mut Random, encoding: Encoding) -> Vec<u8> {
    const LISTS: [&[&str]; 5] =
        [&[], &["a"], &["a", ""], &["joint_1", "joint_2", "é"], &["joint_1", "joint_2", "è"]];
    let mut lists = || LISTS[random.below(LISTS.len())];
    let (names, tags) = (lists(), [lists(), lists()]);
    let texts = |writer: &mut Writer, texts: &[&str]| {
        writer.framed(|it| {
            it.u32(texts.len() as u32);
            for text in texts {
                it.string(text);
            }
        });
    };
    let mut writer = Writer::new(encoding);
    writer.string(["base", "", "tool0"][random.below(3)]).u8(1);
    texts(&mut writer, names);
    let n_tools = random.below(3);
    writer.framed(|it| {
        it.u32(n_tools as u32);
        for tags in &tags[..n_tools] {
            texts(it, tags);
            it.string("z");
        }
    });
    writer.u8(9);
    writer.finish()
}

fn take(topic: &Topic, columns: &mut Columns, expected: &mut Vec<Vec<(String, Value)>>) {
    let arrays = columns.finish();
    for (row, expected) in expected.drain(..).enumerate() {
        let cells = topic.layout.features().zip(&arrays);
        let found: Vec<_> = cells.map(|(it, array)| (it.name.clone(), cell(array.as_ref(), row))).collect();
        assert_eq!(found, expected, "row {row}");
    }
}

#[test]
fn rows_decoded_together_are_those_decoded_alone() {
    let topic = Topic::new(&Definitions::from_msg("lab/Root", TEXT, Dialect::Ros2).unwrap(), "lab/Root");
    let mut random = Random::new(0x9e37_79b9_7f4a_7c15);
    let mut columns = topic.columns();
    let (mut expected, mut n_good, mut n_bad) = (Vec::new(), 0, 0);
    let mut message = payload(&mut random, Encoding::CDR[0]);
    for _ in 0..20_000 {
        if random.below(3) == 0 {
            let encoding = Encoding::CDR[random.below(4)];
            message = payload(&mut random, encoding);
        }
        let mut payload = message.clone();
        if random.below(8) == 0 {
            random.damage(&mut payload);
        }
        let together = topic.plan.decode_cdr(&payload, &mut columns);
        match (together, topic.cdr(&payload)) {
            (Ok(()), Ok(row)) => {
                columns.end_row();
                expected.push(row);
                n_good += 1;
            }
            (Err(err), Err(alone)) => {
                columns.abort_row();
                assert_eq!(err.to_string(), alone.to_string());
                n_bad += 1;
            }
            (together, alone) => panic!("{together:?} is not {alone:?}"),
        }
        if random.below(100) == 0 {
            take(&topic, &mut columns, &mut expected);
        }
    }
    take(&topic, &mut columns, &mut expected);
    assert!(n_good > 10_000 && n_bad > 500, "{n_good} good and {n_bad} bad messages");
}

#[test]
fn ros1_texts_repeat_as_well() {
    let topic = Topic::new(&Definitions::from_msg("lab/Root", TEXT, Dialect::Ros1).unwrap(), "lab/Root");
    let mut random = Random::new(7);
    let mut columns = topic.columns();
    let mut expected = Vec::new();
    let mut message = payload(&mut random, Encoding::Ros1);
    for _ in 0..2_000 {
        if random.below(3) == 0 {
            message = payload(&mut random, Encoding::Ros1);
        }
        topic.plan.decode_ros1(&message, &mut columns).unwrap();
        columns.end_row();
        expected.push(topic.ros1(&message).unwrap());
    }
    take(&topic, &mut columns, &mut expected);
}
