use nodedata_core::{Layout, MessageText};

use super::*;
use crate::{Definitions, RosPlan};

fn given(texts: &[(&str, bool, &str)]) -> DefinitionStore {
    let texts = texts.iter().map(|(name, is_idl, text)| MessageText {
        name: (*name).to_owned(),
        is_idl: *is_idl,
        text: (*text).to_owned(),
    });
    DefinitionStore::new(&texts.collect::<Vec<_>>())
}

/// The columns of the first candidate.
#[track_caller]
fn columns(store: &DefinitionStore, root: &str, distros: &[&str]) -> Vec<String> {
    let candidates = store.candidates(root, distros);
    columns_of(root, &candidates.first().unwrap_or_else(|| panic!("no candidate of {root}")).text)
}

#[track_caller]
fn columns_of(root: &str, text: &str) -> Vec<String> {
    let definitions =
        Definitions::from_msg(root, text, Dialect::Ros2).unwrap_or_else(|err| panic!("{root}: {err}"));
    let mut layout = Layout::default();
    RosPlan::compile(&mut layout, &definitions, root).unwrap_or_else(|err| panic!("{root}: {err}"));
    layout.features().map(|it| it.name.clone()).collect()
}

/// Types that name one which none of the archives has.
const INCOMPLETE: [&str; 2] = ["autoware_map_msgs/msg/MapProjectorInfo", "test_msgs/action/NestedMessage"];

#[test]
fn every_type_of_the_bundle_compiles_in_every_distro() {
    let store = DefinitionStore::default();
    let mut n_compiled = 0;
    for name in BUNDLE.names().filter(|it| !INCOMPLETE.contains(it)) {
        let roots: Vec<String> = match name.rsplit_once('/') {
            Some((scope, _)) if scope.ends_with("/srv") => {
                vec![format!("{name}_Event"), format!("{name}_Request")]
            }
            Some((scope, _)) if scope.ends_with("/action") => {
                ["_SendGoal_Event", "_GetResult_Event", "_FeedbackMessage"]
                    .map(|it| format!("{name}{it}"))
                    .into()
            }
            _ => vec![name.to_owned()],
        };
        for root in roots {
            for candidate in store.candidates(&root, &[]) {
                columns_of(&root, &candidate.text);
                n_compiled += 1;
            }
        }
    }
    assert!(n_compiled > 500, "{n_compiled}");
}

#[test]
fn layouts_go_by_the_distro() {
    let store = DefinitionStore::default();
    let has = |root: &str, distro: &str, column: &str| {
        columns(&store, root, &[distro])
            .iter()
            .any(|it| it == column || it.starts_with(&format!("{column}.")))
    };
    for (root, column, without, with) in [
        ("sensor_msgs/msg/Range", "variance", "humble", "iron"),
        ("visualization_msgs/msg/Marker", "texture", "galactic", "humble"),
        ("shape_msgs/msg/SolidPrimitive", "polygon", "galactic", "humble"),
        ("rcl_interfaces/msg/ParameterDescriptor", "dynamic_typing", "foxy", "galactic"),
        ("rosbag2_interfaces/msg/WriteSplitEvent", "node_name", "iron", "jazzy"),
        ("lifecycle_msgs/msg/TransitionEvent", "stamp", "kilted", "lyrical"),
        ("lifecycle_msgs/msg/TransitionEvent", "stamp", "kilted", "rolling"),
    ] {
        assert!(!has(root, without, column), "{root} of {without}");
        assert!(has(root, with, column), "{root} of {with}");
    }
}

#[test]
fn candidates_are_in_order_and_none_is_there_twice() {
    let store = DefinitionStore::default();
    let origins = |root: &str, distros: &[&str]| -> Vec<Origin> {
        store.candidates(root, distros).into_iter().map(|it| it.origin).collect()
    };
    let distro = |it: &str| Origin::Distro(it.to_owned());
    // One layout in all of them.
    assert_eq!(origins("sensor_msgs/msg/Imu", &["humble"]), [distro("humble")]);
    assert_eq!(origins("sensor_msgs/Imu", &[]), [distro("lyrical")]);
    assert_eq!(origins("sensor_msgs::msg::dds_::Imu_", &["unheard-of"]), [distro("lyrical")]);
    // A type that has another one in it.
    assert_eq!(origins("visualization_msgs/msg/MarkerArray", &["foxy"]), [distro("foxy"), distro("lyrical")]);
    assert_eq!(origins("sensor_msgs/msg/Range", &["Humble"]), [distro("humble"), distro("lyrical")]);
    assert_eq!(origins("sensor_msgs/msg/Range", &[]), [distro("lyrical"), distro("humble")]);
    assert_eq!(origins("px4_msgs/msg/VehicleStatus", &["humble"]), [Origin::Vendor("px4_msgs".to_owned())]);
    assert_eq!(origins("lab_msgs/msg/Contact", &[]), []);
    assert_eq!(origins("RealsenseMetadata", &[]), []);
}

#[test]
fn services_and_actions_are_found_by_their_messages() {
    let store = DefinitionStore::default();
    let names = columns(&store, "action_msgs/srv/CancelGoal_Event", &[]);
    for column in ["info.event_type", "request.goal_info.goal_id.uuid", "response.return_code"] {
        assert!(names.iter().any(|it| it == column), "{names:?}");
    }
    let store = given(&[("lab/action/Go", false, "int32 order\n---\nint32 last\n---\nfloat32 progress\n")]);
    let root = "lab/action/Go_SendGoal_Event";
    let names = columns(&store, root, &[]);
    assert!(names.iter().any(|it| it == "request.goal.order"), "{names:?}");
    assert_eq!(columns(&store, "lab/action/Go_FeedbackMessage", &[]), ["goal_id.uuid", "feedback.progress"]);
    assert!(store.candidates("lab/msg/Go_FeedbackMessage", &[]).is_empty());
}

#[test]
fn what_a_user_gives_comes_first_and_takes_what_it_needs_from_the_bundle() {
    let text = "std_msgs/Header header\nPart[] parts\nsensor_msgs/Range range\n";
    let store = given(&[
        ("lab/msg/T", false, text),
        ("lab/msg/Part", false, "int8 x"),
        ("sensor_msgs/msg/Imu", false, "int8 own"),
    ]);
    let found = store.candidates("lab/msg/T", &["humble"]);
    assert_eq!(found.iter().map(|it| &it.origin).collect::<Vec<_>>(), [&Origin::Given, &Origin::Given]);
    let has_variance =
        |it: &Candidate| columns_of("lab/msg/T", &it.text).contains(&"range.variance".to_owned());
    assert_eq!(found.iter().map(has_variance).collect::<Vec<_>>(), [false, true]);
    // Its own goes before that of the bundle, and that of the bundle is there all the same.
    let found = store.candidates("sensor_msgs/msg/Imu", &[]);
    assert_eq!(found[0].origin, Origin::Given);
    assert_eq!(columns_of("sensor_msgs/msg/Imu", &found[0].text), ["own"]);
    assert_eq!(found[1].origin, Origin::Distro("lyrical".to_owned()));
    // What has nothing to do with it does not count.
    assert_eq!(store.candidates("sensor_msgs/msg/Joy", &[])[0].origin, Origin::Distro("lyrical".to_owned()));
}

#[test]
fn idl_needs_what_it_names() {
    let own = "#include \"lab/msg/Part.idl\"\n#include \"std_msgs/msg/Header.idl\"\n\
        module lab { module msg { struct T { std_msgs::msg::Header header; lab::msg::Part part; }; }; };";
    let part = "module lab { module msg { struct Part { double x; }; struct Beside { long y; }; }; };";
    let store = given(&[("lab/msg/T", true, own), ("lab/msg/Part", true, part)]);
    assert_eq!(columns(&store, "lab/msg/T", &[]), ["header.stamp", "header.frame_id", "part.x"]);
    // A type that no file is called by.
    assert_eq!(columns(&store, "lab/msg/Beside", &[]), ["y"]);
}

#[test]
fn messages_of_actions_are_found_by_their_own_texts() {
    let feedback = "unique_identifier_msgs/UUID goal_id\nPick_Feedback feedback\n";
    let own = ("lab/action/Pick_FeedbackMessage", false, feedback);
    let store = given(&[own, ("lab/action/Pick_Feedback", false, "float32 progress\n")]);
    let root = "lab/action/Pick_FeedbackMessage";
    assert_eq!(columns(&store, root, &[]), ["goal_id.uuid", "feedback.progress"]);
    // Without its part it is there, and whoever compiles it is told what it lacks.
    assert!(given(&[own]).candidates(root, &[])[0].text.contains("Pick_Feedback feedback"));
    let service = "unique_identifier_msgs/UUID goal_id\nlab/Pick_Goal goal\n---\nbool accepted\n";
    let goal = ("lab/action/Pick_Goal", false, "int32 order\n");
    let store = given(&[("lab/action/Pick_SendGoal", false, service), goal]);
    let names = columns(&store, "lab/action/Pick_SendGoal_Event", &[]);
    for column in ["request.goal.order", "response.accepted"] {
        assert!(names.iter().any(|it| it == column), "{names:?}");
    }
}

#[test]
fn definitions_that_leave_types_out_are_completed() {
    let text = "std_msgs/Header header\nlab/Part part\nsensor_msgs/Range range\n";
    let complete = |store: &DefinitionStore, text: &str, is_idl: bool| {
        store.complete("lab/msg/T", text, is_idl, &["humble"])
    };
    let bare = DefinitionStore::default();
    // One of the types is nowhere: there is nothing to try.
    let found = complete(&bare, text, false).unwrap();
    assert_eq!(
        (&found.missing[..], &found.candidates[..]),
        (&["lab/msg/Part".to_owned(), "sensor_msgs/msg/Range".to_owned()][..], &[][..])
    );
    let store = given(&[("lab/msg/Part", false, "Deep deep"), ("lab/msg/Deep", false, "int8 x")]);
    let found = complete(&store, text, false).unwrap();
    let tried = found.candidates.iter().map(|it| (&it.origin, columns_of("lab/msg/T", &it.text)));
    let tried: Vec<(&Origin, bool)> = tried
        .map(|(origin, names)| {
            assert!(names.contains(&"part.deep.x".to_owned()), "{names:?}");
            (origin, names.contains(&"range.variance".to_owned()))
        })
        .collect();
    assert_eq!(tried, [(&Origin::Given, false), (&Origin::Given, true)]);
    // What is there stays as the recording has it.
    let part = format!("{text}{}\nMSG: lab/Part\nint16 own\n", "=".repeat(80));
    let found = complete(&store, &part, false).unwrap();
    assert_eq!((&found.missing[..], found.candidates.len()), (&["sensor_msgs/msg/Range".to_owned()][..], 2));
    assert_eq!(found.candidates[0].origin, Origin::Distro("humble".to_owned()));
    assert!(columns_of("lab/msg/T", &found.candidates[0].text).contains(&"part.own".to_owned()));
    let idl = "module lab { module msg { struct T { lab::msg::Part part; }; }; };";
    let found = complete(&store, idl, true).unwrap();
    assert_eq!(columns_of("lab/msg/T", &found.candidates[0].text), ["part.deep.x"]);
    // As DDS spells it.
    let found = complete(&store, &idl.replace("lab::msg::Part", "lab::msg::dds_::Part_"), true).unwrap();
    assert_eq!(found.missing, ["lab/msg/Part"]);
    assert_eq!(columns_of("lab/msg/T", &found.candidates[0].text), ["part.deep.x"]);
    // What lacks nothing, and what is no definition of the type.
    for whole in ["int8 x\n", "std_msgs/Header header", "", "undefined"] {
        assert_eq!(complete(&store, whole, false), None, "{whole}");
    }
    assert_eq!(complete(&store, "module other { };", true), None);
}

#[test]
fn a_message_of_an_action_is_completed_by_the_text_of_the_action() {
    let store = given(&[("lab/action/Pick", false, "int32 order\n---\n---\nfloat32 progress\n")]);
    let root = "lab/action/Pick_FeedbackMessage";
    let text = "unique_identifier_msgs/UUID goal_id\nPick_Feedback feedback\n";
    let found = store.complete(root, text, false, &[]).unwrap();
    assert_eq!(found.missing, ["lab/msg/Pick_Feedback"]);
    assert_eq!(found.candidates[0].origin, Origin::Given);
    assert_eq!(columns_of(root, &found.candidates[0].text), ["goal_id.uuid", "feedback.progress"]);
}
