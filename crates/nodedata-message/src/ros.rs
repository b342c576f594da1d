use nodedata_core::{Columns, Error, ErrorKind, Layout, Result};
use nodedata_ros::{Definitions, Dialect, RosPlan};

/// ROS (and other DDS) messages, with the serialization their schema encoding goes with.
#[derive(Debug)]
pub(crate) struct RosMessages {
    plan: RosPlan,
    dialect: Dialect,
}

impl RosMessages {
    /// Appends the columns of `root`.
    ///
    /// # Errors
    /// `Corrupt` or `Unsupported` when the definitions cannot be used.
    pub(crate) fn compile(
        layout: &mut Layout,
        schema_encoding: &str,
        root: &str,
        definitions: &[u8],
    ) -> Result<Self> {
        let text = std::str::from_utf8(definitions).map_err(|err| {
            Error::new(ErrorKind::Corrupt, format!("definition of {root} is not UTF-8 text"))
                .with_source(err)
                .with_hint("`--undecoded TOPIC` keeps the messages of this topic as bytes")
        })?;
        let (definitions, dialect) = match schema_encoding {
            "ros1msg" => (Definitions::from_msg(root, text, Dialect::Ros1)?, Dialect::Ros1),
            "ros2msg" => (Definitions::from_msg(root, text, Dialect::Ros2)?, Dialect::Ros2),
            _ => (Definitions::from_idl(root, text)?, Dialect::Ros2),
        };
        Ok(Self { plan: RosPlan::compile(layout, &definitions, root)?, dialect })
    }

    /// Pushes one message.
    ///
    /// # Errors
    /// `Corrupt` when the bytes do not follow the definition.
    pub(crate) fn decode(&self, payload: &[u8], columns: &mut Columns) -> Result<()> {
        match self.dialect {
            Dialect::Ros1 => self.plan.decode_ros1(payload, columns),
            Dialect::Ros2 => self.plan.decode_cdr(payload, columns),
        }
    }
}
