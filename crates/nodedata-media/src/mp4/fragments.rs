use std::ops::Range;

use nodedata_core::{Error, ErrorKind, Locus, ReadAt, Result};

use super::{
    Mp4Limits, Sample,
    boxes::{Fields, Payload},
    moov::{Moov, Trex},
    sample_table::{Table, check_count},
};

const BASE_DATA_OFFSET: u32 = 0x1;
const DESCRIPTION_INDEX: u32 = 0x2;
const DEFAULT_DURATION: u32 = 0x8;
const DEFAULT_SIZE: u32 = 0x10;
const DEFAULT_FLAGS: u32 = 0x20;

const DATA_OFFSET: u32 = 0x1;
const FIRST_FLAGS: u32 = 0x4;
const DURATIONS: u32 = 0x100;
const SIZES: u32 = 0x200;
const FLAGS: u32 = 0x400;
const COMPOSITION_OFFSETS: u32 = 0x800;

/// Of a sample's flags: it is no key frame.
const NON_SYNC: u32 = 0x1_0000;

/// Adds the samples of the track's fragments.
pub(super) fn append(
    table: &mut Table,
    moov: &Moov,
    file: &dyn ReadAt,
    moofs: &[Range<u64>],
    limits: &Mp4Limits,
) -> Result<()> {
    let mut fragments = Fragments { table, moov, file_bytes: file.n_bytes(), limits };
    for moof in moofs {
        let size = moof.end - moof.start;
        if size > limits.moov_bytes_max {
            let message = format!("a `moof` box has {size} bytes, more than {}", limits.moov_bytes_max);
            return Err(Error::new(ErrorKind::Limit, message).at(Locus::byte(moof.start)));
        }
        let around = Payload { bytes: file.read_at(moof.clone())?, offset: moof.start };
        let inner = around.need(b"moof")?;
        for (_, traf) in inner.boxes()?.into_iter().filter(|(kind, _)| kind == b"traf") {
            fragments.append_traf(&traf, moof.start)?;
        }
    }
    Ok(())
}

struct Fragments<'a> {
    table: &'a mut Table,
    moov: &'a Moov,
    file_bytes: u64,
    limits: &'a Mp4Limits,
}

impl Fragments<'_> {
    fn append_traf(&mut self, traf: &Payload, moof_start: u64) -> Result<()> {
        let tfhd = traf.need(b"tfhd")?;
        let mut fields = tfhd.fields();
        let (_, flags) = fields.version_and_flags()?;
        if fields.u32()? != self.moov.track_id {
            return Ok(());
        }
        let base = if flags & BASE_DATA_OFFSET != 0 { fields.u64()? } else { moof_start };
        if flags & DESCRIPTION_INDEX != 0 {
            let description = fields.u32()? as usize;
            if self.moov.entries.get(description.wrapping_sub(1)) != Some(&self.moov.entry) {
                let message = "the coding of the video changes inside the file";
                return Err(Error::new(ErrorKind::Unsupported, message).at(Locus::byte(tfhd.offset)));
            }
        }
        let mut defaults = self.moov.trex.unwrap_or(Trex { duration: 0, n_bytes: 0, flags: 0 });
        let mut override_with = |flag, value: &mut u32| -> Result<()> {
            if flags & flag != 0 {
                *value = fields.u32()?;
            }
            Ok(())
        };
        override_with(DEFAULT_DURATION, &mut defaults.duration)?;
        override_with(DEFAULT_SIZE, &mut defaults.n_bytes)?;
        override_with(DEFAULT_FLAGS, &mut defaults.flags)?;
        if let Some(tfdt) = traf.find(b"tfdt")? {
            let mut fields = tfdt.fields();
            let (version, _) = fields.version_and_flags()?;
            let start = if version == 1 { fields.u64()? } else { u64::from(fields.u32()?) };
            self.table.end_dts =
                i64::try_from(start).map_err(|_| tfdt.corrupt(4, "a fragment starts too late"))?;
        }
        let mut offset = base;
        for (_, trun) in traf.boxes()?.into_iter().filter(|(kind, _)| kind == b"trun") {
            offset = self.append_trun(&trun, defaults, base, offset)?;
        }
        Ok(())
    }

    /// Returns where the run's data ends, which is where the next run's starts when it does not say.
    fn append_trun(&mut self, trun: &Payload, defaults: Trex, base: u64, offset: u64) -> Result<u64> {
        let mut fields = trun.fields();
        let (_, flags) = fields.version_and_flags()?;
        let per_sample = [DURATIONS, SIZES, FLAGS, COMPOSITION_OFFSETS].map(|flag| flags & flag != 0);
        let n_samples = fields.count(4 * per_sample.iter().filter(|it| **it).count())?;
        check_count(self.table.samples.len().saturating_add(n_samples), self.limits, trun.offset)?;
        let [durations, sizes, sample_flags, compositions] = per_sample;
        // Nothing else bounds the count of samples of one size.
        let claimed = u64::from(defaults.n_bytes).saturating_mul(n_samples as u64);
        if !sizes && n_samples > 0 && (claimed == 0 || claimed > self.file_bytes) {
            let message = format!("a fragment claims {n_samples} samples of {} bytes", defaults.n_bytes);
            return Err(trun.corrupt(4, message));
        }
        let mut offset = if flags & DATA_OFFSET == 0 {
            offset
        } else {
            let relative = i64::from(fields.i32()?);
            base.checked_add_signed(relative)
                .ok_or_else(|| trun.corrupt(8, "a fragment's data lies before the file"))?
        };
        let first_flags = if flags & FIRST_FLAGS == 0 { None } else { Some(fields.u32()?) };
        let read = |fields: &mut Fields<'_>, present: bool, default: u32| {
            if present { fields.u32() } else { Ok(default) }
        };
        for idx in 0..n_samples {
            let duration = read(&mut fields, durations, defaults.duration)?;
            let n_bytes = read(&mut fields, sizes, defaults.n_bytes)?;
            let own_flags = read(&mut fields, sample_flags, defaults.flags)?;
            let composition = read(&mut fields, compositions, 0)?.cast_signed();
            let sample_flags = if idx == 0 { first_flags.unwrap_or(own_flags) } else { own_flags };
            let dts = self.table.end_dts;
            self.table.samples.push(Sample {
                offset,
                n_bytes,
                keyframe: sample_flags & NON_SYNC == 0,
                shown: true,
                dts,
                pts: dts.saturating_add(i64::from(composition)),
                duration,
            });
            self.table.end_dts = dts.saturating_add(i64::from(duration));
            offset = offset.saturating_add(u64::from(n_bytes));
        }
        Ok(offset)
    }
}
