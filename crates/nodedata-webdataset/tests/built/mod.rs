//! Archives made for tests, and what is read of them.
#![allow(dead_code, reason = "each test needs some of it")]

use std::{io::Write as _, sync::Arc};

use arrow_array::{Array as _, ArrayRef, RecordBatch, cast::AsArray as _, types::Int64Type};
use nodedata_core::{Format as _, OpenOptions, Result, RowDeal, RowKey, Source};
use nodedata_io::MemoryFiles;
use nodedata_webdataset::WEBDATASET;

/// An archive that grows, member by member.
#[derive(Clone, Default)]
pub(crate) struct Tar(pub(crate) Vec<u8>);

impl Tar {
    pub(crate) fn file(self, name: &str, contents: impl AsRef<[u8]>) -> Self {
        self.member(b'0', name.as_bytes(), contents.as_ref())
    }

    pub(crate) fn member(mut self, kind: u8, name: &[u8], contents: &[u8]) -> Self {
        let size = format!("{:011o}\0", contents.len());
        self.0.extend(header(kind, name, size.as_bytes()));
        self.0.extend(contents);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// Records of an extended header, as they are.
    pub(crate) fn records(self, kind: u8, records: &str) -> Self {
        self.member(kind, b"PaxHeaders/x", records.as_bytes())
    }

    /// A header alone, whose size is written so.
    pub(crate) fn header(mut self, kind: u8, name: &str, size: &[u8]) -> Self {
        self.0.extend(header(kind, name.as_bytes(), size));
        self
    }

    /// With the mark of its end.
    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

fn header(kind: u8, name: &[u8], size: &[u8]) -> [u8; 512] {
    let mut block = [0; 512];
    block[..name.len()].copy_from_slice(name);
    block[100..108].copy_from_slice(b"0000444\0");
    block[124..124 + size.len()].copy_from_slice(size);
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar\x0000");
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|it| u32::from(*it)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

pub(crate) fn npy(descr: &str, shape: &str, values: &[u8]) -> Vec<u8> {
    npy_in_order("False", descr, shape, values)
}

pub(crate) fn npy_in_order(is_fortran: &str, descr: &str, shape: &str, values: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': '{descr}', 'fortran_order': {is_fortran}, 'shape': {shape}, }}\n");
    let length = u16::try_from(text.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\0", &length[..], text.as_bytes(), values].concat()
}

pub(crate) fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|it| it.to_le_bytes()).collect()
}

pub(crate) fn gzip(contents: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(contents).unwrap();
    out.finish().unwrap()
}

/// A ZIP archive of deflated files; `told` is the size that its directory says each has, where that is not the right one.
pub(crate) fn zip(files: &[(&str, &[u8])], told: Option<u32>) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, contents) in files {
        let mut packed = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        packed.write_all(contents).unwrap();
        let packed = packed.finish().unwrap();
        let mut crc = flate2::Crc::new();
        crc.update(contents);
        let n_bytes = told.unwrap_or(contents.len() as u32);
        let start = out.len() as u32;
        let mut common = vec![20, 0, 0, 0, 8, 0, 0, 0, 0, 0];
        common.extend(crc.sum().to_le_bytes());
        common.extend((packed.len() as u32).to_le_bytes());
        common.extend(n_bytes.to_le_bytes());
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0, 0]);
        out.extend([b"PK\x03\x04", &common[..], name.as_bytes(), &packed].concat());
        directory.extend(
            [b"PK\x01\x02\x14\0", &common[..], &[0; 10], &start.to_le_bytes(), name.as_bytes()].concat(),
        );
    }
    let (start, n) = (out.len() as u32, (files.len() as u16).to_le_bytes());
    let n_bytes = (directory.len() as u32).to_le_bytes();
    [&out[..], &directory, b"PK\x05\x06\0\0\0\0", &n, &n, &n_bytes, &start.to_le_bytes(), &[0, 0]].concat()
}

pub(crate) const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xd9";

pub(crate) fn open(bytes: &[u8], options: &OpenOptions) -> Result<Box<dyn Source>> {
    open_as("a.tar", bytes, options)
}

pub(crate) fn open_as(name: &str, bytes: &[u8], options: &OpenOptions) -> Result<Box<dyn Source>> {
    WEBDATASET.open(Arc::new(MemoryFiles::default().with(name, bytes.to_vec())), options)
}

pub(crate) fn salvaging() -> OpenOptions {
    OpenOptions { salvage: true, ..OpenOptions::default() }
}

/// The keys of all rows.
pub(crate) fn keys(rows: &[RecordBatch]) -> Vec<String> {
    texts(rows, "__key__").into_iter().flatten().collect()
}

pub(crate) fn texts(rows: &[RecordBatch], name: &str) -> Vec<Option<String>> {
    let of_batch = |it: &RecordBatch| {
        let texts = it.column_by_name(name).unwrap().as_string::<i32>().clone();
        (0..texts.len())
            .map(|row| texts.is_valid(row).then(|| texts.value(row).to_owned()))
            .collect::<Vec<_>>()
    };
    rows.iter().flat_map(of_batch).collect()
}

pub(crate) fn ints(rows: &[RecordBatch], name: &str) -> Vec<Option<i64>> {
    let of_batch = |it: &RecordBatch| {
        it.column_by_name(name).unwrap().as_primitive::<Int64Type>().iter().collect::<Vec<_>>()
    };
    rows.iter().flat_map(of_batch).collect()
}

/// The values of an array of lists of a fixed size, one list after the other.
pub(crate) fn leaves(array: &ArrayRef) -> Vec<ArrayRef> {
    match array.as_fixed_size_list_opt() {
        Some(list) => (0..list.len()).flat_map(|it| leaves(&list.value(it))).collect(),
        None => vec![Arc::clone(array)],
    }
}

/// Names and types of the columns behind the step index.
pub(crate) fn told(source: &dyn Source) -> Vec<String> {
    let features = source.plan().streams[0].features.iter().skip(1);
    let one = |it: &nodedata_core::Feature| {
        let nullable = if it.nullable { "?" } else { "" };
        format!("{} {}{nullable}", it.name, it.told())
    };
    features.map(one).collect()
}

/// Place and words of each finding.
pub(crate) fn findings(source: &dyn Source) -> Vec<String> {
    source.plan().findings.iter().map(|it| format!("{}: {}", it.at, it.message)).collect()
}

pub(crate) fn deal(key: RowKey) -> RowDeal {
    RowDeal { fractions: vec![("train".to_owned(), 0.7), ("val".to_owned(), 0.3)], key }
}
