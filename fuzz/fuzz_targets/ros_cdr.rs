//! Any bytes as a payload of types that use every kind of field, in every encoding.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use nodedata_core::{Columns, Layout};
use nodedata_ros::{Definitions, Dialect, RosPlan};

const MSG: &str = "std_msgs/Header header\nbool b\nuint8[] raw\nstring[] names\nfloat64[] values\nint16[3] fixed\n\
                   bool[] flags\nInner[] list\nInner[2] pair\nbuiltin_interfaces/Duration[] times\nuint8 last\n\
                   ================\nMSG: lab/Inner\nuint32 x\nfloat32[] y\nstring[] z\n";
const WIDE: &str = "wstring a\nwstring[] b\nuint8 c";
const IDL: &str = "enum Kind { A, B };
    @final struct Fin { octet o; @optional double d; @optional sequence<long> l; @optional string s[2]; };
    @appendable struct App { long a; Kind k; sequence<Kind> ks; sequence<Fin> fins; Kind pair[2]; };
    @mutable struct Mut { @id(7) long m; @optional App app; sequence<App> apps; @optional wstring s; };
    @mutable struct Root { Mut m; sequence<Mut> ms; @optional Fin f; string text; };";

static TOPICS: LazyLock<Vec<(RosPlan, Arc<Layout>)>> = LazyLock::new(|| {
    let definitions = [
        Definitions::from_msg("lab/msg/Root", MSG, Dialect::Ros2),
        Definitions::from_msg("lab/msg/Root", WIDE, Dialect::Ros2),
        Definitions::from_idl("Root", IDL),
    ];
    let roots = ["lab/msg/Root", "lab/msg/Root", "Root"];
    definitions
        .into_iter()
        .zip(roots)
        .map(|(definitions, root)| {
            let mut layout = Layout::default();
            let definitions = definitions.expect("the definition is valid");
            let plan = RosPlan::compile(&mut layout, &definitions, root).expect("the definition compiles");
            (plan, Arc::new(layout))
        })
        .collect()
});

fuzz_target!(|payload: &[u8]| {
    for (plan, layout) in TOPICS.iter() {
        let mut columns = Columns::new(Arc::clone(layout));
        for is_cdr in [true, false] {
            let before = columns.n_bytes();
            let result = if is_cdr {
                plan.decode_cdr(payload, &mut columns)
            } else {
                plan.decode_ros1(payload, &mut columns)
            };
            // Absent members stand for more than their flag, within the decoder's own bound.
            assert!(
                columns.n_bytes() - before <= 260 * payload.len() + (2 << 20),
                "columns outgrow the payload"
            );
            match result {
                Ok(()) => columns.end_row(),
                Err(_) => columns.abort_row(),
            }
        }
        columns.finish();
    }
});
