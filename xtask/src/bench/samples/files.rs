//! Tar, JSON Lines and CSV, sample by sample.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use serde_json::{Value, json};

use crate::{
    bench::{noise::Noise, pictures},
    workspace::Result,
};

const WORDS: [&str; 24] = [
    "the", "robot", "picks", "up", "a", "red", "cube", "and", "puts", "it", "into", "bowl", "slowly", "then",
    "opens", "drawer", "while", "camera", "looks", "from", "above", "säure", "—", "done.",
];
const N_JOINTS: usize = 7;
const BLOCK: usize = 512;

/// Writes samples from `first` on until the file has `n_bytes`: a picture and an object each. Returns how many.
///
/// # Errors
/// When a picture cannot be encoded or the file cannot be written.
pub(super) fn write_archive(path: &Path, first: u64, n_bytes: u64) -> Result<u64> {
    let failed = |err: io::Error| format!("cannot write {}: {err}", path.display());
    let mut target = BufWriter::new(File::create(path).map_err(failed)?);
    let mut photos: Vec<Vec<u8>> = Vec::new();
    let (mut n_written, mut n_samples, mut picture) = (0, 0, Vec::new());
    while n_written < n_bytes {
        let number = first + n_samples;
        let place = (number % pictures::N_JPEG) as usize;
        while photos.len() <= place {
            photos.push(pictures::photo(photos.len() as u64)?);
        }
        pictures::stamp_jpeg(&photos[place], number, &mut picture);
        let told = caption(number).to_string();
        for (ending, contents) in [("jpg", picture.as_slice()), ("json", told.as_bytes())] {
            n_written += member(&mut target, &format!("{number:09}.{ending}"), contents).map_err(failed)?;
        }
        n_samples += 1;
    }
    target.write_all(&[0; 2 * BLOCK]).and_then(|()| target.flush()).map_err(failed)?;
    Ok(n_samples)
}

fn caption(number: u64) -> Value {
    let mut noise = Noise::new(number);
    let boxes = (0..noise.next() % 4).map(|it| json!({"label": it, "xywh": [it, it + 1, 17, 23]}));
    let boxes: Vec<Value> = boxes.collect();
    let (text, score) = (words(&mut noise, 12), noise.signed_unit());
    json!({"caption": text, "width": 640, "height": 480, "score": score, "boxes": boxes})
}

/// Writes one member of a tar archive (USTAR); returns its bytes with header and padding.
fn member(target: &mut impl Write, name: &str, contents: &[u8]) -> io::Result<u64> {
    let mut header = [0; BLOCK];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..108].copy_from_slice(b"0000444\0");
    header[124..136].copy_from_slice(format!("{:011o}\0", contents.len()).as_bytes());
    header[136..148].copy_from_slice(b"00000000000\0");
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|it| u32::from(*it)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    target.write_all(&header)?;
    target.write_all(contents)?;
    let n_padded = contents.len().next_multiple_of(BLOCK);
    target.write_all(&[0; BLOCK][..n_padded - contents.len()])?;
    Ok((BLOCK + n_padded) as u64)
}

/// Writes objects from `first` on, one a line, until the file has `n_bytes`. Returns how many.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn write_lines(path: &Path, first: u64, n_bytes: u64, object: fn(u64) -> Value) -> Result<u64> {
    write_rows(path, first, n_bytes, "", |number| object(number).to_string())
}

/// The row of a robot's step.
pub(super) fn numbers(number: u64) -> Value {
    let mut noise = Noise::new(number);
    let mut joints = || (0..N_JOINTS).map(|_| noise.signed_unit()).collect::<Vec<f64>>();
    json!({
        "episode": number / 300,
        "frame": number % 300,
        "timestamp": (number % 300) as f64 / 30.0,
        "observation": {"state": joints(), "force": joints()},
        "action": joints(),
        "done": number % 300 == 299,
    })
}

/// The row of a conversation of a few turns.
pub(super) fn chat(number: u64) -> Value {
    let mut noise = Noise::new(number);
    let turn = |it: u64| {
        let (role, most) = if it.is_multiple_of(2) { ("user", 40) } else { ("assistant", 200) };
        let n_words = 10 + noise.next() % most;
        json!({"role": role, "content": words(&mut noise, n_words)})
    };
    let messages: Vec<Value> = (0..2 * (1 + number % 3)).map(turn).collect();
    json!({"id": format!("chat-{number:08}"), "source": "made up", "messages": messages})
}

fn words(noise: &mut Noise, n: u64) -> String {
    let words = (0..n).map(|_| WORDS[(noise.next() % WORDS.len() as u64) as usize]);
    words.collect::<Vec<&str>>().join(" ")
}

/// Writes rows of numbers from `first` on, and a text in each, until the file has `n_bytes`. Returns how many.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn write_csv(path: &Path, first: u64, n_bytes: u64) -> Result<u64> {
    let joints: Vec<String> = (0..N_JOINTS).map(|it| format!("q{it}")).collect();
    let head = format!("id,frame,task,{}\n", joints.join(","));
    write_rows(path, first, n_bytes, &head, |number| {
        let mut noise = Noise::new(number);
        let joints: Vec<String> = (0..N_JOINTS).map(|_| noise.signed_unit().to_string()).collect();
        format!("{number},{},\"pick, then place {}\",{}", number % 300, number % 7, joints.join(","))
    })
}

/// Writes a head, and rows behind it.
fn write_rows(path: &Path, first: u64, n_bytes: u64, head: &str, row: impl Fn(u64) -> String) -> Result<u64> {
    let failed = |err: io::Error| format!("cannot write {}: {err}", path.display());
    let mut target = BufWriter::new(File::create(path).map_err(failed)?);
    target.write_all(head.as_bytes()).map_err(failed)?;
    let (mut n_written, mut n_rows) = (head.len() as u64, 0);
    while n_written < n_bytes {
        let line = row(first + n_rows);
        target.write_all(line.as_bytes()).and_then(|()| target.write_all(b"\n")).map_err(failed)?;
        n_written += line.len() as u64 + 1;
        n_rows += 1;
    }
    target.flush().map_err(failed)?;
    Ok(n_rows)
}
