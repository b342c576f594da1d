//! The types that recordings have most, without definitions in them: messages written by a walk over the definition that shares no
//! code with the program decode to the values that were written.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod support;

use std::collections::BTreeMap;

use nodedata_ros::{DefinitionStore, Definitions, Dialect, Fitted, fit};
use serde_json::{Value, json};
use support::{
    Topic,
    cdr::{Encoding, Writer},
};

const MOST_COMMON: [&str; 40] = [
    "sensor_msgs/msg/Image",
    "sensor_msgs/msg/CompressedImage",
    "sensor_msgs/msg/CameraInfo",
    "sensor_msgs/msg/PointCloud2",
    "sensor_msgs/msg/LaserScan",
    "sensor_msgs/msg/Imu",
    "sensor_msgs/msg/JointState",
    "sensor_msgs/msg/NavSatFix",
    "sensor_msgs/msg/Joy",
    "sensor_msgs/msg/BatteryState",
    "sensor_msgs/msg/MagneticField",
    "sensor_msgs/msg/FluidPressure",
    "sensor_msgs/msg/Temperature",
    "sensor_msgs/msg/TimeReference",
    "sensor_msgs/msg/Range",
    "geometry_msgs/msg/Twist",
    "geometry_msgs/msg/TwistStamped",
    "geometry_msgs/msg/Pose",
    "geometry_msgs/msg/PoseStamped",
    "geometry_msgs/msg/PoseArray",
    "geometry_msgs/msg/PoseWithCovarianceStamped",
    "geometry_msgs/msg/PointStamped",
    "geometry_msgs/msg/WrenchStamped",
    "geometry_msgs/msg/TransformStamped",
    "geometry_msgs/msg/PolygonStamped",
    "nav_msgs/msg/Odometry",
    "nav_msgs/msg/Path",
    "nav_msgs/msg/OccupancyGrid",
    "tf2_msgs/msg/TFMessage",
    "std_msgs/msg/String",
    "std_msgs/msg/Bool",
    "std_msgs/msg/Float64",
    "std_msgs/msg/Float64MultiArray",
    "std_msgs/msg/Int32",
    "visualization_msgs/msg/MarkerArray",
    "diagnostic_msgs/msg/DiagnosticArray",
    "trajectory_msgs/msg/JointTrajectory",
    "rcl_interfaces/msg/Log",
    "rosgraph_msgs/msg/Clock",
    "action_msgs/msg/GoalStatusArray",
];

/// Fields by type, read off the text in the simplest way there is.
fn fields(text: &str) -> BTreeMap<String, Vec<(String, String)>> {
    let mut types: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines().filter(|it| !it.starts_with("====")) {
        if let Some(name) = line.strip_prefix("MSG: ") {
            current = name.to_owned();
            types.entry(current.clone()).or_default();
        } else if !line.contains('=') || line.contains("<=") {
            let mut words = line.split_whitespace();
            let (Some(kind), Some(name)) = (words.next(), words.next()) else { continue };
            types.entry(current.clone()).or_default().push((kind.to_owned(), name.to_owned()));
        }
    }
    types
}

/// Writes messages whose numbers count up, and notes what it wrote.
struct Sample<'a> {
    types: &'a BTreeMap<String, Vec<(String, String)>>,
    writer: Writer,
    next: u8,
    /// Of fields outside of lists: column and value.
    written: Vec<(String, Value)>,
}

impl Sample<'_> {
    fn structure(&mut self, name: &str, path: &str, in_list: bool) {
        let fields = &self.types[name];
        if name == "builtin_interfaces/msg/Time" || name == "builtin_interfaces/msg/Duration" {
            let seconds = u32::from(self.step());
            self.writer.u32(seconds).u32(5);
            self.note(path, in_list, json!(i64::from(seconds) * 1_000_000_000 + 5));
            return;
        }
        for (kind, field) in fields {
            let path = if path.is_empty() { field.clone() } else { format!("{path}.{field}") };
            match kind.split_once('[').filter(|it| !it.0.ends_with('<')) {
                Some((item, size)) => {
                    let size = size.trim_end_matches(']');
                    let n = match size.parse::<usize>() {
                        Ok(n) => n,
                        Err(_) => {
                            self.writer.u32(2);
                            2
                        }
                    };
                    let start = self.written.len();
                    (0..n).for_each(|_| self.value(item, name, &path, in_list));
                    // Of lists only that they are read is checked here: other tests compare their values.
                    self.written.truncate(start);
                }
                None => self.value(kind, name, &path, in_list),
            }
        }
    }

    fn value(&mut self, kind: &str, owner: &str, path: &str, in_list: bool) {
        let n = self.step();
        let value = match kind.split("<=").next().unwrap() {
            "bool" => {
                self.writer.u8(n & 1);
                json!(n & 1 == 1)
            }
            "byte" | "char" | "uint8" | "int8" => {
                self.writer.u8(n);
                json!(n)
            }
            "int16" | "uint16" => {
                self.writer.number(u16::from(n).to_le_bytes());
                json!(n)
            }
            "int32" | "uint32" => {
                self.writer.u32(u32::from(n));
                json!(n)
            }
            "int64" | "uint64" => {
                self.writer.number(u64::from(n).to_le_bytes());
                json!(n)
            }
            "float32" => {
                self.writer.number(f32::from(n).to_le_bytes());
                json!(f64::from(n))
            }
            "float64" => {
                self.writer.f64(f64::from(n));
                json!(f64::from(n))
            }
            "string" => {
                let text = format!("text {n}");
                self.writer.string(&text);
                json!(text)
            }
            name => {
                let package = owner.split('/').next().unwrap();
                let full = match name.split_once('/') {
                    Some((package, name)) => format!("{package}/msg/{}", name.trim_start_matches("msg/")),
                    None if name == "Header" => "std_msgs/msg/Header".to_owned(),
                    None => format!("{package}/msg/{name}"),
                };
                return self.structure(&full, path, in_list);
            }
        };
        self.note(path, in_list, value);
    }

    fn step(&mut self) -> u8 {
        self.next = self.next % 100 + 1;
        self.next
    }

    fn note(&mut self, path: &str, in_list: bool, value: Value) {
        if !in_list {
            self.written.push((path.to_owned(), value));
        }
    }
}

#[test]
fn the_most_common_types_decode_without_a_definition() {
    let store = DefinitionStore::default();
    for root in MOST_COMMON {
        for distro in ["foxy", "humble", "jazzy", "lyrical"] {
            let candidates = store.candidates(root, &[distro]);
            let types = fields(&candidates[0].text);
            let writer = Writer::new(Encoding::Xcdr1 { big: false });
            let mut sample = Sample { types: &types, writer, next: 0, written: Vec::new() };
            sample.structure(root, "", false);
            let Sample { writer, written, .. } = sample;
            let payload = writer.finish();
            let found = fit(root, &candidates, &[&payload]);
            assert!(matches!(found, Fitted::Taken(0)), "{root} of {distro}: {found:?}");
            let definitions = Definitions::from_msg(root, &candidates[0].text, Dialect::Ros2).unwrap();
            let row = Topic::new(&definitions, root).cdr(&payload).unwrap();
            let row: BTreeMap<String, Value> = row.into_iter().collect();
            for (column, value) in &written {
                assert_eq!(&row[column], value, "{root} of {distro}: {column}");
            }
            let only_lists =
                ["nav_msgs/msg/Path", "tf2_msgs/msg/TFMessage", "visualization_msgs/msg/MarkerArray"];
            assert!(
                !written.is_empty() || only_lists.contains(&root) || root.ends_with("Array"),
                "{root} of {distro} has no value"
            );
        }
    }
}
