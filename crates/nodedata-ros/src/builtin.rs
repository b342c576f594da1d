//! Types every ROS system has and some definitions leave out.

use crate::{
    definition::{Dialect, StructDef},
    msg::{self, KnownTypes},
    parts::Part,
};

const TIME: &str = "int32 sec\nuint32 nanosec";
const ROS2: [(&str, &str); 5] = [
    ("builtin_interfaces/msg/Time", TIME),
    ("builtin_interfaces/msg/Duration", TIME),
    ("std_msgs/msg/Header", "builtin_interfaces/Time stamp\nstring frame_id"),
    (
        "service_msgs/msg/ServiceEventInfo",
        "uint8 REQUEST_SENT=0\nuint8 REQUEST_RECEIVED=1\nuint8 RESPONSE_SENT=2\nuint8 RESPONSE_RECEIVED=3\n\
         uint8 event_type\nbuiltin_interfaces/Time stamp\nchar[16] client_gid\nint64 sequence_number",
    ),
    ("unique_identifier_msgs/msg/UUID", "uint8[16] uuid"),
];
const ROS1: [(&str, &str); 1] = [("std_msgs/msg/Header", "uint32 seq\ntime stamp\nstring frame_id")];

/// The well-known types of a dialect.
pub(crate) fn types(dialect: Dialect) -> impl Iterator<Item = (String, StructDef)> {
    let texts: &'static [(&str, &str)] = match dialect {
        Dialect::Ros1 => &ROS1,
        Dialect::Ros2 => &ROS2,
    };
    texts.iter().map(move |(name, text)| {
        let part = Part { name, is_idl: false, text, first_line: 1 };
        let structure = msg::parse(name, &part, dialect, &KnownTypes::default());
        ((*name).to_owned(), structure.expect("the well-known definitions are valid"))
    })
}
