//! What a log carries besides messages: attachments, metadata, and the CRC of it all.

use std::ops::Range;

use bytes::Bytes;
use nodedata_core::{Attachment, InputRange, Locus, Result};
use nodedata_log::Cost;

use super::Scanner;
use crate::{
    fault::corrupt_at,
    records::{self, Metadata, RECORD_HEAD_BYTES},
};

impl Scanner<'_> {
    pub(super) fn attachment(&mut self, at: u64, next: u64, content: &Bytes) -> Result<()> {
        let attachment = match records::Attachment::parse(content) {
            Ok(attachment) => attachment,
            Err(err) => return self.damaged(err.at(Locus::byte(at)), lost_attachment(at..next)),
        };
        if self.options.verify_checksums && attachment.crc != 0 {
            let found = crc32fast::hash(&content[..attachment.n_covered]);
            if found != attachment.crc {
                let err = corrupt_at(
                    at,
                    format!(
                        "attachment `{}` has CRC {found:08x}, but its record says {:08x}",
                        attachment.name, attachment.crc
                    ),
                );
                return self.damaged(err, lost_attachment(at..next));
            }
        }
        let nanos = |it: u64| i64::try_from(it).ok();
        let Some((log_time_ns, create_time_ns)) =
            nanos(attachment.log_time).zip(nanos(attachment.create_time))
        else {
            let err =
                corrupt_at(at, format!("attachment `{}` has a time after the year 2262", attachment.name));
            return self.damaged(err, lost_attachment(at..next));
        };
        // Its content ends where what the CRC covers does.
        let end = at + RECORD_HEAD_BYTES + attachment.n_covered as u64;
        self.plan.facts.attachments.push(Attachment {
            // Which file this is, the caller knows.
            episode: 0,
            name: attachment.name.to_owned(),
            media_type: attachment.media_type.to_owned(),
            log_time_ns,
            create_time_ns,
            content: InputRange { input: 0, byte_range: end - attachment.data.len() as u64..end },
            unpacked: None,
        });
        Ok(())
    }

    pub(super) fn metadata(&mut self, content: &[u8]) -> Result<()> {
        self.plan.metadata.push((&Metadata::parse(content)?).into());
        Ok(())
    }

    pub(super) fn data_end(&mut self, at: u64, content: &[u8]) -> Result<()> {
        let expected = records::parse_data_end(content)?;
        let Some(hasher) = self.data_crc.take() else { return Ok(()) };
        let found = hasher.finalize();
        if expected == 0 || found == expected {
            return Ok(());
        }
        let err = corrupt_at(
            at,
            format!("data section has CRC {found:08x}, but its end record says {expected:08x}"),
        );
        self.damaged(err, Cost::nothing("data_crc"))
    }
}

fn lost_attachment(byte_range: Range<u64>) -> Cost {
    Cost { byte_range: Some(byte_range), ..Cost::nothing("damaged_attachment") }
}
