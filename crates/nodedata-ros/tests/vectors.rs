//! Payloads written by Cyclone DDS in every representation.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod support;

use nodedata_ros::{Definitions, Dialect};
use nodedata_testkit::corpus;
use serde_json::Value;
use support::{Topic, expected};

#[test]
fn every_representation_decodes_alike() {
    let path = corpus::fixtures("ros").join("vectors.json");
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let text = format!(
        "{}{}\nMSG: lab_msgs/VecInner\n{}",
        file["msg"]["lab_msgs/msg/Vec"].as_str().unwrap(),
        "=".repeat(80),
        file["msg"]["lab_msgs/msg/VecInner"].as_str().unwrap()
    );
    let plain = Definitions::from_msg("lab_msgs/msg/Vec", &text, Dialect::Ros2).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 24);
    for vector in vectors {
        let extensibility = vector["extensibility"].as_str().unwrap();
        let payload = hex(vector["hex"].as_str().unwrap());
        // The definition as `.msg`, which does not know of extensibility, and as IDL, which says it.
        for definitions in [&plain, &idl(extensibility)] {
            let topic = Topic::new(definitions, "lab_msgs/msg/Vec");
            let row = topic.cdr(&payload).unwrap_or_else(|err| panic!("{err} at {}: {vector}", err.locus()));
            for (column, found) in row {
                let expected = expected(&vector["value"], &column);
                // As text, because -0.0 equals 0.0.
                assert_eq!(found.to_string(), expected.to_string(), "{column} of {vector}");
            }
        }
    }
}

fn idl(extensibility: &str) -> Definitions {
    let text = format!(
        "module lab_msgs {{ module msg {{
        @{extensibility} struct VecInner {{ uint8 a; double b; }};
        @{extensibility} struct Vec {{ boolean flag; long long big; int8 small; string name; double d[2];
          sequence<short> seq; sequence<string> words; VecInner inner; sequence<VecInner> many; octet tail; }};
        }}; }};"
    );
    Definitions::from_idl("lab_msgs::msg::Vec", &text).unwrap()
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|it| u8::from_str_radix(&text[it..it + 2], 16).unwrap()).collect()
}
