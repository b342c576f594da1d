//! Any text as a definition: it is refused, or it compiles and meets a payload.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use nodedata_core::{Columns, Layout};
use nodedata_ros::{Definitions, Dialect, RosPlan};

/// A plain CDR header and bytes that are small counts, text and numbers at once.
const PAYLOAD: [u8; 68] = {
    let mut payload = [1; 68];
    let header = [0, 1, 0, 0];
    let mut idx = 0;
    while idx < payload.len() {
        payload[idx] = if idx < 4 { header[idx] } else { (idx % 4 == 0) as u8 };
        idx += 1;
    }
    payload
};

fuzz_target!(|text: &str| {
    let parsed = [
        Definitions::from_msg("lab/msg/Root", text, Dialect::Ros1),
        Definitions::from_msg("lab/srv/Root", text, Dialect::Ros2),
        Definitions::from_msg("lab/action/Root", text, Dialect::Ros2),
        Definitions::from_idl("lab/msg/Root", text),
    ];
    for definitions in parsed.into_iter().flatten() {
        let roots: Vec<String> = definitions.names().take(16).map(str::to_owned).collect();
        for root in roots {
            let mut layout = Layout::default();
            let Ok(plan) = RosPlan::compile(&mut layout, &definitions, &root) else { continue };
            let mut columns = Columns::new(Arc::new(layout));
            for id in [0, 1, 2, 3, 7, 9, 11] {
                let mut payload = PAYLOAD;
                payload[1] = id;
                match plan.decode_cdr(&payload, &mut columns) {
                    Ok(()) => columns.end_row(),
                    Err(_) => columns.abort_row(),
                }
            }
            columns.finish();
        }
    }
});
