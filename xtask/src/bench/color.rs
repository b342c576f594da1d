//! Frames of video to RGB: as `nodedata-media` does it, and pixel by pixel as it once did, in turns in one process.

use std::{
    fmt::Write as _,
    hint::black_box,
    time::{Duration, Instant},
};

use nodedata_media::video::{Chroma, VideoFrame};
use serde_json::{Value, json};

use super::{measure::median, noise::Noise, report::goal_table};
use crate::{bench_command::Options, workspace::Result};

/// So many times as fast as pixel by pixel, at least.
const TIMES_MIN: f64 = 10.0;

/// What the goal is set for; others are told.
const GOAL_FOR: [u32; 2] = [640, 480];

/// Width and height of frames.
const SIZES: [[u32; 2]; 3] = [[224, 224], GOAL_FOR, [1280, 720]];

/// How long each way works in a turn, at least.
const TURN: Duration = Duration::from_millis(200);

/// What was found about frames of one size.
pub(super) struct Row {
    size: [u32; 2],
    /// Nanoseconds a pixel.
    lanes_ns: f64,
    pixels_ns: f64,
    copy_ns: f64,
    /// Medians of ratios within a turn.
    to_pixels: f64,
    to_copy: f64,
}

/// What was found.
#[derive(Default)]
pub(super) struct Figures {
    rows: Vec<Row>,
    /// Jobs that `--only` lets through.
    pub(super) n_selected: usize,
}

/// Times the conversion of frames of noise.
///
/// # Errors
/// When the two ways do not give the same pixels.
pub(super) fn run(options: &Options) -> Result<Figures> {
    if !options.lets_through("color") {
        return Ok(Figures::default());
    }
    // Frames are made in memory: there is no input for a profiler.
    let sizes: &[[u32; 2]] = if options.inputs_only { &[] } else { &SIZES };
    let rows = sizes.iter().map(|size| time(*size, options.runs.max(1))).collect::<Result<_>>()?;
    Ok(Figures { rows, n_selected: 1 })
}

fn time(size: [u32; 2], n_runs: usize) -> Result<Row> {
    let frame = frame(size);
    let shape = frame.shape();
    let mut pixels = vec![0; 3 * frame.planes[0].len()];
    let convert = |pixels: &mut [u8]| frame.rgb_into(&shape, pixels).map_err(|err| err.chain());
    convert(&mut pixels)?;
    if pixels != pixel_by_pixel(&frame) {
        return Err(format!("frames of {size:?} have other pixels than one by one"));
    }
    let mut copied = vec![0; pixels.len()];
    let (mut lanes, mut single, mut copies) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..n_runs {
        eprintln!("color {} × {}: run {} of {n_runs}", size[0], size[1], run + 1);
        single.push(seconds(|| drop(black_box(pixel_by_pixel(black_box(&frame))))));
        lanes.push(seconds(|| drop(black_box(convert(black_box(&mut pixels))))));
        copies.push(seconds(|| black_box(&mut copied).copy_from_slice(black_box(&pixels))));
    }
    let ratio =
        |theirs: &[f64]| median(theirs.iter().zip(&lanes).map(|(theirs, ours)| theirs / ours).collect());
    let (to_pixels, to_copy) = (ratio(&single), ratio(&copies));
    let nanos = |seconds: Vec<f64>| median(seconds) * 1e9 / frame.planes[0].len() as f64;
    let (pixels_ns, copy_ns) = (nanos(single), nanos(copies));
    Ok(Row { size, lanes_ns: nanos(lanes), pixels_ns, copy_ns, to_pixels, to_copy })
}

/// Seconds that `work` takes once.
fn seconds(mut work: impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut n_times = 0;
    while n_times == 0 || start.elapsed() < TURN {
        work();
        n_times += 1;
    }
    start.elapsed().as_secs_f64() / f64::from(n_times)
}

/// A frame of noise: 8 bits, 4:2:0, limited range, BT.601.
fn frame([width, height]: [u32; 2]) -> VideoFrame {
    let mut noise = Noise::new(7);
    let mut plane = |n_values: u32| {
        let mut values = vec![0; n_values as usize];
        noise.fill(&mut values);
        values
    };
    let chroma = width.div_ceil(2) * height.div_ceil(2);
    let planes = vec![plane(width * height), plane(chroma), plane(chroma)];
    VideoFrame {
        order: 0,
        width,
        height,
        chroma: Chroma::Yuv420,
        bit_depth: 8,
        full_range: false,
        matrix: 2,
        planes,
    }
}

/// The reference: factors in 3.13 fixed point and the high half of each product, as for every frame before there were lanes.
fn pixel_by_pixel(frame: &VideoFrame) -> Vec<u8> {
    let (width, height) = (frame.width as usize, frame.height as usize);
    let high = |value: i32, factor: i32| (value * factor) >> 16;
    let mut pixels = Vec::with_capacity(3 * width * height);
    for row in 0..height {
        for column in 0..width {
            let chroma = (row / 2) * width.div_ceil(2) + column / 2;
            let y = high((i32::from(frame.planes[0][row * width + column]) << 3) - (16 << 3), 9_539);
            let u = (i32::from(frame.planes[1][chroma]) << 3) - (128 << 3);
            let v = (i32::from(frame.planes[2][chroma]) << 3) - (128 << 3);
            let [red, green, blue] = [high(v, 13_075), high(u, -3_209) + high(v, -6_660), high(u, 16_525)];
            pixels.extend_from_slice(&[red, green, blue].map(|it| (y + it).clamp(0, 255) as u8));
        }
    }
    pixels
}

/// The table for `docs/performance.md`.
pub(super) fn markdown(figures: &Figures, options: &Options) -> String {
    if figures.rows.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "| frames | ns a pixel | pixel by pixel, ns | copy of the pixels, ns | × pixel by pixel | × copy |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    // Writing to a String cannot fail.
    for Row { size: [width, height], lanes_ns, pixels_ns, copy_ns, to_pixels, to_copy } in &figures.rows {
        _ = writeln!(
            text,
            "| {width}×{height} | {lanes_ns:.2} | {pixels_ns:.2} | {copy_ns:.2} | {to_pixels:.1} | {to_copy:.2} |"
        );
    }
    let of_goal = figures.rows.iter().filter(|it| it.size == GOAL_FOR);
    let goals = goal_table(of_goal.map(|it| {
        let [width, height] = it.size;
        (
            format!("RGB of {width}×{height}: at least {TIMES_MIN} × as fast as pixel by pixel"),
            format!("{:.1} ×", it.to_pixels),
            it.to_pixels >= TIMES_MIN,
        )
    }));
    format!("{text}{goals}\nMedians of {} runs in turns, on one core.\n", options.runs)
}

/// The figures as JSON.
pub(super) fn json(figures: &Figures) -> Value {
    let rows = figures.rows.iter().map(|it| {
        json!({
            "size": it.size,
            "ns_per_pixel": it.lanes_ns,
            "pixel_by_pixel_ns": it.pixels_ns,
            "copy_ns": it.copy_ns,
            "to_pixel_by_pixel": it.to_pixels,
            "to_copy": it.to_copy,
        })
    });
    rows.collect()
}
