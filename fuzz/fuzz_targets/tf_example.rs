//! Any bytes as the one record of a shard: a `tf.train.Example` of an episode, behind framing that holds.
#![no_main]

mod rlds;
mod rows;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // Its checksums are zeros: what does not look at them gets to the record.
    let head = [&(bytes.len() as u64).to_le_bytes()[..], &[0; 4]].concat();
    rlds::read_with(rlds::Replaced::Shard, &[&head[..], bytes, &[0; 4]].concat());
});
