// What the targets of self-contained messages share; a part of each of them.

use std::sync::Arc;

use nodedata_core::{Columns, Layout, LeafId};
use nodedata_message::{JsonInference, MessageDecoder, MessageSchema, Pixels, Place};

/// Room that a decoder may take for a small message: offsets of FlatBuffers may share what they point at, and what they
/// bring has a budget.
const BASE_BYTES: usize = 66 << 20;

/// Decodes a payload by a schema, if there are columns for it; columns may grow by `factor` for each of its bytes.
pub(crate) fn check(
    [message_encoding, schema_encoding, schema_name]: [&str; 3],
    schema: &[u8],
    payload: &[u8],
    factor: usize,
) {
    let schema = MessageSchema { message_encoding, schema_encoding, schema_name, schema };
    let mut layout = Layout::default();
    if let Ok(decoder) = MessageDecoder::compile(&mut layout, &schema) {
        decode(&decoder, layout, &[payload], factor, None);
    }
    // As topics are read once one of their messages has not fit: what the schema does not allow is text, or bytes.
    let mut layout = Layout::default();
    if let Ok(decoder) = MessageDecoder::compile_loose(&mut layout, &schema) {
        let unknown = (!decoder.is_opaque()).then(|| decoder.hold_misfits(&mut layout, LeafId(0)));
        decode(&decoder, layout, &[payload], usize::MAX, unknown);
    }
}

/// Decodes payloads into the columns that the first of them seems to need.
#[allow(dead_code, reason = "not every target has messages that describe themselves")]
pub(crate) fn check_inferred(mut inference: JsonInference, payloads: [&[u8]; 2]) {
    let is_readable = inference.observe(payloads[0], Place { input: 0, at: 0 }).is_ok();
    assert_eq!(is_readable, !inference.is_broken());
    let mut layout = Layout::default();
    let decoder = inference.compile(&mut layout).expect("what was seen can be kept");
    let unknown = (!decoder.is_opaque()).then(|| decoder.hold_misfits(&mut layout, LeafId(0)));
    decode(&decoder, layout, &payloads, usize::MAX, unknown);
}

/// Decodes payloads; where there is a column for those that do not fit, each of them gives a row.
fn decode(
    decoder: &MessageDecoder,
    layout: Layout,
    payloads: &[&[u8]],
    factor: usize,
    unknown: Option<LeafId>,
) {
    let mut columns = Columns::new(Arc::new(layout));
    let mut pixels = Pixels::default();
    for payload in payloads {
        let before = columns.n_bytes();
        let mut decoded = decoder.decode(payload, &mut columns, &mut pixels);
        if decoded.is_err()
            && let Some(respelled) = decoder.respelled(payload)
        {
            columns.abort_row();
            decoded = decoder.decode(&respelled, &mut columns, &mut pixels);
        }
        match decoded {
            Ok(_) => {
                if let Some(unknown) = unknown.filter(|it| !decoder.fills(*it)) {
                    columns.push_null(unknown);
                }
                let grown = columns.n_bytes() - before;
                let most = payload.len().saturating_mul(factor).saturating_add(BASE_BYTES);
                assert!(grown <= most, "{grown} bytes from {}", payload.len());
                columns.end_row();
            }
            Err(_) => {
                columns.abort_row();
                if let Some(unknown) = unknown {
                    columns.push_absent_but(unknown);
                    columns.push_bytes(unknown, payload);
                    columns.push_valid(unknown);
                    columns.end_row();
                }
            }
        }
    }
    // Arrow checks offsets and text again: rows that came out of damage are well formed.
    columns.finish();
}
