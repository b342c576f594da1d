use nodedata_core::{Error, ErrorKind, Locus, Result};

use super::{Mp4Limits, Sample, boxes::Payload, moov::Moov};

/// Samples on the media's own clock, before edits.
pub(super) struct Table {
    /// In decode order; `pts` is the composition time.
    pub(super) samples: Vec<Sample>,
    /// Decode time after the last sample.
    pub(super) end_dts: i64,
}

impl Table {
    /// The samples that `moov` itself lists; none in a file made of fragments only.
    pub(super) fn of_moov(moov: &Moov, file_bytes: u64, limits: &Mp4Limits) -> Result<Self> {
        let sizes = Sizes::parse(&moov.stbl)?;
        check_count(sizes.count, limits, moov.stbl.offset)?;
        if let Some(n_bytes) = sizes.constant {
            // Nothing else bounds the count of samples of one size.
            if u64::from(n_bytes).saturating_mul(sizes.count as u64) > file_bytes {
                let message = format!(
                    "the video claims {} samples of {n_bytes} bytes, more than the file has",
                    sizes.count
                );
                return Err(moov.stbl.corrupt(0, message));
            }
        }
        let mut table = Self { samples: Vec::with_capacity(sizes.count), end_dts: 0 };
        let is_sync_table = moov.stbl.find(b"stss")?;
        for idx in 0..sizes.count {
            table.samples.push(Sample {
                offset: 0,
                n_bytes: sizes.get(idx),
                keyframe: is_sync_table.is_none(),
                shown: true,
                dts: 0,
                pts: 0,
                duration: 0,
            });
        }
        if table.samples.is_empty() {
            return Ok(table);
        }
        table.place(moov)?;
        table.time(&moov.stbl)?;
        if let Some(stss) = is_sync_table {
            table.mark_keyframes(&stss)?;
        }
        Ok(table)
    }

    /// Byte offsets, from chunk offsets (`stco`, `co64`) and samples per chunk (`stsc`).
    fn place(&mut self, moov: &Moov) -> Result<()> {
        let chunks = Chunks::parse(&moov.stbl)?;
        let stsc = moov.stbl.need(b"stsc")?;
        let mut fields = stsc.fields();
        fields.version_and_flags()?;
        let n_runs = fields.count(12)?;
        let mut runs = Vec::with_capacity(n_runs);
        for _ in 0..n_runs {
            let (first_chunk, n_samples, description) = (fields.u32()?, fields.u32()?, fields.u32()?);
            let entry = moov.entries.get((description as usize).wrapping_sub(1));
            if entry != Some(&moov.entry) {
                let message = "the coding of the video changes inside the file";
                let kind = if entry.is_some() { ErrorKind::Unsupported } else { ErrorKind::Corrupt };
                return Err(Error::new(kind, message).at(Locus::byte(stsc.offset)));
            }
            runs.push((first_chunk as usize, n_samples as usize));
        }
        let increasing = runs.windows(2).all(|it| it[0].0 < it[1].0);
        if runs.first().is_some_and(|it| it.0 != 1) || !increasing {
            return Err(stsc.corrupt(0, "the chunks of `stsc` are not in order from 1"));
        }
        let mut left = self.samples.iter_mut();
        for (run_idx, (first_chunk, n_samples)) in runs.iter().enumerate() {
            let next = runs.get(run_idx + 1).map_or(chunks.len() + 1, |it| it.0);
            for chunk in *first_chunk..next.min(chunks.len() + 1) {
                let mut offset = chunks.get(chunk - 1);
                for sample in left.by_ref().take(*n_samples) {
                    sample.offset = offset;
                    offset = offset.saturating_add(u64::from(sample.n_bytes));
                }
            }
        }
        match left.len() {
            0 => Ok(()),
            n => Err(stsc.corrupt(0, format!("{n} samples of the video are in no chunk"))),
        }
    }

    /// Decode times from `stts`, composition times from `ctts`.
    fn time(&mut self, stbl: &Payload) -> Result<()> {
        let stts = stbl.need(b"stts")?;
        let mut fields = stts.fields();
        fields.version_and_flags()?;
        let n_runs = fields.count(8)?;
        let mut left = self.samples.iter_mut();
        let mut dts = 0i64;
        for _ in 0..n_runs {
            let (n_samples, delta) = (fields.u32()? as usize, fields.u32()?);
            for sample in left.by_ref().take(n_samples) {
                (sample.dts, sample.pts, sample.duration) = (dts, dts, delta);
                // At most 2^32 samples of 2^32 ticks: no overflow before 2^63 with the bounded count.
                dts = dts.saturating_add(i64::from(delta));
            }
        }
        if left.len() > 0 {
            let message = format!("{} samples of the video have no time", left.len());
            return Err(stts.corrupt(0, message));
        }
        self.end_dts = dts;
        let Some(ctts) = stbl.find(b"ctts")? else { return Ok(()) };
        let mut fields = ctts.fields();
        fields.version_and_flags()?;
        let n_runs = fields.count(8)?;
        let mut left = self.samples.iter_mut();
        for _ in 0..n_runs {
            // Version 0 says unsigned, but writers put negative offsets there too.
            let (n_samples, offset) = (fields.u32()? as usize, fields.i32()?);
            for sample in left.by_ref().take(n_samples) {
                sample.pts = sample.pts.saturating_add(i64::from(offset));
            }
        }
        Ok(())
    }

    fn mark_keyframes(&mut self, stss: &Payload) -> Result<()> {
        let mut fields = stss.fields();
        fields.version_and_flags()?;
        for _ in 0..fields.count(4)? {
            let number = fields.u32()?;
            let sample = self.samples.get_mut((number as usize).wrapping_sub(1));
            let message = || format!("sample {number} is called a key frame, but does not exist");
            sample.ok_or_else(|| stss.corrupt(0, message()))?.keyframe = true;
        }
        Ok(())
    }
}

/// Refuses more samples than the limit.
pub(super) fn check_count(count: usize, limits: &Mp4Limits, offset: u64) -> Result<()> {
    if count > limits.samples_max as usize {
        let message = format!("the video claims {count} samples, more than {}", limits.samples_max);
        return Err(Error::new(ErrorKind::Limit, message).at(Locus::byte(offset)));
    }
    Ok(())
}

/// `stsz` or `stz2`.
struct Sizes {
    count: usize,
    constant: Option<u32>,
    table: Payload,
    field_bits: u8,
}

impl Sizes {
    fn parse(stbl: &Payload) -> Result<Self> {
        if let Some(stsz) = stbl.find(b"stsz")? {
            let mut fields = stsz.fields();
            fields.version_and_flags()?;
            let constant = Some(fields.u32()?).filter(|it| *it != 0);
            let count = if constant.is_some() { fields.u32()? as usize } else { fields.count(4)? };
            return Ok(Self { count, constant, table: fields.rest(), field_bits: 32 });
        }
        let stz2 = stbl.need(b"stz2")?;
        let mut fields = stz2.fields();
        fields.version_and_flags()?;
        fields.skip(3)?;
        let field_bits = fields.u8()?;
        if !matches!(field_bits, 4 | 8 | 16) {
            return Err(stz2.corrupt(7, format!("`stz2` has sizes of {field_bits} bits, not 4, 8 or 16")));
        }
        let count = fields.u32()? as usize;
        let table = fields.rest();
        if table.bytes.len() < (count.saturating_mul(usize::from(field_bits))).div_ceil(8) {
            return Err(stz2.corrupt(8, format!("`stz2` claims {count} sizes, more than it has")));
        }
        Ok(Self { count, constant: None, table, field_bits })
    }

    /// `idx` is below `count`, which was checked against the table.
    fn get(&self, idx: usize) -> u32 {
        let bytes = &self.table.bytes;
        match (self.constant, self.field_bits) {
            (Some(n_bytes), _) => n_bytes,
            (None, 4) => {
                u32::from(if idx.is_multiple_of(2) { bytes[idx / 2] >> 4 } else { bytes[idx / 2] & 15 })
            }
            (None, 8) => u32::from(bytes[idx]),
            (None, 16) => u32::from(u16::from_be_bytes([bytes[2 * idx], bytes[2 * idx + 1]])),
            (None, _) => {
                let at = 4 * idx;
                u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
            }
        }
    }
}

/// `stco` or `co64`.
struct Chunks {
    table: Payload,
    count: usize,
    wide: bool,
}

impl Chunks {
    fn parse(stbl: &Payload) -> Result<Self> {
        let (payload, wide) = match stbl.find(b"stco")? {
            Some(stco) => (stco, false),
            None => (stbl.need(b"co64")?, true),
        };
        let mut fields = payload.fields();
        fields.version_and_flags()?;
        let count = fields.count(if wide { 8 } else { 4 })?;
        Ok(Self { table: fields.rest(), count, wide })
    }

    fn len(&self) -> usize {
        self.count
    }

    /// `idx` is below `len`.
    fn get(&self, idx: usize) -> u64 {
        let width = if self.wide { 8 } else { 4 };
        let bytes = &self.table.bytes[idx * width..(idx + 1) * width];
        bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }
}
