use nodedata_core::StreamSchema;

/// Whether the last message of a topic stands until the next one, for whoever comes later as well: ROS 1 publishers say so
/// (`latching` of connections), those of ROS 2 offer the durability `transient_local`. All that the recording knows of must.
pub(crate) fn is_latched(stream: &StreamSchema) -> bool {
    let said = |key: &str| stream.metadata.get(key).map(String::as_str).unwrap_or_default();
    let latching = said("channel.latching");
    if !latching.is_empty() {
        return latching.lines().all(|it| it.trim() == "true");
    }
    let mut durabilities = said("channel.offered_qos_profiles")
        .split(['\n', ',', '{', '}'])
        .filter_map(|it| it.trim().trim_start_matches("- ").strip_prefix("durability:"))
        .map(|it| it.trim().trim_matches(['"', '\'']))
        .peekable();
    // Recorders have written the number of the policy, and since Jazzy its name.
    durabilities.peek().is_some() && durabilities.all(|it| matches!(it, "1" | "transient_local"))
}

#[cfg(test)]
mod tests {
    use nodedata_core::{StreamId, StreamKind};

    use super::*;

    #[track_caller]
    fn check(key: &str, value: &str, expected: bool) {
        let stream = StreamSchema {
            id: StreamId(0),
            name: "/a".into(),
            kind: StreamKind::Messages,
            features: Vec::new(),
            metadata: [(key.to_owned(), value.to_owned())].into(),
        };
        assert_eq!(is_latched(&stream), expected, "{key}: {value}");
    }

    #[test]
    fn topics_are_latched_where_all_their_publishers_say_so() {
        check("channel.latching", "true", true);
        check("channel.latching", "false\ntrue", false);
        let qos = "channel.offered_qos_profiles";
        check(
            qos,
            "- history: 1\n  depth: 1\n  reliability: 1\n  durability: 1\n  deadline:\n    sec: 9",
            true,
        );
        check(qos, "- history: keep_last\n  durability: transient_local\n", true);
        check(qos, "- durability: 1\n- durability: 2\n", false);
        check(qos, "- {depth: 10, durability: 1}", true);
        check(qos, "- depth: 10", false);
        check("schema_name", "durability: 1", false);
    }
}
